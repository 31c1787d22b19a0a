"""Tables of a sweep: a row per model, a row per setting, and Markdown."""

import collections
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from jaxgen.config import sweep
from jaxgen.config.fields import flag_values, format_value
from jaxgen.jobs.program import Program, split_runs
from jaxgen.reporting.tables import mean_and_sd
from jaxgen.runs.store import Store
from jaxgen.types import Scores
from jaxgen.wording import mean_and_deviation

# Measures of each model.
ACCURACIES = ("train_accuracy", "validation_accuracy", "heldout_accuracy", "test_accuracy")
MEASURES = (*ACCURACIES, "final_loss", "epochs", "finite", "seconds")
# Columns that would clash with a flag's name.
COLUMNS = {"epochs": "epochs_trained"}

# A table with more rows than the first is cut to its best rows.
MAX_ROWS = 40
NUM_BEST = 10


def chosen_values(setting: sweep.Setting, flags: Sequence[str]) -> dict[str, str]:
    """The setting's values of the swept flags, as text."""
    values = flag_values(setting.spec)
    return {flag: format_value(values[flag]) for flag in flags}


def member_rows(
    store: Store, programs: list[Program], flags: Sequence[str], run_group_name: Any
) -> Iterator[dict[str, Any]]:
    """One dictionary per model: setting, swept flags, ratio, run and measures."""
    for program in programs:
        settings = [{"setting": each.name, **chosen_values(each, flags)} for each in program.settings]
        for ratio in program.spec.subsets.subset_ratios:
            for arrays in store.runs(run_group_name(program, ratio)):
                for run, setting, measured in split_runs(program, arrays):
                    yield {
                        **settings[setting],
                        "subset_ratio": ratio,
                        "run": run,
                        **{COLUMNS.get(name, name): measured[name].item() for name in MEASURES},
                    }


def setting_rows(
    members: list[dict[str, Any]], scored: list[tuple[sweep.Setting, Scores]], flags: Sequence[str]
) -> list[dict[str, Any]]:
    """One dictionary for each setting and ratio: means and standard deviations over its models that did not diverge.

    ``gap`` is training minus held-out accuracy, ``rank_correlation`` Spearman's correlation of the setting's C-scores
    with those of the first setting.
    """
    by_setting = collections.defaultdict(list)
    for row in members:
        by_setting[row["setting"], row["subset_ratio"]].append(row)
    rows = []
    for setting, scores in scored:
        for ratio in scores.subset_ratios.tolist():
            all_members = by_setting[setting.name, ratio]
            finite = [row for row in all_members if row["finite"]]
            row = {
                "setting": setting.name,
                **chosen_values(setting, flags),
                "subset_ratio": ratio,
                "n": len(finite),
                "diverged": len(all_members) - len(finite),
            }
            for name in (*ACCURACIES, "epochs_trained"):
                row |= mean_and_sd(name, np.array([member[name] for member in finite], float))
            gaps = np.array([member["train_accuracy"] - member["heldout_accuracy"] for member in finite], float)
            row |= mean_and_sd("gap", gaps)
            row["reliability"] = float(scores.reliability.mean()) if len(scores.reliability) else float("nan")
            row["rank_correlation"] = correlate_ranks(scores.scores, scored[0][1].scores)
            rows.append(row)
    return rows


def correlate_ranks(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rank correlation over the examples that have both scores; NaN if either is constant."""
    both = np.isfinite(first) & np.isfinite(second)
    if both.sum() < 3 or np.ptp(first[both]) == 0 or np.ptp(second[both]) == 0:
        return float("nan")
    # Imported here: it takes a second, and only sweeps need it.
    from scipy.stats import spearmanr

    return float(spearmanr(first[both], second[both]).statistic)


def to_markdown(rows: list[dict[str, Any]], flags: Sequence[str]) -> str:
    """Markdown table of settings: a column for each swept flag, then accuracies as mean ± sd over models."""
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


def summary_table(rows: list[dict[str, Any]], flags: Sequence[str]) -> str:
    """The table of settings for the console, cut to its best rows if it is long."""
    if len(rows) <= MAX_ROWS:
        return to_markdown(rows, flags)
    ranked = sorted(rows, key=lambda row: -np.nan_to_num(row["heldout_accuracy"], nan=-1.0))
    return (
        f"{to_markdown(ranked[:NUM_BEST], flags)}\n\nThe {NUM_BEST} rows of highest held-out accuracy of "
        f"{len(rows)}: the best of many is in part the luckiest. settings.md has all."
    )


def describe_mean(mean: float, deviation: float) -> str:
    """A mean and its standard deviation; the mean alone where that is not finite."""
    return mean_and_deviation(mean, deviation, 4)
