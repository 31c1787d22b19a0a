"""Kernel density estimates at each example, which approximate the C-score without training.

Jiang et al. 2021 (https://arxiv.org/abs/2002.03206), section 5: with a radial basis function K, the means over all
other examples (x_i, y_i) of

    K(x, x_i)                          density
    1[y = y_i] K(x, x_i)               density of the example's class
    2 (1[y = y_i] - 1/2) K(x, x_i)     signed density: other classes count as negative

Here K(a, b) = exp(-|a - b|^2 / h^2). The bandwidth h is half the mean distance between two examples, measured on at
most `MOST_MEASURED` evenly spaced ones. Axes: n examples, f features, c classes, b examples of a block.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

MOST_MEASURED = 2000
# Entries of the kernel matrix held in memory at once.
AT_ONCE = 20_000_000


class Density(NamedTuple):
    """The three densities of each example, float32 ``[n]``."""

    density: np.ndarray
    density_class: np.ndarray
    density_signed: np.ndarray


def bandwidth(features: np.ndarray) -> float:
    """Half the mean distance between two rows of ``features [n, f]``; 1 for fewer than two rows, or equal ones."""
    sample = features[:: -(-len(features) // MOST_MEASURED)].astype(np.float64)
    if len(sample) < 2:
        return 1.0
    squares = (sample**2).sum(1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares[None] - 2 * sample @ sample.T, 0))
    np.fill_diagonal(distances, 0)
    return float(distances.sum() / (len(sample) * (len(sample) - 1)) / 2) or 1.0


def kernel_density(features: np.ndarray, labels: np.ndarray, num_classes: int) -> Density:
    """The densities at n examples, each estimated from the others.

    Args:
      features: float ``[n, f]``: pixels, or inputs of a network's last layer.
      labels: int ``[n]``.
      num_classes: c.
    """
    count = len(features)
    points = jnp.asarray(features, jnp.float32) / np.float32(bandwidth(features))
    classes = jax.nn.one_hot(jnp.asarray(labels), num_classes)
    size = max(1, min(count, AT_ONCE // count))
    sums = np.concatenate(
        [np.asarray(class_sums(points, classes, start, size))[: count - start] for start in range(0, count, size)]
    )
    # Less the example itself: K(x, x) is 1.
    same_class = sums[np.arange(count), labels] - 1
    total = sums.sum(1) - 1
    others = max(count - 1, 1)
    densities = total, same_class, 2 * same_class - total
    return Density(*(np.asarray(density / others, np.float32) for density in densities))


@functools.partial(jax.jit, static_argnames="size")
def class_sums(points: jax.Array, classes: jax.Array, start: int, size: int) -> jax.Array:
    """Sums of K over the examples of each class, at `size` examples from `start` on: ``[b, c]``.

    Args:
      points: ``[n, f]``, in units of the bandwidth.
      classes: one-hot labels ``[n, c]``.
      start: the first example; past the end, the last example is repeated.
      size: b.
    """
    indices = jnp.minimum(start + jnp.arange(size), len(points) - 1)
    block = points[indices]
    squares = jnp.sum(points**2, axis=1)
    products = jnp.matmul(block, points.T, precision="float32")
    squared_distances = jnp.maximum(squares[indices][:, None] + squares[None] - 2 * products, 0)
    # Rounding would leave an example at a small distance from itself.
    squared_distances = jnp.where(indices[:, None] == jnp.arange(len(points))[None], 0, squared_distances)
    return jnp.exp(-squared_distances) @ classes
