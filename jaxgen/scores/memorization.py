"""Memorization: how much training on an example raises the probability that it is predicted correctly.

    mem(i) = P[correct on i | i trained on] - P[correct on i | i held out]

V. Feldman, C. Zhang. What Neural Networks Memorize and Why. NeurIPS 2020. https://arxiv.org/abs/2008.03703, equation 1.
Both terms are estimated at one subset ratio, 0.7 in the paper, by fractions of correct predictions. The second term is
the C-score at that ratio.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from jaxgen.scores import intervals
from jaxgen.scores.blocks import BlockVariance
from jaxgen.scores.heldout import RunStream, divide
from jaxgen.types import Outcome

# The subset ratio of the paper.
RATIO = 0.7


class Memorization(NamedTuple):
    """The result of `estimate`; NaN where an example was never trained on or never held out.

    Attributes:
      memorization: float64 ``[n]`` in [-1, 1], at `memorization_ratio`.
      memorization_stderr: float64 ``[n]``: standard error; NaN if fewer than two runs trained on the example, or held
        it out.
      memorization_low, memorization_high: float64 ``[n]``: limits of the 95 % interval (`intervals.newcombe`), which
        has a width also where the standard error is 0.
      memorization_by_ratio: float64 ``[k, n]``.
      memorization_ratio: float64 scalar: the trained ratio nearest to 0.7.
    """

    memorization: np.ndarray
    memorization_stderr: np.ndarray
    memorization_low: np.ndarray
    memorization_high: np.ndarray
    memorization_by_ratio: np.ndarray
    memorization_ratio: np.ndarray


class RunMasks(NamedTuple):
    """Subsets and correct predictions of m runs, bool ``[m, n]`` each.

    Attributes:
      trained: the examples that a run trained on, without its validation examples; none for a diverged run.
      heldout: the examples that it held out, without its validation examples; none for a diverged run.
      correct: the examples that it predicts correctly.
    """

    trained: np.ndarray
    heldout: np.ndarray
    correct: np.ndarray


def unpack(outcome: Outcome, num_examples: int) -> RunMasks:
    """Unpacks the masks of an outcome's runs."""

    def bits(packed: np.ndarray) -> np.ndarray:
        return np.unpackbits(packed, axis=1, count=num_examples).astype(bool)

    finite, trained_on = outcome.finite[:, None], bits(outcome.trained_on)
    trained = trained_on & ~bits(outcome.validation) if outcome.validation.size else trained_on
    return RunMasks(trained & finite, ~trained_on & finite, bits(outcome.correct))


def nearest_ratio(ratios: Sequence[float]) -> int:
    """Index of the ratio nearest to 0.7; of two equally near ones, the larger."""
    return min(range(len(ratios)), key=lambda i: (round(abs(ratios[i] - RATIO), 6), -ratios[i]))


def estimate(runs: RunStream, num_examples: int, ratios: Sequence[float], block_sizes: Sequence[int]) -> Memorization:
    """Memorization of n examples from the runs of k ratios.

    Args:
      runs: ``runs(i)`` streams the runs of ratio i; one ratio is read twice.
      num_examples: n.
      ratios: ``[k]``.
      block_sizes: ``[k]``: number of consecutive runs in a block, at each ratio.
    """
    chosen = nearest_ratio(ratios)
    counts, hits = np.zeros((2, 2, len(ratios), num_examples), np.int64)
    for i in range(len(ratios)):
        for outcome in runs(i):
            masks = unpack(outcome, num_examples)
            for kind, observed in enumerate((masks.trained, masks.heldout)):
                counts[kind, i] += observed.sum(0)
                hits[kind, i] += (observed & masks.correct).sum(0)
    shares = divide(hits, counts)
    by_ratio = shares[0] - shares[1]
    variance = difference_variance(
        (unpack(outcome, num_examples) for outcome in runs(chosen)),
        shares[:, chosen],
        counts[:, chosen],
        block_sizes[chosen],
    )
    limits = intervals.newcombe(hits[:, chosen], counts[:, chosen])
    return Memorization(by_ratio[chosen], np.sqrt(variance), *limits, by_ratio, np.float64(ratios[chosen]))


def difference_variance(runs: Iterable[RunMasks], shares: np.ndarray, counts: np.ndarray, block: int) -> np.ndarray:
    """Variance ``[n]`` of the memorization at one ratio.

    Args:
      runs: of the ratio, in batches of any size.
      shares, counts: ``[2, n]``: fractions of correct predictions, and observations, trained on and held out.
      block: number of consecutive runs in a block.
    """
    single = divide(shares * (1 - shares), counts - 1).sum(0)
    if block == 1:
        # The two terms come from different runs, which are independent.
        return single
    variance = BlockVariance(block, single.shape)
    shares, counts = np.nan_to_num(shares), np.maximum(counts, 1)
    for masks in runs:
        residuals = [
            observed * (masks.correct - share) / count
            for observed, share, count in zip((masks.trained, masks.heldout), shares, counts, strict=True)
        ]
        variance.add(residuals[0] - residuals[1], masks.trained | masks.heldout)
    return variance.variance(single)
