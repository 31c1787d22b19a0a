"""Tables of numbers with a label column, in a CSV file with a header line."""

import csv
import pathlib

import numpy as np

from jaxgen.data.checks import make_dataset
from jaxgen.errors import UserError
from jaxgen.spec import DataSpec
from jaxgen.types import Dataset

ID_COLUMN = "id"


def load_csv(path: str, spec: DataSpec) -> Dataset:
    """Reads the column `spec.label_column` as labels, one called ``id`` (if any) as ids, all others as numbers."""
    source = f"--dataset=csv:{path}"
    header, rows = read_rows(path, source)
    if spec.label_column not in header:
        raise UserError(f"--label_column={spec.label_column}: {path} has the columns {', '.join(header)}")
    table = np.asarray(rows, dtype=str)
    column = {name: table[:, i] for i, name in enumerate(header)}
    labels = whole_numbers(column.pop(spec.label_column))
    ids = column.pop(ID_COLUMN, None)
    if not column:
        raise UserError(f"{source}: has no column of numbers beside the label")
    features = np.stack([numbers(values, name, source) for name, values in column.items()], axis=1)
    return make_dataset(
        pathlib.Path(path).stem, features, labels, source=f"csv:{path}", ids=None if ids is None else whole_numbers(ids)
    )


def read_rows(path: str, source: str) -> tuple[list[str], list[list[str]]]:
    """The header and the rows, all of one length."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            header, *rows = [[cell.strip() for cell in row] for row in csv.reader(file) if row] or [[]]
    except FileNotFoundError:
        raise UserError(f"{source}: there is no such file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{source}: cannot be read as CSV ({error})") from None
    if not rows:
        raise UserError(f"{source}: has no rows under its header line")
    if len(set(header)) < len(header):
        raise UserError(f"{source}: two columns have the same name; the first line must name each column")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise UserError(f"{source}: line {number} has {len(row)} cells, the header {len(header)}")
    return header, rows


def numbers(values: np.ndarray, name: str, source: str) -> np.ndarray:
    try:
        parsed = values.astype(np.float64)
        if np.isfinite(parsed).all():
            return parsed
    except ValueError:
        pass
    bad = next((row, value) for row, value in enumerate(values, start=2) if not is_finite(value))
    raise UserError(f"{source}: column {name}, line {bad[0]}: {bad[1]!r} is no finite number; fill, encode or drop it")


def is_finite(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


def whole_numbers(values: np.ndarray) -> np.ndarray:
    """Texts as integers if all are, so that class 10 comes after class 9."""
    try:
        return values.astype(np.int64)
    except (ValueError, OverflowError):
        return values
