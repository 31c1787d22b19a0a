"""Lighting and colour: brightness, contrast, saturation (Hendrycks and Dietterich 2019), posterization and inversion
(Mu and Gilmer 2019), night and greyscale.

Functions map one ``image [h, w, d]`` of floats in [0, 1] to another, which is clipped afterwards.
"""

import jax
import jax.numpy as jnp

from jaxgen.hashing import seeded_normal
from jaxgen.transforms.augment import to_grey
from jaxgen.transforms.corruptions.constants import Strength

# Relative change of red, green and blue in the coolest light.
COOLING = (-0.5, -0.2, 0.3)


def brighten(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """Adds a constant to the value of HSV; hue and saturation are kept."""
    del seeds
    [rise] = strength.at(severity)
    value = image.max(2, keepdims=True)
    lighter = jnp.minimum(value + rise, 1)
    return jnp.where(value > 0, image * (lighter / jnp.maximum(value, 1e-6)), lighter)


def reduce_contrast(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """Moves each channel towards its mean over the image."""
    del seeds
    [share] = strength.at(severity)
    mean = image.mean((0, 1), keepdims=True)
    return mean + share * (image - mean)


def saturate(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """Multiplies the saturation of HSV by a constant and adds another; grey images are returned unchanged.

    As in the published code, grey pixels have the hue of red, so the second constant makes them reddish.
    """
    del seeds
    if image.shape[2] != 3:
        return image
    factor, rise = strength.at(severity)
    value = image.max(2, keepdims=True)
    spread = value - image.min(2, keepdims=True)
    saturation = jnp.clip(factor * spread / jnp.maximum(value, 1e-6) + rise, 0, 1)
    # Distance of each channel below the largest, as a fraction of that of the smallest.
    depth = jnp.where(spread > 0, (value - image) / jnp.maximum(spread, 1e-6), jnp.array([0.0, 1, 1])[None, None])
    return value * (1 - saturation * depth)


def posterize(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """Rounds each value to the nearest of ``2**bits`` levels."""
    del seeds
    [bits] = strength.at(severity)
    steps = 2**bits - 1
    return jnp.round(image * steps) / steps


def invert(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """Blends the image with its negative; at severity 5 it is the negative."""
    del seeds
    [share] = strength.at(severity)
    return image + share * (1 - 2 * image)


def darken(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """Night: less light, a power curve, a cool tint for colour images, and Gaussian sensor noise."""
    light, exponent, coolness, deviation = strength.at(severity)
    tint = 1 + coolness * jnp.array(COOLING if image.shape[2] == 3 else (0.0,) * image.shape[2])
    return light * image**exponent * tint[None, None] + deviation * seeded_normal(seeds, image.shape)


def lose_color(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """Blends a colour image with its luma; at severity 5 it is grey."""
    del seeds
    [share] = strength.at(severity)
    return image + share * (to_grey(image) - image)
