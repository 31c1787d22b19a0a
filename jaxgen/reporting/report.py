"""Reports of jobs: texts, figures, arrays and a flag file, written to one folder."""

import pathlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from jaxgen.data.score_files import write_scores
from jaxgen.io.writing import write_npz
from jaxgen.reporting.files import FLAG_FILE, report_write_errors, write_flags
from jaxgen.types import Scores
from jaxgen.views.figures import write_figure

# Content of a file: text, a figure, scores, or arrays by name.
Content = str | Figure | Scores | Mapping[str, np.ndarray]
# Draws a figure when it is to be written, so that earlier files are kept if drawing fails.
MakeFigure = Callable[[], Figure]


class Report(NamedTuple):
    """The report of a job.

    Attributes:
      spec: the flags that reproduce the job; its `out` is the folder.
      summary: text for the console.
      files: contents by file name below the folder, in the order of listing.
      stale: names of files of earlier jobs that are removed unless written.
      listed: names to list in place of those of `files`.
      parts: reports with folders of their own, written and listed first.
      set_by_preset: flags that a preset sets, with their values as text; comments in the flag file.
    """

    spec: Any
    summary: str
    files: Mapping[str, Content | MakeFigure]
    stale: Collection[str] = ()
    listed: Sequence[str] | None = None
    parts: "Sequence[Report]" = ()
    set_by_preset: Mapping[str, str] | None = None


def write_report(report: Report, program: str, command: str) -> list[pathlib.Path]:
    """Writes all files of a report and its flag file; returns their paths.

    Args:
      report: the report.
      program: module of the command, such as ``jaxgen.cscore``.
      command: the original command line.

    Raises:
      UserError: if a file cannot be written.
    """
    written = [path for part in report.parts for path in write_report(part, program, command)]
    out = pathlib.Path(report.spec.out)
    with report_write_errors(report.spec.out):
        for name, content in report.files.items():
            write_content(content() if callable(content) else content, out / name)
        write_flags(out / FLAG_FILE, report.spec, program, command, report.set_by_preset)
        for name in {*report.stale} - {*report.files}:
            (out / name).unlink(missing_ok=True)
    names = (*report.files, FLAG_FILE) if report.listed is None else report.listed
    return [*written, *(out / name for name in names)]


def write_content(content: Content, path: pathlib.Path) -> None:
    """Writes content of any kind to a file; a figure in the format of the file's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        path.write_text(content, encoding="utf-8")
    elif isinstance(content, Figure):
        write_figure(content, path)
    elif isinstance(content, Scores):
        write_scores(content, path)
    else:
        write_npz(path, content)
