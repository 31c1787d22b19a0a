"""The protocol that every experiment follows, and the one way to run it.

An experiment is four functions: `load` reads the data, `plan` refuses what cannot be done and says what is to be
trained, `measure` trains what the store lacks and reads what all members came to, `report` makes texts, tables,
figures and arrays of it. Its module `experiments/<name>/experiment.py` holds them as an `Experiment`.
"""

import importlib
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

from jaxgen.jobs.distributed import join_processes
from jaxgen.jobs.session import Session
from jaxgen.reporting.console import log, show
from jaxgen.reporting.files import with_folder


class Experiment(NamedTuple):
    """An experiment as pure functions of its data and its spec.

    Attributes:
      name: of its command ``jaxgen.<name>``, and the first word of its folders.
      load: ``spec -> data``.
      folder: ``(spec, data) -> words``: what tells the job's folder from others, after the name.
      plan: ``(data, spec, session) -> job``; raises `UserError` for what cannot be done, before anything compiles.
      describe: ``(job, session) -> text``: what would be trained, and how long that would take; trains nothing.
      measure: ``(job, session) -> results``: trains what is missing, and reads all members.
      report: the module whose ``make_report(job, results)`` makes the `jaxgen.reporting.report.Report`. It is imported
        when training is done: what draws takes half a second to import.
      answers: ``(job, session) -> text or None``: what is asked for in place of training all, such as ``--what_if``.
    """

    name: str
    load: Callable[[Any], Any]
    folder: Callable[[Any, Any], tuple[str, ...]]
    plan: Callable[[Any, Any, Session], Any]
    describe: Callable[[Any, Session], str]
    measure: Callable[[Any, Session], Any]
    report: str
    answers: Callable[[Any, Session], str | None] | None = None


def run(experiment: Experiment, spec: Any, command: str, data: Any = None) -> None:
    """Does what a command line asks for: plans, trains, writes all files, and shows the summary.

    Args:
      experiment: which.
      spec: its flags.
      command: as it was typed; it is what resumes the job.
      data: what `load` would give, if it has been loaded to choose the experiment by.

    Raises:
      UserError: in one line, for a user's mistake.
    """
    text, files = run_job(experiment, spec, Session(command, log), data)
    show(text, files)


def run_job(experiment: Experiment, spec: Any, session: Session, data: Any = None) -> tuple[str, list[pathlib.Path]]:
    """As `run`, without showing anything; returns the summary and the files that were written."""
    if data is None:
        spec = join_processes(spec)
        data = experiment.load(spec)
    spec = with_folder(spec, experiment.name, *experiment.folder(spec, data))
    job = experiment.plan(data, spec, session)
    if spec.compute.dry_run:
        return experiment.describe(job, session), []
    if experiment.answers and (answer := experiment.answers(job, session)) is not None:
        return answer, []
    results = experiment.measure(job, session)
    # Imported here: what draws takes half a second, and nothing is drawn before.
    from jaxgen.reporting.report import write_report

    report = importlib.import_module(experiment.report).make_report(job, results)
    return report.summary, write_report(report, f"jaxgen.{experiment.name}", session.resume)
