"""All that a job trains, whatever its experiment: data, programs with their runs, identity, and where runs are kept."""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from jaxgen.jobs.program import Program
from jaxgen.jobs.trainer import RunGroup
from jaxgen.runs.plan import Plan
from jaxgen.runs.store import Store, open_store
from jaxgen.types import Dataset

# From a program and the number of a model's parameters to a line about it.
Describe = Callable[[Program, int], str]


class Workload(NamedTuple):
    """What a job comes to before anything is trained.

    Attributes:
      dataset: what members see.
      programs: each with its groups of runs by name.
      plan: the job's identity, and how many runs of each group are wanted.
      run_bytes: an upper bound of the bytes that a run takes on disk.
      describe: gives a line about a program.
      folder: of the store.
      remedy: what else to do where the disk has no room.
    """

    dataset: Dataset
    programs: Sequence[tuple[Program, Mapping[str, RunGroup]]]
    plan: Plan
    run_bytes: int
    describe: Describe
    folder: pathlib.Path
    remedy: str = ""

    def open_store(self) -> Store:
        """The store of the job's runs.

        Raises:
          UserError: if the disk has no room for them, or the folder cannot be used.
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
    """A workload in which every setting of every group of runs has `num_runs` runs.

    Args:
      dataset: what members see.
      programs: one or more.
      run_groups: from a program to its groups of runs by name.
      identity: all that a run depends on besides its group and number, in words.
      num_runs: of each setting in each group.
      run_bytes: an upper bound of the bytes that a run takes on disk.
      describe: gives a line about a program.
      out: the job's folder.
      store: the store's, below it.
      remedy: what else to do where the disk has no room.
    """
    grouped = [(program, run_groups(program)) for program in programs]
    counts = {name: num_runs * len(program.settings) for program, groups in grouped for name in groups}
    return Workload(
        dataset, grouped, Plan(dict(identity), counts), run_bytes, describe, pathlib.Path(out) / store, remedy
    )
