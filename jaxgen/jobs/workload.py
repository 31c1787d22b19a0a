"""Workloads: data, programs with their runs, identity and store of a job of any experiment."""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from jaxgen.jobs.program import Program
from jaxgen.jobs.trainer import RunGroup
from jaxgen.runs.plan import Plan
from jaxgen.runs.store import Store, open_store
from jaxgen.types import Dataset

# (program, number of parameters of a model) -> a line about the program.
Describe = Callable[[Program, int], str]


class Workload(NamedTuple):
    """What a job trains.

    Attributes:
      dataset: what members see.
      programs: with their run groups by name.
      plan: identity of the job, and the number of runs of each group.
      run_bytes: an upper bound of the bytes that a run takes on disk.
      describe: makes a line about a program.
      folder: of the store.
      remedy: further advice for an error about disk space.
    """

    dataset: Dataset
    programs: Sequence[tuple[Program, Mapping[str, RunGroup]]]
    plan: Plan
    run_bytes: int
    describe: Describe
    folder: pathlib.Path
    remedy: str = ""

    def open_store(self) -> Store:
        """Opens the store of the job's runs.

        Raises:
          UserError: if the disk is too small, or the folder cannot be used.
        """
        return open_store(self.folder, self.plan, self.run_bytes, self.remedy)


def make_workload(
    dataset: Dataset,
    programs: Sequence[Program],
    run_groups: Callable[[Program], Mapping[str, RunGroup]],
    *,
    identity: Mapping[str, str],
    num_runs: int,
    run_bytes: int,
    describe: Describe,
    out: Any,
    store: str = "store",
    remedy: str = "",
) -> Workload:
    """A workload in which every setting has `num_runs` runs in every run group.

    Args:
      dataset: what members see.
      programs: one or more.
      run_groups: maps a program to its run groups by name.
      identity: as of `jaxgen.jobs.identity.make_identity`.
      num_runs: of each setting in each group.
      run_bytes: an upper bound of the bytes that a run takes on disk.
      describe: makes a line about a program.
      out: folder of the job.
      store: name of the store's folder below it.
      remedy: further advice for an error about disk space.
    """
    programs_with_groups = [(program, run_groups(program)) for program in programs]
    counts = {name: num_runs * len(program.settings) for program, groups in programs_with_groups for name in groups}
    return Workload(
        dataset,
        programs_with_groups,
        Plan(dict(identity), counts),
        run_bytes,
        describe,
        pathlib.Path(out) / store,
        remedy,
    )
