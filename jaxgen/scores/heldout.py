"""C-scores from what the runs of an ensemble got right, with standard errors that respect the design.

    C(x, y; s) = E over subsets D of share s [ P( f(x; D without (x, y)) = y ) ]

(Jiang, Zhang, Talwar, Mozer, ICML 2021, https://arxiv.org/abs/2002.03206, equation 1) is estimated at each ratio by
the share of runs that classify an example as labelled among those that held it out; the C-score is the plain mean over
ratios. Runs are read as a stream, twice, so memory depends on n and k and not on the number of runs.

Standard errors. Runs of one block (`designs`) depend on each other, blocks do not. With s_b correct answers among k_b
held-out observations in block b, K = sum k_b and p = sum s_b / K, the variance of p is estimated by

    B / (B - 1) * sum_b ((s_b - p k_b) / K)^2,     B blocks with k_b > 0,

the cluster-robust variance of a ratio (Cochran, Sampling Techniques, 1977, section 6). With blocks of one run it is
p (1 - p) / (K - 1), the variance of independent observations. With few larger blocks it is noisy, and 0 where two
blocks happen to agree. It is therefore moderated, as variances from few samples are in genomics (Smyth 2004, Linear
models and empirical Bayes methods): the mean of this estimate, weight B - 1, and of p (1 - p) / (K - 1), weight
`PRIOR_BLOCKS`, which is a little too large, because balanced draws do better than independent ones (`designs`).

In a nested design run j is one block over all ratios, and the variance of the mean over ratios has covariances too.
Where a run holds out an example at the larger ratio it does so at the smaller, and the covariance of two ratios' p is
estimated by the products of their terms above, with B of the larger ratio, which has fewer blocks.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np

from jaxgen.types import Outcome

ROWS_AT_ONCE = 64
NUM_SPLITS = 10
# The weight, in blocks, of what is expected of a balanced design's error beside what its blocks show.
PRIOR_BLOCKS = 4


class Estimate(NamedTuple):
    """What `estimate` returns; fields as in `jaxgen.types.Scores`."""

    scores: np.ndarray
    stderr: np.ndarray
    counts: np.ndarray
    scores_by_ratio: np.ndarray
    heldout_accuracy: np.ndarray
    reliability: np.ndarray


class Observations(NamedTuple):
    """m runs' held-out answers: bool ``[m, n]``; a diverged run has held out nothing."""

    heldout: np.ndarray
    hits: np.ndarray


# The runs of ratio number i, in order of their index and without gaps, in batches of any size.
RunStream = Callable[[int], Iterable[Outcome]]


def observe(outcome: Outcome, num_examples: int) -> Observations:
    """Unpacks the held-out part of an outcome."""
    trained_on = np.unpackbits(outcome.trained_on, axis=1, count=num_examples).astype(bool)
    correct = np.unpackbits(outcome.correct, axis=1, count=num_examples).astype(bool)
    heldout = ~trained_on & outcome.finite[:, None]
    return Observations(heldout, heldout & correct)


def regroup(batches: Iterable[Observations], size: int) -> Iterator[Observations]:
    """The same runs in groups of exactly `size`; the last group is filled up with runs that held out nothing."""
    waiting: list[Observations] = []
    count = 0
    for batch in batches:
        waiting.append(batch)
        count += len(batch.heldout)
        if count >= size:
            rows = Observations(*map(np.concatenate, zip(*waiting, strict=True)))
            whole = count - count % size
            for start in range(0, whole, size):
                yield Observations(*(field[start : start + size] for field in rows))
            waiting, count = [Observations(*(field[whole:] for field in rows))], count - whole
    if count:
        rows = Observations(*map(np.concatenate, zip(*waiting, strict=True)))
        yield Observations(*(np.pad(field, ((0, size - count), (0, 0))) for field in rows))


def estimate(
    runs: RunStream,
    num_examples: int,
    num_runs: int,
    block_sizes: Sequence[int],
    *,
    shared_blocks: bool,
    key: jax.Array,
) -> Estimate:
    """C-scores of n examples from k ratios' runs.

    Args:
      runs: ``runs(i)`` streams the `num_runs` runs of ratio i.
      num_examples: n.
      num_runs: runs per ratio.
      block_sizes: ``[k]``: consecutive runs that make one block, at each ratio.
      shared_blocks: True where block b of one ratio is the same draw as block b of another (the nested design).
      key: draws the random halves of the reliability.

    Returns:
      Scores, errors and counts; NaN, never 0, where nothing was observed.
    """
    num_ratios = len(block_sizes)
    counts, hits = np.zeros((2, num_ratios, num_examples), np.int64)
    halves = [
        half_masks(key if shared_blocks else jax.random.fold_in(key, i), num_runs, size)
        for i, size in enumerate(block_sizes)
    ]
    half_counts, half_hits = np.zeros((2, NUM_SPLITS, 2, num_ratios, num_examples), np.float32)
    accuracy = np.full((num_ratios, num_runs), np.nan)
    for i in range(num_ratios):
        position = 0
        for outcome in runs(i):
            seen = observe(outcome, num_examples)
            here = slice(position, position + len(seen.heldout))
            position = here.stop
            counts[i] += seen.heldout.sum(0)
            hits[i] += seen.hits.sum(0)
            accuracy[i, here] = divide(seen.hits.sum(1), seen.heldout.sum(1))
            chosen = halves[i][..., here].astype(np.float32)
            half_counts[:, :, i] += chosen @ seen.heldout.astype(np.float32)
            half_hits[:, :, i] += chosen @ seen.hits.astype(np.float32)
    by_ratio = divide(hits, counts)
    stderr = np.sqrt(score_variance(runs, by_ratio, counts, block_sizes, shared_blocks=shared_blocks))
    half_scores = divide(half_hits, half_counts).mean(2)
    reliability = np.asarray([stepped_up_correlation(first, second) for first, second in half_scores])
    return Estimate(by_ratio.mean(0), stderr, counts, by_ratio, accuracy, reliability[np.isfinite(reliability)])


def score_variance(
    runs: RunStream, by_ratio: np.ndarray, counts: np.ndarray, block_sizes: Sequence[int], *, shared_blocks: bool
) -> np.ndarray:
    """Estimated variance ``[n]`` of the mean over ratios of ``by_ratio [k, n]``; NaN where it cannot be told."""
    num_ratios, num_examples = by_ratio.shape
    # Of a nested family the smallest held-out sets first: each lies within those that follow it.
    families = [np.argsort(counts.sum(1), kind="stable")] if shared_blocks else [[i] for i in range(num_ratios)]
    total = np.where(counts.min(0) >= 2, 0.0, np.nan)
    for family in families:
        block = block_sizes[family[0]]
        rows = block * max(1, ROWS_AT_ONCE // block)
        streams = [regroup((observe(outcome, num_examples) for outcome in runs(i)), rows) for i in family]
        products, blocks = np.zeros((len(family), num_examples)), np.zeros((len(family), num_examples), np.int64)
        for group in zip(*streams, strict=True):
            followers = np.zeros((rows // block, num_examples))
            for place in reversed(range(len(family))):
                i, part = family[place], group[place]
                residual = (part.hits - np.nan_to_num(by_ratio[i]) * part.heldout) / np.maximum(counts[i], 1)
                residual = residual.reshape(-1, block, num_examples).sum(1)
                products[place] += (residual * (residual + 2 * followers)).sum(0)
                followers += residual
                blocks[place] += part.heldout.reshape(-1, block, num_examples).any(1).sum(0)
        if block == 1:
            total += divide(products * blocks, blocks - 1).sum(0)
        else:
            [i] = family
            single = divide(by_ratio[i] * (1 - by_ratio[i]), counts[i] - 1)
            total += (products[0] * blocks[0] + PRIOR_BLOCKS * single) / (blocks[0] - 1 + PRIOR_BLOCKS)
    # An estimated covariance may be negative, and larger than the variances beside it.
    return np.maximum(total, 0) / num_ratios**2


def half_masks(key: jax.Array, num_runs: int, block: int) -> np.ndarray:
    """`NUM_SPLITS` random pairs of halves of the runs that never part a block: bool ``[NUM_SPLITS, 2, num_runs]``.

    Of an odd number of blocks one is in neither half: Spearman's and Brown's formula is for halves of one size.
    """
    num_blocks = -(-num_runs // block)
    draws = jax.random.uniform(key, (NUM_SPLITS, num_blocks))
    rank, half = np.asarray(draws).argsort(1).argsort(1), num_blocks // 2
    chosen = np.stack([rank < half, (rank >= half) & (rank < 2 * half)], axis=1)
    return np.repeat(chosen, block, axis=2)[..., :num_runs]


def stepped_up_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Reliability of the whole from the scores ``[n]`` of its halves: 2r / (1 + r) (Spearman 1910, Brown 1910).

    NaN where fewer than three examples are scored by both halves or one half does not vary.
    """
    both = np.isfinite(first) & np.isfinite(second)
    if both.sum() < 3 or not first[both].std() or not second[both].std():
        return np.nan
    correlation = np.corrcoef(first[both], second[both])[0, 1]
    return 2 * correlation / (1 + correlation)


def divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """The quotient, NaN where the denominator is not above 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(denominator > 0, numerator / denominator, np.nan)
