"""How much an example's own presence in the training set helps the network to get it right.

    mem(i) = P[correct on i | i trained on] - P[correct on i | i held out]

V. Feldman, C. Zhang. What Neural Networks Memorize and Why. NeurIPS 2020. https://arxiv.org/abs/2008.03703, equation 1,
estimated at one ratio of subsets, theirs being 0.7, by the shares of right answers among the runs of either kind. The
second term is the C-score at that ratio.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from jaxgen.scores.blocks import BlockVariance
from jaxgen.scores.heldout import RunStream, divide
from jaxgen.types import Outcome

# Of the paper.
RATIO = 0.7


class Memorization(NamedTuple):
    """What `estimate` returns; NaN where an example was never trained on or never held out.

    Attributes:
      memorization: float64 ``[n]`` in [-1, 1], at `memorization_ratio`.
      memorization_stderr: float64 ``[n]``; NaN where either kind of run is fewer than two.
      memorization_by_ratio: float64 ``[k, n]``.
      memorization_ratio: float64 scalar: of the ratios trained, the one nearest to 0.7.
    """

    memorization: np.ndarray
    memorization_stderr: np.ndarray
    memorization_by_ratio: np.ndarray
    memorization_ratio: np.ndarray


class Answers(NamedTuple):
    """m runs' answers: bool ``[m, n]``; what a run was only stopped by is neither trained on nor held out, and a run
    that diverged has no answers."""

    trained: np.ndarray
    heldout: np.ndarray
    correct: np.ndarray


def unpack(outcome: Outcome, num_examples: int) -> Answers:
    """The answers of an outcome's runs."""

    def bits(packed: np.ndarray) -> np.ndarray:
        return np.unpackbits(packed, axis=1, count=num_examples).astype(bool)

    finite, trained_on = outcome.finite[:, None], bits(outcome.trained_on)
    trained = trained_on & ~bits(outcome.validation) if outcome.validation.size else trained_on
    return Answers(trained & finite, ~trained_on & finite, bits(outcome.correct))


def nearest_ratio(ratios: Sequence[float]) -> int:
    """Which of the ratios is nearest to 0.7, the larger of two that are as near."""
    return min(range(len(ratios)), key=lambda i: (round(abs(ratios[i] - RATIO), 6), -ratios[i]))


def estimate(runs: RunStream, num_examples: int, ratios: Sequence[float], block_sizes: Sequence[int]) -> Memorization:
    """Memorization of n examples from k ratios' runs.

    Args:
      runs: ``runs(i)`` streams the runs of ratio i.
      num_examples: n.
      ratios: ``[k]``.
      block_sizes: ``[k]``: consecutive runs that make one block, at each ratio.
    """
    chosen = nearest_ratio(ratios)
    counts, hits = np.zeros((2, 2, len(ratios), num_examples), np.int64)
    for i in range(len(ratios)):
        for outcome in runs(i):
            seen = unpack(outcome, num_examples)
            for kind, observed in enumerate((seen.trained, seen.heldout)):
                counts[kind, i] += observed.sum(0)
                hits[kind, i] += (observed & seen.correct).sum(0)
    shares = divide(hits, counts)
    by_ratio = shares[0] - shares[1]
    variance = difference_variance(
        (unpack(outcome, num_examples) for outcome in runs(chosen)),
        shares[:, chosen],
        counts[:, chosen],
        block_sizes[chosen],
    )
    return Memorization(by_ratio[chosen], np.sqrt(variance), by_ratio, np.float64(ratios[chosen]))


def difference_variance(answers: Iterable[Answers], shares: np.ndarray, counts: np.ndarray, block: int) -> np.ndarray:
    """Estimated variance ``[n]`` of one ratio's difference, of ``shares [2, n]`` and ``counts [2, n]``."""
    single = divide(shares * (1 - shares), counts - 1).sum(0)
    if block == 1:
        # Runs of the two kinds are different ones, and independent.
        return single
    found = BlockVariance(block, single.shape)
    shares, counts = np.nan_to_num(shares), np.maximum(counts, 1)
    for seen in answers:
        residuals = [
            observed * (seen.correct - share) / count
            for observed, share, count in zip((seen.trained, seen.heldout), shares, counts, strict=True)
        ]
        found.add(residuals[0] - residuals[1], seen.trained | seen.heldout)
    return found.variance(single)
