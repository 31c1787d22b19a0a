"""Evaluation of each classifier: accuracy by class and by shot group, calibration, number of flips."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.engine.batch import Variables
from jaxgen.experiments.longtail.features import Stage1Outputs, features_of
from jaxgen.experiments.longtail.job import LongTailJob
from jaxgen.experiments.longtail.methods import SELMIX_METHODS, STAGE1_METHODS
from jaxgen.experiments.longtail.shots import shot_groups
from jaxgen.experiments.longtail.stage2 import Head, Stage2, run_group_name
from jaxgen.jobs.program import Program, split_runs
from jaxgen.reporting.tables import class_f1, nan_mean
from jaxgen.runs.store import Store
from jaxgen.scores.metrics import maximum_calibration_error, reliability


class ClassifierResult(NamedTuple):
    """Evaluation of one classifier.

    Attributes:
      row: method, threshold, run and measures.
      accuracies: test accuracy by class, float ``[c]``; NaN for a class without test examples.
      diagram: reliability diagram on the test set, ``[3, bins]`` (`jaxgen.scores.metrics.reliability`).
      selection_correct: whether it is right on each selection example, bool ``[s]``.
    """

    row: dict[str, Any]
    accuracies: np.ndarray
    diagram: np.ndarray
    selection_correct: np.ndarray


def class_accuracies(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> np.ndarray:
    """Accuracy by class ``[c]``; NaN for a class without examples."""
    correct = np.bincount(labels[labels == predictions], minlength=num_classes)
    count = np.bincount(labels, minlength=num_classes)
    return np.divide(correct, count, out=np.full(num_classes, np.nan), where=count > 0)


def measure(
    job: LongTailJob, head: Head, run: int, *, test: np.ndarray, selection: np.ndarray, flips: int, finite: bool
) -> ClassifierResult:
    """Evaluates a classifier.

    Args:
      job: the job.
      head: method and threshold of the classifier.
      run: number of its run.
      test, selection: logits on the test and selection examples, ``[t, c]`` and ``[s, c]``.
      flips: number of flipped training labels.
      finite: whether training stayed finite.
    """
    data = job.tail.dataset
    counts = np.bincount(data.labels, minlength=data.num_classes)
    predictions = test.argmax(1)
    confidence = np.asarray(jax.nn.softmax(jnp.asarray(test))).max(1)
    correct = predictions == data.test_labels
    accuracies = class_accuracies(data.test_labels, predictions, data.num_classes)
    selected = selection.argmax(1)
    selection_accuracies = class_accuracies(job.tail.labels, selected, data.num_classes)
    diagram = np.asarray(reliability(jnp.asarray(confidence), jnp.asarray(correct)))
    groups = shot_groups(counts, job.spec.longtail)
    row = {
        "method": head.method,
        "threshold": head.threshold if np.isfinite(head.threshold) else "",
        "run": run,
        "finite": finite,
        "test_accuracy": float(correct.mean()),
        **{f"{name}_accuracy": float(nan_mean(accuracies[group], 0)) for name, group in groups.items()},
        "balanced_accuracy": float(nan_mean(accuracies, 0)),
        "worst_class_accuracy": float(np.nanmin(accuracies)),
        "f1_macro": float(nan_mean(class_f1(data.test_labels, predictions, data.num_classes), 0)),
        "ece": float((diagram[0] * np.abs(diagram[2] - diagram[1])).sum() / diagram[0].sum()),
        "mce": float(maximum_calibration_error(diagram)),
        "selection_accuracy": float(nan_mean(selection_accuracies, 0)),
        "flips": flips,
    }
    return ClassifierResult(row, accuracies, diagram, selected == job.tail.labels)


def measure_stage1(job: LongTailJob, outputs: Stage1Outputs) -> list[ClassifierResult]:
    """Evaluates the stage-1 models that are among the methods, in every run."""
    tests, selections = outputs.logits(outputs.test), outputs.logits(outputs.selection)
    results = []
    for index, kind in enumerate(job.kinds):
        if kind not in job.spec.flips.methods or kind not in STAGE1_METHODS:
            continue
        for run in range(job.spec.num_runs):
            model = index * job.spec.num_runs + run
            logits = {"test": tests[model], "selection": selections[model]}
            results.append(measure(job, Head(kind), run, **logits, flips=0, finite=bool(outputs.finite[model])))
    return results


def measure_classifier(
    job: LongTailJob, stage2: Stage2, head: Head, run: int, params: np.ndarray, flips: int, finite: bool
) -> ClassifierResult:
    """Evaluates a stage-2 classifier, given its flat variables `params` as stored."""
    outputs, variables = stage2.outputs, stage2.split(params)
    finite = finite and bool(outputs.finite[run])
    features = {"test": outputs.test[run], "selection": outputs.selection[run]}
    if job.spec.head.shift_bn:
        model, data = stage2.frozen.shifted(run, variables.stats), job.tail.dataset
        features = {"test": features_of(model, data.test_images), "selection": features_of(model, job.tail.images)}
    logits = {name: logits_of(variables, inputs) for name, inputs in features.items()}
    result = measure(job, head, run, **logits, flips=flips, finite=finite)
    if head.method in SELMIX_METHODS:
        # SelMix uses the selection examples in training.
        result.row["selection_accuracy"] = float("nan")
    return result


def logits_of(variables: Variables, features: np.ndarray) -> np.ndarray:
    """Logits ``[n, c]`` of a classifier on features ``[n, f]``."""
    head, scale = variables.params["head"], variables.params["scale"]
    return (features @ head["kernel"] + head["bias"]) * scale


def measure_classifiers(
    job: LongTailJob, store: Store, program: Program, parameters: int
) -> Iterator[ClassifierResult]:
    """Evaluates all stored classifiers of a program."""
    labels, stage2 = job.tail.dataset.labels, program.context
    for arrays in store.runs(run_group_name(program)):
        for run, setting, values in split_runs(program, arrays):
            flips, head = int((stage2.labels[setting, run] != labels).sum()), stage2.heads[setting]
            yield measure_classifier(job, stage2, head, run, values["params"], flips, bool(values["finite"]))


def results_at(results: list[ClassifierResult], method: str, threshold: float | str = "") -> list[ClassifierResult]:
    """Results of a method at a threshold, diverged runs included."""
    return [result for result in results if (result.row["method"], result.row["threshold"]) == (method, threshold)]


def by_run(results: list[ClassifierResult], measure: str) -> dict[int, float]:
    """A measure by run, diverged runs left out."""
    return {result.row["run"]: result.row[measure] for result in results if result.row["finite"]}


def choose_threshold(results: list[ClassifierResult], method: str) -> float | None:
    """The threshold of the highest mean selection accuracy; ties go to the highest threshold.

    None if the method has no threshold, or all of its runs diverged.
    """
    by_threshold: dict[float, list[float]] = {}
    for result in results:
        if result.row["method"] == method and result.row["finite"] and result.row["threshold"] != "":
            by_threshold.setdefault(result.row["threshold"], []).append(result.row["selection_accuracy"])
    means: Mapping[float, float] = {threshold: float(np.mean(values)) for threshold, values in by_threshold.items()}
    return max(means, key=lambda threshold: (means[threshold], threshold)) if means else None
