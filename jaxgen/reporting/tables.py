"""Means, standard deviations and tables as every experiment writes them."""

import csv
import io
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxgen.config.fields import flag_values, format_value


def split_flags(
    parts: Sequence[Any], varied: Sequence[str], left_out: Sequence[str] = ("preset",)
) -> tuple[dict[str, str], dict[str, str]]:
    """Flags of a setting as they are typed: those in which settings differ, and the others that decide training.

    Args:
      parts: of the setting's spec.
      varied: names of the first.
      left_out: told of none.
    """
    chosen = {name: format_value(value) for part in parts for name, value in flag_values(part).items()}
    first = {name: chosen[name] for name in varied if name in chosen}
    return first, {name: value for name, value in chosen.items() if name not in {*first, *left_out}}


def mean_and_sd(name: str, values: np.ndarray) -> dict[str, float]:
    """The mean and the sample standard deviation; NaN where there are too few values."""
    return {
        name: float(values.mean()) if len(values) else float("nan"),
        f"{name}_sd": float(values.std(ddof=1)) if len(values) > 1 else float("nan"),
    }


def means_of(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> dict[str, float]:
    """Means and standard deviations of some columns, of the rows that have a number there."""
    found: dict[str, float] = {}
    for name in names:
        values = np.array([row.get(name) for row in rows], float)
        found |= mean_and_sd(name, values[np.isfinite(values)])
    return found


def nan_mean(values: np.ndarray, axis: int) -> np.ndarray:
    """The mean of those that are numbers; NaN of none."""
    known = np.isfinite(values)
    count = known.sum(axis)
    total = np.where(known, values, 0).sum(axis)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def percent(values: Sequence[float], decimals: int = 2) -> str:
    """Mean ± sd of shares, in percent."""
    known = 100 * np.array([value for value in values if np.isfinite(value)])
    if not len(known):
        return "—"
    spread = f" ± {known.std(ddof=1):.{decimals}f}" if len(known) > 1 else ""
    return f"{known.mean():.{decimals}f}{spread}"


def class_f1(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> np.ndarray:
    """F1 of each class ``[c]``; a class without examples has none: NaN."""
    # Imported here: it takes a second, and not all experiments ask.
    from sklearn.metrics import f1_score

    found = f1_score(labels, predictions, labels=np.arange(num_classes), average=None, zero_division=0)
    found[np.bincount(labels, minlength=num_classes) == 0] = np.nan
    return found


def to_csv(rows: list[dict[str, Any]]) -> str:
    """Rows as comma-separated text under a header line."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def describe_percent(row: dict[str, Any], measure: str) -> str:
    """Mean ± sd in percent."""
    mean, deviation = 100 * row[measure], 100 * row[f"{measure}_sd"]
    if not np.isfinite(mean):
        return "—"
    return f"{mean:.2f} ± {deviation:.2f}" if np.isfinite(deviation) else f"{mean:.2f}"


def to_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Markdown; marks and tags in a user's names are shown and not obeyed."""
    rows = [f"| {' | '.join(map(as_shown, one))} |" for one in lines]
    return "\n".join([f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}", *rows])


def as_shown(cell: str) -> str:
    """A cell whose bars end no column, and whose tags are none."""
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", cell.replace("|", "\\|"))


def describe_n(row: dict[str, Any]) -> str:
    """How many members there are, and how many diverged."""
    return f"{row['n']}" + (f" ({row['diverged']} diverged)" if row["diverged"] else "")
