"""Randomization tests of pixels: shuffled pixels, random pixels, Gaussian noise; and normalization of images.

C. Zhang, S. Bengio, M. Hardt, B. Recht, O. Vinyals. Understanding deep learning requires rethinking generalization.
ICLR 2017. https://arxiv.org/abs/1611.03530, section 2.2. The colour channels of a pixel stay together. For rows of
features, a pixel is a feature. Axes: n examples, h w d image, f features.
"""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxgen.types import ChannelMoments


def shuffle_pixels(key: jax.Array, images: jax.Array) -> jax.Array:
    """Permutes the pixels of ``images [n, h, w, d]`` or ``[n, f]``, all by one permutation that the key determines."""
    flat = by_pixel(images)
    return flat[:, jax.random.permutation(key, flat.shape[1])].reshape(images.shape)


def scatter_pixels(key: jax.Array, images: jax.Array) -> jax.Array:
    """Permutes the pixels of each of ``images [n, h, w, d]`` or ``[n, f]`` differently ("random pixels")."""

    def permute(pair: tuple[jax.Array, jax.Array]) -> jax.Array:
        i, image = pair
        return image[jax.random.permutation(jax.random.fold_in(key, i), len(image))]

    flat = by_pixel(images)
    return jax.lax.map(permute, (jnp.arange(len(flat)), flat), batch_size=256).reshape(images.shape)


def draw_gaussian(key: jax.Array, images: jax.Array, *, mean: jax.Array, deviation: jax.Array) -> jax.Array:
    """Independent normal draws in the shape of ``images [n, h, w, d]`` or ``[n, f]``, float32.

    They are not clipped, because clipping would change mean and deviation wherever values are concentrated at an end of
    their range, as in MNIST.

    Args:
      key: of the draws.
      images: determine the shape.
      mean, deviation: of each channel ``[d]``, or of each feature ``[f]``, over the data set, in the units of `images`.
    """
    shape = images.shape[1:]
    means, deviations = jnp.broadcast_to(mean, shape), jnp.broadcast_to(deviation, shape)

    def draw(i: jax.Array) -> jax.Array:
        return means + deviations * jax.random.normal(jax.random.fold_in(key, i), shape, jnp.float32)

    return jax.lax.map(draw, jnp.arange(len(images)), batch_size=256)


def by_pixel(images: jax.Array) -> jax.Array:
    """Reshapes ``[n, h, w, d]`` to ``[n, h*w, d]``, and ``[n, f]`` to ``[n, f, 1]``."""
    return images.reshape(len(images), -1, images.shape[3] if images.ndim == 4 else 1)


def make_normalization(
    *, whiten: bool, channel_moments: ChannelMoments | None
) -> Callable[[jax.Array], jax.Array] | None:
    """What images ``[b, h, w, d]``, scaled and augmented, go through before a network: whitening, or the normalization
    of channels, or None.

    The one place where it is chosen: for training, for saved models, and for what jaxgen is compared with.
    """
    if whiten:
        return whiten_images
    return functools.partial(normalize_channels, moments=channel_moments) if channel_moments else None


def normalize_channels(images: jax.Array, *, moments: ChannelMoments) -> jax.Array:
    """``images [b, h, w, d]`` minus the mean of each channel, divided by its standard deviation."""
    mean, deviation = (jnp.asarray(moment, images.dtype)[None, None, None] for moment in moments)
    return (images - mean) / deviation


def whiten_images(images: jax.Array) -> jax.Array:
    """Standardizes each of ``images [b, h, w, d]`` to mean 0 and standard deviation 1 over all its values.

    The divisor is at least ``1 / sqrt(h w d)``, as in TensorFlow's ``per_image_standardization`` (Zhang et al. 2017,
    appendix A).
    """
    axes = tuple(range(1, images.ndim))
    centred = images - images.mean(axes, keepdims=True)
    deviation = jnp.sqrt(jnp.mean(centred**2, axes, keepdims=True))
    return centred / jnp.maximum(deviation, 1 / math.sqrt(math.prod(images.shape[1:])))
