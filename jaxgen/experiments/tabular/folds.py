"""Rows of features in two unequal classes: what flips, or more or fewer rows, make of scikit-learn's classifiers.

The binary rule of S. Hu et al., ICML 2025 (PMLR 267:24535), in stratified folds: features are standardized, out-of-fold
probabilities found, the threshold chosen and labels flipped within the training part of each fold alone.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.config import LnrSpec
from jaxgen.data.checks import column_scale
from jaxgen.errors import UserError
from jaxgen.experiments.tabular.mlp import fill, predict_each
from jaxgen.keys import Draw, draw_key
from jaxgen.transforms.lnr import count_flips, flip_at_random, lnr_flip_binary

MEASURES = ("f1", "g_mean", "auc")


class Part(NamedTuple):
    """Rows ``x [n, f]`` and labels ``y [n]``, 1 in the minority."""

    x: np.ndarray
    y: np.ndarray


class Fold(NamedTuple):
    """A fold to be judged: its training and its test part, and the seed of all its draws."""

    train: Part
    test: Part
    seed: int


def make_classifier(name: str, seed: int, trees: int) -> Any:
    """One of scikit-learn's, by name."""
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


def fold_rows(part: Part, folds: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The places of training and test rows of stratified folds."""
    from sklearn.model_selection import StratifiedKFold

    with warnings.catch_warnings():
        # That a fold of so few rows has none of a class: such folds are judged as they are.
        warnings.simplefilter("ignore", UserWarning)
        yield from StratifiedKFold(folds, shuffle=True, random_state=seed).split(part.x, part.y)


def split(part: Part, folds: int, seed: int) -> list[tuple[Part, Part]]:
    """Stratified folds, each standardized by its training part; a column that is constant there is 0 in both parts."""
    found = []
    for train, test in fold_rows(part, folds, seed):
        parts = [Part(part.x[rows], part.y[rows]) for rows in (train, test)]
        found.append(tuple(standardize(one, parts[0]) for one in parts))
    return found


def standardize(part: Part, by: Part) -> Part:
    """Columns of mean 0 and standard deviation 1 in `by`; one that is constant there is 0."""
    shift, spread = column_scale(by.x)
    return part._replace(x=(part.x - shift) / spread * (np.ptp(by.x, axis=0) > 0))


def out_of_fold(part: Part, spec: LnrSpec, seed: int) -> np.ndarray:
    """How likely each row is of the minority, float32 ``[n]``, by a classifier that has not seen it."""
    found = np.zeros(len(part.y), np.float32)
    for train, test in fold_rows(part, max(2, min(spec.tabular.folds, int(part.y.sum()))), seed):
        table = Part(part.x[train], part.y[train])
        [found[test]] = predict(spec.tabular.score_by, spec, seed, [table], part.x[test])
    return found


@jax.jit
def flip_at_each(
    key: jax.Array, scores: jax.Array, labels: jax.Array, thresholds: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Labels flipped by the rule and, as many, at random: int ``[t, n]`` each, of one draw at all thresholds."""

    def at(threshold: jax.Array) -> tuple[jax.Array, jax.Array]:
        flipped = lnr_flip_binary(draw_key(key, Draw.FLIP), scores, labels, threshold=threshold).labels
        control = flip_at_random(draw_key(key, Draw.CONTROL), labels, count_flips(labels, flipped, 2))
        return flipped, control

    return jax.lax.map(at, thresholds)


def flip(part: Part, spec: LnrSpec, thresholds: Sequence[float], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """`flip_at_each` of a training part, by its own out-of-fold probabilities."""
    count = len(part.y)
    # Filled up, so that parts of almost one size share a program: rows of the minority move no mean and never flip.
    scores, labels = np.ones(fill(count), np.float32), np.ones(fill(count), np.int32)
    scores[:count], labels[:count] = out_of_fold(part, spec, seed), part.y
    found = flip_at_each(jax.random.key(seed), scores, labels, jnp.asarray(thresholds, jnp.float32))
    return tuple(np.asarray(one)[:, :count] for one in found)


def resample(part: Part, how: str, seed: int) -> Part:
    """More rows of the minority, or fewer of the majority, as imbalanced-learn makes them; the part itself where it
    refuses: ADASYN where no row of the minority has a neighbour of the majority, SMOTE where there is but one row,
    Borderline-SMOTE where no row is near the border; and where it makes none.

    Raises:
      UserError: where imbalanced-learn is missing.
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
        made = Part(*makers[how]().fit_resample(part.x, part.y))
    except (ValueError, RuntimeError):
        return part
    # Borderline-SMOTE says nothing where no row of the minority is near the border.
    return part if len(made.y) == len(part.y) else made


def predict(classifier: str, spec: LnrSpec, seed: int, tables: Sequence[Part], test: np.ndarray) -> np.ndarray:
    """How likely each row of ``test [t, f]`` is of the minority, by a model of each table: ``[k, t]``."""
    if classifier == "mlp":
        return predict_each([(one.x, one.y) for one in tables], test, epochs=spec.tabular.mlp_epochs, seed=seed)
    return np.stack([predict_one(classifier, spec, seed, one, test) for one in tables])


def predict_labels(
    classifier: str, spec: LnrSpec, seed: int, x: np.ndarray, labels: np.ndarray, test: np.ndarray
) -> np.ndarray:
    """As `predict`, of the same rows under each of ``labels [k, n]``: ``[k, t]``; labels that are alike are one model.

    Thresholds above a table's largest z flip nothing: often half of them.
    """
    distinct, places = np.unique(labels, axis=0, return_inverse=True)
    return predict(classifier, spec, seed, [Part(x, y) for y in distinct], test)[places.ravel()]


def predict_one(classifier: str, spec: LnrSpec, seed: int, table: Part, test: np.ndarray) -> np.ndarray:
    """By one of scikit-learn's; of rows of one class only, that class for sure."""
    if len(np.unique(table.y)) == 1:
        return np.full(len(test), float(table.y[0]))
    model = make_classifier(classifier, seed, spec.tabular.trees)
    if classifier == "knn" and len(table.y) < model.n_neighbors:
        model.set_params(n_neighbors=len(table.y))
    return model.fit(table.x, table.y).predict_proba(test)[:, 1]


def judge(likely: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """F1 of the minority, the geometric mean of both classes' recall, and the area under the ROC curve ``[3]``.

    A row counts as of the minority where that is more likely than not; NaN of probabilities that are no numbers, as of
    a network that diverged.
    """
    from sklearn.metrics import roc_auc_score

    if not np.isfinite(likely).all():
        return np.full(len(MEASURES), np.nan)
    recalls = [(likely > 0.5)[labels == 1].mean(), (likely <= 0.5)[labels == 0].mean()]
    return np.array([f1_of(likely, labels), np.sqrt(np.prod(recalls)), roc_auc_score(labels, likely)])


def f1_of(likely: np.ndarray, labels: np.ndarray) -> float:
    """Twice the hits over the rows that are chosen and those that should be: 0 where none is chosen, NaN of NaN."""
    if not np.isfinite(likely).all():
        return float("nan")
    chosen = likely > 0.5
    return float(2 * (chosen & (labels == 1)).sum() / (chosen.sum() + labels.sum()))


def choose_threshold(fold: Fold, classifier: str, spec: LnrSpec) -> float:
    """The threshold of the highest mean F1 over inner folds of the training part; the highest of as good ones."""
    inner = min(spec.tabular.inner_folds, int(fold.train.y.sum()))
    if len(spec.flips.threshold) == 1 or inner < 2:
        return max(spec.flips.threshold)
    found = []
    for train, test in split(fold.train, inner, fold.seed):
        flipped, _ = flip(train, spec, spec.flips.threshold, fold.seed)
        likely = predict_labels(classifier, spec, fold.seed, train.x, flipped, test.x)
        found.append([f1_of(one, test.y) for one in likely])
    means = np.nan_to_num(np.mean(found, axis=0), nan=-1)
    return max(zip(means, spec.flips.threshold, strict=True))[1]


class Judged(NamedTuple):
    """What became of a fold.

    Of a treatment that made no change, `refused`, the scores are those of none.

    Attributes:
      scores: of each treatment, ``[treatments, 3]``.
      threshold: that was chosen; NaN where nothing is flipped.
      flips: how many labels it flipped.
      refused: of each treatment, whether imbalanced-learn found nothing to make: bool ``[treatments]``.
      by_threshold: F1 on the test part of flips at each threshold, by which hindsight would choose: ``[thresholds]``;
        NaN where nothing is flipped.
    """

    scores: np.ndarray
    threshold: float
    flips: int
    refused: np.ndarray
    by_threshold: np.ndarray


def judge_fold(fold: Fold, classifier: str, spec: LnrSpec) -> Judged:
    """One classifier under each treatment of a fold's training part, judged on its test part."""
    with jax.enable_x64(False):
        return judge_now(fold, classifier, spec)


def judge_now(fold: Fold, classifier: str, spec: LnrSpec) -> Judged:
    """As `judge_fold`, whatever the session is set to."""
    names, thresholds = spec.tabular.treatments, spec.flips.threshold
    threshold, flips, labels = float("nan"), 0, {"none": fold.train.y}
    by_threshold = np.full(len(thresholds), np.nan)
    flipped = np.empty((0, len(fold.train.y)), int)
    if {"lnr", "random_flips"} & {*names}:
        threshold = choose_threshold(fold, classifier, spec)
        flipped, controls = flip(fold.train, spec, thresholds, fold.seed)
        chosen = thresholds.index(threshold)
        labels |= {"lnr": flipped[chosen], "random_flips": controls[chosen]}
        flips = int((flipped[chosen] != fold.train.y).sum())
    test, seed = fold.test, fold.seed
    # Names that are not asked for cost little: without flips they are those of none.
    found = predict_labels(classifier, spec, seed, fold.train.x, np.stack([*labels.values(), *flipped]), test.x)
    likely = dict(zip(labels, found, strict=False))
    by_threshold[: len(flipped)] = [f1_of(one, test.y) for one in found[len(labels) :]]
    made = {name: resample(fold.train, name, seed) for name in names if name not in labels}
    fresh = {name: part for name, part in made.items() if part is not fold.train}
    if fresh:
        likely |= dict(zip(fresh, predict(classifier, spec, seed, [*fresh.values()], test.x), strict=True))
    scores = np.array([judge(likely.get(name, likely["none"]), test.y) for name in names])
    refused = np.array([name in made and name not in fresh for name in names])
    return Judged(scores, threshold, flips, refused, by_threshold)
