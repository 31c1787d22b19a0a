"""Confidence intervals of means over runs and of proportions of correct predictions."""

from collections.abc import Sequence

import numpy as np

CONFIDENCE = 0.95


def half_width(differences: Sequence[float], least_deviation: float = 0.0) -> float:
    """Half the width of the 95 % interval of a mean by Student's t; NaN for fewer than two values.

    Args:
      differences: the values.
      least_deviation: a lower bound for their standard deviation.
    """
    from scipy.stats import t

    values = np.asarray(differences, float)
    if len(values) < 2:
        return float("nan")
    deviation = max(values.std(ddof=1), least_deviation)
    return float(t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * deviation / np.sqrt(len(values)))


def wilson(hits: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper limits of the 95 % Wilson intervals of proportions; NaN where the count is 0.

    E. B. Wilson. Probable inference, the law of succession, and statistical inference. JASA 1927. The interval lies
    within [0, 1], and has a positive width even where all observations agree.

    Args:
      hits, counts: of one shape; proportions are hits / counts.
    """
    from scipy.stats import norm

    z = norm.ppf((1 + CONFIDENCE) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        share, weight = hits / counts, 1 / (1 + z**2 / counts)
        middle = weight * (share + z**2 / (2 * counts))
        half = weight * z * np.sqrt(share * (1 - share) / counts + z**2 / (4 * counts**2))
    # Where all observations agree, rounding could exclude the proportion itself.
    low, high = np.minimum(middle - half, share), np.maximum(middle + half, share)
    return np.clip(low, 0, 1), np.clip(high, 0, 1)


def newcombe(hits: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper limits of the 95 % intervals of differences of two proportions, the first less the second.

    R. G. Newcombe. Interval estimation for the difference between independent proportions: comparison of eleven
    methods. Statistics in Medicine 1998, method 10. Wilson's limits of both are combined in quadrature, so that the
    interval has a positive width also at proportions of 0 and 1. NaN where a count is 0.

    Args:
      hits, counts: ``[2, ...]``.
    """
    low, high = wilson(hits, counts)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = hits / counts
    difference = share[0] - share[1]
    below = np.sqrt((share[0] - low[0]) ** 2 + (high[1] - share[1]) ** 2)
    above = np.sqrt((high[0] - share[0]) ** 2 + (share[1] - low[1]) ** 2)
    return difference - below, difference + above


def mean_share(hits: np.ndarray, counts: np.ndarray, inflation: np.ndarray | float = 1.0) -> np.ndarray:
    """Lower and upper limits ``[2, n]`` of the 95 % interval of the plain mean over k groups of their proportions.

    The distances of each group's Wilson limits from its proportion are combined in quadrature, separately below and
    above (G. Y. Zou, A. Donner. Construction of confidence limits about effect measures: a general approach. Statistics
    in Medicine 2008, https://doi.org/10.1002/sim.3095). For one group it is Wilson's interval. Unlike a bootstrap over
    runs, it has a positive width where all runs agree.

    Args:
      hits: ``[k, n]``.
      counts: ``[k, n]``: independent observations; the limits are NaN where any group has none.
      inflation: factor of the distances, a scalar or ``[n]``; above 1 if groups are correlated.
    """
    low, high = wilson(hits, counts)
    share = hits / np.where(counts > 0, counts, np.nan)
    middle = share.mean(0)
    below, above = (np.sqrt(((end - share) ** 2).sum(0)) / len(share) * inflation for end in (low, high))
    return np.clip(np.stack([middle - below, middle + above]), 0, 1)
