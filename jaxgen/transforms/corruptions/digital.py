"""Digital corruptions: pixelation, JPEG (Hendrycks and Dietterich 2019), stripes (Mu and Gilmer 2019), occlusion.

Functions map one ``image [h, w, d]`` of floats in [0, 1] to another.
"""

import io

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.hashing import seeded_uniform
from jaxgen.transforms.corruptions.constants import Strength
from jaxgen.transforms.corruptions.matrices import apply_along, pixelation_matrix


def pixelate(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """Downsamples by the mean over boxes, and upsamples by the nearest box."""
    del seeds
    sides = [
        strength.choose(severity, lambda share, size=size: pixelation_matrix(size, max(1, int(size * share))))
        for size in image.shape[:2]
    ]
    return apply_along(image, *sides)


def compress_jpeg(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """JPEG compression by Pillow, on the host, of values rounded to 8 bits."""
    del seeds
    [quality] = strength.at(severity)
    values = jnp.round(255 * jnp.clip(image, 0, 1)).astype(jnp.uint8)
    result = jax.ShapeDtypeStruct(image.shape, jnp.uint8)
    compressed = jax.pure_callback(through_jpeg, result, values, quality, vmap_method="broadcast_all")
    return compressed.astype(jnp.float32) / 255


def through_jpeg(images: np.ndarray, qualities: np.ndarray) -> np.ndarray:
    """Encodes and decodes ``images [..., h, w, d]``, uint8, as JPEG of ``qualities [...]``."""
    from PIL import Image
    from PIL.JpegImagePlugin import JpegImageFile

    images, qualities = np.asarray(images), np.asarray(qualities)
    decoded = np.empty_like(images)
    for index in np.ndindex(qualities.shape):
        pixels = images[index]
        file = io.BytesIO()
        Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0]).save(
            file, "JPEG", quality=int(qualities[index])
        )
        file.seek(0)
        decoded[index] = np.asarray(JpegImageFile(file)).reshape(pixels.shape)
    return decoded


def stripe(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """Inverts two stripes at the left and right; at severity 5 each is a quarter of the width."""
    del seeds
    [share] = strength.at(severity)
    width = image.shape[1]
    size = jnp.maximum(jnp.round(share * width), 1)
    columns = jnp.arange(width)
    inside = (columns < size) | (columns >= width - size)
    return jnp.where(inside[None, :, None], 1 - image, image)


def occlude(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """Covers a random square with grey."""
    [share] = strength.at(severity)
    height, width = image.shape[:2]
    side = jnp.maximum(jnp.round(share * min(height, width)), 1)
    draws = seeded_uniform(seeds, (2,))
    inside = []
    for size, draw in zip((height, width), draws, strict=True):
        first = jnp.floor(draw * (size - side + 1))
        pixels = jnp.arange(size)
        inside.append((pixels >= first) & (pixels < first + side))
    return jnp.where((inside[0][:, None] & inside[1][None])[:, :, None], 0.5, image)
