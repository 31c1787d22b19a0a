"""Scores from training dynamics: of runs that trained on an example, and of runs that held it out.

A store holds per-example statistics of each run (`jaxgen.scores.example_stats`). They summarize the training visits of
an example if the run trained on it, and its evaluations if the run held it out. Like the C-score, a score is the plain
mean over ratios of its mean over runs; NaN where no run of some ratio observed it. Standard errors are those of
`jaxgen.scores.heldout`: blocks of runs are independent, and in a nested design runs of the same index form a block over
all ratios.

* csl: training loss summed over epochs (Ravikumar et al. 2025); aum: mean margin (Pleiss et al. 2020).
* learning_speed, learning_confidence: mean over epochs of 1[correct] and of the probability of the label (Jiang et al.
  2021, section 5.1, the cumulative versions after the last epoch).
* confidence, variability: mean and standard deviation over epochs of the probability of the label; correctness: number
  of epochs at which the label was predicted (Swayamdipta et al. 2020).
* forgetting: number of forgetting events, correct at one visit and wrong at the next (Toneva et al. 2019). An example
  that a run never learned counts as forgotten at each visit.
* first_learned: the first epoch with a correct prediction; the number of epochs plus one if there is none.
* el2n, grand: from one early epoch (Paul et al. 2021).
* soft_score: the held-out probability of the label after training, the soft version of the C-score.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from jaxgen.scores.blocks import BlockVariance, NestedVariance
from jaxgen.scores.example_stats import DEVIATION_STEPS, ERROR_STEPS
from jaxgen.scores.heldout import divide
from jaxgen.scores.memorization import unpack
from jaxgen.types import TRACKED, Outcome

# ``runs(i)`` streams the tracked runs of ratio i, ordered by index and without gaps. Runs that were not tracked are
# marked as diverged.
RunStream = Callable[[int], Iterable[Outcome]]


class ObservedScore(NamedTuple):
    """One score in m runs.

    Attributes:
      values: float32 ``[m, n]``.
      observed: bool ``[m, n]``: where a run has a value.
    """

    values: np.ndarray
    observed: np.ndarray


def run_scores(outcome: Outcome, num_examples: int) -> dict[str, ObservedScore]:
    """All scores of an outcome's runs, by name."""
    masks = unpack(outcome, num_examples)
    stats = {name.removeprefix(TRACKED): array for name, array in outcome.measures.items()}
    visits, evaluations = (stats["looks"][:, i : i + 1].astype(np.float32) for i in (0, 1))
    design = stats["design"]
    eval_epochs = [epochs[1 : list(epochs).index(0, 1)] for epochs in design]
    right, first = (stats[name].astype(np.float32) for name in ("right", "first"))
    error = stats["error"].astype(np.float32) / ERROR_STEPS
    trained = {
        "csl": stats["loss"],
        "aum": stats["margin"],
        "learning_speed": right / np.maximum(visits, 1),
        "confidence": stats["confidence"],
        "variability": stats["variability"].astype(np.float32) / DEVIATION_STEPS,
        "correctness": right,
        "forgetting": np.where(first == 0, visits, stats["forgotten"]),
        "first_learned": np.where(first == 0, visits + 1, first),
        "el2n": error,
    }
    heldout = {
        "soft_score": stats["final"],
        "heldout_csl": stats["loss"],
        "heldout_aum": stats["margin"],
        "heldout_learning_speed": right / np.maximum(evaluations, 1),
        "heldout_confidence": stats["confidence"],
    }
    scores = {name: ObservedScore(np.asarray(value, np.float32), masks.trained) for name, value in trained.items()}
    scores |= {name: ObservedScore(np.asarray(value, np.float32), masks.heldout) for name, value in heldout.items()}
    # Runs that ended before the early epoch have no value there.
    reached = design[:, :1] <= visits
    scores["el2n"] = ObservedScore(error, masks.trained & reached)
    early = np.asarray([nearest(epochs, row[0]) for epochs, row in zip(eval_epochs, design, strict=True)])
    scores["heldout_el2n"] = ObservedScore(error, masks.heldout & (early[:, None] <= visits))
    if "gradient" in stats:
        norms = stats["gradient"].astype(np.float32)
        scores["grand"] = ObservedScore(norms, masks.trained & reached)
        scores["heldout_grand"] = ObservedScore(norms, masks.heldout & reached)
    return scores


def nearest(epochs: Sequence[int], epoch: int) -> int:
    """The element of `epochs` closest to `epoch`; 0, which stands for the end of training, if `epochs` is empty."""
    return min(map(int, epochs), key=lambda candidate: abs(candidate - epoch), default=0)


def estimate(
    runs: RunStream, num_examples: int, block_sizes: Sequence[int], *, shared_blocks: bool
) -> dict[str, np.ndarray]:
    """All scores and their standard errors, ``<name>`` and ``<name>_stderr``: float32 ``[n]``.

    Args:
      runs: ``runs(i)`` streams the runs of ratio i; it is read twice.
      num_examples: n.
      block_sizes: ``[k]``: number of consecutive runs in a block, at each ratio.
      shared_blocks: whether block b of one ratio is the same draw as block b of another (the nested design).
    """
    num_ratios = len(block_sizes)
    tables: dict[str, np.ndarray] = {}
    for i in range(num_ratios):
        for outcome in runs(i):
            for name, (values, observed) in run_scores(outcome, num_examples).items():
                table = tables.setdefault(name, np.zeros((num_ratios, 3, num_examples)))
                kept = np.where(observed, values, 0)
                table[i] += observed.sum(0), kept.sum(0, dtype=np.float64), np.square(kept).sum(0, dtype=np.float64)
    means = {name: divide(table[:, 1], table[:, 0]) for name, table in tables.items()}
    variances = (nested_variances if shared_blocks else block_variances)(runs, num_examples, tables, means, block_sizes)
    estimates = {}
    for name, by_ratio in means.items():
        estimates[name] = by_ratio.mean(0).astype(np.float32)
        estimates[f"{name}_stderr"] = (np.sqrt(variances[name]) / num_ratios).astype(np.float32)
    if estimates:
        estimates |= {f"learning_confidence{end}": estimates[f"confidence{end}"] for end in ("", "_stderr")}
    return estimates


def single_variances(table: np.ndarray) -> np.ndarray:
    """Variances ``[k, n]`` of means over independent runs, from ``[k, 3, n]`` counts, sums and sums of squares."""
    counts, sums, squares = table.swapaxes(0, 1)
    # Rounding may take the difference below 0.
    return np.maximum(divide(divide(squares, counts) - divide(sums, counts) ** 2, counts - 1), 0)


def residuals(score: ObservedScore, mean: np.ndarray, count: np.ndarray) -> np.ndarray:
    """The contribution of each run to the error of a ratio's mean, ``[m, n]``."""
    return np.where(score.observed, score.values - np.nan_to_num(mean), 0) / np.maximum(count, 1)


def block_variances(
    runs: RunStream,
    num_examples: int,
    tables: dict[str, np.ndarray],
    means: dict[str, np.ndarray],
    block_sizes: Sequence[int],
) -> dict[str, np.ndarray]:
    """Variance ``[n]`` of the sum over ratios of each score's means, if ratios are independent."""
    singles = {name: single_variances(table) for name, table in tables.items()}
    totals = {name: np.zeros(num_examples) for name in tables}
    for i, block in enumerate(block_sizes):
        variances = {name: BlockVariance(block, total.shape) for name, total in totals.items()}
        for outcome in runs(i) if block > 1 else ():
            for name, score in run_scores(outcome, num_examples).items():
                variances[name].add(residuals(score, means[name][i], tables[name][i, 0]), score.observed)
        for name, total in totals.items():
            total += variances[name].variance(singles[name][i])
    return totals


def nested_variances(
    runs: RunStream,
    num_examples: int,
    tables: dict[str, np.ndarray],
    means: dict[str, np.ndarray],
    block_sizes: Sequence[int],
) -> dict[str, np.ndarray]:
    """The same for a nested design, in which runs of the same index form a block over all ratios."""
    variances = {name: NestedVariance(table[:, 0]) for name, table in tables.items()}

    def single_runs(i: int) -> Iterable[dict[str, ObservedScore]]:
        for outcome in runs(i):
            scores = run_scores(outcome, num_examples)
            for j in range(len(outcome.finite)):
                yield {name: ObservedScore(*(field[j : j + 1] for field in score)) for name, score in scores.items()}

    def terms(block: Sequence[dict[str, ObservedScore]], name: str, i: int) -> tuple[np.ndarray, np.ndarray]:
        score = block[i][name]
        return residuals(score, means[name][i], tables[name][i, 0]), score.observed

    for block in zip(*(single_runs(i) for i in range(len(block_sizes))), strict=False):
        for name, variance in variances.items():
            variance.add(functools.partial(terms, block, name))
    return {name: np.maximum(variance.estimate(), 0) for name, variance in variances.items()}
