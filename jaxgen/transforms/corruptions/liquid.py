"""Shading of water drops for the spatter corruption: outlines, distances and an emboss, on one layer ``[h, w]``.

It follows the OpenCV calls of the published code.
"""

import jax
import jax.numpy as jnp
import numpy as np

FARTHEST = 20
EMBOSS = ((-2, -1, 0), (-1, 1, 1), (0, 1, 2))
MEAN = ((1 / 9,) * 3,) * 3


def sheen(liquid: jax.Array) -> jax.Array:
    """Brightness of the water in ``liquid [h, w]``, which is 0 where dry: in [0, 1], with maximum 1.

    Distances from the outlines of drops, in whole pixels up to 20, are histogram-equalized and embossed. Outlines are
    wet pixels next to dry ones, and distances are exact; the published code uses OpenCV's Canny edges and approximate
    distances.
    """
    distances = jnp.minimum(distance_to(outline(liquid > 0)), FARTHEST)
    levels = equalize(jnp.floor(filter_square(distances, MEAN)).astype(jnp.int32))
    embossed = jnp.clip(filter_square(levels, EMBOSS), 0, 255)
    brightness = liquid * filter_square(embossed, MEAN)
    return brightness / jnp.maximum(brightness.max(), 1e-6)


def outline(wet: jax.Array) -> jax.Array:
    """The wet pixels with a dry one among their four neighbours, from ``wet [h, w]``: bool ``[h, w]``."""
    around = jnp.pad(wet, 1, mode="edge")
    return wet & ~(around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:])


def distance_to(marked: jax.Array) -> jax.Array:
    """Distance of each pixel to the nearest one of ``marked [h, w]``, in pixels; large if there is none."""
    far = float(sum(marked.shape))
    rows, columns = ((jnp.arange(size)[:, None] - jnp.arange(size)[None]) ** 2 for size in marked.shape)
    down = jnp.min(rows[:, :, None] + jnp.where(marked, 0, far**2)[None], 1)
    return jnp.sqrt(jnp.min(columns[None] + down[:, None, :], 2))


def equalize(levels: jax.Array) -> jax.Array:
    """Histogram equalization of ``levels [h, w]``, ints from 0 to 20, to the range 0 to 255."""
    counts = jnp.sum(levels[None] <= jnp.arange(FARTHEST + 1)[:, None, None], (1, 2))
    lowest = counts[levels.min()]
    return jnp.round(255 * (counts - lowest) / jnp.maximum(levels.size - lowest, 1))[levels]


def filter_square(layer: jax.Array, kernel: tuple[tuple[float, ...], ...]) -> jax.Array:
    """Cross-correlates ``layer [h, w]`` with a 3x3 `kernel`, with reflection padding."""
    height, width = layer.shape
    around = jnp.pad(layer, 1, mode="reflect")
    parts = [kernel[i][j] * around[i : i + height, j : j + width] for i, j in np.ndindex(3, 3) if kernel[i][j]]
    return sum(parts[1:], parts[0])
