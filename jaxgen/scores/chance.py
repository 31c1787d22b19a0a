"""Tests whether predictions are right more often than they would be if they did not depend on the labels."""

import numpy as np


def p_of_recall(hits: np.ndarray, counts: np.ndarray) -> float:
    """One-sided p-value of the mean recall over classes, if predictions did not depend on the labels.

    Then an example of class k is right with the probability that class k is predicted at all, and these probabilities
    add up to 1; so the mean recall is 1 / c on average, however unequal the classes are. They are estimated by maximum
    likelihood under this restriction, and the tail of the mean of c binomial shares is that of the saddlepoint
    approximation (R. Lugannani and S. Rice, Advances in Applied Probability 1980).

    Args:
      hits: predictions of each class that are right, ``[c]``; fractions are of several models.
      counts: examples of each class, ``[c]``, 1 or more; c is 2 or more.
    """
    from scipy.optimize import brentq
    from scipy.special import ndtr

    shares, weights = predicted_shares(hits, counts), 1 / (len(counts) * counts)
    observed = float(weights @ hits)
    if observed <= weights @ (counts * shares) + 1e-9:
        return 1.0
    # The largest tilt: beyond it nearly all of the mass lies on predictions that are all right.
    most = 50 / weights.min()

    def tilted(tilt: float) -> np.ndarray:
        """Probabilities of being right after exponential tilting."""
        return 1 / (1 + (1 - shares) / shares * np.exp(-np.minimum(tilt * weights, 700)))

    if observed >= (weights * counts) @ tilted(most):
        return float(np.exp(counts @ np.log(shares)))
    tilt = brentq(lambda theta: (weights * counts) @ tilted(theta) - observed, 0, most, xtol=1e-9)
    chances = tilted(tilt)
    cumulant = counts @ (np.log1p(-shares) - np.log1p(-chances))
    curvature = (weights**2 * counts) @ (chances * (1 - chances))
    root, scaled = np.sqrt(2 * max(0.0, tilt * observed - cumulant)), tilt * np.sqrt(curvature)
    if root < 1e-4:
        return 0.5
    density = np.exp(-(root**2) / 2) / np.sqrt(2 * np.pi)
    return float(np.clip(ndtr(-root) + density * (1 / scaled - 1 / root), 0, 1))


def predicted_shares(hits: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """How often each class is predicted, ``[c]``, by maximum likelihood if predictions do not depend on the labels.

    Arguments are those of `p_of_recall`. The shares are above 0 and add up to 1.
    """
    from scipy.optimize import brentq

    # A small prior keeps a class that is never or always right from having a share of 0 or 1.
    hits, counts = hits + 0.5, counts + 1.0

    def shares(multiplier: float) -> np.ndarray:
        """The root in (0, 1) of ``hits / q - (counts - hits) / (1 - q) = multiplier`` of each class."""
        total = counts + multiplier
        return 2 * hits / (total + np.sqrt(total**2 - 4 * multiplier * hits))

    bound = 4 * counts.sum() * len(counts)
    found = shares(brentq(lambda multiplier: shares(multiplier).sum() - 1, -bound, bound, xtol=1e-9))
    return found / found.sum()
