"""What a robustness job tells of each member: rows for ``results.csv``, and what tables and figures are made of."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from jaxgen.experiments.robustness.versions import CLEAN
from jaxgen.jobs.program import Program, split_runs
from jaxgen.jobs.table import TableJob, curves_of, epochs_trained
from jaxgen.reporting.tables import class_f1, split_flags
from jaxgen.runs.store import Arrays

NUM_GROUPS = 10


class Measured(NamedTuple):
    """One member.

    Attributes:
      row: its setting, run and measures.
      curves: by name, ``[e]``.
      accuracy: on the test set in each version shown, ``[v]``; the clean one first.
      f1: of each class on the clean test set and on each modified one, ``[1 + modifications, c]``.
      kept: of the training examples of each tenth by C-score that it gets right when clean, the share that it gets
        right when corrupted too, mean over corruptions, ``[severities, 10]``; None without C-scores.
    """

    row: dict[str, Any]
    curves: dict[str, np.ndarray]
    accuracy: np.ndarray
    f1: np.ndarray
    kept: np.ndarray | None


def measure_members(job: TableJob, program: Program, arrays: Arrays, parameters: int) -> Iterator[Measured]:
    """The members of one chunk."""
    versions, given = job.versions, [settings_row(job, setting.spec) for setting in program.settings]
    for run, which, own in split_runs(program, arrays):
        right = own["probe_predictions"] == versions.dataset.probe_labels
        accuracy = right[:, : versions.num_tests].mean(1)
        last = max(int(own["epochs"]) - 1, 0)
        train_accuracy = float(own["train_accuracy_curve"][last])
        varied, fixed = given[which]
        f1 = f1_by_test_set(job, own["probe_predictions"][:, : versions.num_tests])
        row = {
            "setting": program.settings[which].name,
            **varied,
            "run": run,
            "finite": bool(own["finite"]),
            "parameters": parameters,
            "epochs_trained": epochs_trained(own),
            "train_accuracy": train_accuracy,
            "test_accuracy": float(accuracy[0]),
            "gap": train_accuracy - float(accuracy[0]),
            "test_error": 1 - float(accuracy[0]),
            **under_corruption(job, accuracy),
            **{
                f"test_accuracy_{name}_test_set": float(accuracy[versions.shown.index(place)])
                for name, place in modified_places(job)
            },
            "f1_macro": float(np.nanmean(f1[0])),
            "seconds": float(own["seconds"]),
            **fixed,
        }
        kept = kept_by_group(job, right[:, versions.num_tests :]) if versions.scores is not None else None
        yield Measured(row, curves_of(own), accuracy, f1, kept)


def settings_row(job: TableJob, spec: Any) -> tuple[dict[str, str], dict[str, str]]:
    """A setting's flags as they are typed: those in which settings differ, and the others that decide what is found."""
    parts = (spec.corruption, spec.noise, spec.model, spec.train)
    return split_flags((*parts, spec.regularization, spec.augmentation, spec.stopping), job.flags)


def judged(job: TableJob) -> dict[str, list[int]]:
    """By corruption that members are judged under, its places in what is shown, by severity."""
    found: dict[str, list[int]] = {}
    for name, severity in job.versions.judged:
        found.setdefault(name, []).append(job.versions.shown.index((name, severity)))
    return {name: sorted(places, key=lambda place: job.versions.shown[place][1]) for name, places in found.items()}


def severities(job: TableJob) -> list[int]:
    """At which members are judged, ascending."""
    return sorted({severity for _, severity in job.versions.judged})


def modified_places(job: TableJob) -> list[tuple[str, tuple[str, int]]]:
    """Every modification, and what its test set is among what is shown."""
    level = job.spec.corruption.train_severity
    return [(name, (name, level)) for name in job.versions.modified if name != "none"]


def under_corruption(job: TableJob, accuracy: np.ndarray) -> dict[str, float]:
    """Accuracies and errors on corrupted test sets: the mean over all, its drop, by corruption, by severity."""
    by_name = {name: accuracy[places] for name, places in judged(job).items()}
    whole = np.stack(list(by_name.values()))
    return {
        "corrupted_accuracy": float(whole.mean()),
        "corrupted_error": float(1 - whole.mean()),
        "robustness_drop": float(accuracy[0] - whole.mean()),
        **{f"test_accuracy_{name}": float(found.mean()) for name, found in by_name.items()},
        **{
            f"test_accuracy_severity_{severity}": float(whole[:, i].mean())
            for i, severity in enumerate(severities(job))
        },
    }


def f1_by_test_set(job: TableJob, predictions: np.ndarray) -> np.ndarray:
    """F1 of each class on the clean test set and on each modified one, ``[k, c]``; NaN of a class without tests."""
    truth = job.dataset.test_labels
    places = [job.versions.shown.index(place) for place in (CLEAN, *(place for _, place in modified_places(job)))]
    return np.array([class_f1(truth, predictions[p], job.dataset.num_classes) for p in places])


def kept_by_group(job: TableJob, right: np.ndarray) -> np.ndarray:
    """Of the examples in each tenth by C-score that are right when clean, the share right when corrupted.

    Args:
      job: with C-scores.
      right: bool ``[v, n]``: what a member gets right of the training examples in each version.

    Returns:
      ``[severities, 10]``, the tenth of lowest scores first; NaN where none is right when clean.
    """
    groups, places = score_groups(job.versions.scores), np.array(list(judged(job).values()))
    found = np.full((places.shape[1], NUM_GROUPS), np.nan)
    for group in range(NUM_GROUPS):
        known = (groups == group) & right[0]
        if known.any():
            found[:, group] = right[places][:, :, known].mean((0, 2))
    return found


def score_groups(scores: np.ndarray) -> np.ndarray:
    """In which tenth by score each example is, 0 lowest, int ``[n]``; -1 of an unscored one. Ties go by position."""
    groups = np.full(len(scores), -1)
    known = np.flatnonzero(np.isfinite(scores))
    order = known[np.argsort(scores[known], kind="stable")]
    groups[order] = np.arange(len(order)) * NUM_GROUPS // max(len(order), 1)
    return groups


def mean_corruption_errors(job: TableJob, members: list[Measured], baseline: str) -> np.ndarray:
    """Each member's mCE ``[m]``: mean over corruptions of its summed error by the baseline members' mean summed error.

    Hendrycks and Dietterich 2019, section 4.1, https://arxiv.org/abs/1903.12261. NaN where the baseline makes no error.
    """
    places = np.array(list(judged(job).values()))
    errors = np.stack([(1 - one.accuracy)[places].sum(1) for one in members])
    base = [i for i, one in enumerate(members) if one.row["setting"] == baseline and one.row["finite"]]
    if not base:
        return np.full(len(members), np.nan)
    whole = errors[base].mean(0)
    ratios = np.divide(errors, whole, out=np.full(errors.shape, np.nan), where=whole > 0)
    return ratios.mean(1)
