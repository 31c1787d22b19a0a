"""Data augmentation of a batch inside the training step; every hyperparameter is a traced scalar.

A hyperparameter of 0 is exactly the identity, so members with and without an augmentation share a program. The draws of
an image depend on the key and its index in the batch, not on the batch size. Axes: b batch, h w d image.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxgen.training.optimizers import HParams

# What is folded into the key for each draw. Never renumber: every draw would change.
KEYS = {"flip": 1, "crop": 2, "translate": 3, "color_jitter": 4, "input_noise": 5, "cutout": 6, "mixup": 7, "cutmix": 8}
CHOICE, PARTNER = 9, 10

# Weights of red, green and blue in the luma (ITU-R BT.601).
LUMA = (0.299, 0.587, 0.114)


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


def flip(key: jax.Array, images: jax.Array, *, probability: jax.Array) -> jax.Array:
    """Mirrors each of ``images [b, h, w, d]`` left to right with `probability`."""
    return map_images(flip_one, key, images, probability)


def crop(key: jax.Array, images: jax.Array, *, pixels: jax.Array) -> jax.Array:
    """Random crop of each of ``images [b, h, w, d]`` after zero padding by `pixels` (He et al. 2016).

    This is a shift along each axis by an integer, uniform from -pixels to pixels.
    """
    return map_images(crop_one, key, images, pixels)


def translate(key: jax.Array, images: jax.Array, *, share: jax.Array) -> jax.Array:
    """Shifts each of ``images [b, h, w, d]`` along each axis by up to `share` of the side, filling with zeros.

    Shifts are integers, uniform up to the one nearest to `share` of the side.
    """
    return map_images(translate_one, key, images, share)


def jitter_color(key: jax.Array, images: jax.Array, *, strength: jax.Array) -> jax.Array:
    """Scales brightness, contrast and saturation by factors uniform in ``[1 - strength, 1 + strength]``.

    They are defined as in torchvision's `ColorJitter`, but clipped once, at the end, so that their order does not
    matter.

    Args:
      key: draws the factors of each image.
      images: ``[b, h, w, d]`` in [0, 1]; saturation changes only if d is 3.
      strength: 0 to 1.
    """
    return map_images(jitter_color_one, key, images, strength)


def add_noise(key: jax.Array, images: jax.Array, *, stddev: jax.Array) -> jax.Array:
    """Adds independent Gaussian noise of standard deviation `stddev` to each value, without clipping."""
    return map_images(add_noise_one, key, images, stddev)


def cutout(key: jax.Array, images: jax.Array, *, size: jax.Array) -> jax.Array:
    """Sets a square of side `size` pixels to 0 in each of ``images [b, h, w, d]``; part of it may lie outside.

    DeVries and Taylor 2017, "Improved Regularization of Convolutional Neural Networks with Cutout",
    https://arxiv.org/abs/1708.04552. The centre is a uniform random pixel. Unlike in their code, an odd `size` is not
    reduced by one.
    """
    return map_images(cutout_one, key, images, size)


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


def map_images(change: Callable[..., jax.Array], key: jax.Array, images: jax.Array, hparam: jax.Array) -> jax.Array:
    """Applies ``change(key, image, hparam)`` to each of ``images [b, ...]``, with its index folded into the key."""
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(len(images)))
    return jax.vmap(change, (0, 0, None))(keys, images, hparam)


def flip_one(key: jax.Array, image: jax.Array, probability: jax.Array) -> jax.Array:
    """`flip` for one image."""
    return jnp.where(jax.random.uniform(key) < probability, image[:, ::-1], image)


def crop_one(key: jax.Array, image: jax.Array, pixels: jax.Array) -> jax.Array:
    """`crop` for one image."""
    return shift_randomly(key, image, jnp.broadcast_to(pixels, (2,)))


def translate_one(key: jax.Array, image: jax.Array, share: jax.Array) -> jax.Array:
    """`translate` for one image."""
    return shift_randomly(key, image, share * jnp.array(image.shape[:2]))


def jitter_color_one(key: jax.Array, image: jax.Array, strength: jax.Array) -> jax.Array:
    """`jitter_color` for one image."""
    brightness, contrast, saturation = jax.random.uniform(key, (3,), minval=1 - strength, maxval=1 + strength)
    grey = to_grey(image)
    # Saturation does not change the luma, so contrast can use the mean of the original.
    jittered = brightness * interpolate(jnp.mean(grey), interpolate(grey, image, saturation), contrast)
    return jnp.where(strength > 0, jnp.clip(jittered, 0, 1), image)


def add_noise_one(key: jax.Array, image: jax.Array, stddev: jax.Array) -> jax.Array:
    """`add_noise` for one image."""
    # The sum alone would turn -0.0 into 0.0.
    return jnp.where(stddev > 0, image + stddev * jax.random.normal(key, image.shape), image)


def cutout_one(key: jax.Array, image: jax.Array, size: jax.Array) -> jax.Array:
    """`cutout` for one image."""
    sides = jnp.broadcast_to(jnp.round(size).astype(jnp.int32), (2,))
    return jnp.where(draw_box(key, image.shape, sides), 0, image)


def draw_below(key: jax.Array, bounds: jax.Array) -> jax.Array:
    """Random integers, int32 in the shape of `bounds`, each uniform in ``0..bound-1``; 0 for a bound below 1.

    It compiles faster than `jax.random.randint`. A uniform float32 is a multiple of 2**-23, so its product with a bound
    never rounds up to the bound.
    """
    return (jax.random.uniform(key, bounds.shape) * jnp.maximum(bounds, 1)).astype(jnp.int32)


def shift_randomly(key: jax.Array, image: jax.Array, limits: jax.Array) -> jax.Array:
    """Shifts ``image [h, w, d]`` by uniform integers up to ``limits [2]``, rounded, vertically and horizontally.

    Pixels from outside are 0.
    """
    limits = jnp.round(limits).astype(jnp.int32)
    offset = draw_below(key, 2 * limits + 1) - limits
    rows, columns = (jnp.arange(side) + offset[axis] for axis, side in enumerate(image.shape[:2]))
    shifted = image.at[rows[:, None], columns[None]]
    return shifted.get(mode="fill", fill_value=0, wrap_negative_indices=False)


def draw_box(key: jax.Array, shape: tuple[int, ...], sides: jax.Array) -> jax.Array:
    """Mask of a box of ``sides [2]`` pixels, centred at a random pixel of an image: bool ``[h, w, 1]``."""
    first = draw_below(key, jnp.array(shape[:2])) - sides // 2
    rows, columns = (jnp.arange(side) - first[axis] for axis, side in enumerate(shape[:2]))
    in_rows, in_columns = (rows >= 0) & (rows < sides[0]), (columns >= 0) & (columns < sides[1])
    return in_rows[:, None, None] & in_columns[None, :, None]


def to_grey(image: jax.Array) -> jax.Array:
    """Luma of an image ``[h, w, 3]``, ``[h, w, 1]``; an image without three channels is returned as it is."""
    if image.shape[-1] != len(LUMA):
        return image
    return sum(weight * image[:, :, i : i + 1] for i, weight in enumerate(LUMA))


def interpolate(start: jax.Array, end: jax.Array, position: jax.Array) -> jax.Array:
    """Linear interpolation from `start` at position 0 to `end` at 1; other positions extrapolate."""
    return position * end + (1 - position) * start


def draw_symmetric_beta(key: jax.Array, alpha: jax.Array) -> jax.Array:
    """A scalar ~ Beta(alpha, alpha) for positive alpha, without the rejection loops of `jax.random.beta`.

    The method is exact. With t from Student's distribution with 2 alpha degrees of freedom,
    ``(1 + t / sqrt(2 alpha + t**2)) / 2`` has this distribution, and t is ``sqrt(2 alpha (u**(-1/alpha) - 1))
    cos(2 pi v)`` of two uniforms u and v (Bailey 1994, "Polar generation of random variates with the t-distribution";
    both in Devroye 1996, "Random variate generation in one line of code").
    """
    u, v = jax.random.uniform(key, (2,))
    cosine = jnp.cos(2 * jnp.pi * v)
    weight = (1 + cosine / jnp.sqrt(cosine**2 + 1 / jnp.expm1(-jnp.log(u) / alpha))) / 2
    # When compiled, the quotient may exceed 1 by a rounding error.
    return jnp.clip(weight, 0, 1)


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


CHANGES = {
    "flip": flip_one,
    "crop": crop_one,
    "translate": translate_one,
    "color_jitter": jitter_color_one,
    "input_noise": add_noise_one,
    "cutout": cutout_one,
}
MIXES = {"mixup": draw_mixup, "cutmix": draw_cutmix}
AUGMENTATIONS = (*CHANGES, *MIXES)


def make_augmentation(names: frozenset[str]) -> Callable[[jax.Array, jax.Array, HParams, jax.Array], Mixed]:
    """A chain of the named augmentations, in the order of `AUGMENTATIONS`; all others are left out of the program.

    Args:
      names: the augmentations that any member of the ensemble uses.

    Returns:
      ``augment(key, images, hparams, count)`` for one batch: ``images [b, h, w, d]``, a scalar in `hparams` for each
      name, and the number of examples before the padding. The draws of an augmentation do not depend on the others.
      With both mixup and cutmix, each batch gets one of the two with equal probability.

    Raises:
      ValueError: if a name is unknown.
    """
    unknown = names - set(AUGMENTATIONS)
    if unknown:
        raise ValueError(f"unknown augmentations {sorted(unknown)}; known: {', '.join(AUGMENTATIONS)}")

    def augment(key: jax.Array, images: jax.Array, hparams: HParams, count: jax.Array) -> Mixed:
        keys = {name: jax.random.fold_in(key, constant) for name, constant in KEYS.items()}

        def change_one(example: tuple[jax.Array, jax.Array]) -> jax.Array:
            place, image = example
            for name, change in CHANGES.items():
                if name in names:
                    image = change(jax.random.fold_in(keys[name], place), image, hparams[name])
            return image

        # A loop over two halves materializes its result. Otherwise XLA on a CPU would fuse it into the mixing (despite
        # an optimization_barrier), which reads images out of order and would take 6 times as long.
        half = max(len(images) // 2, 1)
        images = jax.lax.map(change_one, (jnp.arange(len(images)), images), batch_size=half)
        used = [name for name in MIXES if name in names]
        if not used:
            return Mixed(images, jnp.arange(len(images)), jnp.ones(len(images)))
        blends = [MIXES[name](keys[name], images.shape[1:], hparams[name]) for name in used]
        if len(blends) == 2:
            blends = [choose_blend(jax.random.fold_in(key, CHOICE), *blends, hparams)]
        return mix(jax.random.fold_in(key, PARTNER), images, blends[0], count)

    return augment
