"""Held-out class probabilities and learning curves of examples, averaged over tracked runs."""

from collections.abc import Sequence

import numpy as np

from jaxgen.scores.dynamics import RunStream
from jaxgen.scores.example_stats import CURVE_STEPS, RIGHT_BIT
from jaxgen.scores.heldout import divide
from jaxgen.scores.memorization import unpack
from jaxgen.types import TRACKED


def mean_probabilities(runs: RunStream, num_examples: int, num_ratios: int, num_classes: int) -> np.ndarray:
    """Held-out class probabilities of each example, the plain mean over ratios: float32 ``[n, c]``.

    A row sums to 1, or is NaN if at some ratio no run held the example out. These are the out-of-sample predictions
    that confident learning requires (Northcutt, Jiang, Chuang, JAIR 2021, https://arxiv.org/abs/1911.00068).
    """
    total = np.zeros((num_examples, num_classes))
    for i in range(num_ratios):
        sums, counts = np.zeros((num_examples, num_classes)), np.zeros(num_examples, np.int64)
        for outcome in runs(i):
            heldout, steps = unpack(outcome, num_examples).heldout, outcome.measures[f"{TRACKED}probabilities"]
            sums += np.where(heldout[..., None], steps, 0).sum(0, dtype=np.int64)
            counts += heldout.sum(0)
        # Probabilities stored as bytes need not sum to 1.
        sums = np.where((counts > 0)[:, None], sums, np.nan)
        total += sums / np.maximum(sums.sum(1, keepdims=True), 1)
    return (total / num_ratios).astype(np.float32)


def curves(runs: RunStream, num_examples: int, num_ratios: int, epochs: Sequence[int]) -> dict[str, np.ndarray]:
    """Learning curves of each example, averaged over the runs of all ratios that observed it at an epoch.

    Args:
      runs: as for `jaxgen.scores.dynamics.estimate`.
      num_examples: n.
      num_ratios: k.
      epochs: of the curve, ``[e]``.

    Returns:
      ``curve_epochs [e]``; ``curve_correct``, ``curve_confidence`` float16 ``[2, e, n]``: the fraction of correct
      predictions, and the mean probability of the label, at visits of runs that trained on the example (row 0) and at
      evaluations of runs that held it out (row 1), NaN without observations; ``curve_counts`` int32 ``[2, n]``: the
      number of runs of either kind.
    """
    shape = (2, len(epochs), num_examples)
    right, steps, observations = (np.zeros(shape, np.int64) for _ in range(3))
    counts = np.zeros((2, num_examples), np.int32)
    for i in range(num_ratios):
        for outcome in runs(i):
            masks, codes = unpack(outcome, num_examples), outcome.measures[f"{TRACKED}curve"]
            lengths, design = outcome.measures[f"{TRACKED}looks"][:, 0], outcome.measures[f"{TRACKED}design"]
            counts += np.stack([masks.trained.sum(0), masks.heldout.sum(0)]).astype(np.int32)
            for point, epoch in enumerate(epochs):
                code = codes[:, :, point]
                # Each run is also evaluated at its end, whichever epoch that is.
                evaluated = np.array([epoch in row[1 : list(row).index(0, 1)] for row in design], bool) & (
                    epoch <= lengths
                )
                reached = lengths >= epoch, evaluated | (epoch == epochs[-1])
                for kind, mask in enumerate((masks.trained, masks.heldout)):
                    observed = mask & reached[kind][:, None]
                    observations[kind, point] += observed.sum(0)
                    right[kind, point] += (observed & (code >= RIGHT_BIT)).sum(0)
                    steps[kind, point] += np.where(observed, code % RIGHT_BIT, 0).sum(0, dtype=np.int64)
    return {
        "curve_epochs": np.asarray(epochs, np.int64),
        "curve_correct": divide(right, observations).astype(np.float16),
        "curve_confidence": (divide(steps, observations) / CURVE_STEPS).astype(np.float16),
        "curve_counts": counts,
    }
