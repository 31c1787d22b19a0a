"""Local outlier factors, which approximate the C-score without training.

M. Breunig, H.-P. Kriegel, R. Ng, J. Sander. LOF: Identifying Density-Based Local Outliers. SIGMOD 2000.
https://doi.org/10.1145/342009.335388, definition 7; a proxy of Jiang et al. 2021 (https://arxiv.org/abs/2002.03206).
The factor of an example is the mean density at its nearest neighbours, divided by that at the example itself: about 1
amid others, higher the further off it lies. Axes: n examples, f features.
"""

import warnings
from typing import NamedTuple

import numpy as np

# Nearest neighbours, as by scikit-learn's default.
NUM_NEIGHBORS = 20


class OutlierFactors(NamedTuple):
    """Local outlier factors of each example, float32 ``[n]``: among all examples, and among those of its class."""

    lof: np.ndarray
    lof_class: np.ndarray


def outlier_factors(
    features: np.ndarray, labels: np.ndarray, num_classes: int, num_neighbors: int = NUM_NEIGHBORS
) -> OutlierFactors:
    """The factors of n examples; NaN for an example without another to compare it with.

    Args:
      features: float ``[n, f]``: pixels, or inputs of a network's last layer.
      labels: int ``[n]``.
      num_classes: c.
      num_neighbors: nearest neighbours of each example; all others where there are fewer.
    """
    by_class = np.full(len(labels), np.nan, np.float32)
    for label in range(num_classes):
        members = labels == label
        by_class[members] = factors_among(features[members], num_neighbors)
    return OutlierFactors(factors_among(features, num_neighbors), by_class)


def factors_among(features: np.ndarray, num_neighbors: int) -> np.ndarray:
    """The factor of each row of ``features [n, f]`` among all rows, float32 ``[n]``; NaN for fewer than two rows."""
    from sklearn.neighbors import LocalOutlierFactor

    if len(features) < 2:
        return np.full(len(features), np.nan, np.float32)
    estimator = LocalOutlierFactor(n_neighbors=min(num_neighbors, len(features) - 1))
    # It warns of equal rows: others near them have very high factors.
    with warnings.catch_warnings(action="ignore"):
        estimator.fit(features)
    return -estimator.negative_outlier_factor_.astype(np.float32)
