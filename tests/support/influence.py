"""Influence by its definition, pair by pair, and runs to try it on."""

import itertools

import numpy as np


def toy(seed=0, runs=45, train=37, test=21, ratio=0.7):
    """Runs whose answers depend on whom they trained on: test example j on training example j."""
    rng = np.random.default_rng(seed)
    trained_on = rng.random((runs, train)) < ratio
    rate = 0.3 + 0.5 * trained_on[:, np.arange(test) % train]
    return trained_on, rng.random((runs, test)) < rate


def by_definition(trained_on, test_correct):
    """Equation 2, pair by pair: float ``[t, n]``."""
    found = np.full((test_correct.shape[1], trained_on.shape[1]), np.nan)
    for j, i in itertools.product(range(found.shape[0]), range(found.shape[1])):
        seen = trained_on[:, i]
        if seen.any() and not seen.all():
            found[j, i] = test_correct[seen, j].mean() - test_correct[~seen, j].mean()
    return found
