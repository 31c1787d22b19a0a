"""C-scores from the correct predictions of an ensemble, with standard errors that account for the subset design.

    C(x, y; s) = E over subsets D of share s [ P( f(x; D without (x, y)) = y ) ]

(Jiang, Zhang, Talwar, Mozer, ICML 2021, https://arxiv.org/abs/2002.03206, equation 1) is estimated at each ratio by
the fraction of correct predictions among the runs that held an example out. The C-score is the plain mean over ratios.
Runs are streamed twice, so memory depends on n and k but not on the number of runs.

Standard errors. Runs of one block (`designs`) depend on each other; blocks are independent. With s_b correct among k_b
held-out predictions in block b, K = sum k_b and p = sum s_b / K, the variance of p is estimated by

    B / (B - 1) * sum_b ((s_b - p k_b) / K)^2,     B blocks with k_b > 0,

the cluster-robust variance of a ratio estimator (Cochran, Sampling Techniques, 1977, section 6). With blocks of one run
it equals p (1 - p) / (K - 1), the variance of independent observations. With a few larger blocks it is noisy, and 0
where the blocks happen to agree. It is therefore moderated, like variances from small samples in genomics (Smyth 2004,
Linear models and empirical Bayes methods): the weighted mean of this estimate, weight B - 1, and of
p (1 - p) / (K - 1), weight `PRIOR_BLOCKS`. The latter is slightly conservative, because balanced draws have a lower
variance than independent ones (`designs`).

In a nested design, the runs of index j at all ratios form one block, and the variance of the mean over ratios includes
covariances. A run that holds out an example at the larger ratio also does so at the smaller one. The covariance of two
ratios' p is estimated by the products of their terms above, with B of the larger ratio, which has fewer blocks.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np

from jaxgen.scores.blocks import PRIOR_BLOCKS, NestedVariance
from jaxgen.scores.planning import stepped_up
from jaxgen.types import Outcome

ROWS_AT_ONCE = 64
NUM_SPLITS = 10


class Estimate(NamedTuple):
    """The result of `estimate`; fields as in `jaxgen.types.Scores`."""

    scores: np.ndarray
    stderr: np.ndarray
    counts: np.ndarray
    scores_by_ratio: np.ndarray
    heldout_accuracy: np.ndarray
    reliability: np.ndarray


class Observations(NamedTuple):
    """Held-out predictions of m runs.

    Attributes:
      heldout: bool ``[m, n]``: the examples that a run held out; none for a diverged run.
      hits: bool ``[m, n]``: those of them that it predicts correctly.
    """

    heldout: np.ndarray
    hits: np.ndarray


# ``runs(i)`` streams the runs of ratio i, ordered by index and without gaps, in batches of any size.
RunStream = Callable[[int], Iterable[Outcome]]


def observe(outcome: Outcome, num_examples: int) -> Observations:
    """Unpacks the held-out predictions of an outcome."""
    trained_on = np.unpackbits(outcome.trained_on, axis=1, count=num_examples).astype(bool)
    correct = np.unpackbits(outcome.correct, axis=1, count=num_examples).astype(bool)
    heldout = ~trained_on & outcome.finite[:, None]
    return Observations(heldout, heldout & correct)


def regroup(batches: Iterable[Observations], size: int) -> Iterator[Observations]:
    """The same runs in groups of exactly `size`; the last group is padded with runs that held out nothing."""
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
    """C-scores of n examples from the runs of k ratios.

    Args:
      runs: ``runs(i)`` streams the `num_runs` runs of ratio i.
      num_examples: n.
      num_runs: runs per ratio.
      block_sizes: ``[k]``: number of consecutive runs in a block, at each ratio.
      shared_blocks: whether block b of one ratio is the same draw as block b of another (the nested design).
      key: draws the random halves of the reliability.

    Returns:
      See `Estimate`: NaN, never 0, where nothing was observed. ``heldout_accuracy [k, runs]`` is each run's share of
      correct predictions among the examples that it held out.
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
            batch = observe(outcome, num_examples)
            indices = slice(position, position + len(batch.heldout))
            position = indices.stop
            counts[i] += batch.heldout.sum(0)
            hits[i] += batch.hits.sum(0)
            accuracy[i, indices] = divide(batch.hits.sum(1), batch.heldout.sum(1))
            chosen = halves[i][..., indices].astype(np.float32)
            half_counts[:, :, i] += chosen @ batch.heldout.astype(np.float32)
            half_hits[:, :, i] += chosen @ batch.hits.astype(np.float32)
    by_ratio = divide(hits, counts)
    stderr = np.sqrt(score_variance(runs, by_ratio, counts, block_sizes, shared_blocks=shared_blocks))
    half_scores = divide(half_hits, half_counts).mean(2)
    lengths = whole_to_half(by_ratio, counts, halves)
    reliability = np.asarray([stepped_up_correlation(*pair, f) for pair, f in zip(half_scores, lengths, strict=True)])
    return Estimate(by_ratio.mean(0), stderr, counts, by_ratio, accuracy, reliability[np.isfinite(reliability)])


def score_variance(
    runs: RunStream, by_ratio: np.ndarray, counts: np.ndarray, block_sizes: Sequence[int], *, shared_blocks: bool
) -> np.ndarray:
    """Variance ``[n]`` of the mean over ratios of ``by_ratio [k, n]``; NaN with fewer than two observations somewhere.

    Args:
      runs, block_sizes, shared_blocks: as for `estimate`.
      by_ratio: scores ``[k, n]``.
      counts: observations ``[k, n]``.
    """
    num_ratios = len(by_ratio)
    # In a nested design, by ascending number of held-out examples: each set is contained in the next.
    families = [np.argsort(counts.sum(1), kind="stable")] if shared_blocks else [[i] for i in range(num_ratios)]
    total = np.where(counts.min(0) >= 2, 0.0, np.nan)
    for family in families:
        total += family_variance(runs, by_ratio, counts, family, block_sizes[family[0]])
    return np.maximum(total, 0) / num_ratios**2


def family_variance(
    runs: RunStream, by_ratio: np.ndarray, counts: np.ndarray, family: Sequence[int], block: int
) -> np.ndarray:
    """Variance ``[n]`` of the sum over a family of ratios: those that share their blocks, or a single one.

    Args:
      runs, by_ratio, counts: as for `score_variance`.
      family: indices of the ratios; more than one only if `block` is 1.
      block: number of consecutive runs in a block.
    """
    num_examples = by_ratio.shape[1]
    size = block * max(1, ROWS_AT_ONCE // block)
    streams = [regroup((observe(outcome, num_examples) for outcome in runs(i)), size) for i in family]
    variance = NestedVariance(counts[family])

    def terms(group: Sequence[Observations], position: int) -> tuple[np.ndarray, np.ndarray]:
        i, (heldout, hits) = family[position], group[position]
        residual = (hits - np.nan_to_num(by_ratio[i]) * heldout) / np.maximum(counts[i], 1)
        shape = (-1, block, num_examples)
        return residual.reshape(shape).sum(1), heldout.reshape(shape).any(1)

    for group in zip(*streams, strict=True):
        variance.add(functools.partial(terms, group))
    if block == 1:
        return variance.estimate()
    [i], products, blocks = family, variance.products[0], variance.blocks[0]
    single = divide(by_ratio[i] * (1 - by_ratio[i]), counts[i] - 1)
    return (products * blocks + PRIOR_BLOCKS * single) / (blocks - 1 + PRIOR_BLOCKS)


def half_masks(key: jax.Array, num_runs: int, block: int) -> np.ndarray:
    """`NUM_SPLITS` random pairs of halves of the runs, bool ``[NUM_SPLITS, 2, num_runs]``; blocks stay together.

    With an odd number of blocks one is left out, a different one each time, so that both halves are equally long.
    """
    num_blocks = -(-num_runs // block)
    draws = jax.random.uniform(key, (NUM_SPLITS, num_blocks))
    rank, half = np.asarray(draws).argsort(1).argsort(1), num_blocks // 2
    chosen = np.stack([rank < half, (rank >= half) & (rank < 2 * half)], axis=1)
    return np.repeat(chosen, block, axis=2)[..., :num_runs]


def whole_to_half(by_ratio: np.ndarray, counts: np.ndarray, halves: Sequence[np.ndarray]) -> np.ndarray:
    """How many times as long as a half the whole is, in each split: ``[NUM_SPLITS]``.

    It is the noise variance of a half's scores in units of the whole's. A ratio of an odd number of blocks has halves
    of less than half its runs, of 3 blocks for example a third; ratios count by their part of the noise.

    Args:
      by_ratio, counts: scores and observations of the whole, ``[k, n]``.
      halves: from `half_masks` for each ratio.
    """
    noise = np.nan_to_num(divide(by_ratio * (1 - by_ratio), counts - 1)).sum(1)
    shares = noise / noise.sum() if noise.sum() > 0 else np.full(len(noise), 1 / len(noise))
    factors = [masks.shape[2] * np.mean(1 / np.maximum(masks.sum(2), 1), axis=1) for masks in halves]
    return shares @ np.stack(factors)


def stepped_up_correlation(first: np.ndarray, second: np.ndarray, factor: float = 2.0) -> float:
    """Reliability of the whole from the scores ``[n]`` of two parts: f r / (1 + (f - 1) r) (Spearman 1910, Brown 1910).

    NaN if fewer than three examples are scored by both parts, or if the scores of one part are constant.

    Args:
      first, second: the scores by each part.
      factor: f: how many times as long as a part the whole is.
    """
    both = np.isfinite(first) & np.isfinite(second)
    if both.sum() < 3 or not first[both].std() or not second[both].std():
        return np.nan
    return stepped_up(np.corrcoef(first[both], second[both])[0, 1], factor)


def divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """The quotient; NaN where the denominator is not positive."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(denominator > 0, numerator / denominator, np.nan)
