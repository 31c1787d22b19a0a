"""Long tails of one or several imbalances: a job for each."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

from jaxgen.config import LnrSpec, sweep
from jaxgen.data.parts import hold_out_test
from jaxgen.errors import UserError
from jaxgen.experiments.longtail.job import Job, make_job
from jaxgen.experiments.longtail.run import Results, describe_plan, expect_flips, measure_one, what_if_table
from jaxgen.jobs.session import Session
from jaxgen.jobs.train import collect_errors, raise_collected
from jaxgen.reporting.files import FLAG_FILE, report_write_errors, without_shard, write_flags
from jaxgen.types import Dataset


class Jobs(NamedTuple):
    """One job for each imbalance.

    Attributes:
      spec: what was asked for.
      by_imbalance: the jobs, each with a folder of its own where there are several.
    """

    spec: LnrSpec
    by_imbalance: dict[float, Job]


def make_jobs(datasets: Sequence[Dataset], spec: LnrSpec) -> Jobs:
    """The jobs that `spec` asks for.

    Args:
      datasets: one.
      spec: flags.

    Raises:
      UserError: for what the data do not suit.
    """
    [dataset] = datasets
    dataset = hold_out_test(dataset, spec.longtail.test_share, spec.seed)
    return Jobs(spec, {one: make_job(dataset, of_imbalance(spec, one)) for one in imbalances_of(spec)})


def imbalances_of(spec: LnrSpec) -> tuple[float, ...]:
    """All that were asked for."""
    return sweep.alternatives(spec.longtail.imbalance)


def describe(jobs: Jobs, session: Session) -> str:
    """What stage 1 of each job would train."""
    return "\n\n".join(describe_plan(job, session) for job in jobs.by_imbalance.values())


def answer(jobs: Jobs, session: Session) -> str | None:
    """With ``--what_if``, how many labels each threshold is expected to flip."""
    if not jobs.spec.flips.what_if:
        return None
    return "\n\n".join(what_if_table(job, expect_flips(job, session)) for job in jobs.by_imbalance.values())


def measure(jobs: Jobs, session: Session) -> dict[float, Results]:
    """Trains what is missing of every imbalance, and measures all classifiers."""
    if len(jobs.by_imbalance) > 1:
        # Before the hours that all imbalances may take.
        with report_write_errors(jobs.spec.out):
            pathlib.Path(jobs.spec.out).mkdir(parents=True, exist_ok=True)
            write_flags(pathlib.Path(jobs.spec.out) / FLAG_FILE, without_shard(jobs.spec), "jaxgen.lnr", session.resume)
    results: dict[float, Results] = {}
    unfinished: list[UserError] = []
    for imbalance, job in jobs.by_imbalance.items():
        with collect_errors(unfinished):
            results[imbalance] = measure_one(job, session)
    raise_collected(unfinished)
    return results


def of_imbalance(spec: LnrSpec, imbalance: float) -> LnrSpec:
    """The spec of one imbalance; of several, each has a folder of its own."""
    alone = dataclasses.replace(spec, longtail=dataclasses.replace(spec.longtail, imbalance=imbalance))
    if not isinstance(spec.longtail.imbalance, tuple):
        return alone
    return dataclasses.replace(alone, out=str(pathlib.Path(spec.out) / f"imbalance={imbalance:g}"))
