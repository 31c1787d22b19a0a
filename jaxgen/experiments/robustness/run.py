"""Robustness: what corruption of test images does to networks, and what training on corrupted images does.

D. Hendrycks and T. Dietterich. Benchmarking Neural Network Robustness to Common Corruptions and Perturbations. ICLR
2019. https://arxiv.org/abs/1903.12261.
"""

from typing import NamedTuple

import numpy as np

from jaxgen.experiments.robustness.measure import Measured, mean_corruption_errors, measure_members
from jaxgen.experiments.robustness.versions import export_tests
from jaxgen.jobs.run import Members, measure_table, stack_curves
from jaxgen.jobs.session import Session
from jaxgen.jobs.table import TableJob


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


def measure_job(job: TableJob, session: Session) -> Results:
    """Trains what is missing, and tells what all members came to; first writes the corrupted test set, if asked to."""
    if job.spec.corruption.export_dir:
        export_tests(job.dataset, job.spec)
    members = measure_table(job, measure_members, session)
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
