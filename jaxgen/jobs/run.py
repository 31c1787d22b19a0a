"""Trains the missing runs of a workload and measures its members."""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxgen.errors import UserError
from jaxgen.jobs.checks import refuse_all_diverged
from jaxgen.jobs.member_table import TableJob, make_workload, run_group_name
from jaxgen.jobs.models import model_folder
from jaxgen.jobs.program import Program
from jaxgen.jobs.session import Session
from jaxgen.jobs.train import TrainedProgram, collect_errors, raise_collected, refuse_unfinished, train_program
from jaxgen.jobs.workload import Workload
from jaxgen.runs.jax_settings import fixed_settings
from jaxgen.runs.saved_models import ModelFolder
from jaxgen.runs.store import Arrays, Store

# (job, program, arrays of a chunk, number of parameters) -> its members; each has a `row` with setting and run.
Measure = Callable[[TableJob, Program, Arrays, int], Iterator[Any]]
# (store, program, number of parameters) -> its members, in the order of the store.
Read = Callable[[Store, Program, int], Iterable[Any]]
# Called when all runs of a program are trained; may train more of them.
Finish = Callable[[Program, Store, TrainedProgram, ModelFolder | None], tuple[Program, Store, TrainedProgram]]


class Members(NamedTuple):
    """The measured members of a job.

    Attributes:
      measured: one element per member.
      widths: of the programs.
      models_now: number of models trained by this call.
      seconds_now: time that took.
      devices: description of the devices.
    """

    measured: list[Any]
    widths: set[int] = frozenset()
    models_now: int = 0
    seconds_now: float = 0.0
    devices: str = ""


def train_workload(
    workload: Workload, session: Session, finish: Finish | None = None
) -> tuple[Store, list[tuple[Program, TrainedProgram]]]:
    """Trains the missing runs of every program; if one fails, the others are trained all the same.

    Args:
      workload: what to train.
      session: resume command and log.
      finish: called after each program.

    Returns:
      The store, and each program with how it was trained.

    Raises:
      UserError: if a program failed, or runs of other shares are missing.
    """
    store, trained = workload.open_store(), []
    failed: list[UserError] = []
    store.verify(session.tell)
    for program, run_groups in workload.programs:
        with collect_errors(failed):
            models = model_folder(workload.dataset, program) if program.spec.compute.save_models else None
            describe = functools.partial(workload.describe, program)
            done = train_program(
                workload.dataset, program, run_groups, store, session, describe=describe, models=models
            )
            if finish:
                program, store, done = finish(program, store, done, models)
            # Each program needs the devices for itself.
            trained.append((program, done._replace(trainer=None)))
    raise_collected(failed)
    refuse_unfinished(store, workload.programs[0][0].spec.compute)
    return store, trained


def measure_workload(workload: Workload, session: Session, read: Read) -> Members:
    """Trains the missing runs, and measures all members, program by program in the order of the store.

    Args:
      workload: what to train.
      session: resume command and log.
      read: measures the members of a program.
    """
    # Training always uses 32-bit types, whatever the caller's setting.
    with fixed_settings():
        store, trained = train_workload(workload, session)
        measured = [member for program, result in trained for member in read(store, program, result.parameters)]
    results = [result for _, result in trained]
    return Members(
        measured,
        {result.width for result in results},
        sum(result.models_now for result in results),
        sum(result.seconds_now for result in results),
        results[-1].devices,
    )


def measure_table(job: TableJob, measure: Measure, session: Session) -> Members:
    """As `measure_workload`, for a table job: members in the order of settings, then runs.

    Args:
      job: what to train.
      measure: measures the members of a chunk.
      session: resume command and log.

    Raises:
      UserError: if all members diverged.
    """

    def read(store: Store, program: Program, parameters: int) -> Iterator[Any]:
        for arrays in store.runs(run_group_name(program)):
            yield from measure(job, program, arrays, parameters)

    members = measure_workload(make_workload(job), session, read)
    by_row = {(member.row["setting"], member.row["run"]): member for member in members.measured}
    ordered = [by_row[setting.name, run] for setting in job.settings for run in range(job.spec.num_runs)]
    refuse_all_diverged([member.row for member in ordered])
    return members._replace(measured=ordered)


def stack_curves(members: Sequence[Any]) -> dict[str, np.ndarray]:
    """Curves of all members by name, ``[m, e]``; padded with NaN."""
    longest = max(len(curve) for member in members for curve in member.curves.values())

    def padded(curve: np.ndarray) -> np.ndarray:
        return np.concatenate([curve, np.full(longest - len(curve), np.nan, np.float32)])

    return {name: np.stack([padded(member.curves[name]) for member in members]) for name in members[0].curves}
