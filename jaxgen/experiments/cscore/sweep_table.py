"""What a sweep tells: a row a model, a row a setting, and the table to read."""

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
    chosen = flag_values(setting.spec)
    return {flag: format_value(chosen[flag]) for flag in flags}


def member_rows(
    store: Store, programs: list[Program], flags: Sequence[str], run_group_name: Any
) -> Iterator[dict[str, Any]]:
    """One dictionary a model: its setting, the swept flags, ratio and run, and what was measured."""
    for program in programs:
        settings = [{"setting": each.name, **chosen_values(each, flags)} for each in program.settings]
        for ratio in program.spec.subsets.subset_ratios:
            for arrays in store.runs(run_group_name(program, ratio)):
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


def correlate_ranks(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rank correlation over the examples that both have scored; NaN if either is constant."""
    both = np.isfinite(first) & np.isfinite(second)
    if both.sum() < 3 or np.ptp(first[both]) == 0 or np.ptp(second[both]) == 0:
        return float("nan")
    # Imported here: it takes a second, and only sweeps ask.
    from scipy.stats import spearmanr

    return float(spearmanr(first[both], second[both]).statistic)


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
    """A mean and its standard deviation; the mean alone where that is not finite."""
    return f"{mean:.4f} ± {deviation:.4f}" if np.isfinite(deviation) else f"{mean:.4f}"
