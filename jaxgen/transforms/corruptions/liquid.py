"""How drops of water shine: edges, distances, an emboss; after the published code's OpenCV, on one layer ``[h, w]``."""

import jax
import jax.numpy as jnp
import numpy as np

FARTHEST = 20
EMBOSS = ((-2, -1, 0), (-1, 1, 1), (0, 1, 2))
MEAN = ((1 / 9,) * 3,) * 3


def sheen(liquid: jax.Array) -> jax.Array:
    """How bright the water on ``liquid [h, w]``, 0 where it is dry, shines: 0 to 1, 1 somewhere if anywhere.

    Distances from the drops' outlines, in whole pixels up to 20, spread evenly over 0 to 255 and embossed. An outline
    is the wet pixels beside dry ones, and distances are exact, where the published code has OpenCV's Canny edges and
    approximate distances.
    """
    distances = jnp.minimum(distance_to(outline(liquid > 0)), FARTHEST)
    levels = equalize(jnp.floor(filter_square(distances, MEAN)).astype(jnp.int32))
    embossed = jnp.clip(filter_square(levels, EMBOSS), 0, 255)
    shining = liquid * filter_square(embossed, MEAN)
    return shining / jnp.maximum(shining.max(), 1e-6)


def outline(wet: jax.Array) -> jax.Array:
    """Which of the pixels of ``wet [h, w]`` are wet and beside one, of four, that is dry."""
    around = jnp.pad(wet, 1, mode="edge")
    return wet & ~(around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:])


def distance_to(marked: jax.Array) -> jax.Array:
    """Of each pixel to the nearest that is ``marked [h, w]``, in pixels; large if none is."""
    far = float(sum(marked.shape))
    rows, columns = ((jnp.arange(size)[:, None] - jnp.arange(size)[None]) ** 2 for size in marked.shape)
    down = jnp.min(rows[:, :, None] + jnp.where(marked, 0, far**2)[None], 1)
    return jnp.sqrt(jnp.min(columns[None] + down[:, None, :], 2))


def equalize(levels: jax.Array) -> jax.Array:
    """``levels [h, w]``, ints from 0 to 20, so spread over 0 to 255 that each has its share of the pixels."""
    counts = jnp.sum(levels[None] <= jnp.arange(FARTHEST + 1)[:, None, None], (1, 2))
    lowest = counts[levels.min()]
    return jnp.round(255 * (counts - lowest) / jnp.maximum(levels.size - lowest, 1))[levels]


def filter_square(layer: jax.Array, kernel: tuple[tuple[float, ...], ...]) -> jax.Array:
    """The sum of the 9 pixels around each of ``layer [h, w]`` by `kernel`, mirrored at the border."""
    height, width = layer.shape
    around = jnp.pad(layer, 1, mode="reflect")
    parts = [kernel[i][j] * around[i : i + height, j : j + width] for i, j in np.ndindex(3, 3) if kernel[i][j]]
    return sum(parts[1:], parts[0])
