"""Images as they go wrong in use: noise, blur, a hidden part, coarse pixels; at severities 1 to 5.

The constants are those for images of 32 pixels of D. Hendrycks and T. Dietterich, Benchmarking Neural Network
Robustness to Common Corruptions and Perturbations, ICLR 2019 (https://arxiv.org/abs/1903.12261), lengths in proportion
to the side of larger images. Each takes and returns floats in [0, 1]. Axes: n images, h w d image.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

PUBLISHED_SIDE = 32
NOISE = (0.04, 0.06, 0.08, 0.09, 0.10)
BLUR = (0.4, 0.6, 0.7, 0.8, 1.0)
COARSE = (0.95, 0.9, 0.85, 0.75, 0.65)
# Not published: the side of the square that is hidden, as a share of the image's.
HIDDEN = (0.2, 0.25, 0.3, 0.4, 0.5)


def add_gaussian_noise(key: jax.Array, images: jax.Array, *, severity: int) -> jax.Array:
    """Independent normal noise on each value of ``images [n, h, w, d]``."""
    return jnp.clip(images + NOISE[severity - 1] * jax.random.normal(key, images.shape), 0, 1)


def blur(key: jax.Array, images: jax.Array, *, severity: int) -> jax.Array:
    """A Gaussian blur of ``images [n, h, w, d]``, the edge pixels continued outwards."""
    del key
    # In smaller images than the published a shorter blur would be none.
    deviation = BLUR[severity - 1] * max(1, min(images.shape[1:3]) / PUBLISHED_SIDE)
    rows, columns = (blur_matrix(size, deviation) for size in images.shape[1:3])
    return apply_along(images, rows, columns)


def blur_matrix(size: int, deviation: float) -> jax.Array:
    """The blur of a line of `size` pixels as a matrix ``[size, size]``; its rows sum to 1."""
    reach = max(1, int(4 * deviation + 0.5))
    offsets = jnp.arange(-reach, reach + 1)
    weights = jnp.exp(-0.5 * (offsets / deviation) ** 2)
    places = jnp.clip(jnp.arange(size)[:, None] + offsets[None], 0, size - 1)
    matrix = jnp.zeros((size, size)).at[jnp.arange(size)[:, None], places].add(weights[None])
    return matrix / jnp.sum(weights)


def occlude(key: jax.Array, images: jax.Array, *, severity: int) -> jax.Array:
    """A square at a random place of each of ``images [n, h, w, d]`` is grey."""
    height, width = images.shape[1:3]
    side = max(1, round(HIDDEN[severity - 1] * min(height, width)))
    keys = jax.random.split(key)
    top = jax.random.randint(keys[0], (len(images), 1), 0, height - side + 1)
    left = jax.random.randint(keys[1], (len(images), 1), 0, width - side + 1)
    rows, columns = jnp.arange(height)[None], jnp.arange(width)[None]
    hidden = ((rows >= top) & (rows < top + side))[:, :, None] & ((columns >= left) & (columns < left + side))[:, None]
    return jnp.where(hidden[..., None], 0.5, images)


def pixelate(key: jax.Array, images: jax.Array, *, severity: int) -> jax.Array:
    """``images [n, h, w, d]`` made smaller by the mean over boxes, and as large as before by the nearest pixel."""
    del key
    rows, columns = (pixelation_matrix(size, max(1, int(COARSE[severity - 1] * size))) for size in images.shape[1:3])
    return apply_along(images, rows, columns)


def pixelation_matrix(size: int, smaller: int) -> jax.Array:
    """From a line of `size` pixels to `smaller` boxes and back, as a matrix ``[size, size]``; its rows sum to 1."""
    box = size / smaller
    low, high = jnp.arange(smaller)[:, None] * box, (jnp.arange(smaller)[:, None] + 1) * box
    pixel = jnp.arange(size)[None]
    shrink = jnp.clip(jnp.minimum(high, pixel + 1) - jnp.maximum(low, pixel), 0) / box
    return shrink[jnp.minimum((jnp.arange(size) + 0.5) / box, smaller - 1).astype(jnp.int32)]


def apply_along(images: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """Matrices applied to the rows and the columns of ``images [n, h, w, d]``."""
    return jnp.einsum("ah,bw,nhwd->nabd", rows, columns, images, precision="highest")


CORRUPTIONS: dict[str, Callable[..., jax.Array]] = {
    "gaussian_noise": add_gaussian_noise,
    "gaussian_blur": blur,
    "occlusion": occlude,
    "pixelate": pixelate,
}
