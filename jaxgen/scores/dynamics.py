"""Scores of examples from how training went for each: of runs that trained on it, and of runs that held it out.

Of each run and example the store holds one set of numbers (`records`): over the visits of training where the run
trained on the example, over examinations where it held it out. A score is the plain mean over ratios of its mean over
the runs of either kind, as the C-score is; NaN where at some ratio no run observed it. Its standard error is that of
`heldout`: blocks of runs are independent of each other, and runs of a nested design are blocks over all ratios.

* csl, the training loss summed over epochs (Ravikumar et al. 2025), and aum (Pleiss et al. 2020);
* learning_speed, learning_confidence: the mean over epochs of 1[correct] and of the label's probability (Jiang et al.
  2021, section 5.1: the cumulative ones, after the last epoch);
* confidence, variability, correctness: mean and deviation over epochs of the label's probability, and the number of
  epochs at which the label was predicted (Swayamdipta et al. 2020);
* forgetting: how often the label was predicted at one visit and not at the next (Toneva et al. 2019); an example that a
  run never got right counts as forgotten at each of its visits;
* first_learned: the first epoch whose visit got it right; one more than all epochs if none did;
* el2n and grand, of one early epoch (Paul et al. 2021);
* soft_score: the held-out probability of the label after training, of which the C-score is the hard form.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from jaxgen.scores.blocks import BlockVariance
from jaxgen.scores.example_stats import DEVIATION_STEPS, ERROR_STEPS
from jaxgen.scores.heldout import divide
from jaxgen.scores.memorization import unpack
from jaxgen.types import TRACKED, Outcome

# The tracked runs of ratio number i, in order of their index and without gaps; one that was not tracked has diverged.
RunStream = Callable[[int], Iterable[Outcome]]


class Look(NamedTuple):
    """One score in m runs: float ``[m, n]`` and, bool ``[m, n]``, which runs have observed it of which examples."""

    values: np.ndarray
    observed: np.ndarray


def looks(outcome: Outcome, num_examples: int) -> dict[str, Look]:
    """Every score that an outcome's runs tell of, by name."""
    seen = unpack(outcome, num_examples)
    kept = {name.removeprefix(TRACKED): array for name, array in outcome.measures.items()}
    visits, examinations = (kept["looks"][:, i : i + 1].astype(np.float32) for i in (0, 1))
    design = kept["design"]
    examined = [epochs[1 : list(epochs).index(0, 1)] for epochs in design]
    right, first = (kept[name].astype(np.float32) for name in ("right", "first"))
    error = kept["error"].astype(np.float32) / ERROR_STEPS
    values = {
        "csl": kept["loss"],
        "aum": kept["margin"],
        "learning_speed": right / np.maximum(visits, 1),
        "confidence": kept["confidence"],
        "variability": kept["variability"].astype(np.float32) / DEVIATION_STEPS,
        "correctness": right,
        "forgetting": np.where(first == 0, visits, kept["forgotten"]),
        "first_learned": np.where(first == 0, visits + 1, first),
        "el2n": error,
    }
    found = {name: Look(np.asarray(value, np.float32), seen.trained) for name, value in values.items()}
    # Runs that were over before the early epoch have no such look.
    found["el2n"] = Look(error, seen.trained & (design[:, :1] <= visits))
    heldout = {
        "soft_score": kept["final"],
        "heldout_csl": kept["loss"],
        "heldout_aum": kept["margin"],
        "heldout_learning_speed": right / np.maximum(examinations, 1),
        "heldout_confidence": kept["confidence"],
    }
    found |= {name: Look(np.asarray(value, np.float32), seen.heldout) for name, value in heldout.items()}
    early = np.asarray([nearest(one, each[0]) for one, each in zip(examined, design, strict=True)])
    found["heldout_el2n"] = Look(error, seen.heldout & (early[:, None] <= visits))
    if "gradient" in kept:
        norms, had = kept["gradient"].astype(np.float32), design[:, :1] <= visits
        found |= {"grand": Look(norms, seen.trained & had), "heldout_grand": Look(norms, seen.heldout & had)}
    return found


def nearest(epochs: Sequence[int], epoch: int) -> int:
    """The one of `epochs` that is nearest to `epoch`; 0, the end, of none."""
    return min((int(each) for each in epochs), key=lambda each: abs(each - epoch), default=0)


def estimate(
    runs: RunStream, num_examples: int, block_sizes: Sequence[int], *, shared_blocks: bool
) -> dict[str, np.ndarray]:
    """Every score, float32 ``[n]``, and beside each ``<name>_stderr``.

    Args:
      runs: ``runs(i)`` streams the runs of ratio i; it is read twice.
      num_examples: n.
      block_sizes: ``[k]``: consecutive runs that make one block, at each ratio.
      shared_blocks: True where block b of one ratio is the same draw as block b of another (the nested design).
    """
    num_ratios = len(block_sizes)
    tables: dict[str, np.ndarray] = {}
    for i in range(num_ratios):
        for outcome in runs(i):
            for name, (values, observed) in looks(outcome, num_examples).items():
                table = tables.setdefault(name, np.zeros((num_ratios, 3, num_examples)))
                seen = np.where(observed, values, 0)
                table[i] += observed.sum(0), seen.sum(0, dtype=np.float64), np.square(seen).sum(0, dtype=np.float64)
    means = {name: divide(table[:, 1], table[:, 0]) for name, table in tables.items()}
    variances = (shared_variances if shared_blocks else block_variances)(runs, num_examples, tables, means, block_sizes)
    found = {}
    for name, by_ratio in means.items():
        found[name] = by_ratio.mean(0).astype(np.float32)
        found[f"{name}_stderr"] = (np.sqrt(variances[name]) / num_ratios).astype(np.float32)
    found |= {f"learning_confidence{end}": found[f"confidence{end}"] for end in ("", "_stderr")} if found else {}
    return found


def single_variances(table: np.ndarray) -> np.ndarray:
    """Variances ``[k, n]`` of means over independent runs, from ``[k, 3, n]`` counts, sums and sums of squares."""
    counts, sums, squares = table.swapaxes(0, 1)
    # Of sums in another order the difference may come out below 0.
    return np.maximum(divide(divide(squares, counts) - divide(sums, counts) ** 2, counts - 1), 0)


def residual(look: Look, mean: np.ndarray, count: np.ndarray) -> np.ndarray:
    """What each run adds to the error of a ratio's mean, ``[m, n]``."""
    return np.where(look.observed, look.values - np.nan_to_num(mean), 0) / np.maximum(count, 1)


def block_variances(
    runs: RunStream,
    num_examples: int,
    tables: dict[str, np.ndarray],
    means: dict[str, np.ndarray],
    block_sizes: Sequence[int],
) -> dict[str, np.ndarray]:
    """By score, the variance ``[n]`` of the sum over ratios of its means, where ratios are independent."""
    singles = {name: single_variances(table) for name, table in tables.items()}
    totals = {name: np.zeros(num_examples) for name in tables}
    for i, block in enumerate(block_sizes):
        found = {name: BlockVariance(block, total.shape) for name, total in totals.items()}
        for outcome in runs(i) if block > 1 else ():
            for name, look in looks(outcome, num_examples).items():
                found[name].add(residual(look, means[name][i], tables[name][i, 0]), look.observed)
        for name, total in totals.items():
            total += found[name].variance(singles[name][i])
    return totals


def shared_variances(
    runs: RunStream,
    num_examples: int,
    tables: dict[str, np.ndarray],
    means: dict[str, np.ndarray],
    block_sizes: Sequence[int],
) -> dict[str, np.ndarray]:
    """The same where runs of one number are one draw at all ratios: such runs are a block.

    As of `heldout`: where a run observes an example at one ratio it does so at all ratios that observe more of them,
    and products of two ratios' terms are corrected by the number of blocks of the one that observes fewer.
    """
    orders = {name: np.argsort(table[:, 0].sum(1), kind="stable")[::-1] for name, table in tables.items()}
    products = {name: np.zeros(table[:, 0].shape) for name, table in tables.items()}
    blocks = {name: np.zeros(table[:, 0].shape, np.int64) for name, table in tables.items()}

    def rows(i: int) -> Iterable[dict[str, Look]]:
        for outcome in runs(i):
            found = looks(outcome, num_examples)
            for j in range(len(outcome.finite)):
                yield {name: Look(*(field[j] for field in look)) for name, look in found.items()}

    for row in zip(*(rows(i) for i in range(len(block_sizes))), strict=False):
        for name, order in orders.items():
            followers = np.zeros(num_examples)
            for i in order:
                part = residual(row[i][name], means[name][i], tables[name][i, 0])
                products[name][i] += part * (part + 2 * followers)
                followers += part
                blocks[name][i] += row[i][name].observed
    known = {name: (table[:, 0] >= 2).all(0) for name, table in tables.items()}
    totals = {name: divide(products[name] * blocks[name], blocks[name] - 1).sum(0) for name in tables}
    # An estimated covariance may be negative, and larger than the variances beside it.
    return {name: np.where(known[name], np.maximum(total, 0), np.nan) for name, total in totals.items()}
