"""What a long-tail job tells: each imbalance by itself, and all side by side: where flips pay, at which threshold."""

import functools
from typing import Any

import numpy as np

from jaxgen.experiments.longtail.imbalances import Jobs
from jaxgen.experiments.longtail.imbalances_figure import draw_imbalances
from jaxgen.experiments.longtail.job import Job
from jaxgen.experiments.longtail.method_report import CONTROL, report_one, statements
from jaxgen.experiments.longtail.run import Results
from jaxgen.experiments.longtail.thresholds import HOW_CHOSEN, accuracies, choice_cells, choose_in_ways
from jaxgen.reporting.files import without_shard
from jaxgen.reporting.report import Report
from jaxgen.reporting.tables import to_csv, to_table
from jaxgen.scores.paired import compare, subtract


def threshold_gains(jobs: dict[float, Job], results: dict[float, Results]) -> list[dict[str, Any]]:
    """One dictionary an imbalance and threshold: flips, and accuracy gained against no flips, in pairs of runs."""
    rows = []
    for imbalance, job in jobs.items():
        found = results[imbalance]
        control = accuracies(found.measured, CONTROL)
        for threshold in job.spec.flips.threshold if "lnr" in found.chosen else ():
            gain = compare(subtract(accuracies(found.measured, "lnr", threshold), control))
            share = found.expected[threshold] / len(job.tail.dataset.labels)
            own = {"gain": gain.mean, "gain_low": gain.low, "gain_high": gain.high, "p": gain.p, "n": gain.n}
            rows.append({"imbalance": imbalance, "threshold": threshold, "expected_share": share, **own})
    return rows


def together(jobs: dict[float, Job], results: dict[float, Results]) -> str:
    """The table of all imbalances: how each way to choose the threshold does."""
    lines = []
    for imbalance, job in jobs.items():
        counts = np.bincount(job.tail.dataset.labels)
        for one in choose_in_ways(job, results[imbalance]):
            lines.append([f"{imbalance:g}", f"{counts.sum():,}", *choice_cells(one)])
    return to_table(["imbalance", "examples", "chosen by", "t", "flips expected", "loss", "gain", "n runs"], lines)


def make_report(jobs: Jobs, results: dict[float, Results]) -> Report:
    """The report of the only imbalance, or of all with what they show together."""
    reports = {one: report_one(job, results[one]) for one, job in jobs.by_imbalance.items()}
    if len(reports) == 1:
        return next(iter(reports.values()))
    name = next(iter(jobs.by_imbalance.values())).tail.dataset.name
    rows, table = threshold_gains(jobs.by_imbalance, results), together(jobs.by_imbalance, results)
    summary = [
        f"imbalance {one:g}: {line}" for one, job in jobs.by_imbalance.items() for line in statements(job, results[one])
    ]
    files = {}
    if rows:
        files = {
            "imbalances.md": f"# Long tails: {name}\n\n{table}\n\n{HOW_CHOSEN}\n",
            "imbalances.csv": to_csv(rows),
            "imbalances.png": functools.partial(draw_imbalances, rows, name),
        }
    return Report(
        without_shard(jobs.spec), "\n\n".join([*summary, table if rows else ""]), files, parts=[*reports.values()]
    )
