"""Long tails of several imbalances side by side: where flips pay, and at which threshold."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from jaxgen.config import LnrSpec, sweep
from jaxgen.data.parts import hold_out_test
from jaxgen.errors import UserError
from jaxgen.experiments.longtail.imbalances_figure import draw_imbalances
from jaxgen.experiments.longtail.job import Job, make_job
from jaxgen.experiments.longtail.report import CONTROL, PROGRAM, statements, what_if_table, write_all
from jaxgen.experiments.longtail.run import Results, describe_plan, expect_flips, run_job
from jaxgen.experiments.longtail.thresholds import HOW_CHOSEN, accuracies, choice_cells, choose_in_ways
from jaxgen.jobs.train import collect_errors, raise_collected
from jaxgen.reporting.files import as_whole, write_flags, written_or_told
from jaxgen.reporting.tables import to_csv, to_table
from jaxgen.scores.paired import compare, subtract
from jaxgen.types import Dataset
from jaxgen.views.figures import write_figure


def answer_by_stages(
    dataset: Dataset, spec: LnrSpec, command: str, *, log: Callable[[str], None]
) -> tuple[str, list[pathlib.Path]]:
    """Does what the flags ask for in two stages, for each imbalance; returns what to tell the user, and the files."""
    dataset = hold_out_test(dataset, spec.longtail.test_share, spec.seed)
    imbalances = sweep.alternatives(spec.longtail.imbalance)
    jobs = {one: make_job(dataset, of_imbalance(spec, one)) for one in imbalances}
    if spec.compute.dry_run:
        return "\n\n".join(describe_plan(job, log=log) for job in jobs.values()), []
    if spec.flips.what_if:
        expected = {one: expect_flips(job, resume=command, log=log) for one, job in jobs.items()}
        return "\n\n".join(what_if_table(jobs[one], flips) for one, flips in expected.items()), []
    results, told = {}, {}
    if len(jobs) > 1:
        # Before the hours that all imbalances may take.
        with written_or_told(spec.out):
            pathlib.Path(spec.out).mkdir(parents=True, exist_ok=True)
            write_flags(pathlib.Path(spec.out) / "flags.cfg", as_whole(spec), PROGRAM, command)
    unfinished: list[UserError] = []
    for one, job in jobs.items():
        with collect_errors(unfinished):
            results[one] = run_job(job, resume=command, log=log)
            told[one] = write_all(job, results[one], command)
    raise_collected(unfinished)
    if len(jobs) == 1:
        return next(iter(told.values()))
    text, files = write_together(spec, jobs, results, command)
    parts = [f"imbalance {one:g}: {said}" for one, job in jobs.items() for said in statements(job, results[one])]
    return "\n\n".join([*parts, text]), [*(file for _, found in told.values() for file in found), *files]


def of_imbalance(spec: LnrSpec, imbalance: float) -> LnrSpec:
    """The spec of one imbalance; of several, each has a folder of its own."""
    alone = dataclasses.replace(spec, longtail=dataclasses.replace(spec.longtail, imbalance=imbalance))
    if not isinstance(spec.longtail.imbalance, tuple):
        return alone
    return dataclasses.replace(alone, out=str(pathlib.Path(spec.out) / f"imbalance={imbalance:g}"))


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


def write_together(
    spec: LnrSpec, jobs: dict[float, Job], results: dict[float, Results], command: str
) -> tuple[str, list[pathlib.Path]]:
    """Writes what all imbalances show together into ``spec.out``; returns what to tell the user, and the files."""
    out, name = pathlib.Path(spec.out), next(iter(jobs.values())).tail.dataset.name
    rows, table, files = threshold_gains(jobs, results), together(jobs, results), ["flags.cfg"]
    with written_or_told(spec.out):
        if rows:
            (out / "imbalances.md").write_text(f"# Long tails: {name}\n\n{table}\n\n{HOW_CHOSEN}\n")
            (out / "imbalances.csv").write_text(to_csv(rows))
            write_figure(draw_imbalances(rows, name), out / "imbalances.png")
            files = ["imbalances.md", "imbalances.csv", "imbalances.png", *files]
    return table if rows else "", [out / file for file in files]
