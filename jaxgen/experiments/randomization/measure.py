"""From the arrays of trained members to a row of measures each."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from jaxgen.engine.curves import QUANTILES
from jaxgen.engine.members import Curves
from jaxgen.engine.stopping import ROUNDING
from jaxgen.jobs.program import Program, split_runs
from jaxgen.jobs.table import TableJob, curves_of, epochs_trained
from jaxgen.reporting.tables import class_f1, split_flags
from jaxgen.runs.store import Arrays


class Measured(NamedTuple):
    """A member: what is told of it, and its curves ``[e]``."""

    row: dict[str, Any]
    curves: dict[str, np.ndarray]


def measure_members(job: TableJob, program: Program, arrays: Arrays, parameters: int) -> Iterator[Measured]:
    """The members of one chunk."""
    given = [settings_row(job, setting.spec) for setting in program.settings]
    for run, which, own in split_runs(program, arrays):
        varied, fixed = given[which]
        row = {
            "setting": program.settings[which].name,
            **varied,
            "run": run,
            **measures(job, program, own, parameters),
            **fixed,
        }
        yield Measured(row, curves_of(own))


def settings_row(job: TableJob, spec: Any) -> tuple[dict[str, str], dict[str, str]]:
    """A setting's flags as they are typed: those in which settings differ, and the others that decide training."""
    parts = (spec.noise, spec.model, spec.train, spec.regularization, spec.augmentation, spec.stopping)
    return split_flags(parts, job.flags)


def measures(job: TableJob, program: Program, own: dict[str, Any], parameters: int) -> dict[str, Any]:
    """What was measured of one member, at the epoch whose weights it was examined with."""
    dataset, spec = job.dataset, program.spec
    size = len(dataset.labels) - int(np.unpackbits(own["validation"]).sum())
    steps, last = math.ceil(size / spec.train.batch_size), max(int(own["epochs"]) - 1, 0)
    at_end = {name: float(own[f"{name}_curve"][last]) for name in Curves._fields}
    changed = np.unpackbits(own["changed"], count=len(dataset.labels)).mean() if "changed" in own else 0.0
    found = {
        "finite": bool(own["finite"]),
        "epochs_trained": epochs_trained(own),
        "epochs_kept": int(own["epochs"]),
        "num_examples": size,
        "steps_per_epoch": steps,
        "parameters": parameters,
        "labels_changed": float(changed),
        **at_end,
        "gap": at_end["train_accuracy"] - at_end["test_accuracy"],
        **fits(own["train_accuracy_curve"], job.spec.fit.fit_at, steps),
        "weight_norm": float(own["weight_norm"]),
        "distance_from_init": float(own["distance_from_init"]),
    }
    found |= {f"margin_{round(100 * q):02d}": float(m) for q, m in zip(QUANTILES, own["margin_quantiles"], strict=True)}
    found["ece"] = float(own["ece"])
    found |= robustness(job, own, at_end["test_accuracy"])
    return found | f1_scores(job, own["predictions"]) | {"seconds": float(own["seconds"])}


def fits(curve: np.ndarray, thresholds: tuple[float, ...], steps: int) -> dict[str, Any]:
    """Whether and when a training accuracy ``[e]`` reached each threshold: after whole epochs; None if it did not."""
    found: dict[str, Any] = {}
    for threshold in thresholds:
        reached = np.flatnonzero(curve >= threshold - ROUNDING)
        epochs = int(reached[0]) + 1 if len(reached) else None
        name = "" if threshold == max(thresholds) else f"_{threshold:g}"
        found |= {
            f"fitted{name}": epochs is not None,
            f"epochs_to_fit{name}": epochs,
            f"steps_to_fit{name}": epochs and epochs * steps,
        }
    return found


def robustness(job: TableJob, own: dict[str, Any], test_accuracy: float) -> dict[str, float]:
    """Test accuracy under each corruption, and how much lower their mean is than without."""
    if "corrupted_accuracy" not in own:
        return {}
    by_name = dict(zip(job.versions.corrupted, map(float, own["corrupted_accuracy"]), strict=True))
    drop = test_accuracy - float(np.mean(list(by_name.values())))
    return {f"test_accuracy_{name}": value for name, value in by_name.items()} | {"robustness_drop": drop}


def f1_scores(job: TableJob, predictions: np.ndarray) -> dict[str, float]:
    """Their mean over classes, and each class's."""
    dataset = job.dataset
    each = class_f1(dataset.test_labels, predictions, dataset.num_classes)
    names = {f"f1_{name}": float(score) for name, score in zip(dataset.class_names, each, strict=True)}
    return {"f1_macro": float(np.nanmean(each))} | names
