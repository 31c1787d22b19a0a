"""What a sweep tells: a row a model, a row a setting, and the table to read."""

import collections
import csv
import io
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from jaxgen import spec as words
from jaxgen import sweep
from jaxgen.experiments.programs import Program, split_runs
from jaxgen.runs.store import Store
from jaxgen.types import Scores

# What is told of every model, beside its settings.
ACCURACIES = ("train_accuracy", "validation_accuracy", "heldout_accuracy", "test_accuracy")
MEASURES = (*ACCURACIES, "final_loss", "epochs", "finite", "seconds")
# A flag may have the name already.
COLUMNS = {"epochs": "epochs_trained"}


# Of a longer table only the best rows are shown.
MOST_SHOWN = 40
BEST_SHOWN = 10


def chosen_values(setting: sweep.Setting, flags: Sequence[str]) -> dict[str, str]:
    """The setting's value of each swept flag, as it is typed."""
    chosen = words.values(setting.spec)
    return {flag: words.format_value(chosen[flag]) for flag in flags}


def split_flags(
    parts: Sequence[Any], varied: Sequence[str], left_out: Sequence[str] = ("preset", "keep")
) -> tuple[dict[str, str], dict[str, str]]:
    """Flags of a setting as they are typed: those in which settings differ, and the others that decide training.

    Args:
      parts: of the setting's spec.
      varied: names of the first.
      left_out: told of none.
    """
    chosen = {name: words.format_value(value) for part in parts for name, value in words.values(part).items()}
    first = {name: chosen[name] for name in varied if name in chosen}
    return first, {name: value for name, value in chosen.items() if name not in {*first, *left_out}}


def member_rows(
    store: Store, programs: list[Program], flags: Sequence[str], cell_name: Any
) -> Iterator[dict[str, Any]]:
    """One dictionary a model: its setting, the swept flags, ratio and run, and what was measured."""
    for program in programs:
        settings = [{"setting": each.name, **chosen_values(each, flags)} for each in program.settings]
        for ratio in program.spec.subsets.subset_ratios:
            for arrays in store.runs(cell_name(program, ratio)):
                for run, setting, own in split_runs(program, arrays):
                    yield {
                        **settings[setting],
                        "subset_ratio": ratio,
                        "run": run,
                        **{COLUMNS.get(name, name): own[name].item() for name in MEASURES},
                    }


def setting_rows(
    members: list[dict[str, Any]], found: list[tuple[sweep.Setting, Scores]], flags: Sequence[str]
) -> list[dict[str, Any]]:
    """One dictionary for each setting and ratio: means and standard deviations over its models that did not diverge.

    ``gap`` is training minus held-out accuracy. ``rank_correlation`` is Spearman's, of the setting's C-scores with
    those of the first setting.
    """
    by_place = collections.defaultdict(list)
    for row in members:
        by_place[row["setting"], row["subset_ratio"]].append(row)
    rows = []
    for setting, scores in found:
        for ratio in scores.subset_ratios.tolist():
            own = by_place[setting.name, ratio]
            seen = [row for row in own if row["finite"]]
            row = {
                "setting": setting.name,
                **chosen_values(setting, flags),
                "subset_ratio": ratio,
                "n": len(seen),
                "diverged": len(own) - len(seen),
            }
            for name in (*ACCURACIES, "epochs_trained"):
                row |= mean_and_sd(name, np.array([one[name] for one in seen], float))
            gaps = np.array([one["train_accuracy"] - one["heldout_accuracy"] for one in seen], float)
            row |= mean_and_sd("gap", gaps)
            row["reliability"] = float(scores.reliability.mean()) if len(scores.reliability) else float("nan")
            row["rank_correlation"] = correlate_ranks(scores.scores, found[0][1].scores)
            rows.append(row)
    return rows


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


def correlate_ranks(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rank correlation over the examples that both have scored; NaN if either is constant."""
    both = np.isfinite(first) & np.isfinite(second)
    if both.sum() < 3 or np.ptp(first[both]) == 0 or np.ptp(second[both]) == 0:
        return float("nan")
    # Imported here: it takes a second, and only sweeps ask.
    from scipy.stats import spearmanr

    return float(spearmanr(first[both], second[both]).statistic)


def to_csv(rows: list[dict[str, Any]]) -> str:
    """Rows as comma-separated text under a header line."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def to_markdown(rows: list[dict[str, Any]], flags: Sequence[str]) -> str:
    """The table of settings: a column for each swept flag, then accuracies as mean ± sd over the models."""
    has_test = any(np.isfinite(row["test_accuracy"]) for row in rows)
    measures = ["train_accuracy", "heldout_accuracy", *(["test_accuracy"] if has_test else []), "gap"]
    titles = {"train_accuracy": "train", "heldout_accuracy": "held-out", "test_accuracy": "test", "gap": "gap"}
    header = [
        *flags,
        "ratio",
        *(titles[name] for name in measures),
        "models",
        "rank correlation with the first setting",
    ]
    lines = [f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}"]
    for row in rows:
        values = [row[flag] for flag in flags]
        numbers = [describe_mean(row[name], row[f"{name}_sd"]) for name in measures]
        models = f"{row['n']}" + (f" ({row['diverged']} diverged)" if row["diverged"] else "")
        lines.append(
            f"| {' | '.join([*values, format(row['subset_ratio'], 'g'), *numbers, models])} | "
            f"{row['rank_correlation']:.3f} |"
        )
    return "\n".join(lines)


def digest(rows: list[dict[str, Any]], flags: Sequence[str]) -> str:
    """The table for a screen: whole, or only its best rows."""
    if len(rows) <= MOST_SHOWN:
        return to_markdown(rows, flags)
    ranked = sorted(rows, key=lambda row: -np.nan_to_num(row["heldout_accuracy"], nan=-1.0))
    return (
        f"{to_markdown(ranked[:BEST_SHOWN], flags)}\n\nThe {BEST_SHOWN} rows of highest held-out accuracy of "
        f"{len(rows)}: the best of many is in part the luckiest. settings.md has all."
    )


def describe_mean(mean: float, deviation: float) -> str:
    return f"{mean:.4f} ± {deviation:.4f}" if np.isfinite(deviation) else f"{mean:.4f}"


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
