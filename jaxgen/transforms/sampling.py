"""Sampling of images at arbitrary coordinates: bilinear interpolation and border handling."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

# Maps coordinates into the image: (coordinates, size) -> coordinates between 0 and size - 1.
Border = Callable[[jax.Array, int], jax.Array]


def by_edge(coordinates: jax.Array, size: int) -> jax.Array:
    """The nearest edge pixel: a a | a b c | c c."""
    return jnp.clip(coordinates, 0, size - 1)


def by_mirror(coordinates: jax.Array, size: int) -> jax.Array:
    """Reflection about the centres of the edge pixels: c b | a b c | b a."""
    periods = coordinates / (2 * size - 2)
    return size - 1 - jnp.abs(size - 1 - (2 * size - 2) * (periods - jnp.floor(periods)))


def by_reflection(coordinates: jax.Array, size: int) -> jax.Array:
    """Reflection about the border: b a | a b c | c b."""
    periods = (coordinates + 0.5) / (2 * size)
    return jnp.clip(size - 0.5 - jnp.abs(size - 2 * size * (periods - jnp.floor(periods))), 0, size - 1)


def sample(image: jax.Array, rows: jax.Array, columns: jax.Array, border: Border | None = None) -> jax.Array:
    """Bilinear interpolation of ``image [h, w, d]`` at coordinates ``rows [a, b]`` and ``columns [a, b]``.

    Args:
      image: with pixel centres at integer coordinates.
      rows, columns: floats.
      border: maps coordinates from outside into the image; if None, it is black outside.

    Returns:
      ``[a, b, d]``.
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
    """Affine warp of ``image [h, w, d]``, black outside; `matrix` and `shift` as for `source_coordinates`."""
    return sample(image, *source_coordinates(image.shape, matrix, shift))


def source_coordinates(
    shape: tuple[int, ...], matrix: list[list[jax.Array]], shift: tuple[jax.Array, jax.Array] = (0, 0)
) -> tuple[jax.Array, jax.Array]:
    """Where an affine warp takes each pixel from: rows and columns, floats ``[h, w]``.

    Args:
      shape: (h, w, d) of the image.
      matrix: 2x2, of scalars; the pixel at (column, row), seen from the centre, is taken from
        ``matrix @ (column, row) + shift``.
      shift: (columns, rows) in pixels.
    """
    centres = [(size - 1) / 2 for size in shape[:2]]
    rows, columns = jnp.meshgrid(
        *(jnp.arange(size) - centre for size, centre in zip(shape, centres, strict=False)), indexing="ij"
    )
    (xx, xy), (yx, yy) = matrix
    source_rows = yx * columns + yy * rows + shift[1] + centres[0]
    source_columns = xx * columns + xy * rows + shift[0] + centres[1]
    return source_rows, source_columns


def rotation(angle: jax.Array) -> list[list[jax.Array]]:
    """The matrix of a rotation by `angle`, in radians, for `source_coordinates`."""
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    return [[cosine, -sine], [sine, cosine]]
