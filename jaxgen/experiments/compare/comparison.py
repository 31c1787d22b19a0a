"""What two scores of the same examples have in common."""

from typing import NamedTuple

import numpy as np

from jaxgen.experiments.compare.matching import Matched
from jaxgen.scores import agreement
from jaxgen.types import Dataset


class Comparison(NamedTuple):
    """What two scores of n examples (or pairs) have in common.

    Attributes:
      matched: both, of the examples that both know.
      correlations, intervals: the three, and ``[3, 2]``.
      overlaps: of the lowest k, for each k.
      lower, higher: positions of the examples that the first puts furthest below and above the second, by rank.
      pictures: the data set and the place of each example in it, or None.
      recomputed: by file, what was recomputed from runs.
    """

    matched: Matched
    correlations: agreement.Correlations
    intervals: np.ndarray
    overlaps: tuple[agreement.Overlap, ...]
    lower: np.ndarray
    higher: np.ndarray
    pictures: tuple[Dataset, np.ndarray] | None
    recomputed: dict[str, dict[str, np.ndarray]] | None = None
