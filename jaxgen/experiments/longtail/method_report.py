"""Report of a long-tail job: tables of methods and thresholds, flipped labels, figures."""

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxgen.config.fields import flag_values
from jaxgen.experiments.longtail.figures import draw_flips, draw_methods, draw_reliability, draw_thresholds
from jaxgen.experiments.longtail.job import LongTailJob, describe_tail
from jaxgen.experiments.longtail.ldam import describe_ldam
from jaxgen.experiments.longtail.measure import ClassifierResult, by_run, results_at
from jaxgen.experiments.longtail.methods import LDAM_DRW
from jaxgen.experiments.longtail.passes import PASSES
from jaxgen.experiments.longtail.rounds import round_rows, round_table
from jaxgen.experiments.longtail.run import Flip, LongTailResults
from jaxgen.experiments.longtail.selection_size import HOW_FEWER, choose_by_fewer, size_table
from jaxgen.experiments.longtail.shots import SHOTS, describe_shots
from jaxgen.experiments.longtail.tau import describe_taus, tau_table
from jaxgen.experiments.longtail.thresholds import HOW_CHOSEN, choice_table, compare_threshold_rules
from jaxgen.reporting.files import with_resolved_width
from jaxgen.reporting.report import MakeFigure, Report
from jaxgen.reporting.statements import MIN_RUNS, TestFamily, describe, describe_tests, state_together
from jaxgen.reporting.tables import describe_n, describe_percent, means_of, to_csv, to_table
from jaxgen.scores.paired import Difference, compare, describe_difference, describe_p, subtract
from jaxgen.transforms.augment import CHANGES
from jaxgen.views.summary import describe_speed

MEASURES = (
    "balanced_accuracy",
    *(f"{name}_accuracy" for name in SHOTS),
    "worst_class_accuracy",
    "f1_macro",
    "ece",
    "mce",
    "selection_accuracy",
)
TITLES = ("test", *SHOTS, "worst class", "macro F1", "ECE", "MCE")
# The methods that flip labels.
FLIPPING = ("lnr", "random_flips")
# The control of lnr: the same training without flips.
CONTROL = "mislas"
HOW_STATED = (
    "Differences are taken within runs, which share features, first classifier and draws: mean and 95 % interval of "
    "Student's t over n runs, of each difference alone. They tell of training alone: all runs have one tail, one "
    "selection and one test set. "
)

HOW_ROUNDS = (
    "Rounds of flips: in each the labels are flipped again, by the probabilities of the classifier that the round "
    "before trained at the same threshold; each round at the threshold that does best on the selection examples. "
    "Intervals and p are of each difference alone."
)


def results_of(results: LongTailResults, method: str, threshold: Any = None) -> list[ClassifierResult]:
    """Results of a method at a threshold, by default the chosen one."""
    threshold = results.chosen.get(method, "") if threshold is None else threshold
    return results_at(results.measured, method, threshold)


def difference(results: LongTailResults, method: str, other: str, measure: str = MEASURES[0]) -> Difference:
    """Paired difference of two methods over runs: `method` minus `other`."""
    return compare(differences(results, method, other, measure))


def differences(results: LongTailResults, method: str, other: str, measure: str = MEASURES[0]) -> list[float]:
    """`method` minus `other`, one a run."""
    return subtract(*(by_run(results_of(results, name), measure) for name in (method, other)))


def method_rows(job: LongTailJob, results: LongTailResults) -> list[dict[str, Any]]:
    """One dictionary per method: means and standard deviations over runs, at the chosen threshold."""
    rows = []
    for method in job.spec.flips.methods:
        classifiers = results_of(results, method)
        if not classifiers and method in FLIPPING:
            # All of its runs diverged, at every threshold.
            classifiers = results_of(results, method, max(job.spec.flips.threshold))
        if not classifiers:
            continue
        finite = [classifier.row for classifier in classifiers if classifier.row["finite"]]
        row = {"method": method, "threshold": results.chosen.get(method, ""), "n": len(finite)}
        row["diverged"] = len(classifiers) - len(finite)
        row |= means_of(finite, (*MEASURES, "flips"))
        row["difference"] = difference(results, method, CONTROL) if method != CONTROL else compare([])
        rows.append(row)
    return rows


def method_table(rows: list[dict[str, Any]]) -> str:
    """The table of methods, one line each; in percent."""
    header = ["method", "t", *TITLES, "flips", f"test - {CONTROL}", "p", "n"]
    lines = []
    for row in rows:
        threshold = f"{row['threshold']:g}" if row["threshold"] != "" else ""
        flips = f"{row['flips']:.1f}" if row["n"] and row["flips"] else ""
        measures = [describe_percent(row, name) for name in MEASURES[:-1]]
        comparison = [describe_difference(row["difference"]), describe_p(row["difference"])]
        lines.append([row["method"], threshold, *measures, flips, *comparison, describe_n(row)])
    return to_table(header, lines)


def threshold_rows(job: LongTailJob, results: LongTailResults) -> list[dict[str, Any]]:
    """One dictionary per threshold of each method that flips labels."""
    rows = []
    for method in FLIPPING:
        for threshold in job.spec.flips.threshold if method in job.spec.flips.methods else ():
            finite = [result.row for result in results_of(results, method, threshold) if result.row["finite"]]
            row = {"method": method, "threshold": threshold, "expected": results.expected[threshold], "n": len(finite)}
            row["diverged"] = job.spec.num_runs - len(finite)
            rows.append(row | means_of(finite, ("selection_accuracy", MEASURES[0], "few_accuracy", "flips")))
    return rows


def threshold_table(rows: list[dict[str, Any]]) -> str:
    """One line per method and threshold: expected and drawn flips, accuracies in percent."""
    lines = [
        [
            row["method"],
            f"{row['threshold']:g}",
            *(f"{row[name]:.1f}" if np.isfinite(row[name]) else "—" for name in ("expected", "flips")),
            *(describe_percent(row, name) for name in ("selection_accuracy", MEASURES[0], "few_accuracy")),
            describe_n(row),
        ]
        for row in rows
    ]
    return to_table(["method", "t", "flips expected", "flips", "selection", "test", "few", "n"], lines)


def take_away(family: TestFamily, job: LongTailJob, results: LongTailResults) -> Iterator[str]:
    """Statements on whether lnr is better or worse than its controls, or no difference is shown."""
    if results.chosen.get("lnr") == max(job.spec.flips.threshold):
        yield "Of all thresholds the highest, which flips the fewest labels, does best on the selection examples."
    for control, meaning in ((CONTROL, "the same without flips"), ("random_flips", "as many flips at random")):
        if not results_of(results, "lnr") or not results_of(results, control):
            continue
        gains = differences(results, "lnr", control)
        gain = compare(gains)
        if gain.n < MIN_RUNS:
            yield f"lnr against {meaning} ({control}): nothing is stated of n = {gain.n}; it takes {MIN_RUNS} runs."
            continue
        significant, p = family.significant(gains), family.p_value(gains)
        verdict = ("lnr is better" if gain.mean > 0 else "lnr is worse") if significant else "no difference is shown"
        flips = describe([result.row["flips"] for result in results_of(results, "lnr")], 1, "")
        yield (
            f"lnr at t = {results.chosen['lnr']:g}, {flips} flips, against {meaning} ({control}): balanced accuracy "
            f"{describe_difference(gain)} points, p = {describe_p(gain._replace(p=p))}, n = {gain.n} runs: {verdict}."
        )


def describe_stage2(job: LongTailJob) -> str:
    """Describes the inputs of stage 2."""
    head_spec = job.spec.head
    if head_spec.stage2 == "cached":
        return (
            "Stage 2 (cached) is trained on features of a frozen network, computed once, without augmentation or "
            "shifted batch norm"
        )
    names = [name for name, value in flag_values(job.spec.augmentation).items() if value and name in CHANGES]
    return (
        "Stage 2 (augmented) is trained on features of a frozen network, computed anew in each step of images "
        f"augmented by {', '.join(names) or 'nothing'}, batch norm {'' if head_spec.shift_bn else 'not '}shifted; "
        f"probabilities of flips are means over {PASSES} passes of such batches in which classes come alike"
    )


def to_text(job: LongTailJob, results: LongTailResults) -> str:
    """All tables with their explanations."""
    data = job.tail.dataset
    counts = np.bincount(data.labels, minlength=data.num_classes)
    parts = [
        f"# Long tail: {data.name}",
        describe_tail(job) + ".",
        f"Shots {describe_shots(counts, data.class_names, job.spec.longtail)}.",
        "In percent, mean ± standard deviation over the n runs that stayed finite. "
        "Test: balanced accuracy, the mean of all classes' accuracies on the test set; many, medium, few: of those "
        "classes; ECE, MCE: expected and maximum calibration error. Thresholds are those of the highest balanced "
        "accuracy on the selection examples; random_flips has lnr's, where that is among the methods. "
        f"{describe_stage2(job)}; ce, mixup and remix are stage 1 as it is; "
        "selmix is told which selection examples its classifier confuses, as no other method is. "
        + HOW_STATED
        + "Each p is of its own t test; takeaways.md corrects those of the tests that it rests on.",
        method_table(method_rows(job, results)),
    ]
    if rows := threshold_rows(job, results):
        parts += ["By threshold:", threshold_table(rows)]
    if choices := compare_threshold_rules(job, results):
        parts += [HOW_CHOSEN, choice_table(choices)]
    if sizes := choose_by_fewer(job, results):
        parts += [HOW_FEWER, size_table(sizes)]
    if LDAM_DRW in job.spec.flips.methods:
        parts.append(describe_ldam(job.spec.train.epochs))
    if results.by_tau:
        parts += [describe_taus(results.tau), tau_table(results.by_tau)]
    if results.rounds:
        parts += [HOW_ROUNDS, round_table(round_rows(results.rounds))]
    return "\n\n".join(parts)


def flip_rows(job: LongTailJob, flips: list[Flip]) -> list[dict[str, Any]]:
    """One dictionary per flipped label."""
    names = job.tail.dataset.class_names
    return [{**flip._asdict(), "old": names[flip.old], "new": names[flip.new]} for flip in flips]


# Files that a stage 2 with other flags may have left in the folder.
OPTIONAL = ("flips.csv", "flips.png", "thresholds.png", "rounds.csv", "tau.csv")


def report_job(job: LongTailJob, results: LongTailResults, tests: TestFamily | None = None) -> Report:
    """The report of one job: results, tables, statements and figures.

    Args:
      job: the job.
      results: its results.
      tests: the corrected tests of all imbalance ratios; None: those of this job alone.
    """
    name, rows = job.tail.dataset.name, method_rows(job, results)
    tests = tests or state_together(take_away, job, results).tests
    stated = "\n".join(f"- {line}" for line in take_away(tests, job, results)) or (
        f"Nothing is stated of flips: that takes lnr, {CONTROL} and {MIN_RUNS} runs or more."
    )
    files = {
        "results.csv": to_csv([result.row for result in results.measured]),
        "table.md": to_text(job, results) + "\n",
        "takeaways.md": f"# What {name} shows\n\n{stated}\n\n{HOW_STATED}{describe_tests(tests)}\n",
    }
    if results.rounds:
        files["rounds.csv"] = to_csv(
            [{"round": number, **result.row} for number, part in enumerate(results.rounds, 1) for result in part]
        )
    if results.by_tau:
        rows_by_tau = [{"tau": tau, **result.row} for tau, part in results.by_tau.items() for result in part]
        files["tau.csv"] = to_csv(rows_by_tau)
    if results.flips:
        files["flips.csv"] = to_csv(flip_rows(job, results.flips))
    heads = len(results.stage2.measured)
    speed = [
        "stage 1: " + describe_speed(*training_cost(results.stage1), job.spec.num_runs * len(job.kinds)),
        "stage 2: " + describe_speed(*training_cost(results.stage2), heads),
    ]
    summary = "\n".join([*speed[: 1 + bool(heads)], "", method_table(rows), "", stated])
    spec = with_resolved_width(job.spec, results.stage1.widths | results.stage2.widths)
    return Report(spec, summary, {**files, **draw_figures(job, results, rows)}, stale=OPTIONAL)


def draw_figures(job: LongTailJob, results: LongTailResults, rows: list[dict[str, Any]]) -> dict[str, MakeFigure]:
    """The figures of a job by file name."""
    data, chosen = job.tail.dataset, {row["method"]: results_of(results, row["method"]) for row in rows}
    figures: dict[str, MakeFigure] = {
        "methods.png": functools.partial(draw_methods, rows, data.name),
        "reliability.png": functools.partial(draw_reliability, chosen, data.name),
    }
    if thresholds := threshold_rows(job, results):
        control = next((row for row in rows if row["method"] == CONTROL), None)
        figures["thresholds.png"] = functools.partial(draw_thresholds, thresholds, control, data.name)
    if results.flips and data.has_images:
        arguments = data, results.flips, results.chosen["lnr"], job.spec.num_runs
        figures["flips.png"] = functools.partial(draw_flips, *arguments)
    return figures


def training_cost(members: Any) -> tuple[int, float, str]:
    """Number of models trained in this call, seconds taken, devices used."""
    return members.models_now, members.seconds_now, members.devices
