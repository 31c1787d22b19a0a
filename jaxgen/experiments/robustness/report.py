"""What a robustness job writes: tables to read, the files."""

import functools
from typing import Any

import numpy as np

from jaxgen.experiments.robustness.figures import (
    draw_classes,
    draw_corruptions,
    draw_groups,
    draw_heat_map,
    draw_severities,
)
from jaxgen.experiments.robustness.measure import NUM_GROUPS, judged, modified_places, severities
from jaxgen.experiments.robustness.run import Results
from jaxgen.experiments.robustness.takeaways import class_changes, interval, take_away
from jaxgen.jobs.presets import set_by_preset
from jaxgen.jobs.table import TableJob
from jaxgen.reporting.files import with_resolved_width
from jaxgen.reporting.report import Report
from jaxgen.reporting.statements import list_statements
from jaxgen.reporting.tables import describe_n, percent, to_csv, to_table
from jaxgen.views.summary import describe_speed

HOW_STATED = (
    "Differences are taken within runs, which share weights, order and label noise in all settings: mean and 95 % "
    "interval of Student's t over n runs. A difference is stated where p < 0.01; each test stands by itself."
)


def by_setting(results: Results) -> dict[str, list[int]]:
    """The members of each setting that did not diverge."""
    found: dict[str, list[int]] = {}
    for i, one in enumerate(results.measured):
        found.setdefault(one.row["setting"], [])
        if one.row["finite"]:
            found[one.row["setting"]].append(i)
    return found


def count(results: Results, setting: str) -> str:
    """How many members of a setting its means are over, and how many diverged."""
    finite = [row["finite"] for row in results.rows if row["setting"] == setting]
    return describe_n({"n": sum(finite), "diverged": len(finite) - sum(finite)})


def summary_table(job: TableJob, results: Results) -> str:
    """Setting, training and test accuracy, gap, robustness drop, accuracies on modified test sets, mCE; in percent."""
    names = ["train_accuracy", "test_accuracy", "gap", "corrupted_accuracy", "robustness_drop", "mce"]
    titles = ["train", "test", "gap", "corrupted", "robustness drop", "mCE"]
    for name, _ in modified_places(job):
        names.insert(2, f"test_accuracy_{name}_test_set")
        titles.insert(2, f"test, {name}")
    lines = []
    for setting, places in by_setting(results).items():
        own = [results.rows[i] for i in places]
        lines.append([setting, *(percent([row[name] for row in own]) for name in names), count(results, setting)])
    return to_table(["setting", *titles, "n"], lines)


def corruption_table(job: TableJob, results: Results) -> str:
    """Test accuracy of each setting under each corruption, mean over severities and members, in percent."""
    names = list(judged(job))
    lines = []
    for setting, places in by_setting(results).items():
        own = [results.rows[i] for i in places]
        means = [percent([row[f"test_accuracy_{name}"] for row in own], 1) for name in names]
        lines.append([setting, *means, count(results, setting)])
    return to_table(["setting", *names, "n"], lines)


def severity_table(job: TableJob, results: Results) -> str:
    """Test accuracy of each setting at each severity, mean over corruptions and members, in percent."""
    levels = severities(job)
    lines = []
    for setting, places in by_setting(results).items():
        own = [results.rows[i] for i in places]
        at = [percent([row[f"test_accuracy_severity_{one}"] for row in own]) for one in levels]
        lines.append([setting, percent([row["test_accuracy"] for row in own]), *at, count(results, setting)])
    return to_table(["setting", "0 (clean)", *map(str, levels), "n"], lines)


def class_table(job: TableJob, results: Results) -> str:
    """What training on each modified data set changed in each class's F1, on the clean and on the modified tests."""
    lines = []
    for change in class_changes(job, results):
        test_set = change.test_set if change.test_set != "none" else "original"
        lines.append(
            [
                change.modification,
                test_set,
                change.name,
                percent(change.before, 1),
                percent(change.after, 1),
                interval(change.differences),
                {1: "gained", -1: "lost", 0: ""}[change.verdict],
                str(len(change.differences)),
            ]
        )
    header = ["trained on", "test set", "class", "F1, trained on the original", "F1, on the modified"]
    return to_table([*header, "difference, points", "", "n"], lines)


def group_table(job: TableJob, results: Results) -> str:
    """Which share of the training examples that are right when clean stays right, by tenth of C-score."""
    lines = []
    for setting, places in by_setting(results).items():
        kept = np.array([results.measured[i].kept.mean(0) for i in places])
        shares = [percent(column, 1) for column in kept.T] if len(kept) else ["—"] * NUM_GROUPS
        lines.append([setting, *shares, count(results, setting)])
    return to_table(["setting", "lowest tenth", *(f"{i}." for i in range(2, NUM_GROUPS)), "highest", "n"], lines)


def to_text(job: TableJob, results: Results) -> str:
    """All tables, with what they are."""
    versions = job.versions
    parts = [
        f"# Robustness: {job.dataset.name}",
        f"{len(job.dataset.labels):,} training examples, {len(job.dataset.test_labels):,} test examples, "
        f"{job.dataset.num_classes} classes. In percent, mean ± standard deviation over the n members that did not "
        f"diverge. Corrupted: mean over {', '.join(judged(job))}, at severities "
        f"{', '.join(map(str, severities(job)))} of 5, by the constants for "
        f"`{versions.constants}` images. Robustness drop: test accuracy minus corrupted accuracy. mCE: mean over "
        f"corruptions of the error relative to that of `{results.baseline}`." + cautions(job),
        summary_table(job, results),
        "Test accuracy by corruption, mean over severities:",
        corruption_table(job, results),
        "Test accuracy by severity, mean over corruptions:",
        severity_table(job, results),
    ]
    if modified_places(job):
        parts += [
            "F1 by class. " + HOW_STATED,
            class_table(job, results),
        ]
    if versions.scores is not None:
        parts += [
            f"Of the training examples that a member gets right when clean, the share that it gets right when "
            f"corrupted, by tenth of the C-scores in {job.spec.corruption.cscores} (mean over corruptions and "
            "severities):",
            group_table(job, results),
        ]
    return "\n\n".join(parts)


def cautions(job: TableJob) -> str:
    """What numbers are of, where a reader may take them to be of something else."""
    said = ""
    if any(setting.spec.noise.label_noise for setting in job.settings):
        said += " With label noise, training accuracy and gap are on the labels given, wrong ones included."
    if modified_places(job):
        said += (
            " Test accuracy is on the original test set, whatever a member was trained on; `test_accuracy` and "
            "`test_loss` in curves.npz are on the test set modified as its training set is."
        )
    return said


def long_rows(job: TableJob, results: Results) -> list[dict[str, Any]]:
    """One dictionary a member, corruption and severity."""
    return [
        {
            "setting": one.row["setting"],
            "run": one.row["run"],
            "corruption": name,
            "severity": severity,
            "accuracy": float(one.accuracy[place]),
            "error": float(1 - one.accuracy[place]),
        }
        for one in results.measured
        for place, (name, severity) in enumerate(job.versions.shown)
    ]


def class_rows(job: TableJob, results: Results) -> list[dict[str, Any]]:
    """One dictionary a member, test set and class."""
    sets = ["original", *(name for name, _ in modified_places(job))]
    return [
        {"setting": one.row["setting"], "run": one.row["run"], "test_set": test_set, "class": name, "f1": float(score)}
        for one in results.measured
        for test_set, scores in zip(sets, one.f1, strict=True)
        for name, score in zip(job.dataset.class_names, scores, strict=True)
    ]


def make_report(job: TableJob, results: Results) -> Report:
    """Members, curves, tables, statements and figures."""
    stated, members = list_statements(take_away(job, results), job.spec.num_runs), results.members
    settings = np.array([row["setting"] for row in results.rows])
    runs = np.array([row["run"] for row in results.rows])
    files = {
        "results.csv": to_csv(results.rows),
        "corrupted.csv": to_csv(long_rows(job, results)),
        "f1.csv": to_csv(class_rows(job, results)),
        "table.md": to_text(job, results) + "\n",
        "takeaways.md": f"# What {job.dataset.name} shows\n\n{stated}\n\n{HOW_STATED}\n",
        "curves.npz": {"setting": settings, "run": runs, **results.curves},
        "heat_map.png": functools.partial(draw_heat_map, job, results),
        "severities.png": functools.partial(draw_severities, job, results),
        "f1.png": functools.partial(draw_classes, job, results),
        "corruptions.png": functools.partial(draw_corruptions, job),
    }
    if job.versions.scores is not None:
        files["cscore_tenths.png"] = functools.partial(draw_groups, job, results)
    speed = describe_speed(members.models_now, members.seconds_now, members.devices, len(results.rows))
    summary = f"{speed}\n\n{summary_table(job, results)}\n\n{stated}"
    spec = with_resolved_width(job.spec, members.widths)
    return Report(spec, summary, files, set_by_preset=set_by_preset(job.spec, job.settings))
