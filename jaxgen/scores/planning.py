"""How many more runs: what reliability and standard errors would be with other numbers of them.

Reliability follows the prophecy formula of Spearman (1910) and Brown (1910): of m times as many runs it is
m r / (1 + (m - 1) r). A standard error falls with the root of their number.
"""

import math

import numpy as np

# The targets that are spoken of, and nothing beyond.
TARGETS = (0.9, 0.95, 0.99, 0.999)


def stepped_up(reliability: float, factor: float) -> float:
    """The reliability of `factor` times as many runs."""
    return factor * reliability / (1 + (factor - 1) * reliability)


def runs_for_reliability(reliability: float, num_runs: int, target: float) -> float:
    """So many runs should have a reliability of `target`, if `num_runs` have `reliability`; both in (0, 1)."""
    return num_runs * target * (1 - reliability) / (reliability * (1 - target))


def runs_for_error(error: float, num_runs: int, target: float) -> float:
    """So many runs should have a standard error of `target`, if `num_runs` have `error`."""
    return num_runs * (error / target) ** 2


def next_num_runs(reliability: np.ndarray, num_runs: int, target: float, block: int, most: int) -> int:
    """How many runs to have next on the way to a reliability: whole blocks, at least one more, at most twice as many.

    Args:
      reliability: ``[s]`` of `num_runs`, over random halvings; empty where it is not known yet.
      num_runs: that there are, by ratio.
      target: the reliability wished for, in (0, 1).
      block: runs to a block.
      most: runs by ratio, more than which are not wanted.

    Returns:
      `num_runs` itself where the target is reached, or `most` runs are there.
    """
    found = float(np.mean(reliability)) if len(reliability) else 0.0
    if found >= target or num_runs >= most:
        return num_runs
    needed = runs_for_reliability(found, num_runs, target) if found > 0 else num_runs
    wanted = min(max(needed, num_runs + 1), 2 * num_runs)
    return min(max(math.ceil(wanted / block), num_runs // block + 1) * block, most)
