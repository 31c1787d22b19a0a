"""Small perceptrons for tables: one compiled program for all tables of about a size, however many rows each has."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxgen.engine.order import permute
from jaxgen.keys import Draw, draw_key
from jaxgen.models.mlp import MLP
from jaxgen.training.losses import cross_entropy, weighted_mean

# As those who tried LNR on KEEL's data had it: three hidden layers, Adam at 0.001, batches of 32.
HIDDEN, RATE, BATCH = (5, 10, 5), 1e-3, 32
# Rows are filled up to so many, or four times as many, and so on, and columns to a multiple, so that tables share
# programs: compiling one takes as long as dozens of trainings, and rows that are only filled in cost next to nothing.
FILLED_ROWS, FILLED_COLUMNS = 1024, 16


def predict_each(
    tables: Sequence[tuple[np.ndarray, np.ndarray]], test: np.ndarray, *, epochs: int, seed: int
) -> np.ndarray:
    """How likely each test row is of class 1, by a network for each of k tables: float32 ``[k, t]``.

    All networks begin alike. They are trained one after the other: on a CPU networks so small were no faster side by
    side, a network, and all of them took as many steps as the one with the most rows.

    Args:
      tables: features ``[n_i, f]`` and labels 0 or 1 ``[n_i]``.
      test: features ``[t, f]``.
      epochs: passes over the rows.
      seed: of weights and orders.
    """
    tests, found = filled(test.astype(np.float32)), []
    for x, y in tables:
        labels = np.zeros(fill(len(y)), np.int32)
        labels[: len(y)] = y
        rows = filled(x.astype(np.float32))
        found.append(train_one(jax.random.key(seed), rows, labels, len(y), x.shape[1], tests, epochs))
    return np.stack([np.asarray(one)[: len(test)] for one in found])


def fill(count: int) -> int:
    """Rows that a program has for so many."""
    rows = FILLED_ROWS
    while rows < count:
        rows *= 4
    return rows


def filled(features: np.ndarray) -> np.ndarray:
    """Features with rows and columns of zeros behind them."""
    count, columns = features.shape
    return np.pad(features, ((0, fill(count) - count), (0, -columns % FILLED_COLUMNS)))


@jax.jit
def train_one(
    key: jax.Array, rows: jax.Array, labels: jax.Array, size: int, columns: int, tests: jax.Array, epochs: int
) -> jax.Array:
    """Probabilities ``[t]`` of class 1, by a network trained on the first ``size`` of ``rows [n, f]``.

    Only the first `columns` of f are in use: the others are 0, have no gradient, and must not make the first layer's
    weights smaller at the start (Glorot: variance 2 / (inputs + outputs)).
    """
    network, optimizer = MLP(HIDDEN, 2), optax.adam(RATE)
    params = network.init(key, tests[:1])
    kernel = params["params"]["Dense_0"]["kernel"]
    params["params"]["Dense_0"]["kernel"] = kernel * jnp.sqrt((len(kernel) + HIDDEN[0]) / (columns + HIDDEN[0]))
    places = jnp.arange(BATCH)

    def run_epoch(epoch: jax.Array, state: tuple) -> tuple:
        def step(number: jax.Array, state: tuple) -> tuple:
            at = number * BATCH + places
            order = permute(jax.random.fold_in(draw_key(key, Draw.MLP_ORDER), epoch), at, size)

            def loss(params: dict) -> jax.Array:
                return weighted_mean(cross_entropy(network.apply(params, rows[order]), labels[order]), at < size)

            updates, after = optimizer.update(jax.grad(loss)(state[0]), state[1])
            return optax.apply_updates(state[0], updates), after

        return jax.lax.fori_loop(0, (size + BATCH - 1) // BATCH, step, state)

    trained, _ = jax.lax.fori_loop(0, epochs, run_epoch, (params, optimizer.init(params)))
    return jax.nn.softmax(network.apply(trained, tests))[:, 1]
