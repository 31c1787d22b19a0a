"""Short statements that the results of an oversampling job support, each with its numbers and n.

A run is one observation: differences are between members that share sample, initial weights and noise, averaged over
sample sizes.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from jaxgen.experiments.oversampling.pairs import MeasureBySetting, MemberRow, MemberRows, reference, unsplit
from jaxgen.reporting.statements import MIN_RUNS, TestFamily, describe, rank_resolution
from jaxgen.scores.paired import compare, describe_difference

# Least absolute rank correlation with the sample size that counts as a trend.
MONOTONE = 0.5


def take_away(family: TestFamily, rows: MemberRows, shared_flags: Sequence[str]) -> Iterator[str]:
    """All statements that the results support.

    Args:
      family: tests all differences.
      rows: rows of all members.
      shared_flags: flags that compared settings must share.
    """
    dev, tests = MeasureBySetting(rows, "dev_accuracy"), MeasureBySetting(rows, "test_accuracy")
    by_setting = {row["setting"]: row for row in reversed(rows)}
    settings = [by_setting[name] for name in dict.fromkeys(row["setting"] for row in rows)]
    for row in settings:
        yield from state_gain(family, rows, row, tests, shared_flags)
        yield from state_trend(family, rows, row, tests, shared_flags)
    for row in settings:
        yield from state_dev_gap(family, row, dev, tests)
        yield from state_leak(family, rows, row, dev, tests, shared_flags)


def sizes_of(tests: MeasureBySetting) -> str:
    """Describes the sample sizes that a run's difference is averaged over."""
    return f"the mean over {len(tests.sizes)} sample sizes" if len(tests.sizes) > 1 else f"{tests.sizes[0]:,} samples"


def points(differences: Sequence[float], decimals: int = 1) -> str:
    """Signed mean ± sd in percentage points (n)."""
    return f"{'+' if np.mean(differences) > 0 else ''}{describe(differences, unit=' points', decimals=decimals)}"


def state_gain(
    family: TestFamily, rows: MemberRows, row: MemberRow, tests: MeasureBySetting, shared_flags: Sequence[str]
) -> Iterator[str]:
    """States the gain of an arm over plain training, and of noise over exact copies."""
    setting = row["setting"]
    plain = tests.differences(setting, reference(rows, row, "plain", shared_flags))
    if not family.significant(plain):
        return
    text = f"{setting}: {points(plain)} of test accuracy against plain, {sizes_of(tests)}"
    exact = tests.differences(setting, reference(rows, row, "duplicates", shared_flags))
    if family.significant(exact):
        text += f"; against exact copies, which take as many steps, {points(exact)}"
    elif len(exact) >= MIN_RUNS:
        difference = describe_difference(compare(exact))
        text += f"; no difference from exact copies, which take as many steps, is shown: {difference} points"
    yield f"{text}."


def state_trend(
    family: TestFamily, rows: MemberRows, row: MemberRow, tests: MeasureBySetting, shared_flags: Sequence[str]
) -> Iterator[str]:
    """States the trend of the gain with the sample size, by rank correlation within runs."""
    setting, other = row["setting"], reference(rows, row, "plain", shared_flags)
    if other is None or len(tests.sizes) < MIN_RUNS:
        return
    runs = sorted(tests.mean_over_sizes(setting).keys() & tests.mean_over_sizes(other).keys())
    gains = {size: [tests.at(setting, size)[run] - tests.at(other, size)[run] for run in runs] for size in tests.sizes}
    by_run = np.array(list(gains.values())).T
    if any(np.ptp(values) == 0 for values in by_run):
        return
    from scipy.stats import spearmanr

    correlations = [spearmanr(tests.sizes, values).statistic for values in by_run]
    if not family.significant(correlations, rank_resolution(len(tests.sizes))) or abs(np.mean(correlations)) < MONOTONE:
        return
    low, high = tests.sizes[0], tests.sizes[-1]
    yield (
        f"{setting}: the difference from plain {'rises' if np.mean(correlations) > 0 else 'falls'} with the sample: "
        f"{points(gains[low])} at {low:,}, {points(gains[high])} at {high:,}; rank correlation over {len(tests.sizes)} "
        f"sizes {describe(correlations, 1, '', 2)}."
    )


def state_dev_gap(family: TestFamily, row: MemberRow, dev: MeasureBySetting, tests: MeasureBySetting) -> Iterator[str]:
    """States whether development accuracy differs from test accuracy."""
    dev_values, test_values = dev.mean_over_sizes(row["setting"]), tests.mean_over_sizes(row["setting"])
    gaps = [dev_values[run] - test_values[run] for run in sorted(dev_values.keys() & test_values.keys())]
    if family.significant(gaps):
        split = f" (split {row['split']} copying)" if row["arm"] not in ("plain", "augmented") else ""
        than = "higher" if np.mean(gaps) > 0 else "lower"
        size = describe(np.sign(np.mean(gaps)) * np.array(gaps), unit=" points")
        yield f"{row['setting']}{split}: development accuracy is {size} {than} than test accuracy, {sizes_of(tests)}."


def state_leak(
    family: TestFamily,
    rows: MemberRows,
    row: MemberRow,
    dev: MeasureBySetting,
    tests: MeasureBySetting,
    shared_flags: Sequence[str],
) -> Iterator[str]:
    """States the effect of the leaky split on development accuracy, against the same run split before copying."""
    other = unsplit(rows, row, shared_flags)
    leak = dev.differences(row["setting"], other)
    if family.significant(leak):
        text = f"{row['setting']}: the leaky split changes development accuracy by {points(leak)}"
        test_change = tests.differences(row["setting"], other)
        text += f", test accuracy by {points(test_change)}" if family.significant(test_change) else ""
        yield f"{text}, {sizes_of(tests)}, against the same copies split off before."
