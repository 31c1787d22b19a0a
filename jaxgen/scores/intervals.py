"""Intervals of means over runs, and of shares of right answers."""

from collections.abc import Sequence

import numpy as np

CONFIDENCE = 0.95


def half_width(differences: Sequence[float], least_deviation: float = 0.0) -> float:
    """Of the 95 % interval of the mean, by Student's t, the deviation taken to be no less than that; NaN of fewer than
    two."""
    from scipy.stats import t

    found = np.asarray(differences, float)
    if len(found) < 2:
        return float("nan")
    deviation = max(found.std(ddof=1), least_deviation)
    return float(t.ppf((1 + CONFIDENCE) / 2, len(found) - 1) * deviation / np.sqrt(len(found)))


def wilson(hits: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Low and high ends of the 95 % intervals of proportions, in the shape given; NaN where the count is 0.

    E. B. Wilson. Probable inference, the law of succession, and statistical inference. JASA 1927. It lies within
    [0, 1], and has a width where all answers agree.
    """
    from scipy.stats import norm

    z = norm.ppf((1 + CONFIDENCE) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        share, weight = hits / counts, 1 / (1 + z**2 / counts)
        middle = weight * (share + z**2 / (2 * counts))
        half = weight * z * np.sqrt(share * (1 - share) / counts + z**2 / (4 * counts**2))
    # To rounding, an end is the share itself where all answers agree.
    low, high = np.minimum(middle - half, share), np.maximum(middle + half, share)
    return np.clip(low, 0, 1), np.clip(high, 0, 1)


def mean_share(hits: np.ndarray, counts: np.ndarray, inflation: np.ndarray | float = 1.0) -> np.ndarray:
    """Low and high ends ``[2, n]`` of the 95 % interval of the plain mean over k groups of their shares of hits.

    The distances of each group's Wilson limits from its share add up as deviations do, below and above on their own
    (G. Y. Zou, A. Donner. Construction of confidence limits about effect measures: a general approach. Statistics in
    Medicine 2008, https://doi.org/10.1002/sim.3095). Of one group it is Wilson's interval. So an example that all runs
    agree on has an interval as wide as their number warrants, which resampling of runs could not tell.

    Args:
      hits: ``[k, n]``.
      counts: ``[k, n]``: independent answers; NaN comes of 0 in any group.
      inflation: ``[n]``: so many times as long are the distances where groups are not independent of each other.
    """
    low, high = wilson(hits, counts)
    share = hits / np.where(counts > 0, counts, np.nan)
    middle = share.mean(0)
    below, above = (np.sqrt(((end - share) ** 2).sum(0)) / len(share) * inflation for end in (low, high))
    return np.clip(np.stack([middle - below, middle + above]), 0, 1)
