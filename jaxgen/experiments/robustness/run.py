"""Trains the networks of a robustness job and measures them on corrupted test images.

D. Hendrycks and T. Dietterich. Benchmarking Neural Network Robustness to Common Corruptions and Perturbations. ICLR
2019. https://arxiv.org/abs/1903.12261.
"""

from typing import NamedTuple

import numpy as np

from jaxgen.experiments.robustness.measure import RobustnessMember, mean_corruption_errors, measure_members
from jaxgen.experiments.robustness.versions import export_tests
from jaxgen.jobs.member_table import TableJob
from jaxgen.jobs.run import Members, measure_table, stack_curves
from jaxgen.jobs.session import Session


class RobustnessResults(NamedTuple):
    """Results of a robustness job.

    Attributes:
      measured: measures of each member, by setting, then run; rows include ``mce`` and ``relative_mce``.
      curves: learning curves by name, float32 ``[members, e]`` in the order of `measured`; NaN after a member's last
        epoch.
      baseline: the setting that mCE is relative to.
      members: the trained members.
    """

    measured: list[RobustnessMember]
    curves: dict[str, np.ndarray]
    baseline: str
    members: Members

    @property
    def rows(self) -> list[dict]:
        """One dictionary per member."""
        return [member.row for member in self.measured]


def measure_job(job: TableJob, session: Session) -> RobustnessResults:
    """Trains the missing runs and measures all members; exports the corrupted test set first with ``--export_dir``."""
    if job.spec.corruption.export_dir:
        export_tests(job.dataset, job.spec)
    members = measure_table(job, measure_members, session)
    baseline = job.spec.corruption.baseline or members.measured[0].row["setting"]
    errors = mean_corruption_errors(job, members.measured, baseline)
    measured = [
        member._replace(row=add_errors(member.row, mce=float(mce), relative_mce=float(relative)))
        for member, mce, relative in zip(members.measured, *errors, strict=True)
    ]
    return RobustnessResults(measured, stack_curves(measured), baseline, members)


def add_errors(row: dict, **errors: float) -> dict:
    """Inserts columns of `errors` after ``robustness_drop``."""
    columns = list(row.items())
    position = list(row).index("robustness_drop") + 1
    return dict([*columns[:position], *errors.items(), *columns[position:]])
