"""Shuffled, random and Gaussian pixels, and whitening."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.engine.batch import Batch, LearnerConfig, StepIndex
from jaxgen.engine.gradient import prepare
from jaxgen.transforms.augment import make_augmentation
from jaxgen.transforms.pixels import (
    draw_gaussian,
    make_normalization,
    normalize_channels,
    scatter_pixels,
    shuffle_pixels,
    whiten_images,
)
from jaxgen.types import ChannelMoments

KEY = jax.random.key(3)
COLOURS = np.random.default_rng(0).integers(0, 256, (300, 6, 5, 3)).astype(np.uint8)
FEATURES = np.random.default_rng(0).normal(2, 3, (300, 7)).astype(np.float32)


def as_places(images):
    return np.asarray(images).reshape(len(images), -1, images.shape[-1] if np.ndim(images) == 4 else 1)


def order_of(before, after):
    """Where each place's values (all colours) were before, for an image whose places differ."""
    places = {tuple(pixel): i for i, pixel in enumerate(before)}
    return [places[tuple(pixel)] for pixel in after]


@pytest.mark.parametrize("images", [COLOURS, FEATURES], ids=["images", "features"])
def test_shuffled_pixels_are_one_permutation_for_all(images):
    after = as_places(shuffle_pixels(KEY, jnp.asarray(images)))
    orders = {tuple(order_of(one, other)) for one, other in zip(as_places(images), after, strict=True)}
    assert len(orders) == 1
    [order] = orders
    assert sorted(order) == list(range(len(order)))
    assert list(order) != sorted(order)
    again = as_places(shuffle_pixels(KEY, jnp.asarray(images[:3])))
    np.testing.assert_array_equal(again, after[:3], err_msg="the test images by the same permutation")


@pytest.mark.parametrize("images", [COLOURS, FEATURES], ids=["images", "features"])
def test_random_pixels_are_a_permutation_for_each(images):
    after = as_places(scatter_pixels(KEY, jnp.asarray(images)))
    orders = [tuple(order_of(one, other)) for one, other in zip(as_places(images), after, strict=True)]
    assert len(set(orders)) > 0.9 * len(orders)
    assert all(sorted(order) == list(range(len(order))) for order in orders)


def test_gaussian_pixels_have_the_datas_mean_and_deviation():
    images = jnp.full((2000, 4, 4, 2), 100, jnp.uint8)
    # The second is that of MNIST: most of what has these moments lies beyond 0 and 255.
    mean, deviation = jnp.array([100.0, 33.0]), jnp.array([10.0, 79.0])
    found = draw_gaussian(KEY, images, mean=mean, deviation=deviation)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(np.mean(found, (0, 1, 2)), mean, atol=2)
    np.testing.assert_allclose(np.std(np.asarray(found, float), (0, 1, 2)), deviation, rtol=0.02)
    rows = draw_gaussian(KEY, jnp.zeros((5000, 3)), mean=jnp.array([-5.0, 0.0, 5.0]), deviation=jnp.ones(3))
    np.testing.assert_allclose(rows.mean(0), [-5, 0, 5], atol=0.06)


def test_whitened_images_have_mean_0_and_deviation_1():
    found = np.asarray(whiten_images(jnp.asarray(COLOURS, jnp.float32) / 255))
    np.testing.assert_allclose(found.mean((1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(found.std((1, 2, 3)), 1, rtol=1e-4)
    blank = whiten_images(jnp.full((1, 4, 4, 1), 0.5))
    assert not blank.any(), "an image without contrast is not blown up"


@pytest.mark.parametrize("augmentation", ["color_jitter", "crop", "rotate", "input_noise"])
def test_images_are_whitened_after_all_augmentation(augmentation):
    """Whitened first, they would be clipped to [0, 1], and no longer of mean 0 and deviation 1."""
    augment, images = make_augmentation(frozenset({augmentation})), jnp.asarray(COLOURS, jnp.float32) / 255
    batch = Batch(images, jnp.zeros(len(images), int), jnp.ones(len(images)))
    hparams = {augmentation: jnp.asarray({"crop": 2.0, "rotate": 40.0}.get(augmentation, 0.3))}
    step = StepIndex(jnp.asarray(0), jnp.asarray(0), jnp.asarray(1))
    found, _ = prepare(LearnerConfig(None, augment, whiten_images), KEY, hparams, batch, step)
    assert not np.allclose(found, whiten_images(images), atol=0.1), "nothing was augmented"
    np.testing.assert_allclose(found.mean((1, 2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(found.std((1, 2, 3)), 1, rtol=1e-3)
    assert found.min() < 0
    assert found.max() > 1


def test_normalized_channels_by_hand():
    images = jnp.array([[[[0.5, 0.2, 1.0], [0.7, 0.2, 0.0]]]])
    moments = ChannelMoments((0.5, 0.2, 0.25), (0.1, 1.0, 0.5))
    expected = [[[[0, 0, 1.5], [2, 0, -0.5]]]]
    np.testing.assert_allclose(normalize_channels(images, moments=moments), expected, atol=1e-6)


def test_the_normalization_is_the_one_asked_for():
    moments, images = ChannelMoments((0.5,), (0.1,)), jnp.linspace(0, 1, 16).reshape(1, 4, 4, 1)
    assert make_normalization(whiten=False, channel_moments=None) is None
    assert make_normalization(whiten=True, channel_moments=None) is whiten_images
    found = make_normalization(whiten=False, channel_moments=moments)(images)
    np.testing.assert_array_equal(found, normalize_channels(images, moments=moments))
