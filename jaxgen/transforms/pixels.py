"""Images whose pixels say less, or nothing: shuffled, random, Gaussian (Zhang et al. 2017, section 2.2).

C. Zhang, S. Bengio, M. Hardt, B. Recht, O. Vinyals. Understanding deep learning requires rethinking generalization.
ICLR 2017. https://arxiv.org/abs/1611.03530. A pixel is a place; its colours stay together. For rows of features
a place is a feature. Axes: n examples, h w d image, f features.
"""

import math

import jax
import jax.numpy as jnp


def shuffle_pixels(key: jax.Array, images: jax.Array) -> jax.Array:
    """One random permutation of the places, the same for all of ``images [n, h, w, d]`` or ``[n, f]``, and for whatever
    else is shuffled by this key."""
    flat = by_place(images)
    return flat[:, jax.random.permutation(key, flat.shape[1])].reshape(images.shape)


def scatter_pixels(key: jax.Array, images: jax.Array) -> jax.Array:
    """A random permutation of the places for each of ``images [n, h, w, d]`` or ``[n, f]``: "random pixels"."""

    def one(pair: tuple[jax.Array, jax.Array]) -> jax.Array:
        i, image = pair
        return image[jax.random.permutation(jax.random.fold_in(key, i), len(image))]

    flat = by_place(images)
    return jax.lax.map(one, (jnp.arange(len(flat)), flat), batch_size=256).reshape(images.shape)


def draw_gaussian(key: jax.Array, images: jax.Array, *, mean: jax.Array, deviation: jax.Array) -> jax.Array:
    """Independent normal draws in place of ``images [n, h, w, d]`` or ``[n, f]``: float32, of any value.

    Cut to the range of an image, they would have another mean and deviation than the data wherever those crowd at an
    end of it, as the values of MNIST do.

    Args:
      key: of the draws.
      images: give the shape.
      mean, deviation: ``[d]`` of each colour, or ``[f]`` of each feature, over the data set, in the units of `images`.
    """
    shape = images.shape[1:]
    means, deviations = jnp.broadcast_to(mean, shape), jnp.broadcast_to(deviation, shape)

    def one(i: jax.Array) -> jax.Array:
        return means + deviations * jax.random.normal(jax.random.fold_in(key, i), shape, jnp.float32)

    return jax.lax.map(one, jnp.arange(len(images)), batch_size=256)


def by_place(images: jax.Array) -> jax.Array:
    """``[n, h, w, d]`` as ``[n, h*w, d]``, ``[n, f]`` as ``[n, f, 1]``."""
    return images.reshape(len(images), -1, images.shape[3] if images.ndim == 4 else 1)


def whiten_images(images: jax.Array) -> jax.Array:
    """Each of ``images [b, h, w, d]`` with mean 0 and standard deviation 1 over all its values.

    Divided by the deviation, or by ``1 / sqrt(h w d)`` where it is less (Zhang et al. 2017, appendix A, as TensorFlow's
    ``per_image_standardization`` does it).
    """
    axes = tuple(range(1, images.ndim))
    centred = images - images.mean(axes, keepdims=True)
    deviation = jnp.sqrt(jnp.mean(centred**2, axes, keepdims=True))
    return centred / jnp.maximum(deviation, 1 / math.sqrt(math.prod(images.shape[1:])))
