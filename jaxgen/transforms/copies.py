"""Noise on copies of examples: uniform, Gaussian, or salt and pepper, with a traced width and optional clipping.

All kinds transform the same uniform draw for each value, so members that differ only in kind or width share their
draws. A width of 0 is exactly the identity. Draws come from `jaxgen.hashing`: a copy is generated anew whenever it is
used, and is the same each time.
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from jaxgen.hashing import hashed_uniform

Kind = Callable[[jax.Array, jax.Array, jax.Array, jax.Array, jax.Array], jax.Array]


def add_uniform(draw: jax.Array, values: jax.Array, width: jax.Array, low: jax.Array, high: jax.Array) -> jax.Array:
    """Adds noise that is uniform in [0, width)."""
    del low, high
    return values + width * draw


def add_gaussian(draw: jax.Array, values: jax.Array, width: jax.Array, low: jax.Array, high: jax.Array) -> jax.Array:
    """Adds Gaussian noise of standard deviation `width`."""
    del low, high
    # A draw of 0 would give an infinite value.
    inside = jnp.maximum(2 * draw - 1, jnp.nextafter(jnp.float32(-1), jnp.float32(0)))
    return values + width * jnp.sqrt(2.0) * jax.lax.erf_inv(inside)


def set_extremes(draw: jax.Array, values: jax.Array, width: jax.Array, low: jax.Array, high: jax.Array) -> jax.Array:
    """Sets a fraction `width` of the values, half of them to `low` (pepper) and half to `high` (salt)."""
    return jnp.where(draw < width / 2, low, jnp.where(draw >= 1 - width / 2, high, values))


KINDS: dict[str, Kind] = {
    "uniform_noise": add_uniform,
    "gaussian_noise": add_gaussian,
    "salt_and_pepper": set_extremes,
}


def disturb(
    key: jax.Array,
    values: jax.Array,
    *,
    widths: Mapping[str, jax.Array],
    clipped: jax.Array,
    low: jax.Array | float,
    high: jax.Array | float,
) -> jax.Array:
    """A noisy copy of an example.

    Args:
      key: determines the copy.
      values: float32 ``[h, w, d]`` or ``[f]``, as given to a network.
      widths: scalars by name of `KINDS`; other kinds are left out of the program.
      clipped: scalar; if positive, the copy is clipped to the range.
      low, high: range of the values, a scalar or one for each feature ``[f]``.
    """
    low, high = (jnp.broadcast_to(jnp.asarray(end, values.dtype), values.shape) for end in (low, high))
    draw, noisy = hashed_uniform(key, values.shape), values
    for name, width in widths.items():
        noisy = jnp.where(width > 0, KINDS[name](draw, noisy, width, low, high), noisy)
    return jnp.where(clipped > 0, jnp.clip(noisy, low, high), noisy)
