"""Trains and measures the networks of a randomization job.

C. Zhang, S. Bengio, M. Hardt, B. Recht, O. Vinyals. Understanding deep learning requires rethinking generalization.
ICLR 2017. https://arxiv.org/abs/1611.03530.
"""

from typing import NamedTuple

import numpy as np

from jaxgen.experiments.randomization.measure import measure_members
from jaxgen.experiments.randomization.misfits import explain_misfits
from jaxgen.jobs.member_table import TableJob
from jaxgen.jobs.run import Members, measure_table, stack_curves
from jaxgen.jobs.session import Session


class RandomizationResults(NamedTuple):
    """Results of a randomization job.

    Attributes:
      rows: one dictionary per member with its setting, run and measures, by setting, then run.
      curves: learning curves by name, float32 ``[members, e]`` in the order of `rows`; NaN after a member's last epoch.
      members: the trained members.
    """

    rows: list[dict]
    curves: dict[str, np.ndarray]
    members: Members


def measure_job(job: TableJob, session: Session) -> RandomizationResults:
    """Trains the missing runs and measures all members; arguments as for `measure_table`."""
    members = measure_table(job, measure_members, session)
    curves = [member.curves for member in members.measured]
    rows = explain_misfits([member.row for member in members.measured], job.flags, curves)
    return RandomizationResults(rows, stack_curves(members.measured), members)
