"""Baselines that find wrong labels: confident learning by cleanlab, and Data-OOB."""

import importlib.util

import numpy as np

from jaxgen.scores.suspicion import suspicion
from jaxgen.types import Dataset

# cleanlab's label quality scores, its default first.
CLEANLAB_METHODS = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")
# Bagged trees of Data-OOB; each example is left out of about 37 of them.
NUM_TREES = 100
# Data-OOB is left out for data of more numbers: its trees would take minutes per draw of noise.
MAX_NUMBERS = 500_000


def has_cleanlab() -> bool:
    """Whether cleanlab is installed."""
    return importlib.util.find_spec("cleanlab") is not None


def suits_data_oob(dataset: Dataset) -> bool:
    """Whether the data are small enough for Data-OOB's trees on raw inputs."""
    return dataset.images.size <= MAX_NUMBERS


def describe_missing(dataset: Dataset) -> list[str]:
    """A line for each baseline that is left out, with the reason."""
    lines = []
    if not has_cleanlab():
        lines.append("cleanlab is not installed, so confident learning is left out; pip install -e '.[cleanlab]'")
    if not suits_data_oob(dataset):
        lines.append(
            f"Data-OOB is left out: {dataset.images.size:,} numbers are more than the {MAX_NUMBERS:,} that trees take "
            "in reasonable time"
        )
    return lines


def with_label_probabilities(pred_probs: np.ndarray, exact: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The probabilities ``[n, c]``, with those of the labels replaced by the more exact ``exact [n]``, normalized.

    Probabilities of all classes are stored in 255 steps, which ties many small ones of a single model.
    """
    sharpened = pred_probs.astype(np.float64)
    sharpened[np.arange(len(labels)), labels] = exact
    return sharpened / sharpened.sum(1, keepdims=True)


def rate_by_cleanlab(pred_probs: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Suspicion ``[n]`` by each of cleanlab's methods (C. Northcutt, L. Jiang, I. Chuang, Confident Learning, JAIR
    2021, https://arxiv.org/abs/1911.00068; J. Kuan, J. Mueller, Model-agnostic label quality scoring, 2022).

    Args:
      pred_probs: out-of-sample probabilities ``[n, c]``; rows of NaN are not rated.
      labels: ints ``[n]``.
    """
    from cleanlab.rank import get_label_quality_scores

    known, suspicions = np.isfinite(pred_probs).all(1), {}
    for method in CLEANLAB_METHODS:
        quality = np.full(len(labels), np.nan)
        # cleanlab needs probabilities that sum to 1 in double precision.
        probs = pred_probs[known].astype(np.float64)
        quality[known] = get_label_quality_scores(labels[known], probs / probs.sum(1, keepdims=True), method=method)
        suspicions[method] = suspicion(quality, -1)
    return suspicions


def count_by_cleanlab(pred_probs: np.ndarray, labels: np.ndarray) -> int:
    """The number of wrong labels as estimated by cleanlab."""
    from cleanlab.count import num_label_issues

    known = np.isfinite(pred_probs).all(1)
    return int(num_label_issues(labels[known], pred_probs[known].astype(np.float64)))


def flag_by_cleanlab(pred_probs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The examples that cleanlab finds to be mislabelled by its default filter, bool ``[n]``; none of rows of NaN."""
    from cleanlab.filter import find_label_issues

    known = np.isfinite(pred_probs).all(1)
    flagged = np.zeros(len(labels), bool)
    flagged[known] = find_label_issues(labels[known], pred_probs[known].astype(np.float64), n_jobs=1)
    return flagged


def rate_by_data_oob(dataset: Dataset, seed: int) -> np.ndarray:
    """Suspicion ``[n]`` by Data-OOB: the negative out-of-bag accuracy of bagged decision trees on each example.

    Y. Kwon, J. Zou. Data-OOB: Out-of-bag Estimate as a Simple and Efficient Data Value. ICML 2023.
    https://arxiv.org/abs/2304.07718, equation 1. It is the held-out accuracy of `jaxgen.scores.heldout` for
    bootstrap samples and trees on raw inputs. On the digits it agrees with pyDVL 0.10 to 3e-16 for the same trees;
    pyDVL itself needs NumPy < 2.
    """
    from sklearn.ensemble import BaggingClassifier
    from sklearn.tree import DecisionTreeClassifier

    rows = dataset.images.reshape(len(dataset.labels), -1)
    bag = BaggingClassifier(DecisionTreeClassifier(), n_estimators=NUM_TREES, random_state=seed)
    bag.fit(rows, dataset.labels)
    counts, hits = np.zeros((2, len(rows)))
    for tree, drawn in zip(bag.estimators_, bag.estimators_samples_, strict=True):
        out_of_bag = np.ones(len(rows), bool)
        out_of_bag[drawn] = False
        counts[out_of_bag] += 1
        # The trees predict indices into `bag.classes_`.
        hits[out_of_bag] += bag.classes_[tree.predict(rows[out_of_bag]).astype(int)] == dataset.labels[out_of_bag]
    with np.errstate(invalid="ignore"):
        return suspicion(hits / counts, -1)
