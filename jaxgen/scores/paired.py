"""Differences between members of one run: their mean over runs, an interval of it, and how likely chance is."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaxgen.scores.intervals import half_width

# Equal but for the rounding of float32 shares.
SAME = 1e-5


class Difference(NamedTuple):
    """A mean of paired differences.

    Attributes:
      mean: over pairs.
      low, high: its 95 % interval by Student's t; NaN for fewer than two pairs, or if all are the same.
      p: of a two-sided t test that it is 0, or if all are the same, of a sign test; NaN for fewer than two pairs.
      n: pairs.
    """

    mean: float
    low: float
    high: float
    p: float
    n: int


def compare(differences: Sequence[float], resolution: float = 0.0) -> Difference:
    """The mean of differences, one a run; NaN where there are none.

    Args:
      differences: of what is measured.
      resolution: the least by which two of them can differ; their standard deviation is taken to be no smaller.
    """
    found = np.asarray(differences, float)
    nan = float("nan")
    if len(found) < 2:
        return Difference(float(found.mean()) if len(found) else nan, nan, nan, nan, len(found))
    mean = float(found.mean())
    deviation = float(max(found.std(ddof=1), resolution))
    if deviation <= SAME * np.abs(found).max():
        # A test example more in each of three runs is no certainty: without a spread to go by, signs are counted.
        return Difference(mean, nan, nan, min(1.0, 2 * 0.5 ** len(found)) if mean else 1.0, len(found))
    from scipy.stats import t

    half, error = half_width(found, resolution), deviation / np.sqrt(len(found))
    return Difference(mean, mean - half, mean + half, float(2 * t.sf(abs(mean) / error, len(found) - 1)), len(found))


def compare_folds(differences: Sequence[float], folds: int) -> Difference:
    """The mean of differences over the folds of repeated cross-validation: Nadeau and Bengio's corrected t test.

    The training parts of such folds are mostly the same rows, so that more repeats tell less and less: the variance of
    the mean is taken to be ``(1 / n + 1 / (folds - 1))`` of theirs (C. Nadeau, Y. Bengio, Inference for the
    generalization error, Machine Learning 2003, equation 9).

    Args:
      differences: one a fold of each repeat; those that are NaN are left out.
      folds: of a repeat.
    """
    found = np.asarray(differences, float)
    found = found[np.isfinite(found)]
    nan = float("nan")
    if len(found) < 2:
        return Difference(float(found.mean()) if len(found) else nan, nan, nan, nan, len(found))
    from scipy.stats import t

    mean, error = float(found.mean()), float(np.sqrt((1 / len(found) + 1 / (folds - 1)) * found.var(ddof=1)))
    if error <= SAME * np.abs(found).max():
        # The same in all folds, but for rounding.
        return Difference(mean, nan, nan, nan if found.any() else 1.0, len(found))
    half = float(t.ppf(0.975, len(found) - 1)) * error
    return Difference(mean, mean - half, mean + half, float(2 * t.sf(abs(mean) / error, len(found) - 1)), len(found))


def subtract(own: Mapping[int, float], other: Mapping[int, float]) -> list[float]:
    """Own minus other, of the runs that both have."""
    return [own[run] - other[run] for run in sorted(own.keys() & other.keys())]


def describe_difference(found: Difference) -> str:
    """Mean [low, high] in percentage points, with a sign."""
    if not found.n:
        return "—"
    if not np.isfinite(found.low):
        return f"{100 * found.mean:+.2f}"
    return f"{100 * found.mean:+.2f} [{100 * found.low:+.2f}, {100 * found.high:+.2f}]"


def describe_p(found: Difference) -> str:
    """The p-value to two digits, or what it is below."""
    if not np.isfinite(found.p):
        return "—"
    return "< 0.0001" if found.p < 1e-4 else f"{found.p:.2g}"
