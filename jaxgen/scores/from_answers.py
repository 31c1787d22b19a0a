"""What a C-score job knows of every example besides its C-score, from the same runs."""

from collections.abc import Sequence

import numpy as np

from jaxgen.scores import heldout, intervals, memorization


def from_answers(
    runs: heldout.RunStream,
    found: heldout.Estimate,
    ratios: Sequence[float],
    block_sizes: Sequence[int],
    *,
    shared_blocks: bool,
) -> dict[str, np.ndarray]:
    """What follows from what each run gets right, as every store has it: memorization, intervals of the C-scores.

    Args:
      runs, block_sizes, shared_blocks: as of `jaxgen.scores.heldout.estimate`.
      found: what that has estimated.
      ratios: ``[k]``.
    """
    memorized = memorization.estimate(runs, len(found.scores), ratios, block_sizes)
    low, high = score_interval(found, shared_blocks=shared_blocks)
    return {**memorized._asdict(), "scores_low": low, "scores_high": high}


def score_interval(found: heldout.Estimate, *, shared_blocks: bool) -> np.ndarray:
    """The 95 % intervals ``[2, n]`` of C-scores.

    Held-out answers of one example at one ratio are independent draws, or agree a little less than such, if subsets
    are balanced. In a nested design a run's answers at several ratios are related: there the interval is as much longer
    as the standard error is beside that of independent ratios, and where that cannot be told because all answers
    agree, as it is at the median.
    """
    hits = np.nan_to_num(found.scores_by_ratio) * found.counts
    inflation = np.ones(len(found.scores))
    if shared_blocks:
        single = heldout.divide(found.scores_by_ratio * (1 - found.scores_by_ratio), found.counts - 1)
        alone = np.sqrt(single.sum(0)) / len(found.counts)
        larger = np.maximum(heldout.divide(found.stderr, alone), 1)
        typical = np.nanmedian(larger) if np.isfinite(larger).any() else 1.0
        inflation = np.where(np.isfinite(larger), larger, typical)
    return intervals.mean_share(hits, found.counts, inflation)
