"""How densely other examples lie around each: kernel-density proxies of the C-score.

Jiang et al. 2021 (https://arxiv.org/abs/2002.03206), section 5: with a radial basis function K and the other examples
(x_i, y_i) of the data, the means over i of

    K(x, x_i)                          density
    1[y = y_i] K(x, x_i)               density of the own class
    2 (1[y = y_i] - 1/2) K(x, x_i)     the same, signed: other classes count against it

Here K(a, b) = exp(-|a - b|^2 / h^2), and the bandwidth h is half the mean distance between two examples, of at most
`MOST_MEASURED`, evenly picked. The example itself is left out. Axes: n examples, f features, c classes, b of a block.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

MOST_MEASURED = 2000
# Entries of the kernel's matrix that are held at once.
AT_ONCE = 20_000_000


class Density(NamedTuple):
    """The three of each example, float32 ``[n]``."""

    density: np.ndarray
    density_class: np.ndarray
    density_signed: np.ndarray


def bandwidth(features: np.ndarray) -> float:
    """Half the mean distance between two of ``features [n, f]``; of fewer than two examples, or of equal ones, 1."""
    some = features[:: -(-len(features) // MOST_MEASURED)].astype(np.float64)
    if len(some) < 2:
        return 1.0
    squares = (some**2).sum(1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares[None] - 2 * some @ some.T, 0))
    np.fill_diagonal(distances, 0)
    return float(distances.sum() / (len(some) * (len(some) - 1)) / 2) or 1.0


def kernel_density(features: np.ndarray, labels: np.ndarray, num_classes: int) -> Density:
    """The densities at n examples.

    Args:
      features: float ``[n, f]``: pixels, or what a network's last layer sees.
      labels: int ``[n]``.
      num_classes: c.
    """
    count = len(features)
    points = jnp.asarray(features, jnp.float32) / np.float32(bandwidth(features))
    classes = jax.nn.one_hot(jnp.asarray(labels), num_classes)
    size = max(1, min(count, AT_ONCE // count))
    sums = np.concatenate(
        [np.asarray(class_sums(points, classes, at, size))[: count - at] for at in range(0, count, size)]
    )
    # The example's own distance is 0.
    own = sums[np.arange(count), labels] - 1
    total = sums.sum(1) - 1
    others = max(count - 1, 1)
    return Density(*(np.asarray(each / others, np.float32) for each in (total, own, 2 * own - total)))


@functools.partial(jax.jit, static_argnames="size")
def class_sums(points: jax.Array, classes: jax.Array, start: int, size: int) -> jax.Array:
    """Of examples start, start + 1, ... the sums of K over each class: ``[b, c]``; beyond the end, of the last ones."""
    places = jnp.minimum(start + jnp.arange(size), len(points) - 1)
    block = points[places]
    squares = jnp.sum(points**2, axis=1)
    products = jnp.matmul(block, points.T, precision="float32")
    distances = jnp.maximum(squares[places][:, None] + squares[None] - 2 * products, 0)
    # To rounding, an example is not quite at 0 from itself.
    distances = jnp.where(places[:, None] == jnp.arange(len(points))[None], 0, distances)
    return jnp.exp(-distances) @ classes
