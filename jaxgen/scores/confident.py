"""The number of wrong labels, by given and by estimated class. An example counts only if two criteria agree.

1. Models that held the example out confidently predict another class: the confident joint (C. G. Northcutt, L. Jiang,
   I. L. Chuang. Confident Learning. JAIR 2021. https://arxiv.org/abs/1911.00068).
2. For models trained on the example, the margin of its label is negative on average over training (G. Pleiss et al.
   Identifying Mislabeled Data using the Area Under the Margin Ranking. NeurIPS 2020. https://arxiv.org/abs/2001.10528).

Where classes overlap, the first criterion alone also counts ambiguous examples. Axes: n examples, c classes.
"""

from typing import NamedTuple

import jax
import numpy as np

NUM_RESAMPLES = 200
# Tolerance below a threshold, for probabilities that equal it up to rounding.
ROUNDING = 1e-6


class WrongLabels(NamedTuple):
    """The estimated number of wrong labels among the examples with probabilities.

    Attributes:
      count: the estimate.
      low, high: its 95 % bootstrap interval over examples. It does not cover the bias of the method.
      joint: float ``[c, c]``: wrong labels by given label (row) and estimated class (column).
      n: number of examples with probabilities.
    """

    count: float
    low: float
    high: float
    joint: np.ndarray
    n: int


def confident_classes(pred_probs: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The confident class of each example, int ``[n]``; -1 for none (Northcutt et al. 2021, equations 1 and 2).

    It is the most probable of the classes whose threshold the example reaches. The threshold of a class is its mean
    probability over the examples with that label.

    Args:
      pred_probs: ``[n, c]``, without NaN.
      labels: ints ``[n]``.
      weights: ``[n]``: the weight of each example in the thresholds.
    """
    num_classes = pred_probs.shape[1]
    label_probs = pred_probs[np.arange(len(labels)), labels]
    sizes = np.bincount(labels, weights, num_classes)
    sums = np.bincount(labels, weights * label_probs, num_classes)
    # The threshold of a class without examples cannot be reached.
    thresholds = np.divide(sums, sizes, out=np.full(num_classes, np.inf), where=sizes > 0)
    reached = np.where(pred_probs >= thresholds - ROUNDING, pred_probs, -1.0)
    return np.where(reached.max(1) >= 0, reached.argmax(1), -1)


def estimate_wrong(
    pred_probs: np.ndarray, labels: np.ndarray, margins: np.ndarray | None, key: jax.Array
) -> WrongLabels:
    """Estimates how many labels are wrong.

    Args:
      pred_probs: held-out probabilities ``[n, c]``; rows with NaN are left out.
      labels: ints ``[n]``.
      margins: the mean margin of each label over training, ``[n]``; NaN if no run trained on the example. If None, only
        the first criterion applies.
      key: draws the bootstrap resamples.
    """
    known, num_classes = np.isfinite(pred_probs).all(1), pred_probs.shape[1]
    probs, given = np.asarray(pred_probs[known], np.float64), labels[known]
    n = len(given)
    if not n:
        return WrongLabels(*3 * [float("nan")], np.full((num_classes, num_classes), np.nan), 0)
    negative_margin = np.ones(n, bool) if margins is None else ~(margins[known] >= 0)

    def count(weights: np.ndarray) -> np.ndarray:
        confident = confident_classes(probs, given, weights)
        wrong = negative_margin & (confident >= 0) & (confident != given)
        cells = given[wrong] * num_classes + confident[wrong]
        return np.bincount(cells, weights[wrong], num_classes**2).reshape(num_classes, num_classes)

    joint, resampled = count(np.ones(n)), []
    for i in range(NUM_RESAMPLES):
        drawn = np.asarray(jax.random.randint(jax.random.fold_in(key, i), (n,), 0, n))
        resampled.append(count(np.bincount(drawn, minlength=n).astype(float)).sum())
    low, high = np.quantile(resampled, (0.025, 0.975))
    return WrongLabels(float(joint.sum()), float(low), float(high), joint, n)
