"""What a randomization job tells: a row a setting, the tables to read, the files."""

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
from jaxgen.experiments.randomization.run import Results
from jaxgen.experiments.randomization.takeaways import take_away
from jaxgen.experiments.randomization.versions import SEVERITY
from jaxgen.jobs.presets import set_by_preset, usual_values
from jaxgen.jobs.table import TableJob
from jaxgen.reporting.files import with_resolved_width
from jaxgen.reporting.report import Report
from jaxgen.reporting.statements import SIGNIFICANT, list_statements
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
    "Mean ± standard deviation over members. A difference is stated where a t test over runs gives p < "
    f"{SIGNIFICANT:g}; each test stands by itself."
)


def setting_rows(rows: Sequence[dict[str, Any]], flags: Sequence[str]) -> list[dict[str, Any]]:
    """One dictionary a setting: means and standard deviations over its members that did not diverge.

    Those of ``epochs_to_fit`` and ``steps_to_fit`` are over the members that fitted, of which there are ``fitted``.
    """
    by_setting = collections.defaultdict(list)
    for row in rows:
        by_setting[row["setting"]].append(row)
    found = []
    for name, own in by_setting.items():
        seen = [row for row in own if row["finite"]]
        told = {
            "setting": name or "all",
            **{flag: own[0][flag] for flag in flags},
            "model": own[0]["model"],
            "parameters": own[0]["parameters"],
            "n": len(seen),
            "diverged": len(own) - len(seen),
            "fitted": sum(row["fitted"] for row in seen),
        }
        found.append(told | means_of(seen, MEASURES))
    return found


def describe_fit(row: dict[str, Any]) -> str:
    """After how many epochs members fitted, and how many of them did."""
    if not row["fitted"]:
        return f"not fitted (0 of {row['n']})"
    spread = f" ± {row['epochs_to_fit_sd']:.1f}" if np.isfinite(row["epochs_to_fit_sd"]) else ""
    return f"{row['epochs_to_fit']:.1f}{spread} ({row['fitted']} of {row['n']})"


def paper_table(rows: Sequence[dict[str, Any]], flags: Sequence[str], fit_at: float) -> str:
    """As table 1 of Zhang et al. (2017): network, parameters, what is on, training and test accuracy in percent."""
    others = [flag for flag in flags if flag != "model"]
    header = ["model", "parameters", *others, "train accuracy", "test accuracy", f"epochs to {100 * fit_at:g} %", "n"]
    return to_table(
        header,
        [
            [
                row["model"],
                f"{row['parameters']:,}",
                *(row[flag] for flag in others),
                describe_percent(row, "train_accuracy"),
                describe_percent(row, "test_accuracy"),
                describe_fit(row),
                describe_n(row),
            ]
            for row in rows
        ],
    )


def summary_table(rows: Sequence[dict[str, Any]]) -> str:
    """Setting, training and test accuracy, their gap, and the drop of test accuracy under corruption, in percent."""
    measures = ("train_accuracy", "test_accuracy", "gap", "robustness_drop")
    lines = [[row["setting"], *(describe_percent(row, name) for name in measures), describe_n(row)] for row in rows]
    return to_table(["setting", "train", "test", "gap", "robustness drop", "n"], lines)


def to_text(job: TableJob, rows: Sequence[dict[str, Any]]) -> str:
    """Both tables, with what their columns are."""
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
    """What settings have that their names leave out, if they do."""
    settings = [{name: flag_values(each.spec)[name] for name in job.flags} for each in job.settings]
    if all(setting.name == sweep.name_setting(own) for setting, own in zip(job.settings, settings, strict=True)):
        return []
    usual = usual_values(settings, [flag for flag in job.flags if flag not in ALWAYS_NAMED])
    told = ", ".join(f"{flag}={format_value(value)}" for flag, value in usual.items())
    return [f"Where a setting does not say otherwise: {told}."]


def make_report(job: TableJob, results: Results) -> Report:
    """Members, curves, tables, statements and figures."""
    data, rows, members = job.dataset, setting_rows(results.rows, job.flags), results.members
    train, test = (np.bincount(y, minlength=data.num_classes) / len(y) for y in (data.labels, data.test_labels))
    statements = take_away(
        results.rows, job.flags, data.num_classes, max(job.spec.fit.fit_at), by_frequency=float(train @ test)
    )
    stated = list_statements(statements, job.spec.num_runs)
    settings = np.array([row["setting"] for row in results.rows])
    runs = np.array([row["run"] for row in results.rows])
    shown = results.rows, results.curves, job.flags, data.name
    files = {
        "results.csv": to_csv(results.rows),
        "curves.npz": {"setting": settings, "run": runs, **results.curves},
        "table.md": to_text(job, rows) + "\n",
        "takeaways.md": f"# What {data.name} shows\n\n{stated}\n\n{HOW_STATED}\n",
        "figure1.png": functools.partial(draw_figure1, *shown),
        "curves.png": functools.partial(draw_curves, *shown),
    }
    speed = describe_speed(members.models_now, members.seconds_now, members.devices, len(results.rows))
    summary = f"{speed}\n\n{summary_table(rows)}\n\n{stated}"
    spec = with_resolved_width(job.spec, members.widths)
    return Report(spec, summary, files, set_by_preset=set_by_preset(job.spec, job.settings))
