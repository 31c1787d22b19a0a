"""How far two scores of the same n examples agree: correlations with bootstrap intervals, overlap of the lowest.

Scores of different protocols, as C-scores published and our own, are on different scales: their ranks can be compared
where their values cannot.
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
    """The share of the k lowest by one score that are among the k lowest by the other.

    Attributes:
      k: how many lowest.
      share: in [0, 1]; where several examples share the k-th value, the mean over all ways to choose among them.
      chance: its mean if one score is shuffled: k / n.
      chance_low, chance_high: within which it is then in 95 % of the cases (hypergeometric).
    """

    k: int
    share: float
    chance: float
    chance_low: float
    chance_high: float


def correlations(first: np.ndarray, second: np.ndarray) -> Correlations:
    """Of two arrays ``[n]``, both of which vary."""
    from scipy import stats

    found = (each(first, second).statistic for each in (stats.pearsonr, stats.spearmanr, stats.kendalltau))
    return Correlations(*map(float, found))


def bootstrap(key: jax.Array, first: np.ndarray, second: np.ndarray, num_draws: int) -> np.ndarray:
    """95 % intervals of the three correlations, ``[3, 2]``: percentiles over draws of n examples with replacement.

    They tell of another sample of examples, and not of another ensemble of models.
    """
    from scipy import stats

    # Whole numbers are sorted faster.
    codes = [np.unique(values, return_inverse=True)[1] for values in (first, second)]
    found = np.full((num_draws, 3), np.nan)
    for start in range(0, num_draws, DRAWS_AT_ONCE):
        places = jax.random.randint(jax.random.fold_in(key, start), (DRAWS_AT_ONCE, len(first)), 0, len(first))
        for draw, drawn in enumerate(np.asarray(places)[: num_draws - start], start):
            own = [each[drawn] for each in codes]
            if min(np.ptp(each) for each in own):
                pearson = np.corrcoef(first[drawn], second[drawn])[0, 1]
                spearman = np.corrcoef(*map(stats.rankdata, own))[0, 1]
                found[draw] = pearson, spearman, stats.kendalltau(*own, method="asymptotic").statistic
    tail = 100 * (1 - CONFIDENCE) / 2
    return np.nanpercentile(found, [tail, 100 - tail], axis=0).T


def rank_shares(values: np.ndarray) -> np.ndarray:
    """Each value's place in the order of all, from above 0 to below 1: equal ones share theirs."""
    from scipy import stats

    return (stats.rankdata(values) - 0.5) / len(values)


def overlap_of_lowest(first: np.ndarray, second: np.ndarray, k: int) -> Overlap:
    """How many of the k lowest two scores ``[n]`` share, and what chance gives."""
    from scipy import stats

    shared = float((among_lowest(first, k) * among_lowest(second, k)).sum())
    chance = stats.hypergeom(len(first), k, k)
    tail = (1 - CONFIDENCE) / 2
    return Overlap(k, shared / k, k / len(first), float(chance.ppf(tail)) / k, float(chance.ppf(1 - tail)) / k)


def among_lowest(values: np.ndarray, k: int) -> np.ndarray:
    """The chance of each example to be among the k lowest, where equal ones are chosen from by lot."""
    last = np.partition(values, k - 1)[k - 1]
    below, tied = values < last, values == last
    return below + tied * (k - below.sum()) / tied.sum()
