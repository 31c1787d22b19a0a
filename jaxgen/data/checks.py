"""From raw arrays of any source to a `Dataset`: shapes, values and labels checked, labels mapped, all by one rule."""

from typing import Any

import numpy as np

from jaxgen.errors import UserError, one_line
from jaxgen.io.arrays import has_surrogates
from jaxgen.types import Dataset


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
) -> Dataset:
    """A checked `Dataset`.

    Images are kept as uint8 where they are (and scaled by 1/255), else as float32; images with values outside [0, 1]
    are brought there by the smallest and largest training value. Features (two axes) are standardised by each column's
    mean and standard deviation over the training examples, labels not being used.

    Args:
      name: short name.
      images: ``[n, h, w]``, ``[n, h, w, d]`` (d = 1, 3 or 4) or ``[n, f]``, numeric and finite.
      labels: ``[n]``: integers or text; any values, mapped to ``0..c-1`` in sorted order.
      source: how the user named the data, for messages.
      test_images, test_labels: the same for t test examples, or neither.
      class_names: ``[c]`` names; allowed if the labels are integers in ``0..c-1``.
      ids: ``[n]`` integers or text; the position if None.
      test_ids: ``[t]``, the same for test examples.
      scale: for uint8 images, what a stored value is multiplied by, if not 1/255.

    Raises:
      UserError: with one line that names the source, what is wrong and what is expected.
    """
    images = check_images(images, f"{source}: images")
    labels = check_labels(labels, len(images), f"{source}: labels")
    if (test_images is None) != (test_labels is None):
        raise UserError(f"{source}: test images and test labels must come together")
    if test_images is not None:
        test_images = check_images(test_images, f"{source}: test images")
        if test_images.shape[1:] != images.shape[1:]:
            raise UserError(
                f"{source}: test images have shape {test_images.shape[1:]}, training images "
                f"{images.shape[1:]}; they must be alike"
            )
        test_labels = check_labels(test_labels, len(test_images), f"{source}: test labels")
    labels, test_labels, names = map_labels(labels, test_labels, class_names, source)
    own, tests = (images, test_images) if images.ndim == 2 else (None, None)
    images, test_images, scale, shift, spread = scale_values(images, test_images, scale, source)
    if ids is None:
        ids = np.arange(len(images))
    elif np.shape(ids) != (len(images),) or np.asarray(ids).dtype.kind not in "iuU":
        raise UserError(f"{source}: ids must be {len(images)} integers or texts, one an example")
    elif np.asarray(ids).dtype.kind == "U":
        ids = as_text(np.asarray(ids), f"{source}: ids")
    known, counts = np.unique(ids, return_counts=True)
    if len(known) < len(ids):
        raise UserError(f"{source}: {counts.max()} examples have the id {known[counts.argmax()]}; ids must differ")
    if test_ids is None and test_labels is not None:
        test_ids = np.arange(len(test_labels))
    return Dataset(
        name=name,
        images=images,
        labels=labels,
        class_names=names,
        ids=np.asarray(ids),
        scale=scale,
        test_images=test_images,
        test_labels=test_labels,
        test_ids=test_ids,
        features=own,
        test_features=tests,
        shift=shift,
        spread=spread,
    )


def check_images(images: np.ndarray, what: str) -> np.ndarray:
    """Numeric, finite, not empty, of two or four axes; ``[n, h, w]`` gets its channel axis."""
    images = np.asarray(images)
    if images.dtype.kind not in "biuf":
        raise UserError(f"{what}: are of type {images.dtype}; numbers are needed")
    if images.ndim not in (2, 3, 4) or not images.size:
        raise UserError(f"{what}: have shape {images.shape}; needed: [n, h, w], [n, h, w, d] or, for features, [n, f]")
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim == 4 and images.shape[-1] not in (1, 3, 4):
        raise UserError(f"{what}: have shape {images.shape}; the last axis must be 1, 3 or 4 channels")
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        row = int(np.argwhere(~np.isfinite(images).all(axis=tuple(range(1, images.ndim))))[0, 0])
        raise UserError(f"{what}: example {row} has a value that is not finite; mend or drop such examples")
    return images


def check_labels(labels: np.ndarray, count: int, what: str) -> np.ndarray:
    """One label an example: integers (whole floats count) or text."""
    labels = np.asarray(labels)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != (count,):
        raise UserError(f"{what}: have shape {labels.shape} for {count} examples; needed: one label an example")
    if labels.dtype.kind == "f" and not (np.isfinite(labels).all() and (labels == np.rint(labels)).all()):
        raise UserError(f"{what}: hold numbers that are not whole; classes are needed, not a quantity")
    if labels.dtype.kind == "f":
        labels = labels.astype(np.int64)
    if labels.dtype.kind not in "biuSU":
        raise UserError(f"{what}: are of type {labels.dtype}; integers or text are needed")
    return as_text(labels, what) if labels.dtype.kind in "SU" else labels


def as_text(values: np.ndarray, what: str) -> np.ndarray:
    """Bytes decoded; text and numbers as text."""
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
    """Labels as int32 in ``0..c-1`` and the names of the classes."""
    known = np.unique(labels)
    if len(known) < 2:
        raise UserError(f"{source}: all labels are {known[0]}; two classes or more are needed")
    if class_names is not None:
        class_names = np.asarray(class_names)
        if class_names.ndim != 1 or class_names.dtype.kind not in "SUiu":
            raise UserError(f"{source}: class_names must be a list of texts")
        if labels.dtype.kind in "SU" or known[0] < 0 or known[-1] >= len(class_names):
            raise UserError(
                f"{source}: {len(class_names)} class_names need integer labels from 0 to "
                f"{len(class_names) - 1}; found {known[0]} to {known[-1]}"
            )
        values, names = np.arange(len(class_names)), tuple(as_text(class_names, f"{source}: class_names").tolist())
    else:
        values, names = known, tuple(str(value) for value in known.tolist())
    if test_labels is not None:
        strange = np.setdiff1d(test_labels, values)
        if len(strange):
            raise UserError(f"{source}: test label {strange[0]} is no training label")
        test_labels = np.searchsorted(values, test_labels).astype(np.int32)
    # What breaks lines or commands a terminal is shown as what it is, on paper too.
    return np.searchsorted(values, labels).astype(np.int32), test_labels, tuple(map(one_line, names))


def scale_values(
    images: np.ndarray, test_images: np.ndarray | None, scale: float | None, source: str
) -> tuple[np.ndarray, np.ndarray | None, float, Any, Any]:
    """Values to be stored for training and test, the scale to be applied on the device, and the shift and spread that
    were applied."""
    if images.ndim == 4 and test_images is not None:
        check_alike(images, test_images, source)
    if images.ndim == 4 and images.dtype == np.uint8:
        return images, test_images, 1 / 255 if scale is None else scale, 0.0, 1.0
    with np.errstate(over="ignore", invalid="ignore"):
        shift, spread = column_scale(images) if images.ndim == 2 else image_scale(images)
        stored = [
            None
            if values is None
            else ((values.astype(np.result_type(values, np.float32)) - shift) / spread).astype(np.float32)
            for values in (images, test_images)
        ]
    for values in (shift, spread, *stored):
        if values is not None and not np.isfinite(values).all():
            raise UserError(f"{source}: holds numbers too large to be scaled; bring them to a common range")
    return stored[0], stored[1], 1.0, shift, spread


def check_alike(images: np.ndarray, test_images: np.ndarray, source: str) -> None:
    """Refuses test images on another scale than the training images: both uint8, or both in [0, 1], or neither."""
    if (images.dtype == np.uint8) != (test_images.dtype == np.uint8):
        raise UserError(
            f"{source}: training images are {images.dtype} and test images {test_images.dtype}; save both as one type"
        )
    if in_unit_range(images) and not in_unit_range(test_images):
        raise UserError(
            f"{source}: training images lie in [0, 1], test images in [{test_images.min():g}, {test_images.max():g}]; "
            "bring them to one scale"
        )


def in_unit_range(images: np.ndarray) -> bool:
    return images.dtype != np.uint8 and images.min() >= 0 and images.max() <= 1


def column_scale(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column."""
    columns = features.astype(np.float64)
    shift, spread = columns.mean(0), columns.std(0)
    # A constant column says nothing: it becomes 0. Its computed deviation need not be 0, so its range decides.
    return shift, np.where(np.ptp(columns, axis=0) > 0, spread, 1)


def image_scale(images: np.ndarray) -> tuple[float, float]:
    """Smallest value and range, of images that are not in [0, 1] already."""
    if in_unit_range(images):
        return 0.0, 1.0
    low, high = float(images.min()), float(images.max())
    return low, (high - low) or 1.0
