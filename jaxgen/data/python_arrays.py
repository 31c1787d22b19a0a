"""Data of a call from Python: arrays, frames, series, tensors and lists.

Frames of pandas, polars and whatever else narwhals knows are read as tables in files are.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxgen.config import DataSpec
from jaxgen.data.checks import make_dataset
from jaxgen.data.hugging_face import Splits, dataset_of_splits
from jaxgen.data.labelled import all_examples, is_hugging_face, is_indexed, read_pairs
from jaxgen.data.pictures import read_opened
from jaxgen.data.tables.columns import read_joined
from jaxgen.errors import UserError
from jaxgen.types import Dataset
from jaxgen.wording import some_of

SOURCE = "arrays"


def dataset_of_call(
    images: Any,
    labels: Any = None,
    *,
    test_images: Any = None,
    test_labels: Any = None,
    class_names: Any = None,
    ids: Any = None,
    impute: str = "none",
) -> Dataset:
    """The data set of what a user gave, as `make_dataset` makes it of arrays.

    The index of a pandas frame is its ids, unless `ids` are given or it merely counts the rows. A frame and a data set
    of Hugging Face have the labels in a column, if `labels` is its name; data sets of pairs bring them along.

    Raises:
      UserError: for what cannot be taken, with the remedy.
    """
    if is_hugging_face(images):
        refuse_given(images, {"labels": labels, "test_labels": test_labels, "class_names": class_names, "ids": ids})
        spec = DataSpec(label_column=labels or DataSpec.label_column, impute=impute)
        return dataset_of_splits("data", "images", Splits(images, test_images), spec)
    notes: tuple[str, ...] = ()
    if labels is None and is_indexed(images):
        images, labels, names = read_pairs(images, "images")
        class_names = names if class_names is None else class_names
        if test_images is not None and test_labels is None:
            test_images, test_labels, _ = read_pairs(test_images, "test images")
    if isinstance(labels, str) and is_frame(images):
        column = labels
        images, labels = without_column(images, column, "images")
        if test_images is not None and test_labels is None:
            test_images, test_labels = without_column(test_images, column, "test images")
    if labels is None:
        raise UserError("labels: there are none; give one for each of the images")
    refuse_other_order(images, labels, "labels")
    refuse_other_order(test_images, test_labels, "test labels")
    refuse_other_order(images, ids, "ids")
    if ids is None and has_index(images) and names_rows(images.index):
        ids = images.index
    if class_names is None and is_frame(labels):
        # Columns of dummies, one a class.
        class_names = list(map(str, labels.columns))
    if is_frame(images):
        images, test_images, notes = read_frames(images, test_images, labels, impute)
    else:
        images, notes = read_values(images, "images")
        test_images, test_notes = read_values(test_images, "test images")
        notes += test_notes
    return make_dataset(
        "data",
        images,
        as_names(labels, "labels"),
        source=SOURCE,
        test_images=test_images,
        test_labels=as_names(test_labels, "test labels"),
        class_names=None if class_names is None else as_names(class_names, "class_names"),
        ids=as_names(ids, "ids"),
        impute=impute,
        notes=notes,
    )


def refuse_given(images: Any, others: Mapping[str, Any]) -> None:
    """Raises `UserError` for what a data set of Hugging Face has in its columns, or for one without a length."""
    if not hasattr(images, "__len__"):
        raise UserError("images: are streamed; load the data set as a whole (streaming=False)")
    if isinstance(images, Mapping):
        raise UserError('images: have several splits; give one, such as images=data["train"], test_images=data["test"]')
    for name, value in others.items():
        if value is not None and not (name == "labels" and isinstance(value, str)):
            remedy = "name their column, or leave them out" if name == "labels" else "leave them out"
            raise UserError(f"{name}: the images are a data set that has them in its columns; {remedy}")


def without_column(frame: Any, name: str, what: str) -> tuple[Any, Any]:
    """A frame without one of its columns, and this column.

    Raises:
      UserError: if it has no such column.
    """
    import narwhals

    if not is_frame(frame) or name not in list(map(str, frame.columns)):
        has = f"have the columns {some_of(list(frame.columns), 8)}" if is_frame(frame) else "are no frame"
        raise UserError(f"labels: {name!r} is no column: the {what} {has}")
    known = narwhals.from_native(frame)
    return known.drop(name).to_native(), known[name].to_native()


def is_frame(values: Any) -> bool:
    """Whether values are a frame of named columns."""
    import narwhals

    # Narwhals refuses frames with two columns of one name.
    return hasattr(values, "columns") or isinstance(narwhals.from_native(values, pass_through=True), narwhals.DataFrame)


def has_index(values: Any) -> bool:
    """Whether values are a frame or a series of pandas, or like one."""
    return hasattr(values, "iloc") and hasattr(values, "index")


def names_rows(index: Any) -> bool:
    """Whether an index has a different whole number or text for each row, and is not merely 0, 1, 2, ..."""
    values = [value.item() if hasattr(value, "item") else value for value in list(index)]
    if values == list(range(len(values))) or len(set(values)) < len(values):
        return False
    return {type(value) for value in values} in ({int}, {str})


def refuse_other_order(images: Any, labels: Any, what: str) -> None:
    """Raises `UserError` where both have an index and these differ: pandas would pair rows by it; jaxgen does not."""
    if has_index(images) and has_index(labels) and not images.index.equals(labels.index):
        raise UserError(
            f"{what}: have another index than the images; bring them into one order (.loc[images.index]), or give "
            ".to_numpy() if they are in one"
        )


def read_frames(
    images: Any, test_images: Any, labels: Any, impute: str
) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]:
    """Features of a frame ``[n, f]`` and of one of test examples ``[t, f]``, and notes.

    Raises:
      UserError: for columns that differ, that hold the labels, or of which no numbers can be made.
    """
    import pyarrow

    frames = [as_frame(images, "images")]
    if test_images is not None:
        if not is_frame(test_images):
            raise UserError("test images: are no frame, and the images are one; give both alike")
        frames.append(as_frame(test_images, "test images"))
        if frames[0].columns != frames[1].columns:
            given, needed = some_of(frames[1].columns, 8), some_of(frames[0].columns, 8)
            raise UserError(f"test images: have the columns {given}; needed: {needed}")
    name = getattr(labels, "name", None)
    if name is not None and name in frames[0].columns:
        raise UserError(f"images: have the labels as their column {name}; leave it out")
    try:
        # The index, if there is one, comes after the columns.
        tables = [frame.to_arrow().select(range(len(frame.columns))) for frame in frames]
    except (pyarrow.ArrowException, KeyError, TypeError, OverflowError) as error:
        raise UserError(
            f"images: cannot be read as a table ({str(error).splitlines()[0]}); give columns of one type each, or an "
            "array"
        ) from None
    found = read_joined(tables, "images", impute)
    return found.parts[0], found.parts[1] if test_images is not None else None, found.notes


def as_frame(values: Any, what: str) -> Any:
    """A frame of narwhals with columns of different names.

    Raises:
      UserError: if it has none, or two of one name.
    """
    import narwhals

    names = list(map(str, values.columns))
    if not names or len(set(names)) < len(names):
        raise UserError(f"{what}: have {'two columns of one name' if names else 'no columns'}; give each column a name")
    return narwhals.from_native(values)


def read_values(values: Any, what: str) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Numbers of any array, tensor, nested list or list of opened pictures, None if there are none; and notes.

    Raises:
      UserError: if they are no array of numbers.
    """
    if values is not None and is_indexed(values):
        values = list(all_examples(values, what))
    if isinstance(values, list | tuple) and values and all(hasattr(value, "getexif") for value in values):
        return read_opened(values, what)
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
    series = narwhals.from_native(values, series_only=True, pass_through=True)
    if isinstance(series, narwhals.Series):
        if series.null_count():
            row = int(np.argmax(series.is_null().to_numpy()))
            raise UserError(f"{what}: row {row + 1} has none; fill it or drop the row")
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
        if isinstance(values, np.ma.MaskedArray) and np.ma.getmaskarray(values).any():
            raise UserError(f"{what}: {int(np.ma.getmaskarray(values).sum()):,} values are masked; fill or drop them")
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{what}: are no array ({reason}); give one of NumPy, all rows alike") from None
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array
