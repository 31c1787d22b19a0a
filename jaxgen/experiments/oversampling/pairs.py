"""Paired comparison of settings of an oversampling job."""

import collections
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxgen.scores.paired import subtract

MemberRow = Mapping[str, Any]
MemberRows = Sequence[MemberRow]
# Flags that exact copies share with the noisy copies they are compared with.
COPYING = ("num_copies", "copied_share", "split")


def reference(rows: MemberRows, row: MemberRow, arm: str, shared_flags: Sequence[str]) -> str | None:
    """Name of the setting of an arm that a member's setting is compared with; None if there is none.

    Args:
      rows: rows of all members of the job.
      row: the member's row.
      arm: ``plain`` or ``duplicates``.
      shared_flags: flags that compared settings must share (`OversamplingJob.shared_flags`).
    """
    if row["arm"] in (arm, "plain") or (arm == "duplicates" and row["arm"] == "augmented"):
        return None
    equal_flags = (*shared_flags, *COPYING) if arm == "duplicates" else shared_flags
    for other in rows:
        if other["arm"] == arm and all(other[flag] == row[flag] for flag in equal_flags):
            return other["setting"]
    return None


def unsplit(rows: MemberRows, row: MemberRow, shared_flags: Sequence[str]) -> str | None:
    """Name of the setting that equals a leaky one except that it is split before copying; None if there is none."""
    noise_flags = ("uniform_noise", "gaussian_noise", "salt_and_pepper", "clipped")
    equal_flags = [*shared_flags, "arm", *noise_flags, *COPYING[:2]]
    for other in rows:
        is_leaky_pair = other["split"] == "before" and row["split"] == "after"
        if is_leaky_pair and all(other[flag] == row[flag] for flag in equal_flags):
            return other["setting"]
    return None


class MeasureBySetting:
    """Values of a measure by setting, sample size and run; diverged members are left out."""

    def __init__(self, rows: MemberRows, measure: str):
        self.values: dict[tuple[str, int], dict[int, float]] = collections.defaultdict(dict)
        for row in rows:
            if row["finite"] and np.isfinite(row[measure]):
                self.values[row["setting"], row["sample_size"]][row["run"]] = row[measure]
        self.sizes = sorted({row["sample_size"] for row in rows})

    def at(self, setting: str, size: int) -> dict[int, float]:
        """Values by run of a setting at a sample size."""
        return self.values[setting, size]

    def mean_over_sizes(self, setting: str) -> dict[int, float]:
        """Means over sample sizes by run, for the runs that have values at all sizes."""
        by_size = [self.at(setting, size) for size in self.sizes]
        complete = set.intersection(*(set(values) for values in by_size))
        return {run: float(np.mean([values[run] for values in by_size])) for run in sorted(complete)}

    def differences(self, setting: str, other: str | None, size: int | None = None) -> list[float]:
        """Paired differences by run, `setting` minus `other`: at a sample size, or of the means over all sizes."""
        if other is None:
            return []
        if size is None:
            return subtract(self.mean_over_sizes(setting), self.mean_over_sizes(other))
        return subtract(self.at(setting, size), self.at(other, size))
