"""Smoothed and mixed cross-entropy by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgen.training.losses import cross_entropy, mixed_cross_entropy

LOGITS = jnp.log(jnp.array([[0.5, 0.25, 0.25]]))
LABEL, PARTNER = jnp.array([0]), jnp.array([1])


def random_batch(classes=7, count=20):
    rng = np.random.default_rng(0)
    logits = jnp.asarray(rng.normal(0, 30, (count, classes)), jnp.float32)
    return logits, jnp.asarray(rng.integers(0, classes, count)), jnp.asarray(rng.integers(0, classes, count))


def with_gradient(loss, logits, *arguments):
    """Losses, and the gradient of their sum."""
    return loss(logits, *arguments), jax.grad(lambda logits: loss(logits, *arguments).sum())(logits)


def assert_same(found, expected):
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(one, other)


def test_smoothing_by_hand():
    # 0.7 on the label and 0.1 on each class: 0.8 ln 2 + 0.1 ln 4 + 0.1 ln 4.
    np.testing.assert_allclose(cross_entropy(LOGITS, LABEL, 0.3), 1.2 * np.log(2), rtol=1e-6)


def test_smoothing_is_that_of_optax():
    logits, labels, _ = random_batch()
    for smoothing in (0.05, 0.5):
        targets = optax.smooth_labels(jax.nn.one_hot(labels, 7), smoothing)
        expected = optax.softmax_cross_entropy(logits, targets)
        np.testing.assert_allclose(cross_entropy(logits, labels, smoothing), expected, rtol=1e-5)


def test_smoothing_zero_is_the_plain_loss_to_the_bit():
    logits, labels, _ = random_batch()
    losses, _ = smoothed = with_gradient(cross_entropy, logits, labels, jnp.float32(0))
    assert_same(smoothed, with_gradient(cross_entropy, logits, labels))
    np.testing.assert_array_equal(losses, jax.nn.logsumexp(logits, axis=-1) - logits[jnp.arange(len(labels)), labels])


def test_smoothing_zero_asks_nothing_of_impossible_classes():
    logits = jnp.array([[0.0, -jnp.inf]])
    loss, gradient = with_gradient(cross_entropy, logits, LABEL, jnp.float32(0))
    assert_same((loss, gradient), (jnp.zeros(1), jnp.zeros((1, 2))))


def test_smoothing_may_differ_by_example():
    logits, labels, _ = random_batch()
    smoothing = jnp.linspace(0, 0.9, len(labels))
    for i, loss in enumerate(cross_entropy(logits, labels, smoothing)):
        np.testing.assert_allclose(
            loss, cross_entropy(logits[i : i + 1], labels[i : i + 1], smoothing[i])[0], rtol=1e-6
        )


def test_mixed_labels_count_by_their_shares():
    np.testing.assert_allclose(mixed_cross_entropy(LOGITS, LABEL, PARTNER, 0.25), 1.75 * np.log(2), rtol=1e-6)
    # Smoothed by 0.3, the losses of label and partner are 1.2 ln 2 and 0.7 ln 4 + 0.5 ln 2 = 1.9 ln 2.
    np.testing.assert_allclose(
        mixed_cross_entropy(LOGITS, LABEL, PARTNER, 0.25, 0.3), (0.3 + 0.75 * 1.9) * np.log(2), rtol=1e-6
    )


def test_mixing_is_symmetric():
    logits, labels, partners = random_batch()
    shares = jnp.linspace(0, 1, len(labels))
    np.testing.assert_allclose(
        mixed_cross_entropy(logits, labels, partners, shares, 0.1),
        mixed_cross_entropy(logits, partners, labels, 1 - shares, 0.1),
        rtol=1e-5,
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_share_of_one_is_the_plain_loss_to_the_bit(smoothing):
    logits, labels, partners = random_batch()
    assert_same(
        with_gradient(mixed_cross_entropy, logits, labels, partners, jnp.float32(1), smoothing),
        with_gradient(cross_entropy, logits, labels, smoothing),
    )


def test_who_has_no_share_does_not_count_even_if_infinitely_wrong():
    logits = jnp.array([[0.0, -jnp.inf]])
    for first, second, share in ((LABEL, PARTNER, 1.0), (PARTNER, LABEL, 0.0)):
        loss, gradient = with_gradient(mixed_cross_entropy, logits, first, second, jnp.float32(share))
        assert_same((loss, gradient), (jnp.zeros(1), jnp.zeros((1, 2))))


def test_strengths_may_differ_over_members():
    logits, labels, partners = random_batch()
    shares, smoothings = jnp.array([0.2, 1.0, 0.5]), jnp.array([0.1, 0.0, 0.4])
    mapped = jax.vmap(mixed_cross_entropy, (None, None, None, 0, 0))(logits, labels, partners, shares, smoothings)
    for row, share, smoothing in zip(mapped, shares, smoothings, strict=True):
        np.testing.assert_allclose(row, mixed_cross_entropy(logits, labels, partners, share, smoothing), rtol=1e-5)
