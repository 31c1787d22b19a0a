"""Confidence intervals of means over runs and of proportions of correct predictions."""

from collections.abc import Sequence

import numpy as np

CONFIDENCE = 0.95
# Of `stratified_score`: logarithms of the least and largest multiplier, and how often their distance is halved.
MULTIPLIERS, STEPS = (-12.0, 16.0), 40


def half_width(differences: Sequence[float], least_deviation: float = 0.0) -> float:
    """Half the width of the 95 % interval of a mean by Student's t; NaN for fewer than two values.

    Args:
      differences: the values.
      least_deviation: a lower bound for their standard deviation.
    """
    from scipy.special import stdtrit

    values = np.asarray(differences, float)
    if len(values) < 2:
        return float("nan")
    deviation = max(values.std(ddof=1), least_deviation)
    return float(stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2) * deviation / np.sqrt(len(values)))


def wilson(hits: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper limits of the 95 % Wilson intervals of proportions; NaN where the count is 0.

    E. B. Wilson. Probable inference, the law of succession, and statistical inference. JASA 1927. The interval lies
    within [0, 1], and has a positive width even where all observations agree.

    Args:
      hits, counts: of one shape; proportions are hits / counts.
    """
    from scipy.special import ndtri

    z = ndtri((1 + CONFIDENCE) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        share, weight = hits / counts, 1 / (1 + z**2 / counts)
        middle = weight * (share + z**2 / (2 * counts))
        half = weight * z * np.sqrt(share * (1 - share) / counts + z**2 / (4 * counts**2))
    # Where all observations agree, rounding could exclude the proportion itself.
    low, high = np.minimum(middle - half, share), np.maximum(middle + half, share)
    return np.clip(low, 0, 1), np.clip(high, 0, 1)


def mean_and_limits(shares: np.ndarray) -> tuple[float, float, float]:
    """Mean of shares ``[n]`` in [0, 1], and its 95 % interval: the wider of Student's and Wilson's, within [0, 1]."""
    mean, half = float(shares.mean()), half_width(shares)
    low, high = (float(limit[0]) for limit in wilson(np.array([shares.sum()]), np.array([len(shares)])))
    student = (mean - half, mean + half) if np.isfinite(half) and half > 0 else (low, high)
    return mean, max(0.0, min(student[0], low)), min(1.0, max(student[1], high))


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

    The wider, at each end, of two intervals: `stratified_score`, and limits by the gamma distribution, which hold where
    few observations decide, in one small group for example (`gamma_lower`). In simulations of nine subset ratios, 20 to
    200 runs and error rates of 0.005 to 0.2, at all ratios alike, falling with the ratio or at one ratio only, it
    covers the mean in 95.6 % of cases or more. Wilson's limits of each ratio, put together, cover it in 83.6 % or more
    and are longer.

    Args:
      hits: ``[k, n]``.
      counts: ``[k, n]``: independent observations; the limits are NaN where any group has none.
      inflation: factor of the distances from the mean, a scalar or ``[n]``; above 1 if groups are correlated.
    """
    limits = np.full((2, hits.shape[1]), np.nan)
    known = (counts > 0).all(0)
    if not known.any():
        return limits
    # Examples with the same numbers have the same limits; most examples of an easy data set are of a few kinds.
    both = np.concatenate([hits[:, known], counts[:, known]]).astype(np.int64)
    kinds, place = np.unique(both, axis=1, return_inverse=True)
    right, total = np.split(kinds.astype(float), 2)
    low, high = stratified_score(right, total)
    low = np.minimum(low, gamma_lower(right, total))
    high = np.maximum(high, 1 - gamma_lower(total - right, total))
    limits[:, known] = np.stack([low, high])[:, place.reshape(-1)]
    mean = (hits / np.where(counts > 0, counts, np.nan)).mean(0)
    return np.clip(mean + (limits - mean) * inflation, 0, 1)


def stratified_score(hits: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Lower and upper limits ``[2, n]`` of the 95 % score interval of the plain mean over k groups of proportions.

    A mean is rejected if the observed one is more than 1.96 standard errors away, those of the most likely proportions
    of the groups that have it for their mean (O. Miettinen, M. Nurminen. Comparative analysis of two rates. Statistics
    in Medicine 1985, for several groups). For one group it is Wilson's interval. A group without an error may have had
    a chance of one, which is allowed for.

    Args:
      hits, counts: ``[k, n]``; no count is 0.
    """
    from scipy.special import ndtri

    z, observed = ndtri((1 + CONFIDENCE) / 2), (hits / counts).mean(0)
    limits = []
    for sign in (1, -1):
        # A multiplier above 0 pulls the proportions down, and one below 0 up. The limit is where it reaches z.
        small, large = (np.full(hits.shape[1], end) for end in MULTIPLIERS)
        for _ in range(STEPS):
            middle = (small + large) / 2
            share = restricted_shares(hits, counts, sign * np.exp(middle))
            error = np.sqrt((share * (1 - share) / counts).sum(0)) / len(counts)
            beyond = np.abs(observed - share.mean(0)) > z * error
            small, large = np.where(beyond, small, middle), np.where(beyond, middle, large)
        limits.append(restricted_shares(hits, counts, sign * np.exp(large)).mean(0))
    # Rounding could exclude the observed mean itself.
    return np.stack([np.minimum(limits[0], observed), np.maximum(limits[1], observed)])


def restricted_shares(hits: np.ndarray, counts: np.ndarray, multiplier: np.ndarray) -> np.ndarray:
    """The most likely proportions ``[k, n]`` of groups among those of some mean, by their Lagrange multiplier ``[n]``.

    A group's derivative of the log-likelihood, hits / p - (counts - hits) / (1 - p), equals the multiplier.
    """
    total = counts + multiplier
    root = np.sqrt(np.maximum(total**2 - 4 * multiplier * hits, 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        # The same root of a quadratic equation in two forms; each is exact where the other loses digits.
        share = np.where(total > 0, 2 * hits / (total + root), (total - root) / (2 * multiplier))
    return np.clip(share, 0, 1)


def gamma_lower(hits: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Lower limit ``[n]``, of 97.5 %, of the plain mean over k groups of their proportions: of few hits, the safe one.

    The weighted sum of hits is taken for a gamma variable of its mean and variance (M. P. Fay, E. J. Feuer. Confidence
    intervals for directly standardized rates. Statistics in Medicine 1997); the variance is that of Poisson counts,
    times one less the mean.

    Args:
      hits, counts: ``[k, n]``; no count is 0.
    """
    from scipy.special import gammaincinv

    weights = 1 / (len(counts) * counts)
    mean = (weights * hits).sum(0)
    variance = (weights**2 * hits).sum(0) * (1 - mean)
    certain = variance <= 0
    scale = np.where(certain, 1, variance / np.where(mean > 0, mean, 1))
    shape = np.where(certain, 1, mean / scale)
    return np.where(certain, mean, scale * gammaincinv(shape, (1 - CONFIDENCE) / 2))
