"""Tables of numbers with a label column, in a CSV file with a header line."""

import csv
import pathlib
from collections.abc import Sequence

import numpy as np

from jaxgen.config import DataSpec
from jaxgen.data.checks import make_dataset
from jaxgen.errors import UserError
from jaxgen.io.arrays import refuse_bomb
from jaxgen.types import Dataset

ID_COLUMN = "id"


def load_csv(path: str, spec: DataSpec) -> Dataset:
    """Reads the column `spec.label_column` as labels, one called ``id`` (if any) as ids, all others as numbers."""
    source = f"--dataset=csv:{path}"
    header, rows, lines = read_rows(path, source)
    if spec.label_column not in header:
        raise UserError(f"--label_column={spec.label_column}: {path} has the columns {', '.join(header)}")
    column = columns_of(header, rows)
    labels = as_texts(column.pop(spec.label_column), f"{source}: column {spec.label_column}")
    if (labels == "").any():
        line = lines[int(np.argmax(labels == ""))]
        raise UserError(f"{source}: line {line} has no {spec.label_column}; fill it or drop the line")
    refuse_quantity(labels, source, spec.label_column)
    labels = whole_numbers(labels)
    ids = column.pop(ID_COLUMN, None)
    if not column:
        raise UserError(f"{source}: has no column of numbers beside the label")
    features = [numbers(values, lines, f"{source}: column {name}") for name, values in column.items()]
    return make_dataset(
        pathlib.Path(path).stem,
        np.stack(features, axis=1),
        labels,
        source=f"--dataset=csv:{path}",
        ids=None if ids is None else whole_numbers(as_texts(ids, f"{source}: column {ID_COLUMN}")),
    )


def read_rows(path: str, source: str) -> tuple[list[str], list[list[str]], list[int]]:
    """The header, the rows (as long as the header), and each row's line number in the file."""
    if pathlib.Path(path).exists() and not pathlib.Path(path).is_file():
        raise UserError(f"{source}: is no file")
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            numbered = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if row]
    except FileNotFoundError:
        raise UserError(f"{source}: there is no such file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{source}: cannot be read as CSV ({error})") from None
    if len(numbered) < 2:
        raise UserError(f"{source}: has no rows under a header line")
    (_, header), *body = numbered
    if len(set(header)) < len(header):
        raise UserError(f"{source}: two columns have the same name; the first line must name each column")
    for line, row in body:
        if len(row) != len(header):
            raise UserError(f"{source}: line {line} has {len(row)} cells, the header {len(header)}")
    return header, [row for _, row in body], [line for line, _ in body]


def columns_of(header: list[str], rows: list[list[str]]) -> dict[str, Sequence[str]]:
    """The cells of each column."""
    return dict(zip(header, zip(*rows, strict=True), strict=True))


def as_texts(cells: Sequence[str], what: str) -> np.ndarray:
    """A column of names as an array of text.

    Raises:
      UserError: if one cell is so long that the array, in which all take the room of the longest, would be far larger
        than the file.
    """
    longest = max(map(len, cells))
    try:
        refuse_bomb(4 * longest * len(cells), sum(map(len, cells)))
    except ValueError:
        raise UserError(f"{what}: has a text of {longest:,} characters; classes and ids are short") from None
    return np.asarray(cells, dtype=str)


def numbers(values: Sequence[str], lines: list[int], what: str) -> np.ndarray:
    """The cells as float64, all finite."""
    parsed = np.asarray([to_number(value) for value in values])
    if not np.isfinite(parsed).all():
        row = int(np.argmin(np.isfinite(parsed)))
        raise UserError(f"{what}, line {lines[row]}: {str(values[row])!r} is no finite number; fill, encode or drop it")
    return parsed


def refuse_quantity(labels: np.ndarray, source: str, name: str) -> None:
    """Refuses labels that are all numbers and not all whole."""
    values = np.asarray([to_number(label) for label in labels])
    if np.isfinite(values).all() and (values != np.rint(values)).any():
        raise UserError(
            f"{source}: column {name} holds numbers that are not whole; classes are needed, not a quantity: name "
            "another column by --label_column, or make classes of them"
        )


def to_number(text: str) -> float:
    """Text as a number; NaN for text that is none, and for Python's 1_0."""
    try:
        return np.nan if "_" in text else float(text)
    except ValueError:
        return np.nan


def whole_numbers(values: np.ndarray) -> np.ndarray:
    """Texts as integers if all are written as such, so that class 10 sorts after class 9; 007 stays text."""
    try:
        whole = values.astype(np.int64)
    except (ValueError, OverflowError):
        return values
    return whole if (whole.astype(str) == values).all() else values
