"""Influence that arises by chance alone, which the strongest of many pairs are to be compared with.

The largest of many estimates is too large on average, also where there is no influence at all: each run's subset is
paired with the predictions of other runs, which it cannot have caused. Axes as in `jaxgen.scores.influence`.
"""

from typing import NamedTuple

import numpy as np

from jaxgen.scores.influence import MEMORIZED, PackedRuns, blocks, groups, influential

# Pairings of subsets with predictions of other runs.
NUM_SHIFTS = 5


class ByChance(NamedTuple):
    """What there is where training has no influence: each run's subset beside the predictions of other runs.

    Attributes:
      pairs: int64 ``[s]``: pairs above the thresholds, for each of s shifts.
      strongest: float64 ``[s]``: the largest influence on any test example.
    """

    pairs: np.ndarray
    strongest: np.ndarray


def by_chance(
    runs: PackedRuns,
    memorization: np.ndarray,
    *,
    labels: tuple[np.ndarray, np.ndarray] | None = None,
    num_shifts: int = NUM_SHIFTS,
) -> ByChance:
    """Pairs and influences that arise by chance, in several permutations of the runs that keep their order.

    Args:
      runs, memorization, labels: as for `select_pairs`.
      num_shifts: s; shifts are spread over the runs, and none is small, so that runs of one block are not paired.
    """
    shifts = np.unique(np.linspace(0, runs.num_runs, num_shifts + 2)[1:-1].astype(int))
    pairs, strongest = np.zeros(len(shifts), np.int64), np.full(len(shifts), np.nan)
    for i, shift in enumerate(shifts):
        for train, test in groups(runs, labels):
            for columns, _, values in blocks(runs, train, test, int(shift)):
                strongest[i] = np.fmax(strongest[i], values.max(initial=-1))
                chosen = memorization[columns] >= MEMORIZED
                pairs[i] += influential(values[:, chosen]).sum()
    return ByChance(pairs, strongest)
