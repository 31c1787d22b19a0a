"""The files that a finished C-score job leaves in its folder."""

import dataclasses
import pathlib

import jaxgen
from jaxgen.data.score_files import write_scores
from jaxgen.errors import UserError
from jaxgen.flags import to_flagfile
from jaxgen.spec import CscoreSpec
from jaxgen.types import Dataset, Scores
from jaxgen.views.figures import write_figure
from jaxgen.views.gallery import draw_examples
from jaxgen.views.histogram import draw_histogram


def write_results(dataset: Dataset, scores: Scores, spec: CscoreSpec, command: str) -> list[pathlib.Path]:
    """Writes scores, figures and flags into ``spec.out``; returns the files.

    The flags hold the width that was settled, because models of another width may round otherwise.

    Raises:
      UserError: if a file cannot be written.
    """
    out = pathlib.Path(spec.out)
    names = ("cscores.npz", "examples.png", "examples.pdf", "histogram.png", "flags.cfg")
    scores_file, png, pdf, histogram, flagfile = files = [out / name for name in names]
    header = f"jaxgen {jaxgen.__version__}\n{command}\npython -m jaxgen.cscore --flagfile={flagfile}"
    settled = dataclasses.replace(spec, compute=dataclasses.replace(spec.compute, width=scores.metadata["width"]))
    try:
        write_scores(scores, scores_file)
        examples = draw_examples(dataset, scores)
        write_figure(examples, png)
        write_figure(examples, pdf)
        write_figure(draw_histogram(dataset, scores), histogram)
        flagfile.write_text(to_flagfile(settled, header))
    except OSError as error:
        raise UserError(
            f"--out={spec.out}: results cannot be written ({error}); all models are kept: make room or move what is in "
            "the way, and give the same command again"
        ) from None
    return files
