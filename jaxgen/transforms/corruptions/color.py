"""Light and colour: brightness, contrast, saturation (Hendrycks and Dietterich 2019), fewer levels and inversion (Mu
and Gilmer 2019); night and greyness.

One ``image [h, w, d]`` of floats in [0, 1] in, one out, to be clipped.
"""

import jax
import jax.numpy as jnp

from jaxgen.hashing import seeded_normal
from jaxgen.transforms.augment import to_grey
from jaxgen.transforms.corruptions.constants import Strength

# What a wholly cool light takes from red and green, and gives to blue.
COOLING = (-0.5, -0.2, 0.3)


def brighten(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """The value of HSV raised by a number; hue and saturation stay."""
    del seeds
    [rise] = strength.at(severity)
    value = image.max(2, keepdims=True)
    lighter = jnp.minimum(value + rise, 1)
    return jnp.where(value > 0, image * (lighter / jnp.maximum(value, 1e-6)), lighter)


def reduce_contrast(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """Each colour closer to its mean over the image."""
    del seeds
    [share] = strength.at(severity)
    mean = image.mean((0, 1), keepdims=True)
    return mean + share * (image - mean)


def saturate(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """The saturation of HSV times a number plus another, in images with colours.

    Grey has the hue of red, as in the published code's HSV: with the second number it turns reddish.
    """
    del seeds
    if image.shape[2] != 3:
        return image
    factor, rise = strength.at(severity)
    value = image.max(2, keepdims=True)
    spread = value - image.min(2, keepdims=True)
    saturation = jnp.clip(factor * spread / jnp.maximum(value, 1e-6) + rise, 0, 1)
    # How far below the largest colour each is, as a share of how far the lowest is.
    depth = jnp.where(spread > 0, (value - image) / jnp.maximum(spread, 1e-6), jnp.array([0.0, 1, 1])[None, None])
    return value * (1 - saturation * depth)


def posterize(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """Only as many levels as some bits have, each value the nearest."""
    del seeds
    [bits] = strength.at(severity)
    steps = 2**bits - 1
    return jnp.round(image * steps) / steps


def invert(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """A share of the way to the negative; at severity 5 the negative."""
    del seeds
    [share] = strength.at(severity)
    return image + share * (1 - 2 * image)


def darken(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """Night: less light, a steeper curve, a cool tint if there are colours, and the noise of a sensor in the dark."""
    light, exponent, coolness, deviation = strength.at(severity)
    tint = 1 + coolness * jnp.array(COOLING if image.shape[2] == 3 else (0.0,) * image.shape[2])
    return light * image**exponent * tint[None, None] + deviation * seeded_normal(seeds, image.shape)


def lose_color(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """A share of the way to grey, in images with colours; at severity 5 grey."""
    del seeds
    [share] = strength.at(severity)
    return image + share * (to_grey(image) - image)
