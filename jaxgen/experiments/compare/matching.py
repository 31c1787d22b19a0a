"""Which example of one file is which of the other: by ids where both have them, else by order, labels held together."""

import pathlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxgen.data.pairs import UNTOLD, Matrix
from jaxgen.data.published import Values
from jaxgen.data.tfds import tfds_order
from jaxgen.errors import UserError
from jaxgen.types import Dataset

# From a number of examples to the original one at each position, by --reorder, and where they were, in words.
ORDERS: dict[str, tuple[Callable[[int], np.ndarray], str]] = {
    "tfds": (lambda count: tfds_order("train", count), "tensorflow-datasets order"),
    "original": (np.arange, "positions in the original files"),
}


class Matched(NamedTuple):
    """Two files' values of the same n examples.

    Attributes:
      names: of the two.
      values: float64 ``[2, n]``.
      labels: ``[n]`` or None.
      told: text ``[n]``: labels by the names of their classes, where a file has them; or None.
      ids: ``[n]``: what both say which example it is, or its position.
      by_ids: whether they do.
      pairs: whether these are pairs.
      notes: how they were matched and what was checked.
    """

    names: tuple[str, str]
    values: np.ndarray
    labels: np.ndarray | None
    told: np.ndarray | None
    ids: np.ndarray
    by_ids: bool
    pairs: bool
    notes: tuple[str, ...]


def match(first: Values, second: Values, reorder: str = "none", allow_other_labels: bool = False) -> Matched:
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
    notes = [f"{moved}{note}", check_labels(first, second, here, there, ids, allow_other_labels)]
    values = np.stack([first.values[here], second.values[there]])
    labels, told = next(
        ((one.labels[at], readings(one)[0][at]) for one, at in by_names(first, here, second, there)), (None, None)
    )
    together = first.ids is not None or second.ids is not None
    return Matched((first.name, second.name), values, labels, told, ids, together, first.pairs, tuple(notes))


def by_names(first: Values, here: np.ndarray, second: Values, there: np.ndarray) -> list[tuple[Values, np.ndarray]]:
    """Those of both that have labels, with where they are, one that has the classes' names before one that has not."""
    labelled = [(one, at) for one, at in ((first, here), (second, there)) if one.labels is not None]
    return sorted(labelled, key=lambda pair: pair[0].class_names is None)


def readings(one: Values) -> list[np.ndarray]:
    """What the labels may be taken for, as texts: the names of their classes, if the file has them, and what they are
    written as."""
    labels, names = np.asarray(one.labels), one.class_names
    plain = labels.astype(str)
    if names is None or labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= len(names):
        return [plain]
    return [np.asarray(names)[labels].astype(str), plain]


def reordered(first: Values, second: Values, reorder: str) -> tuple[Values, Values, str]:
    """Gives the file that does not tell its order the ids of the original files; of pairs `order_pairs` has done so."""
    if reorder == "none" or first.pairs:
        return first, second, ""
    without = [place for place, one in enumerate((first, second)) if one.ids is None]
    if not without:
        raise UserError(
            f"--reorder={reorder}: {first.name} and {second.name} both say which example is which; leave it out"
        )
    both = [first, second]
    chosen = both[without[0]]
    find, order = ORDERS[reorder]
    both[without[0]] = chosen._replace(ids=find(len(chosen.values)), order=order)
    if len(without) == 2:
        both[1] = second._replace(ids=np.arange(len(second.values)), order="positions")
    moved = f"{chosen.name} brought from {order} into that of the original files; " if reorder == "tfds" else ""
    return *both, moved


def order_pairs(sources: Sequence[Any], reorder: str) -> list[Any]:
    """Brings pairs (`Values`, or what knows any pair) that do not tell the order of their positions into the original
    order, if asked to; two that do not tell are taken to have the same one, if nothing is asked.

    Raises:
      UserError: for a flag that has nothing to do, and where positions would be taken for what they may not be.
    """
    found, untold = list(sources), [place for place, one in enumerate(sources) if one.order == UNTOLD]
    if reorder == "none":
        if len(untold) == 1 and isinstance(found[untold[0]], Matrix):
            raise UserError(
                f"{found[untold[0]].name}: does not tell the order of its examples, as the other file does; give "
                "--reorder=tfds if they lie as in tensorflow-datasets (as those of the published MNIST demo do), "
                "--reorder=original if as in the original files"
            )
        return found
    if not untold:
        names = " and ".join(one.name for one in found)
        raise UserError(f"--reorder={reorder}: {names} both say which example is which; leave it out")
    chosen = found[untold[0]]
    if reorder == "original":
        found[untold[0]] = chosen._replace(order="pairs of positions in the original files")
    elif isinstance(chosen, Values):
        raise UserError(
            f"--reorder={reorder}: {chosen.name} has pairs of an unknown number of examples; give the folder of runs"
        )
    else:
        found[untold[0]] = chosen.in_original_order()
    return found


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
        own, other = without_folders(first, second)
        shared, here, there = np.intersect1d(own, other, assume_unique=True, return_indices=True)
    if not len(shared):
        raise UserError(
            f"{first.name} and {second.name}: share no id (such as {first.ids[0]} and {second.ids[0]}); they are of "
            "other examples"
        )
    order = np.argsort(here)
    what = "pairs" if first.pairs else "ids"
    counts = f"{len(shared):,} of {len(own):,} and {len(other):,}"
    return here[order], there[order], f"matched by {what} ({first.order}; {second.order}): {counts}"


def without_folders(first: Values, second: Values) -> tuple[np.ndarray, np.ndarray]:
    """The names of both without those leading folders that only one has: the longest ends of which they share some.

    Raises:
      UserError: if these ends repeat within a file, which would pair wrong examples.
    """
    parts = [[pathlib.PurePath(name).parts for name in one.ids] for one in (first, second)]
    for depth in range(max(len(name) for names in parts for name in names), 0, -1):
        own, other = (np.asarray(["/".join(name[-depth:]) for name in names]) for names in parts)
        if not np.isin(own, other).any():
            continue
        for one, ends in ((first, own), (second, other)):
            known, counts = np.unique(ends, return_counts=True)
            if len(known) < len(ends):
                raise UserError(
                    f"{first.name} and {second.name}: share file names such as {known[counts.argmax()]} only, which "
                    f"{one.name} has {counts.max()} times; give both the same folders in their ids"
                )
        break
    return own, other


def in_order(first: Values, second: Values) -> tuple[np.ndarray, np.ndarray, str]:
    """All positions, of files of one length."""
    if len(first.values) != len(second.values):
        raise UserError(
            f"{first.name} has {len(first.values):,} values, {second.name} {len(second.values):,}, and not both say "
            "which example is which; they must be of the same examples"
        )
    places = np.arange(len(first.values))
    return places, places, "matched by order: not both files say which example is which by ids of one kind"


def check_labels(
    first: Values, second: Values, here: np.ndarray, there: np.ndarray, ids: np.ndarray, allowed: bool
) -> str:
    """Refuses labels that differ, naming the first, unless that is `allowed`; says what could be checked."""
    if first.labels is None or second.labels is None:
        return "labels could not be checked: not both files have them"
    # One may have codes where the other has names.
    ways = [(own[here], other[there]) for own in readings(first) for other in readings(second)]
    own, other = min(ways, key=lambda way: (way[0] != way[1]).sum())
    wrong = own != other
    if wrong.any() and allowed:
        return (
            f"labels differ in {wrong.sum():,} of {len(own):,}, as --other_labels allows; shown are those of one file"
        )
    if wrong.any():
        place = int(np.argmax(wrong))
        raise UserError(
            f"{first.name} and {second.name}: labels differ, first at id {ids[place]}: {own[place]} and {other[place]} "
            f"({wrong.sum():,} of {len(own):,} differ); {other_labels(first, second)}"
        )
    return f"labels agree in all {len(own):,}"


def other_labels(first: Values, second: Values) -> str:
    """Why labels may differ, and what to do."""
    if first.ids is not None and second.ids is not None:
        return (
            "their ids are the same, so they are other labels of the same examples or other data with the same ids; "
            "give --other_labels if they were cleaned or flipped"
        )
    return (
        "they are of other examples, or in another order: give --reorder=tfds if one without ids lies in the order of "
        "tensorflow-datasets"
    )


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
                f"{matched.told[place]}; give the data that were scored, in their order"
            )
    return found
