"""Outcomes of runs that were never trained, and what they are estimated to be worth."""

import jax
import numpy as np

from jaxgen.scores import designs, heldout
from jaxgen.types import Outcome

KEY = jax.random.key(0)
EXAMPLES = 16
draw = jax.jit(jax.vmap(lambda root, row: designs.draw_subset(root, row, EXAMPLES), (None, 0)))


def outcome(trained_on, correct, finite=None):
    trained_on, correct = np.asarray(trained_on, bool), np.asarray(correct, bool)
    runs = len(trained_on)
    finite = np.ones(runs, bool) if finite is None else np.asarray(finite)
    return Outcome(
        np.packbits(trained_on, axis=1),
        np.packbits(correct, axis=1),
        np.zeros((runs, 0), np.uint8),
        np.zeros((runs, 1), np.float32),
        np.ones(runs, np.int32),
        finite,
        np.zeros((runs, 0), np.uint8),
    )


def estimate(outcomes, blocks=None, shared=False, batch=None):
    """Estimates from one outcome a ratio, streamed in batches."""
    num_examples = 8 * outcomes[0].trained_on.shape[1]
    num_runs = len(outcomes[0].finite)

    def runs(i):
        step = batch or num_runs
        for at in range(0, num_runs, step):
            yield jax.tree.map(lambda field, at=at: field[at : at + step], outcomes[i])

    blocks = blocks or [1] * len(outcomes)
    return heldout.estimate(runs, num_examples, num_runs, blocks, shared_blocks=shared, key=KEY)


def ensembles(seed, ratios, runs, design="independent", spread=0.0):
    """Random outcomes with known per-example accuracy; `spread` makes runs differ, as real models do."""
    rng = np.random.default_rng(seed)
    accuracy = np.linspace(0.1, 0.9, EXAMPLES)
    outcomes = []
    for ratio in ratios:
        masks = np.asarray(draw(jax.random.key(seed), designs.subset_rows(design, ratio, EXAMPLES, np.arange(runs))))
        luck = rng.normal(0, spread, (runs, 1)) + 2 * spread * (masks - ratio) @ np.cos(
            np.arange(EXAMPLES)[:, None] - np.arange(EXAMPLES)
        )
        outcomes.append(outcome(masks, rng.uniform(size=masks.shape) < np.clip(accuracy + luck, 0, 1)))
    return outcomes, accuracy
