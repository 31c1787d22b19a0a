"""Hashed draws are as random as their users need: even, and independent of place, of neighbours and of other keys."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from jaxgen.hashing import hashed_uniform, mix

KEYS = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(0), i))(jnp.arange(400))


def draws(shape=(500,)):
    return np.asarray(jax.vmap(lambda key: hashed_uniform(key, shape))(KEYS))


def test_draws_are_uniform_over_places_and_over_keys():
    found = draws()
    assert found.min() >= 0
    assert found.max() < 1
    for values in (found.ravel(), found[0], found[:, 0], found[:, 499]):
        assert stats.kstest(values, "uniform").pvalue > 1e-3


def test_neighbours_and_keys_are_uncorrelated():
    found = draws() - 0.5
    bound = 4 / np.sqrt(found.size)
    for lag in (1, 2, 7, 128):
        assert abs(np.corrcoef(found[:, lag:].ravel(), found[:, :-lag].ravel())[0, 1]) < bound
        assert abs(np.corrcoef(found[lag:].ravel(), found[:-lag].ravel())[0, 1]) < bound


def test_how_many_fall_below_a_rate_varies_as_it_should():
    """The count of dropped units of an example is binomial, in its mean and its variance."""
    counts = (draws() < 0.3).sum(1)
    assert abs(counts.mean() - 150) < 4 * np.sqrt(500 * 0.3 * 0.7 / 400)
    assert 0.8 < counts.var(ddof=1) / (500 * 0.3 * 0.7) < 1.25


def test_a_key_decides_and_a_shape_only_arranges():
    np.testing.assert_array_equal(hashed_uniform(KEYS[3], (20, 25)).ravel(), hashed_uniform(KEYS[3], (500,)))
    assert (hashed_uniform(KEYS[3], (500,)) != hashed_uniform(KEYS[4], (500,))).mean() > 0.99


def test_mixing_flips_half_of_the_bits():
    values = jnp.arange(2000, dtype=jnp.uint32)
    flipped = np.asarray(mix(values) ^ mix(values ^ jnp.uint32(1)))
    assert abs(np.unpackbits(flipped.view(np.uint8)).mean() - 0.5) < 0.01
