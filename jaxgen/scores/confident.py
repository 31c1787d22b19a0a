"""The number of wrong labels, by given and by estimated class. An example is suspicious only if two criteria agree.

1. Models that held the example out confidently predict another class: the confident joint (C. G. Northcutt, L. Jiang,
   I. L. Chuang. Confident Learning. JAIR 2021. https://arxiv.org/abs/1911.00068).
2. For models trained on the example, the margin of its label is negative on average over training. The mean margin is
   that of G. Pleiss et al., Identifying Mislabeled Data using the Area Under the Margin Ranking, NeurIPS 2020
   (https://arxiv.org/abs/2001.10528); their threshold comes from examples of a made-up class instead of 0.

Where classes overlap, right labels are suspicious too. Label noise that depends on the class shows everywhere, overlap
where predictions are uncertain: so the most confident fifth of the held-out predictions of each class tells how many
labels are wrong at most. If clearly more labels are suspicious than are contradicted there, the rate there is the
estimate. Axes: n examples, c classes.
"""

from typing import NamedTuple

import jax
import numpy as np

from jaxgen.scores.intervals import wilson

NUM_RESAMPLES = 200
# The share of the predictions of a class that are its most confident ones.
MOST_CONFIDENT = 0.2
# Tolerance below a threshold, for probabilities that equal it up to rounding.
ROUNDING = 1e-6


class WrongLabels(NamedTuple):
    """The estimated number of wrong labels among the examples with probabilities.

    Attributes:
      count: the estimate.
      suspicious: number of labels that both criteria doubt; more than `count` where classes overlap.
      low, high: its 95 % bootstrap interval over examples. It does not cover the bias of the method.
      joint: float ``[c, c]``: wrong labels by given label (row) and estimated class (column).
      n: number of examples with probabilities.
    """

    count: float
    suspicious: float
    low: float
    high: float
    joint: np.ndarray
    n: int

    def without_count(self) -> "WrongLabels":
        """The same where the number cannot be told: the estimate, its interval and `joint` are NaN."""
        nan = float("nan")
        return self._replace(count=nan, low=nan, high=nan, joint=np.full_like(self.joint, nan, float))


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
        return WrongLabels(*4 * [float("nan")], np.full((num_classes, num_classes), np.nan), 0)
    negative_margin = np.ones(n, bool) if margins is None else ~(margins[known] >= 0)

    def count(weights: np.ndarray) -> np.ndarray:
        confident = confident_classes(probs, given, weights)
        wrong = negative_margin & (confident >= 0) & (confident != given)
        cells = given[wrong] * num_classes + confident[wrong]
        return np.bincount(cells, weights[wrong], num_classes**2).reshape(num_classes, num_classes)

    joint = count(np.ones(n))
    contradictions = Contradictions(probs, given)
    overlap = joint.sum() > contradictions.upper_limit()
    estimate = contradictions.estimate if overlap else lambda weights: count(weights).sum()
    resampled = []
    for i in range(NUM_RESAMPLES):
        drawn = np.asarray(jax.random.randint(jax.random.fold_in(key, i), (n,), 0, n))
        resampled.append(estimate(np.bincount(drawn, minlength=n).astype(float)))
    low, high = np.quantile(resampled, (0.025, 0.975))
    wrong, suspicious = float(estimate(np.ones(n))), float(joint.sum())
    return WrongLabels(wrong, suspicious, float(low), float(high), joint * (wrong / suspicious if overlap else 1), n)


class Contradictions:
    """Labels that the most confident held-out predictions of each class contradict.

    Args:
      pred_probs: ``[n, c]``, without NaN.
      labels: ints ``[n]``.
    """

    def __init__(self, pred_probs: np.ndarray, labels: np.ndarray):
        predicted, self.num_classes = pred_probs.argmax(1), pred_probs.shape[1]
        # By predicted class, the most confident first.
        self.order = np.lexsort((-pred_probs.max(1), predicted))
        self.predicted = predicted[self.order]
        self.contradicted = (predicted != labels)[self.order]

    def of_most_confident(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For each predicted class: its weight, that of its most confident fifth, and of its contradictions there.

        Args:
          weights: of the examples ``[n]``.
        """
        ordered = weights[self.order]
        sizes = np.bincount(self.predicted, ordered, self.num_classes)
        before = np.cumsum(ordered) - ordered - (np.cumsum(sizes) - sizes)[self.predicted]
        top = ordered * (before < MOST_CONFIDENT * sizes[self.predicted])
        return sizes, *(np.bincount(self.predicted, w, self.num_classes) for w in (top, top * self.contradicted))

    def estimate(self, weights: np.ndarray) -> float:
        """The number of wrong labels if all predictions of a class are contradicted as often as its most confident."""
        sizes, top, contradicted = self.of_most_confident(weights)
        return float((sizes * np.divide(contradicted, top, out=np.zeros_like(top), where=top > 0)).sum())

    def upper_limit(self) -> float:
        """The upper limit of its 95 % interval (Wilson's)."""
        n = len(self.order)
        _, top, _ = self.of_most_confident(np.ones(n))
        hits = self.estimate(np.ones(n)) / n * top.sum()
        return n * float(wilson(np.array([hits]), np.array([top.sum()]))[1][0])
