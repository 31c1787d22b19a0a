"""Agreement of two scores of the same n examples: correlations with bootstrap intervals, overlap of the lowest.

Scores estimated by different protocols, such as published C-scores and our own, may be on different scales. Then their
ranks can be compared, but not their values.
"""

from typing import NamedTuple

import jax
import numpy as np

from jaxgen.scores.intervals import CONFIDENCE

DRAWS_AT_ONCE = 50


class Correlations(NamedTuple):
    """Pearson's r, Spearman's rho and Kendall's tau-b."""

    pearson: float
    spearman: float
    kendall: float


class Overlap(NamedTuple):
    """The fraction of the k lowest examples by one score that are among the k lowest by the other.

    Attributes:
      k: number of lowest examples.
      share: the fraction, in [0, 1]; with ties at the k-th value, its mean over all ways to break them.
      chance: its mean if one score is shuffled, k / n.
      chance_low, chance_high: its central 95 % range if one score is shuffled (hypergeometric).
    """

    k: int
    share: float
    chance: float
    chance_low: float
    chance_high: float


def correlations(first: np.ndarray, second: np.ndarray) -> Correlations:
    """The three correlations of two arrays ``[n]``, neither of them constant."""
    from scipy import stats

    tests = stats.pearsonr, stats.spearmanr, stats.kendalltau
    return Correlations(*(float(test(first, second).statistic) for test in tests))


def spearman_interval(rho: float, n: int) -> tuple[float, float]:
    """95 % interval of a rank correlation over n examples; NaN for fewer than four.

    Fisher's transform with variance (1 + rho^2 / 2) / (n - 3) (D. G. Bonett, T. A. Wright, Sample size requirements for
    estimating Pearson, Kendall and Spearman correlations, Psychometrika 2000). It reflects the sampling of examples,
    not that of the models.
    """
    from scipy.special import ndtri

    if n < 4:
        return float("nan"), float("nan")
    half = ndtri((1 + CONFIDENCE) / 2) * np.sqrt((1 + rho**2 / 2) / (n - 3))
    middle = np.arctanh(np.clip(rho, -1, 1)) if abs(rho) < 1 else np.inf * rho
    return float(np.tanh(middle - half)), float(np.tanh(middle + half))


def bootstrap(key: jax.Array, first: np.ndarray, second: np.ndarray, num_draws: int) -> np.ndarray:
    """95 % percentile bootstrap intervals of the three correlations, ``[3, 2]``.

    Each of the `num_draws` resamples draws n examples with replacement. The intervals reflect the sampling of examples,
    not that of the models.
    """
    from scipy import stats

    # Integers sort faster than floats.
    codes = [np.unique(values, return_inverse=True)[1] for values in (first, second)]
    statistics = np.full((num_draws, 3), np.nan)
    for start in range(0, num_draws, DRAWS_AT_ONCE):
        indices = jax.random.randint(jax.random.fold_in(key, start), (DRAWS_AT_ONCE, len(first)), 0, len(first))
        for draw, drawn in enumerate(np.asarray(indices)[: num_draws - start], start):
            resampled = [values[drawn] for values in codes]
            if min(np.ptp(values) for values in resampled):
                pearson = np.corrcoef(first[drawn], second[drawn])[0, 1]
                spearman = np.corrcoef(*map(stats.rankdata, resampled))[0, 1]
                statistics[draw] = pearson, spearman, stats.kendalltau(*resampled, method="asymptotic").statistic
    tail = 100 * (1 - CONFIDENCE) / 2
    return np.nanpercentile(statistics, [tail, 100 - tail], axis=0).T


def rank_shares(values: np.ndarray) -> np.ndarray:
    """The rank of each value as a fraction of n, strictly between 0 and 1; ties share their mean rank."""
    from scipy import stats

    return (stats.rankdata(values) - 0.5) / len(values)


def overlap_of_lowest(first: np.ndarray, second: np.ndarray, k: int) -> Overlap:
    """The overlap of the k lowest examples by two scores ``[n]``, and its distribution under shuffling."""
    from scipy import stats

    shared = float((among_lowest(first, k) * among_lowest(second, k)).sum())
    chance = stats.hypergeom(len(first), k, k)
    tail = (1 - CONFIDENCE) / 2
    return Overlap(k, shared / k, k / len(first), float(chance.ppf(tail)) / k, float(chance.ppf(1 - tail)) / k)


def among_lowest(values: np.ndarray, k: int) -> np.ndarray:
    """The probability of each example to be among the k lowest if ties are broken at random: float ``[n]``."""
    last = np.partition(values, k - 1)[k - 1]
    below, tied = values < last, values == last
    return below + tied * (k - below.sum()) / tied.sum()
