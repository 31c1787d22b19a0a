"""Images looked at in other places: between the pixels, and beyond the border."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

# (places, size) -> places between 0 and size - 1.
Border = Callable[[jax.Array, int], jax.Array]


def by_mirror(places: jax.Array, size: int) -> jax.Array:
    """Mirrored at the middle of the edge pixels: c b | a b c | b a."""
    turns = places / (2 * size - 2)
    return size - 1 - jnp.abs(size - 1 - (2 * size - 2) * (turns - jnp.floor(turns)))


def by_reflection(places: jax.Array, size: int) -> jax.Array:
    """Mirrored at the border: b a | a b c | c b."""
    turns = (places + 0.5) / (2 * size)
    return jnp.clip(size - 0.5 - jnp.abs(size - 2 * size * (turns - jnp.floor(turns))), 0, size - 1)


def sample(image: jax.Array, rows: jax.Array, columns: jax.Array, border: Border | None = None) -> jax.Array:
    """Bilinear interpolation of ``image [h, w, d]`` at any places ``rows [a, b]`` and ``columns [a, b]``.

    Args:
      image: its pixels' middles are at whole numbers.
      rows, columns: floats.
      border: what there is outside; black if None.
    """
    if border is None:
        image = jnp.pad(image, ((1, 1), (1, 1), (0, 0)))
    height, width, depth = image.shape
    if border is None:
        rows, columns = jnp.clip(rows + 1, 0, height - 1), jnp.clip(columns + 1, 0, width - 1)
    else:
        rows, columns = border(rows, height), border(columns, width)
    top, left = jnp.minimum(jnp.floor(rows), height - 2), jnp.minimum(jnp.floor(columns), width - 2)
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    corner = (top * width + left).astype(jnp.int32)
    flat = image.reshape(-1, depth)
    upper = flat[corner] * (1 - right) + flat[corner + 1] * right
    lower = flat[corner + width] * (1 - right) + flat[corner + width + 1] * right
    return upper * (1 - down) + lower * down


def warp(image: jax.Array, matrix: list[list[jax.Array]], shift: tuple[jax.Array, jax.Array] = (0, 0)) -> jax.Array:
    """What is seen at (column, row) is what was at ``matrix`` times it, from the middle, and `shift`; black outside."""
    middles = [(size - 1) / 2 for size in image.shape[:2]]
    rows, columns = jnp.meshgrid(
        *(jnp.arange(size) - middle for size, middle in zip(image.shape, middles, strict=False)), indexing="ij"
    )
    (xx, xy), (yx, yy) = matrix
    from_rows = yx * columns + yy * rows + shift[1] + middles[0]
    from_columns = xx * columns + xy * rows + shift[0] + middles[1]
    return sample(image, from_rows, from_columns)
