"""What a long-tail job tells: the table of methods, that of thresholds, who was flipped, the files."""

import functools
from typing import Any

import numpy as np

from jaxgen.config.fields import flag_values
from jaxgen.experiments.longtail.figures import draw_flips, draw_methods, draw_reliability, draw_thresholds
from jaxgen.experiments.longtail.job import Job, describe_tail
from jaxgen.experiments.longtail.measure import Measured, by_run, members_at
from jaxgen.experiments.longtail.passes import PASSES
from jaxgen.experiments.longtail.rounds import round_rows, round_table
from jaxgen.experiments.longtail.run import Flip, Results
from jaxgen.experiments.longtail.shots import SHOTS, describe_shots
from jaxgen.experiments.longtail.thresholds import HOW_CHOSEN, choice_table, choose_in_ways
from jaxgen.reporting.files import with_resolved_width
from jaxgen.reporting.report import MakeFigure, Report
from jaxgen.reporting.statements import MIN_RUNS, SIGNIFICANT, describe
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
# What others are held against: the same training without flips.
CONTROL = "mislas"
HOW_STATED = (
    "Differences are taken within runs, which share features, first classifier and draws: mean and 95 % interval of "
    "Student's t over n runs. They tell of training alone: all runs have one tail, one selection and one test set. A "
    f"difference is called shown where p < {SIGNIFICANT:g}; each test stands by itself."
)

HOW_ROUNDS = (
    "Rounds of flips: in each the labels are flipped again, by the probabilities of the classifier that the round "
    "before trained at the same threshold; each round at the threshold that does best on the selection examples."
)


def members_of(results: Results, method: str, threshold: Any = None) -> list[Measured]:
    """The classifiers of a method: at a threshold, or else at the one chosen."""
    at = results.chosen.get(method, "") if threshold is None else threshold
    return members_at(results.measured, method, at)


def difference(results: Results, method: str, other: str, measure: str = MEASURES[0]) -> Difference:
    """One method minus another, in pairs of runs."""
    own, others = (by_run(members_of(results, name), measure) for name in (method, other))
    return compare(subtract(own, others))


def method_rows(job: Job, results: Results) -> list[dict[str, Any]]:
    """One dictionary a method: means and standard deviations over its runs, at the threshold chosen."""
    rows = []
    for method in job.spec.flips.methods:
        members = members_of(results, method)
        if not members:
            continue
        seen = [one.row for one in members if one.row["finite"]]
        told = {"method": method, "threshold": results.chosen.get(method, ""), "n": len(seen)}
        told["diverged"] = len(members) - len(seen)
        told |= means_of(seen, (*MEASURES, "flips"))
        told["difference"] = difference(results, method, CONTROL) if method != CONTROL else compare([])
        rows.append(told)
    return rows


def method_table(rows: list[dict[str, Any]]) -> str:
    """A line a method; in percent."""
    header = ["method", "t", *TITLES, "flips", f"test - {CONTROL}", "p", "n"]
    lines = []
    for row in rows:
        threshold = f"{row['threshold']:g}" if row["threshold"] != "" else ""
        flips = f"{row['flips']:.1f}" if row["flips"] else ""
        measures = [describe_percent(row, name) for name in MEASURES[:-1]]
        against = [describe_difference(row["difference"]), describe_p(row["difference"])]
        lines.append([row["method"], threshold, *measures, flips, *against, describe_n(row)])
    return to_table(header, lines)


def threshold_rows(job: Job, results: Results) -> list[dict[str, Any]]:
    """One dictionary a threshold of each method that flips."""
    rows = []
    for method in ("lnr", "random_flips"):
        for threshold in job.spec.flips.threshold if method in job.spec.flips.methods else ():
            seen = [one.row for one in members_of(results, method, threshold) if one.row["finite"]]
            told = {"method": method, "threshold": threshold, "expected": results.expected[threshold], "n": len(seen)}
            told["diverged"] = job.spec.num_runs - len(seen)
            rows.append(told | means_of(seen, ("selection_accuracy", MEASURES[0], "few_accuracy", "flips")))
    return rows


def threshold_table(rows: list[dict[str, Any]]) -> str:
    """A line a method and threshold: flips expected and drawn, accuracies in percent."""
    lines = [
        [
            row["method"],
            f"{row['threshold']:g}",
            f"{row['expected']:.1f}",
            f"{row['flips']:.1f}",
            *(describe_percent(row, name) for name in ("selection_accuracy", MEASURES[0], "few_accuracy")),
            describe_n(row),
        ]
        for row in rows
    ]
    return to_table(["method", "t", "flips expected", "flips", "selection", "test", "few", "n"], lines)


def statements(job: Job, results: Results) -> list[str]:
    """What can be said of flipping: it beats its controls, it does worse, or neither is shown."""
    said = []
    if results.chosen.get("lnr") == max(job.spec.flips.threshold):
        said.append(
            "Of all thresholds the highest, which flips the fewest labels, does best on the selection examples."
        )
    for other, what in ((CONTROL, "the same without flips"), ("random_flips", "as many flips at random")):
        if not members_of(results, "lnr") or not members_of(results, other):
            continue
        found = difference(results, "lnr", other)
        if found.n < MIN_RUNS:
            said.append(f"lnr against {what} ({other}): nothing is stated of n = {found.n}; it takes {MIN_RUNS} runs.")
            continue
        shown = found.p < SIGNIFICANT
        verdict = ("lnr is better" if found.mean > 0 else "lnr is worse") if shown else "no difference is shown"
        flips = describe([one.row["flips"] for one in members_of(results, "lnr")], 1, "")
        said.append(
            f"lnr at t = {results.chosen['lnr']:g}, {flips} flips, against {what} ({other}): balanced accuracy "
            f"{describe_difference(found)} points, p = {describe_p(found)}, n = {found.n} runs: {verdict}."
        )
    return said


def describe_stage2(job: Job) -> str:
    """What stage 2 sees."""
    own = job.spec.head
    if own.stage2 == "cached":
        return (
            "Stage 2 (cached) is trained on features of a frozen network, computed once, without augmentation or "
            "shifted batch norm"
        )
    names = [name for name, value in flag_values(job.spec.augmentation).items() if value and name in CHANGES]
    return (
        "Stage 2 (augmented) is trained on features of a frozen network, computed anew in each step of images "
        f"augmented by {', '.join(names) or 'nothing'}, batch norm {'' if own.shift_bn else 'not '}shifted; "
        f"probabilities of flips are means over {PASSES} passes of such batches in which classes come alike, and "
        "labels of examples that came in none stay"
    )


def to_text(job: Job, results: Results) -> str:
    """All tables, with what they are."""
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
        "selmix is told which selection examples its classifier confuses, as no other method is. " + HOW_STATED,
        method_table(method_rows(job, results)),
    ]
    if rows := threshold_rows(job, results):
        parts += ["By threshold:", threshold_table(rows)]
    if choices := choose_in_ways(job, results):
        parts += [HOW_CHOSEN, choice_table(choices)]
    if results.rounds:
        parts += [HOW_ROUNDS, round_table(round_rows(results.rounds))]
    return "\n\n".join(parts)


def flip_rows(job: Job, flips: list[Flip]) -> list[dict[str, Any]]:
    """One dictionary a flip."""
    names = job.tail.dataset.class_names
    return [{**one._asdict(), "old": names[one.old], "new": names[one.new]} for one in flips]


# Files that another stage 2 in the same folder may have left.
OPTIONAL = ("flips.csv", "flips.png", "thresholds.png", "rounds.csv")


def report_one(job: Job, results: Results) -> Report:
    """Classifiers, tables, statements and figures of one imbalance."""
    name, rows = job.tail.dataset.name, method_rows(job, results)
    stated = "\n".join(f"- {line}" for line in statements(job, results)) or (
        f"Nothing is stated of flips: that takes lnr, {CONTROL} and {MIN_RUNS} runs or more."
    )
    files = {
        "results.csv": to_csv([one.row for one in results.measured]),
        "table.md": to_text(job, results) + "\n",
        "takeaways.md": f"# What {name} shows\n\n{stated}\n\n{HOW_STATED}\n",
    }
    if results.rounds:
        files["rounds.csv"] = to_csv(
            [{"round": number, **one.row} for number, found in enumerate(results.rounds, 1) for one in found]
        )
    if results.flips:
        files["flips.csv"] = to_csv(flip_rows(job, results.flips))
    heads = len(results.second.measured)
    speed = [
        "stage 1: " + describe_speed(*spent(results.first), job.spec.num_runs * len(job.kinds)),
        "stage 2: " + describe_speed(*spent(results.second), heads),
    ]
    summary = "\n".join([*speed[: 1 + bool(heads)], "", method_table(rows), "", stated])
    spec = with_resolved_width(job.spec, results.first.widths | results.second.widths)
    return Report(spec, summary, {**files, **draw_figures(job, results, rows)}, stale=OPTIONAL)


def draw_figures(job: Job, results: Results, rows: list[dict[str, Any]]) -> dict[str, MakeFigure]:
    """The figures of a job by their files."""
    data, chosen = job.tail.dataset, {row["method"]: members_of(results, row["method"]) for row in rows}
    figures: dict[str, MakeFigure] = {
        "methods.png": functools.partial(draw_methods, rows, data.name),
        "reliability.png": functools.partial(draw_reliability, chosen, data.name),
    }
    if thresholds := threshold_rows(job, results):
        control = next((row for row in rows if row["method"] == CONTROL), None)
        figures["thresholds.png"] = functools.partial(draw_thresholds, thresholds, control, data.name)
    if results.flips and data.has_images:
        shown = data, results.flips, results.chosen["lnr"], job.spec.num_runs
        figures["flips.png"] = functools.partial(draw_flips, *shown)
    return figures


def spent(members: Any) -> tuple[int, float, str]:
    """Models, seconds and devices of this call."""
    return members.models_now, members.seconds_now, members.devices
