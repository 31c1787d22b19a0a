"""The interface of experiments, and how they are run.

An experiment has four functions: `load` reads the data, `plan` checks the flags and makes the job, `measure` trains
missing runs and measures all members, `report` makes texts, tables, figures and arrays. The module
`experiments/<name>/experiment.py` holds them as an `Experiment`.
"""

import importlib
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

from jaxgen.data.describe import describe_data
from jaxgen.jobs.distributed import join_processes
from jaxgen.jobs.session import Preface, Session
from jaxgen.reporting.console import log, show
from jaxgen.reporting.files import with_folder
from jaxgen.runs.jax_settings import fixed_settings
from jaxgen.types import Dataset


class Experiment(NamedTuple):
    """An experiment as functions of its spec and data.

    Attributes:
      name: of the command ``jaxgen.<name>``, and the first word of folder names.
      load: ``spec -> data``.
      folder: ``(spec, data) -> words``: further words of the name of the job's folder.
      plan: ``(data, spec, session) -> job``; raises `UserError` for unsuitable flags, before anything compiles.
      describe: ``(job, session) -> text``: for ``--dry_run``; trains nothing.
      measure: ``(job, session) -> results``: trains missing runs, and measures all members.
      report: name of the module with ``make_report(job, results)``, which returns a `jaxgen.reporting.report.Report`.
        It is imported after training, because matplotlib takes half a second to import.
      choose: ``(data, spec, session) -> (data, spec)``: chooses flags by the data before the job is planned.
      answers: ``(job, session) -> text or None``: output of flags that replace training, such as ``--what_if``.
    """

    name: str
    load: Callable[[Any], Any]
    folder: Callable[[Any, Any], tuple[str, ...]]
    plan: Callable[[Any, Any, Session], Any]
    describe: Callable[[Any, Session], str]
    measure: Callable[[Any, Session], Any]
    report: str
    choose: Callable[[Any, Any, Session], tuple[Any, Any]] | None = None
    answers: Callable[[Any, Session], str | None] | None = None


def run(experiment: Experiment, spec: Any, command: str, data: Any = None) -> None:
    """Runs an experiment: plans, trains, writes all files, and prints the summary.

    Args:
      experiment: to run.
      spec: its flags.
      command: the command line, which resumes the job.
      data: the data, if already loaded.

    Raises:
      UserError: in one line, for a user's mistake.
    """
    text, files = run_job(experiment, spec, Session(command, log), data)
    show(text, files)


@fixed_settings()
def run_job(experiment: Experiment, spec: Any, session: Session, data: Any = None) -> tuple[str, list[pathlib.Path]]:
    """As `run`, without printing; returns the summary and the files that were written."""
    if data is None:
        spec = join_processes(spec)
        data = experiment.load(spec)
    spec = with_folder(spec, experiment.name, *experiment.folder(spec, data))
    datasets = [data] if isinstance(data, Dataset) else data
    told = Preface(session, (line for dataset in datasets for line in describe_data(dataset)))
    after_told = session._replace(log=told.log if session.log else None)
    if experiment.choose:
        data, spec = experiment.choose(data, spec, after_told)
    job, session = experiment.plan(data, spec, session), after_told
    if spec.compute.dry_run:
        text = experiment.describe(job, session)
        told.flush()
        return text, []
    if experiment.answers and (answer := experiment.answers(job, session)) is not None:
        return answer, []
    results = experiment.measure(job, session)
    told.flush()
    # Imported here: matplotlib takes half a second, and is not needed before.
    from jaxgen.reporting.report import write_report

    report = importlib.import_module(experiment.report).make_report(job, results)
    return report.summary, write_report(report, f"jaxgen.{experiment.name}", session.resume)
