"""The optimizer's links by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.optim import STRENGTHS, make_optimizer

PARAMS = {"w": jnp.array([3.0, -4.0, 0.0])}
GRADS = {"w": jnp.array([0.6, 0.8, 0.0])}


def knobs(**strengths):
    return {"learning_rate": 0.5, "momentum": 0.0, **dict.fromkeys(STRENGTHS, 0.0), **strengths}


def update(links, key=0, steps=1, **strengths):
    """The parameters' change in the last of `steps` equal steps."""
    optimizer = make_optimizer(frozenset(links))(jax.random.key(key), knobs(**strengths))
    state = optimizer.init(PARAMS)
    for _ in range(steps):
        updates, state = optimizer.update(GRADS, state, PARAMS)
    return updates["w"]


def test_sgd_goes_down_the_gradient():
    np.testing.assert_allclose(update([]), [-0.3, -0.4, 0])


def test_momentum_adds_up():
    np.testing.assert_allclose(update([], steps=3, momentum=0.5), -0.5 * 1.75 * GRADS["w"])


def test_weight_decay_is_coupled():
    np.testing.assert_allclose(update(["weight_decay"], weight_decay=0.1), [-0.45, -0.2, 0])


def test_l1_adds_the_sign():
    np.testing.assert_allclose(update(["l1"], l1=0.1), [-0.35, -0.35, 0])


def test_clipping_keeps_the_direction():
    np.testing.assert_allclose(update(["clip_norm"], clip_norm=0.5), [-0.15, -0.2, 0], rtol=1e-6)
    np.testing.assert_allclose(update(["clip_norm"], clip_norm=2.0), [-0.3, -0.4, 0])


def test_clipping_comes_before_decay():
    np.testing.assert_allclose(
        update(["clip_norm", "weight_decay"], clip_norm=0.5, weight_decay=0.1), [-0.3, 0, 0], atol=1e-7
    )


def test_noise_has_the_stated_deviation_and_a_key_of_its_own():
    draws = np.stack([update(["gradient_noise"], key=key, gradient_noise=0.2) for key in range(300)])
    np.testing.assert_allclose(draws.std(0), 0.1, rtol=0.15)
    np.testing.assert_allclose(draws.mean(0), [-0.3, -0.4, 0], atol=0.03)
    np.testing.assert_array_equal(draws[0], update(["gradient_noise"], key=0, gradient_noise=0.2))


@pytest.mark.parametrize("link", STRENGTHS)
def test_a_link_of_strength_zero_is_the_identity_to_the_bit(link):
    np.testing.assert_array_equal(update([link]), update([]))


def test_strengths_may_differ_over_members():
    strengths = jnp.array([0.0, 0.1, 1.0])
    mapped = jax.vmap(lambda decay: update(["weight_decay"], weight_decay=decay))(strengths)
    for row, strength in zip(mapped, strengths, strict=True):
        np.testing.assert_allclose(row, update(["weight_decay"], weight_decay=strength), rtol=1e-6)


def test_unknown_links_are_named():
    with pytest.raises(ValueError, match="dropconnect"):
        make_optimizer(frozenset(["dropconnect"]))
