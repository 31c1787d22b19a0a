"""From raw arrays of any source to a `Dataset`: checks of shapes, values and labels, and labels mapped to integers."""

import re
from collections.abc import Iterator

import numpy as np

from jaxgen.data.scaling import DIM, scale_values
from jaxgen.errors import UserError, one_line
from jaxgen.io.arrays import has_surrogates
from jaxgen.types import Dataset
from jaxgen.wording import count_of

CHANNELS = (1, 3, 4)
# Texts that arrays hold in place of a missing label: what NumPy makes of None and NaN.
NO_LABELS = ("", "nan", "NaN", "None", "<NA>", "NaT")


def make_dataset(
    name: str,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    source: str,
    test_images: np.ndarray | None = None,
    test_labels: np.ndarray | None = None,
    class_names: np.ndarray | None = None,
    ids: np.ndarray | None = None,
    test_ids: np.ndarray | None = None,
    scale: float | None = None,
    impute: str = "none",
    notes: tuple[str, ...] = (),
) -> Dataset:
    """A checked `Dataset`.

    uint8 images stay uint8 (scaled by 1/255 on the device, or by their largest value if it is below `DIM`), others
    become float32; values outside [0, 1] are rescaled
    to it by the smallest and largest training value. Features (two axes) are standardised by each column's mean and
    standard deviation over the training examples.

    Args:
      name: short name.
      images: ``[n, h, w]``, ``[n, h, w, d]`` (d = 1, 3 or 4) or ``[n, f]``, numeric and finite.
      labels: ``[n]``: integers or text of any values, mapped to ``0..c-1`` in sorted order; texts that all are whole
        numbers are in the order of these.
      source: the user's name of the data, for messages.
      test_images, test_labels: the same for t test examples, or neither.
      class_names: ``[c]`` names; allowed if the labels are integers in ``0..c-1``.
      ids: unique, ``[n]`` integers or text; the position if None.
      test_ids: ``[t]``, the same for test examples.
      scale: factor of stored values of uint8 images, if not 1/255.
      impute: what takes the place of missing features (NaN): the ``mean`` or ``median`` of their column in the training
        examples; ``none``: they are refused.
      notes: `Dataset.notes`.

    Raises:
      UserError: one line that names the source, what is wrong and what is expected.
    """
    given, given_labels, given_scale = np.shape(images), np.shape(labels), scale
    images = check_images(images, f"{source}: images", impute)
    labels = check_labels(labels, len(images), f"{source}: labels")
    refuse_other_width(given_labels, np.shape(test_labels), source)
    if (test_images is None) != (test_labels is None):
        raise UserError(f"{source}: test images and test labels must come together")
    if test_images is not None:
        test_images = check_images(test_images, f"{source}: test images", impute)
        if test_images.shape[1:] != images.shape[1:]:
            raise UserError(
                f"{source}: test images have shape {test_images.shape[1:]}, training images "
                f"{images.shape[1:]}; they must be alike"
            )
        test_labels = check_labels(test_labels, len(test_images), f"{source}: test labels")
    labels, test_labels, names = map_labels(labels, test_labels, class_names, source)
    features, test_features = (images, test_images) if images.ndim == 2 else (None, None)
    images, test_images, scale, shift, spread = scale_values(images, test_images, scale, source, impute)
    if test_ids is None and test_labels is not None:
        test_ids = np.arange(len(test_labels))
    return Dataset(
        name=name,
        images=images,
        labels=labels,
        class_names=names,
        ids=check_ids(ids, len(images), source),
        scale=scale,
        test_images=test_images,
        test_labels=test_labels,
        test_ids=test_ids,
        features=features,
        test_features=test_features,
        shift=shift,
        spread=spread,
        impute=impute,
        notes=(
            *notes,
            *describe_missing(features, test_features, impute),
            *describe_changes(given, images, given_labels, None if given_scale else scale),
        ),
    )


def describe_missing(features: np.ndarray | None, test_features: np.ndarray | None, impute: str) -> Iterator[str]:
    """Says how many features were missing, and what took their place."""
    missing = [np.isnan(part) for part in (features, test_features) if part is not None and part.dtype.kind == "f"]
    if impute != "none" and (count := sum(int(part.sum()) for part in missing)):
        columns = int(np.any([part.any(0) for part in missing], axis=0).sum())
        yield (
            f"{count_of(count, 'missing value')} in {count_of(columns, 'column')}: each filled with the {impute} of "
            "its column over the training examples"
        )


def describe_changes(
    shape: tuple[int, ...], images: np.ndarray, labels_shape: tuple[int, ...], scale: float | None
) -> Iterator[str]:
    """Says what `make_dataset` has changed or assumed.

    Args:
      shape: of the images as given.
      images: as stored.
      labels_shape: of the labels as given.
      scale: of the stored images, if it was found; None: it was given.
    """
    if len(shape) == 4 and shape == images.shape and shape[1] in CHANNELS and shape[1] != shape[3]:
        yield f"images of {'x'.join(map(str, shape[1:]))} are taken to have their channels last"
    if len(shape) == 4 and shape != images.shape:
        yield f"images of {'x'.join(map(str, shape[1:]))} have their channels first, which were moved to the end"
    if len(labels_shape) == 2 and labels_shape[1] > 1:
        yield f"labels are one-hot, of {labels_shape[1]} classes"
    if images.dtype == np.uint8 and scale and scale > 1 / DIM:
        yield f"bytes go up to {1 / scale:.0f} only, which was taken for white"


def check_images(images: np.ndarray, what: str, impute: str = "none") -> np.ndarray:
    """Images ``[n, h, w, d]`` or features ``[n, f]``, numeric and finite; features may be NaN if they are imputed.

    ``[n, h, w]`` gets a channel axis; channels that can only be the first axis are moved to the end.
    """
    images = np.asarray(images)
    if images.dtype.kind not in "biuf":
        raise UserError(f"{what}: are of type {images.dtype}; numbers are needed")
    if images.ndim not in (2, 3, 4) or not images.size:
        raise UserError(f"{what}: have shape {images.shape}; needed: [n, h, w], [n, h, w, d] or, for features, [n, f]")
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim == 4 and images.shape[-1] not in CHANNELS and images.shape[1] in CHANNELS:
        images = np.ascontiguousarray(np.moveaxis(images, 1, -1))
    if images.ndim == 4 and images.shape[-1] not in CHANNELS:
        raise UserError(f"{what}: have shape {images.shape}; the last axis must be 1, 3 or 4 channels")
    if images.ndim == 4 and impute != "none":
        raise UserError(f"--impute={impute}: is for rows of features, and {what} are pictures; leave it out")
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        refuse_not_finite(images, what, impute)
    return images


def refuse_not_finite(images: np.ndarray, what: str, impute: str) -> None:
    """Raises `UserError` for values that are infinite, or NaN unless they are imputed."""
    wrong = np.isinf(images) if impute != "none" else ~np.isfinite(images)
    if not wrong.any():
        return
    row = int(np.argmax(wrong.any(axis=tuple(range(1, images.ndim)))))
    if images.ndim == 2 and not np.isinf(images).any():
        raise UserError(
            f"{what}: example {row} has a missing value (NaN), as {int(wrong.any(1).sum()):,} of {len(images):,} "
            "examples have; fill it, give --impute=median, or drop such examples"
        )
    raise UserError(f"{what}: example {row} has a value that is not finite; mend or drop such examples")


def check_labels(labels: np.ndarray, count: int, what: str) -> np.ndarray:
    """Labels ``[n]``, integers (also whole floats) or text, of labels ``[n]``, ``[n, 1]`` or one-hot ``[n, c]``."""
    labels = np.asarray(labels)
    if labels.ndim == 2 and len(labels) == count and is_one_hot(labels):
        labels = labels.argmax(1)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != (count,):
        raise UserError(f"{what}: have shape {labels.shape} for {count} examples; needed: one label an example")
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
    texts = as_text(labels, what)
    if (missing := np.isin(texts, NO_LABELS)).any():
        raise UserError(
            f"{what}: example {int(missing.argmax())} has none ({str(texts[missing][0])!r}); fill or drop it"
        )
    return without_fractions(texts)


def check_ids(ids: np.ndarray | None, count: int, source: str) -> np.ndarray:
    """Ids ``[n]``, all different: integers or texts as given, or the positions if None."""
    if ids is None:
        return np.arange(count)
    ids = np.asarray(ids)
    if ids.shape != (count,) or ids.dtype.kind not in "iuU":
        raise UserError(f"{source}: ids must be {count} integers or texts, one an example")
    if ids.dtype.kind == "U":
        ids = as_text(ids, f"{source}: ids")
    unique, counts = np.unique(ids, return_counts=True)
    if len(unique) < len(ids):
        raise UserError(f"{source}: {counts.max()} examples have the id {unique[counts.argmax()]}; ids must differ")
    return ids


def refuse_other_width(shape: tuple[int, ...], test_shape: tuple[int, ...], source: str) -> None:
    """Raises `UserError` for one-hot labels of training and test examples that count classes differently."""
    if len(shape) == len(test_shape) == 2 and shape[1] != test_shape[1]:
        raise UserError(
            f"{source}: labels have {shape[1]} columns, test labels {test_shape[1]}; needed: one a class, in both"
        )


def without_fractions(texts: np.ndarray) -> np.ndarray:
    """Texts as integers if all are whole numbers and some are written as 1.0; 007 stays text."""
    kinds = np.unique(texts).tolist()
    if all(re.fullmatch(r"[+-]?[0-9]{1,15}(\.0*)?", kind) for kind in kinds) and any("." in kind for kind in kinds):
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
    classes = np.unique(labels)
    if len(classes) < 2:
        raise UserError(f"{source}: all labels are {classes[0]}; two classes or more are needed")
    if class_names is not None:
        class_names = np.asarray(class_names)
        if class_names.ndim != 1 or class_names.dtype.kind not in "SUiu":
            raise UserError(f"{source}: class_names must be a list of texts")
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
            raise UserError(f"{source}: test label {unclasses[0]} is no training label")
    places = np.argsort(number_order(values)).astype(np.int32)
    found = [None if given is None else places[np.searchsorted(values, given)] for given in (labels, test_labels)]
    # Line breaks and terminal codes in names are escaped.
    return found[0], found[1], tuple(map(one_line, names))


def number_order(values: np.ndarray) -> np.ndarray:
    """The order of sorted values: as they are, but texts that all are whole numbers by these; ints ``[c]``."""
    if values.dtype.kind == "U" and all(re.fullmatch(r"[+-]?[0-9]{1,18}", value) for value in values.tolist()):
        return np.argsort(values.astype(np.int64), kind="stable")
    return np.arange(len(values))
