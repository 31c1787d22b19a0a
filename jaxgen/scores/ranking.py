"""Ranks of methods over data sets, and how far apart they must be to differ. Axes: d data sets, m methods.

J. Demšar, Statistical Comparisons of Classifiers over Multiple Data Sets, JMLR 2006
(https://www.jmlr.org/papers/v7/demsar06a.html), section 3.2.2.
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
