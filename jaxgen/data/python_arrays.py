"""Data of a call from Python: arrays, frames, series, tensors and lists.

Frames of pandas, polars and whatever else narwhals knows are read as tables in files are.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxgen.data.checks import make_dataset
from jaxgen.data.table_columns import read_columns
from jaxgen.data.table_file import Table, strip_texts
from jaxgen.errors import UserError
from jaxgen.types import Dataset

SOURCE = "arrays"


def dataset_of_call(
    images: Any,
    labels: Any,
    *,
    test_images: Any = None,
    test_labels: Any = None,
    class_names: Any = None,
    ids: Any = None,
) -> Dataset:
    """The data set of what a user gave, as `make_dataset` makes it of arrays.

    The index of a pandas frame is its ids, unless `ids` are given or it merely counts the rows.

    Raises:
      UserError: for what cannot be taken, with the remedy.
    """
    notes: tuple[str, ...] = ()
    refuse_other_order(images, labels)
    if ids is None and has_index(images) and not counts_rows(images.index):
        ids = images.index
    if is_frame(images):
        images, test_images, notes = read_frames(images, test_images, labels)
    else:
        images, test_images = as_array(images, "images"), as_array(test_images, "test images")
    return make_dataset(
        "data",
        images,
        as_names(labels, "labels"),
        source=SOURCE,
        test_images=test_images,
        test_labels=as_names(test_labels, "test labels"),
        class_names=None if class_names is None else as_names(class_names, "class_names"),
        ids=as_names(ids, "ids"),
        notes=notes,
    )


def is_frame(values: Any) -> bool:
    """Whether values are a frame of named columns."""
    import narwhals

    return isinstance(narwhals.from_native(values, pass_through=True), narwhals.DataFrame)


def has_index(values: Any) -> bool:
    """Whether values are a frame or a series of pandas, or like one."""
    return hasattr(values, "iloc") and hasattr(values, "index")


def counts_rows(index: Any) -> bool:
    """Whether an index is 0, 1, 2, ..."""
    array = np.asarray(index)
    return array.dtype.kind in "iu" and np.array_equal(array, np.arange(len(array)))


def refuse_other_order(images: Any, labels: Any) -> None:
    """Raises `UserError` where both have an index and these differ: pandas would pair rows by it; jaxgen does not."""
    if has_index(images) and has_index(labels) and not images.index.equals(labels.index):
        raise UserError(
            "labels: have another index than the images; give labels.loc[images.index], or labels.to_numpy() if both "
            "are in one order"
        )


def read_frames(images: Any, test_images: Any, labels: Any) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]:
    """Features of a frame ``[n, f]`` and of one of test examples ``[t, f]``, and notes.

    Raises:
      UserError: for columns that differ, that hold the labels, or of which no numbers can be made.
    """
    import narwhals
    import pyarrow

    frames = [narwhals.from_native(images)]
    if test_images is not None:
        if not is_frame(test_images):
            raise UserError("test images: are no frame, and the images are one; give both alike")
        frames.append(narwhals.from_native(test_images))
        if frames[0].columns != frames[1].columns:
            given, needed = shown(frames[1].columns), shown(frames[0].columns)
            raise UserError(f"test images: have the columns {given}; needed: {needed}")
    name = getattr(labels, "name", None)
    if name is not None and name in frames[0].columns:
        raise UserError(f"images: have the labels as their column {name}; leave it out")
    try:
        tables = [frame.to_arrow().select(list(map(str, frame.columns))) for frame in frames]
        joined = pyarrow.concat_tables(tables, promote_options="permissive")
    except (pyarrow.ArrowException, KeyError, TypeError) as error:
        raise UserError(f"images: cannot be read as a table ({str(error).splitlines()[0]}); give an array") from None
    found = read_columns(Table("images", strip_texts(joined)), joined.column_names)
    count = tables[0].num_rows
    return found.values[:count], found.values[count:] if test_images is not None else None, found.notes


def as_array(values: Any, what: str) -> np.ndarray | None:
    """Numbers of any array, tensor or nested list; None if there are none.

    Raises:
      UserError: if they are no array of numbers.
    """
    if values is None:
        return None
    array = to_numpy(values, what)
    if array.dtype == object:
        try:
            return array.astype(np.float64)
        except (TypeError, ValueError):
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

    series = narwhals.from_native(values, series_only=True, pass_through=True)
    if isinstance(series, narwhals.Series):
        if series.null_count():
            row = int(np.argmax(series.is_null().to_numpy()))
            raise UserError(f"{what}: row {row + 1} has none; fill it or drop the row")
        array = np.asarray(series.to_list())
    else:
        array = to_numpy(values, what)
    if array.dtype != object:
        return array
    kinds = {type(value) for value in array.ravel().tolist()}
    if kinds <= {str}:
        return array.astype(str)
    if kinds <= {int, bool}:
        return array.astype(np.int64)
    names = shown(sorted(kind.__name__ for kind in kinds))
    raise UserError(f"{what}: hold values of several types ({names}); give texts or integers")


def to_numpy(values: Any, what: str) -> np.ndarray:
    """Values as an array of NumPy, off any device and gradient.

    Raises:
      UserError: if they have no common shape, or no type that NumPy knows.
    """
    try:
        if hasattr(values, "detach"):
            values = values.detach().cpu()
            # NumPy has no such type.
            values = values.float() if str(values.dtype).endswith("bfloat16") else values
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{what}: are no array ({reason}); give one of NumPy, all rows alike") from None
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def shown(names: Sequence[Any]) -> str:
    """Some names."""
    return ", ".join(map(str, names[:8])) + (", ..." if len(names) > 8 else "")
