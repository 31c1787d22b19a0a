"""The data of a page: all per-example arrays, packed, images, and a JSON description for the page's script.

Axes: n training examples, t test examples, k ratios, c classes, e epochs, p pairs.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxgen.scores.registry import REGISTRY, Score
from jaxgen.types import Dataset, Scores
from jaxgen.views.page.packing import Packed, deflate_bytes, pack, pack_coarsely
from jaxgen.views.page.sprites import COLUMNS, ROWS, Sprites, make_sprites

# Limits of what the page contains: predicted classes, points of a learning curve, influence pairs, features.
MOST_GUESSES, MOST_POINTS, MOST_PAIRS, MOST_FEATURES = 5, 40, 200_000, 64


class Column(NamedTuple):
    """A score and its values.

    Attributes:
      score: registry entry.
      values: ``[n]``, NaN where unknown.
      stderr: standard errors ``[n]``, or None.
      low, high: limits of the 95 % intervals ``[n]``, or None.
    """

    score: Score
    values: np.ndarray
    stderr: np.ndarray | None
    low: np.ndarray | None
    high: np.ndarray | None


class PageData(NamedTuple):
    """The arrays and images of a page.

    Attributes:
      arrays: by name.
      pictures: ``train`` and ``test``, as far as available.
      about: names, sizes and omissions as plain JSON, for the page's script.
    """

    arrays: dict[str, Packed]
    pictures: dict[str, Sprites]
    about: dict[str, Any]


def score_columns(scores: Scores) -> list[Column]:
    """The available scores, in the order of the registry."""
    arrays: dict[str, np.ndarray] = {**scores.more, "scores": scores.scores, "stderr": scores.stderr}
    shape = scores.scores.shape

    def read(name: str) -> np.ndarray | None:
        if not holds(arrays, name, shape, "biuf"):
            return None
        values = np.asarray(arrays[name], np.float64)
        # The page uses float32, in which larger values would be infinite.
        return np.where(np.abs(values) < np.finfo(np.float32).max, values, np.nan)

    columns = []
    for name, score in REGISTRY.items():
        values = read(name)
        if values is not None:
            columns.append(Column(score, values, read(score.stderr), read(f"{name}_low"), read(f"{name}_high")))
    return columns


def holds(arrays: Mapping[str, np.ndarray], name: str, shape: tuple[int, ...], kinds: str) -> bool:
    """Whether an array exists with this shape and one of these dtype kinds; files may contain others."""
    return name in arrays and np.shape(arrays[name]) == shape and np.asarray(arrays[name]).dtype.kind in kinds


def make_page_data(scores: Scores, columns: list[Column], dataset: Dataset | None) -> PageData:
    """The data of a page; without the data set, it has no images and no features."""
    arrays = {"labels": pack(scores.labels), "counts": pack(scores.counts)}
    arrays["by_ratio"] = pack_coarsely(scores.scores_by_ratio, 2)
    for column in columns:
        arrays[f"value:{column.score.name}"] = pack(column.values)
        for part in ("stderr", "low", "high"):
            if (values := getattr(column, part)) is not None:
                arrays[f"{part}:{column.score.name}"] = pack_coarsely(values, 2)
    about = {
        "classes": [str(name) for name in scores.class_names],
        "ratios": [float(ratio) for ratio in scores.subset_ratios],
        "count": len(scores.labels),
        "columns": [describe_column(column) for column in columns],
        "numbered": bool(np.array_equal(scores.ids, np.arange(len(scores.labels)))),
        "perSheet": COLUMNS * ROWS,
        "perRow": COLUMNS,
    }
    arrays["ids"] = pack_texts(scores.ids)
    arrays |= pack_guesses(scores) | pack_curves(scores)
    pairs = strongest_pairs(scores)
    arrays |= pack_pairs(scores, pairs)
    about["allPairs"] = len(scores.more["influence"]) if len(pairs) else 0
    about["pairs"] = len(pairs)
    pictures: dict[str, Sprites] = {}
    if dataset is not None and dataset.has_images:
        order = np.argsort(scores.scores, kind="stable")
        pictures["train"] = make_sprites(dataset.images[: len(order)], dataset.scale, order)
        arrays["place:train"] = pack(places_of(order, len(order)))
        shown = np.unique(scores.more["influence_test"][pairs]) if len(pairs) else pairs
        if len(shown) and dataset.test_images is not None and shown[-1] < len(dataset.test_images):
            pictures["test"] = make_sprites(dataset.test_images, dataset.scale, shown)
            arrays["place:test"] = pack(places_of(shown, len(dataset.test_images)))
    elif dataset is not None:
        arrays["features"] = pack(source_values(dataset)[:, :MOST_FEATURES])
        about["features"] = dataset.images.shape[1]
    about["pictures"] = {
        name: {"kind": sprites.kind, "height": sprites.height, "width": sprites.width}
        for name, sprites in pictures.items()
    }
    about["arrays"] = {name: packed.form for name, packed in arrays.items()}
    return PageData(arrays, pictures, about)


def describe_column(column: Column) -> dict[str, Any]:
    """A score, described for the page's script."""
    score = column.score
    return {"name": score.name, "meaning": score.meaning, "suspicious": score.suspicious}


def source_values(dataset: Dataset) -> np.ndarray:
    """Features in the units of their source, ``[n, f]``."""
    return dataset.images.astype(np.float64) * dataset.spread + dataset.shift


def places_of(order: np.ndarray, count: int) -> np.ndarray:
    """The position of each of `count` examples in ``order``, from 1; 0 for examples that are not in it."""
    places = np.zeros(count, np.int64)
    places[order] = np.arange(1, len(order) + 1)
    return places


def pack_texts(texts: np.ndarray) -> Packed:
    """Packs texts, separated by zero bytes."""
    joined = "\0".join(str(text).replace("\0", " ") for text in texts.tolist())
    return Packed({"type": "text", "shape": texts.shape}, deflate_bytes(joined.encode("utf-8", "replace")))


def pack_guesses(scores: Scores) -> dict[str, Packed]:
    """The most probable classes of each example when held out, and their probabilities."""
    if not holds(scores.more, "pred_probs", (len(scores.labels), len(scores.class_names)), "f"):
        return {}
    probs = scores.more["pred_probs"]
    count = min(MOST_GUESSES, probs.shape[1])
    guesses = np.argsort(-np.nan_to_num(probs), axis=1, kind="stable")[:, :count]
    shares = np.take_along_axis(probs, guesses, axis=1)
    return {"guesses": pack(guesses), "guess_probs": pack_coarsely(shares, 1)}


def pack_curves(scores: Scores) -> dict[str, Packed]:
    """Learning curves at `MOST_POINTS` or fewer epochs, ``[n, 2, e]``: the curves of an example are contiguous."""
    n, more = len(scores.labels), scores.more
    epochs = np.asarray(more.get("curve_epochs", ()))
    if epochs.ndim != 1 or epochs.dtype.kind not in "iu" or not len(epochs):
        return {}
    chosen = np.unique(np.linspace(0, len(epochs) - 1, min(len(epochs), MOST_POINTS)).round().astype(int))
    packed = {"curve_epochs": pack(np.maximum(epochs[chosen], 0))}
    for name in ("curve_correct", "curve_confidence"):
        if holds(more, name, (2, len(epochs), n), "f"):
            packed[name] = pack_coarsely(np.moveaxis(more[name][:, chosen], 2, 0), 1)
    if holds(more, "curve_counts", (2, n), "iu"):
        packed["curve_counts"] = pack(np.maximum(more["curve_counts"], 0))
    return packed


def strongest_pairs(scores: Scores) -> np.ndarray:
    """Indices of the `MOST_PAIRS` influence pairs with the largest absolute value, in descending order.

    Empty if the arrays are missing or refer to examples that do not exist.
    """
    more, count = scores.more, np.shape(scores.more.get("influence", 0))
    places = [name for name in ("influence_train", "influence_test") if holds(more, name, count, "iu")]
    if len(count) != 1 or not count[0] or len(places) < 2 or not holds(more, "influence", count, "f"):
        return np.empty(0, np.int64)
    if min(more[name].min() for name in places) < 0 or more["influence_train"].max() >= len(scores.labels):
        return np.empty(0, np.int64)
    strength = np.abs(more["influence"].astype(np.float64))
    order = np.argsort(-strength, kind="stable")
    return order[np.isfinite(strength[order])][:MOST_PAIRS]


def pack_pairs(scores: Scores, pairs: np.ndarray) -> dict[str, Packed]:
    """The influence pairs, and labels and accuracies of the test examples if the file has them for all."""
    if not len(pairs):
        return {}
    more, count = scores.more, np.shape(scores.more["influence"])
    packed = {f"pair_{name}": pack(more[f"influence_{name}"][pairs]) for name in ("train", "test")}
    packed["pair_value"] = pack_coarsely(more["influence"][pairs], 2)
    if holds(more, "influence_stderr", count, "f"):
        packed["pair_stderr"] = pack_coarsely(more["influence_stderr"][pairs], 2)
    tests = np.shape(more.get("test_labels", 0))
    if len(tests) != 1 or more["influence_test"].max() >= tests[0]:
        return packed
    if holds(more, "test_labels", tests, "iu") and more["test_labels"].min() >= 0:
        packed["test_labels"] = pack(more["test_labels"])
    if holds(more, "test_accuracy_by_example", tests, "f"):
        packed["test_accuracy"] = pack_coarsely(more["test_accuracy_by_example"], 2)
    return packed
