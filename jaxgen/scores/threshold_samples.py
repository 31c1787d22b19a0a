"""Threshold samples: which labels to flag as wrong by the area under the margin (AUM).

G. Pleiss, T. Zhang, E. Elenberg, K. Weinberger. Identifying Mislabeled Data using the Area Under the Margin Ranking.
NeurIPS 2020. https://arxiv.org/abs/2001.10528. Of n examples in c classes, n / (c + 1) are given the label of a made-up
class for the training of a network with c + 1 outputs. Their labels are wrong, so that examples whose AUM is no higher
than the 99th percentile of theirs are likely mislabelled too. Axes: r models, n examples.
"""

from typing import NamedTuple

import jax
import numpy as np

from jaxgen.keys import Draw, draw_key, run_key
from jaxgen.scores.designs import random_ranks

PERCENTILE = 99


class Flagged(NamedTuple):
    """Examples flagged by threshold samples.

    Attributes:
      aum: float64 ``[n]``: mean AUM over the models in which an example keeps its label; NaN if there is none.
      counts: int ``[n]``: the number of these models.
      thresholds: float64 ``[r]``: the 99th percentile of the AUM of each model's threshold samples; NaN for a diverged
        model.
      flagged: bool ``[n]``: whether the AUM is at most the mean threshold.
      by_model: int ``[r]``: how many of the examples that keep their label a model alone flags by its own threshold.
    """

    aum: np.ndarray
    counts: np.ndarray
    thresholds: np.ndarray
    flagged: np.ndarray
    by_model: np.ndarray

    @property
    def threshold(self) -> float:
        """The mean threshold over models."""
        return float(np.nanmean(self.thresholds))


def draw_threshold_samples(root: jax.Array, run: jax.Array, num_examples: int, num_classes: int) -> jax.Array:
    """Which examples are threshold samples in model `run`: bool ``[n]``.

    A block of c + 1 models shuffles the examples and cuts them into c + 1 parts, one for each of them. So the threshold
    samples of a model are a uniform draw, and an example is one in exactly one model of a whole block.

    Args:
      root: the key of all these models.
      run: the number of the model.
      num_examples: n.
      num_classes: c.
    """
    parts = num_classes + 1
    block = draw_key(run_key(root, run // parts), Draw.BLOCK)
    rank = random_ranks(jax.random.key_data(block), num_examples)
    return rank * parts // num_examples == run % parts


def flag_examples(margins: np.ndarray, trained: np.ndarray, samples: np.ndarray) -> Flagged:
    """Flags examples by the threshold samples of r models.

    Args:
      margins: ``[r, n]``: the AUM of each example with the label that it had in the model.
      trained: bool ``[r, n]``: the examples trained on, without those for validation; none of a diverged model.
      samples: bool ``[r, n]``: the threshold samples.
    """
    margins, kept = margins.astype(np.float64), trained & ~samples
    thresholds = np.array(
        [
            np.percentile(margin[chosen], PERCENTILE) if chosen.any() else np.nan
            for margin, chosen in zip(margins, trained & samples, strict=True)
        ]
    )
    counts = kept.sum(0)
    aum = np.divide(np.where(kept, margins, 0).sum(0), counts, out=np.full(len(counts), np.nan), where=counts > 0)
    by_model = (kept & (margins <= thresholds[:, None])).sum(1)
    return Flagged(aum, counts, thresholds, aum <= np.nanmean(thresholds), by_model)
