"""Means, standard deviations and tables, shared by all experiments."""

import csv
import io
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxgen.config.fields import flag_values, format_value
from jaxgen.wording import mean_and_deviation


def split_flags(
    parts: Sequence[Any], varied: Sequence[str], left_out: Sequence[str] = ("preset",)
) -> tuple[dict[str, str], dict[str, str]]:
    """Flags of a setting by name, as text: those in which settings differ, and the others.

    Args:
      parts: parts of the setting's spec.
      varied: names of flags in which settings differ.
      left_out: names of flags to leave out.
    """
    values = {name: format_value(value) for part in parts for name, value in flag_values(part).items()}
    varied_values = {name: values[name] for name in varied if name in values}
    return varied_values, {name: value for name, value in values.items() if name not in {*varied_values, *left_out}}


def mean_and_sd(name: str, values: np.ndarray) -> dict[str, float]:
    """Mean and sample standard deviation under `name` and ``<name>_sd``; NaN where there are too few values."""
    return {
        name: float(values.mean()) if len(values) else float("nan"),
        f"{name}_sd": float(values.std(ddof=1)) if len(values) > 1 else float("nan"),
    }


def means_of(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> dict[str, float]:
    """Means and standard deviations of columns, over the rows with finite values."""
    means: dict[str, float] = {}
    for name in names:
        values = np.array([row.get(name) for row in rows], float)
        means |= mean_and_sd(name, values[np.isfinite(values)])
    return means


def nan_mean(values: np.ndarray, axis: int) -> np.ndarray:
    """Mean of the finite values along an axis; NaN where there are none."""
    finite = np.isfinite(values)
    count = finite.sum(axis)
    total = np.where(finite, values, 0).sum(axis)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def percent(values: Sequence[float], decimals: int = 2) -> str:
    """Mean ± sd of the finite values, in percent."""
    finite = 100 * np.array([value for value in values if np.isfinite(value)])
    if not len(finite):
        return "—"
    return mean_and_deviation(finite.mean(), finite.std(ddof=1) if len(finite) > 1 else np.nan, decimals)


def class_f1(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> np.ndarray:
    """F1 of each class ``[c]``; NaN for classes without examples."""
    # Imported here: it takes a second, and not all experiments need it.
    from sklearn.metrics import f1_score

    scores = f1_score(labels, predictions, labels=np.arange(num_classes), average=None, zero_division=0)
    scores[np.bincount(labels, minlength=num_classes) == 0] = np.nan
    return scores


def to_csv(rows: list[dict[str, Any]]) -> str:
    """Rows as CSV text with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def describe_percent(row: dict[str, Any], measure: str) -> str:
    """A measure of a row of means as mean ± sd, in percent."""
    mean, deviation = 100 * row[measure], 100 * row[f"{measure}_sd"]
    if not np.isfinite(mean):
        return "—"
    return mean_and_deviation(mean, deviation, 2)


def to_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table; bars and tags in cells are escaped."""
    rows = [f"| {' | '.join(map(escape_cell, line))} |" for line in lines]
    return "\n".join([f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}", *rows])


def escape_cell(cell: str) -> str:
    """The text of a cell with bars and HTML tags escaped."""
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", cell.replace("|", "\\|"))


def describe_n(row: dict[str, Any]) -> str:
    """The number of members, and of diverged ones if any, as text."""
    return f"{row['n']}" + (f" ({row['diverged']} diverged)" if row["diverged"] else "")
