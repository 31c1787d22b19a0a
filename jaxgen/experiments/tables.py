"""What a sweep tells: a row a model, a row a setting, and the table to read."""

import csv
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.stats

from jaxgen import spec as words
from jaxgen import sweep
from jaxgen.experiments.programs import Program
from jaxgen.runs.store import Store
from jaxgen.types import Scores

# What is told of every model, beside its settings.
MEASURES = ("train_accuracy", "heldout_accuracy", "test_accuracy", "final_loss", "epochs", "finite", "seconds")


def member_rows(store: Store, programs: list[Program], cell_name: Any) -> Iterator[dict[str, Any]]:
    """One dictionary a model: its settings, ratio and run, and what was measured."""
    for program in programs:
        for ratio in program.spec.subsets.subset_ratios:
            for arrays in store.runs(cell_name(program, ratio)):
                for i, number in enumerate(arrays["run"]):
                    run, setting = divmod(int(number), len(program.settings))
                    yield {
                        "setting": program.settings[setting].name,
                        "subset_ratio": ratio,
                        "run": run,
                        **{name: arrays[name][i].item() for name in MEASURES},
                    }


def setting_rows(members: list[dict[str, Any]], found: list[tuple[sweep.Setting, Scores]]) -> list[dict[str, Any]]:
    """One dictionary for each setting and ratio: means and standard deviations over its models that did not diverge.

    ``gap`` is training minus held-out accuracy. ``rank_correlation`` is Spearman's, of the setting's C-scores with
    those of the first setting.
    """
    rows = []
    for setting, scores in found:
        for ratio in scores.subset_ratios:
            own = [row for row in members if row["setting"] == setting.name and row["subset_ratio"] == ratio]
            seen = [row for row in own if row["finite"]]
            row = {
                "setting": setting.name,
                "subset_ratio": float(ratio),
                "n": len(seen),
                "diverged": len(own) - len(seen),
            }
            for name in ("train_accuracy", "heldout_accuracy", "test_accuracy", "epochs"):
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


def correlate_ranks(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rank correlation over the examples that both have scored; NaN if either is constant."""
    both = np.isfinite(first) & np.isfinite(second)
    if both.sum() < 3 or np.ptp(first[both]) == 0 or np.ptp(second[both]) == 0:
        return float("nan")
    return float(scipy.stats.spearmanr(first[both], second[both]).statistic)


def to_csv(rows: list[dict[str, Any]]) -> str:
    """Rows as comma-separated text under a header line."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def to_markdown(rows: list[dict[str, Any]], spec: Any) -> str:
    """The table of settings: a column for each swept flag, then accuracies as mean ± sd (n)."""
    flags = sweep.swept(spec)
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
    chosen = {setting.name: words.values(setting.spec) for setting in sweep.expand(spec)}
    for row in rows:
        values = [words.format_value(chosen[row["setting"]][flag]) for flag in flags]
        numbers = [describe_mean(row[name], row[f"{name}_sd"]) for name in measures]
        models = f"{row['n']}" + (f" ({row['diverged']} diverged)" if row["diverged"] else "")
        lines.append(
            f"| {' | '.join([*values, format(row['subset_ratio'], 'g'), *numbers, models])} | "
            f"{row['rank_correlation']:.3f} |"
        )
    return "\n".join(lines)


def describe_mean(mean: float, deviation: float) -> str:
    return f"{mean:.4f} ± {deviation:.4f}" if np.isfinite(deviation) else f"{mean:.4f}"
