"""Report of an oversampling job: tables, statements and the figure."""

import collections
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxgen.experiments.oversampling.figures import draw_samples
from jaxgen.experiments.oversampling.job import OversamplingJob
from jaxgen.experiments.oversampling.pairs import MeasureBySetting, MemberRows, reference
from jaxgen.experiments.oversampling.takeaways import take_away
from jaxgen.jobs.run import Members
from jaxgen.reporting.files import with_resolved_width
from jaxgen.reporting.report import Report
from jaxgen.reporting.statements import describe_tests, list_statements, state_together
from jaxgen.reporting.tables import describe_n, describe_percent, mean_and_sd, means_of, to_csv, to_table
from jaxgen.scores.paired import compare, describe_difference, describe_p
from jaxgen.views.summary import describe_speed

ACCURACIES = ("train_accuracy", "dev_accuracy", "test_accuracy")
REFERENCES = ("plain", "duplicates")
HOW_STATED = (
    "Mean ± standard deviation over runs. All runs have one test set: intervals and p tell of training and of "
    "samples, not of other test examples. "
)


def setting_rows(rows: MemberRows, shared_flags: Sequence[str]) -> list[dict[str, Any]]:
    """One dictionary per setting and sample size: means, standard deviations and differences.

    Means are over the members that did not diverge. Differences are of test accuracy, paired by run, from plain
    training and from exact copies.

    Args:
      rows: rows of all members.
      shared_flags: flags that compared settings must share.
    """
    by_setting = collections.defaultdict(list)
    for row in rows:
        by_setting[row["setting"], row["sample_size"]].append(row)
    tests, table_rows = MeasureBySetting(rows, "test_accuracy"), []
    for (setting, size), members in by_setting.items():
        first, finite = members[0], [row for row in members if row["finite"]]
        table_row = {"setting": setting, "arm": first["arm"], "sample_size": size, "n": len(finite)}
        table_row |= {"diverged": len(members) - len(finite), "num_train": first["num_train"], "steps": first["steps"]}
        table_row |= means_of(finite, ACCURACIES)
        for arm in REFERENCES:
            table_row[arm] = compare(tests.differences(setting, reference(rows, first, arm, shared_flags), size))
        table_rows.append(table_row)
    return table_rows


def summary_rows(rows: MemberRows, shared_flags: Sequence[str]) -> list[dict[str, Any]]:
    """One dictionary per setting: like `setting_rows`, but of each run's mean over all sample sizes.

    Runs are counted, not members; a run that diverged at any size is left out.
    """
    first = {row["setting"]: row for row in reversed(rows)}
    by_measure = {name: MeasureBySetting(rows, name) for name in ACCURACIES}
    table_rows = []
    for setting in dict.fromkeys(row["setting"] for row in rows):
        tests = by_measure["test_accuracy"]
        table_row = {"setting": setting, "n": len(tests.mean_over_sizes(setting))}
        table_row["diverged"] = len({row["run"] for row in rows if row["setting"] == setting and not row["finite"]})
        for name, values in by_measure.items():
            table_row |= mean_and_sd(name, np.array(list(values.mean_over_sizes(setting).values())))
        for arm in REFERENCES:
            table_row[arm] = compare(tests.differences(setting, reference(rows, first[setting], arm, shared_flags)))
        table_rows.append(table_row)
    return table_rows


def describe_row(row: dict[str, Any]) -> list[str]:
    """Table cells: accuracies, both differences with p-values, and n."""
    differences = [text for arm in REFERENCES for text in (describe_difference(row[arm]), describe_p(row[arm]))]
    return [*(describe_percent(row, name) for name in ACCURACIES), *differences, describe_n(row)]


HEADER = ("train", "dev", "test", "test - plain", "p", "test - duplicates", "p", "n")


def size_table(rows: Sequence[dict[str, Any]]) -> str:
    """The table with one line per setting and sample size."""
    lines = [
        [row["setting"], f"{row['sample_size']:,}", f"{row['num_train']:,}", f"{row['steps']:,}", *describe_row(row)]
        for row in rows
    ]
    return to_table(["setting", "unique samples", "trained on", "steps", *HEADER], lines)


def summary_table(rows: Sequence[dict[str, Any]]) -> str:
    """The table with one line per setting."""
    return to_table(["setting", *HEADER], [[row["setting"], *describe_row(row)] for row in rows])


def to_text(job: OversamplingJob, rows: Sequence[dict[str, Any]], summary: Sequence[dict[str, Any]]) -> str:
    """Both tables with their explanations."""
    copies, sizes = job.spec.copies, len(job.spec.copies.sample_sizes)
    over_sizes = f"Of each run its mean over the {sizes} sample sizes (one that diverged at any of them has none):"
    return "\n\n".join(
        [
            f"# Oversampling: {job.dataset.name}",
            f"Samples of {len(job.dataset.labels):,} training examples; {len(job.dataset.test_labels):,} test examples "
            f"that are never copied; {job.dataset.num_classes} classes; {100 * copies.dev_share:g} % of a sample for "
            "development. Accuracies in percent, mean ± standard deviation over the n runs that did not diverge; "
            "training accuracy is on all that was trained on, copies included. Differences are of test accuracy, in "
            "percentage points between members of one run: mean [95 % interval] and p of a t test over runs, of each "
            "difference alone: of 20 that are 0, one is expected below p = 0.05 (takeaways.md corrects for that). "
            "Exact copies (duplicates) take as many steps as noisy ones.",
            size_table(rows),
            *([over_sizes, summary_table(summary)] if sizes > 1 else []),
        ]
    )


def make_report(job: OversamplingJob, results: Members) -> Report:
    """The report: results, tables, statements and the figure."""
    name, rows = job.dataset.name, setting_rows(results.measured, job.shared_flags)
    summary = summary_rows(results.measured, job.shared_flags)
    statements = state_together(take_away, results.measured, job.shared_flags)
    stated = list_statements(statements.lines, job.spec.num_runs)
    files = {
        "results.csv": to_csv(results.measured),
        "table.md": to_text(job, rows, summary) + "\n",
        "takeaways.md": f"# What {name} shows\n\n{stated}\n\n{HOW_STATED}{describe_tests(statements.tests)}\n",
        "figure.png": functools.partial(draw_samples, rows, name),
    }
    speed = describe_speed(results.models_now, results.seconds_now, results.devices, len(results.measured))
    text = f"{speed}\n\n{summary_table(summary)}\n\n{stated}"
    return Report(with_resolved_width(job.spec, results.widths), text, files)
