"""Small multilayer perceptrons for tables; tables are padded so that they share compiled programs."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxgen.engine.order import permute
from jaxgen.keys import Draw, draw_key
from jaxgen.models.mlp import MLP
from jaxgen.training.losses import cross_entropy, weighted_mean

# As in experiments with LNR on KEEL's data: three hidden layers, Adam at 0.001, batches of 32.
HIDDEN, RATE, BATCH = (5, 10, 5), 1e-3, 32
# Rows are padded to this number times a power of 4, columns to a multiple, so that tables share programs: compiling one
# takes as long as dozens of trainings, and padding costs next to nothing.
PADDED_ROWS, PADDED_COLUMNS = 1024, 16


def predict_each(
    tables: Sequence[tuple[np.ndarray, np.ndarray]], test: np.ndarray, *, epochs: int, seed: int
) -> np.ndarray:
    """Probabilities of class 1 for each test row, by a network for each of k tables: float32 ``[k, t]``.

    All networks start from the same weights. They are trained one after the other: on a CPU, batching networks this
    small was no faster, and all would take as many steps as the largest table.

    Args:
      tables: features ``[n_i, f]`` and labels 0 or 1 ``[n_i]``.
      test: features ``[t, f]``.
      epochs: passes over the rows.
      seed: of weights and orders.
    """
    padded_test, probabilities = pad_features(test.astype(np.float32)), []
    for x, y in tables:
        labels = np.zeros(padded_size(len(y)), np.int32)
        labels[: len(y)] = y
        rows = pad_features(x.astype(np.float32))
        probabilities.append(train_one(jax.random.key(seed), rows, labels, len(y), x.shape[1], padded_test, epochs))
    return np.stack([np.asarray(array)[: len(test)] for array in probabilities])


def padded_size(count: int) -> int:
    """The padded number of rows."""
    rows = PADDED_ROWS
    while rows < count:
        rows *= 4
    return rows


def pad_features(features: np.ndarray) -> np.ndarray:
    """Features padded with rows and columns of zeros."""
    count, columns = features.shape
    return np.pad(features, ((0, padded_size(count) - count), (0, -columns % PADDED_COLUMNS)))


@jax.jit
def train_one(
    key: jax.Array, rows: jax.Array, labels: jax.Array, size: int, columns: int, tests: jax.Array, epochs: int
) -> jax.Array:
    """Probabilities ``[t]`` of class 1, by a network trained on the first ``size`` of ``rows [n, f]``.

    Only the first `columns` of f columns are used. The others are padding, so the first layer's initial weights are
    scaled to those of a layer with `columns` inputs (Glorot: variance 2 / (inputs + outputs)).
    """
    network, optimizer = MLP(HIDDEN, 2), optax.adam(RATE)
    params = network.init(key, tests[:1])
    kernel = params["params"]["Dense_0"]["kernel"]
    params["params"]["Dense_0"]["kernel"] = kernel * jnp.sqrt((len(kernel) + HIDDEN[0]) / (columns + HIDDEN[0]))
    offsets = jnp.arange(BATCH)

    def run_epoch(epoch: jax.Array, state: tuple) -> tuple:
        def step(number: jax.Array, state: tuple) -> tuple:
            positions = number * BATCH + offsets
            order = permute(jax.random.fold_in(draw_key(key, Draw.MLP_ORDER), epoch), positions, size)

            def loss(params: dict) -> jax.Array:
                return weighted_mean(cross_entropy(network.apply(params, rows[order]), labels[order]), positions < size)

            updates, after = optimizer.update(jax.grad(loss)(state[0]), state[1])
            return optax.apply_updates(state[0], updates), after

        return jax.lax.fori_loop(0, (size + BATCH - 1) // BATCH, step, state)

    trained, _ = jax.lax.fori_loop(0, epochs, run_epoch, (params, optimizer.init(params)))
    return jax.nn.softmax(network.apply(trained, tests))[:, 1]
