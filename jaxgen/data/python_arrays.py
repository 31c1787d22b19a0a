"""Data of a call from Python: arrays, series, tensors, lists, frames and data sets of other libraries."""

import dataclasses
import os
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxgen.config import DataSpec
from jaxgen.config.fields import shorten
from jaxgen.data.checks import make_dataset
from jaxgen.data.frames import (
    has_index,
    is_cut,
    is_frame,
    names_of,
    read_frames,
    refuse_other_order,
    without_column,
)
from jaxgen.data.hugging_face.splits import Splits, dataset_of_splits
from jaxgen.data.labelled import (
    all_examples,
    is_hugging_face,
    is_indexed,
    read_pairs,
    renumbered,
    stacked,
    without_tuples,
)
from jaxgen.data.parts import normalized
from jaxgen.data.pictures import read_opened
from jaxgen.data.tensors import to_numpy
from jaxgen.errors import UserError
from jaxgen.types import Dataset
from jaxgen.wording import some_of

SOURCE = "arrays"
DEFAULT = DataSpec()
# Flags of the data that a call from Python may have: of the source, and of what networks see.
SOURCE_FLAGS = frozenset({"impute", "id_column", "image_column", "image_size"})
DATA_FLAGS = SOURCE_FLAGS | {"whiten", "normalize_channels"}


def dataset_of_call(*given: Any, spec: DataSpec = DEFAULT, **named: Any) -> Dataset:
    """The data set of what a user gave, as `read_call` reads it, with the normalization of `spec`.

    Raises:
      UserError: for what cannot be taken, with the remedy.
    """
    return normalized(read_call(*given, spec=spec, **named), spec, SOURCE)


def read_call(
    images: Any,
    labels: Any = None,
    *,
    test_images: Any = None,
    test_labels: Any = None,
    class_names: Any = None,
    ids: Any = None,
    spec: DataSpec = DEFAULT,
) -> Dataset:
    """The data set of what a user gave, as `make_dataset` makes it of arrays.

    The index of a pandas frame is its ids, unless `ids` or a column of ids are given or it merely counts the rows. A
    frame and a data set of Hugging Face have the labels in a column, if `labels` is its name; data sets of pairs bring
    them along.

    Args:
      images, labels, test_images, test_labels, class_names, ids: as of `estimate_settings`.
      spec: flags of the data.

    Raises:
      UserError: for what cannot be taken, with the remedy.
    """
    if isinstance(images, str | os.PathLike):
        raise UserError(
            f"images: are the text {shorten(os.fspath(images))!r}; read the file first, as by pandas.read_csv, or type "
            "the command with --dataset=FILE"
        )
    if is_hugging_face(images):
        refuse_columns({"labels": labels, "test_labels": test_labels, "class_names": class_names, "ids": ids})
        return dataset_of_call_to_hugging_face(images, labels, test_images, spec)
    given = unpack_labels(Given(images, labels, test_images, test_labels, class_names))
    images, labels = given.images, given.labels
    refuse_other_order(images, labels, "labels")
    refuse_other_order(given.test_images, given.test_labels, "test labels")
    refuse_other_order(images, ids, "ids")
    if is_frame(images):
        refuse_idle(spec, ("id_column", "impute"), "frames")
        rows = read_frames(images, given.test_images, labels, ids, spec)
        values, test_values = (*rows.parts, None)[:2]
        notes, columns, ids = rows.notes, rows.columns, rows.ids[0]
    else:
        values, notes = read_values(images, "images", spec)
        test_values, test_notes = read_values(given.test_images, "test images", spec)
        notes, columns = notes + test_notes, ()
    return make_dataset(
        "data",
        values,
        as_names(labels, "labels"),
        source=SOURCE,
        test_images=test_values,
        test_labels=as_names(given.test_labels, "test labels"),
        class_names=None if given.class_names is None else as_names(given.class_names, "class_names"),
        ids=as_names(ids, "ids"),
        impute=spec.impute,
        columns=columns,
        notes=notes,
    )


class Given(NamedTuple):
    """Images, labels and class names as a user gave them."""

    images: Any
    labels: Any
    test_images: Any
    test_labels: Any
    class_names: Any


def unpack_labels(given: Given) -> Given:
    """Labels beside the images, where these are pairs or a frame that holds them.

    Raises:
      UserError: if there are no labels, and for a stream.
    """
    images, labels, test_images, test_labels, class_names = given
    refuse_stream(images)
    if labels is None and is_indexed(images):
        pairs = read_pairs(images, "images")
        images, labels = pairs.examples, pairs.labels
        class_names = pairs.classes if class_names is None else class_names
        if test_images is not None and test_labels is None:
            test_images, test_labels = renumbered(read_pairs(test_images, "test images"), pairs.classes)
    elif isinstance(labels, str | int) and is_frame(images):
        column = labels
        images, labels = without_column(images, column, "images")
        if test_images is not None and test_labels is None:
            test_images, test_labels = without_column(test_images, column, "test images")
    if labels is None:
        raise UserError("labels: there are none; give one for each of the images")
    if class_names is None and is_frame(labels, "labels"):
        # Columns of dummies, one a class.
        class_names = list(map(str, names_of(labels)))
    return Given(images, labels, test_images, test_labels, class_names)


def refuse_idle(spec: DataSpec, used: Collection[str], kind: str) -> None:
    """Raises `UserError` for a flag of the data that has no effect on this kind."""
    for name in sorted(SOURCE_FLAGS - set(used)):
        value = getattr(spec, name)
        if value != getattr(DataSpec, name):
            raise UserError(f"{name}={value}: has no effect on {kind}; leave it out")


def dataset_of_call_to_hugging_face(images: Any, labels: str | None, test_images: Any, spec: DataSpec) -> Dataset:
    """As `dataset_of_call`, of data sets of Hugging Face."""
    refuse_splits(images, "images")
    if test_images is not None:
        if not is_hugging_face(test_images):
            raise UserError("test images: are no data set of Hugging Face, and the images are one; give both alike")
        refuse_splits(test_images, "test images")
    if labels is not None and labels not in images.column_names:
        raise UserError(
            f"labels: {labels!r} is no column: the images have the columns {some_of(images.column_names, 8)}; name one"
        )
    spec = dataclasses.replace(spec, label_column=labels or DataSpec.label_column)
    return dataset_of_splits("data", "images", Splits(images, test_images), spec)


def refuse_stream(images: Any) -> None:
    """Raises `UserError` for examples that can only be had one after the other."""
    is_array = is_frame(images) or hasattr(images, "__array__") or hasattr(images, "__len__")
    if hasattr(images, "__iter__") and not is_array:
        raise UserError("images: are a stream without a length; give a list, an array or a data set with an index")


def refuse_splits(images: Any, what: str) -> None:
    """Raises `UserError` for a data set of Hugging Face that is streamed, or several."""
    if not hasattr(images, "__len__"):
        raise UserError(f"{what}: are streamed; load the data set as a whole (streaming=False)")
    if isinstance(images, Mapping):
        raise UserError(f'{what}: have several splits; give one, such as images=data["train"]')


def refuse_columns(others: Mapping[str, Any]) -> None:
    """Raises `UserError` for what a data set of Hugging Face has in its columns."""
    for name, value in others.items():
        if value is not None and not (name == "labels" and isinstance(value, str)):
            remedy = "name their column, or leave them out" if name == "labels" else "leave them out"
            raise UserError(f"{name}: the images are a data set that has them in its columns; {remedy}")


def read_values(values: Any, what: str, spec: DataSpec) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Numbers of any array, tensor, nested list or list of opened pictures, None if there are none; and notes.

    Raises:
      UserError: if they are no array of numbers.
    """
    if values is not None and is_indexed(values):
        values = stacked(without_tuples(list(all_examples(values, what)), what), what)
    if isinstance(values, list | tuple) and values and all(hasattr(value, "getexif") for value in values):
        refuse_idle(spec, ("image_size",), "opened pictures")
        return read_opened(values, what, spec.image_size)
    refuse_idle(spec, ("impute",), "arrays")
    return None if values is None else as_array(values, what), ()


def as_array(values: Any, what: str) -> np.ndarray:
    """Numbers of an array, a tensor or a nested list.

    Raises:
      UserError: if they are no array of numbers.
    """
    array = to_numpy(values, what)
    if array.dtype == object:
        try:
            return array.astype(np.float64)
        except (TypeError, ValueError, OverflowError):
            raise UserError(f"{what}: hold what is no number, or is missing; give an array of numbers") from None
    return array


def as_names(values: Any, what: str) -> np.ndarray | None:
    """Labels, ids or names: numbers or texts; None if there are none.

    Raises:
      UserError: for missing values, and for texts among numbers.
    """
    if values is None:
        return None
    import narwhals

    if is_indexed(values) and not hasattr(values, "to_list"):
        values = list(all_examples(values, what))
    if has_index(values) and is_cut(getattr(values, "dtype", None)):
        values = values.cat.rename_categories(str)
    series = narwhals.from_native(values, series_only=True, pass_through=True)
    if isinstance(series, narwhals.Series):
        if series.null_count():
            row = int(np.argmax(series.is_null().to_numpy()))
            place = f"index {list(values.index)[row]}" if has_index(values) else f"row {row + 1}"
            raise UserError(f"{what}: {place} has none; fill it or drop the row")
        array = np.array([*series.to_list(), None], object)[:-1]
    else:
        # NumPy would make texts of numbers that stand among texts.
        is_list = isinstance(values, list | tuple) and not any(np.ndim(value) for value in values)
        array = np.array([*values, None], object)[:-1] if is_list else to_numpy(values, what)
    if array.dtype != object:
        return array
    items = [value.item() if hasattr(value, "item") else value for value in array.ravel().tolist()]
    kinds = {type(value) for value in items}
    if any(value is None or value != value for value in items):
        raise UserError(
            f"{what}: example {[value is None or value != value for value in items].index(True)} has none; drop it"
        )
    if kinds in ({str}, {bytes}):
        return np.array(items).reshape(array.shape)
    if kinds <= {int, bool} and all(-(2**63) <= value < 2**63 for value in items):
        return np.array(items, np.int64).reshape(array.shape)
    if kinds <= {int, bool, float}:
        return np.array(items, np.float64).reshape(array.shape)
    names = some_of(sorted(kind.__name__ for kind in kinds), 8)
    raise UserError(f"{what}: hold values of several types ({names}); give texts or integers")
