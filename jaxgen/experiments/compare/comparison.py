"""The result of comparing two scores of the same examples."""

from typing import NamedTuple

import numpy as np

from jaxgen.experiments.compare.matching import Matched
from jaxgen.scores import agreement
from jaxgen.types import Dataset


class Comparison(NamedTuple):
    """Agreement of two scores over n examples (or pairs).

    Attributes:
      matched: values of both scores.
      correlations: Pearson, Spearman and Kendall.
      intervals: their 95 % intervals ``[3, 2]``.
      overlaps: of the lowest k examples, for each k.
      lower, higher: positions of the examples that the first score ranks furthest below and above the second.
      pictures: the data set and each example's position in it, or None.
      recomputed: arrays recomputed from runs, by file.
    """

    matched: Matched
    correlations: agreement.Correlations
    intervals: np.ndarray
    overlaps: tuple[agreement.Overlap, ...]
    lower: np.ndarray
    higher: np.ndarray
    pictures: tuple[Dataset, np.ndarray] | None
    recomputed: dict[str, dict[str, np.ndarray]] | None = None
