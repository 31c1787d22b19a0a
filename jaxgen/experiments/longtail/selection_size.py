"""How the threshold that is chosen depends on the number of selection examples.

A long-tail job keeps as many examples of each class out of training to choose thresholds by. That may be more than the
smallest classes have to train on, and then nobody would have them. So the choice is repeated with smaller selection
sets, drawn from the job's own.
"""

import functools
from typing import NamedTuple

import jax
import numpy as np

from jaxgen.experiments.longtail.job import LongTailJob
from jaxgen.experiments.longtail.measure import results_at
from jaxgen.experiments.longtail.run import LongTailResults
from jaxgen.experiments.longtail.thresholds import mean_accuracy
from jaxgen.keys import JobDraw, job_key
from jaxgen.reporting.tables import to_table

SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500)
NUM_DRAWS = 500
# Central share of the draws that the table shows.
CENTRAL = (5, 95)


class SelectionSize(NamedTuple):
    """Choices of lnr's threshold by smaller selection sets.

    Attributes:
      size: selection examples of each class.
      thresholds: the threshold chosen in each draw, float ``[d]``.
      differences: test accuracy at that threshold minus the one chosen by all selection examples, means over runs,
        float ``[d]``.
    """

    size: int
    thresholds: np.ndarray
    differences: np.ndarray


def choose_by_fewer(job: LongTailJob, results: LongTailResults) -> list[SelectionSize]:
    """Chooses lnr's threshold by smaller selection sets, drawn without replacement, as many of each class.

    Sizes are `SIZES` and that of the smallest training class, as far as there are more selection examples; empty if
    lnr is not among the methods, always diverged or has a single threshold.
    """
    thresholds = sorted(job.spec.flips.threshold)
    if "lnr" not in results.chosen or len(thresholds) < 2:
        return []
    correct = np.stack([correct_share(results, threshold) for threshold in thresholds])
    accuracy = np.array([mean_accuracy(results.measured, threshold) for threshold in thresholds])
    accuracy = accuracy - accuracy[thresholds.index(results.chosen["lnr"])]
    members = [np.flatnonzero(job.tail.labels == label) for label in range(job.tail.dataset.num_classes)]
    smallest = int(np.bincount(job.tail.dataset.labels).min())
    key, available = job_key(job.spec.seed, JobDraw.SMALLER_SELECTIONS), len(members[0])
    choices = []
    for size in sorted({size for size in (*SIZES, smallest) if size < available}):
        drawn = draw_members(jax.random.fold_in(key, size), members, size)
        chosen = best_thresholds(correct[:, drawn].mean(-1))
        choices.append(SelectionSize(size, np.array(thresholds)[chosen], accuracy[chosen]))
    return choices


def correct_share(results: LongTailResults, threshold: float) -> np.ndarray:
    """Share of the runs that are right on each selection example, float ``[s]``; minus infinity if all diverged."""
    finite = [result for result in results_at(results.measured, "lnr", threshold) if result.row["finite"]]
    correct = [result.selection_correct for result in finite]
    some = results.measured[0].selection_correct
    return np.mean(correct, axis=0) if correct else np.full(len(some), -np.inf)


def draw_members(key: jax.Array, members: list[np.ndarray], size: int) -> np.ndarray:
    """Draws `size` of the members of each class, ``[d, c * size]``."""
    keys = jax.random.split(key, NUM_DRAWS)
    parts = []
    for label, places in enumerate(members):
        of_label = jax.vmap(jax.random.fold_in, (0, None))(keys, label)
        orders = jax.vmap(functools.partial(jax.random.permutation, x=len(places)))(of_label)
        parts.append(places[np.asarray(orders)[:, :size]])
    return np.concatenate(parts, axis=1)


def best_thresholds(accuracies: np.ndarray) -> np.ndarray:
    """Places of the best of the rising thresholds ``[t, d]`` in each draw ``[d]``; ties go to the highest threshold."""
    # Means of the same zeros and ones differ by rounding only.
    return len(accuracies) - 1 - np.round(accuracies[::-1], 9).argmax(0)


HOW_FEWER = (
    f"The threshold chosen by smaller selection sets, {NUM_DRAWS} draws of each size from the job's own, as many of "
    "each class: median and central 90 % of the draws. Difference: mean test accuracy at that threshold minus that at "
    "the one chosen by all selection examples, in percentage points."
)


def size_table(choices: list[SelectionSize]) -> str:
    """The table of smaller selection sets, a line for each size."""
    lines = []
    for choice in choices:
        low, middle, high = np.percentile(choice.thresholds, (CENTRAL[0], 50, CENTRAL[1]), method="nearest")
        # Rounded before zero is added: there is no -0.0.
        mean, worst, best = (
            np.round(100 * np.array([choice.differences.mean(), *np.percentile(choice.differences, CENTRAL)]), 1) + 0.0
        )
        lines.append([f"{choice.size}", f"{middle:g} ({low:g} to {high:g})", f"{mean:.1f} ({worst:.1f} to {best:.1f})"])
    return to_table(["selection examples of each class", "t", "test - all selection examples"], lines)
