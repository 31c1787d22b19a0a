"""Label noise: its laws, its marginals, and small cases by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.transforms.labels import KINDS, corrupt_cyclic, corrupt_pairs, make_noise

C, N = 5, 20_000
LABELS = jnp.asarray(np.random.default_rng(0).integers(0, C, N), jnp.int32)
MATRIX = np.array(
    [[0.7, 0.3, 0, 0, 0], [0, 1, 0, 0, 0], [0.1, 0.2, 0.4, 0.2, 0.1], [0, 0, 0, 0, 1], [0.2] * 5], np.float32
)
IMAGES = jnp.asarray(np.random.default_rng(1).random((N, 3, 3, 1)), jnp.float32)
KEY = jax.random.key(7)
NESTED = sorted(set(KINDS) - {"permutation", "instance"})


def noisy(kind, rate, key=KEY, labels=LABELS, classes=C):
    return make_noise(kind, classes, MATRIX)(key, labels, rate, IMAGES[: len(labels)])


@pytest.mark.parametrize("kind", KINDS)
def test_rate_zero_is_the_identity(kind):
    found = noisy(kind, 0.0)
    np.testing.assert_array_equal(found.labels, LABELS)
    assert not found.changed.any()


@pytest.mark.parametrize("kind", KINDS)
def test_the_mask_is_exactly_what_changed_and_labels_stay_classes(kind):
    found = noisy(kind, 0.6)
    np.testing.assert_array_equal(found.changed, found.labels != LABELS)
    assert found.labels.dtype == LABELS.dtype
    assert found.labels.min() >= 0
    assert found.labels.max() < C
    assert found.changed.any()


@pytest.mark.parametrize("kind", KINDS)
def test_same_key_same_labels_other_key_others(kind):
    first, again, other = noisy(kind, 0.5), noisy(kind, 0.5), noisy(kind, 0.5, jax.random.key(8))
    np.testing.assert_array_equal(first.labels, again.labels)
    assert (np.asarray(first.labels) != other.labels).any()


@pytest.mark.parametrize("kind", KINDS)
def test_a_traced_rate_gives_the_concrete_rates_result(kind):
    traced = jax.jit(lambda rate: noisy(kind, rate))(0.4)
    mapped = jax.vmap(lambda rate: noisy(kind, rate))(jnp.array([0.0, 0.4]))
    np.testing.assert_array_equal(traced.labels, noisy(kind, 0.4).labels)
    np.testing.assert_array_equal(mapped.labels[1], traced.labels)
    np.testing.assert_array_equal(mapped.labels[0], LABELS)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"instance"}))
def test_a_rate_may_be_one_an_example(kind):
    rates = jnp.where(jnp.arange(N) % 2, 0.0, 1.0)
    found = noisy(kind, rates)
    assert not found.changed[1::2].any()
    assert found.changed[::2].any()


@pytest.mark.parametrize("kind", NESTED)
def test_what_a_low_rate_changes_a_high_rate_changes_alike(kind):
    low, high = noisy(kind, 0.3), noisy(kind, 0.7)
    np.testing.assert_array_equal(high.labels[low.changed], low.labels[low.changed])


@pytest.mark.parametrize(
    ("kind", "share"), [("uniform", 1 - 1 / C), ("others", 1.0), ("cyclic", 1.0), ("pairs", 0.8), ("instance", 1.0)]
)
@pytest.mark.parametrize("rate", [0.25, 1.0])
def test_so_many_labels_change(kind, share, rate):
    # Instance noise with a rate of its own for each, normal around the given one and cut at 0 and 1.
    changed = float(noisy(kind, rate).changed.mean())
    assert abs(changed - rate * share) < 0.015


def test_uniform_noise_is_uniform_over_all_classes_and_others_over_the_other():
    for kind, own in (("uniform", 1 / C), ("others", 0.0)):
        found = np.asarray(noisy(kind, 1.0).labels)
        for true in range(C):
            shares = np.bincount(found[np.asarray(LABELS) == true], minlength=C) / (np.asarray(LABELS) == true).sum()
            expected = np.full(C, (1 - own) / (C - 1))
            expected[true] = own
            np.testing.assert_allclose(shares, expected, atol=0.03)


@pytest.mark.parametrize("rate", [0.5, 1.0])
def test_a_matrix_gives_its_rows(rate):
    found = np.asarray(noisy("matrix", rate).labels)
    for true in range(C):
        own = np.asarray(LABELS) == true
        expected = rate * MATRIX[true] + (1 - rate) * (np.arange(C) == true)
        np.testing.assert_allclose(np.bincount(found[own], minlength=C) / own.sum(), expected, atol=0.03)
        assert not np.isin(found[own], np.flatnonzero(expected == 0)).any(), "what is impossible never happens"


@pytest.mark.parametrize("rate", [0.1, 0.5, 1.0])
def test_a_permutation_keeps_every_class_as_large(rate):
    found = noisy("permutation", rate)
    np.testing.assert_array_equal(np.bincount(found.labels), np.bincount(LABELS))
    # A chosen example meets its own class again in so many cases.
    assert abs(float(found.changed.mean()) - rate * (1 - 1 / C)) < 0.015


def test_next_class_and_partners_by_hand():
    labels = jnp.array([0, 1, 2, 3, 4])
    assert corrupt_cyclic(KEY, labels, rate=1.0, num_classes=5).labels.tolist() == [1, 2, 3, 4, 0]
    found = corrupt_pairs(KEY, labels, rate=1.0, num_classes=5)
    assert found.labels.tolist() == [1, 0, 3, 2, 4]
    assert found.changed.tolist() == [True, True, True, True, False]


def test_instance_noise_goes_by_the_image():
    """Copies of an image go wrong alike; under uniform noise they do not."""
    labels, images = jnp.zeros(2000, jnp.int32), jnp.tile(IMAGES[:1] * 8, (2000, 1, 1, 1))
    by_image = make_noise("instance", C)(KEY, labels, 0.5, images)
    wrong = np.bincount(np.asarray(by_image.labels)[np.asarray(by_image.changed)], minlength=C)
    assert wrong.max() > 0.6 * wrong.sum()


def test_two_classes_flip():
    labels = jnp.array([0, 1] * 500)
    for kind in ("others", "cyclic", "pairs"):
        np.testing.assert_array_equal(noisy(kind, 1.0, labels=labels, classes=2).labels, 1 - labels)
