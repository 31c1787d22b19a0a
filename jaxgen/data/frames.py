"""Frames from Python: those of pandas, polars, pyarrow and what else narwhals knows, read as tables in files are."""

import collections
from typing import Any

from jaxgen.config import DataSpec
from jaxgen.data.tables.columns import TableRows, read_tables
from jaxgen.data.tables.file import Table, clean, shown
from jaxgen.data.tables.rows import refuse_repeated
from jaxgen.data.tables.words import NO_COLUMN
from jaxgen.errors import UserError, first_line
from jaxgen.wording import some_of


def is_frame(values: Any, what: str = "images") -> bool:
    """Whether values are a frame of named columns.

    Raises:
      UserError: for a frame that is not computed yet.
    """
    import narwhals

    if hasattr(values, "collect") and hasattr(values, "collect_schema"):
        raise UserError(f"{what}: are a lazy frame; give what its collect() returns")
    # Narwhals refuses frames with two columns of one name.
    return hasattr(values, "columns") or isinstance(narwhals.from_native(values, pass_through=True), narwhals.DataFrame)


def names_of(frame: Any) -> list[Any]:
    """The names of a frame's columns, as the frame has them."""
    return list(frame.column_names if hasattr(frame, "column_names") else frame.columns)


def has_index(values: Any) -> bool:
    """Whether values are a frame or a series of pandas, or like one."""
    return hasattr(values, "iloc") and hasattr(values, "index")


def is_cut(dtype: Any) -> bool:
    """Whether a type of pandas has categories that are intervals, as those of `pandas.cut`, or periods."""
    return str(getattr(getattr(dtype, "categories", None), "dtype", "")).startswith(("interval", "period"))


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


def without_column(frame: Any, name: str | int, what: str) -> tuple[Any, Any]:
    """A frame without one of its columns, and this column.

    Raises:
      UserError: if it has no such column.
    """
    if not is_frame(frame, what):
        raise UserError(f"labels: {name!r} is no column: the {what} are no frame; give the labels")
    if has_index(frame) and name in frame.index.names and name not in frame.columns:
        frame = frame.reset_index(level=name)
    names = names_of(frame)
    found = [known for known in names if str(known) == str(name)]
    if not found:
        raise UserError(
            f"labels: {name!r} is no column: the {what} have the columns {some_of(shown(names), 8)}; name one"
        )
    if len(found) > 1:
        raise UserError(f"labels: {name!r} is the name of two columns; give each column a name")
    if has_index(frame):
        # Narwhals takes names of other types than text for places.
        return frame.drop(columns=found), frame[found[0]]
    known = as_frame(frame, what)
    return known.drop(found[0]).to_native(), known[found[0]].to_native()


def as_frame(values: Any, what: str) -> Any:
    """A frame of narwhals with columns of different names.

    Raises:
      UserError: if it has none, or two of one name.
    """
    import narwhals

    names = list(map(str, names_of(values)))
    if not names:
        raise UserError(f"{what}: have no columns; give one for each feature")
    refuse_repeated(names, what)
    return narwhals.from_native(values)


def describe_index(frame: Any, ids: Any) -> list[str]:
    """Says why the index of a frame is not its ids, where there are no other `ids`, and it does not merely count."""
    if ids is not None or not has_index(frame) or list(frame.index) == list(range(len(frame.index))):
        return []
    kinds = collections.Counter(list(frame.index)).most_common(1)
    why = f"it is of type {frame.index.dtype}"
    if frame.index.nlevels > 1:
        why = f"it has {frame.index.nlevels} levels"
    elif kinds[0][1] > 1:
        why = f"{kinds[0][1]:,} rows have {kinds[0][0]}"
    return [f"the index of the frame does not name the rows ({why}): ids are their positions"]


def read_frames(images: Any, test_images: Any, labels: Any, ids: Any, spec: DataSpec) -> TableRows:
    """Features of a frame and, if there is one, of a frame of test examples; and ids.

    Ids are those that are given, or else those of the column that is asked for, of the index, or of a column.

    Raises:
      UserError: for columns that differ, that hold the labels, or of which no numbers can be made.
    """
    frames = [as_frame(images, "images")]
    if test_images is not None:
        if not is_frame(test_images, "test images"):
            raise UserError("test images: are no frame, and the images are one; give both alike")
        frames.append(as_frame(test_images, "test images"))
        if frames[0].columns != frames[1].columns:
            given, needed = (some_of(shown(frame.columns), 8) for frame in (frames[1], frames[0]))
            raise UserError(f"test images: have the columns {given}; needed: {needed}")
    name = getattr(labels, "name", None)
    if name is not None and name in frames[0].columns:
        raise UserError(f"images: have the labels as their column {name}; leave it out")
    is_asked = spec.id_column not in ("", NO_COLUMN)
    named_by = "the given ids name" if ids is not None else ""
    if ids is None and not is_asked and has_index(images) and names_rows(images.index):
        ids, named_by = images.index, "the index of the frame names"
    rows = read_tables([as_table(frame, named_by) for frame in frames], spec)
    ids = rows.ids[0] if ids is None else ids
    return rows._replace(ids=[ids, *rows.ids[1:]], notes=(*describe_index(images, ids), *rows.notes))


def as_table(frame: Any, named_by: str = "") -> Table:
    """A frame of narwhals as a table whose rows are named by something else than a column, if `named_by` says so.

    Raises:
      UserError: for columns of several types.
    """
    import narwhals
    import pyarrow

    native = frame.to_native()
    if has_index(native) and (cut := [name for name, dtype in native.dtypes.items() if is_cut(dtype)]):
        native = native.copy(deep=False)
        for name in cut:
            native[name] = native[name].cat.rename_categories(str)
        frame = narwhals.from_native(native)
    try:
        # The index, if there is one, comes after the columns.
        data = frame.to_arrow().select(range(len(frame.columns)))
    except (pyarrow.ArrowException, KeyError, TypeError, OverflowError) as error:
        raise UserError(
            f"images: cannot be read as a table ({first_line(error)}); give columns of one type each, or an array"
        ) from None
    row_names = list(native.index) if has_index(native) else None
    return clean(Table("images", data.replace_schema_metadata(), named_by=named_by, row_names=row_names))
