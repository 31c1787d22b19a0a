"""Short statements that an oversampling job's results bear out, each with its numbers and its n; no others.

A run is one observation: its differences are taken between members that share sample, weights and noise, and averaged
over the sizes of samples.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from jaxgen.experiments.oversampling.pairs import Measured, Row, Rows, reference, unsplit
from jaxgen.reporting.statements import MIN_RUNS, describe, is_consistent, rank_resolution
from jaxgen.scores.paired import compare, describe_difference

# What goes up and down with the sample has a rank correlation nearer to 0.
MONOTONE = 0.5


def take_away(rows: Rows, others: Sequence[str]) -> list[str]:
    """All statements that hold.

    Args:
      rows: one a member.
      others: the flags that settings must have in common to be compared.
    """
    dev, tests = Measured(rows, "dev_accuracy"), Measured(rows, "test_accuracy")
    settings = {row["setting"]: row for row in reversed(rows)}
    own = [settings[name] for name in dict.fromkeys(row["setting"] for row in rows)]
    said: list[str] = []
    for row in own:
        said += say_gain(rows, row, tests, others)
        said += say_trend(rows, row, tests, others)
    for row in own:
        said += say_flattered(row, dev, tests)
        said += say_leak(rows, row, dev, tests, others)
    return said


def sizes_of(tests: Measured) -> str:
    """What a run's difference is the mean of, in words."""
    return f"the mean over {len(tests.sizes)} sample sizes" if len(tests.sizes) > 1 else f"{tests.sizes[0]:,} samples"


def points(differences: Sequence[float], decimals: int = 1) -> str:
    """Signed mean ± sd in percentage points (n)."""
    return f"{'+' if np.mean(differences) > 0 else ''}{describe(differences, unit=' points', decimals=decimals)}"


def say_gain(rows: Rows, row: Row, tests: Measured, others: Sequence[str]) -> Iterator[str]:
    """What an arm changed against nothing added, and what noise changed against as many exact copies."""
    setting = row["setting"]
    plain = tests.differences(setting, reference(rows, row, "plain", others))
    if not is_consistent(plain):
        return
    text = f"{setting}: {points(plain)} of test accuracy against plain, {sizes_of(tests)}"
    exact = tests.differences(setting, reference(rows, row, "duplicates", others))
    if is_consistent(exact):
        text += f"; against exact copies, which take as many steps, {points(exact)}"
    elif len(exact) >= MIN_RUNS and (found := compare(exact)).low <= 0 <= found.high:
        told = describe_difference(found)
        text += f"; no consistent difference from exact copies, which take as many steps: {told} points"
    yield f"{text}."


def say_trend(rows: Rows, row: Row, tests: Measured, others: Sequence[str]) -> Iterator[str]:
    """How the gain goes with the size of samples: its rank correlation within each run."""
    setting, other = row["setting"], reference(rows, row, "plain", others)
    if other is None or len(tests.sizes) < MIN_RUNS:
        return
    runs = sorted(tests.over_sizes(setting).keys() & tests.over_sizes(other).keys())
    gains = {size: [tests.at(setting, size)[run] - tests.at(other, size)[run] for run in runs] for size in tests.sizes}
    by_run = np.array(list(gains.values())).T
    if any(np.ptp(found) == 0 for found in by_run):
        return
    from scipy.stats import spearmanr

    correlations = [spearmanr(tests.sizes, found).statistic for found in by_run]
    if not is_consistent(correlations, rank_resolution(len(tests.sizes))) or abs(np.mean(correlations)) < MONOTONE:
        return
    low, high = tests.sizes[0], tests.sizes[-1]
    yield (
        f"{setting}: the difference from plain {'rises' if np.mean(correlations) > 0 else 'falls'} with the sample: "
        f"{points(gains[low])} at {low:,}, {points(gains[high])} at {high:,}; rank correlation over {len(tests.sizes)} "
        f"sizes {describe(correlations, 1, '', 2)}."
    )


def say_flattered(row: Row, dev: Measured, tests: Measured) -> Iterator[str]:
    """Whether development accuracy is another than test accuracy."""
    own, other = dev.over_sizes(row["setting"]), tests.over_sizes(row["setting"])
    apart = [own[run] - other[run] for run in sorted(own.keys() & other.keys())]
    if is_consistent(apart):
        split = f" (split {row['split']} copying)" if row["arm"] not in ("plain", "augmented") else ""
        than = "higher" if np.mean(apart) > 0 else "lower"
        told = describe(np.sign(np.mean(apart)) * np.array(apart), unit=" points")
        yield f"{row['setting']}{split}: development accuracy is {told} {than} than test accuracy, {sizes_of(tests)}."


def say_leak(rows: Rows, row: Row, dev: Measured, tests: Measured, others: Sequence[str]) -> Iterator[str]:
    """By how much a split after copying flatters development accuracy: the same run split before."""
    other = unsplit(rows, row, others)
    leak = dev.differences(row["setting"], other)
    if is_consistent(leak):
        text = f"{row['setting']}: the leaky split changes development accuracy by {points(leak)}"
        apart = tests.differences(row["setting"], other)
        text += f", test accuracy by {points(apart)}" if is_consistent(apart) else ""
        yield f"{text}, {sizes_of(tests)}, against the same copies split off before."
