"""Blurs and resizing as matrices that act on a line of pixels: NumPy computes them in advance, JAX applies them."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

# Singular values below this fraction of the largest are dropped; the error is far below 1/255.
NEGLIGIBLE = 1e-5


def blur_matrix(size: int, deviation: float, *, truncate: float = 4.0, border: str = "edge") -> np.ndarray:
    """The matrix of a Gaussian blur, ``[size, size]``, as SciPy's ``gaussian_filter1d``; its rows sum to 1.

    Args:
      size: number of pixels.
      deviation: standard deviation in pixels.
      truncate: radius of the filter in standard deviations.
      border: mode of ``numpy.pad``.
    """
    reach = int(truncate * deviation + 0.5)
    if not reach:
        return np.eye(size)
    offsets = np.arange(-reach, reach + 1)
    return filter_matrix(size, np.exp(-0.5 * (offsets / deviation) ** 2), border)


def filter_matrix(size: int, weights: np.ndarray, border: str) -> np.ndarray:
    """The matrix ``[size, size]`` of a weighted mean over neighbours.

    Args:
      size: number of pixels.
      weights: an odd number, centred at the pixel itself.
      border: mode of ``numpy.pad``.
    """
    neighbours = np.pad(np.arange(size), len(weights) // 2, mode=border)
    neighbours = neighbours[np.arange(size)[:, None] + np.arange(len(weights))]
    matrix = np.zeros((size, size))
    np.add.at(matrix, (np.arange(size)[:, None], neighbours), weights / weights.sum())
    return matrix


def pixelation_matrix(size: int, smaller: int) -> np.ndarray:
    """The matrix ``[size, size]`` of resizing to `smaller` boxes and back, as Pillow's BOX filter.

    A box is the mean of the pixels whose centres lie in it; each pixel then takes the value of its box.
    """
    centres = np.arange(size) + 0.5
    ends = np.arange(smaller + 1) * (size / smaller)
    inside = (centres[None] > ends[:-1, None]) & (centres[None] <= ends[1:, None])
    shrink = inside / inside.sum(1, keepdims=True)
    return shrink[np.minimum((centres * smaller / size).astype(int), smaller - 1)]


def zoom_matrix(size: int, factor: float) -> np.ndarray:
    """The matrix ``[size, size]`` of enlarging the centre by `factor`, by linear interpolation with aligned corners.

    It equals ``scipy.ndimage.zoom`` of order 1 for the central ``ceil(size / factor)`` pixels, cropped to `size`.
    """
    kept = int(np.ceil(size / factor))
    enlarged = round(kept * factor)
    positions = (np.arange(size) + (enlarged - size) // 2) * (kept - 1) / max(enlarged - 1, 1)
    left = np.clip(positions.astype(int), 0, max(kept - 2, 0))
    matrix, start = np.zeros((size, size)), (size - kept) // 2
    matrix[np.arange(size), start + left] += 1 - (positions - left)
    matrix[np.arange(size), start + np.minimum(left + 1, kept - 1)] += positions - left
    return matrix


def disk(radius: float, alias: float) -> np.ndarray:
    """A disk kernel of `radius` pixels, which sums to 1.

    Its edge is smoothed by a Gaussian of `alias` pixels over 3 pixels, or 5 for radii above 8.
    """
    half, reach = (8, 1) if radius <= 8 else (int(np.ceil(radius)), 2)
    offsets = np.arange(-half, half + 1)
    flat = (offsets[:, None] ** 2 + offsets[None] ** 2 <= radius**2).astype(float)
    edge = filter_matrix(len(flat), np.exp(-0.5 * (np.arange(-reach, reach + 1) / alias) ** 2), "reflect")
    return edge @ (flat / flat.sum()) @ edge.T


def separate_kernel(kernel: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Matrices ``[r, h, h]`` and ``[r, w, w]`` for `apply_sum` of a kernel ``[k, k]``, reflected at the edge."""
    left, values, right = np.linalg.svd(kernel)
    used = values > NEGLIGIBLE * values[0]
    rows, columns = (
        np.stack([filter_matrix(size, unit, "reflect") for unit in np.eye(len(kernel))]) for size in (height, width)
    )
    return np.tensordot((left * values).T[used], rows, 1), np.tensordot(right[used], columns, 1)


def separate_sum(rows: Sequence[np.ndarray], columns: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The arguments of `apply_sum` with as few terms as possible: ``[r, h, h]`` and ``[r, w, w]``."""
    flat = [np.stack(side).reshape(len(side), -1) for side in (rows, columns)]
    bases, factors = zip(*(np.linalg.qr(side.T) for side in flat), strict=True)
    left, values, right = np.linalg.svd(factors[0] @ factors[1].T, full_matrices=False)
    used = values > NEGLIGIBLE * values[0]
    row_terms, column_terms = (bases[0] @ left * values).T[used], (bases[1] @ right.T).T[used]
    return row_terms.reshape(-1, *rows[0].shape), column_terms.reshape(-1, *columns[0].shape)


def pad_terms(matrices: np.ndarray, count: int) -> np.ndarray:
    """Pads ``matrices [r, h, h]`` with zeros to ``[count, h, h]``."""
    return np.pad(matrices, ((0, count - len(matrices)), (0, 0), (0, 0)))


def apply_along(image: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """Applies matrices ``rows [h, h]`` and ``columns [w, w]`` along the two axes of ``image [h, w, d]``."""
    return jnp.einsum("ah,bw,hwd->abd", rows, columns, image, precision="highest")


def apply_sum(image: jax.Array, rows: jax.Array, columns: jax.Array, count: jax.Array) -> jax.Array:
    """The sum of `apply_along` over the first `count` of ``rows [r, h, h]`` and ``columns [r, w, w]``.

    It is a loop, because all terms at once would take r times the memory, and longer.
    """

    def add(i: jax.Array, total: jax.Array) -> jax.Array:
        return total + apply_along(image, rows[i], columns[i])

    return jax.lax.fori_loop(0, count, add, jnp.zeros_like(image))
