"""Planning of the number of runs: predicted reliability and standard errors.

Reliability follows the prophecy formula of Spearman (1910) and Brown (1910): with m times as many runs it is
m r / (1 + (m - 1) r). Standard errors are proportional to one over the square root of the number of runs.
"""

import math

import numpy as np

# Reliabilities that reports plan for.
TARGETS = (0.9, 0.95, 0.99, 0.999)


def stepped_up(reliability: float, factor: float) -> float:
    """The predicted reliability with `factor` times as many runs."""
    return factor * reliability / (1 + (factor - 1) * reliability)


def runs_for_reliability(reliability: float, num_runs: int, target: float) -> float:
    """The number of runs for a reliability of `target`, if `num_runs` have `reliability`; both in (0, 1)."""
    return num_runs * target * (1 - reliability) / (reliability * (1 - target))


def runs_for_error(error: float, num_runs: int, target: float) -> float:
    """The number of runs for a standard error of `target`, if `num_runs` have `error`."""
    return num_runs * (error / target) ** 2


def next_num_runs(reliability: np.ndarray, num_runs: int, target: float, block: int, most: int) -> int:
    """The next number of runs towards a target reliability: in whole blocks, more than now, and at most twice as many.

    Args:
      reliability: ``[s]`` of `num_runs`, over random split halves; empty if it is not known yet.
      num_runs: current number of runs at each ratio.
      target: the target reliability, in (0, 1).
      block: runs in a block.
      most: upper bound for the number of runs at each ratio.

    Returns:
      `num_runs` itself if the target or `most` is reached.
    """
    mean = float(np.mean(reliability)) if len(reliability) else 0.0
    if mean >= target or num_runs >= most:
        return num_runs
    needed = runs_for_reliability(mean, num_runs, target) if mean > 0 else num_runs
    wanted = min(max(needed, num_runs + 1), 2 * num_runs)
    return min(max(math.ceil(wanted / block), num_runs // block + 1) * block, most)
