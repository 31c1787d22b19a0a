"""Paired differences between members of the same run: their mean over runs, its confidence interval and p-value."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaxgen.scores.intervals import half_width
from jaxgen.wording import ROUNDING


class Difference(NamedTuple):
    """A mean of paired differences.

    Attributes:
      mean: over the pairs; NaN of none.
      low, high: 95 % confidence interval by Student's t; NaN for fewer than two pairs, or if all differences are equal.
      p: two-sided, of a t test that the mean is 0, or of a sign test if all differences are equal; NaN for fewer than
        two pairs.
      n: number of pairs.
    """

    mean: float
    low: float
    high: float
    p: float
    n: int


def compare(differences: Sequence[float], resolution: float = 0.0) -> Difference:
    """The mean of differences, one a run, by a paired t test.

    Args:
      differences: of what is measured.
      resolution: the least amount by which two of them can differ, a lower bound of their standard deviation.
    """
    values = np.asarray(differences, float)
    if len(values) < 2:
        return mean_alone(values)
    mean, n = float(values.mean()), len(values)
    deviation = float(max(values.std(ddof=1), resolution))
    if deviation <= ROUNDING * np.abs(values).max():
        # A test example more in each of three runs is no certainty: without a spread to go by, signs are counted.
        return Difference(mean, float("nan"), float("nan"), min(1.0, 2 * 0.5**n) if mean else 1.0, n)
    # Not by scipy.stats.ttest_1samp: it takes no lower bound of the deviation.
    half = half_width(values, resolution)
    return Difference(mean, mean - half, mean + half, t_test_p(mean, deviation / np.sqrt(n), n), n)


def compare_folds(differences: Sequence[float], folds: int) -> Difference:
    """The mean of differences over the folds of repeated cross-validation: Nadeau and Bengio's corrected t test.

    The training parts of such folds are mostly the same rows, so that more repeats tell less and less: the variance of
    the mean is taken to be ``(1 / n + 1 / (folds - 1))`` of theirs (C. Nadeau, Y. Bengio, Inference for the
    generalization error, Machine Learning 2003, equation 9).

    Args:
      differences: one for each fold of each repeat; NaN is left out.
      folds: folds in a repeat.
    """
    values = np.asarray(differences, float)
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return mean_alone(values)
    from scipy.special import stdtrit

    n = len(values)
    mean, error = float(values.mean()), float(np.sqrt((1 / n + 1 / (folds - 1)) * values.var(ddof=1)))
    if error <= ROUNDING * np.abs(values).max():
        # The same in all folds, but for rounding.
        return Difference(mean, float("nan"), float("nan"), float("nan") if values.any() else 1.0, n)
    half = float(stdtrit(n - 1, 0.975)) * error
    return Difference(mean, mean - half, mean + half, t_test_p(mean, error, n), n)


def mean_alone(values: np.ndarray) -> Difference:
    """The difference of fewer than two pairs ``[n]``: no interval and no test."""
    nan = float("nan")
    return Difference(float(values.mean()) if len(values) else nan, nan, nan, nan, len(values))


def t_test_p(mean: float, error: float, n: int) -> float:
    """Two-sided p-value of Student's t test that a mean of n values with this standard error is 0."""
    from scipy.special import stdtr

    return float(2 * stdtr(n - 1, -abs(mean) / error))


def subtract(own: Mapping[int, float], other: Mapping[int, float]) -> list[float]:
    """Own minus other, for each run that both have, in the order of runs."""
    return [own[run] - other[run] for run in sorted(own.keys() & other.keys())]


def describe_difference(difference: Difference) -> str:
    """Mean [low, high] in percentage points, with signs; a dash for no pairs."""
    if not difference.n:
        return "—"
    if not np.isfinite(difference.low):
        return f"{100 * difference.mean:+.2f}"
    return f"{100 * difference.mean:+.2f} [{100 * difference.low:+.2f}, {100 * difference.high:+.2f}]"


def describe_p(difference: Difference) -> str:
    """The p-value to two significant digits; a dash where there is none."""
    if not np.isfinite(difference.p):
        return "—"
    return "< 0.0001" if difference.p < 1e-4 else f"{difference.p:.2g}"
