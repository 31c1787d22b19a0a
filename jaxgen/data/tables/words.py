"""Texts of columns as numbers, and how a column is called; whether it names the rows."""

from typing import Any

import numpy as np

from jaxgen.data.tables.file import Table

# The column of the ids, where none is one.
NO_COLUMN = "none"


def describe_column(name: str) -> str:
    """A column as it is called in a sentence."""
    return f"column {name}" if name else "the column without a name"


def to_number(text: Any) -> float:
    """Text as a number; NaN for text that is none, and for Python's 1_0."""
    try:
        return np.nan if "_" in text else float(text)
    except ValueError:
        return np.nan


def decimals(texts: np.ndarray) -> np.ndarray:
    """Texts as numbers ``[n]``, also those with a comma for the decimal point; NaN for others."""
    return np.array([to_number(text.replace(",", ".")) for text in texts])


def names_rows(table: Table, name: str) -> bool:
    """Whether a column has a value in each row, all different, and no fractions."""
    texts = table.texts(name)
    values = decimals(texts)
    fractions = np.isfinite(values) & (values != np.rint(values))
    return bool((texts != "").all() and len(np.unique(texts)) == len(texts) and not fractions.any())
