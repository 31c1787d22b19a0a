"""Report of a robustness job: tables, statements and figures."""

import functools
from typing import Any

import numpy as np

from jaxgen.experiments.robustness.figures import (
    draw_classes,
    draw_corruptions,
    draw_heat_map,
    draw_score_groups,
    draw_severities,
)
from jaxgen.experiments.robustness.measure import (
    corruption_indices,
    evaluated_severities,
    modified_versions,
)
from jaxgen.experiments.robustness.run import RobustnessResults
from jaxgen.experiments.robustness.score_groups import group_scores
from jaxgen.experiments.robustness.takeaways import (
    class_changes,
    corrupted_gains,
    describe_interval,
    members_by_run,
    take_away,
)
from jaxgen.jobs.member_table import TableJob
from jaxgen.jobs.presets import set_by_preset
from jaxgen.reporting.files import with_resolved_width
from jaxgen.reporting.report import Report
from jaxgen.reporting.statements import TestFamily, describe_tests, list_statements, state_together
from jaxgen.reporting.tables import describe_n, percent, to_csv, to_table
from jaxgen.views.summary import describe_speed

HOW_STATED = (
    "Differences are taken within runs, which share weights, order and label noise in all settings: mean and 95 % "
    "interval of Student's t over n runs. A training corruption is one fixed draw of each image. "
    "All runs have one test set and one draw of what corrupts it: intervals and p tell of training, not of other test "
    "examples. "
)


def by_setting(results: RobustnessResults) -> dict[str, list[int]]:
    """Indices of the members that did not diverge, by setting."""
    indices: dict[str, list[int]] = {}
    for i, row in enumerate(results.rows):
        indices.setdefault(row["setting"], [])
        if row["finite"]:
            indices[row["setting"]].append(i)
    return indices


def count_members(results: RobustnessResults, setting: str) -> str:
    """Table cell: numbers of finite and of diverged members of a setting."""
    finite = [row["finite"] for row in results.rows if row["setting"] == setting]
    return describe_n({"n": sum(finite), "diverged": len(finite) - sum(finite)})


def summary_table(job: TableJob, results: RobustnessResults) -> str:
    """The table of training, test and corrupted accuracy, gap, robustness drop and mCE by setting; in percent."""
    names = ["train_accuracy", "test_accuracy", "gap", "corrupted_accuracy", "robustness_drop", "mce", "relative_mce"]
    titles = ["train", "test", "gap", "corrupted", "robustness drop", "mCE", "relative mCE"]
    for name, _ in modified_versions(job):
        names.insert(2, f"test_accuracy_{name}_test_set")
        titles.insert(2, f"test, {name}")
    lines = []
    for setting, indices in by_setting(results).items():
        rows = [results.rows[i] for i in indices]
        cells = [percent([row[name] for row in rows]) for name in names]
        lines.append([setting, *cells, other_gain(job, results, setting), count_members(results, setting)])
    return to_table(["setting", *titles, "gain on others", "n"], lines)


def other_gain(job: TableJob, results: RobustnessResults, setting: str) -> str:
    """Table cell: gain over the baseline under the corruptions that the setting was not trained under."""
    members, base = (members_by_run(results, name) for name in (setting, results.baseline))
    pairs = [(results.rows[members[run]], results.rows[base[run]]) for run in sorted(members.keys() & base.keys())]
    if setting == results.baseline or not pairs:
        return "—"
    gains = corrupted_gains(job, pairs).others
    return "—" if gains is None else describe_interval(gains)


def corruption_table(job: TableJob, results: RobustnessResults) -> str:
    """Test accuracy of each setting under each corruption, mean over severities and members, in percent."""
    names = list(corruption_indices(job))
    lines = []
    for setting, indices in by_setting(results).items():
        rows = [results.rows[i] for i in indices]
        means = [percent([row[f"test_accuracy_{name}"] for row in rows], 1) for name in names]
        lines.append([setting, *means, count_members(results, setting)])
    return to_table(["setting", *names, "n"], lines)


def severity_table(job: TableJob, results: RobustnessResults) -> str:
    """Test accuracy of each setting at each severity, mean over corruptions and members, in percent."""
    levels = evaluated_severities(job)
    lines = []
    for setting, indices in by_setting(results).items():
        rows = [results.rows[i] for i in indices]
        columns = ["test_accuracy", *(f"test_accuracy_severity_{level}" for level in levels)]
        cells = [percent([row[column] for row in rows]) for column in columns]
        lines.append([setting, *cells, count_members(results, setting)])
    return to_table(["setting", "0 (clean)", *map(str, levels), "n"], lines)


def class_table(family: TestFamily, job: TableJob, results: RobustnessResults) -> str:
    """The table of F1 changes by class from training on modified data, on the original and modified test sets."""
    lines = []
    for change in class_changes(family, job, results):
        test_set = change.test_set if change.test_set != "none" else "original"
        lines.append(
            [
                change.modification,
                test_set,
                change.name,
                percent(change.before, 1),
                percent(change.after, 1),
                describe_interval(change.differences),
                {1: "gained", -1: "lost", 0: ""}[change.verdict],
                str(len(change.differences)),
            ]
        )
    header = ["trained on", "test set", "class", "F1, trained on the original", "F1, on the modified"]
    return to_table([*header, "difference, points", "", "n"], lines)


def score_group_table(job: TableJob, results: RobustnessResults) -> str:
    """The table of the share of correct clean training examples that stay correct, by group of C-scores."""
    groups, lines = group_scores(job.versions.scores), []
    for setting, indices in by_setting(results).items():
        shares = np.array([results.measured[i].still_correct.mean(0) for i in indices])
        cells = [percent(column, 1) for column in shares.T] if len(shares) else ["—"] * len(groups)
        lines.append([setting, *cells, count_members(results, setting)])
    return to_table(["setting", *(group.describe() for group in groups), "n"], lines)


def to_text(family: TestFamily, job: TableJob, results: RobustnessResults) -> str:
    """All tables with their explanations."""
    versions = job.versions
    parts = [
        f"# Robustness: {job.dataset.name}",
        f"{len(job.dataset.labels):,} training examples, {len(job.dataset.test_labels):,} test examples, "
        f"{job.dataset.num_classes} classes. In percent, mean ± standard deviation over the n members that did not "
        f"diverge. Corrupted: mean over {', '.join(corruption_indices(job))}, at severities "
        f"{', '.join(map(str, evaluated_severities(job)))} of 5, by the constants for "
        f"`{versions.constants}` images. Robustness drop: test accuracy minus corrupted accuracy. mCE: mean over "
        f"corruptions of the error relative to that of `{results.baseline}`; relative mCE: of the error's increase "
        f"from clean images. Gain on others: accuracy less that of `{results.baseline}` in the same runs, with its 95 "
        "% interval (of each gain alone), under the corruptions that neither was trained under. A training corruption "
        "is one fixed draw of each image, seen in a share of the steps." + cautions(job),
        summary_table(job, results),
        "Test accuracy by corruption, mean over severities:",
        corruption_table(job, results),
        "Test accuracy by severity, mean over corruptions:",
        severity_table(job, results),
    ]
    if modified_versions(job):
        parts += [
            "F1 by class. " + HOW_STATED + describe_tests(family),
            class_table(family, job, results),
        ]
    if versions.scores is not None:
        parts += [
            f"Of the training examples that a member gets right when clean, the share that it gets right when "
            f"corrupted, by tenths of the C-scores in {job.spec.corruption.cscores}, equal scores in one group: their "
            "range and the number of examples (mean over corruptions and severities):",
            score_group_table(job, results),
        ]
    return "\n\n".join(parts)


def cautions(job: TableJob) -> str:
    """Notes on accuracies that may be misread."""
    notes = ""
    if any(setting.spec.noise.label_noise for setting in job.settings):
        notes += " With label noise, training accuracy and gap are on the labels given, wrong ones included."
    if modified_versions(job):
        notes += (
            " Test accuracy is on the original test set, whatever a member was trained on; `test_accuracy` and "
            "`test_loss` in curves.npz are on the test set modified as its training set is."
        )
    return notes


def long_rows(job: TableJob, results: RobustnessResults) -> list[dict[str, Any]]:
    """One dictionary per member, corruption and severity."""
    return [
        {
            "setting": member.row["setting"],
            "run": member.row["run"],
            "corruption": name,
            "severity": severity,
            "accuracy": float(member.accuracy[index]),
            "error": float(1 - member.accuracy[index]),
        }
        for member in results.measured
        for index, (name, severity) in enumerate(job.versions.probe_versions)
    ]


def class_rows(job: TableJob, results: RobustnessResults) -> list[dict[str, Any]]:
    """One dictionary per member, test set and class."""
    sets = ["original", *(name for name, _ in modified_versions(job))]
    rows = []
    for member in results.measured:
        keys = {"setting": member.row["setting"], "run": member.row["run"]}
        for test_set, scores in zip(sets, member.f1, strict=True):
            for name, score in zip(job.dataset.class_names, scores, strict=True):
                rows.append({**keys, "test_set": test_set, "class": name, "f1": float(score)})
    return rows


def make_report(job: TableJob, results: RobustnessResults) -> Report:
    """The report: results, curves, tables, statements and figures."""
    statements, members = state_together(take_away, job, results), results.members
    stated, how = list_statements(statements.lines, job.spec.num_runs), HOW_STATED + describe_tests(statements.tests)
    settings = np.array([row["setting"] for row in results.rows])
    runs = np.array([row["run"] for row in results.rows])
    files = {
        "results.csv": to_csv(results.rows),
        "corrupted.csv": to_csv(long_rows(job, results)),
        "f1.csv": to_csv(class_rows(job, results)),
        "table.md": to_text(statements.tests, job, results) + "\n",
        "takeaways.md": f"# What {job.dataset.name} shows\n\n{stated}\n\n{how}\n",
        "curves.npz": {"setting": settings, "run": runs, **results.curves},
        "heat_map.png": functools.partial(draw_heat_map, job, results),
        "severities.png": functools.partial(draw_severities, job, results),
        "f1.png": functools.partial(draw_classes, job, results),
        "corruptions.png": functools.partial(draw_corruptions, job),
    }
    if job.versions.scores is not None:
        files["cscore_tenths.png"] = functools.partial(draw_score_groups, job, results)
    speed = describe_speed(members.models_now, members.seconds_now, members.devices, len(results.rows))
    summary = f"{speed}\n\n{summary_table(job, results)}\n\n{stated}"
    spec = with_resolved_width(job.spec, members.widths)
    return Report(spec, summary, files, set_by_preset=set_by_preset(job.spec, job.settings))
