"""What files and screens do: coarse pixels, JPEG (Hendrycks and Dietterich 2019); stripes (Mu and Gilmer 2019); a part
hidden. One ``image [h, w, d]`` of floats in [0, 1] in, one out."""

import io

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.hashing import seeded_uniform
from jaxgen.transforms.corruptions.constants import Strength
from jaxgen.transforms.corruptions.matrices import apply_along, pixelation_matrix


def pixelate(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """Made smaller by the mean over boxes, and as large as before by the nearest box."""
    del seeds
    sides = [
        strength.choose(severity, lambda share, size=size: pixelation_matrix(size, max(1, int(size * share))))
        for size in image.shape[:2]
    ]
    return apply_along(image, *sides)


def compress_jpeg(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """Written as a JPEG by Pillow, on the host, and read again: with 8 bits a value."""
    del seeds
    [quality] = strength.at(severity)
    values = jnp.round(255 * jnp.clip(image, 0, 1)).astype(jnp.uint8)
    result = jax.ShapeDtypeStruct(image.shape, jnp.uint8)
    found = jax.pure_callback(through_jpeg, result, values, quality, vmap_method="broadcast_all")
    return found.astype(jnp.float32) / 255


def through_jpeg(images: np.ndarray, qualities: np.ndarray) -> np.ndarray:
    """``images [..., h, w, d]`` uint8 as they come back from JPEG files of ``qualities [...]``."""
    from PIL import Image
    from PIL.JpegImagePlugin import JpegImageFile

    images, qualities = np.asarray(images), np.asarray(qualities)
    found = np.empty_like(images)
    for place in np.ndindex(qualities.shape):
        pixels = images[place]
        file = io.BytesIO()
        Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0]).save(
            file, "JPEG", quality=int(qualities[place])
        )
        file.seek(0)
        found[place] = np.asarray(JpegImageFile(file)).reshape(pixels.shape)
    return found


def stripe(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """The negative in two stripes, at the left and at the right; at severity 5 a quarter of the width each."""
    del seeds
    [share] = strength.at(severity)
    width = image.shape[1]
    size = jnp.maximum(jnp.round(share * width), 1)
    columns = jnp.arange(width)
    inside = (columns < size) | (columns >= width - size)
    return jnp.where(inside[None, :, None], 1 - image, image)


def occlude(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """A square at a random place is grey."""
    [share] = strength.at(severity)
    height, width = image.shape[:2]
    side = jnp.maximum(jnp.round(share * min(height, width)), 1)
    drawn = seeded_uniform(seeds, (2,))
    inside = []
    for size, at in zip((height, width), drawn, strict=True):
        first = jnp.floor(at * (size - side + 1))
        places = jnp.arange(size)
        inside.append((places >= first) & (places < first + side))
    return jnp.where((inside[0][:, None] & inside[1][None])[:, :, None], 0.5, image)
