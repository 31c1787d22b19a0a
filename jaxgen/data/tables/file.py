"""Tables in CSV and Parquet files, with what was found out about them: encoding, separator, which column has ids."""

import base64
import contextlib
import csv
import dataclasses
import itertools
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxgen.data.labels import MISSING
from jaxgen.data.tables.rows import TextFile, refuse_repeated
from jaxgen.data.tables.text import read_text
from jaxgen.errors import UserError, first_line
from jaxgen.io.arrays import refuse_bomb

# Names of columns that hold ids, in lower case; pandas writes an index without a name, and reads it as Unnamed.
PANDAS_INDEX = "__index_level_0__"
INDEX_NAMES = ("", "unnamed: 0", PANDAS_INDEX)
ID_NAMES = ("id", "index", "rownames", "row_names", *INDEX_NAMES)
UNNAMED = "without a name"
PARQUET, PARQUET_MARK = (".parquet", ".pq"), b"PAR1"
# Rows from which on a column that counts them is one.
MOST_CHANCE_ROWS = 10


class Spaces(NamedTuple):
    """White space that was dropped around the texts of a column.

    Attributes:
      count: how many had some.
      merged: the texts that several spellings became.
    """

    count: int
    merged: tuple[str, ...]


def shown(names: Sequence[str]) -> list[str]:
    """Names of columns, as a message lists them."""
    return [name or f"({UNNAMED})" for name in names]


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
      named_by: what names the rows of a frame in place of a column, for messages; empty if nothing does.
      row_names: what a frame calls its rows, ``[n]``; None for other sources.
      spaces: what was dropped around the texts of a column, by its name.
      padded: columns of numbers some of which are written with zeros before them.
    """

    source: str
    data: Any
    text: TextFile | None = None
    notes: tuple[str, ...] = ()
    index: tuple[str, ...] = ()
    categories: frozenset[str] = frozenset()
    training: int = 0
    named_by: str = ""
    row_names: Sequence[Any] | None = None
    spaces: Mapping[str, Spaces] = dataclasses.field(default_factory=dict)
    padded: tuple[str, ...] = ()

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
        """Where a row stands: by its line, by its index in a frame that has one, or by its number from 1."""
        if self.text:
            # The reader of the standard library takes no cells as long as Arrow does.
            with contextlib.suppress(csv.Error, StopIteration):
                return f"line {next(itertools.islice(self.text.records(), row + 1, None))[0]}"
        is_test = bool(self.training) and row >= self.training
        if self.row_names is not None:
            return f"{'test ' * is_test}index {self.row_names[row]}"
        return f"test row {row - self.training + 1}" if is_test else f"row {row + 1}"

    def instead(self, row: int, name: str) -> list[str]:
        """What a text file has in a cell that is read as missing, such as ``'NA' is read as missing``."""
        with contextlib.suppress(csv.Error, StopIteration, IndexError):
            records = itertools.islice(self.text.records() if self.text else (), row + 1, None)
            text = next(records)[1][self.names.index(name)].strip()
            return [f"{text!r} is read as missing"] * bool(text)
        return []

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


def read_table(path: str, source: str, as_text: Sequence[str] = (), kind: str = "") -> Table:
    """Reads a CSV or Parquet file.

    Args:
      path: of the file.
      source: the user's name of the file, for messages.
      as_text: columns to be read as they are written, besides those that may hold ids.
      kind: ``csv`` or ``parquet``; empty: by the suffix.

    Raises:
      UserError: if it cannot be read, has no rows, or two columns of one name.
    """
    import pyarrow

    if not os.path.isfile(path):
        what = "is no file" if os.path.exists(path) else "there is no such file"
        raise UserError(f"{source}: {what}; give the path of a CSV or Parquet file")
    is_parquet = kind == "parquet" or (not kind and pathlib.Path(path).suffix.lower() in PARQUET)
    try:
        if is_parquet:
            table = read_parquet(path, source)
        else:
            read = read_text(path, source, lambda name: name in as_text or name.lower() in ID_NAMES)
            table = Table(source, read.data, read.file, read.file.notes(), padded=read.padded)
        return clean(table)
    except (OSError, UnicodeError, csv.Error, ValueError, pyarrow.ArrowException) as error:
        wanted = "Parquet" if is_parquet else "CSV"
        raise UserError(
            f"{source}: cannot be read as {wanted} ({first_line(error)}); {remedy(path, is_parquet)}"
        ) from None


def remedy(path: str, is_parquet: bool) -> str:
    """What to do about a file that cannot be read as CSV, or as Parquet."""
    with open(path, "rb") as file:
        begins_as_parquet = file.read(len(PARQUET_MARK)) == PARQUET_MARK
    if begins_as_parquet and not is_parquet:
        return "it is a Parquet file: give parquet:PATH, or name it .parquet"
    if is_parquet and not begins_as_parquet:
        return "it is of another kind: give csv:PATH if it is text"
    return "it may be cut short or damaged: write it or fetch it anew" if is_parquet else "save it as text in UTF-8"


def read_parquet(path: str, source: str) -> Table:
    """Reads a Parquet file.

    Raises:
      UserError: if it has no rows, or two columns of one name.
    """
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        metadata = file.metadata
        refuse_bomb(8 * metadata.num_rows * metadata.num_columns, pathlib.Path(path).stat().st_size)
        data = file.read()
    if not data.num_rows or not data.num_columns:
        raise UserError(f"{source}: has no rows; give a file with one for each example")
    refuse_repeated(data.column_names, source)
    # What pandas wrote of an index stays when other tools drop its column.
    index = [name for name in pandas_entries(data, "index_columns") if name in data.column_names]
    return Table(source, data, index=tuple(index), categories=stored_categories(metadata.metadata or {}))


def pandas_entries(data: Any, key: str) -> list[Any]:
    """A list of what pandas wrote beside a `pyarrow.Table`; empty if there is none, or it is none of pandas."""
    try:
        entries = data.schema.pandas_metadata[key]
    except (KeyError, TypeError, ValueError):
        entries = []
    return entries if isinstance(entries, list) else []


def stored_categories(metadata: Mapping[bytes, bytes]) -> frozenset[str]:
    """The columns of a Parquet file that were categories when it was written; numbers are not read back as such."""
    import pyarrow

    try:
        schema = pyarrow.ipc.read_schema(pyarrow.py_buffer(base64.b64decode(metadata[b"ARROW:schema"])))
        return frozenset(field.name for field in schema if pyarrow.types.is_dictionary(field.type))
    except (KeyError, OSError, ValueError, pyarrow.ArrowException):
        return frozenset()


def declared_categories(data: Any) -> frozenset[str]:
    """The columns of a `pyarrow.Table` whose type, or what pandas wrote of it, says that they hold categories."""
    import pyarrow

    described = [column for column in pandas_entries(data, "columns") if isinstance(column, dict)]
    known = {str(column.get("name")) for column in described if column.get("pandas_type") == "categorical"}
    types = {field.name for field in data.schema if pyarrow.types.is_dictionary(field.type)}
    return frozenset(types | known & set(data.column_names))


def clean(table: Table) -> Table:
    """A table with text and category columns as texts without white space around; missing values are null.

    Raises:
      UserError: for categories that are no texts or numbers, and for texts that are not UTF-8.
    """
    import pyarrow
    import pyarrow.compute as compute

    data, spaces = table.data, dict(table.spaces)
    for place, field in enumerate(data.schema):
        column = data.column(place)
        if pyarrow.types.is_dictionary(field.type):
            column = decoded(column, table, field.name)
            data = data.set_column(place, field.name, column)
        kinds = (pyarrow.types.is_string, pyarrow.types.is_large_string, pyarrow.types.is_string_view)
        if any(is_kind(column.type) for is_kind in kinds):
            try:
                column = column.cast("string")
                texts = compute.utf8_trim_whitespace(column)
            except pyarrow.ArrowException:
                raise UserError(
                    f"{table.title(field.name)}: has texts that are not UTF-8; write them as such"
                ) from None
            is_missing = compute.is_in(texts, value_set=pyarrow.array(MISSING))
            texts = compute.if_else(is_missing, pyarrow.scalar(None, "string"), texts)
            spaces |= dropped_spaces(field.name, column, texts)
            data = data.set_column(place, field.name, texts)
    return dataclasses.replace(
        table, data=data, categories=table.categories | declared_categories(table.data), spaces=spaces
    )


def decoded(column: Any, table: Table, name: str) -> Any:
    """A column of categories as what these are: texts or numbers.

    Raises:
      UserError: for categories that are anything else, such as lists.
    """
    import pyarrow

    try:
        return column.cast(column.type.value_type)
    except pyarrow.ArrowException:
        raise UserError(
            f"{table.title(name)}: has categories of the type {column.type.value_type}; texts or numbers are needed: "
            "make texts of them, or drop it"
        ) from None


def dropped_spaces(name: str, column: Any, texts: Any) -> dict[str, Spaces]:
    """What was dropped around the texts of a column, if anything was, where `texts` are those that remain."""
    import pyarrow
    import pyarrow.compute as compute

    has_spaces = compute.fill_null(compute.not_equal(column, texts), False)
    if not (count := compute.sum(has_spaces).as_py()):
        return {}
    spellings = pyarrow.table({"text": texts, "as written": column}).group_by(["text", "as written"]).aggregate([])
    counts = compute.value_counts(spellings["text"].drop_null()).to_pylist()
    merged = sorted(each["values"] for each in counts if each["counts"] > 1)
    return {name: Spaces(count, tuple(merged))}
