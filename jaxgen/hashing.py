"""Random numbers by a hash of a counter: for draws by the million that no proof rests on.

A key still decides everything. It seeds a counter's hash instead of a block cipher for every number, which on a CPU
takes a tenth of the time.
"""

import math

import jax
import jax.numpy as jnp

# 2^32 divided by the golden ratio: neighbouring counters land far apart (Knuth, The Art of Computer Programming, 6.4).
GOLDEN = 0x9E3779B9


def mix(values: jax.Array) -> jax.Array:
    """An avalanching hash of uint32 (the finalizer of MurmurHash3, A. Appleby)."""
    values = (values ^ (values >> 16)) * jnp.uint32(0x85EBCA6B)
    values = (values ^ (values >> 13)) * jnp.uint32(0xC2B2AE35)
    return values ^ (values >> 16)


def hashed_uniform(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Floats in [0, 1), in steps of 2^-24."""
    return seeded_uniform(draw_seeds(key), shape)


def draw_seeds(key: jax.Array) -> jax.Array:
    """What a key decides: uint32 ``[2]``."""
    return jax.random.bits(key, (2,), jnp.uint32)


def fold_seeds(seeds: jax.Array, number: int | jax.Array) -> jax.Array:
    """Other seeds ``[2]`` for each whole number: `jax.random.fold_in` by hashes, which compile far sooner."""
    return mix(seeds ^ mix(jnp.asarray(number).astype(jnp.uint32) * jnp.uint32(GOLDEN) + jnp.uint32(1)))


def seeded_uniform(seeds: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """`hashed_uniform` by seeds in place of a key."""
    counter = jnp.arange(math.prod(shape), dtype=jnp.uint32) * jnp.uint32(GOLDEN)
    bits = mix(mix(counter + seeds[0]) ^ seeds[1])
    return ((bits >> 8).astype(jnp.float32) * 2.0**-24).reshape(shape)


def seeded_normal(seeds: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Standard normal draws: `normal_quantile` of `seeded_uniform`."""
    return normal_quantile(seeded_uniform(seeds, shape))


def normal_quantile(uniform: jax.Array) -> jax.Array:
    """The normal quantiles at the middles of `seeded_uniform`'s steps: none is beyond 5.5."""
    # Both sums are exact in float32, so that neither end is reached.
    return math.sqrt(2) * jax.lax.erf_inv(2 * uniform + (2.0**-24 - 1))
