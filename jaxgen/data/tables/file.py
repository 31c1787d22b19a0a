"""Tables in CSV and Parquet files, with what was found out about them: encoding, separator, which column has ids."""

import contextlib
import csv
import dataclasses
import itertools
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxgen.data.labels import MISSING
from jaxgen.data.tables.text import TextFile, read_text
from jaxgen.errors import UserError, first_line
from jaxgen.io.arrays import refuse_bomb

# Names of columns that hold ids, in lower case; pandas writes an index without a name, and reads it as Unnamed.
INDEX_NAMES = ("", "unnamed: 0", "__index_level_0__")
ID_NAMES = ("id", "index", "rownames", "row_names", "", "unnamed: 0", "__index_level_0__")
UNNAMED = "without a name"
PARQUET = (".parquet", ".pq")
# Rows from which on a column that counts them is one.
MOST_CHANCE_ROWS = 10


@dataclasses.dataclass(frozen=True)
class Table:
    """Columns of a file.

    Attributes:
      source: the user's name of the file, for messages.
      data: a `pyarrow.Table`; text columns are stripped of white space, and missing values are null.
      text: the file, if it is one of text.
      notes: what was found out.
      index: the columns that pandas wrote as the index of a frame.
      categories: the columns that were declared to hold categories, even if these are numbers.
      training: the number of rows of training examples, if rows of test examples come after them; 0: all are.
    """

    source: str
    data: Any
    text: TextFile | None = None
    notes: tuple[str, ...] = ()
    index: tuple[str, ...] = ()
    categories: frozenset[str] = frozenset()
    training: int = 0

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return self.data.column_names

    @property
    def separator(self) -> str:
        """What stands between the cells of a text file; empty for other sources."""
        return self.text.separator if self.text else ""

    def title(self, name: str) -> str:
        """A column as messages begin: with the file's name and its own."""
        return f"{self.source}: column {name or UNNAMED}"

    def where(self, row: int) -> str:
        """Where a row stands in the file: by its line, or by its number from 1."""
        if self.text:
            # The reader of the standard library takes no cells as long as Arrow does.
            with contextlib.suppress(csv.Error, StopIteration):
                return f"line {next(itertools.islice(self.text.records(), row + 1, None))[0]}"
        is_test = bool(self.training) and row >= self.training
        return f"test row {row - self.training + 1}" if is_test else f"row {row + 1}"

    def texts(self, name: str) -> np.ndarray:
        """A column as texts ``[n]``; missing values are empty.

        Raises:
          UserError: if one cell is so long that the array, in which all take the room of the longest, would be far
            larger than the column.
        """
        import pyarrow
        import pyarrow.compute as compute

        column = self.data.column(name)
        try:
            texts = compute.fill_null(column.cast("string"), "").combine_chunks()
        except pyarrow.ArrowException:
            raise UserError(
                f"{self.source}: column {name}: is of type {column.type}; texts or whole numbers are needed"
            ) from None
        longest = compute.max(compute.utf8_length(texts)).as_py() or 1
        try:
            refuse_bomb(4 * longest * len(texts), texts.nbytes)
        except ValueError:
            raise UserError(
                f"{self.source}: column {name}: has a text of {longest:,} characters; classes and ids are short"
            ) from None
        return np.asarray(texts.to_pylist(), dtype=str)


def read_table(path: str, source: str, as_text: Sequence[str] = ()) -> Table:
    """Reads a CSV or Parquet file, by its suffix.

    Args:
      path: of the file.
      source: the user's name of the file, for messages.
      as_text: columns to be read as they are written, besides those that may hold ids.

    Raises:
      UserError: if it cannot be read, has no rows, or two columns of one name.
    """
    import pyarrow

    if not os.path.exists(path):
        raise UserError(f"{source}: there is no such file")
    if not os.path.isfile(path):
        raise UserError(f"{source}: is no file")
    is_parquet = pathlib.Path(path).suffix.lower() in PARQUET
    try:
        if is_parquet:
            table = read_parquet(path, source)
        else:
            file, data = read_text(path, source, lambda name: name in as_text or name.lower() in ID_NAMES)
            table = Table(source, data, file, file.notes())
    except (OSError, UnicodeError, csv.Error, ValueError, pyarrow.ArrowException) as error:
        kind = "Parquet" if is_parquet else "CSV"
        raise UserError(f"{source}: cannot be read as {kind} ({first_line(error)})") from None
    if not table.data.num_rows:
        raise UserError(f"{source}: has no rows under a header line")
    if len(set(table.names)) < len(table.names):
        raise UserError(f"{source}: two columns have the same name; the first line must name each column")
    return dataclasses.replace(table, data=strip_texts(table.data), categories=declared_categories(table.data))


def read_parquet(path: str, source: str) -> Table:
    """Reads a Parquet file."""
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        metadata = file.metadata
        refuse_bomb(8 * metadata.num_rows * metadata.num_columns, pathlib.Path(path).stat().st_size)
        data = file.read()
    described = data.schema.pandas_metadata or {}
    # What pandas wrote of an index stays when other tools drop its column.
    index = tuple(name for name in described.get("index_columns", ()) if name in data.column_names)
    return Table(source, data, index=index)


def declared_categories(data: Any) -> frozenset[str]:
    """The columns of a `pyarrow.Table` whose type, or what pandas wrote of it, says that they hold categories."""
    import pyarrow

    described = (data.schema.pandas_metadata or {}).get("columns", ())
    known = {column.get("name") for column in described if column.get("pandas_type") == "categorical"}
    types = {field.name for field in data.schema if pyarrow.types.is_dictionary(field.type)}
    return frozenset(types | known & set(data.column_names))


def strip_texts(data: Any) -> Any:
    """A `pyarrow.Table` with text and category columns as texts without white space around; missing values are null."""
    import pyarrow
    import pyarrow.compute as compute

    for place, field in enumerate(data.schema):
        column = data.column(place)
        if pyarrow.types.is_dictionary(field.type):
            column = column.cast(field.type.value_type)
            data = data.set_column(place, field.name, column)
        kinds = (pyarrow.types.is_string, pyarrow.types.is_large_string, pyarrow.types.is_string_view)
        if any(is_kind(column.type) for is_kind in kinds):
            texts = compute.utf8_trim_whitespace(column.cast("string"))
            is_missing = compute.is_in(texts, value_set=pyarrow.array(MISSING))
            column = compute.if_else(is_missing, pyarrow.scalar(None, "string"), texts)
            data = data.set_column(place, field.name, column)
    return data
