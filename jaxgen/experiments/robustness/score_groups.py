"""Groups of training examples by their C-scores, and how many of each stay right under corruption."""

from typing import NamedTuple

import numpy as np

NUM_GROUPS = 10


class ScoreGroup(NamedTuple):
    """Examples of like C-scores.

    Attributes:
      members: their places in the data, ints ``[k]``.
      low, high: their lowest and highest score.
    """

    members: np.ndarray
    low: float
    high: float

    def describe(self) -> str:
        """The range of scores and the number of examples."""
        scores = f"{self.low:.3g}" if self.low == self.high else f"{self.low:.3g} to {self.high:.3g}"
        return f"{scores} ({len(self.members):,})"


def group_scores(scores: np.ndarray) -> list[ScoreGroup]:
    """Groups examples by tenths of their C-scores ``[n]``, the lowest first; NaN scores are in none.

    Equal scores are in one group, that of their mean rank, so that there may be fewer than ten, and of unequal size:
    with few runs most scores are 1.
    """
    known = np.flatnonzero(np.isfinite(scores))
    values, inverse, counts = np.unique(scores[known], return_inverse=True, return_counts=True)
    mean_ranks = np.cumsum(counts) - (counts + 1) / 2
    tenths = (mean_ranks * NUM_GROUPS / max(len(known), 1)).astype(int)
    groups = []
    for tenth in np.unique(tenths):
        inside = tenths[inverse] == tenth
        chosen = values[tenths == tenth]
        groups.append(ScoreGroup(known[inside], float(chosen[0]), float(chosen[-1])))
    return groups


def still_correct_by_group(scores: np.ndarray, correct: np.ndarray, versions: np.ndarray) -> np.ndarray:
    """Share of correctly classified clean examples that stay correct under corruption, by group of C-scores.

    Args:
      scores: C-scores ``[n]``; NaN: unknown.
      correct: bool ``[v, n]``: whether each version of each example is classified correctly, the clean one first.
      versions: ints ``[corruptions, severities]`` below v.

    Returns:
      ``[severities, g]``, means over corruptions, the group of lowest scores first; NaN if none of a group is correct
      when clean.
    """
    groups = group_scores(scores)
    shares = np.full((versions.shape[1], len(groups)), np.nan)
    for number, group in enumerate(groups):
        clean_correct = group.members[correct[0, group.members]]
        if len(clean_correct):
            shares[:, number] = correct[versions][:, :, clean_correct].mean((0, 2))
    return shares
