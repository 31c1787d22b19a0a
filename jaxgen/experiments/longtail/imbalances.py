"""Long tails at one or several imbalance ratios, one job per ratio."""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from jaxgen.config import LnrSpec, sweep
from jaxgen.data.parts import hold_out_test
from jaxgen.errors import Diverged, UserError
from jaxgen.experiments.longtail.job import LongTailJob, make_job
from jaxgen.experiments.longtail.run import LongTailResults, describe_plan, expect_flips, measure_job, what_if_table
from jaxgen.jobs.session import Session
from jaxgen.jobs.train import collect_errors, raise_collected
from jaxgen.reporting.files import FLAG_FILE, report_write_errors, without_shard, write_flags
from jaxgen.types import Dataset


class ImbalanceJobs(NamedTuple):
    """One job per imbalance ratio.

    Attributes:
      spec: the flags.
      by_imbalance: the jobs; if there are several, each has its own folder.
    """

    spec: LnrSpec
    by_imbalance: dict[float, LongTailJob]


def make_jobs(datasets: Sequence[Dataset], spec: LnrSpec) -> ImbalanceJobs:
    """Makes the jobs of a spec.

    Args:
      datasets: a single dataset.
      spec: the flags.

    Raises:
      UserError: if the flags do not fit the data.
    """
    [dataset] = datasets
    dataset = hold_out_test(dataset, spec.longtail.test_share, spec.seed)
    jobs = {imbalance: make_job(dataset, spec_of_imbalance(spec, imbalance)) for imbalance in list_imbalances(spec)}
    return ImbalanceJobs(spec, jobs)


def list_imbalances(spec: LnrSpec) -> tuple[float, ...]:
    """All imbalance ratios of a spec."""
    return sweep.alternatives(spec.longtail.imbalance)


def describe(jobs: ImbalanceJobs, session: Session) -> str:
    """Describes what stage 1 of each job would train."""
    return for_each(jobs, lambda job: describe_plan(job, session))


def answer(jobs: ImbalanceJobs, session: Session) -> str | None:
    """With ``--what_if``, tables of the expected number of flips by threshold."""
    if not jobs.spec.flips.what_if:
        return None
    return for_each(jobs, lambda job: what_if_table(job, expect_flips(job, session)))


def for_each(jobs: ImbalanceJobs, describe_job: Callable[[LongTailJob], str]) -> str:
    """The texts of all jobs; if there are several, each below its imbalance ratio."""
    texts = {imbalance: describe_job(job) for imbalance, job in jobs.by_imbalance.items()}
    if len(texts) == 1:
        return next(iter(texts.values()))
    return "\n\n".join(f"imbalance {imbalance:g}:\n\n{text}" for imbalance, text in texts.items())


def measure(jobs: ImbalanceJobs, session: Session) -> dict[float, LongTailResults]:
    """Trains the missing runs of every imbalance ratio and evaluates all classifiers."""
    if len(jobs.by_imbalance) > 1:
        # An unwritable folder should fail before hours of training.
        with report_write_errors(jobs.spec.out):
            pathlib.Path(jobs.spec.out).mkdir(parents=True, exist_ok=True)
            write_flags(pathlib.Path(jobs.spec.out) / FLAG_FILE, without_shard(jobs.spec), "jaxgen.lnr", session.resume)
    results: dict[float, LongTailResults] = {}
    unfinished: list[UserError] = []
    refused: list[str] = []
    for imbalance, job in jobs.by_imbalance.items():
        try:
            with collect_errors(unfinished):
                results[imbalance] = measure_job(job, session)
        except Diverged as error:
            if len(jobs.by_imbalance) == 1:
                raise
            # The others are trained nevertheless.
            refused.append(f"--imbalance={imbalance:g}: {error}")
    if refused:
        raise Diverged("; ".join(refused))
    raise_collected(unfinished)
    return results


def spec_of_imbalance(spec: LnrSpec, imbalance: float) -> LnrSpec:
    """The spec of one imbalance ratio; if there are several, with its own folder."""
    alone = dataclasses.replace(spec, longtail=dataclasses.replace(spec.longtail, imbalance=imbalance))
    if not isinstance(spec.longtail.imbalance, tuple):
        return alone
    return dataclasses.replace(alone, out=str(pathlib.Path(spec.out) / f"imbalance={imbalance:g}"))
