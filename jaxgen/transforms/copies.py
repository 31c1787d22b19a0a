"""Noise on copies of examples: uniform, Gaussian, salt and pepper; each of any width, and cut to a range or not.

All kinds read one uniform draw for each value, so that members which differ in kind or width only are noisy in the same
places. A width of 0 is the identity to the bit. Draws are hashes of a counter (`jaxgen.hashing`): a copy is drawn
again whenever it is seen, and is the same each time.
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from jaxgen.hashing import hashed_uniform

Kind = Callable[[jax.Array, jax.Array, jax.Array, jax.Array, jax.Array], jax.Array]


def add_uniform(draw: jax.Array, values: jax.Array, width: jax.Array, low: jax.Array, high: jax.Array) -> jax.Array:
    """Adds what is uniform in [0, width)."""
    del low, high
    return values + width * draw


def add_gaussian(draw: jax.Array, values: jax.Array, width: jax.Array, low: jax.Array, high: jax.Array) -> jax.Array:
    """Adds what is normal of standard deviation `width`."""
    del low, high
    # A draw of 0 would be infinitely far out: the next float it is.
    inside = jnp.maximum(2 * draw - 1, jnp.nextafter(jnp.float32(-1), jnp.float32(0)))
    return values + width * jnp.sqrt(2.0) * jax.lax.erf_inv(inside)


def set_extremes(draw: jax.Array, values: jax.Array, width: jax.Array, low: jax.Array, high: jax.Array) -> jax.Array:
    """Sets a share `width` of the values: half to `low` (pepper), half to `high` (salt)."""
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
    """One copy of an example.

    Args:
      key: which copy.
      values: float32 ``[h, w, d]`` or ``[f]``, as a network sees them.
      widths: by names in `KINDS`, scalars; kinds that are not there are not in the program.
      clipped: scalar; above 0 the values are cut to the range.
      low, high: the range of the values, each one number or one a feature ``[f]``.
    """
    low, high = (jnp.broadcast_to(jnp.asarray(end, values.dtype), values.shape) for end in (low, high))
    draw, found = hashed_uniform(key, values.shape), values
    for name, width in widths.items():
        found = jnp.where(width > 0, KINDS[name](draw, found, width, low, high), found)
    return jnp.where(clipped > 0, jnp.clip(found, low, high), found)
