"""The laws of the three subset designs, and what balance buys on a population whose answer is known."""

import functools

import jax
import numpy as np
import pytest

from jaxgen.scores import designs

N = 47


@functools.cache
def drawer(count):
    root = jax.random.key(5)
    return jax.jit(jax.vmap(lambda row: designs.draw_subset(root, row, count)))


def subsets(design, ratio, indices, count=N):
    return np.asarray(drawer(count)(designs.subset_rows(design, ratio, count, np.asarray(indices))))


RATIOS = [0.05, 0.1, 0.3, 1 / 3, 0.5, 0.7, 0.75, 0.9, 0.95]


@pytest.mark.parametrize(
    ("ratio", "shape"),
    [(0.9, (10, 1)), (0.5, (2, 1)), (0.7, (10, 3)), (0.8, (5, 1)), (0.1, (10, 9)), (0.95, (20, 1)), (0.6, (5, 2)),
     (1 / 3, (3, 2)), (0.333333, (3, 2)), (0.123, (0, 0)), (0.99, (0, 0))],
)  # fmt: skip
def test_the_smallest_block_is_found(ratio, shape):
    assert designs.block_shape("balanced", ratio) == shape
    assert designs.block_shape("independent", ratio) == (0, 0)


@pytest.mark.parametrize("ratio", RATIOS)
def test_in_a_block_every_example_is_held_out_equally_often(ratio):
    parts, held = designs.block_shape("balanced", ratio)
    masks = subsets("balanced", ratio, range(3 * parts))
    for block in masks.reshape(3, parts, N):
        assert ((~block).sum(0) == held).all()


@pytest.mark.parametrize("design", ["balanced", "independent", "nested"])
@pytest.mark.parametrize("ratio", [*RATIOS, 0.123])
def test_sizes_stay_within_what_is_said(design, ratio):
    sizes = subsets(design, ratio, range(40)).sum(1)
    smallest, largest = designs.subset_sizes(design, ratio, N)
    assert sizes.min() >= smallest
    assert sizes.max() <= largest
    assert abs(sizes.mean() - ratio * N) < 1.01 * max(1, designs.block_shape(design, ratio)[1])


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.7, 0.9])
def test_each_example_and_pair_is_trained_on_as_often_as_in_a_uniform_draw(ratio):
    masks = subsets("balanced", ratio, range(0, 40_000, 10))  # one run of each block: independent of each other
    share = masks.mean(0)
    assert np.abs(share - ratio).max() < 5 * np.sqrt(ratio * (1 - ratio) / len(masks))
    pairs = (masks[:, 0:1] & masks[:, 1:]).mean()
    size = masks.sum(1).mean()
    assert abs(pairs - size * (size - 1) / (N * (N - 1))) < 0.01


def test_a_subset_depends_on_its_row_alone():
    together = subsets("balanced", 0.7, range(20))
    alone = np.concatenate([subsets("balanced", 0.7, [i]) for i in range(20)])
    np.testing.assert_array_equal(together, alone)


def test_nested_subsets_are_nested_and_share_their_keys():
    small, large = (subsets("nested", ratio, range(10)) for ratio in (0.3, 0.6))
    assert (small <= large).all()
    rows = [designs.subset_rows("nested", ratio, N, np.arange(3)) for ratio in (0.3, 0.6)]
    keys = [jax.random.key_data(jax.vmap(functools.partial(designs.run_key, jax.random.key(0)))(row)) for row in rows]
    np.testing.assert_array_equal(*keys)


def test_ratios_of_other_designs_are_independent_streams():
    small, large = (subsets("independent", ratio, range(10)) for ratio in (0.3, 0.6))
    assert not (small <= large).all()


def population(rng, count, strength):
    """Runs whose answer on i is a coin that depends on which other examples they trained on: known expectation."""
    weights = rng.normal(0, strength, (count, count)) / np.sqrt(count)
    base = rng.uniform(0.15, 0.85, count)
    return weights, base


def simulate(design, ratio, runs, repeats, strength=0.6, count=40, seed=0):
    """(estimates [repeats, n] with NaN where never held out, true scores [n])."""
    rng = np.random.default_rng(seed)
    weights, base = population(rng, count, strength)
    masks = subsets(design, ratio, range(runs * repeats), count)
    probability = np.clip(base + (masks - ratio) @ weights.T, 0, 1)
    hits = (rng.uniform(size=masks.shape) < probability) & ~masks
    held = ~masks
    with np.errstate(invalid="ignore"):
        return (hits.reshape(repeats, runs, count).sum(1) / held.reshape(repeats, runs, count).sum(1)), (weights, base)


def truth(weights, base, ratio, seed=9, draws=40_000):
    """The expectation for held-out examples, by brute force over independent draws."""
    rng = np.random.default_rng(seed)
    count = len(base)
    size = int(ratio * count)
    masks = rng.random((draws, count)).argsort(1).argsort(1) < size
    probability = np.clip(base + (masks - ratio) @ weights.T, 0, 1)
    return (probability * ~masks).sum(0) / (~masks).sum(0)


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.7, 0.9])
def test_balance_is_unbiased_and_no_worse_at_equal_cost(ratio):
    repeats, runs = 400, 20
    error = {}
    for design in ("balanced", "independent"):
        estimates, (weights, base) = simulate(design, ratio, runs, repeats)
        true = truth(weights, base, ratio)
        error[design] = np.nanmean((estimates - true) ** 2)
        bias = np.nanmean(estimates, 0) - true
        standard = np.nanstd(estimates, 0) / np.sqrt(np.isfinite(estimates).sum(0)) + 0.004
        assert (np.abs(bias) < 4.5 * standard).all(), f"{design} is biased"
    assert error["balanced"] < 0.97 * error["independent"]
    print(f"ratio {ratio}: mean squared error {error['balanced'] / error['independent']:.2f} times independent's")


def test_ten_runs_at_ratio_09_leave_nobody_out():
    held = (~subsets("balanced", 0.9, range(10))).sum(0)
    assert (held == 1).all()
    unseen = np.mean([(~subsets("independent", 0.9, range(10 * i, 10 * i + 10))).sum(0) == 0 for i in range(40)])
    assert 0.3 < unseen < 0.4
