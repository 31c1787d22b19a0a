"""Ranks of methods over data sets, and how far apart they must be to differ. Axes: d data sets, m methods.

J. Demšar, Statistical Comparisons of Classifiers over Multiple Data Sets, JMLR 2006
(https://www.jmlr.org/papers/v7/demsar06a.html), sections 3.1.3 (two methods) and 3.2.2 (several).
"""

from typing import NamedTuple

import numpy as np


class Ranking(NamedTuple):
    """How methods rank.

    Attributes:
      ranks: mean rank of each method, float ``[m]``; 1 is best, ties share the mean of theirs.
      critical_difference: two methods whose mean ranks are further apart differ at the 5 % level (Nemenyi); NaN for
        fewer than two data sets.
      p: of Friedman's test that all rank alike; NaN where it cannot be told.
      n: data sets.
    """

    ranks: np.ndarray
    critical_difference: float
    p: float
    n: int


def rank_methods(scores: np.ndarray) -> Ranking:
    """Ranks the methods by ``scores [d, m]``, of which higher ones are better; data sets with a NaN are left out."""
    from scipy.stats import friedmanchisquare, rankdata, studentized_range

    known = scores[np.isfinite(scores).all(1)]
    n, m = len(known), scores.shape[1]
    nan = float("nan")
    if not n:
        return Ranking(np.full(m, nan), nan, nan, 0)
    ranks = rankdata(-known, axis=1).mean(0)
    if n < 2 or m < 2:
        return Ranking(ranks, nan, nan, n)
    difference = studentized_range.ppf(0.95, m, np.inf) / np.sqrt(2) * np.sqrt(m * (m + 1) / (6 * n))
    p = friedmanchisquare(*known.T).pvalue if m > 2 else nan
    return Ranking(ranks, float(difference), float(p), n)


def signed_rank_p(differences: np.ndarray) -> float:
    """Of Wilcoxon's signed-rank test, two-sided, that differences ``[d]`` lie around 0, as many below as above.

    Half of those that are 0 count as above, half as below; NaN for fewer than two.
    """
    from scipy.stats import wilcoxon

    if len(differences) < 2:
        return float("nan")
    return float(wilcoxon(differences, zero_method="zsplit").pvalue) if np.any(differences) else 1.0


def holm(p_values: np.ndarray) -> np.ndarray:
    """p-values ``[k]`` of k tests, raised so that the chance of any false finding among them stays what it says.

    S. Holm, A simple sequentially rejective multiple test procedure, 1979; those that are NaN are no tests.
    """
    found = np.full(len(p_values), np.nan)
    known = np.flatnonzero(np.isfinite(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    found[order] = np.minimum(1, np.maximum.accumulate(p_values[order] * np.arange(len(order), 0, -1)))
    return found
