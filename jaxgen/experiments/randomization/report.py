"""Report of a randomization job: tables, statements and figures."""

import collections
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxgen.config import sweep
from jaxgen.config.fields import flag_values, format_value
from jaxgen.data.corrupted import constants_for
from jaxgen.experiments.randomization.figures import draw_curves, draw_figure1
from jaxgen.experiments.randomization.presets import ALWAYS_NAMED
from jaxgen.experiments.randomization.run import RandomizationResults
from jaxgen.experiments.randomization.takeaways import take_away
from jaxgen.experiments.randomization.versions import SEVERITY
from jaxgen.jobs.member_table import TableJob
from jaxgen.jobs.presets import set_by_preset, usual_values
from jaxgen.reporting.files import with_resolved_width
from jaxgen.reporting.report import Report
from jaxgen.reporting.statements import describe_tests, list_statements, state_together
from jaxgen.reporting.tables import describe_n, describe_percent, means_of, to_csv, to_table
from jaxgen.views.summary import describe_speed

MEASURES = (
    "train_accuracy",
    "true_accuracy",
    "clean_accuracy",
    "flipped_accuracy",
    "test_accuracy",
    "test_loss",
    "gap",
    "epochs_to_fit",
    "steps_to_fit",
    "weight_norm",
    "margin_50",
    "ece",
    "f1_macro",
    "robustness_drop",
)
HOW_STATED = (
    "Mean ± standard deviation over runs. All runs have one test set and one draw of modified pixels: intervals and p "
    "tell of training, not of other test examples. "
)


def setting_rows(rows: Sequence[dict[str, Any]], flags: Sequence[str]) -> list[dict[str, Any]]:
    """One dictionary per setting: means and standard deviations over its members that did not diverge.

    ``epochs_to_fit`` and ``steps_to_fit`` are over the members that fitted; ``fitted`` is their number.
    """
    by_setting = collections.defaultdict(list)
    for row in rows:
        by_setting[row["setting"]].append(row)
    table_rows = []
    for name, members in by_setting.items():
        first, finite = members[0], [row for row in members if row["finite"]]
        table_row = {
            "setting": name or "all",
            **{flag: first[flag] for flag in flags},
            "model": first["model"],
            "parameters": first["parameters"],
            "n": len(finite),
            "diverged": len(members) - len(finite),
            "fitted": sum(row["fitted"] for row in finite),
        }
        table_rows.append(table_row | means_of(finite, MEASURES))
    return table_rows


def describe_fit(row: dict[str, Any]) -> str:
    """Table cell: mean epochs to fit, and the number of members that fitted."""
    if not row["fitted"]:
        return f"not fitted (0 of {row['n']})"
    spread = f" ± {row['epochs_to_fit_sd']:.1f}" if np.isfinite(row["epochs_to_fit_sd"]) else ""
    return f"{row['epochs_to_fit']:.1f}{spread} ({row['fitted']} of {row['n']})"


def paper_table(rows: Sequence[dict[str, Any]], flags: Sequence[str], fit_at: float) -> str:
    """Table 1 of Zhang et al. (2017): network, parameters, flags, training and test accuracy in percent."""
    shown = [flag for flag in flags if flag != "model"]
    header = ["model", "parameters", *shown, "train accuracy", "test accuracy", f"epochs to {100 * fit_at:g} %", "n"]
    return to_table(
        header,
        [
            [
                row["model"],
                f"{row['parameters']:,}",
                *(row[flag] for flag in shown),
                describe_percent(row, "train_accuracy"),
                describe_percent(row, "test_accuracy"),
                describe_fit(row),
                describe_n(row),
            ]
            for row in rows
        ],
    )


def summary_table(rows: Sequence[dict[str, Any]]) -> str:
    """Training and test accuracy, their gap, and the drop under corruption of each setting, in percent."""
    measures = ("train_accuracy", "test_accuracy", "gap", "robustness_drop")
    lines = [[row["setting"], *(describe_percent(row, name) for name in measures), describe_n(row)] for row in rows]
    return to_table(["setting", "train", "test", "gap", "robustness drop", "n"], lines)


def to_text(job: TableJob, rows: Sequence[dict[str, Any]]) -> str:
    """Both tables with their explanations."""
    corruptions = ", ".join(job.versions.corrupted) or "none: the data are no images of 1 or 3 channels"
    return "\n\n".join(
        [
            f"# Randomization: {job.dataset.name}",
            f"{len(job.dataset.labels):,} training examples, {len(job.dataset.test_labels):,} test examples, "
            f"{job.dataset.num_classes} classes. Accuracies in percent, mean ± standard deviation over the n members "
            "that did not diverge; training accuracy is on the labels given, of which noise may have changed some.",
            paper_table(rows, job.flags, max(job.spec.fit.fit_at)),
            f"Gap: training minus test accuracy. Robustness drop: test accuracy minus its mean under corruption "
            f"({corruptions}; severity {SEVERITY} of 5, by the constants for `{constants_for(job.dataset)}` images).",
            summary_table(rows),
            *describe_usual(job),
        ]
    )


def describe_usual(job: TableJob) -> list[str]:
    """Describes the flag values that setting names leave out, if any."""
    values = [{name: flag_values(setting.spec)[name] for name in job.flags} for setting in job.settings]
    if all(setting.name == sweep.name_setting(named) for setting, named in zip(job.settings, values, strict=True)):
        return []
    usual = usual_values(values, [flag for flag in job.flags if flag not in ALWAYS_NAMED])
    listed = ", ".join(f"{flag}={format_value(value)}" for flag, value in usual.items())
    return [f"Where a setting does not say otherwise: {listed}."]


def make_report(job: TableJob, results: RandomizationResults) -> Report:
    """The report: results, curves, tables, statements and figures."""
    data, rows, members = job.dataset, setting_rows(results.rows, job.flags), results.members
    train, test = (np.bincount(y, minlength=data.num_classes) / len(y) for y in (data.labels, data.test_labels))
    fit_at, by_frequency = max(job.spec.fit.fit_at), float(train @ test)
    statements = state_together(
        take_away, results.rows, job.flags, data.num_classes, fit_at=fit_at, by_frequency=by_frequency
    )
    stated = list_statements(statements.lines, job.spec.num_runs)
    settings = np.array([row["setting"] for row in results.rows])
    runs = np.array([row["run"] for row in results.rows])
    shown = results.rows, results.curves, job.flags, data.name
    files = {
        "results.csv": to_csv(results.rows),
        "curves.npz": {"setting": settings, "run": runs, **results.curves},
        "table.md": to_text(job, rows) + "\n",
        "takeaways.md": f"# What {data.name} shows\n\n{stated}\n\n{HOW_STATED}{describe_tests(statements.tests)}\n",
        "figure1.png": functools.partial(draw_figure1, *shown),
        "curves.png": functools.partial(draw_curves, *shown),
    }
    speed = describe_speed(members.models_now, members.seconds_now, members.devices, len(results.rows))
    summary = f"{speed}\n\n{summary_table(rows)}\n\n{stated}"
    spec = with_resolved_width(job.spec, members.widths)
    return Report(spec, summary, files, set_by_preset=set_by_preset(job.spec, job.settings))
