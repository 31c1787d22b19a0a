"""Evaluates a classifier under label flips and resampling on one fold of an imbalanced binary table.

Flips follow the binary rule of S. Hu et al., ICML 2025 (PMLR 267:24535). Imputation, standardization, out-of-fold
probabilities, choice of the threshold and flips use the training part of a fold alone. Its inner folds divide rows that
are filled already.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.config import LnrSpec
from jaxgen.data.scaling import column_scale
from jaxgen.errors import UserError
from jaxgen.experiments.tabular.mlp import padded_size, predict_each
from jaxgen.keys import Draw, draw_key
from jaxgen.runs.jax_settings import fixed_settings
from jaxgen.transforms.lnr import count_flips, flip_at_random, lnr_flip_binary

MEASURES = ("f1", "g_mean", "auc")
# The treatment that changes no row, but the probability at which rows are classified; and the probabilities tried.
TUNED = "decision_threshold"
CUTS = tuple(i / 20 for i in range(1, 20))


class Table(NamedTuple):
    """Features ``x [n, f]`` and labels ``y [n]``, 1 for the minority class."""

    x: np.ndarray
    y: np.ndarray


class Fold(NamedTuple):
    """A fold: training and test part, and the seed of all its draws."""

    train: Table
    test: Table
    seed: int


def make_classifier(name: str, seed: int, trees: int) -> Any:
    """A scikit-learn classifier by name."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.tree import DecisionTreeClassifier

    makers: dict[str, Callable[[], Any]] = {
        "knn": KNeighborsClassifier,
        "cart": lambda: DecisionTreeClassifier(random_state=seed),
        "logistic": lambda: LogisticRegression(max_iter=1000),
        "forest": lambda: RandomForestClassifier(trees, random_state=seed),
    }
    return makers[name]()


def fold_rows(part: Table, folds: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Row indices of the training and test parts of stratified folds."""
    from sklearn.model_selection import StratifiedKFold

    with warnings.catch_warnings():
        # scikit-learn warns of folds that lack a class; they are evaluated all the same.
        warnings.simplefilter("ignore", UserWarning)
        yield from StratifiedKFold(folds, shuffle=True, random_state=seed).split(part.x, part.y)


def split(part: Table, folds: int, seed: int, impute: str = "none") -> list[tuple[Table, Table]]:
    """Training and test parts of stratified folds, filled and standardized by the training part."""
    pairs = []
    for train, test in fold_rows(part, folds, seed):
        parts = [Table(part.x[rows], part.y[rows]) for rows in (train, test)]
        pairs.append(tuple(standardize(table, parts[0], impute) for table in parts))
    return pairs


def standardize(part: Table, by: Table, impute: str = "none") -> Table:
    """Fills and standardizes columns by their statistics in `by`; columns that are constant there become 0."""
    return part._replace(x=column_scale(by.x, impute).apply(part.x, np.float64))


def out_of_fold(part: Table, spec: LnrSpec, seed: int, classifier: str) -> np.ndarray:
    """Out-of-fold probabilities of the minority class by ``--score_by``, float32 ``[n]``.

    Args:
      part: the rows.
      spec: the flags.
      seed: of the folds and the classifier.
      classifier: the classifier that is judged, which ``own`` stands for.
    """
    scorer = classifier if spec.tabular.score_by == "own" else spec.tabular.score_by
    probabilities = np.zeros(len(part.y), np.float32)
    for train, test in fold_rows(part, max(2, min(spec.tabular.folds, int(part.y.sum()))), seed):
        table = Table(part.x[train], part.y[train])
        [probabilities[test]] = predict(scorer, spec, seed, [table], part.x[test])
    return probabilities


@jax.jit
def flip_at_each(
    key: jax.Array, scores: jax.Array, labels: jax.Array, thresholds: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Labels flipped by the rule, and as many at random, at each threshold: int ``[t, n]`` each, of the same draws."""

    def at(threshold: jax.Array) -> tuple[jax.Array, jax.Array]:
        flipped = lnr_flip_binary(draw_key(key, Draw.FLIP), scores, labels, threshold=threshold).labels
        control = flip_at_random(draw_key(key, Draw.CONTROL), labels, count_flips(labels, flipped, 2))
        return flipped, control

    return jax.lax.map(at, thresholds)


def flip(
    part: Table, spec: LnrSpec, thresholds: Sequence[float], seed: int, classifier: str
) -> tuple[np.ndarray, np.ndarray]:
    """`flip_at_each` for a training part, with its out-of-fold probabilities (`out_of_fold`)."""
    count = len(part.y)
    # Padded, so that parts of similar size share a program: minority rows change no mean and never flip.
    scores, labels = np.ones(padded_size(count), np.float32), np.ones(padded_size(count), np.int32)
    scores[:count], labels[:count] = out_of_fold(part, spec, seed, classifier), part.y
    flipped = flip_at_each(jax.random.key(seed), scores, labels, jnp.asarray(thresholds, jnp.float32))
    return tuple(np.asarray(array)[:, :count] for array in flipped)


def resample(part: Table, how: str, seed: int) -> Table:
    """The part resampled by imbalanced-learn; the part itself where that fails or changes nothing.

    ADASYN fails if no minority row has a majority neighbour, SMOTE if there is a single minority row; Borderline-SMOTE
    changes nothing if no row is near the border.

    Args:
      part: rows and labels.
      how: name of the resampler.
      seed: of its draws.

    Raises:
      UserError: if imbalanced-learn is not installed.
    """
    try:
        from imblearn.over_sampling import ADASYN, SMOTE, BorderlineSMOTE, RandomOverSampler
        from imblearn.under_sampling import RandomUnderSampler
    except ImportError:
        raise UserError(
            f"--treatments={how}: needs imbalanced-learn; pip install -e '.[imbalance]', or leave it out"
        ) from None
    neighbours = max(1, min(5, int(part.y.sum()) - 1))
    makers = {
        "smote": lambda: SMOTE(random_state=seed, k_neighbors=neighbours),
        "borderline_smote": lambda: BorderlineSMOTE(random_state=seed, k_neighbors=neighbours),
        "adasyn": lambda: ADASYN(random_state=seed, n_neighbors=neighbours),
        "oversampling": lambda: RandomOverSampler(random_state=seed),
        "undersampling": lambda: RandomUnderSampler(random_state=seed),
    }
    try:
        resampled = Table(*makers[how]().fit_resample(part.x, part.y))
    except (ValueError, RuntimeError):
        return part
    # Borderline-SMOTE does not raise if no minority row is near the border.
    return part if len(resampled.y) == len(part.y) else resampled


def predict(classifier: str, spec: LnrSpec, seed: int, tables: Sequence[Table], test: np.ndarray) -> np.ndarray:
    """Probabilities ``[k, t]`` of the minority for rows ``test [t, f]``, by a model trained on each of k tables."""
    if classifier == "mlp":
        return predict_each([(table.x, table.y) for table in tables], test, epochs=spec.tabular.mlp_epochs, seed=seed)
    return np.stack([predict_one(classifier, spec, seed, table, test) for table in tables])


def predict_labels(
    classifier: str, spec: LnrSpec, seed: int, x: np.ndarray, labels: np.ndarray, test: np.ndarray
) -> np.ndarray:
    """As `predict`, for the same rows with each of ``labels [k, n]``; equal labels share a model.

    Often half of the thresholds flip no label.
    """
    distinct, indices = np.unique(labels, axis=0, return_inverse=True)
    return predict(classifier, spec, seed, [Table(x, y) for y in distinct], test)[indices.ravel()]


def predict_one(classifier: str, spec: LnrSpec, seed: int, table: Table, test: np.ndarray) -> np.ndarray:
    """Probabilities ``[t]`` by one scikit-learn classifier; constant if all training rows are of one class."""
    if len(np.unique(table.y)) == 1:
        return np.full(len(test), float(table.y[0]))
    model = make_classifier(classifier, seed, spec.tabular.trees)
    if classifier == "knn" and len(table.y) < model.n_neighbors:
        model.set_params(n_neighbors=len(table.y))
    return model.fit(table.x, table.y).predict_proba(test)[:, 1]


def score_predictions(probabilities: np.ndarray, labels: np.ndarray, cut: float = 0.5) -> np.ndarray:
    """F1 of the minority, geometric mean of both recalls, and AUC ``[3]``; NaN if a probability is not finite.

    Rows are classified at the probability `cut`.
    """
    from sklearn.metrics import roc_auc_score

    if not np.isfinite(probabilities).all():
        return np.full(len(MEASURES), np.nan)
    recalls = [(probabilities > cut)[labels == 1].mean(), (probabilities <= cut)[labels == 0].mean()]
    return np.array(
        [f1_of(probabilities, labels, cut), np.sqrt(np.prod(recalls)), roc_auc_score(labels, probabilities)]
    )


def f1_of(probabilities: np.ndarray, labels: np.ndarray, cut: float = 0.5) -> float:
    """F1 of the minority at probability `cut`: 0 without positive predictions, NaN if a probability is not finite."""
    if not np.isfinite(probabilities).all():
        return float("nan")
    predicted = probabilities > cut
    return float(2 * (predicted & (labels == 1)).sum() / (predicted.sum() + labels.sum()))


def inner_folds(fold: Fold, spec: LnrSpec) -> list[tuple[Table, Table]]:
    """Inner folds of the training part, as of `split`; empty where the minority is too small for two."""
    count = min(spec.tabular.inner_folds, int(fold.train.y.sum()))
    return split(fold.train, count, fold.seed) if count >= 2 else []


def choose_threshold(fold: Fold, classifier: str, spec: LnrSpec) -> float:
    """The threshold with the highest mean F1 over inner folds of the training part; the highest of ties."""
    inner = inner_folds(fold, spec) if len(spec.flips.threshold) > 1 else []
    if not inner:
        return max(spec.flips.threshold)
    scores = []
    for train, test in inner:
        flipped, _ = flip(train, spec, spec.flips.threshold, fold.seed, classifier)
        predictions = predict_labels(classifier, spec, fold.seed, train.x, flipped, test.x)
        scores.append([f1_of(probabilities, test.y) for probabilities in predictions])
    means = np.nan_to_num(np.mean(scores, axis=0), nan=-1)
    return max(zip(means, spec.flips.threshold, strict=True))[1]


def choose_cut(fold: Fold, classifier: str, spec: LnrSpec) -> float:
    """The probability of `CUTS` with the highest mean F1 over inner folds of the training part.

    Of ties the one nearest to 0.5; 0.5 where the minority is too small for inner folds.
    """
    inner = inner_folds(fold, spec)
    if not inner:
        return 0.5
    scores = []
    for train, test in inner:
        [probabilities] = predict(classifier, spec, fold.seed, [train], test.x)
        scores.append([f1_of(probabilities, test.y, cut) for cut in CUTS])
    means = np.nan_to_num(np.mean(scores, axis=0), nan=-1)
    return max(zip(means, (-abs(cut - 0.5) for cut in CUTS), CUTS, strict=True))[2]


class FoldResult(NamedTuple):
    """Results of one classifier on one fold.

    Attributes:
      scores: ``[treatments, 3]``, as of `score_predictions`; those of "none" for treatments that were refused.
      threshold: the chosen one; NaN if no treatment flips labels.
      flips: number of labels flipped at that threshold.
      refused: bool ``[treatments]``: where `resample` changed nothing.
      by_threshold: ``[thresholds]``: F1 on the test part with flips at each threshold; NaN as `threshold`.
    """

    scores: np.ndarray
    threshold: float
    flips: int
    refused: np.ndarray
    by_threshold: np.ndarray


@fixed_settings()
def evaluate_fold(fold: Fold, classifier: str, spec: LnrSpec) -> FoldResult:
    """Trains a classifier under each treatment of a fold's training part, and scores it on the test part."""
    names, thresholds = spec.tabular.treatments, spec.flips.threshold
    threshold, flips, labels = float("nan"), 0, {"none": fold.train.y}
    by_threshold = np.full(len(thresholds), np.nan)
    flipped = np.empty((0, len(fold.train.y)), int)
    if {"lnr", "random_flips"} & {*names}:
        threshold = choose_threshold(fold, classifier, spec)
        flipped, controls = flip(fold.train, spec, thresholds, fold.seed, classifier)
        chosen = thresholds.index(threshold)
        labels |= {"lnr": flipped[chosen], "random_flips": controls[chosen]}
        flips = int((flipped[chosen] != fold.train.y).sum())
    test, seed = fold.test, fold.seed
    # Treatments that were not requested cost little: without flips they share the model of "none".
    predictions = predict_labels(classifier, spec, seed, fold.train.x, np.stack([*labels.values(), *flipped]), test.x)
    by_treatment = dict(zip(labels, predictions, strict=False))
    by_threshold[: len(flipped)] = [f1_of(probabilities, test.y) for probabilities in predictions[len(labels) :]]
    resampled = {name: resample(fold.train, name, seed) for name in names if name not in {*labels, TUNED}}
    cuts = {TUNED: choose_cut(fold, classifier, spec)} if TUNED in names else {}
    changed = {name: part for name, part in resampled.items() if part is not fold.train}
    if changed:
        by_treatment |= dict(zip(changed, predict(classifier, spec, seed, [*changed.values()], test.x), strict=True))
    plain = by_treatment["none"]
    scores = np.array([score_predictions(by_treatment.get(name, plain), test.y, cuts.get(name, 0.5)) for name in names])
    refused = np.array([name in resampled and name not in changed for name in names])
    return FoldResult(scores, threshold, flips, refused, by_threshold)
