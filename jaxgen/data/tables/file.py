"""Tables in CSV and Parquet files, with what was found out about them: encoding, separator, which column has ids."""

import contextlib
import csv
import dataclasses
import io
import itertools
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from jaxgen.data.labels import MISSING
from jaxgen.errors import UserError, first_line
from jaxgen.io.arrays import refuse_bomb

# Names of columns that hold ids, in lower case; pandas writes an index without a name, and reads it as Unnamed.
INDEX_NAMES = ("", "unnamed: 0", "__index_level_0__")
ID_NAMES = ("id", "index", "rownames", "row_names", "", "unnamed: 0", "__index_level_0__")
UNNAMED = "without a name"
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
PARQUET = (".parquet", ".pq")
# Rows from which on a column that counts them is one.
MOST_CHANCE_ROWS = 10


@dataclasses.dataclass(frozen=True)
class Table:
    """Columns of a file.

    Attributes:
      source: the user's name of the file, for messages.
      data: a `pyarrow.Table`; text columns are stripped of white space, and missing values are null.
      separator, encoding: of a text file; empty for Parquet.
      text: the content of a text file, from which `where` counts lines.
      notes: what was found out.
      index: the columns that pandas wrote as the index of a frame.
      categories: the columns that were declared to hold categories, even if these are numbers.
      training: the number of rows of training examples, if rows of test examples come after them; 0: all are.
    """

    source: str
    data: Any
    separator: str = ""
    encoding: str = ""
    text: bytes = b""
    notes: tuple[str, ...] = ()
    index: tuple[str, ...] = ()
    categories: frozenset[str] = frozenset()
    training: int = 0

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return self.data.column_names

    def title(self, name: str) -> str:
        """A column as messages begin: with the file's name and its own."""
        return f"{self.source}: column {name or UNNAMED}"

    def where(self, row: int) -> str:
        """Where a row stands in the file: by its line, or by its number from 1."""
        if self.separator:
            # The reader of the standard library takes no cells as long as Arrow does.
            with contextlib.suppress(csv.Error, StopIteration):
                return f"line {next(itertools.islice(self.records(), row + 1, None))[0]}"
        is_test = bool(self.training) and row >= self.training
        return f"test row {row - self.training + 1}" if is_test else f"row {row + 1}"

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """The line number and the cells of the header and of each row of a text file."""
        reader = csv.reader(io.StringIO(self.text.decode(self.encoding), newline=""), delimiter=self.separator)
        return ((reader.line_num, cells) for cells in reader if cells)

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
        table = read_parquet(path, source) if is_parquet else read_text(path, source, as_text)
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
    index = tuple(name for name in described.get("index_columns", ()) if isinstance(name, str))
    return Table(source, data, index=index)


def read_text(path: str, source: str, as_text: Sequence[str]) -> Table:
    """Reads a text file of rows, after finding out its encoding and separator."""
    import pyarrow
    from pyarrow import csv as arrow_csv

    text = pathlib.Path(path).read_bytes()
    encoding = find_encoding(text)
    if encoding != "utf-8":
        text = text.decode(encoding).encode("utf-8")
    separator = find_separator(text)
    notes = [f"its text is {encoding}"] * (encoding not in ("utf-8", "utf-8-sig"))
    notes += [f"its columns are separated by {SEPARATORS[separator]}"] * (separator != ",")
    draft = Table(source, None, separator, "utf-8", text, tuple(notes))
    header = read_header(draft)
    refuse_open_quote(draft)
    kept = [name for name in header if name.strip() in as_text or name.strip().lower() in ID_NAMES]
    try:
        data = arrow_csv.read_csv(
            pyarrow.BufferReader(text),
            # A block holds a row or more.
            read_options=arrow_csv.ReadOptions(block_size=max(2**20, 16 * len(text.split(b"\n", 1)[0]))),
            parse_options=arrow_csv.ParseOptions(delimiter=separator, newlines_in_values=b'"' in text),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(kept, pyarrow.string()), null_values=MISSING, strings_can_be_null=True
            ),
        )
    except pyarrow.ArrowInvalid:
        refuse_uneven(draft)
        raise
    return dataclasses.replace(draft, data=data.rename_columns([name.strip() for name in data.column_names]))


def read_header(table: Table) -> list[str]:
    """The cells of the first line of a text file.

    Raises:
      UserError: if there is none, or no row below it.
    """
    records, header = table.records(), None
    # A cell may be longer than the reader takes, but not than Arrow does.
    with contextlib.suppress(csv.Error):
        header = next(records, (0, []))[1]
        if not header or next(records, None) is None:
            raise UserError(f"{table.source}: has no rows under a header line")
    if header is None:
        raise UserError(f"{table.source}: its first line has a cell that is too long for a name")
    return header


def find_encoding(text: bytes) -> str:
    """The encoding of a text: by its first bytes, else UTF-8 if it is, else Windows-1252.

    Raises:
      ValueError: if it is no text.
    """
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if text.startswith(mark):
            return encoding
    if b"\0" in text:
        raise ValueError("it is no text")
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def find_separator(text: bytes) -> str:
    """The separator that stands most often outside quotes in the first line."""
    line = next((line for line in text[: 2**20].decode("utf-8", "ignore").splitlines() if line.strip()), "")
    outside = "".join(line.split('"')[::2])
    return max(SEPARATORS, key=outside.count)


def refuse_open_quote(table: Table) -> None:
    """Raises `UserError` for a quote that is never closed, and so would make one cell of the rest of the file."""
    if table.text.count(b'"') % 2:
        last = 0
        for line, _ in table.records():
            last, before = line, last
        raise UserError(
            f"{table.source}: line {before + 1}: a quote is opened there or above that is never closed; close it, or "
            "write a quote inside a cell twice"
        )


def refuse_uneven(table: Table) -> None:
    """Raises `UserError` for the first row of another number of cells than the header has, if there is one."""
    records = table.records()
    _, header = next(records)
    for line, cells in records:
        if len(cells) != len(header):
            raise UserError(f"{table.source}: line {line} has {len(cells)} cells, the header {len(header)}")


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
