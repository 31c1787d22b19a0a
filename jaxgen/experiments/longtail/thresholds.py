"""Rules of choosing the flip threshold without a test set, and their loss against the best threshold in hindsight."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jaxgen.experiments.longtail.job import LongTailJob
from jaxgen.experiments.longtail.measure import ClassifierResult, by_run, results_at
from jaxgen.experiments.longtail.run import LongTailResults
from jaxgen.reporting.tables import to_table
from jaxgen.scores.paired import Difference, compare, describe_difference, subtract

# Share of flipped labels that the authors report: 94 of 12,406 on CIFAR-10-LT at an imbalance ratio of 100.
AUTHORS_SHARE = 94 / 12_406
# The authors' thresholds by number of classes.
AUTHORS_THRESHOLDS = {10: 7.5, 100: 14.5}
MEASURE = "balanced_accuracy"


class ThresholdChoice(NamedTuple):
    """A chosen threshold and its test accuracy, compared.

    Attributes:
      rule: name of the rule that chose it.
      threshold: the threshold t.
      flips: expected number of flips, mean over runs.
      loss: test accuracy minus that of the best threshold in hindsight, paired by run.
      gain: test accuracy minus that of the same training without flips, paired by run.
      n: number of runs that stayed finite.
    """

    rule: str
    threshold: float
    flips: float
    loss: Difference
    gain: Difference
    n: int


def accuracies(measured: list[ClassifierResult], method: str, threshold: float | str = "") -> dict[int, float]:
    """Test accuracy of a method by run, diverged runs left out."""
    return by_run(results_at(measured, method, threshold), MEASURE)


def mean_accuracy(measured: list[ClassifierResult], threshold: float) -> float:
    """Mean test accuracy of lnr at a threshold; minus infinity if all runs diverged."""
    values = list(accuracies(measured, "lnr", threshold).values())
    return float(np.mean(values)) if values else -np.inf


def nearest_in_flips(expected: dict[float, float], wanted: float) -> float:
    """The threshold whose expected number of flips is nearest to `wanted` by ratio; ties go to the highest threshold.

    Expected numbers below 0.01 count as 0.01.
    """
    distance = {t: abs(np.log(max(flips, 0.01) / wanted)) for t, flips in expected.items() if np.isfinite(flips)}
    return min(distance, key=lambda t: (distance[t], -t))


def compare_threshold_rules(job: LongTailJob, results: LongTailResults) -> list[ThresholdChoice]:
    """Compares the rules of choosing lnr's threshold; empty if lnr is not among the methods or always diverged."""
    thresholds = job.spec.flips.threshold
    if "lnr" not in results.chosen:
        return []
    data = job.tail.dataset
    rules: dict[str, Callable[[], float | None]] = {
        "selection": lambda: results.chosen["lnr"],
        "expected": lambda: nearest_in_flips(results.expected, AUTHORS_SHARE * len(data.labels)),
        "authors": lambda: AUTHORS_THRESHOLDS.get(data.num_classes),
        "hindsight": lambda: max(thresholds, key=lambda t: (mean_accuracy(results.measured, t), t)),
    }
    chosen = {name: rule() for name, rule in rules.items()}
    best = accuracies(results.measured, "lnr", chosen["hindsight"])
    control = accuracies(results.measured, "mislas")
    choices = []
    for name, threshold in chosen.items():
        if threshold not in thresholds:
            continue
        values = accuracies(results.measured, "lnr", threshold)
        loss = compare(subtract(values, best))
        gain = compare(subtract(values, control))
        choices.append(ThresholdChoice(name, threshold, results.expected[threshold], loss, gain, len(values)))
    return choices


HOW_CHOSEN = (
    "Ways to choose lnr's threshold: selection (the highest balanced accuracy on the selection examples, which is "
    f"what the tables use); expected (the threshold whose expected flips come nearest to {100 * AUTHORS_SHARE:.2f} % "
    "of the labels, the authors' share on CIFAR-10-LT); authors (7.5 for 10 classes, 14.5 for 100, if it is in the "
    "list); hindsight (the best on the test set, which nobody can know and which is too good by chance). Loss: test "
    "accuracy minus hindsight's; gain: minus that of mislas, without flips; in percentage points with 95 % intervals "
    "over runs, of each difference alone."
)


def choice_cells(choice: ThresholdChoice) -> list[str]:
    """The table cells of a choice."""
    loss, gain = "0" if choice.loss.p == 1 else describe_difference(choice.loss), describe_difference(choice.gain)
    return [choice.rule, f"{choice.threshold:g}", f"{choice.flips:.1f}", loss, gain, f"{choice.n}"]


def choice_table(choices: list[ThresholdChoice]) -> str:
    """The table of choices, one line per rule."""
    lines = [choice_cells(choice) for choice in choices]
    return to_table(["chosen by", "t", "flips expected", "loss", "gain", "n"], lines)
