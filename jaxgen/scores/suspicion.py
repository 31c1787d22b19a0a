"""Which labels to doubt: examples in order of suspicion, the label that each might have, and how well known errors are
found. Axes: n examples, c classes."""

from typing import NamedTuple

import numpy as np


class Detection(NamedTuple):
    """How well a score finds f wrong labels among n.

    Attributes:
      auroc: the probability that a wrong label is more suspicious than a right one, ties by half.
      average_precision: precision averaged over the wrong labels found, in order of suspicion.
      precision: share of wrong labels among the f most suspicious examples; recall is the same there.
    """

    auroc: float
    average_precision: float
    precision: float


def suspicion(values: np.ndarray, suspicious: int) -> np.ndarray:
    """Float64 ``[n]``, the more suspicious the higher; of a score that was not observed, -inf.

    Args:
      values: the score ``[n]``.
      suspicious: as `jaxgen.scores.registry.Score.suspicious`.
    """
    values = np.asarray(values, np.float64)
    return np.where(np.isnan(values), -np.inf, suspicious * values)


def rank(suspicions: np.ndarray) -> np.ndarray:
    """Positions ``[n]``, most suspicious first, of equal ones the earlier first."""
    return np.argsort(-suspicions, kind="stable")


def suggest_labels(pred_probs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Int ``[n]``: the likeliest class other than the label, where it is likelier than that; else the label.

    Args:
      pred_probs: mean probabilities ``[n, c]`` of models that held the example out; rows of NaN where none did.
      labels: ints ``[n]``.
    """
    places = np.arange(len(labels))
    others = np.nan_to_num(pred_probs.astype(np.float64), nan=-1.0)
    own = others[places, labels]
    others[places, labels] = -np.inf
    likeliest = others.argmax(1)
    return np.where(others[places, likeliest] > own, likeliest, labels)


def detect(suspicions: np.ndarray, wrong: np.ndarray) -> Detection:
    """How well suspicion ``[n]`` finds the labels that are ``wrong``, bool ``[n]``; NaN if none or all are."""
    if not 0 < wrong.sum() < len(wrong):
        return Detection(*3 * [float("nan")])
    # Imported here: it takes a second, and only leagues ask.
    from sklearn.metrics import average_precision_score, roc_auc_score

    # Ranks and not values: what was not observed has no number, and sums of few differ by rounding alone.
    ranks = np.unique(suspicions, return_inverse=True)[1]
    return Detection(
        float(roc_auc_score(wrong, ranks)), float(average_precision_score(wrong, ranks)), precision_at(ranks, wrong)
    )


def precision_at(ranks: np.ndarray, wrong: np.ndarray) -> float:
    """Precision among as many of the highest as are wrong; of ties across that border, what a random choice of them
    is expected to give."""
    count = int(wrong.sum())
    border = np.sort(ranks)[-count]
    above, tied = ranks > border, ranks == border
    share = (count - above.sum()) / tied.sum()
    return float((wrong[above].sum() + share * wrong[tied].sum()) / count)
