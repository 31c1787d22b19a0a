"""Text files of rows: their encoding, separator and header are found out; what makes no table of them is refused."""

import collections
import csv
import itertools
import os
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from jaxgen.errors import UserError
from jaxgen.wording import some_of

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
# The longest cell that the reader of the standard library is let read, as Arrow reads it.
LONGEST_CELL = 2**31 - 1
NUMBER = r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?"
# The first line that tells Excel what separates the cells.
EXCEL = rb'"?sep=([,;\t|])"?\r?\n'
# The first bytes of texts by encoding; those of UTF-32 begin as those of UTF-16 do.
MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe\0\0": "utf-32", b"\0\0\xfe\xff": "utf-32"}
MARKS |= {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
# What follows the last row, where it is looked for whether a quote is open there.
END = "end of the file"


class TextFile(NamedTuple):
    """A text file of rows.

    Attributes:
      path: of the file.
      encoding: as Python calls it.
      separator: of cells.
      begins_with_it: whether its first line is one for Excel that names the separator.
    """

    path: str | os.PathLike
    encoding: str
    separator: str
    begins_with_it: bool = False

    def records(self, *more: str) -> Iterator[tuple[int, list[str]]]:
        """The line number and the cells of the header and of each row, and of lines that come after these."""
        with open(self.path, encoding=self.encoding, newline="") as file:
            if self.begins_with_it:
                next(file)
            reader = csv.reader(itertools.chain(file, more), delimiter=self.separator)
            while True:
                # The limit is one for all of Python.
                limit = csv.field_size_limit(LONGEST_CELL)
                try:
                    cells = next(reader, None)
                finally:
                    csv.field_size_limit(limit)
                if cells is None:
                    return
                if cells:
                    yield reader.line_num + self.begins_with_it, cells

    def notes(self) -> tuple[str, ...]:
        """What was found out about it that is not as usual."""
        encodings = [f"its text is {self.encoding}"] * (self.encoding not in ("utf-8", "utf-8-sig"))
        separators = [f"its columns are separated by {SEPARATORS[self.separator]}"] * (self.separator != ",")
        skipped = [f"its first line, sep={self.separator}, is for Excel and is skipped"] * self.begins_with_it
        return (*encodings, *separators, *skipped)


def read_header(file: TextFile, source: str) -> list[str]:
    """The cells of the first line of a text file.

    Raises:
      UserError: if there is none, or no row below it, or it has a name twice.
    """
    records = file.records()
    header = next(records, (0, []))[1]
    if not header or next(records, None) is None:
        raise UserError(
            f"{source}: has no rows under a header line; needed: a first line with the names of the columns, and below "
            "it a line for each example"
        )
    names = [name.strip() for name in header]
    if looks_like_data(names) and len(set(names)) < len(names):
        raise UserError(
            f"{source}: its first line looks like data ({some_of(names, 3)}); put a line with the names of the columns "
            "above it"
        )
    refuse_repeated(names, source)
    return header


def looks_like_data(header: Sequence[str]) -> bool:
    """Whether most cells of a header are numbers."""
    return 2 * sum(bool(re.fullmatch(NUMBER, name)) for name in header) > len(header)


def refuse_repeated(names: Sequence[str], source: str) -> None:
    """Raises `UserError` for a name that two columns have."""
    [(name, count)] = collections.Counter(names).most_common(1)
    if count > 1:
        shown = f"have the name {name}" if name else "have no name"
        raise UserError(f"{source}: {count} columns {shown}; give each column a name of its own")


def find_encoding(text: bytes) -> str:
    """The encoding of a text: by its first bytes, else UTF-8 if it is, else Windows-1252.

    Raises:
      ValueError: if it is no text.
    """
    encoding = next((encoding for mark, encoding in MARKS.items() if text.startswith(mark)), None)
    if encoding:
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
    outside = re.sub('"[^"]*"', "", line)
    return max(SEPARATORS, key=outside.count)


def refuse_open_quote(text: bytes, file: TextFile, source: str) -> None:
    """Raises `UserError` for a quote that is never closed, and so would make one cell of the rest of the file."""
    if text.count(b'"') % 2:
        (before, _), (_, cells) = collections.deque(itertools.chain([(0, [])], file.records(END)), maxlen=2)
        # Quotes inside a cell that does not begin with one are part of it.
        if cells != [END]:
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
            raise UserError(
                f"{source}: line {line} has {len(cells)} cells, the header {len(header)}; mend it (a cell with "
                f"{SEPARATORS[file.separator]} inside needs quotes around it)"
            )
