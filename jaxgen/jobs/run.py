"""Training all that a workload lacks, and reading what its members came to."""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxgen.errors import UserError
from jaxgen.jobs.checks import refuse_all_diverged
from jaxgen.jobs.models import model_folder
from jaxgen.jobs.program import Program
from jaxgen.jobs.session import Session
from jaxgen.jobs.table import TableJob, make_workload, run_group_name
from jaxgen.jobs.train import Done, collect_errors, raise_collected, refuse_unfinished, train_program
from jaxgen.jobs.workload import Workload
from jaxgen.runs.saved_models import ModelFolder
from jaxgen.runs.store import Arrays, Store

# (job, program, a chunk's arrays, parameters of the network) -> its members; each has a `row` with setting and run.
Measure = Callable[[TableJob, Program, Arrays, int], Iterator[Any]]
# (store, program, parameters of the network) -> what its members came to, in the order of the store.
Read = Callable[[Store, Program, int], Iterable[Any]]
# What else is done once a program's runs are all there, such as training more of them.
Finish = Callable[[Program, Store, Done, ModelFolder | None], tuple[Program, Store, Done]]


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
    widths: set[int] = frozenset()
    models_now: int = 0
    seconds_now: float = 0.0
    devices: str = ""


def train_workload(
    workload: Workload, session: Session, finish: Finish | None = None
) -> tuple[Store, list[tuple[Program, Done]]]:
    """Trains what the store lacks of every program; goes on with the others where one fails or is not finished.

    Args:
      workload: what to train.
      session: how to resume, and where lines go.
      finish: what else is done with a program that is trained.

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
    """Trains what is missing, and reads all members, program by program in the order of the store.

    Args:
      workload: what to train.
      session: how to resume, and where lines go.
      read: what a program's members came to.
    """
    # Whatever the session is set to: shapes, draws and memory figures here are those of 32 bits.
    with jax.enable_x64(False):
        store, trained = train_workload(workload, session)
        measured = [each for program, done in trained for each in read(store, program, done.parameters)]
    dones = [done for _, done in trained]
    return Members(
        measured,
        {done.width for done in dones},
        sum(done.models_now for done in dones),
        sum(done.seconds_now for done in dones),
        dones[-1].devices,
    )


def measure_table(job: TableJob, measure: Measure, session: Session) -> Members:
    """As `measure_workload`, of a table of members: in the order of settings, then runs.

    Args:
      job: what to train.
      measure: what is told of the members of a chunk.
      session: how to resume, and where lines go.

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


def stack_curves(ordered: Sequence[Any]) -> dict[str, np.ndarray]:
    """Curves of all members as one array a name; members of fewer epochs end in NaN."""
    longest = max(len(curve) for member in ordered for curve in member.curves.values())

    def lengthened(curve: np.ndarray) -> np.ndarray:
        return np.concatenate([curve, np.full(longest - len(curve), np.nan, np.float32)])

    return {name: np.stack([lengthened(member.curves[name]) for member in ordered]) for name in ordered[0].curves}
