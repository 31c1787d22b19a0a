"""Small perceptrons for tables, as many side by side as there are versions of the training rows."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxgen.engine.order import permute
from jaxgen.losses import cross_entropy, weighted_mean
from jaxgen.models.mlp import MLP

# As those who tried LNR on KEEL's data had it: three hidden layers, Adam at 0.001, batches of 32.
HIDDEN, RATE, BATCH = (5, 10, 5), 1e-3, 32
# Rows are filled up to a multiple of so many, so that folds of almost one size share a program.
FILLED = 128


def predict_each(
    tables: Sequence[tuple[np.ndarray, np.ndarray]], test: np.ndarray, *, epochs: int, seed: int
) -> np.ndarray:
    """How likely each test row is of class 1, by a network for each of k tables: float32 ``[k, t]``.

    All networks begin alike.

    Args:
      tables: features ``[n_i, f]`` and labels 0 or 1 ``[n_i]``.
      test: features ``[t, f]``.
      epochs: passes over the rows.
      seed: of weights and orders.
    """
    sizes = np.array([len(y) for _, y in tables], np.int32)
    filled = -(-int(sizes.max()) // FILLED) * FILLED
    rows = np.zeros((len(tables), filled, test.shape[1]), np.float32)
    labels = np.zeros((len(tables), filled), np.int32)
    for i, (x, y) in enumerate(tables):
        rows[i, : len(y)], labels[i, : len(y)] = x, y
    tests = np.zeros((-(-len(test) // FILLED) * FILLED, test.shape[1]), np.float32)
    tests[: len(test)] = test
    found = train_each(jax.random.key(seed), rows, labels, sizes, tests, epochs)
    return np.asarray(found)[:, : len(test)]


@functools.partial(jax.jit, static_argnames="epochs")
def train_each(
    key: jax.Array, rows: jax.Array, labels: jax.Array, sizes: jax.Array, tests: jax.Array, epochs: int
) -> jax.Array:
    """Probabilities ``[k, t]`` of class 1, by networks trained on the first ``sizes [k]`` of ``rows [k, n, f]``."""
    network, optimizer = MLP(HIDDEN, 2), optax.adam(RATE)
    params = network.init(key, tests[:1])
    positions = jnp.arange(rows.shape[1])

    def train_one(rows: jax.Array, labels: jax.Array, size: jax.Array) -> jax.Array:
        def step(state: tuple, at: jax.Array) -> tuple[tuple, None]:
            epoch, number = at // steps, at % steps
            order = permute(jax.random.fold_in(key, epoch), number * BATCH + jnp.arange(BATCH), size)
            present = number * BATCH + jnp.arange(BATCH) < size

            def loss(params: dict) -> jax.Array:
                return weighted_mean(cross_entropy(network.apply(params, rows[order]), labels[order]), present)

            updates, after = optimizer.update(jax.grad(loss)(state[0]), state[1])
            moved = optax.apply_updates(state[0], updates), after
            # Beyond its own rows a network rests.
            return jax.tree.map(lambda new, old: jnp.where(present[0], new, old), moved, state), None

        steps = len(positions) // BATCH
        (trained, _), _ = jax.lax.scan(step, (params, optimizer.init(params)), jnp.arange(epochs * steps))
        return jax.nn.softmax(network.apply(trained, tests))[:, 1]

    return jax.vmap(train_one)(rows, labels, sizes)
