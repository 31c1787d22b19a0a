"""What blurs and resizing do to a line of pixels, as matrices made by NumPy beforehand; and how they are applied."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

# Singular values below this share of the largest are left out: an error far below one step of 255.
NEGLIGIBLE = 1e-5


def blur_matrix(size: int, deviation: float, *, truncate: float = 4.0, border: str = "edge") -> np.ndarray:
    """A Gaussian blur of a line, ``[size, size]`` with rows that sum to 1; as SciPy's ``gaussian_filter1d``.

    `border` is one of ``numpy.pad``'s modes.
    """
    reach = int(truncate * deviation + 0.5)
    if not reach:
        return np.eye(size)
    offsets = np.arange(-reach, reach + 1)
    return filter_matrix(size, np.exp(-0.5 * (offsets / deviation) ** 2), border)


def filter_matrix(size: int, weights: np.ndarray, border: str) -> np.ndarray:
    """The mean of a line's pixels by odd many `weights`, the middle one a pixel's own: ``[size, size]``."""
    places = np.pad(np.arange(size), len(weights) // 2, mode=border)
    places = places[np.arange(size)[:, None] + np.arange(len(weights))]
    matrix = np.zeros((size, size))
    np.add.at(matrix, (np.arange(size)[:, None], places), weights / weights.sum())
    return matrix


def pixelation_matrix(size: int, smaller: int) -> np.ndarray:
    """From a line of `size` pixels to `smaller` boxes and back, ``[size, size]``; as Pillow's BOX resizes.

    A box is the mean of the pixels whose middles lie in it; each pixel then is its box.
    """
    middles = np.arange(size) + 0.5
    ends = np.arange(smaller + 1) * (size / smaller)
    inside = (middles[None] > ends[:-1, None]) & (middles[None] <= ends[1:, None])
    shrink = inside / inside.sum(1, keepdims=True)
    return shrink[np.minimum((middles * smaller / size).astype(int), smaller - 1)]


def zoom_matrix(size: int, factor: float) -> np.ndarray:
    """The middle of a line of `size` pixels made larger, ``[size, size]``: linear, corners on corners.

    As ``scipy.ndimage.zoom`` of order 1 of the middle ``ceil(size / factor)`` pixels, cut to `size`.
    """
    kept = int(np.ceil(size / factor))
    whole = round(kept * factor)
    places = (np.arange(size) + (whole - size) // 2) * (kept - 1) / max(whole - 1, 1)
    left = np.clip(places.astype(int), 0, max(kept - 2, 0))
    matrix, start = np.zeros((size, size)), (size - kept) // 2
    matrix[np.arange(size), start + left] += 1 - (places - left)
    matrix[np.arange(size), start + np.minimum(left + 1, kept - 1)] += places - left
    return matrix


def disk(radius: float, alias: float) -> np.ndarray:
    """A disk of `radius` pixels whose edge is blurred by `alias` pixels over 3 (or, beyond radius 8, 5); sums to 1."""
    half, reach = (8, 1) if radius <= 8 else (int(np.ceil(radius)), 2)
    places = np.arange(-half, half + 1)
    flat = (places[:, None] ** 2 + places[None] ** 2 <= radius**2).astype(float)
    edge = filter_matrix(len(flat), np.exp(-0.5 * (np.arange(-reach, reach + 1) / alias) ** 2), "reflect")
    return edge @ (flat / flat.sum()) @ edge.T


def separate_kernel(kernel: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """An odd kernel ``[k, k]`` as a sum of `apply_sum`, pixels beyond the border mirrored."""
    left, values, right = np.linalg.svd(kernel)
    used = values > NEGLIGIBLE * values[0]
    rows, columns = (
        np.stack([filter_matrix(size, one, "reflect") for one in np.eye(len(kernel))]) for size in (height, width)
    )
    return np.tensordot((left * values).T[used], rows, 1), np.tensordot(right[used], columns, 1)


def separate_sum(rows: Sequence[np.ndarray], columns: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The same sum of `apply_sum` by as few terms as it takes: ``[r, h, h]`` and ``[r, w, w]``."""
    flat = [np.stack(side).reshape(len(side), -1) for side in (rows, columns)]
    bases, factors = zip(*(np.linalg.qr(side.T) for side in flat), strict=True)
    left, values, right = np.linalg.svd(factors[0] @ factors[1].T, full_matrices=False)
    used = values > NEGLIGIBLE * values[0]
    found = ((bases[0] @ left * values).T[used], (bases[1] @ right.T).T[used])
    return found[0].reshape(-1, *rows[0].shape), found[1].reshape(-1, *columns[0].shape)


def pad_terms(matrices: np.ndarray, count: int) -> np.ndarray:
    """``[r, h, h]`` with zeros for the missing, as ``[count, h, h]``."""
    return np.pad(matrices, ((0, count - len(matrices)), (0, 0), (0, 0)))


def apply_along(image: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """Matrices ``[h, h]`` and ``[w, w]`` applied to the rows and the columns of ``image [h, w, d]``."""
    return jnp.einsum("ah,bw,hwd->abd", rows, columns, image, precision="highest")


def apply_sum(image: jax.Array, rows: jax.Array, columns: jax.Array, count: jax.Array) -> jax.Array:
    """The sum over the first `count` of what ``rows [r, h, h]`` and ``columns [r, w, w]`` make of ``image [h, w, d]``.

    One after another: all side by side would take r times the memory, and longer.
    """

    def add(i: jax.Array, total: jax.Array) -> jax.Array:
        return total + apply_along(image, rows[i], columns[i])

    return jax.lax.fori_loop(0, count, add, jnp.zeros_like(image))
