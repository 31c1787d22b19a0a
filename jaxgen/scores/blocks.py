"""Variances of means over runs that depend on each other within blocks: a stream of residuals, block after block.

The estimator is that of `heldout`, of which its module says why: with B blocks that have observations, the sum of the
squares of their residuals, times B / (B - 1), and, where blocks have several runs, moderated by the variance of
independent observations with a weight of `PRIOR_BLOCKS` blocks.
"""

import numpy as np

from jaxgen.scores.heldout import PRIOR_BLOCKS


class BlockVariance:
    """Takes runs in their order, in batches of any size.

    Args:
      block: consecutive runs that make a block.
      shape: of what is estimated, ``[...]``, such as n examples.
    """

    def __init__(self, block: int, shape: tuple[int, ...]):
        self.block, self.position = block, 0
        self.squares, self.singles = np.zeros((2, *shape))
        self.blocks = np.zeros(shape, np.int64)
        self.open, self.seen = np.zeros(shape), np.zeros(shape, bool)

    def add(self, residuals: np.ndarray, observed: np.ndarray) -> None:
        """Takes m more runs.

        Args:
          residuals: float ``[m, ...]``: what each run adds to the error of the mean; 0 where it observed nothing.
          observed: bool ``[m, ...]``: where it has observed something.
        """
        self.singles += np.einsum("i...,i...->...", residuals, residuals)
        if self.block == 1:
            self.blocks += observed.sum(0)
            return
        at = 0
        while at < len(residuals):
            end = at + self.block - self.position % self.block
            self.open += residuals[at:end].sum(0)
            self.seen |= observed[at:end].any(0)
            self.position += min(end, len(residuals)) - at
            if not self.position % self.block:
                self._close()
            at = end

    def _close(self) -> None:
        self.squares += self.open**2
        self.blocks += self.seen
        self.open[...], self.seen[...] = 0, False

    def variance(self, single: np.ndarray) -> np.ndarray:
        """The estimated variance ``[...]``; NaN where no block has observations, or `single` is NaN.

        Args:
          single: ``[...]``: the variance if all runs were independent, by their own spread; it is the answer where
            blocks have one run.
        """
        if self.block == 1:
            return single
        if self.position % self.block:
            self._close()
            self.position = 0
        total = (self.squares * self.blocks + PRIOR_BLOCKS * single) / (self.blocks - 1 + PRIOR_BLOCKS)
        return np.where(self.blocks > 0, total, np.nan)
