"""Ranks of methods over data sets, and tests of their differences. Axes: d data sets, m methods.

J. Demšar, Statistical Comparisons of Classifiers over Multiple Data Sets, JMLR 2006
(https://www.jmlr.org/papers/v7/demsar06a.html), sections 3.1.3 (two methods) and 3.2.2 (several).
"""

from typing import NamedTuple

import numpy as np


class Ranking(NamedTuple):
    """Mean ranks of methods.

    Attributes:
      ranks: mean rank of each method, float ``[m]``; 1 is best, ties share their mean rank.
      critical_difference: two methods whose mean ranks are further apart differ at the 5 % level (Nemenyi's test); NaN
        for fewer than two data sets.
      p: of Friedman's test that all methods rank alike; NaN for fewer than two data sets or three methods.
      n: number of data sets.
    """

    ranks: np.ndarray
    critical_difference: float
    p: float
    n: int


def rank_methods(scores: np.ndarray) -> Ranking:
    """Ranks methods by ``scores [d, m]``, higher is better; data sets with a NaN are left out."""
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
    """Two-sided p-value of Wilcoxon's signed-rank test that differences ``[d]`` are symmetric about 0.

    Zeros count half as positive, half as negative (``zsplit``); NaN for fewer than two differences.
    """
    from scipy.stats import wilcoxon

    if len(differences) < 2:
        return float("nan")
    return float(wilcoxon(differences, zero_method="zsplit").pvalue) if np.any(differences) else 1.0


def holm(p_values: np.ndarray) -> np.ndarray:
    """p-values ``[k]`` adjusted for k tests, so that the familywise error rate is controlled; NaN stays NaN, uncounted.

    S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 1979.
    """
    adjusted = np.full(len(p_values), np.nan)
    known = np.flatnonzero(np.isfinite(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p_values[order] * np.arange(len(order), 0, -1)))
    return adjusted
