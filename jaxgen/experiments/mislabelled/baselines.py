"""What other ways to find wrong labels say of the same examples: confident learning by cleanlab, and Data-OOB."""

import importlib.util

import numpy as np

from jaxgen.scores.suspicion import suspicion
from jaxgen.types import Dataset

# cleanlab's ways to score a label by probabilities, its default first.
CLEANLAB_METHODS = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")
# Bagged trees of Data-OOB; each example is left out of about 37 of them.
NUM_TREES = 100
# As many numbers in the data as trees are grown on; more would take minutes a draw of noise.
MOST_NUMBERS = 500_000


def has_cleanlab() -> bool:
    """Whether cleanlab is installed."""
    return importlib.util.find_spec("cleanlab") is not None


def suits_data_oob(dataset: Dataset) -> bool:
    """Whether the data are small enough for a few hundred trees on their plain numbers."""
    return dataset.images.size <= MOST_NUMBERS


def describe_missing(dataset: Dataset) -> list[str]:
    """A line for each baseline that is left out, with the remedy if there is one."""
    lines = []
    if not has_cleanlab():
        lines.append("cleanlab is not installed, so confident learning is left out; pip install -e '.[cleanlab]'")
    if not suits_data_oob(dataset):
        lines.append(
            f"Data-OOB is left out: {dataset.images.size:,} numbers are more than the {MOST_NUMBERS:,} that trees take "
            "in reasonable time"
        )
    return lines


def sharpen(pred_probs: np.ndarray, own: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The probabilities ``[n, c]`` with those of the labels as they are kept more exactly, ``own [n]``.

    All classes' are kept in 255 steps, in which many small ones of a single model are alike.
    """
    found = pred_probs.astype(np.float64)
    found[np.arange(len(labels)), labels] = own
    return found / found.sum(1, keepdims=True)


def rate_by_cleanlab(pred_probs: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Suspicion ``[n]`` by each of cleanlab's methods (C. Northcutt, L. Jiang, I. Chuang, Confident Learning, JAIR
    2021, https://arxiv.org/abs/1911.00068; J. Kuan, J. Mueller, Model-agnostic label quality scoring, 2022).

    Args:
      pred_probs: out-of-sample probabilities ``[n, c]``; rows of NaN are not rated.
      labels: ints ``[n]``.
    """
    from cleanlab.rank import get_label_quality_scores

    known, found = np.isfinite(pred_probs).all(1), {}
    for method in CLEANLAB_METHODS:
        quality = np.full(len(labels), np.nan)
        # It takes its probabilities to sum to 1 more exactly than single precision has them.
        probs = pred_probs[known].astype(np.float64)
        quality[known] = get_label_quality_scores(labels[known], probs / probs.sum(1, keepdims=True), method=method)
        found[method] = suspicion(quality, -1)
    return found


def count_by_cleanlab(pred_probs: np.ndarray, labels: np.ndarray) -> int:
    """How many labels cleanlab takes to be wrong."""
    from cleanlab.count import num_label_issues

    known = np.isfinite(pred_probs).all(1)
    return int(num_label_issues(labels[known], pred_probs[known].astype(np.float64)))


def rate_by_data_oob(dataset: Dataset, seed: int) -> np.ndarray:
    """Suspicion ``[n]``: how seldom bagged decision trees which were grown without an example are right about it.

    Y. Kwon, J. Zou. Data-OOB: Out-of-bag Estimate as a Simple and Efficient Data Value. ICML 2023.
    https://arxiv.org/abs/2304.07718, equation 1. It is the held-out accuracy of `jaxgen.scores.heldout` under the
    bootstrap, and of trees on the plain numbers. On the digits it is pyDVL 0.10's value to rounding (3e-16 of the same
    bag of trees); pyDVL itself needs a NumPy below 2.
    """
    from sklearn.ensemble import BaggingClassifier
    from sklearn.tree import DecisionTreeClassifier

    rows = dataset.images.reshape(len(dataset.labels), -1)
    bag = BaggingClassifier(DecisionTreeClassifier(), n_estimators=NUM_TREES, random_state=seed)
    bag.fit(rows, dataset.labels)
    counts, hits = np.zeros((2, len(rows)))
    for tree, drawn in zip(bag.estimators_, bag.estimators_samples_, strict=True):
        out = np.ones(len(rows), bool)
        out[drawn] = False
        counts[out] += 1
        # A bag's trees know classes by their places among those that are there.
        hits[out] += bag.classes_[tree.predict(rows[out]).astype(int)] == dataset.labels[out]
    with np.errstate(invalid="ignore"):
        return suspicion(hits / counts, -1)
