"""Detection of label errors: ranking by a score, suggested labels, and metrics against known errors.

Axes: n examples, c classes.
"""

from typing import NamedTuple

import numpy as np


class Detection(NamedTuple):
    """Metrics of a score that ranks n examples of which f have wrong labels.

    Attributes:
      auroc: area under the ROC curve: the probability that a wrong label ranks above a right one, ties counted half.
      average_precision: area under the precision-recall curve.
      precision: precision among the f most suspicious examples, where it equals recall.
    """

    auroc: float
    average_precision: float
    precision: float


def suspicion(values: np.ndarray, suspicious: int) -> np.ndarray:
    """Suspicion of each example, float64 ``[n]``: higher is more suspicious; -inf where the score is NaN.

    Args:
      values: the score ``[n]``.
      suspicious: `jaxgen.scores.registry.Score.suspicious`.
    """
    values = np.asarray(values, np.float64)
    return np.where(np.isnan(values), -np.inf, suspicious * values)


def rank(suspicions: np.ndarray) -> np.ndarray:
    """Indices ``[n]`` of the examples, most suspicious first; ties keep their order."""
    return np.argsort(-suspicions, kind="stable")


def suggest_labels(pred_probs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The most probable class of each example, int ``[n]``; the label where no other class is more probable.

    Args:
      pred_probs: held-out probabilities ``[n, c]``; rows of NaN where no run held the example out.
      labels: ints ``[n]``.
    """
    rows = np.arange(len(labels))
    others = np.nan_to_num(pred_probs.astype(np.float64), nan=-1.0)
    label_probs = others[rows, labels]
    others[rows, labels] = -np.inf
    likeliest = others.argmax(1)
    return np.where(others[rows, likeliest] > label_probs, likeliest, labels)


def detect(suspicions: np.ndarray, wrong: np.ndarray) -> Detection:
    """Metrics of suspicion ``[n]`` against the mask ``wrong``, bool ``[n]``; NaN if it is constant."""
    if not 0 < wrong.sum() < len(wrong):
        return Detection(*3 * [float("nan")])
    # Imported here: it takes a second, and only benchmarks need it.
    from sklearn.metrics import average_precision_score, roc_auc_score

    # Ranks rather than values, because unobserved scores are infinite.
    ranks = np.unique(suspicions, return_inverse=True)[1]
    return Detection(
        float(roc_auc_score(wrong, ranks)), float(average_precision_score(wrong, ranks)), precision_at(ranks, wrong)
    )


def precision_at(ranks: np.ndarray, wrong: np.ndarray) -> float:
    """Precision among the f highest ranks, f being the number of wrong labels; its expectation over random ties.

    Args:
      ranks: ints ``[n]``.
      wrong: bool ``[n]``.
    """
    count = int(wrong.sum())
    threshold = np.sort(ranks)[-count]
    above, tied = ranks > threshold, ranks == threshold
    share = (count - above.sum()) / tied.sum()
    return float((wrong[above].sum() + share * wrong[tied].sum()) / count)
