"""Differences between members of one run: their mean over runs, an interval of it, and how likely chance is."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaxgen.scores.intervals import half_width


class Difference(NamedTuple):
    """A mean of paired differences.

    Attributes:
      mean: over pairs.
      low, high: its 95 % interval by Student's t; NaN for fewer than two pairs.
      p: of a two-sided t test that it is 0; NaN for fewer than two pairs.
      n: pairs.
    """

    mean: float
    low: float
    high: float
    p: float
    n: int


def compare(differences: Sequence[float]) -> Difference:
    """The mean of differences, one a run; NaN where there are none."""
    found = np.asarray(differences, float)
    nan = float("nan")
    if len(found) < 2:
        return Difference(float(found.mean()) if len(found) else nan, nan, nan, nan, len(found))
    mean = float(found.mean())
    # A constant has no spread to go by.
    if np.ptp(found) == 0:
        return Difference(mean, mean, mean, 1.0 if mean == 0 else 0.0, len(found))
    from scipy.stats import ttest_1samp

    half = half_width(found)
    return Difference(mean, mean - half, mean + half, float(ttest_1samp(found, 0).pvalue), len(found))


def subtract(own: Mapping[int, float], other: Mapping[int, float]) -> list[float]:
    """Own minus other, of the runs that both have."""
    return [own[run] - other[run] for run in sorted(own.keys() & other.keys())]


def describe_difference(found: Difference) -> str:
    """Mean [low, high] in percentage points, with a sign."""
    if not found.n:
        return "—"
    if found.n < 2:
        return f"{100 * found.mean:+.2f}"
    return f"{100 * found.mean:+.2f} [{100 * found.low:+.2f}, {100 * found.high:+.2f}]"


def describe_p(found: Difference) -> str:
    """The p-value to two digits, or what it is below."""
    if not np.isfinite(found.p):
        return "—"
    return "< 0.0001" if found.p < 1e-4 else f"{found.p:.2g}"
