"""The files that a finished C-score job leaves in its folder."""

import pathlib
from collections.abc import Sequence

from jaxgen.config import CscoreSpec, sweep
from jaxgen.data.score_files import write_scores
from jaxgen.experiments.cscore import sweep_table as tables
from jaxgen.experiments.cscore.figures import draw_settings
from jaxgen.experiments.cscore.influence_figure import describe_influence, draw_influence
from jaxgen.experiments.cscore.job import open_job_store, run_group_name
from jaxgen.jobs.program import make_programs
from jaxgen.reporting.files import settled, write_flags, written_or_told
from jaxgen.reporting.tables import to_csv
from jaxgen.types import Dataset, Scores
from jaxgen.views.figures import write_figure
from jaxgen.views.gallery import draw_examples
from jaxgen.views.histogram import draw_histogram
from jaxgen.views.summary import summarize

PROGRAM = "jaxgen.cscore"
Found = list[tuple[sweep.Setting, Scores]]


def write_all(dataset: Dataset, found: Found, spec: CscoreSpec, command: str) -> tuple[str, list[pathlib.Path]]:
    """Writes all results into ``spec.out``; returns what to tell the user, and the files.

    Raises:
      UserError: if a file cannot be written.
    """
    if not sweep.swept(spec):
        [(_, scores)] = found
        texts = [summarize(dataset, scores)]
        if "influence" in scores.more:
            texts.append(describe_influence(dataset, scores))
        return "\n\n".join(texts), write_results(dataset, scores, spec, command)
    return write_settings(dataset, found, spec, command)


def write_results(dataset: Dataset, scores: Scores, spec: CscoreSpec, command: str) -> list[pathlib.Path]:
    """Writes scores, figures and flags of one setting into ``spec.out``; returns the files.

    The flags hold the width that was settled, because models of another width may round otherwise.
    """
    out = pathlib.Path(spec.out)
    names = ("cscores.npz", "examples.png", "examples.pdf", "histogram.png", "flags.cfg")
    scores_file, png, pdf, histogram, flagfile = files = [out / name for name in names]
    with written_or_told(spec.out):
        write_scores(scores, scores_file)
        examples = draw_examples(dataset, scores)
        write_figure(examples, png)
        write_figure(examples, pdf)
        write_figure(draw_histogram(dataset, scores), histogram)
        write_flags(flagfile, settled(spec, widths([scores])), PROGRAM, command)
        if "influence" in scores.more and dataset.has_images:
            files.append(out / "influence.png")
            write_figure(draw_influence(dataset, scores), files[-1])
    return files


def write_settings(dataset: Dataset, found: Found, spec: CscoreSpec, command: str) -> tuple[str, list[pathlib.Path]]:
    """Writes what a sweep found: tables of members and settings, their picture, and every setting's scores."""
    out, programs = pathlib.Path(spec.out), make_programs(spec)
    names = ("results.csv", "settings.csv", "settings.md", "settings.png", "flags.cfg")
    members_file, settings_file, table_file, picture, flagfile = files = [out / name for name in names]
    flags = sweep.swept(spec)
    members = list(tables.member_rows(open_job_store(dataset, spec, programs), programs, flags, run_group_name))
    rows = tables.setting_rows(members, found, flags)
    with written_or_told(spec.out):
        members_file.write_text(to_csv(members))
        settings_file.write_text(to_csv(rows))
        table_file.write_text(tables.to_markdown(rows, flags) + "\n")
        write_figure(draw_settings(rows, flags, dataset.name), picture)
        write_flags(flagfile, settled(spec, widths([scores for _, scores in found])), PROGRAM, command)
        for setting, scores in found:
            folder = out / "settings" / setting.name
            folder.mkdir(parents=True, exist_ok=True)
            write_scores(scores, folder / "cscores.npz")
    files.append(out / "settings" / "*" / "cscores.npz")
    return f"{len(found)} settings; accuracies are mean ± sd over models\n\n{tables.digest(rows, flags)}", files


def widths(found: Sequence[Scores]) -> set[int]:
    """Those that were found for the programs."""
    return {scores.metadata["width"] for scores in found}
