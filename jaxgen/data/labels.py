"""Labels of any source as integers ``0..c-1``, and the names of the classes in their order."""

import re
from collections.abc import Sequence

import numpy as np

from jaxgen.errors import UserError, one_line
from jaxgen.io.arrays import has_surrogates
from jaxgen.wording import count_of, some_of

# Texts that a float holds exactly as a whole number.
WHOLE_NUMBER = r"[+-]?[0-9]{1,15}(\.0*)?"
# Spellings of a missing value, in any reader: those of pandas, and the question mark of the UCI repository.
MISSING = ("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "?")
MISSING += ("N/A", "NA", "NULL", "NaN", "None", "n/a", "na", "nan", "null")
# Those, and what NumPy makes of a missing date.
NO_LABELS = (*MISSING, "NaT")


def check_labels(labels: np.ndarray, count: int, what: str) -> np.ndarray:
    """Labels ``[n]``, integers (also whole floats) or text, of labels ``[n]``, ``[n, 1]`` or one-hot ``[n, c]``."""
    labels = np.asarray(labels)
    if labels.ndim == 2 and len(labels) == count and is_one_hot(labels):
        labels = labels.argmax(1)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != (count,):
        raise UserError(
            f"{what}: have shape {labels.shape} for {count} examples; needed: one label an example; give as many of "
            "both"
        )
    if labels.dtype.kind == "f" and (missing := np.isnan(labels)).any():
        raise UserError(f"{what}: example {int(missing.argmax())} has none ('nan'); fill or drop it")
    if labels.dtype.kind == "f" and not (np.isfinite(labels).all() and (labels == np.rint(labels)).all()):
        raise UserError(f"{what}: hold numbers that are not whole; classes are needed, not a quantity")
    if labels.dtype.kind == "f" and np.abs(labels).max(initial=0) >= 2**53:
        raise UserError(f"{what}: hold floats of {np.abs(labels).max():g}, which are not exact; give integers or texts")
    if labels.dtype.kind == "f":
        labels = labels.astype(np.int64)
    if labels.dtype.kind not in "biuSU":
        raise UserError(f"{what}: are of type {labels.dtype}; integers or text are needed")
    if labels.dtype.kind not in "SU":
        return labels
    # One class has one spelling.
    texts = np.char.strip(as_text(labels, what))
    if (missing := np.isin(texts, NO_LABELS)).any():
        raise UserError(
            f"{what}: example {int(missing.argmax())} has none ({str(texts[missing][0])!r}); fill or drop it"
        )
    return without_fractions(texts)


def dropped_spaces(labels: np.ndarray | None) -> str:
    """Says what white space `check_labels` drops around labels as given; empty if none."""
    if labels is None or (labels := np.asarray(labels)).dtype.kind not in "SU":
        return ""
    kinds, counts = np.unique(as_text(labels, "labels"), return_counts=True)
    texts = np.char.strip(kinds)
    spellings = np.unique(texts, return_counts=True)
    return describe_spaces(int(counts[kinds != texts].sum()), spellings[0][spellings[1] > 1].tolist())


def describe_spaces(count: int, merged: Sequence[str]) -> str:
    """Says that so many labels had white space around, and which classes have several spellings thereby; or nothing."""
    note = f"white space around {count_of(count, 'label')} is left out" if count else ""
    return note + (f": spellings that differ by it alone are one class ({some_of(merged, 3)})" if merged else "")


def refuse_other_width(shape: tuple[int, ...], test_shape: tuple[int, ...], source: str) -> None:
    """Raises `UserError` for one-hot labels of training and test examples that count classes differently."""
    if len(shape) == len(test_shape) == 2 and shape[1] != test_shape[1]:
        raise UserError(
            f"{source}: labels have {shape[1]} columns, test labels {test_shape[1]}; needed: one a class, in both"
        )


def without_fractions(texts: np.ndarray) -> np.ndarray:
    """Texts as integers if all are whole numbers and some are written as 1.0; 007 stays text."""
    kinds = np.unique(texts).tolist()
    if all(re.fullmatch(WHOLE_NUMBER, kind) for kind in kinds) and any("." in kind for kind in kinds):
        return texts.astype(np.float64).astype(np.int64)
    return texts


def is_one_hot(labels: np.ndarray) -> bool:
    """Whether each row of ``[n, c]`` has a one among zeros, for two classes or more."""
    if labels.shape[1] < 2 or labels.dtype.kind not in "biuf":
        return False
    return bool((np.isin(labels, (0, 1)).all(1) & (labels.sum(1) == 1)).all())


def as_text(values: np.ndarray, what: str) -> np.ndarray:
    """Bytes (UTF-8), text or numbers as text."""
    try:
        texts = np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values.astype(str)
    except UnicodeDecodeError:
        raise UserError(f"{what}: are bytes that are not UTF-8; save them as text") from None
    if texts.size and has_surrogates(np.ascontiguousarray(texts).view(np.uint32)):
        raise UserError(f"{what}: have halves of surrogate pairs, which cannot be written; save them as text")
    return texts


def map_labels(
    labels: np.ndarray, test_labels: np.ndarray | None, class_names: np.ndarray | None, source: str
) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]:
    """Training and test labels as int32 in ``0..c-1``, and the names of the classes."""
    if test_labels is not None:
        labels, test_labels = of_one_type(labels, test_labels, source)
    classes = np.unique(labels)
    if len(classes) < 2:
        raise UserError(
            f"{source}: all labels are {classes[0]}; two classes or more are needed: add examples of others, or name "
            "other labels"
        )
    if class_names is not None:
        class_names = np.asarray(class_names)
        if class_names.ndim != 1 or class_names.dtype.kind not in "SUiu":
            raise UserError(f"{source}: class_names must be a list of texts; give one for each class")
        if labels.dtype.kind in "SU" or classes[0] < 0 or classes[-1] >= len(class_names):
            raise UserError(
                f"{source}: {len(class_names)} class_names need integer labels from 0 to "
                f"{len(class_names) - 1}; found {classes[0]} to {classes[-1]}"
            )
        values, names = np.arange(len(class_names)), tuple(as_text(class_names, f"{source}: class_names").tolist())
    else:
        values = classes
        names = tuple(str(value) for value in classes[number_order(classes)].tolist())
    if test_labels is not None:
        unclasses = np.setdiff1d(test_labels, values)
        if len(unclasses):
            raise UserError(f"{source}: test label {unclasses[0]} is no training label; drop its test examples")
    places = np.argsort(number_order(values)).astype(np.int32)
    found = [None if given is None else places[np.searchsorted(values, given)] for given in (labels, test_labels)]
    # Line breaks and terminal codes in names are escaped.
    return found[0], found[1], tuple(map(one_line, names))


def of_one_type(labels: np.ndarray, test_labels: np.ndarray, source: str) -> list[np.ndarray]:
    """Training and test labels, both numbers or both texts; texts of whole numbers beside numbers become these.

    Raises:
      UserError: for other texts beside numbers.
    """
    parts = [labels, test_labels]
    if len({part.dtype.kind == "U" for part in parts}) == 2:
        for place, what in enumerate(("labels", "test labels")):
            if parts[place].dtype.kind == "U":
                other = next((text for text in np.unique(parts[place]) if not re.fullmatch(WHOLE_NUMBER, text)), None)
                if other is not None:
                    raise UserError(
                        f"{source}: {what} are texts such as {str(other)!r}, and those of the other examples numbers; "
                        "save both as one type"
                    )
                parts[place] = parts[place].astype(np.float64).astype(np.int64)
    return parts


def number_order(values: np.ndarray) -> np.ndarray:
    """The order of sorted values: as they are, but texts that all are whole numbers by these; ints ``[c]``."""
    if values.dtype.kind == "U" and all(re.fullmatch(r"[+-]?[0-9]{1,18}", value) for value in values.tolist()):
        return np.argsort(values.astype(np.int64), kind="stable")
    return np.arange(len(values))
