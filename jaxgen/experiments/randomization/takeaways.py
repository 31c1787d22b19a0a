"""Short statements that the results of a randomization job support, each with its numbers and n.

Runs of the same number share initial weights, order and noise in all settings. Differences between settings are within
runs, and a run is one observation.
"""

import collections
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jaxgen.experiments.randomization.misfits import REGULARIZERS, active_regularizers
from jaxgen.reporting.statements import MIN_RUNS, TestFamily, describe, rank_resolution
from jaxgen.wording import count_of

MemberRow = Mapping[str, Any]
MemberRows = Sequence[MemberRow]
# Flags that the statements compare; members that differ in other flags form separate groups.
STUDIED_FLAGS = ("label_noise", "pixels", *REGULARIZERS, "validation_share")


def take_away(
    family: TestFamily,
    rows: MemberRows,
    flags: Sequence[str],
    num_classes: int,
    fit_at: float = 1.0,
    by_frequency: float | None = None,
) -> Iterator[str]:
    """All statements that the results support.

    Args:
      family: tests all differences.
      rows: rows of all members.
      flags: flags in which settings differ.
      num_classes: number of classes, c.
      fit_at: training accuracy at which a member counts as fitted.
      by_frequency: test accuracy of guessing by the class frequencies of training; None: 1 / c.
    """
    groups = collections.defaultdict(list)
    for row in rows:
        groups[group_name(row, flags)].append(row)
    chance = {"uniform": 1 / num_classes, "permutation": 1 / num_classes if by_frequency is None else by_frequency}
    for name, members in groups.items():
        plain = without_regularization(members)
        yield from state_fitting(name, plain, chance, fit_at)
        yield from state_fitting_order(family, name, plain, fit_at)
        yield from state_slowdown(family, name, plain)
        yield from state_noise_trend(family, name, plain)
        yield from state_regularizers(family, name, members, flags)


def group_name(row: MemberRow, flags: Sequence[str]) -> str:
    """Name of a member's group: its network and the flags that are not compared."""
    group_flags = [f"{flag}={row[flag]}" for flag in flags if flag not in (*STUDIED_FLAGS, "model")]
    return f"{row['model']} ({', '.join(group_flags)})" if group_flags else row["model"]


def without_regularization(rows: MemberRows) -> list[MemberRow]:
    """The members without explicit regularization, one per run and condition."""
    plain = [row for row in rows if not active_regularizers(row)]
    least = min((float(row["validation_share"]) for row in plain), default=0)
    return [row for row in plain if float(row["validation_share"]) == least]


def condition(row: MemberRow) -> str:
    """Names what was randomized; empty if labels are only partly random."""
    rate, pixels = float(row["label_noise"]), row["pixels"]
    if rate == 0:
        return "true labels" if pixels == "true" else f"{pixels} pixels"
    whole = rate == 1 and row["noise_kind"] in ("uniform", "permutation")
    return "random labels" if whole and pixels == "true" else ""


def by_condition(rows: MemberRows) -> dict[str, dict[int, MemberRow]]:
    """Members by condition and run."""
    groups: dict[str, dict[int, MemberRow]] = collections.defaultdict(dict)
    for row in rows:
        groups[condition(row)][row["run"]] = row
    return groups


def describe_epochs(rows: MemberRows) -> str:
    """After how many epochs members were measured; they may stop where they first fit their labels."""
    epochs = sorted({row["epochs_trained"] for row in rows})
    if len(epochs) == 1:
        return f"after {count_of(epochs[0], 'epoch')}"
    return f"each where it first fitted or training ended, after {epochs[0]} to {epochs[-1]} epochs"


def state_fitting(name: str, rows: MemberRows, chance: Mapping[str, float], fit_at: float) -> Iterator[str]:
    """States whether true and random labels were fitted, and the accuracies.

    Args:
      name: name of the network.
      rows: its members.
      chance: chance accuracy on the test set by kind of label noise.
      fit_at: training accuracy at which a member counts as fitted.
    """
    groups = by_condition(rows)
    for kind in ("true labels", "random labels"):
        members = list(groups.get(kind, {}).values())
        finite = [row for row in members if row["finite"]]
        if len(finite) < MIN_RUNS:
            continue
        fitted, diverged = sum(row["fitted"] for row in finite), len(members) - len(finite)
        train, test, gap = (
            describe([row[measure] for row in finite]) for measure in ("train_accuracy", "test_accuracy", "gap")
        )
        verb = "fitted" if fitted == len(members) else "did not always fit" if fitted else "did not fit"
        count = f"{fitted} of {count_of(len(members), 'member')} reached {100 * fit_at:g} %"
        count += f", {diverged} diverged" if diverged else ""
        random = kind == "random labels"
        context = f"; chance is {100 * chance[finite[0]['noise_kind']]:.1f} %" if random else f", gap {gap}"
        yield (
            f"{name} {verb} {kind}: {count}; training accuracy {train}, test accuracy {test}{context}; "
            f"{describe_epochs(finite)}."
        )


def state_fitting_order(family: TestFamily, name: str, rows: MemberRows, fit_at: float) -> Iterator[str]:
    """States the order of times to fit of the randomizations that all members fitted."""
    steps = {
        kind: {run: row["steps_to_fit"] for run, row in members.items()}
        for kind, members in by_condition(rows).items()
        if kind and len(members) >= MIN_RUNS and all(row["finite"] and row["fitted"] for row in members.values())
    }
    order = sorted(steps, key=lambda kind: np.mean(list(steps[kind].values())))
    if len(order) < 2:
        return
    text = ""
    for fast, slow in zip([None, *order], order, strict=False):
        if fast:
            common = steps[fast].keys() & steps[slow].keys()
            later = [steps[slow][run] - steps[fast][run] for run in sorted(common)]
            # Fitting is checked once per epoch, so times have this resolution.
            text += " < " if family.significant(later, rows[0]["steps_per_epoch"]) else ", "
        text += f"{slow} {describe(list(steps[slow].values()), 1, '', 0)}"
    meaning = "< where neighbours differ significantly, a comma where that is not shown"
    yield f"{name}, steps to {100 * fit_at:g} % ({meaning}): {text}."


def state_slowdown(family: TestFamily, name: str, rows: MemberRows) -> Iterator[str]:
    """States how much longer noisy labels take to fit, at the highest rate that all members fitted."""
    by_rate: dict[float, dict[int, MemberRow]] = collections.defaultdict(dict)
    for row in rows:
        if row["pixels"] == "true":
            by_rate[float(row["label_noise"])][row["run"]] = row
    fitted_rates = [
        rate for rate, members in by_rate.items() if all(row["finite"] and row["fitted"] for row in members.values())
    ]
    if 0.0 not in fitted_rates or len(fitted_rates) < 2:
        return
    base, slow = by_rate[0.0], by_rate[max(fitted_rates)]
    runs = sorted(base.keys() & slow.keys())
    ratios = [slow[run]["steps_to_fit"] / base[run]["steps_to_fit"] for run in runs]
    epoch_ratio = max((base[run]["steps_per_epoch"] / base[run]["steps_to_fit"] for run in runs), default=0)
    if family.significant([ratio - 1 for ratio in ratios], epoch_ratio):
        times = describe(ratios, 1, "")
        yield f"{name} took {times} times as many steps to fit at a label noise of {max(fitted_rates):g} as at 0."


def state_noise_trend(family: TestFamily, name: str, rows: MemberRows) -> Iterator[str]:
    """States the trend of test error with label noise, by rank correlation within runs."""
    by_run: dict[int, dict[float, float]] = collections.defaultdict(dict)
    for row in rows:
        if row["pixels"] == "true" and row["finite"]:
            by_run[row["run"]][float(row["label_noise"])] = 1 - row["test_accuracy"]
    # Rates at which any member diverged are left out of all runs.
    rates = sorted(set.intersection(*map(set, by_run.values()))) if by_run else []
    runs = [{rate: errors[rate] for rate in rates} for errors in by_run.values()]
    if len(rates) < MIN_RUNS or any(np.ptp(list(errors.values())) == 0 for errors in runs):
        return
    from scipy.stats import spearmanr

    correlations = [spearmanr(rates, list(errors.values())).statistic for errors in runs]
    if not family.significant(correlations, rank_resolution(len(rates))):
        return
    low, high = rates[0], rates[-1]
    ends = [describe([errors[rate] for errors in runs]) for rate in (low, high)]
    yield (
        f"{name}: test error {'rises' if np.mean(correlations) > 0 else 'falls'} with label noise: {ends[0]} at "
        f"{low:g}, {ends[1]} at {high:g}; rank correlation over {len(rates)} rates {describe(correlations, 1, '', 2)}; "
        f"{describe_epochs([row for row in rows if row['pixels'] == 'true' and row['finite']])}."
    )


def state_regularizers(family: TestFamily, name: str, rows: MemberRows, flags: Sequence[str]) -> Iterator[str]:
    """States the effect of each explicit regularizer, by pairs of members that differ in nothing else."""
    for flag in REGULARIZERS:
        if flag not in flags:
            continue
        without = [row for row in rows if float(row[flag]) == 0]
        for value in dict.fromkeys(row[flag] for row in rows if float(row[flag]) > 0):
            regularized = [row for row in rows if row[flag] == value]
            pairs = pair_rows(regularized, without, [other for other in flags if other != flag])
            if flag == "patience" and not pairs:
                # Only early stopping uses validation examples; its controls have none.
                controls = [row for row in without if float(row["validation_share"]) == 0]
                key_flags = [other for other in flags if other not in (flag, "validation_share")]
                pairs = pair_rows(regularized, controls, key_flags)
            yield from state_effect(family, f"{name}: --{flag}={value}", pairs)
            if flag != "patience":
                yield from state_resistance(f"{name}: --{flag}={value}", pairs)


def pair_rows(rows: MemberRows, controls: MemberRows, flags: Sequence[str]) -> list[tuple[MemberRow, MemberRow]]:
    """Pairs each row with the control of the same run and the same values of `flags`, if there is one."""

    def key(row: MemberRow) -> tuple:
        return row["run"], *(row[flag] for flag in flags)

    by_key = {key(control): control for control in controls}
    return [(row, by_key[key(row)]) for row in rows if key(row) in by_key]


def state_effect(family: TestFamily, subject: str, pairs: Sequence[tuple[MemberRow, MemberRow]]) -> Iterator[str]:
    """States a regularizer's effect on test accuracy with true labels."""
    by_run = collections.defaultdict(list)
    for row, control in pairs:
        if condition(row) == "true labels" and row["finite"] and control["finite"]:
            by_run[row["run"]].append(row["test_accuracy"] - control["test_accuracy"])
    differences = [float(np.mean(values)) for values in by_run.values()]
    if family.significant(differences):
        sign = "+" if np.mean(differences) > 0 else ""
        effect = describe(differences, unit=" points of test accuracy")
        measured = describe_epochs([row for pair in pairs for row in pair if condition(row) == "true labels"])
        yield f"{subject} on true labels: {sign}{effect[:-1]}{name_runs(by_run)}); {measured}."


def state_resistance(subject: str, pairs: Sequence[tuple[MemberRow, MemberRow]]) -> Iterator[str]:
    """States how many members fitted random labels with and without a regularizer."""
    random = [(row, control) for row, control in pairs if condition(row) == "random labels"]
    finite = [(row, control) for row, control in random if row["finite"] and control["finite"]]
    if len({row["run"] for row, _ in finite}) < MIN_RUNS:
        return
    fitted, without = (sum(pair[i]["fitted"] for pair in finite) for i in (0, 1))
    by_run = collections.defaultdict(list)
    for row, _ in finite:
        by_run[row["run"]].append(row["train_accuracy"])
    reached = describe([float(np.mean(values)) for values in by_run.values()])
    yield (
        f"{subject} on random labels: {fitted} of {count_of(len(finite), 'member')} fitted them, training accuracy "
        f"{reached[:-1]}{name_runs(by_run)}); without it {without} of {len(finite)}."
    )


def name_runs(by_run: Mapping[int, Sequence[float]]) -> str:
    """What n counts: pairs, or runs with the mean of several pairs each."""
    most = max(map(len, by_run.values()))
    return f" runs, each the mean of {most} pairs" if most > 1 else " pairs"
