"""Robustness: what corruption of test images does to networks, and what training on corrupted images does.

D. Hendrycks and T. Dietterich. Benchmarking Neural Network Robustness to Common Corruptions and Perturbations. ICLR
2019. https://arxiv.org/abs/1903.12261.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jaxgen.experiments.robustness.measure import Measured, mean_corruption_errors, measure_members
from jaxgen.jobs.run import Members, run_table, stack_curves
from jaxgen.jobs.table import Job


class Results(NamedTuple):
    """What a job found.

    Attributes:
      measured: one a member, by setting, then run; its row has ``mce`` too.
      curves: by name, float32 ``[members, e]`` in the order of `measured`: NaN after a member's last epoch.
      baseline: the setting that mCE is relative to.
      members: how they were trained.
    """

    measured: list[Measured]
    curves: dict[str, np.ndarray]
    baseline: str
    members: Members

    @property
    def rows(self) -> list[dict]:
        """One dictionary a member."""
        return [one.row for one in self.measured]


def run_job(job: Job, *, resume: str, log: Callable[[str], None] | None) -> Results:
    """Trains what is missing, and tells what all members came to; arguments as of `run_table`."""
    members = run_table(job, measure_members, resume=resume, log=log)
    baseline = job.spec.corruption.baseline or members.measured[0].row["setting"]
    errors = mean_corruption_errors(job, members.measured, baseline)
    measured = [
        one._replace(row=with_error(one.row, float(error))) for one, error in zip(members.measured, errors, strict=True)
    ]
    return Results(measured, stack_curves(measured), baseline, members)


def with_error(row: dict, error: float) -> dict:
    """The row with its mCE before what it was trained by."""
    names = list(row)
    place = names.index("robustness_drop") + 1
    return {**{name: row[name] for name in names[:place]}, "mce": error, **{name: row[name] for name in names[place:]}}
