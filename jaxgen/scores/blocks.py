"""Cluster-robust variances of means over runs, where runs of one block depend on each other.

The estimator is the one that `jaxgen.scores.heldout` explains: the sum of the squared block residuals times B / (B - 1)
for B blocks with observations. With several runs a block it is moderated towards the variance of independent
observations, which has a weight of `PRIOR_BLOCKS` blocks.
"""

from collections.abc import Callable

import numpy as np

# The weight, in blocks, of the variance of independent observations in the moderated variance.
PRIOR_BLOCKS = 4


class BlockVariance:
    """Accumulates block residuals from a stream of runs, in order and in batches of any size.

    Args:
      block: number of consecutive runs in a block.
      shape: the shape ``[...]`` of the estimated means, such as ``(n,)`` for n examples.
    """

    def __init__(self, block: int, shape: tuple[int, ...]):
        self.block, self.position = block, 0
        self.squares, self.singles = np.zeros((2, *shape))
        self.blocks = np.zeros(shape, np.int64)
        self.open, self.seen = np.zeros(shape), np.zeros(shape, bool)

    def add(self, residuals: np.ndarray, observed: np.ndarray) -> None:
        """Adds m runs.

        Args:
          residuals: float ``[m, ...]``: each run's contribution to the error of the mean; 0 where it has no
            observation.
          observed: bool ``[m, ...]``: where a run has an observation.
        """
        self.singles += np.einsum("i...,i...->...", residuals, residuals)
        if self.block == 1:
            self.blocks += observed.sum(0)
            return
        start = 0
        while start < len(residuals):
            end = start + self.block - self.position % self.block
            self.open += residuals[start:end].sum(0)
            self.seen |= observed[start:end].any(0)
            self.position += min(end, len(residuals)) - start
            if not self.position % self.block:
                self._close()
            start = end

    def _close(self) -> None:
        self.squares += self.open**2
        self.blocks += self.seen
        self.open[...], self.seen[...] = 0, False

    def variance(self, single: np.ndarray) -> np.ndarray:
        """The estimated variance ``[...]``; NaN where no block has observations, or `single` is NaN.

        Args:
          single: ``[...]``: the estimate for independent runs; returned as it is if blocks have one run.
        """
        if self.block == 1:
            return single
        if self.position % self.block:
            self._close()
            self.position = 0
        total = (self.squares * self.blocks + PRIOR_BLOCKS * single) / (self.blocks - 1 + PRIOR_BLOCKS)
        return np.where(self.blocks > 0, total, np.nan)


class NestedVariance:
    """Cluster-robust variance of a sum over k ratios of means, where a block of runs covers all ratios.

    A block that observes an example at one ratio also observes it at every ratio with more observations. Products of
    the residuals of two ratios are corrected by the number of blocks at the one with fewer observations.

    Args:
      counts: ``[k, n]``: observations of each example at each ratio.
    """

    def __init__(self, counts: np.ndarray):
        self.order = np.argsort(counts.sum(1), kind="stable")[::-1]
        self.products, self.blocks = np.zeros(counts.shape), np.zeros(counts.shape, np.int64)
        self.known = (counts >= 2).all(0)

    def add(self, terms: Callable[[int], tuple[np.ndarray, np.ndarray]]) -> None:
        """Adds b more blocks.

        Args:
          terms: ``terms(i)`` returns, for ratio i, each block's residual ``[b, n]`` and, bool ``[b, n]``, whether the
            block has observations.
        """
        followers = 0.0
        for i in self.order:
            residual, observed = terms(i)
            self.products[i] += (residual * (residual + 2 * followers)).sum(0)
            self.blocks[i] += observed.sum(0)
            followers = followers + residual

    def estimate(self) -> np.ndarray:
        """The variance ``[n]``; NaN where some ratio has fewer than two observations.

        It may be negative, because estimated covariances can be negative and larger than the variances.
        """
        undefined = np.full(self.products.shape, np.nan)
        terms = np.divide(self.products * self.blocks, self.blocks - 1, out=undefined, where=self.blocks > 1)
        return np.where(self.known, terms.sum(0), np.nan)
