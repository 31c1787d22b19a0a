"""From raw arrays of any source to a `Dataset`: checks of shapes and values."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from jaxgen.data.labels import as_text, check_labels, dropped_spaces, map_labels, refuse_other_width
from jaxgen.data.scaling import DIM, scale_values
from jaxgen.errors import UserError
from jaxgen.types import Dataset
from jaxgen.wording import count_of, some_of

CHANNELS = (1, 3, 4)


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
    columns: Sequence[str] = (),
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
      columns: names of features, ``[f]``; their numbers from 1 if empty.
      notes: `Dataset.notes`.

    Raises:
      UserError: one line that names the source, what is wrong and what is expected.
    """
    given, given_labels, given_scale, raw = np.shape(images), np.shape(labels), scale, (labels, test_labels)
    images = check_images(images, f"{source}: images", impute)
    labels = check_labels(labels, len(images), f"{source}: labels")
    refuse_other_width(given_labels, np.shape(test_labels), source)
    if (test_images is None) != (test_labels is None):
        raise UserError(f"{source}: test images and test labels must come together; give both or neither")
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
    stored = scale_values(images, test_images, scale, source, impute)
    return Dataset(
        name=name,
        images=stored.images,
        labels=labels,
        class_names=names,
        ids=check_ids(ids, len(images), source),
        scale=stored.factor,
        test_images=stored.test_images,
        test_labels=test_labels,
        test_ids=None if test_labels is None else check_ids(test_ids, len(test_labels), f"{source}: test"),
        features=features,
        test_features=test_features,
        shift=stored.scale.shift,
        spread=stored.scale.spread,
        fill=stored.scale.fill,
        impute=impute,
        notes=(
            *notes,
            *describe_changes(given, stored.images, given_labels, None if given_scale else stored.factor),
            *filter(None, map(dropped_spaces, raw)),
            *describe_constant(stored.scale.spread, columns),
        ),
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


def describe_constant(spread: Any, names: Sequence[str]) -> Iterator[str]:
    """Says which columns of features have one value, by their spread ``[f]`` and `names`."""
    if np.ndim(spread) and (places := np.flatnonzero(spread == 0)).size:
        shown = some_of([names[place] if names else place + 1 for place in places], 3)
        yield f"{count_of(len(places), 'column')} with one value in all training examples, which tells nothing: {shown}"


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
    if images.ndim == 2 and np.isnan(images).all(0).any():
        raise UserError(f"{what}: column {int(np.isnan(images).all(0).argmax()) + 1} has no values; drop it")
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


def check_ids(ids: np.ndarray | None, count: int, source: str) -> np.ndarray:
    """Ids ``[n]``, all different: integers or texts as given, or the positions if None."""
    if ids is None:
        return np.arange(count)
    ids = np.asarray(ids)
    if ids.shape != (count,) or ids.dtype.kind not in "iuU":
        raise UserError(f"{source}: ids must be {count} integers or texts, one an example; give such, or none")
    if ids.dtype.kind == "U":
        ids = as_text(ids, f"{source}: ids")
    unique, counts = np.unique(ids, return_counts=True)
    if len(unique) < len(ids):
        raise UserError(
            f"{source}: {counts.max()} examples have the id {unique[counts.argmax()]}; ids must differ: give each "
            "example its own, or no ids"
        )
    return ids
