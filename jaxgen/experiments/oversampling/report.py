"""What an oversampling job tells: a row a setting and size, the tables to read, the files."""

import collections
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxgen.experiments.oversampling.figures import draw_samples
from jaxgen.experiments.oversampling.job import Job
from jaxgen.experiments.oversampling.pairs import Measured, Rows, reference
from jaxgen.experiments.oversampling.takeaways import take_away
from jaxgen.jobs.run import Members
from jaxgen.reporting.files import with_resolved_width
from jaxgen.reporting.report import Report
from jaxgen.reporting.statements import SIGNIFICANT, list_statements
from jaxgen.reporting.tables import describe_n, describe_percent, mean_and_sd, means_of, to_csv, to_table
from jaxgen.scores.paired import compare, describe_difference, describe_p
from jaxgen.views.summary import describe_speed

ACCURACIES = ("train_accuracy", "dev_accuracy", "test_accuracy")
REFERENCES = ("plain", "duplicates")
HOW_STATED = (
    "Mean ± standard deviation over runs. A difference is stated where a t test over runs gives p < "
    f"{SIGNIFICANT:g}; each test stands by itself."
)


def setting_rows(rows: Rows, others: Sequence[str]) -> list[dict[str, Any]]:
    """One dictionary a setting and size: means and standard deviations over the members that did not diverge, and the
    differences of test accuracy from the plain members and from those with exact copies, in pairs of runs.

    Args:
      rows: one a member.
      others: the flags that settings must have in common to be compared.
    """
    by_place = collections.defaultdict(list)
    for row in rows:
        by_place[row["setting"], row["sample_size"]].append(row)
    tests, found = Measured(rows, "test_accuracy"), []
    for (setting, size), own in by_place.items():
        seen = [row for row in own if row["finite"]]
        told = {"setting": setting, "arm": own[0]["arm"], "sample_size": size, "n": len(seen)}
        told |= {"diverged": len(own) - len(seen), "num_train": own[0]["num_train"], "steps": own[0]["steps"]}
        told |= means_of(seen, ACCURACIES)
        for arm in REFERENCES:
            told[arm] = compare(tests.differences(setting, reference(rows, own[0], arm, others), size))
        found.append(told)
    return found


def summary_rows(rows: Rows, others: Sequence[str]) -> list[dict[str, Any]]:
    """One dictionary a setting: as `setting_rows`, but of each run its mean over all sizes.

    Runs are counted, not members: one that diverged at any size has no such mean.
    """
    first = {row["setting"]: row for row in reversed(rows)}
    by_measure = {name: Measured(rows, name) for name in ACCURACIES}
    found = []
    for setting in dict.fromkeys(row["setting"] for row in rows):
        tests = by_measure["test_accuracy"]
        told = {"setting": setting, "n": len(tests.over_sizes(setting))}
        told["diverged"] = len({row["run"] for row in rows if row["setting"] == setting and not row["finite"]})
        for name, measured in by_measure.items():
            told |= mean_and_sd(name, np.array(list(measured.over_sizes(setting).values())))
        for arm in REFERENCES:
            told[arm] = compare(tests.differences(setting, reference(rows, first[setting], arm, others)))
        found.append(told)
    return found


def describe_row(row: dict[str, Any]) -> list[str]:
    """Accuracies, both differences with their p-values, and n."""
    differences = [text for arm in REFERENCES for text in (describe_difference(row[arm]), describe_p(row[arm]))]
    return [*(describe_percent(row, name) for name in ACCURACIES), *differences, describe_n(row)]


HEADER = ("train", "dev", "test", "test - plain", "p", "test - duplicates", "p", "n")


def size_table(rows: Sequence[dict[str, Any]]) -> str:
    """A line a setting and size."""
    lines = [
        [row["setting"], f"{row['sample_size']:,}", f"{row['num_train']:,}", f"{row['steps']:,}", *describe_row(row)]
        for row in rows
    ]
    return to_table(["setting", "unique samples", "trained on", "steps", *HEADER], lines)


def summary_table(rows: Sequence[dict[str, Any]]) -> str:
    """A line a setting."""
    return to_table(["setting", *HEADER], [[row["setting"], *describe_row(row)] for row in rows])


def to_text(job: Job, rows: Sequence[dict[str, Any]], summary: Sequence[dict[str, Any]]) -> str:
    """Both tables, with what their columns are."""
    copies, sizes = job.spec.copies, len(job.spec.copies.sample_sizes)
    over_sizes = f"Of each run its mean over the {sizes} sample sizes (one that diverged at any of them has none):"
    return "\n\n".join(
        [
            f"# Oversampling: {job.dataset.name}",
            f"Samples of {len(job.dataset.labels):,} training examples; {len(job.dataset.test_labels):,} test examples "
            f"that are never copied; {job.dataset.num_classes} classes; {100 * copies.dev_share:g} % of a sample for "
            "development. Accuracies in percent, mean ± standard deviation over the n runs that did not diverge; "
            "training accuracy is on all that was trained on, copies included. Differences are of test accuracy, in "
            "percentage points between members of one run: mean [95 % interval], p of a t test over runs. Exact copies "
            "(duplicates) take as many steps as noisy ones.",
            size_table(rows),
            *([over_sizes, summary_table(summary)] if sizes > 1 else []),
        ]
    )


def make_report(job: Job, results: Members) -> Report:
    """Members, tables, statements and the figure."""
    name, rows = job.dataset.name, setting_rows(results.measured, job.others)
    summary = summary_rows(results.measured, job.others)
    stated = list_statements(take_away(results.measured, job.others), job.spec.num_runs)
    files = {
        "results.csv": to_csv(results.measured),
        "table.md": to_text(job, rows, summary) + "\n",
        "takeaways.md": f"# What {name} shows\n\n{stated}\n\n{HOW_STATED}\n",
        "figure.png": functools.partial(draw_samples, rows, name),
    }
    speed = describe_speed(results.models_now, results.seconds_now, results.devices, len(results.measured))
    text = f"{speed}\n\n{summary_table(summary)}\n\n{stated}"
    return Report(with_resolved_width(job.spec, results.widths), text, files)
