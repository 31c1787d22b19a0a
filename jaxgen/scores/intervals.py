"""Intervals of means over runs."""

from collections.abc import Sequence

import numpy as np

CONFIDENCE = 0.95


def half_width(differences: Sequence[float]) -> float:
    """Of the 95 % interval of the mean, by Student's t; NaN of fewer than two."""
    from scipy.stats import t

    found = np.asarray(differences, float)
    if len(found) < 2:
        return float("nan")
    return float(t.ppf((1 + CONFIDENCE) / 2, len(found) - 1) * found.std(ddof=1) / np.sqrt(len(found)))
