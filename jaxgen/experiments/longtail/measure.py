"""What is told of each classifier: accuracy by class and by shot, calibration, flips."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.engine.batch import Variables
from jaxgen.experiments.longtail.features import Found, features_of
from jaxgen.experiments.longtail.job import Job
from jaxgen.experiments.longtail.methods import AS_THEY_ARE, GUIDED
from jaxgen.experiments.longtail.shots import shot_groups
from jaxgen.experiments.longtail.stage2 import Head, Stage2, run_group_name
from jaxgen.jobs.program import Program, split_runs
from jaxgen.reporting.tables import class_f1, nan_mean
from jaxgen.runs.store import Store
from jaxgen.scores.metrics import maximum_calibration_error, reliability


class Measured(NamedTuple):
    """What one classifier came to.

    Attributes:
      row: method, threshold, run and measures.
      accuracies: by class, float ``[c]``; NaN of a class without test examples.
      diagram: of its confidence on the test set, ``[3, bins]`` (`jaxgen.scores.metrics.reliability`).
    """

    row: dict[str, Any]
    accuracies: np.ndarray
    diagram: np.ndarray


def class_accuracies(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> np.ndarray:
    """The share of each class that is got right ``[c]``; NaN of a class without examples."""
    right = np.bincount(labels[labels == predictions], minlength=num_classes)
    count = np.bincount(labels, minlength=num_classes)
    return np.divide(right, count, out=np.full(num_classes, np.nan), where=count > 0)


def measure(
    job: Job, head: Head, run: int, *, test: np.ndarray, selection: np.ndarray, flips: int, finite: bool
) -> Measured:
    """All that is told of a classifier by its logits ``[t, c]`` and ``[s, c]`` on test and selection examples; `finite`
    says whether training stayed so."""
    data = job.tail.dataset
    counts = np.bincount(data.labels, minlength=data.num_classes)
    predictions = test.argmax(1)
    confidence = np.asarray(jax.nn.softmax(jnp.asarray(test))).max(1)
    right = predictions == data.test_labels
    own = class_accuracies(data.test_labels, predictions, data.num_classes)
    chosen = class_accuracies(job.tail.labels, selection.argmax(1), data.num_classes)
    diagram = np.asarray(reliability(jnp.asarray(confidence), jnp.asarray(right)))
    groups = shot_groups(counts, job.spec.longtail)
    row = {
        "method": head.method,
        "threshold": head.threshold if np.isfinite(head.threshold) else "",
        "run": run,
        "finite": finite,
        "test_accuracy": float(right.mean()),
        **{f"{name}_accuracy": float(nan_mean(own[group], 0)) for name, group in groups.items()},
        "balanced_accuracy": float(nan_mean(own, 0)),
        "worst_class_accuracy": float(np.nanmin(own)),
        "f1_macro": float(nan_mean(class_f1(data.test_labels, predictions, data.num_classes), 0)),
        "ece": float((diagram[0] * np.abs(diagram[2] - diagram[1])).sum() / diagram[0].sum()),
        "mce": float(maximum_calibration_error(diagram)),
        "selection_accuracy": float(nan_mean(chosen, 0)),
        "flips": flips,
    }
    return Measured(row, own, diagram)


def measure_stage1(job: Job, found: Found) -> list[Measured]:
    """The rows that are stage 1 as it is, of every run."""
    tests, selections = found.logits(found.test), found.logits(found.selection)
    rows = []
    for place, kind in enumerate(job.kinds):
        if kind not in job.spec.flips.methods or kind not in AS_THEY_ARE:
            continue
        for run in range(job.spec.num_runs):
            version = place * job.spec.num_runs + run
            logits = {"test": tests[version], "selection": selections[version]}
            rows.append(measure(job, Head(kind), run, **logits, flips=0, finite=bool(found.finite[version])))
    return rows


def measure_head(job: Job, stage2: Stage2, head: Head, run: int, row: np.ndarray, flips: int, finite: bool) -> Measured:
    """A classifier of stage 2 by the row of its variables that the store has."""
    found, finite, variables = stage2.found, finite and bool(stage2.found.finite[run]), stage2.split(row)
    features = {"test": found.test[run], "selection": found.selection[run]}
    if job.spec.head.shift_bn:
        model, data = stage2.frozen.shifted(run, variables.stats), job.tail.dataset
        features = {"test": features_of(model, data.test_images), "selection": features_of(model, job.tail.images)}
    logits = {name: logits_of(variables, own) for name, own in features.items()}
    measured = measure(job, head, run, **logits, flips=flips, finite=finite)
    if head.method in GUIDED:
        # It was trained with these examples in view.
        measured.row["selection_accuracy"] = float("nan")
    return measured


def logits_of(variables: Variables, features: np.ndarray) -> np.ndarray:
    """Logits ``[n, c]`` of a classifier on features ``[n, f]``, by its variables."""
    head, scale = variables.params["head"], variables.params["scale"]
    return (features @ head["kernel"] + head["bias"]) * scale


def measure_heads(job: Job, store: Store, program: Program, parameters: int) -> Iterator[Measured]:
    """All classifiers of a program that the store holds."""
    labels, stage2 = job.tail.dataset.labels, program.context
    for arrays in store.runs(run_group_name(program)):
        for run, setting, own in split_runs(program, arrays):
            flips = int((stage2.labels[setting, run] != labels).sum())
            yield measure_head(job, stage2, stage2.heads[setting], run, own["params"], flips, bool(own["finite"]))


def members_at(measured: list[Measured], method: str, threshold: float | str = "") -> list[Measured]:
    """The classifiers of a method at a threshold, those that diverged too."""
    return [one for one in measured if (one.row["method"], one.row["threshold"]) == (method, threshold)]


def by_run(members: list[Measured], measure: str) -> dict[int, float]:
    """By run, a measure of the classifiers that stayed finite."""
    return {one.row["run"]: one.row[measure] for one in members if one.row["finite"]}


def choose_threshold(measured: list[Measured], method: str) -> float | None:
    """The threshold whose classifiers do best on the selection examples, mean over runs; the highest of as good ones.

    None where the method has none, or no classifier that stayed finite.
    """
    by_threshold: dict[float, list[float]] = {}
    for one in measured:
        if one.row["method"] == method and one.row["finite"] and one.row["threshold"] != "":
            by_threshold.setdefault(one.row["threshold"], []).append(one.row["selection_accuracy"])
    means: Mapping[float, float] = {threshold: float(np.mean(found)) for threshold, found in by_threshold.items()}
    return max(means, key=lambda threshold: (means[threshold], threshold)) if means else None
