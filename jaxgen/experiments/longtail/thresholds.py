"""Ways to choose the threshold of flips without a test set, and what each loses against the best one in hindsight."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jaxgen.experiments.longtail.job import Job
from jaxgen.experiments.longtail.measure import Measured, by_run, members_at
from jaxgen.experiments.longtail.run import Results
from jaxgen.reporting.tables import to_table
from jaxgen.scores.paired import Difference, compare, describe_difference, subtract

# Of the labels, by the authors' account: 94 of the 12,406 of CIFAR-10-LT at an imbalance of 100.
AUTHORS_SHARE = 94 / 12_406
# The authors' thresholds by number of classes.
AUTHORS_THRESHOLDS = {10: 7.5, 100: 14.5}
MEASURE = "balanced_accuracy"


class Choice(NamedTuple):
    """A threshold, and what it is worth.

    Attributes:
      rule: how it was chosen.
      threshold: t.
      flips: expected at it, mean over runs.
      loss: its test accuracy minus that of the best threshold in hindsight, in pairs of runs.
      gain: its test accuracy minus that of the same training without flips.
      n: runs that stayed finite.
    """

    rule: str
    threshold: float
    flips: float
    loss: Difference
    gain: Difference
    n: int


def accuracies(measured: list[Measured], method: str, threshold: float | str = "") -> dict[int, float]:
    """By run, the test accuracy of a method's classifiers that stayed finite."""
    return by_run(members_at(measured, method, threshold), MEASURE)


def mean_accuracy(measured: list[Measured], threshold: float) -> float:
    """Of lnr at a threshold, mean over runs; minus infinity where no run stayed finite."""
    found = list(accuracies(measured, "lnr", threshold).values())
    return float(np.mean(found)) if found else -np.inf


def nearest_in_flips(expected: dict[float, float], wanted: float) -> float:
    """The threshold whose expected flips are the fewest times more or less than `wanted`; the highest of as near ones.

    Flips that are hardly ever expected count as a hundredth of one.
    """
    distance = {t: abs(np.log(max(flips, 0.01) / wanted)) for t, flips in expected.items() if np.isfinite(flips)}
    return min(distance, key=lambda t: (distance[t], -t))


def choose_in_ways(job: Job, results: Results) -> list[Choice]:
    """What each way to choose lnr's threshold comes to; none where lnr is not among the methods or always diverged."""
    thresholds = job.spec.flips.threshold
    if "lnr" not in results.chosen:
        return []
    data = job.tail.dataset
    ways: dict[str, Callable[[], float | None]] = {
        "selection": lambda: results.chosen["lnr"],
        "expected": lambda: nearest_in_flips(results.expected, AUTHORS_SHARE * len(data.labels)),
        "authors": lambda: AUTHORS_THRESHOLDS.get(data.num_classes),
        "hindsight": lambda: max(thresholds, key=lambda t: (mean_accuracy(results.measured, t), t)),
    }
    chosen = {rule: way() for rule, way in ways.items()}
    best = accuracies(results.measured, "lnr", chosen["hindsight"])
    control = accuracies(results.measured, "mislas")
    found = []
    for rule, threshold in chosen.items():
        if threshold not in thresholds:
            continue
        own = accuracies(results.measured, "lnr", threshold)
        loss = compare(subtract(own, best))
        gain = compare(subtract(own, control))
        found.append(Choice(rule, threshold, results.expected[threshold], loss, gain, len(own)))
    return found


HOW_CHOSEN = (
    "Ways to choose lnr's threshold: selection (the highest balanced accuracy on the selection examples, which is "
    f"what the tables use); expected (the threshold whose expected flips come nearest to {100 * AUTHORS_SHARE:.2f} % "
    "of the labels, the authors' share on CIFAR-10-LT); authors (7.5 for 10 classes, 14.5 for 100, if it is in the "
    "list); hindsight (the best on the test set, which nobody can know and which is too good by chance). Loss: test "
    "accuracy minus hindsight's; gain: minus that of mislas, without flips; in percentage points with 95 % intervals "
    "over runs."
)


def choice_cells(one: Choice) -> list[str]:
    """A way to choose, as cells of a table."""
    loss = "0" if one.loss.p == 1 else describe_difference(one.loss)
    return [one.rule, f"{one.threshold:g}", f"{one.flips:.1f}", loss, describe_difference(one.gain), f"{one.n}"]


def choice_table(choices: list[Choice]) -> str:
    """A line a way to choose."""
    return to_table(["chosen by", "t", "flips expected", "loss", "gain", "n"], [choice_cells(one) for one in choices])
