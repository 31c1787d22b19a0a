"""Short statements that a randomization job's results bear out, each with its numbers and its n; no others.

Runs of one number share weights, order and noise in all settings, so differences between settings are taken within
runs, and a run is one observation however many settings it was trained in.
"""

import collections
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jaxgen.experiments.randomization.misfits import REGULARIZERS, strengths
from jaxgen.reporting.statements import MIN_RUNS, describe, is_consistent, rank_resolution

Row = Mapping[str, Any]
Rows = Sequence[Row]
# What the statements are about; other flags in which settings differ make a group of members each.
ABOUT = ("label_noise", "pixels", *REGULARIZERS, "validation_share")


def take_away(
    rows: Rows, flags: Sequence[str], num_classes: int, fit_at: float = 1.0, by_frequency: float | None = None
) -> list[str]:
    """All statements that hold.

    Args:
      rows: one a member.
      flags: those in which settings differ.
      num_classes: c.
      fit_at: the training accuracy at which a member counts as having fitted.
      by_frequency: the test accuracy of guesses that are as frequent as the training labels; None: 1 / c.
    """
    groups = collections.defaultdict(list)
    for row in rows:
        groups[group_name(row, flags)].append(row)
    chance = {"uniform": 1 / num_classes, "permutation": 1 / num_classes if by_frequency is None else by_frequency}
    said = []
    for name, own in groups.items():
        plain = without_regularization(own)
        said += say_labels(name, plain, chance, fit_at)
        said += say_order(name, plain, fit_at)
        said += say_slower(name, plain)
        said += say_noise_harms(name, plain)
        said += say_regularizers(name, own, flags)
    return said


def group_name(row: Row, flags: Sequence[str]) -> str:
    """The network, and what else tells a group of members from others."""
    others = [f"{flag}={row[flag]}" for flag in flags if flag not in (*ABOUT, "model")]
    return f"{row['model']} ({', '.join(others)})" if others else row["model"]


def without_regularization(rows: Rows) -> list[Row]:
    """The members without explicit regularization, one a run and condition."""
    plain = [row for row in rows if not strengths(row)]
    least = min((float(row["validation_share"]) for row in plain), default=0)
    return [row for row in plain if float(row["validation_share"]) == least]


def condition(row: Row) -> str:
    """What was randomized, in words; empty where it is only in part."""
    rate, pixels = float(row["label_noise"]), row["pixels"]
    if rate == 0:
        return "true labels" if pixels == "true" else f"{pixels} pixels"
    whole = rate == 1 and row["noise_kind"] in ("uniform", "permutation")
    return "random labels" if whole and pixels == "true" else ""


def by_condition(rows: Rows) -> dict[str, dict[int, Row]]:
    """The members of each condition by their run."""
    found: dict[str, dict[int, Row]] = collections.defaultdict(dict)
    for row in rows:
        found[condition(row)][row["run"]] = row
    return found


def say_labels(name: str, rows: Rows, chance: Mapping[str, float], fit_at: float) -> Iterator[str]:
    """Whether true and random labels were fitted, and what that was worth on the test set.

    Args:
      name: of the network.
      rows: its members.
      chance: by kind of random labels, the test accuracy of guesses by them.
      fit_at: the training accuracy at which a member counts as having fitted.
    """
    found = by_condition(rows)
    for kind in ("true labels", "random labels"):
        own = list(found.get(kind, {}).values())
        finite = [row for row in own if row["finite"]]
        if len(finite) < MIN_RUNS:
            continue
        fitted, diverged = sum(row["fitted"] for row in finite), len(own) - len(finite)
        train, test, gap = (
            describe([row[each] for row in finite]) for each in ("train_accuracy", "test_accuracy", "gap")
        )
        did = "fitted" if fitted == len(own) else "did not always fit" if fitted else "did not fit"
        count = f"{fitted} of {len(own)} members reached {100 * fit_at:g} %"
        count += f", {diverged} diverged" if diverged else ""
        random = kind == "random labels"
        beside = f"; chance is {100 * chance[finite[0]['noise_kind']]:.1f} %" if random else f", gap {gap}"
        yield f"{name} {did} {kind}: {count}; training accuracy {train}, test accuracy {test}{beside}."


def say_order(name: str, rows: Rows, fit_at: float) -> Iterator[str]:
    """The kinds of randomization that all members fitted, in the order of their times."""
    steps = {
        kind: {run: row["steps_to_fit"] for run, row in own.items()}
        for kind, own in by_condition(rows).items()
        if kind and len(own) >= MIN_RUNS and all(row["finite"] and row["fitted"] for row in own.values())
    }
    order = sorted(steps, key=lambda kind: np.mean(list(steps[kind].values())))
    if len(order) < 2:
        return
    text = ""
    for fast, slow in zip([None, *order], order, strict=False):
        if fast:
            common = steps[fast].keys() & steps[slow].keys()
            later = [steps[slow][run] - steps[fast][run] for run in sorted(common)]
            # Fitting is looked for once an epoch.
            text += " < " if is_consistent(later, rows[0]["steps_per_epoch"]) else " ≈ "
        text += f"{slow} {describe(list(steps[slow].values()), 1, '', 0)}"
    yield f"{name}, steps to {100 * fit_at:g} % (< where runs differ consistently): {text}."


def say_slower(name: str, rows: Rows) -> Iterator[str]:
    """How much longer noisy labels take, at the highest rate that all members fitted."""
    by_rate: dict[float, dict[int, Row]] = collections.defaultdict(dict)
    for row in rows:
        if row["pixels"] == "true":
            by_rate[float(row["label_noise"])][row["run"]] = row
    whole = [rate for rate, own in by_rate.items() if all(row["finite"] and row["fitted"] for row in own.values())]
    if 0.0 not in whole or len(whole) < 2:
        return
    base, slow = by_rate[0.0], by_rate[max(whole)]
    runs = sorted(base.keys() & slow.keys())
    ratios = [slow[run]["steps_to_fit"] / base[run]["steps_to_fit"] for run in runs]
    an_epoch = max((base[run]["steps_per_epoch"] / base[run]["steps_to_fit"] for run in runs), default=0)
    if is_consistent([ratio - 1 for ratio in ratios], an_epoch):
        times = describe(ratios, 1, "")
        yield f"{name} took {times} times as many steps to fit at a label noise of {max(whole):g} as at 0."


def say_noise_harms(name: str, rows: Rows) -> Iterator[str]:
    """How test error goes with the rate of label noise: its rank correlation within each run."""
    by_run: dict[int, dict[float, float]] = collections.defaultdict(dict)
    for row in rows:
        if row["pixels"] == "true" and row["finite"]:
            by_run[row["run"]][float(row["label_noise"])] = 1 - row["test_accuracy"]
    # Where a member has diverged, its rate is left out of all runs.
    rates = sorted(set.intersection(*map(set, by_run.values()))) if by_run else []
    runs = [{rate: found[rate] for rate in rates} for found in by_run.values()]
    if len(rates) < MIN_RUNS or any(np.ptp(list(found.values())) == 0 for found in runs):
        return
    from scipy.stats import spearmanr

    correlations = [spearmanr(rates, list(found.values())).statistic for found in runs]
    if not is_consistent(correlations, rank_resolution(len(rates))):
        return
    low, high = rates[0], rates[-1]
    ends = [describe([found[rate] for found in runs]) for rate in (low, high)]
    yield (
        f"{name}: test error {'rises' if np.mean(correlations) > 0 else 'falls'} with label noise: {ends[0]} at "
        f"{low:g}, {ends[1]} at {high:g}; rank correlation over {len(rates)} rates {describe(correlations, 1, '', 2)}."
    )


def say_regularizers(name: str, rows: Rows, flags: Sequence[str]) -> Iterator[str]:
    """What each explicit regularizer changed, in pairs of members that differ in nothing else."""
    for flag in REGULARIZERS:
        if flag not in flags:
            continue
        without = [row for row in rows if float(row[flag]) == 0]
        for value in dict.fromkeys(row[flag] for row in rows if float(row[flag]) > 0):
            own = [row for row in rows if row[flag] == value]
            pairs = pair_up(own, without, [each for each in flags if each != flag])
            if flag == "patience" and not pairs:
                # Early stopping comes with validation examples, which nothing else has a use for.
                whole = [row for row in without if float(row["validation_share"]) == 0]
                pairs = pair_up(own, whole, [each for each in flags if each not in (flag, "validation_share")])
            yield from say_effect(f"{name}: --{flag}={value}", pairs)
            if flag != "patience":
                yield from say_resistance(f"{name}: --{flag}={value}", pairs)


def pair_up(rows: Rows, others: Rows, flags: Sequence[str]) -> list[tuple[Row, Row]]:
    """Each of `rows` with the one of `others` that has its run and its values of `flags`, where there is one."""

    def key(row: Row) -> tuple:
        return row["run"], *(row[flag] for flag in flags)

    found = {key(other): other for other in others}
    return [(row, found[key(row)]) for row in rows if key(row) in found]


def say_effect(what: str, pairs: Sequence[tuple[Row, Row]]) -> Iterator[str]:
    """A regularizer's effect on test accuracy with true labels."""
    by_run = collections.defaultdict(list)
    for row, other in pairs:
        if condition(row) == "true labels" and row["finite"] and other["finite"]:
            by_run[row["run"]].append(row["test_accuracy"] - other["test_accuracy"])
    differences = [float(np.mean(found)) for found in by_run.values()]
    if is_consistent(differences):
        most = max(map(len, by_run.values()))
        mean = f" runs, each the mean of {most} pairs" if most > 1 else " pairs"
        sign = "+" if np.mean(differences) > 0 else ""
        effect = describe(differences, unit=" points of test accuracy")
        yield f"{what} on true labels: {sign}{effect[:-1]}{mean})."


def say_resistance(what: str, pairs: Sequence[tuple[Row, Row]]) -> Iterator[str]:
    """How many members fitted random labels with a regularizer, and how many without."""
    own = [pair for pair in pairs if condition(pair[0]) == "random labels" and pair[0]["finite"] and pair[1]["finite"]]
    if len({row["run"] for row, _ in own}) < MIN_RUNS:
        return
    fitted, without = (sum(pair[i]["fitted"] for pair in own) for i in (0, 1))
    reached = describe([row["train_accuracy"] for row, _ in own])
    yield (
        f"{what} on random labels: {fitted} of {len(own)} members fitted them, training accuracy {reached}; without it "
        f"{without} of {len(own)}."
    )
