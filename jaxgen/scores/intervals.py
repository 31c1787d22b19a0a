"""Intervals of means over runs."""

from collections.abc import Sequence

import numpy as np

CONFIDENCE = 0.95


def half_width(differences: Sequence[float], least_deviation: float = 0.0) -> float:
    """Of the 95 % interval of the mean, by Student's t, the deviation taken to be no less than that; NaN of fewer than
    two."""
    from scipy.stats import t

    found = np.asarray(differences, float)
    if len(found) < 2:
        return float("nan")
    deviation = max(found.std(ddof=1), least_deviation)
    return float(t.ppf((1 + CONFIDENCE) / 2, len(found) - 1) * deviation / np.sqrt(len(found)))
