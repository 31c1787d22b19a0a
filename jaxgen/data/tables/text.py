"""Text files of rows (CSV): their encoding, separator and header are found out, and their columns read."""

import contextlib
import csv
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from jaxgen.data.labels import MISSING
from jaxgen.errors import UserError

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
# Bytes of rows that Arrow reads in parallel, the most that it takes, and those after which columns are packed.
BLOCK, MOST_BLOCK, PART = 2**20, 2**30, 2**25
# Types of whole numbers that a column is packed into, if they hold its numbers.
SMALL_TYPES = ("int16", "int32")


class TextFile(NamedTuple):
    """A text file of rows.

    Attributes:
      path: of the file.
      encoding: as Python calls it.
      separator: of cells.
    """

    path: str | os.PathLike
    encoding: str
    separator: str

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """The line number and the cells of the header and of each row."""
        with open(self.path, encoding=self.encoding, newline="") as file:
            reader = csv.reader(file, delimiter=self.separator)
            yield from ((reader.line_num, cells) for cells in reader if cells)

    def notes(self) -> tuple[str, ...]:
        """What was found out about it that is not as usual."""
        encodings = [f"its text is {self.encoding}"] * (self.encoding not in ("utf-8", "utf-8-sig"))
        separators = [f"its columns are separated by {SEPARATORS[self.separator]}"] * (self.separator != ",")
        return (*encodings, *separators)


def read_text(path: str, source: str, is_text: Callable[[str], bool]) -> tuple[TextFile, Any]:
    """Reads a text file of rows, after finding out its encoding and separator.

    Args:
      path: of the file.
      source: the user's name of it, for messages.
      is_text: whether the column of a name is read as it is written.

    Returns:
      The file and its columns, a `pyarrow.Table`.

    Raises:
      UserError: if it has no rows, an open quote, or rows of different lengths.
    """
    import pyarrow

    text = pathlib.Path(path).read_bytes()
    encoding = find_encoding(text)
    if encoding != "utf-8":
        text = text.decode(encoding).encode("utf-8")
    file = TextFile(path, encoding, find_separator(text))
    header = read_header(file, source)
    refuse_open_quote(text, file, source)
    kept = [name for name in header if is_text(name.strip())]
    try:
        data = read_columns(text, file.separator, kept)
    except pyarrow.ArrowInvalid:
        refuse_uneven(file, source)
        raise
    return file, data.rename_columns([name.strip() for name in data.column_names])


def read_columns(text: bytes, separator: str, kept: Sequence[str]) -> Any:
    """The columns of a text as a `pyarrow.Table`; those of `kept` are texts.

    A large text is read part by part, and whole numbers are packed, where all parts agree on what a column holds.
    """
    import pyarrow

    stop, has_quotes = text.find(b"\n") + 1, b'"' in text
    # Without quotes each line is a row; a header may have some.
    are_lines = not has_quotes or text.count(b'"') == text.count(b'"', 0, stop)
    if len(text) > PART and 0 < stop < PART and are_lines:
        # Read at once what parts do not agree on; and what cannot be read has its message there.
        with contextlib.suppress(pyarrow.ArrowInvalid, pyarrow.ArrowTypeError):
            return read_parts(text, separator, kept, stop)
    return parse(text, separator, kept, stop or len(text), has_quotes=has_quotes)


def read_parts(text: bytes, separator: str, kept: Sequence[str], longest: int) -> Any:
    """The columns of a text each line of which is a row, read part by part, as a `pyarrow.Table`.

    Raises:
      pyarrow.ArrowInvalid, pyarrow.ArrowTypeError: if the parts have columns of different types.
    """
    import pyarrow

    parts, names, start = [], None, 0
    while start < len(text):
        stop = text.find(b"\n", start + PART) + 1 or len(text)
        part = parse(memoryview(text)[start:stop], separator, kept, longest, names)
        parts.append(pack(part.combine_chunks()))
        names, start = part.column_names, stop
        del part
        # Arrow keeps the room of a part for the next one.
        pyarrow.default_memory_pool().release_unused()
    is_kind = (pyarrow.types.is_integer, pyarrow.types.is_floating)
    by_column = zip(*(part.schema.types for part in parts), strict=True)
    is_mixed = any(all(any(map(kind, types)) for kind in is_kind) for types in by_column)
    # Arrow takes hexadecimal numbers for whole numbers, but not beside fractions.
    if is_mixed and (b"0x" in text or b"0X" in text):
        raise pyarrow.ArrowTypeError("hexadecimal numbers beside fractions")
    return pyarrow.concat_tables(parts, promote_options="permissive")


def parse(
    text: bytes | memoryview,
    separator: str,
    kept: Sequence[str],
    longest: int,
    names: Sequence[str] | None = None,
    has_quotes: bool = False,
) -> Any:
    """The columns of a text whose rows have about `longest` bytes, named by its first line if `names` is None."""
    import pyarrow
    from pyarrow import csv as arrow_csv

    return arrow_csv.read_csv(
        pyarrow.BufferReader(pyarrow.py_buffer(text)),
        # A block holds a row or more.
        read_options=arrow_csv.ReadOptions(block_size=min(max(BLOCK, 16 * longest), MOST_BLOCK), column_names=names),
        parse_options=arrow_csv.ParseOptions(delimiter=separator, newlines_in_values=has_quotes),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(kept, pyarrow.string()), null_values=MISSING, strings_can_be_null=True
        ),
    )


def pack(data: Any) -> Any:
    """A `pyarrow.Table` whose whole numbers take as little room as they need."""
    import pyarrow

    def packed(column):
        for name in SMALL_TYPES if pyarrow.types.is_integer(column.type) else ():
            with contextlib.suppress(pyarrow.ArrowInvalid):
                return column.cast(name)
        return column

    return pyarrow.table([packed(column) for column in data.columns], names=data.column_names)


def read_header(file: TextFile, source: str) -> list[str]:
    """The cells of the first line of a text file.

    Raises:
      UserError: if there is none, or no row below it.
    """
    records, header = file.records(), None
    # A cell may be longer than the reader takes, but not than Arrow does.
    with contextlib.suppress(csv.Error):
        header = next(records, (0, []))[1]
        if not header or next(records, None) is None:
            raise UserError(f"{source}: has no rows under a header line")
    if header is None:
        raise UserError(f"{source}: its first line has a cell that is too long for a name")
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
        # ASCII is told without a copy.
        _ = text.isascii() or text.decode("utf-8")
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def find_separator(text: bytes) -> str:
    """The separator that stands most often outside quotes in the first line."""
    line = next((line for line in text[: 2**20].decode("utf-8", "ignore").splitlines() if line.strip()), "")
    outside = "".join(line.split('"')[::2])
    return max(SEPARATORS, key=outside.count)


def refuse_open_quote(text: bytes, file: TextFile, source: str) -> None:
    """Raises `UserError` for a quote that is never closed, and so would make one cell of the rest of the file."""
    if b'"' in text and text.count(b'"') % 2:
        last = before = 0
        for line, _ in file.records():
            last, before = line, last
        raise UserError(
            f"{source}: line {before + 1}: a quote is opened there or above that is never closed; close it, or "
            "write a quote inside a cell twice"
        )


def refuse_uneven(file: TextFile, source: str) -> None:
    """Raises `UserError` for the first row of another number of cells than the header has, if there is one."""
    records = file.records()
    _, header = next(records)
    for line, cells in records:
        if len(cells) != len(header):
            raise UserError(f"{source}: line {line} has {len(cells)} cells, the header {len(header)}")
