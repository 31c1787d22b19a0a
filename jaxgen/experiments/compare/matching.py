"""Matches the examples of two score files: by ids if both have them, else by order; compares their labels."""

import pathlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxgen.data.image_sets import tfds_order
from jaxgen.data.published.pairs import UNKNOWN_ORDER, Matrix
from jaxgen.data.published.scores import Values
from jaxgen.errors import UserError
from jaxgen.types import Dataset

# By value of --reorder: a function from n to the original positions ``[n]``, and a description of the order.
ORDERS: dict[str, tuple[Callable[[int], np.ndarray], str]] = {
    "tfds": (lambda count: tfds_order("train", count), "tensorflow-datasets order"),
    "original": (np.arange, "positions in the original files"),
}


class Matched(NamedTuple):
    """Values of two files for the same n examples.

    Attributes:
      names: of the two files' scores.
      values: float64 ``[2, n]``.
      labels: ``[n]`` or None.
      class_labels: text ``[n]``: class names of the labels, or the labels where no file has class names; or None.
      ids: ``[n]``: ids of the examples, or their positions.
      by_ids: whether some file has ids.
      pairs: whether the values belong to pairs of a training and a test example.
      notes: lines about the matching and checks.
    """

    names: tuple[str, str]
    values: np.ndarray
    labels: np.ndarray | None
    class_labels: np.ndarray | None
    ids: np.ndarray
    by_ids: bool
    pairs: bool
    notes: tuple[str, ...]


def match(first: Values, second: Values, reorder: str = "none", allow_other_labels: bool = False) -> Matched:
    """Matches the examples of two files.

    Args:
      first, second: the files.
      reorder: value of ``--reorder``.
      allow_other_labels: whether labels may differ.

    Raises:
      UserError: for files of different examples, naming the first label that differs.
    """
    if first.pairs != second.pairs:
        kinds = {True: "pairs", False: "examples"}
        raise UserError(
            f"{first.name} is of {kinds[first.pairs]}, {second.name} of {kinds[second.pairs]}; choose by --score"
        )
    first, second, order_note = reordered(first, second, reorder)
    if first.ids is not None and second.ids is not None:
        here, there, note = by_ids(first, second)
        ids = first.ids[here]
    else:
        here, there, note = in_order(first, second)
        ids_of_one = first.ids if first.ids is not None else second.ids
        ids = np.arange(len(first.values)) if ids_of_one is None else ids_of_one
    notes = [f"{order_note}{note}", check_labels(first, second, here, there, ids, allow_other_labels)]
    values = np.stack([first.values[here], second.values[there]])
    labels, class_labels = next(
        (
            (file.labels[positions], label_texts(file)[0][positions])
            for file, positions in labelled_files(first, here, second, there)
        ),
        (None, None),
    )
    has_ids = first.ids is not None or second.ids is not None
    return Matched((first.name, second.name), values, labels, class_labels, ids, has_ids, first.pairs, tuple(notes))


def labelled_files(
    first: Values, here: np.ndarray, second: Values, there: np.ndarray
) -> list[tuple[Values, np.ndarray]]:
    """Files that have labels, with the positions of the matched examples; files with class names come first."""
    labelled = [(file, positions) for file, positions in ((first, here), (second, there)) if file.labels is not None]
    return sorted(labelled, key=lambda pair: pair[0].class_names is None)


def label_texts(file: Values) -> list[np.ndarray]:
    """Labels as texts ``[n]``: by class name, if the file has class names, and as written."""
    labels, names = np.asarray(file.labels), file.class_names
    as_written = labels.astype(str)
    if names is None or labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= len(names):
        return [as_written]
    return [np.asarray(names)[labels].astype(str), as_written]


def reordered(first: Values, second: Values, reorder: str) -> tuple[Values, Values, str]:
    """Gives a file without ids those that ``--reorder`` implies; pairs are reordered by `order_pairs`.

    Returns:
      Both files, and the beginning of a note about it.

    Raises:
      UserError: if both files have ids already.
    """
    if reorder == "none" or first.pairs:
        return first, second, ""
    without_ids = [i for i, file in enumerate((first, second)) if file.ids is None]
    if not without_ids:
        raise UserError(
            f"--reorder={reorder}: {first.name} and {second.name} both say which example is which; leave it out"
        )
    files = [first, second]
    unordered = files[without_ids[0]]
    original_positions, order = ORDERS[reorder]
    files[without_ids[0]] = unordered._replace(ids=original_positions(len(unordered.values)), order=order)
    if len(without_ids) == 2:
        files[1] = second._replace(ids=np.arange(len(second.values)), order="positions")
    note = f"{unordered.name} brought from {order} into that of the original files; " if reorder == "tfds" else ""
    return *files, note


def order_pairs(sources: Sequence[Any], reorder: str) -> list[Any]:
    """Brings the first source of pairs in an unknown order into the original order, as ``--reorder`` says.

    With ``--reorder=none``, two sources of unknown order are assumed to have the same order.

    Args:
      sources: two of `Values`, `Matrix` or `jaxgen.experiments.compare.recompute.Runs`.
      reorder: value of ``--reorder``.

    Raises:
      UserError: if nothing can be reordered, or a needed ``--reorder`` is missing.
    """
    ordered, unknown = list(sources), [i for i, source in enumerate(sources) if source.order == UNKNOWN_ORDER]
    if reorder == "none":
        if len(unknown) == 1 and isinstance(ordered[unknown[0]], Matrix):
            raise UserError(
                f"{ordered[unknown[0]].name}: does not tell the order of its examples, as the other file does; give "
                "--reorder=tfds if they lie as in tensorflow-datasets (as those of the published MNIST demo do), "
                "--reorder=original if as in the original files"
            )
        return ordered
    if not unknown:
        names = " and ".join(source.name for source in ordered)
        raise UserError(f"--reorder={reorder}: {names} both say which example is which; leave it out")
    unordered = ordered[unknown[0]]
    if reorder == "original":
        ordered[unknown[0]] = unordered._replace(order="pairs of positions in the original files")
    elif isinstance(unordered, Values):
        raise UserError(
            f"--reorder={reorder}: {unordered.name} has pairs of an unknown number of examples; give the folder of runs"
        )
    else:
        ordered[unknown[0]] = unordered.in_original_order()
    return ordered


def by_ids(first: Values, second: Values) -> tuple[np.ndarray, np.ndarray, str]:
    """Positions ``[n]`` in both files of their common ids, and a note; without ids of one kind, as `in_order`."""
    first_ids, second_ids = first.ids, second.ids
    if (first_ids.dtype.kind in "iu") != (second_ids.dtype.kind in "iu"):
        return in_order(first, second)
    for name, ids in ((first.name, first_ids), (second.name, second_ids)):
        unique_ids, counts = np.unique(ids, return_counts=True)
        if len(unique_ids) < len(ids):
            raise UserError(f"{name}: {counts.max()} values have the id {unique_ids[counts.argmax()]}; ids must differ")
    shared, here, there = np.intersect1d(first_ids, second_ids, assume_unique=True, return_indices=True)
    if not len(shared) and first_ids.dtype.kind == "U":
        first_ids, second_ids = without_folders(first, second)
        shared, here, there = np.intersect1d(first_ids, second_ids, assume_unique=True, return_indices=True)
    if not len(shared):
        raise UserError(
            f"{first.name} and {second.name}: share no id (such as {first.ids[0]} and {second.ids[0]}); they are of "
            "other examples"
        )
    order = np.argsort(here)
    kind = "pairs" if first.pairs else "ids"
    counts = f"{len(shared):,} of {len(first_ids):,} and {len(second_ids):,}"
    return here[order], there[order], f"matched by {kind} ({first.order}; {second.order}): {counts}"


def without_folders(first: Values, second: Values) -> tuple[np.ndarray, np.ndarray]:
    """The ids (file names) of both files without leading folders: the longest endings that have some in common.

    Raises:
      UserError: if an ending occurs twice in a file.
    """
    parts = [[pathlib.PurePath(name).parts for name in file.ids] for file in (first, second)]
    for depth in range(max(len(name) for names in parts for name in names), 0, -1):
        first_names, second_names = (np.asarray(["/".join(name[-depth:]) for name in names]) for names in parts)
        if not np.isin(first_names, second_names).any():
            continue
        for file, endings in ((first, first_names), (second, second_names)):
            unique_endings, counts = np.unique(endings, return_counts=True)
            if len(unique_endings) < len(endings):
                raise UserError(
                    f"{first.name} and {second.name}: share file names such as {unique_endings[counts.argmax()]} only, "
                    f"which {file.name} has {counts.max()} times; give both the same folders in their ids"
                )
        break
    return first_names, second_names


def in_order(first: Values, second: Values) -> tuple[np.ndarray, np.ndarray, str]:
    """All positions in both files, and a note.

    Raises:
      UserError: if the files differ in length.
    """
    if len(first.values) != len(second.values):
        raise UserError(
            f"{first.name} has {len(first.values):,} values, {second.name} {len(second.values):,}, and not both say "
            "which example is which; they must be of the same examples"
        )
    positions = np.arange(len(first.values))
    return positions, positions, "matched by order: not both files say which example is which by ids of one kind"


def check_labels(
    first: Values, second: Values, here: np.ndarray, there: np.ndarray, ids: np.ndarray, allowed: bool
) -> str:
    """Compares the labels of both files; returns a note about it.

    Raises:
      UserError: if labels differ and this is not `allowed`.
    """
    if first.labels is None or second.labels is None:
        return "labels could not be checked: not both files have them"
    # One file may have class indices where the other has names: the best agreement counts.
    candidates = [
        (first_labels[here], second_labels[there])
        for first_labels in label_texts(first)
        for second_labels in label_texts(second)
    ]
    first_labels, second_labels = min(candidates, key=lambda pair: (pair[0] != pair[1]).sum())
    differs = first_labels != second_labels
    if differs.any() and allowed:
        return (
            f"labels differ in {differs.sum():,} of {len(first_labels):,}, as --other_labels allows; "
            "shown are those of one file"
        )
    if differs.any():
        i = int(np.argmax(differs))
        raise UserError(
            f"{first.name} and {second.name}: labels differ, first at id {ids[i]}: {first_labels[i]} and "
            f"{second_labels[i]} ({differs.sum():,} of {len(first_labels):,} differ); {other_labels(first, second)}"
        )
    return f"labels agree in all {len(first_labels):,}"


def other_labels(first: Values, second: Values) -> str:
    """Possible reasons for labels that differ, with remedies."""
    if first.ids is not None and second.ids is not None:
        return (
            "their ids are the same, so they are other labels of the same examples or other data with the same ids; "
            "give --other_labels if they were cleaned or flipped"
        )
    return (
        "they are of other examples, or in another order: give --reorder=tfds if one without ids lies in the order of "
        "tensorflow-datasets"
    )


def dataset_positions(dataset: Dataset, matched: Matched) -> np.ndarray:
    """The position ``[n]`` of each matched example in the data set.

    Raises:
      UserError: if an example is missing, or has another label than in the files.
    """
    source = f"--dataset={dataset.name}"
    if matched.by_ids and (matched.ids.dtype.kind in "iu") == (dataset.ids.dtype.kind in "iu"):
        order = np.argsort(dataset.ids, kind="stable")
        nearest = np.minimum(np.searchsorted(dataset.ids[order], matched.ids), len(order) - 1)
        positions = order[nearest]
        missing = dataset.ids[positions] != matched.ids
        if missing.any():
            raise UserError(
                f"{source}: has no example with the id {matched.ids[np.argmax(missing)]}; give the same data"
            )
    elif len(matched.ids) == len(dataset.labels):
        positions = np.arange(len(dataset.labels))
    else:
        raise UserError(f"{source}: has {len(dataset.labels):,} examples, the files {len(matched.ids):,}")
    if matched.labels is not None:
        differs = dataset.labels[positions].astype(str) != matched.labels.astype(str)
        names = np.asarray(dataset.class_names)[dataset.labels[positions]]
        differs &= names != matched.labels.astype(str)
        if differs.any():
            i = int(np.argmax(differs))
            raise UserError(
                f"{source}: example {matched.ids[i]} has label {names[i]}, in the files "
                f"{matched.class_labels[i]}; give the data that were scored, in their order"
            )
    return positions
