"""Report of long-tail jobs: each imbalance ratio by itself, and all compared."""

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxgen.experiments.longtail.imbalances import ImbalanceJobs
from jaxgen.experiments.longtail.imbalances_figure import draw_imbalances
from jaxgen.experiments.longtail.job import LongTailJob
from jaxgen.experiments.longtail.method_report import CONTROL, HOW_STATED, report_job, take_away
from jaxgen.experiments.longtail.run import LongTailResults
from jaxgen.experiments.longtail.thresholds import HOW_CHOSEN, accuracies, choice_cells, compare_threshold_rules
from jaxgen.reporting.files import without_shard
from jaxgen.reporting.report import Report
from jaxgen.reporting.statements import TestFamily, describe_tests, state_together
from jaxgen.reporting.tables import to_csv, to_table
from jaxgen.scores.paired import compare, subtract


def threshold_gains(jobs: dict[float, LongTailJob], results: dict[float, LongTailResults]) -> list[dict[str, Any]]:
    """One dictionary per imbalance ratio and threshold: share of flips, and paired accuracy gain over no flips."""
    rows = []
    for imbalance, job in jobs.items():
        result = results[imbalance]
        control = accuracies(result.measured, CONTROL)
        for threshold in job.spec.flips.threshold if "lnr" in result.chosen else ():
            gain = compare(subtract(accuracies(result.measured, "lnr", threshold), control))
            share = result.expected[threshold] / len(job.tail.dataset.labels)
            columns = {"gain": gain.mean, "gain_low": gain.low, "gain_high": gain.high, "p": gain.p, "n": gain.n}
            rows.append({"imbalance": imbalance, "threshold": threshold, "expected_share": share, **columns})
    return rows


def imbalance_table(jobs: dict[float, LongTailJob], results: dict[float, LongTailResults]) -> str:
    """The table of all imbalance ratios and rules of choosing the threshold."""
    lines = []
    for imbalance, job in jobs.items():
        counts = np.bincount(job.tail.dataset.labels)
        for choice in compare_threshold_rules(job, results[imbalance]):
            lines.append([f"{imbalance:g}", f"{counts.sum():,}", *choice_cells(choice)])
    return to_table(["imbalance", "examples", "chosen by", "t", "flips expected", "loss", "gain", "n runs"], lines)


def take_away_all(family: TestFamily, jobs: ImbalanceJobs, results: dict[float, LongTailResults]) -> Iterator[str]:
    """The statements of all imbalance ratios, whose tests are one family."""
    for imbalance, job in jobs.by_imbalance.items():
        for line in take_away(family, job, results[imbalance]):
            yield f"imbalance {imbalance:g}: {line}"


def make_report(jobs: ImbalanceJobs, results: dict[float, LongTailResults]) -> Report:
    """The report of a single job, or of all jobs with their comparison."""
    statements = state_together(take_away_all, jobs, results)
    reports = {
        imbalance: report_job(job, results[imbalance], statements.tests) for imbalance, job in jobs.by_imbalance.items()
    }
    if len(reports) == 1:
        return next(iter(reports.values()))
    name = next(iter(jobs.by_imbalance.values())).tail.dataset.name
    rows, table = threshold_gains(jobs.by_imbalance, results), imbalance_table(jobs.by_imbalance, results)
    stated = "\n".join(f"- {line}" for line in statements.lines) or "Nothing is stated of flips."
    how = HOW_STATED + describe_tests(statements.tests)
    files = {"takeaways.md": f"# What {name} shows\n\n{stated}\n\n{how}\n"}
    if rows:
        files |= {
            "imbalances.md": f"# Long tails: {name}\n\n{table}\n\n{HOW_CHOSEN}\n",
            "imbalances.csv": to_csv(rows),
            "imbalances.png": functools.partial(draw_imbalances, rows, name),
        }
    text = "\n\n".join([stated, *([table] if rows else [])])
    return Report(without_shard(jobs.spec), text, files, parts=[*reports.values()])
