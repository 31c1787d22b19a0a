"""Measures of trained members: rows for ``results.csv``, and data for tables and figures."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from jaxgen.experiments.robustness.score_groups import still_correct_by_group
from jaxgen.experiments.robustness.versions import CLEAN
from jaxgen.jobs.member_table import TableJob, curves_of, epochs_trained
from jaxgen.jobs.program import Program, split_runs
from jaxgen.reporting.tables import class_f1, split_flags
from jaxgen.runs.store import Arrays


class RobustnessMember(NamedTuple):
    """Measures of one member.

    Attributes:
      row: setting, run and measures.
      curves: learning curves by name, ``[e]``.
      accuracy: accuracy on each version of the test set, ``[v]``; the clean one first.
      f1: F1 of each class on the clean and on each modified test set, ``[1 + modifications, c]``.
      still_correct: share of the correctly classified clean training examples that stay correct under corruption, by
        severity and group of C-scores, ``[severities, g]`` (`still_correct_by_group`); None without C-scores.
    """

    row: dict[str, Any]
    curves: dict[str, np.ndarray]
    accuracy: np.ndarray
    f1: np.ndarray
    still_correct: np.ndarray | None


def measure_members(job: TableJob, program: Program, arrays: Arrays, parameters: int) -> Iterator[RobustnessMember]:
    """Yields the members of one chunk."""
    versions, setting_flags = job.versions, [settings_row(job, setting.spec) for setting in program.settings]
    for run, index, values in split_runs(program, arrays):
        correct = values["probe_predictions"] == versions.dataset.probe_labels
        accuracy = correct[:, : versions.num_tests].mean(1)
        last = max(int(values["epochs"]) - 1, 0)
        train_accuracy = float(values["train_accuracy_curve"][last])
        varied, fixed = setting_flags[index]
        f1 = f1_by_test_set(job, values["probe_predictions"][:, : versions.num_tests])
        row = {
            "setting": program.settings[index].name,
            **varied,
            "run": run,
            "finite": bool(values["finite"]),
            "parameters": parameters,
            "epochs_trained": epochs_trained(values),
            "train_accuracy": train_accuracy,
            "test_accuracy": float(accuracy[0]),
            "gap": train_accuracy - float(accuracy[0]),
            "test_error": 1 - float(accuracy[0]),
            **corrupted_measures(job, accuracy, program.settings[index].spec.corruption.train_corruption),
            **{
                f"test_accuracy_{name}_test_set": float(accuracy[versions.probe_versions.index(version)])
                for name, version in modified_versions(job)
            },
            "f1_macro": float(np.nanmean(f1[0])),
            "seconds": float(values["seconds"]),
            **fixed,
        }
        still_correct = None
        if versions.scores is not None:
            corrupted = np.array(list(corruption_indices(job).values()))
            still_correct = still_correct_by_group(versions.scores, correct[:, versions.num_tests :], corrupted)
        yield RobustnessMember(row, curves_of(values), accuracy, f1, still_correct)


def settings_row(job: TableJob, spec: Any) -> tuple[dict[str, str], dict[str, str]]:
    """A setting's flags as typed: those in which settings differ, and the others that affect results."""
    parts = (spec.corruption, spec.noise, spec.model, spec.train)
    return split_flags((*parts, spec.regularization, spec.augmentation, spec.stopping), job.flags)


def corruption_indices(job: TableJob) -> dict[str, list[int]]:
    """Indices of each evaluated corruption in `probe_versions`, by severity."""
    probe_versions = job.versions.probe_versions
    indices: dict[str, list[int]] = {}
    for name, severity in sorted(job.versions.evaluated, key=lambda version: version[1]):
        indices.setdefault(name, []).append(probe_versions.index((name, severity)))
    return {name: indices[name] for name in dict.fromkeys(name for name, _ in job.versions.evaluated)}


def evaluated_severities(job: TableJob) -> list[int]:
    """Severities that members are evaluated at, ascending."""
    return sorted({severity for _, severity in job.versions.evaluated})


def modified_versions(job: TableJob) -> list[tuple[str, tuple[str, int]]]:
    """Each modification with the version of its test set in `probe_versions`."""
    level = job.spec.corruption.train_severity
    return [(name, (name, level)) for name in job.versions.modified if name != "none"]


def corrupted_measures(job: TableJob, accuracy: np.ndarray, trained: str) -> dict[str, float]:
    """Accuracy on corrupted test sets: overall, drop from clean, by corruption and by severity.

    Args:
      job: the job.
      accuracy: accuracy on each version of the test set, ``[v]``.
      trained: the corruption that the member was trained under, or ``none``; ``corrupted_accuracy_others`` is the mean
        over all others, NaN if there are none.
    """
    by_name = {name: accuracy[indices] for name, indices in corruption_indices(job).items()}
    table = np.stack(list(by_name.values()))
    others = [values.mean() for name, values in by_name.items() if name != trained]
    return {
        "corrupted_accuracy": float(table.mean()),
        "corrupted_accuracy_others": float(np.mean(others)) if others else float("nan"),
        "corrupted_error": float(1 - table.mean()),
        "robustness_drop": float(accuracy[0] - table.mean()),
        **{f"test_accuracy_{name}": float(values.mean()) for name, values in by_name.items()},
        **{
            f"test_accuracy_severity_{severity}": float(table[:, i].mean())
            for i, severity in enumerate(evaluated_severities(job))
        },
    }


def f1_by_test_set(job: TableJob, predictions: np.ndarray) -> np.ndarray:
    """F1 of each class on the clean and each modified test set, ``[k, c]``; NaN for a class without test examples."""
    labels, versions = job.dataset.test_labels, [CLEAN, *(version for _, version in modified_versions(job))]
    indices = [job.versions.probe_versions.index(version) for version in versions]
    return np.array([class_f1(labels, predictions[index], job.dataset.num_classes) for index in indices])


class CorruptionErrors(NamedTuple):
    """Mean corruption errors of members, relative to the baseline members' mean errors.

    Hendrycks and Dietterich 2019, section 4.1, https://arxiv.org/abs/1903.12261.

    Attributes:
      mce: ``[m]``: mean over corruptions of the error, summed over severities; NaN where the baseline makes no error.
      relative_mce: ``[m]``: the same of the increase of the error from clean images, over the corruptions by which the
        baseline loses anything; NaN if it loses by none.
    """

    mce: np.ndarray
    relative_mce: np.ndarray


def mean_corruption_errors(job: TableJob, members: list[RobustnessMember], baseline: str) -> CorruptionErrors:
    """The mean corruption errors of all members, relative to the finite ones of the setting `baseline`."""
    indices = np.array(list(corruption_indices(job).values()))
    errors = np.stack([(1 - member.accuracy)[indices].sum(1) for member in members])
    increases = errors - np.stack([indices.shape[1] * (1 - member.accuracy[:1]) for member in members])
    base = [i for i, member in enumerate(members) if member.row["setting"] == baseline and member.row["finite"]]
    if not base:
        return CorruptionErrors(*np.full((2, len(members)), np.nan))
    base_errors, base_increases = errors[base].mean(0), increases[base].mean(0)
    ratios = np.divide(errors, base_errors, out=np.full(errors.shape, np.nan), where=base_errors > 0)
    lost = base_increases > 0
    relative = (increases[:, lost] / base_increases[lost]).mean(1) if lost.any() else np.full(len(members), np.nan)
    return CorruptionErrors(ratios.mean(1), relative)
