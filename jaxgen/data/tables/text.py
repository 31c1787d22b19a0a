"""The columns of text files of rows (CSV)."""

import contextlib
import pathlib
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxgen.data.labels import MISSING
from jaxgen.data.tables.rows import (
    EXCEL,
    TextFile,
    find_encoding,
    find_separator,
    read_header,
    refuse_open_quote,
    refuse_uneven,
)

# Bytes of rows that Arrow reads in parallel, the most that it takes, and those after which columns are packed.
BLOCK, MOST_BLOCK, PART = 2**20, 2**30, 2**25
# Types of whole numbers that a column is packed into, if they hold its numbers.
SMALL_TYPES = ("int16", "int32")
# A whole number of 64 bits or more, which Arrow takes for a negative one.
WRAPPED = rb"0[xX]0*[89a-fA-F][0-9a-fA-F]{15}(?![0-9a-fA-F])"
# A whole number with zeros before it, such as a zip code.
PADDED = r"^[+-]?0\d+$"
# Columns that are read as texts at once.
COLUMNS_AT_ONCE = 64


class TextColumns(NamedTuple):
    """What a text file of rows holds.

    Attributes:
      file: the file.
      data: its columns, a `pyarrow.Table`.
      padded: names of columns of numbers some of which are written with zeros before them.
    """

    file: TextFile
    data: Any
    padded: tuple[str, ...] = ()


def read_text(path: str, source: str, is_text: Callable[[str], bool]) -> TextColumns:
    """Reads a text file of rows, after finding out its encoding and separator.

    Args:
      path: of the file.
      source: the user's name of it, for messages.
      is_text: whether the column of a name is read as it is written.

    Raises:
      UserError: if it has no rows, an open quote, or rows of different lengths.
    """
    import pyarrow

    text = pathlib.Path(path).read_bytes()
    encoding = find_encoding(text)
    if encoding != "utf-8":
        text = text.decode(encoding).encode("utf-8")
    excel = re.match(EXCEL, text)
    if excel:
        text = text[excel.end() :]
    file = TextFile(path, encoding, excel[1].decode() if excel else find_separator(text), bool(excel))
    refuse_open_quote(text, file, source)
    header = read_header(file, source)
    kept = [name for name in header if is_text(name.strip())]
    try:
        data = read_columns(text, file.separator, kept)
    except pyarrow.ArrowInvalid:
        refuse_uneven(file, source)
        raise
    if has_wrapped(text) and (wrapped := negative_columns(data)):
        data = read_columns(text, file.separator, [*kept, *wrapped])
    padded = find_padded(text, file.separator, data) if has_padded(text) else ()
    return TextColumns(file, data.rename_columns([name.strip() for name in data.column_names]), padded)


def has_wrapped(text: bytes) -> bool:
    """Whether a hexadecimal number stands below the first line that Arrow takes for a negative one."""
    below = text.find(b"\n") + 1
    # A letter is found much faster than what it stands in.
    has_letter = max(text.find(letter, below) for letter in (b"x", b"X")) >= 0
    return has_letter and re.compile(WRAPPED).search(text, below) is not None


def negative_columns(data: Any) -> list[str]:
    """The columns of whole numbers that hold a negative one."""
    import pyarrow
    import pyarrow.compute as compute

    whole = [name for name in data.column_names if pyarrow.types.is_integer(data.column(name).type)]
    return [name for name in whole if (compute.min(data.column(name)).as_py() or 0) < 0]


def has_padded(text: bytes) -> bool:
    """Whether a cell, or a word in one, begins with a zero and another digit."""
    codes = np.frombuffer(text, np.uint8)
    for start in range(1, len(codes) - 1, BLOCK):
        part = codes[start - 1 : start + BLOCK + 1]
        # Bytes wrap, so that only digits are below 10.
        zeros = (part[1:-1] == ord("0")) & (part[2:] - ord("0") < 10)
        if zeros.any() and np.isin(part[:-2][zeros], list(b',;|"\t\r\n ')).any():
            return True
    return False


def find_padded(text: bytes, separator: str, data: Any) -> tuple[str, ...]:
    """The columns of numbers some of which are written with zeros before them."""
    import pyarrow
    import pyarrow.compute as compute

    kinds = pyarrow.types
    numbers = [field.name for field in data.schema if kinds.is_integer(field.type) or kinds.is_floating(field.type)]
    found = set()
    for start in range(0, len(numbers), COLUMNS_AT_ONCE):
        names = numbers[start : start + COLUMNS_AT_ONCE]
        texts = parse(text, separator, names, len(text), has_quotes=b'"' in text, only=names)
        are_padded = [compute.any(compute.match_substring_regex(column, PADDED)).as_py() for column in texts.columns]
        found |= {name for name, is_padded in zip(names, are_padded, strict=True) if is_padded}
    return tuple(name.strip() for name in numbers if name in found)


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
    try:
        return parse(text, separator, kept, stop or len(text), has_quotes=has_quotes)
    except pyarrow.ArrowInvalid as error:
        if "straddling" not in str(error):
            raise
        # A row is much longer than the header.
        return parse(text, separator, kept, len(text), has_quotes=has_quotes)


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
    only: Sequence[str] = (),
) -> Any:
    """The columns of a text whose rows have about `longest` bytes, named by its first line if `names` is None.

    Those of `kept` are texts; if `only` names some, no others are read.
    """
    import pyarrow
    from pyarrow import csv as arrow_csv

    return arrow_csv.read_csv(
        pyarrow.BufferReader(pyarrow.py_buffer(text)),
        # A block holds a row or more.
        read_options=arrow_csv.ReadOptions(block_size=min(max(BLOCK, 16 * longest), MOST_BLOCK), column_names=names),
        parse_options=arrow_csv.ParseOptions(delimiter=separator, newlines_in_values=has_quotes),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(kept, pyarrow.string()),
            null_values=MISSING,
            strings_can_be_null=True,
            include_columns=list(only),
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
