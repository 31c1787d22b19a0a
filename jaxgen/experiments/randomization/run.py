"""Randomization tests: networks trained on true, partly random and random labels and pixels, regularized or not.

C. Zhang, S. Bengio, M. Hardt, B. Recht, O. Vinyals. Understanding deep learning requires rethinking generalization.
ICLR 2017. https://arxiv.org/abs/1611.03530.
"""

from typing import NamedTuple

import numpy as np

from jaxgen.experiments.randomization.measure import measure_members
from jaxgen.experiments.randomization.misfits import explain_misfits
from jaxgen.jobs.run import Members, measure_table, stack_curves
from jaxgen.jobs.session import Session
from jaxgen.jobs.table import TableJob


class Results(NamedTuple):
    """What a job found.

    Attributes:
      rows: one dictionary a member: its setting, its run, what was measured; by setting, then run.
      curves: by name, float32 ``[members, e]`` in the order of `rows`: NaN after a member's last epoch.
      members: how they were trained.
    """

    rows: list[dict]
    curves: dict[str, np.ndarray]
    members: Members


def measure_job(job: TableJob, session: Session) -> Results:
    """Trains what is missing, and tells what all members came to; arguments as of `measure_table`."""
    members = measure_table(job, measure_members, session)
    curves = [each.curves for each in members.measured]
    rows = explain_misfits([each.row for each in members.measured], job.flags, curves)
    return Results(rows, stack_curves(members.measured), members)
