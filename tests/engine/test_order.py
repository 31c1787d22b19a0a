"""The order of examples: a permutation, a different one each time, and as good as a uniform one."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.engine.order import permute
from jaxgen.experiments.longtail.class_order import VISIT, draw_class_aware, group_by_class

many = jax.jit(jax.vmap(permute, (0, None, None)))


def permutations(count, size, seed=0, positions=None):
    positions = size if positions is None else positions
    return np.asarray(many(jax.random.split(jax.random.key(seed), count), jnp.arange(positions), jnp.int32(size)))


@pytest.mark.parametrize(
    "size", [1, 2, 5, 16, 1617, *(pytest.param(size, marks=pytest.mark.slow) for size in (3, 4, 15, 17, 65_537))]
)
def test_every_size_is_permuted(size):
    for order in permutations(3, size):
        np.testing.assert_array_equal(np.sort(order), np.arange(size))


def test_positions_beyond_the_size_come_back_as_zero():
    orders = permutations(5, 10, positions=16)
    assert (orders[:, 10:] == 0).all()
    assert (np.sort(orders[:, :10], axis=1) == np.arange(10)).all()


def test_the_size_is_traced():
    permutations(4, 7, positions=12)
    before = many._cache_size()
    for size in (8, 9, 12):
        permutations(4, size, positions=12)
    assert many._cache_size() == before


def test_keys_decide_and_nothing_else():
    first, again = permutations(6, 100), permutations(6, 100)
    np.testing.assert_array_equal(first, again)
    assert len({tuple(order) for order in first}) == 6


def chi_square(counts):
    """Standardised: about a standard normal for uniform counts."""
    expected = counts.sum() / counts.size
    return (((counts - expected) ** 2 / expected).sum() - (counts.size - 1)) / np.sqrt(2 * (counts.size - 1))


def test_each_place_gets_each_example_equally_often():
    orders = permutations(20_000, 12)
    counts = np.stack([np.bincount(orders[:, place], minlength=12) for place in range(12)])
    assert abs(chi_square(counts)) < 5


@pytest.mark.parametrize("size", [2, 3, 4, 5, 6])
def test_small_permutations_are_uniform(size):
    count = 100_000
    orders = permutations(count, size, seed=4, positions=7)[:, :size]
    _, times = np.unique(orders @ (size ** np.arange(size)), return_counts=True)
    cells = math.factorial(size)
    assert len(times) == cells
    distance = np.abs(times / count - 1 / cells).sum() / 2
    # The expected distance of as many draws of a uniform permutation; a Feistel network is 0.14 away at 5.
    expected = np.sqrt((cells - 1) / (2 * np.pi * count))
    assert distance < expected + 4 / np.sqrt(count)


@pytest.mark.parametrize("size", [9, 25, 49])
def test_both_parities_are_as_likely(size):
    signs = [np.linalg.det(np.eye(size)[order]) for order in permutations(2000, size, seed=5)]
    assert abs(np.mean(signs)) < 4 / np.sqrt(2000)


@pytest.mark.parametrize("size", [63, 64])
def test_pairs_are_uniform_on_both_sides_of_the_border(size):
    orders = permutations(20_000, size, seed=6)
    counts = np.bincount(orders[:, 0] * size + orders[:, 1], minlength=size**2).reshape(size, size)
    assert abs(chi_square(counts[~np.eye(size, dtype=bool)])) < 5
    assert not np.diag(counts).any()


def test_neighbours_are_not_correlated():
    orders = permutations(20_000, 12, seed=1)
    steps = (orders[:, 1] - orders[:, 0]) % 12
    assert abs(chi_square(np.bincount(steps, minlength=12)[1:])) < 5
    big = permutations(50, 3001, seed=2)
    lag = [np.corrcoef(order[:-1], order[1:])[0, 1] for order in big]
    assert abs(np.mean(lag)) < 5 / np.sqrt(50 * 3000)


def test_orders_of_two_keys_are_unrelated():
    orders = permutations(400, 200, seed=3).astype(float)
    correlation = np.corrcoef(orders)[np.triu_indices(400, 1)]
    assert abs(correlation.mean()) < 0.002
    np.testing.assert_allclose(correlation.std(), 1 / np.sqrt(199), rtol=0.05)


LABELS = jnp.array([0] * 23 + [1] * 9 + [3] * 2 + [0] * 6, jnp.int32)


def streamed(key, count, chosen=None):
    groups = group_by_class(LABELS, jnp.ones(len(LABELS), bool) if chosen is None else chosen, 4)
    return np.asarray(draw_class_aware(key, count, groups))


def test_classes_come_alike_often_in_shuffled_cycles():
    drawn = np.asarray(LABELS)[streamed(jax.random.key(0), 240)].reshape(-1, VISIT)
    # A visit is of one class; every cycle of three visits has each class that there is.
    assert (drawn == drawn[:, :1]).all()
    cycles = drawn[:, 0].reshape(-1, 3)
    assert (np.sort(cycles, axis=1) == [0, 1, 3]).all()
    assert len({tuple(cycle) for cycle in cycles}) > 2


def test_all_examples_of_a_class_come_before_one_comes_again():
    drawn = streamed(jax.random.key(0), 720)
    for one, count in ((0, 29), (1, 9), (3, 2)):
        own = drawn[np.asarray(LABELS)[drawn] == one]
        rounds = own[: len(own) // count * count].reshape(-1, count)
        assert (np.sort(rounds, axis=1) == np.flatnonzero(np.asarray(LABELS) == one)).all()
        assert (rounds[0] != rounds[1]).any() or count == 2


@pytest.mark.slow
def test_who_is_left_out_does_not_come_and_the_key_decides():
    left_out = jnp.arange(len(LABELS)) % 2 == 0
    drawn = streamed(jax.random.key(0), 300, ~left_out)
    assert not np.asarray(left_out)[drawn].any()
    assert {*drawn} == {*np.flatnonzero(~np.asarray(left_out))}
    assert (streamed(jax.random.key(1), 300, ~left_out) != drawn).any()
    np.testing.assert_array_equal(streamed(jax.random.key(0), 300, ~left_out), drawn)
    # A shorter stream is the beginning of a longer one.
    groups = group_by_class(LABELS, ~left_out, 4)
    part = draw_class_aware(jax.random.key(0), 137, groups)
    np.testing.assert_array_equal(part, drawn[:137])
