"""Which example of one file is which of the other: by ids where both have them, else by order, labels held together."""

import pathlib
from typing import NamedTuple

import numpy as np

from jaxgen.data.published import Values
from jaxgen.data.tfds import tfds_order
from jaxgen.errors import UserError
from jaxgen.types import Dataset


class Matched(NamedTuple):
    """Two files' values of the same n examples.

    Attributes:
      names: of the two.
      values: float64 ``[2, n]``.
      labels: ``[n]`` or None.
      ids: ``[n]``: what both say which example it is, or its position.
      by_ids: whether they do.
      pairs: whether these are pairs.
      notes: how they were matched and what was checked.
    """

    names: tuple[str, str]
    values: np.ndarray
    labels: np.ndarray | None
    ids: np.ndarray
    by_ids: bool
    pairs: bool
    notes: tuple[str, ...]


def match(first: Values, second: Values, reorder: str = "none") -> Matched:
    """Brings both to the same examples in the same order.

    Raises:
      UserError: for files that are not of the same examples, naming the first label that differs.
    """
    if first.pairs != second.pairs:
        of = {True: "pairs", False: "examples"}
        raise UserError(f"{first.name} is of {of[first.pairs]}, {second.name} of {of[second.pairs]}; choose by --score")
    first, second, moved = reordered(first, second, reorder)
    if first.ids is not None and second.ids is not None:
        here, there, note = by_ids(first, second)
        ids = first.ids[here]
    else:
        here, there, note = in_order(first, second)
        known = first.ids if first.ids is not None else second.ids
        ids = np.arange(len(first.values)) if known is None else known
    notes = [f"{moved}{note}", check_labels(first, second, here, there, ids)]
    values = np.stack([first.values[here], second.values[there]])
    labels = second.labels[there] if first.labels is None and second.labels is not None else first.labels
    labels = labels[here] if first.labels is not None else labels
    together = first.ids is not None or second.ids is not None
    return Matched((first.name, second.name), values, labels, ids, together, first.pairs, tuple(notes))


def reordered(first: Values, second: Values, reorder: str) -> tuple[Values, Values, str]:
    """Gives the file that lies in tensorflow-datasets order the ids of the original files."""
    if reorder == "none":
        return first, second, ""
    without = [place for place, one in enumerate((first, second)) if one.ids is None]
    if not without:
        raise UserError(
            f"--reorder={reorder}: {first.name} and {second.name} both say which example is which; leave it out"
        )
    both = [first, second]
    chosen = both[without[0]]
    both[without[0]] = chosen._replace(ids=tfds_order("train", len(chosen.values)), order="tensorflow-datasets order")
    if len(without) == 2:
        both[1] = second._replace(ids=np.arange(len(second.values)), order="positions")
    return *both, f"{chosen.name} brought from tensorflow-datasets order into that of the original files; "


def by_ids(first: Values, second: Values) -> tuple[np.ndarray, np.ndarray, str]:
    """Positions in both of the ids that both have."""
    own, other = first.ids, second.ids
    if (own.dtype.kind in "iu") != (other.dtype.kind in "iu"):
        return in_order(first, second)
    for name, ids in ((first.name, own), (second.name, other)):
        known, counts = np.unique(ids, return_counts=True)
        if len(known) < len(ids):
            raise UserError(f"{name}: {counts.max()} values have the id {known[counts.argmax()]}; ids must differ")
    shared, here, there = np.intersect1d(own, other, assume_unique=True, return_indices=True)
    if not len(shared) and own.dtype.kind == "U":
        # One may have the folders in the names.
        own, other = (np.asarray([pathlib.PurePath(name).name for name in ids]) for ids in (own, other))
        shared, here, there = np.intersect1d(own, other, return_indices=True)
    if not len(shared):
        raise UserError(
            f"{first.name} and {second.name}: share no id (such as {first.ids[0]} and {second.ids[0]}); they are of "
            "other examples"
        )
    order = np.argsort(here)
    what = "pairs" if first.pairs else "ids"
    counts = f"{len(shared):,} of {len(own):,} and {len(other):,}"
    return here[order], there[order], f"matched by {what} ({first.order}; {second.order}): {counts}"


def in_order(first: Values, second: Values) -> tuple[np.ndarray, np.ndarray, str]:
    """All positions, of files of one length."""
    if len(first.values) != len(second.values):
        raise UserError(
            f"{first.name} has {len(first.values):,} values, {second.name} {len(second.values):,}, and not both say "
            "which example is which; they must be of the same examples"
        )
    places = np.arange(len(first.values))
    return places, places, "matched by order: not both files say which example is which by ids of one kind"


def check_labels(first: Values, second: Values, here: np.ndarray, there: np.ndarray, ids: np.ndarray) -> str:
    """Refuses labels that differ, naming the first; says what could be checked."""
    if first.labels is None or second.labels is None:
        return "labels could not be checked: not both files have them"
    own, other = (np.asarray(one.labels)[at].astype(str) for one, at in ((first, here), (second, there)))
    wrong = own != other
    if wrong.any():
        place = int(np.argmax(wrong))
        raise UserError(
            f"{first.name} and {second.name}: labels differ, first at id {ids[place]}: {own[place]} and {other[place]} "
            f"({wrong.sum():,} of {len(own):,} differ); they are of other examples, or in another order: give "
            "--reorder=tfds if one without ids lies in the order of tensorflow-datasets"
        )
    return f"labels agree in all {len(own):,}"


def line_up(dataset: Dataset, matched: Matched) -> np.ndarray:
    """Where in the data set each matched example is, its label held against the files'."""
    source = f"--dataset={dataset.name}"
    if matched.by_ids and (matched.ids.dtype.kind in "iu") == (dataset.ids.dtype.kind in "iu"):
        order = np.argsort(dataset.ids, kind="stable")
        at = np.minimum(np.searchsorted(dataset.ids[order], matched.ids), len(order) - 1)
        found = order[at]
        missing = dataset.ids[found] != matched.ids
        if missing.any():
            raise UserError(
                f"{source}: has no example with the id {matched.ids[np.argmax(missing)]}; give the same data"
            )
    elif len(matched.ids) == len(dataset.labels):
        found = np.arange(len(dataset.labels))
    else:
        raise UserError(f"{source}: has {len(dataset.labels):,} examples, the files {len(matched.ids):,}")
    if matched.labels is not None:
        wrong = dataset.labels[found].astype(str) != matched.labels.astype(str)
        names = np.asarray(dataset.class_names)[dataset.labels[found]]
        wrong &= names != matched.labels.astype(str)
        if wrong.any():
            place = int(np.argmax(wrong))
            raise UserError(
                f"{source}: example {matched.ids[place]} has label {names[place]}, in the files "
                f"{matched.labels[place]}; give the data that were scored, in their order"
            )
    return found
