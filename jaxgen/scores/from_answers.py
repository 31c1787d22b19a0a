"""Further scores from the runs of a C-score job: memorization, and confidence intervals of the C-scores."""

from collections.abc import Sequence

import numpy as np

from jaxgen.scores import heldout, intervals, memorization


def from_answers(
    runs: heldout.RunStream,
    estimate: heldout.Estimate,
    ratios: Sequence[float],
    block_sizes: Sequence[int],
    *,
    shared_blocks: bool,
) -> dict[str, np.ndarray]:
    """The fields of `memorization.Memorization`, and ``scores_low`` and ``scores_high``, by name.

    These need nothing but each run's subset and correct predictions, which every store has.

    Args:
      runs, block_sizes, shared_blocks: as for `jaxgen.scores.heldout.estimate`.
      estimate: the result of `jaxgen.scores.heldout.estimate`.
      ratios: ``[k]``.
    """
    memorized = memorization.estimate(runs, len(estimate.scores), ratios, block_sizes)
    low, high = score_interval(estimate, shared_blocks=shared_blocks)
    return {**memorized._asdict(), "scores_low": low, "scores_high": high}


def score_interval(estimate: heldout.Estimate, *, shared_blocks: bool) -> np.ndarray:
    """The 95 % confidence intervals ``[2, n]`` of C-scores.

    Held-out predictions of one example at one ratio are independent draws, or slightly negatively correlated if subsets
    are balanced. In a nested design they are correlated across ratios. There the interval is inflated by the ratio of
    the standard error to that of independent ratios; where all predictions agree and that ratio is undefined, by its
    median.
    """
    hits = np.nan_to_num(estimate.scores_by_ratio) * estimate.counts
    inflation = np.ones(len(estimate.scores))
    if shared_blocks:
        variances = heldout.divide(estimate.scores_by_ratio * (1 - estimate.scores_by_ratio), estimate.counts - 1)
        independent = np.sqrt(variances.sum(0)) / len(estimate.counts)
        factors = np.maximum(heldout.divide(estimate.stderr, independent), 1)
        typical = np.nanmedian(factors) if np.isfinite(factors).any() else 1.0
        inflation = np.where(np.isfinite(factors), factors, typical)
    return intervals.mean_share(hits, estimate.counts, inflation)
