"""Held-out class probabilities and learning curves of examples, from runs whose training was tracked (`records`)."""

from collections.abc import Sequence

import numpy as np

from jaxgen.scores.dynamics import RunStream
from jaxgen.scores.example_stats import CURVE_STEPS, RIGHT_BIT
from jaxgen.scores.heldout import divide
from jaxgen.scores.memorization import unpack
from jaxgen.types import TRACKED


def mean_probabilities(runs: RunStream, num_examples: int, num_ratios: int, num_classes: int) -> np.ndarray:
    """Each example's held-out class probabilities, the plain mean over ratios: float32 ``[n, c]``.

    Every row sums to 1, or is NaN where at some ratio no run held the example out. They are out-of-sample predictions,
    as confident learning wants them (Northcutt, Jiang, Chuang, JAIR 2021, https://arxiv.org/abs/1911.00068).
    """
    total = np.zeros((num_examples, num_classes))
    for i in range(num_ratios):
        sums, counts = np.zeros((num_examples, num_classes)), np.zeros(num_examples, np.int64)
        for outcome in runs(i):
            seen, steps = unpack(outcome, num_examples).heldout, outcome.measures[f"{TRACKED}probabilities"]
            sums += np.where(seen[..., None], steps, 0).sum(0, dtype=np.int64)
            counts += seen.sum(0)
        # What a byte holds of probabilities need not sum to 1.
        sums = np.where((counts > 0)[:, None], sums, np.nan)
        total += sums / np.maximum(sums.sum(1, keepdims=True), 1)
    return (total / num_ratios).astype(np.float32)


def curves(runs: RunStream, num_examples: int, num_ratios: int, epochs: Sequence[int]) -> dict[str, np.ndarray]:
    """Learning curves of each example, over all runs of all ratios that had such a look at it.

    Args:
      runs: as of `jaxgen.scores.dynamics`.
      num_examples: n.
      num_ratios: k.
      epochs: of the curve, ``[e]``.

    Returns:
      ``curve_epochs [e]``; ``curve_correct``, ``curve_confidence`` float16 ``[2, e, n]``: the share of runs that were
      right, and the mean probability of the label, at visits of runs that trained on the example (row 0) and at
      examinations of runs that held it out (row 1), NaN where none was; ``curve_counts`` int32 ``[2, n]``: the runs.
    """
    shape = (2, len(epochs), num_examples)
    right, steps, times = (np.zeros(shape, np.int64) for _ in range(3))
    counts = np.zeros((2, num_examples), np.int32)
    for i in range(num_ratios):
        for outcome in runs(i):
            seen, codes = unpack(outcome, num_examples), outcome.measures[f"{TRACKED}curve"]
            lengths, design = outcome.measures[f"{TRACKED}looks"][:, 0], outcome.measures[f"{TRACKED}design"]
            counts += np.stack([seen.trained.sum(0), seen.heldout.sum(0)]).astype(np.int32)
            for place, epoch in enumerate(epochs):
                code = codes[:, :, place]
                # The end of training is an examination too, whenever it came.
                examined = np.array([epoch in row[1 : list(row).index(0, 1)] for row in design]) & (epoch <= lengths)
                had = lengths >= epoch, examined | (epoch == epochs[-1])
                for kind, observed in enumerate((seen.trained, seen.heldout)):
                    looked = observed & had[kind][:, None]
                    times[kind, place] += looked.sum(0)
                    right[kind, place] += (looked & (code >= RIGHT_BIT)).sum(0)
                    steps[kind, place] += np.where(looked, code % RIGHT_BIT, 0).sum(0, dtype=np.int64)
    return {
        "curve_epochs": np.asarray(epochs, np.int64),
        "curve_correct": divide(right, times).astype(np.float16),
        "curve_confidence": (divide(steps, times) / CURVE_STEPS).astype(np.float16),
        "curve_counts": counts,
    }
