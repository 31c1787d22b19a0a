"""Training every member of a job's table, and reading what each came to: what table-shaped experiments share."""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxgen.errors import UserError
from jaxgen.jobs.checks import refuse_all_diverged
from jaxgen.jobs.dry_run import describe_programs
from jaxgen.jobs.models import model_folder
from jaxgen.jobs.program import Program
from jaxgen.jobs.table import Job, make_run_groups, open_job_store, run_group_name
from jaxgen.jobs.train import collect_errors, describe_program, raise_collected, refuse_unfinished, train_program
from jaxgen.jobs.trainer import RunGroup
from jaxgen.runs.store import Arrays, Store
from jaxgen.types import Dataset

# (job, program, a chunk's arrays, parameters of the network) -> its members; each has a `row` with setting and run.
Measure = Callable[[Job, Program, Arrays, int], Iterator[Any]]


class Members(NamedTuple):
    """What a job's members came to.

    Attributes:
      measured: one a member.
      widths: of the programs.
      models_now: how many were trained by this call.
      seconds_now: how long that took.
      devices: on what.
    """

    measured: list[Any]
    widths: set[int]
    models_now: int
    seconds_now: float
    devices: str


def run_table(job: Job, measure: Measure, *, resume: str, log: Callable[[str], None] | None) -> Members:
    """Trains what is missing in the store below ``spec.out``, and measures all members.

    Args:
      job: what to train.
      measure: what is told of the members of a chunk.
      resume: how to go on, for one who stops it.
      log: takes lines about what is going on; with None there is no progress bar either.
    """
    store = open_job_store(job)

    def read(program: Program, parameters: int) -> Iterator[Any]:
        for arrays in store.runs(run_group_name(program)):
            yield from measure(job, program, arrays, parameters)

    members = run_programs(
        job.versions.dataset,
        [(program, make_run_groups(job, program)) for program in job.programs],
        store,
        read,
        describe=functools.partial(describe_program, job.dataset, num_runs=job.spec.num_runs),
        resume=resume,
        log=log,
    )
    measured = {(one.row["setting"], one.row["run"]): one for one in members.measured}
    ordered = [measured[setting.name, run] for setting in job.settings for run in range(job.spec.num_runs)]
    refuse_all_diverged([one.row for one in ordered])
    return members._replace(measured=ordered)


def run_programs(
    dataset: Dataset,
    programs: Sequence[tuple[Program, Mapping[str, RunGroup]]],
    store: Store,
    read: Callable[[Program, int], Iterable[Any]],
    *,
    describe: Callable[[Program, int], str],
    resume: str,
    log: Callable[[str], None] | None,
) -> Members:
    """Trains what the store lacks of every program, and reads what all members came to, in the order of the store.

    Args:
      dataset: what members see.
      programs: each with its cells.
      store: what is done, and where new runs go.
      read: from a program and the number of its parameters to what its members came to.
      describe: from the same to a line about the program.
      resume: how to go on, for one who stops it.
      log: takes lines about what is going on; with None there is no progress bar either.
    """
    store.verify(log or (lambda line: None))
    measured: list[Any] = []
    widths, models_now, seconds_now, devices, parameters = set(), 0, 0.0, "", []
    failed: list[UserError] = []
    # Whatever the session is set to: shapes, draws and memory figures here are those of 32 bits.
    with jax.enable_x64(False):
        for program, run_groups in programs:
            with collect_errors(failed):
                done = train_program(
                    dataset,
                    program,
                    run_groups,
                    store,
                    describe=functools.partial(describe, program),
                    resume=resume,
                    log=log,
                    models=model_folder(dataset, program) if program.spec.compute.save_models else None,
                )
                widths.add(done.width)
                models_now, seconds_now = models_now + done.models_now, seconds_now + done.seconds_now
                devices = done.devices
                parameters.append(done.parameters)
        raise_collected(failed)
        refuse_unfinished(store, programs[0][0].spec.compute)
        for (program, _), count in zip(programs, parameters, strict=True):
            measured += read(program, count)
    return Members(measured, widths, models_now, seconds_now, devices)


def stack_curves(ordered: Sequence[Any]) -> dict[str, np.ndarray]:
    """Curves of all members as one array a name; members of fewer epochs end in NaN."""
    longest = max(len(curve) for each in ordered for curve in each.curves.values())

    def lengthened(curve: np.ndarray) -> np.ndarray:
        return np.concatenate([curve, np.full(longest - len(curve), np.nan, np.float32)])

    return {name: np.stack([lengthened(each.curves[name]) for each in ordered]) for name in ordered[0].curves}


def describe_plan(job: Job, *, log: Callable[[str], None]) -> str:
    """What a job would train, how, and how long that would take."""
    programs = [(program, make_run_groups(job, program)) for program in job.programs]
    return describe_programs(job.versions.dataset, programs, open_job_store(job), log=log)
