"""Which member of an oversampling job is compared with which, and the differences that come of it."""

import collections
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxgen.scores.paired import subtract

Row = Mapping[str, Any]
Rows = Sequence[Row]
# What exact copies have in common with the noisy ones that they are held against.
COPYING = ("num_copies", "copied_share", "split")


def reference(rows: Rows, row: Row, arm: str, others: Sequence[str]) -> str | None:
    """The setting of an arm that a member's setting is held against, by name; None if it is that arm's or has none.

    Args:
      rows: of the whole job.
      row: of a member.
      arm: ``plain`` or ``duplicates``.
      others: the flags that settings must have in common (`jaxgen.experiments.oversampling.job.Job.others`).
    """
    if row["arm"] in (arm, "plain") or (arm == "duplicates" and row["arm"] == "augmented"):
        return None
    alike = (*others, *COPYING) if arm == "duplicates" else others
    for other in rows:
        if other["arm"] == arm and all(other[flag] == row[flag] for flag in alike):
            return other["setting"]
    return None


def unsplit(rows: Rows, row: Row, others: Sequence[str]) -> str | None:
    """The setting that differs from a leaky one only in that it was split before copying."""
    # All that makes an arm, and in which settings differ.
    alike = [*others, "arm", "uniform_noise", "gaussian_noise", "salt_and_pepper", "clipped", *COPYING[:2]]
    for other in rows:
        if other["split"] == "before" and row["split"] == "after" and all(other[flag] == row[flag] for flag in alike):
            return other["setting"]
    return None


class Measured:
    """A measure of all members that did not diverge, by setting, size and run."""

    def __init__(self, rows: Rows, measure: str):
        self.values: dict[tuple[str, int], dict[int, float]] = collections.defaultdict(dict)
        for row in rows:
            if row["finite"] and np.isfinite(row[measure]):
                self.values[row["setting"], row["sample_size"]][row["run"]] = row[measure]
        self.sizes = sorted({row["sample_size"] for row in rows})

    def at(self, setting: str, size: int) -> dict[int, float]:
        """By run."""
        return self.values[setting, size]

    def over_sizes(self, setting: str) -> dict[int, float]:
        """By run the mean over sizes, of the runs that have all."""
        found = [self.at(setting, size) for size in self.sizes]
        whole = set.intersection(*(set(one) for one in found))
        return {run: float(np.mean([one[run] for one in found])) for run in sorted(whole)}

    def differences(self, setting: str, other: str | None, size: int | None = None) -> list[float]:
        """One setting minus another, a value a run: at a size, or the mean over all sizes."""
        if other is None:
            return []
        if size is None:
            return subtract(self.over_sizes(setting), self.over_sizes(other))
        return subtract(self.at(setting, size), self.at(other, size))
