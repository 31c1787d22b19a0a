"""Sensor noise: Gaussian, shot, impulse and speckle noise (Hendrycks and Dietterich 2019).

Functions map one ``image [h, w, d]`` of floats in [0, 1] to another, which is clipped afterwards.
"""

import jax
import jax.numpy as jnp

from jaxgen.hashing import normal_quantile, seeded_normal, seeded_uniform
from jaxgen.transforms.corruptions.constants import Strength

# Poisson quantiles of means up to FEW are counted, at most to MOST, which no draw exceeds, AT_ONCE a step. Above FEW
# they are expanded; the expansion is off by one for at most one draw in 700, equally often in either direction.
FEW, MOST, AT_ONCE = 5.0, 20, 5


def add_gaussian_noise(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """Adds independent Gaussian noise to each value."""
    [deviation] = strength.at(severity)
    return image + deviation * seeded_normal(seeds, image.shape)


def add_shot_noise(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """Photon noise: each value is a Poisson draw divided by the number of photons of a white pixel."""
    [photons] = strength.at(severity)
    return draw_poisson(seeds, image * photons) / photons


def add_impulse_noise(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """Salt and pepper: sets a fraction of the values, independently in each channel, to 0 or 1, equally often."""
    [share] = strength.at(severity)
    draws = seeded_uniform(seeds, image.shape)
    return jnp.where(draws < share / 2, 0.0, jnp.where(draws < share, 1.0, image))


def add_speckle_noise(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """Adds Gaussian noise in proportion to each value."""
    [deviation] = strength.at(severity)
    return image * (1 + deviation * seeded_normal(seeds, image.shape))


def draw_poisson(seeds: jax.Array, rates: jax.Array) -> jax.Array:
    """Poisson draws, float32, with nonnegative means `rates`, by inversion of the distribution function.

    Small means are inverted by counting, large ones by an expansion at a normal quantile (M. Giles, Algorithm 955:
    Approximation of the inverse Poisson cumulative distribution function, ACM TOMS 42, 2016). Loops have a fixed
    length, so that all values are drawn in parallel.
    """
    uniform = seeded_uniform(seeds, rates.shape)
    normal = normal_quantile(uniform)
    large = jnp.maximum(rates, FEW)
    square, root = normal**2, jnp.sqrt(large)
    expanded = large + root * normal + (1 / 3 + square / 6) - (1 / 36 + square / 72) * normal / root
    expanded += (-8 / 405 + square * (7 / 810 + square / 270)) / large
    drawn = jnp.where(rates > FEW, jnp.maximum(jnp.floor(expanded), 0), 0)
    # A mean of 0 adds nothing.
    return count_up(uniform, jnp.where(rates > FEW, 0, rates), drawn)


def count_up(uniform: jax.Array, rates: jax.Array, start: jax.Array) -> jax.Array:
    """Adds to `start` the Poisson quantiles at `uniform`, for means `rates` up to `FEW`.

    A quantile is the number of cumulative probabilities that a draw reaches. The loop starts from `start`, because it
    materializes its result, which XLA on a CPU would otherwise recompute for each use.
    """

    def add(step: jax.Array, state: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        count, probability, cumulative = state
        for i in range(1, AT_ONCE + 1):
            count += jnp.where(uniform < cumulative, 0.0, 1.0)
            probability *= rates * (1 / (AT_ONCE * step + i))
            cumulative += probability
        return count, probability, cumulative

    zero = jnp.exp(-rates)
    # A few at a time: fully unrolled, or with one a step, it takes three times as long on a CPU.
    return jax.lax.fori_loop(0, MOST // AT_ONCE, add, (start, zero, zero))[0]
