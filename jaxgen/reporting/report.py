"""What a job has to tell, and how it is written: texts, figures, arrays and a flag file in one folder."""

import pathlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from jaxgen.data.score_files import write_scores
from jaxgen.io.writing import write_npz
from jaxgen.reporting.files import FLAG_FILE, write_flags, written_or_told
from jaxgen.types import Scores
from jaxgen.views.figures import write_figure

# What a file may hold: text, a figure, scores, or arrays by name.
Content = str | Figure | Scores | Mapping[str, np.ndarray]
# A figure that is drawn when it is written: what comes before it is kept, should drawing fail.
Drawn = Callable[[], Figure]


class Report(NamedTuple):
    """What a job has to tell.

    Attributes:
      spec: the flags that reproduce it; its `out` is the folder.
      summary: what is shown when it ends.
      files: by name below the folder, in the order in which they are listed.
      stale: names that an earlier job may have left in the folder, and that this one does not write.
      listed: names to show in place of those of `files`.
      parts: reports with folders of their own, written and listed before this one.
      set_by_preset: flags that a preset sets, with their values as text: comments in the flag file.
    """

    spec: Any
    summary: str
    files: Mapping[str, Content | Drawn]
    stale: Collection[str] = ()
    listed: Sequence[str] | None = None
    parts: "Sequence[Report]" = ()
    set_by_preset: Mapping[str, str] | None = None


def write_report(report: Report, program: str, command: str) -> list[pathlib.Path]:
    """Writes all files of a report and its flag file; returns their paths.

    Args:
      report: what to write.
      program: whose flags they are, such as ``jaxgen.cscore``.
      command: that was given.

    Raises:
      UserError: if a file cannot be written.
    """
    written = [path for part in report.parts for path in write_report(part, program, command)]
    out = pathlib.Path(report.spec.out)
    with written_or_told(report.spec.out):
        for name, content in report.files.items():
            write_content(content() if callable(content) else content, out / name)
        write_flags(out / FLAG_FILE, report.spec, program, command, report.set_by_preset)
        for name in {*report.stale} - {*report.files}:
            (out / name).unlink(missing_ok=True)
    names = (*report.files, FLAG_FILE) if report.listed is None else report.listed
    return [*written, *(out / name for name in names)]


def write_content(content: Content, path: pathlib.Path) -> None:
    """Writes a file of any kind that a report may have; a figure by the suffix of its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        path.write_text(content)
    elif isinstance(content, Figure):
        write_figure(content, path)
    elif isinstance(content, Scores):
        write_scores(content, path)
    else:
        write_npz(path, content)
