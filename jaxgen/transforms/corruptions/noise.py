"""Noise of the sensor: Gaussian, shot, impulse and speckle noise (Hendrycks and Dietterich 2019).

Each takes one ``image [h, w, d]`` of floats in [0, 1], and may return values beyond, which are clipped afterwards.
"""

import jax
import jax.numpy as jnp

from jaxgen.hashing import normal_quantile, seeded_normal, seeded_uniform
from jaxgen.transforms.corruptions.constants import Strength

# Up to this mean Poisson numbers are counted, up to what no draw reaches; above it, their quantiles' expansion is at
# most one off, for one draw in 700 and fewer, as often down as up.
FEW, MOST, AT_ONCE = 5.0, 20, 5


def add_gaussian_noise(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """Independent normal noise on each value."""
    [deviation] = strength.at(severity)
    return image + deviation * seeded_normal(seeds, image.shape)


def add_shot_noise(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """Photons counted: each value a Poisson number over its mean for white."""
    [photons] = strength.at(severity)
    return draw_poisson(seeds, image * photons) / photons


def add_impulse_noise(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """Salt and pepper: a share of the values, each colour for itself, is 0 or 1, equally often."""
    [share] = strength.at(severity)
    drawn = seeded_uniform(seeds, image.shape)
    return jnp.where(drawn < share / 2, 0.0, jnp.where(drawn < share, 1.0, image))


def add_speckle_noise(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """Normal noise in proportion to each value."""
    [deviation] = strength.at(severity)
    return image * (1 + deviation * seeded_normal(seeds, image.shape))


def draw_poisson(seeds: jax.Array, rates: jax.Array) -> jax.Array:
    """Poisson numbers, float32, of means `rates` of 0 or more: their quantiles at uniform draws.

    Quantiles of small means are counted up, those of large ones expanded at a normal quantile (M. Giles, Algorithm 955:
    Approximation of the inverse Poisson cumulative distribution function, ACM TOMS 42, 2016). No loop's length depends
    on the draws, so that all values are drawn side by side.
    """
    uniform = seeded_uniform(seeds, rates.shape)
    normal = normal_quantile(uniform)
    large = jnp.maximum(rates, FEW)
    square, root = normal**2, jnp.sqrt(large)
    expanded = large + root * normal + (1 / 3 + square / 6) - (1 / 36 + square / 72) * normal / root
    expanded += (-8 / 405 + square * (7 / 810 + square / 270)) / large
    drawn = jnp.where(rates > FEW, jnp.maximum(jnp.floor(expanded), 0), 0)
    # Of a mean of 0 nothing is added.
    return count_up(uniform, jnp.where(rates > FEW, 0, rates), drawn)


def count_up(uniform: jax.Array, rates: jax.Array, start: jax.Array) -> jax.Array:
    """Quantiles of Poisson distributions of means up to `FEW`: how many of their cumulated chances are reached.

    Added to `start`: a loop's result is stored, and what is done with it afterwards stays fast on a CPU.
    """

    def add(turn: jax.Array, state: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        count, chance, reached = state
        for i in range(1, AT_ONCE + 1):
            count += jnp.where(uniform < reached, 0.0, 1.0)
            chance *= rates * (1 / (AT_ONCE * turn + i))
            reached += chance
        return count, chance, reached

    none = jnp.exp(-rates)
    # A few at a time: all in one program, or each in a loop's step, take three times as long on a CPU.
    return jax.lax.fori_loop(0, MOST // AT_ONCE, add, (start, none, none))[0]
