"""Mixup and CutMix: each example of a batch is mixed with another one. Axes: b batch, h w d image."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxgen.training.optimizers import HParams
from jaxgen.transforms.draws import draw_below, draw_box, draw_symmetric_beta


class Mixed(NamedTuple):
    """A batch whose loss is ``share * loss(labels) + (1 - share) * loss(labels[partner])``.

    Attributes:
      images: float32 ``[b, ...]``.
      partner: int32 ``[b]``: index of the example mixed in; an example's own index if it is not mixed.
      share: float32 ``[b]`` in [0, 1]: the weight of the example itself.
    """

    images: jax.Array
    partner: jax.Array
    share: jax.Array


class Blend(NamedTuple):
    """The mixing weights of a batch.

    Attributes:
      keep: float32 in [0, 1], broadcast over one example: the weight of each of its own values.
      share: float32 scalar: the mean of `keep`; exactly 1 if `keep` is 1 everywhere.
    """

    keep: jax.Array
    share: jax.Array


def mixup(key: jax.Array, images: jax.Array, *, alpha: jax.Array, count: jax.Array) -> Mixed:
    """Averages each example with a partner, with one weight ~ Beta(alpha, alpha) for the batch.

    Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization", https://arxiv.org/abs/1710.09412.

    Args:
      key: draws the weight and the partners.
      images: ``[b, ...]``.
      alpha: nonnegative; 0 mixes nothing.
      count: number of examples; the rest of the batch is padding, and is not mixed.
    """
    draw_key, partner_key = jax.random.split(key)
    return mix(partner_key, images, draw_mixup(draw_key, images.shape[1:], alpha), count)


def cutmix(key: jax.Array, images: jax.Array, *, alpha: jax.Array, count: jax.Array) -> Mixed:
    """Pastes a box of its partner into each of ``images [b, h, w, d]``, the same box for the whole batch.

    Yun et al. 2019, "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features",
    https://arxiv.org/abs/1905.04899, equations 1 and 2. The area of the box is a fraction ~ Beta(alpha, alpha) of the
    image, of which a part may lie outside; `Mixed.share` is the fraction of pixels not replaced. Arguments as for
    `mixup`.
    """
    draw_key, partner_key = jax.random.split(key)
    return mix(partner_key, images, draw_cutmix(draw_key, images.shape[1:], alpha), count)


def draw_mixup(key: jax.Array, shape: tuple[int, ...], alpha: jax.Array) -> Blend:
    """The weights of `mixup`: one for all values of an example of `shape`."""
    share = jnp.where(alpha > 0, draw_symmetric_beta(key, alpha), 1)
    return Blend(jnp.full((1,) * len(shape), share), share)


def draw_cutmix(key: jax.Array, shape: tuple[int, ...], alpha: jax.Array) -> Blend:
    """The weights of `cutmix`: 0 in a random box of an image of `shape` (h, w, d), 1 elsewhere."""
    area_key, box_key = jax.random.split(key)
    area = jnp.where(alpha > 0, draw_symmetric_beta(area_key, alpha), 0)
    sides = (jnp.sqrt(area) * jnp.array(shape[:2])).astype(jnp.int32)
    box = draw_box(box_key, shape, sides)
    # Exactly 1 for an empty box, which the mean of `keep` need not be.
    return Blend(jnp.where(box, 0.0, 1.0), 1 - jnp.mean(box))


def choose_blend(key: jax.Array, mixup: Blend, cutmix: Blend, hparams: HParams) -> Blend:
    """Chooses mixup or cutmix with equal probability, or the one with a positive hyperparameter if only one has."""
    is_cutmix = (hparams["cutmix"] > 0) & (jax.random.bernoulli(key) | (hparams["mixup"] <= 0))
    return jax.tree.map(lambda cut, mixed: jnp.where(is_cutmix, cut, mixed), cutmix, mixup)


def mix(key: jax.Array, images: jax.Array, blend: Blend, count: jax.Array) -> Mixed:
    """Blends each of the first `count` examples with a partner: the one a random cyclic shift away, equal for all."""
    indices = jnp.arange(len(images))
    shift = 1 + draw_below(key, jnp.asarray(count) - 1)
    is_mixed = (indices < count) & (count > 1) & (blend.share < 1)
    partner = jnp.where(is_mixed, (indices + shift) % jnp.maximum(count, 1), indices)
    keep = jnp.where(jnp.expand_dims(is_mixed, tuple(range(1, images.ndim))), blend.keep[None], 1)
    images = jnp.where(keep < 1, interpolate(images[partner], images, keep), images)
    return Mixed(images, partner, jnp.where(is_mixed, blend.share, 1))


def interpolate(start: jax.Array, end: jax.Array, position: jax.Array) -> jax.Array:
    """Linear interpolation from `start` at position 0 to `end` at 1; other positions extrapolate."""
    return position * end + (1 - position) * start
