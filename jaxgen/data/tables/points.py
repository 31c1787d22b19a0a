"""Points in numbers of text files: they are decimals, but may have been meant for thousands."""

import re
from collections.abc import Mapping

import numpy as np

from jaxgen.data.labels import MISSING
from jaxgen.data.tables.features import Features
from jaxgen.data.tables.file import Table
from jaxgen.errors import UserError
from jaxgen.wording import some_of

# A number that is one with a point for thousands, or with three decimals.
THREE_DIGITS = r"[+-]?\d{1,3}\.\d{3}"


def describe_points(table: Table, columns: Mapping[str, Features]) -> list[str]:
    """Says that points are decimals where semicolons separate cells and all numbers of a column look like 1.101."""
    if table.separator != ";":
        return []
    names = [name for name, found in columns.items() if not found.categories and may_be_thousands(found.values)]
    pointed = [name for name in names if all_have_three_digits(table, name)]
    return [f"points in {some_of(pointed)} are read as decimals"] * bool(pointed)


def may_be_thousands(values: np.ndarray) -> bool:
    """Whether numbers ``[n, 1]`` have three decimals at most, three digits before these, and some are 1 or more."""
    values = np.abs(values[np.isfinite(values)])
    has_decimals = (values != np.rint(values)).any() and np.allclose(1000 * values, np.rint(1000 * values), 0, 1e-6)
    return bool(has_decimals and 1 <= values.max() < 1000)


def all_have_three_digits(table: Table, name: str) -> bool:
    """Whether all numbers of a column of a text file are written with a point and three digits after it."""
    place, rows = table.names.index(name), table.text.records()
    next(rows)
    cells = (cells[place].strip() for _, cells in rows)
    return all(re.fullmatch(THREE_DIGITS, cell) for cell in cells if cell not in MISSING)


def refuse_thousands(table: Table, columns: Mapping[str, Features]) -> None:
    """Raises `UserError` for numbers like 1.234 in a file that writes decimals with commas: they may be thousands."""
    commas = next((name for name, found in columns.items() if found.has_decimal_commas), None)
    for name, found in columns.items():
        # Numbers of other sources have no points.
        if not table.separator or commas is None or found.has_decimal_commas or found.categories:
            continue
        values = found.values[np.isfinite(found.values)]
        # A float that has three decimals at most, and some that has one.
        if (values != np.rint(values)).any() and np.allclose(1000 * values, np.rint(1000 * values), rtol=0, atol=1e-6):
            raise UserError(
                f"{table.title(name)} has points in its numbers, and column {commas} commas for "
                "decimals; are the points thousands? write all decimals in one way, and no thousands"
            )
