"""How many labels are wrong, and which for which: two witnesses must agree that an example's label is.

One is the confident joint of models that held the example out (C. G. Northcutt, L. Jiang, I. L. Chuang. Confident
Learning. JAIR 2021. https://arxiv.org/abs/1911.00068): they take it, confidently, for another class. The other are
models that were trained on it: over training the mean margin of its label is below 0 (G. Pleiss et al. Identifying
Mislabeled Data using the Area Under the Margin Ranking. NeurIPS 2020. https://arxiv.org/abs/2001.10528), so that even
being told the label did not outweigh what other examples say. Where classes overlap, the first alone counts many that
are only ambiguous. Axes: n examples, c classes.
"""

from typing import NamedTuple

import jax
import numpy as np

NUM_RESAMPLES = 200
# A probability that is at its threshold but for rounding counts as there.
ROUNDING = 1e-6


class WrongLabels(NamedTuple):
    """An estimate of the wrong labels among those that have probabilities.

    Attributes:
      count: how many.
      low, high: its 95 % interval by resampling of examples: what other examples of the same kind would give. It does
        not cover what the method itself is off by.
      joint: float ``[c, c]``: wrong labels by the label given (row) and the class by estimate (column).
      n: examples that have probabilities.
    """

    count: float
    low: float
    high: float
    joint: np.ndarray
    n: int


def confident_classes(pred_probs: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The class that each example is confidently of, int ``[n]``; -1 for none (Northcutt et al. 2021, equations 1, 2).

    It is the likeliest of those classes that it reaches the threshold of: the mean probability of the class among the
    examples that have it as their label.

    Args:
      pred_probs: ``[n, c]``, without NaN.
      labels: ints ``[n]``.
      weights: ``[n]``: how many times each example counts for the thresholds.
    """
    num_classes = pred_probs.shape[1]
    own = pred_probs[np.arange(len(labels)), labels]
    sizes = np.bincount(labels, weights, num_classes)
    sums = np.bincount(labels, weights * own, num_classes)
    # No example reaches the threshold of a class that is no example's label.
    thresholds = np.divide(sums, sizes, out=np.full(num_classes, np.inf), where=sizes > 0)
    reached = np.where(pred_probs >= thresholds - ROUNDING, pred_probs, -1.0)
    return np.where(reached.max(1) >= 0, reached.argmax(1), -1)


def estimate_wrong(
    pred_probs: np.ndarray, labels: np.ndarray, margins: np.ndarray | None, key: jax.Array
) -> WrongLabels:
    """How many of the labels are wrong.

    Args:
      pred_probs: held-out probabilities ``[n, c]``; rows of NaN are left out.
      labels: ints ``[n]``.
      margins: of each label, the mean over training, ``[n]``; NaN where nothing was trained on it; None if unknown: the
        first witness is then the only one.
      key: draws the resamples.
    """
    known, num_classes = np.isfinite(pred_probs).all(1), pred_probs.shape[1]
    probs, own = np.asarray(pred_probs[known], np.float64), labels[known]
    n = len(own)
    if not n:
        return WrongLabels(*3 * [float("nan")], np.full((num_classes, num_classes), np.nan), 0)
    doubted = np.ones(n, bool) if margins is None else ~(margins[known] >= 0)

    def count(weights: np.ndarray) -> np.ndarray:
        found = confident_classes(probs, own, weights)
        wrong = doubted & (found >= 0) & (found != own)
        places = own[wrong] * num_classes + found[wrong]
        return np.bincount(places, weights[wrong], num_classes**2).reshape(num_classes, num_classes)

    joint, resampled = count(np.ones(n)), []
    for i in range(NUM_RESAMPLES):
        drawn = np.asarray(jax.random.randint(jax.random.fold_in(key, i), (n,), 0, n))
        resampled.append(count(np.bincount(drawn, minlength=n).astype(float)).sum())
    low, high = np.quantile(resampled, (0.025, 0.975))
    return WrongLabels(float(joint.sum()), float(low), float(high), joint, n)
