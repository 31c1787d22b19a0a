"""Measures of trained members, one row per member."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from jaxgen.engine.curves import QUANTILES
from jaxgen.engine.members import Curves
from jaxgen.engine.stopping import ROUNDING
from jaxgen.jobs.member_table import TableJob, curves_of, epochs_trained
from jaxgen.jobs.program import Program, split_runs
from jaxgen.reporting.tables import class_f1, split_flags
from jaxgen.runs.store import Arrays


class RandomizationMember(NamedTuple):
    """Measures of a member, and its learning curves by name ``[e]``."""

    row: dict[str, Any]
    curves: dict[str, np.ndarray]


def measure_members(job: TableJob, program: Program, arrays: Arrays, parameters: int) -> Iterator[RandomizationMember]:
    """Yields the members of one chunk."""
    setting_flags = [settings_row(job, setting.spec) for setting in program.settings]
    for run, index, values in split_runs(program, arrays):
        varied, fixed = setting_flags[index]
        row = {
            "setting": program.settings[index].name,
            **varied,
            "run": run,
            **measures(job, program, values, parameters),
            **fixed,
        }
        yield RandomizationMember(row, curves_of(values))


def settings_row(job: TableJob, spec: Any) -> tuple[dict[str, str], dict[str, str]]:
    """A setting's flags as typed: those in which settings differ, and the others that affect training."""
    parts = (spec.noise, spec.model, spec.train, spec.regularization, spec.augmentation, spec.stopping)
    return split_flags(parts, job.flags)


def measures(job: TableJob, program: Program, arrays: dict[str, Any], parameters: int) -> dict[str, Any]:
    """Measures of one member, at the epoch whose weights were kept."""
    dataset, spec = job.dataset, program.spec
    size = len(dataset.labels) - int(np.unpackbits(arrays["validation"]).sum())
    steps, last = math.ceil(size / spec.train.batch_size), max(int(arrays["epochs"]) - 1, 0)
    at_end = {name: float(arrays[f"{name}_curve"][last]) for name in Curves._fields}
    changed = np.unpackbits(arrays["changed"], count=len(dataset.labels)).mean() if "changed" in arrays else 0.0
    row = {
        "finite": bool(arrays["finite"]),
        "epochs_trained": epochs_trained(arrays),
        "epochs_kept": int(arrays["epochs"]),
        "num_examples": size,
        "steps_per_epoch": steps,
        "parameters": parameters,
        "labels_changed": float(changed),
        **at_end,
        "gap": at_end["train_accuracy"] - at_end["test_accuracy"],
        **fit_columns(arrays["train_accuracy_curve"], job.spec.fit.fit_at, steps),
        "weight_norm": float(arrays["weight_norm"]),
        "distance_from_init": float(arrays["distance_from_init"]),
    }
    margins = zip(QUANTILES, arrays["margin_quantiles"], strict=True)
    row |= {f"margin_{round(100 * quantile):02d}": float(margin) for quantile, margin in margins}
    row["ece"] = float(arrays["ece"])
    row |= corruption_columns(job, arrays, at_end["test_accuracy"])
    return row | f1_scores(job, arrays["predictions"]) | {"seconds": float(arrays["seconds"])}


def fit_columns(curve: np.ndarray, thresholds: tuple[float, ...], steps: int) -> dict[str, Any]:
    """Whether and after how many epochs and steps a training accuracy ``[e]`` reached each threshold; None if never."""
    columns: dict[str, Any] = {}
    for threshold in thresholds:
        reached = np.flatnonzero(curve >= threshold - ROUNDING)
        epochs = int(reached[0]) + 1 if len(reached) else None
        name = "" if threshold == max(thresholds) else f"_{threshold:g}"
        columns |= {
            f"fitted{name}": epochs is not None,
            f"epochs_to_fit{name}": epochs,
            f"steps_to_fit{name}": epochs and epochs * steps,
        }
    return columns


def corruption_columns(job: TableJob, arrays: dict[str, Any], test_accuracy: float) -> dict[str, float]:
    """Test accuracy under each corruption, and the drop of their mean from clean accuracy."""
    if "corrupted_accuracy" not in arrays:
        return {}
    by_name = dict(zip(job.versions.corrupted, map(float, arrays["corrupted_accuracy"]), strict=True))
    drop = test_accuracy - float(np.mean(list(by_name.values())))
    return {f"test_accuracy_{name}": value for name, value in by_name.items()} | {"robustness_drop": drop}


def f1_scores(job: TableJob, predictions: np.ndarray) -> dict[str, float]:
    """Macro F1 and the F1 of each class."""
    dataset = job.dataset
    scores = class_f1(dataset.test_labels, predictions, dataset.num_classes)
    by_class = {f"f1_{name}": float(score) for name, score in zip(dataset.class_names, scores, strict=True)}
    return {"f1_macro": float(np.nanmean(scores))} | by_class
