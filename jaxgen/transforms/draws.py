"""Random integers, boxes and mixing weights for augmentations; they compile faster than their `jax.random` versions."""

import jax
import jax.numpy as jnp


def draw_below(key: jax.Array, bounds: jax.Array) -> jax.Array:
    """Random integers, int32 in the shape of `bounds`, each uniform in ``0..bound-1``; 0 for a bound below 1.

    It compiles faster than `jax.random.randint`. A uniform float32 is a multiple of 2**-23, so its product with a bound
    never rounds up to the bound.
    """
    return (jax.random.uniform(key, bounds.shape) * jnp.maximum(bounds, 1)).astype(jnp.int32)


def draw_box(key: jax.Array, shape: tuple[int, ...], sides: jax.Array) -> jax.Array:
    """Mask of a box of ``sides [2]`` pixels, centred at a random pixel of an image: bool ``[h, w, 1]``."""
    first = draw_below(key, jnp.array(shape[:2])) - sides // 2
    rows, columns = (jnp.arange(side) - first[axis] for axis, side in enumerate(shape[:2]))
    in_rows, in_columns = (rows >= 0) & (rows < sides[0]), (columns >= 0) & (columns < sides[1])
    return in_rows[:, None, None] & in_columns[None, :, None]


def draw_symmetric_beta(key: jax.Array, alpha: jax.Array) -> jax.Array:
    """A scalar ~ Beta(alpha, alpha) for positive alpha, without the rejection loops of `jax.random.beta`.

    The method is exact. With t from Student's distribution with 2 alpha degrees of freedom,
    ``(1 + t / sqrt(2 alpha + t**2)) / 2`` has this distribution, and t is ``sqrt(2 alpha (u**(-1/alpha) - 1))
    cos(2 pi v)`` of two uniforms u and v (Bailey 1994, "Polar generation of random variates with the t-distribution";
    both in Devroye 1996, "Random variate generation in one line of code").
    """
    u, v = jax.random.uniform(key, (2,))
    cosine = jnp.cos(2 * jnp.pi * v)
    weight = (1 + cosine / jnp.sqrt(cosine**2 + 1 / jnp.expm1(-jnp.log(u) / alpha))) / 2
    # When compiled, the quotient may exceed 1 by a rounding error.
    return jnp.clip(weight, 0, 1)
