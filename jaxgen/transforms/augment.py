"""Augmentation inside the training step: one batch in, one batch out, and every strength a traced scalar.

A strength of 0 is the identity to the bit, so members with and without an augmentation share a program. An image's
draw depends on the key and its place in the batch, not on the batch's size. Axes: b batch, h w d image.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxgen.keys import AugmentDraw, subkey
from jaxgen.training.optimizers import HParams

# Variables of red, green and blue in grey (ITU-R BT.601).
LUMA = (0.299, 0.587, 0.114)


class Mixed(NamedTuple):
    """A batch whose loss is ``share * loss(labels) + (1 - share) * loss(labels[partner])``.

    Attributes:
      images: float32 ``[b, ...]``.
      partner: int32 ``[b]``: the example mixed in; an example's own place where none is.
      share: float32 ``[b]`` in [0, 1]: how much of the example itself is left.
    """

    images: jax.Array
    partner: jax.Array
    share: jax.Array


class Blend(NamedTuple):
    """One draw of how the examples of a batch are mixed.

    Attributes:
      keep: float32 in [0, 1], broadcast over one example: how much of each value is the example's own.
      share: float32 scalar: the mean of `keep`, and exactly 1 where that is 1 everywhere.
    """

    keep: jax.Array
    share: jax.Array


def flip(key: jax.Array, images: jax.Array, *, probability: jax.Array) -> jax.Array:
    """Mirrors each of ``images [b, h, w, d]`` left to right with `probability`."""
    return map_images(flip_one, key, images, probability)


def crop(key: jax.Array, images: jax.Array, *, pixels: jax.Array) -> jax.Array:
    """Cuts each of ``images [b, h, w, d]`` at random out of itself in a frame of `pixels` zeros (He et al. 2016).

    That is a shift down and one across, every whole number from -pixels to pixels equally likely.
    """
    return map_images(crop_one, key, images, pixels)


def translate(key: jax.Array, images: jax.Array, *, share: jax.Array) -> jax.Array:
    """Shifts each of ``images [b, h, w, d]`` by up to `share` of its height and of its width, zeros moved in.

    Every whole number of pixels equally likely; the largest is the one nearest to `share` of the side.
    """
    return map_images(translate_one, key, images, share)


def jitter_color(key: jax.Array, images: jax.Array, *, strength: jax.Array) -> jax.Array:
    """Scales brightness, contrast and saturation by factors uniform in ``[1 - strength, 1 + strength]``.

    As torchvision's `ColorJitter` defines them, but clipped once, at the end; their order then makes no difference.

    Args:
      key: gives each image factors of its own.
      images: ``[b, h, w, d]`` in [0, 1]; there is saturation only where d is 3.
      strength: 0 to 1.
    """
    return map_images(jitter_color_one, key, images, strength)


def add_noise(key: jax.Array, images: jax.Array, *, stddev: jax.Array) -> jax.Array:
    """Adds independent Gaussian noise of standard deviation `stddev` to each value; nothing is clipped."""
    return map_images(add_noise_one, key, images, stddev)


def cutout(key: jax.Array, images: jax.Array, *, size: jax.Array) -> jax.Array:
    """Sets a square of `size` pixels a side to 0 in each of ``images [b, h, w, d]``; part of it may lie outside.

    DeVries and Taylor 2017, "Improved Regularization of Convolutional Neural Networks with Cutout",
    https://arxiv.org/abs/1708.04552. The centre is any pixel. Their code takes one from an odd `size`; here it stays.
    """
    return map_images(cutout_one, key, images, size)


def mixup(key: jax.Array, images: jax.Array, *, alpha: jax.Array, count: jax.Array) -> Mixed:
    """Averages each example with a partner, the weight of a batch ~ Beta(alpha, alpha).

    Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization", https://arxiv.org/abs/1710.09412.

    Args:
      key: draws the weight, and who partners whom.
      images: ``[b, ...]``.
      alpha: 0 or more; 0 mixes nothing.
      count: how many of the first examples are real; only these are mixed, with each other.
    """
    draw_key, partner_key = jax.random.split(key)
    return mix(partner_key, images, draw_mixup(draw_key, images.shape[1:], alpha), count)


def cutmix(key: jax.Array, images: jax.Array, *, alpha: jax.Array, count: jax.Array) -> Mixed:
    """Pastes a box of its partner into each of ``images [b, h, w, d]``, the same box for a batch.

    Yun et al. 2019, "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features",
    https://arxiv.org/abs/1905.04899, equations 1 and 2. The box takes a share ~ Beta(alpha, alpha) of the area, less
    what lies outside; `Mixed.share` is what it leaves, to the pixel. Arguments as for `mixup`.
    """
    draw_key, partner_key = jax.random.split(key)
    return mix(partner_key, images, draw_cutmix(draw_key, images.shape[1:], alpha), count)


def map_images(change: Callable[..., jax.Array], key: jax.Array, images: jax.Array, hparam: jax.Array) -> jax.Array:
    """``change(key, image, knob)`` of each of ``images [b, ...]``, whose place is folded into its key."""
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(len(images)))
    return jax.vmap(change, (0, 0, None))(keys, images, hparam)


def flip_one(key: jax.Array, image: jax.Array, probability: jax.Array) -> jax.Array:
    return jnp.where(jax.random.uniform(key) < probability, image[:, ::-1], image)


def crop_one(key: jax.Array, image: jax.Array, pixels: jax.Array) -> jax.Array:
    return shift_randomly(key, image, jnp.broadcast_to(pixels, (2,)))


def translate_one(key: jax.Array, image: jax.Array, share: jax.Array) -> jax.Array:
    return shift_randomly(key, image, share * jnp.array(image.shape[:2]))


def jitter_color_one(key: jax.Array, image: jax.Array, strength: jax.Array) -> jax.Array:
    brightness, contrast, saturation = jax.random.uniform(key, (3,), minval=1 - strength, maxval=1 + strength)
    grey = to_grey(image)
    # Saturation leaves the grey as it is, so the mean of `grey` still is the one that contrast is about.
    jittered = brightness * interpolate(jnp.mean(grey), interpolate(grey, image, saturation), contrast)
    return jnp.where(strength > 0, jnp.clip(jittered, 0, 1), image)


def add_noise_one(key: jax.Array, image: jax.Array, stddev: jax.Array) -> jax.Array:
    # The sum alone would turn -0.0 into 0.0.
    return jnp.where(stddev > 0, image + stddev * jax.random.normal(key, image.shape), image)


def cutout_one(key: jax.Array, image: jax.Array, size: jax.Array) -> jax.Array:
    sides = jnp.broadcast_to(jnp.round(size).astype(jnp.int32), (2,))
    return jnp.where(draw_box(key, image.shape, sides), 0, image)


def draw_below(key: jax.Array, bounds: jax.Array) -> jax.Array:
    """Whole numbers, int32 in the shape of `bounds`, each uniform in ``0..bound-1``; 0 for a bound below 1.

    `jax.random.randint` takes longer to compile. A uniform float32 is a multiple of 2**-23: its product with a bound
    never rounds up to the bound.
    """
    return (jax.random.uniform(key, bounds.shape) * jnp.maximum(bounds, 1)).astype(jnp.int32)


def shift_randomly(key: jax.Array, image: jax.Array, limits: jax.Array) -> jax.Array:
    """``image [h, w, d]`` moved by whole pixels, up to the nearest to ``limits [2]`` down and across; zeros come in."""
    limits = jnp.round(limits).astype(jnp.int32)
    offset = draw_below(key, 2 * limits + 1) - limits
    rows, columns = (jnp.arange(side) + offset[axis] for axis, side in enumerate(image.shape[:2]))
    seen = image.at[rows[:, None], columns[None]]
    return seen.get(mode="fill", fill_value=0, wrap_negative_indices=False)


def draw_box(key: jax.Array, shape: tuple[int, ...], sides: jax.Array) -> jax.Array:
    """Which pixels of an image lie in a box of ``sides [2]`` pixels around any one of them: bool ``[h, w, 1]``."""
    first = draw_below(key, jnp.array(shape[:2])) - sides // 2
    rows, columns = (jnp.arange(side) - first[axis] for axis, side in enumerate(shape[:2]))
    in_rows, in_columns = (rows >= 0) & (rows < sides[0]), (columns >= 0) & (columns < sides[1])
    return in_rows[:, None, None] & in_columns[None, :, None]


def to_grey(image: jax.Array) -> jax.Array:
    """Luma of ``[h, w, 3]``, as ``[h, w, 1]``; without three channels there is no colour, and the image comes back."""
    if image.shape[-1] != len(LUMA):
        return image
    return sum(weight * image[:, :, i : i + 1] for i, weight in enumerate(LUMA))


def interpolate(start: jax.Array, end: jax.Array, position: jax.Array) -> jax.Array:
    """From `start`, at position 0, to `end`, at 1, and beyond."""
    return position * end + (1 - position) * start


def draw_symmetric_beta(key: jax.Array, alpha: jax.Array) -> jax.Array:
    """A scalar ~ Beta(alpha, alpha) for alpha above 0, without the loops over rejections of `jax.random.beta`.

    Exact: it is ``(1 + t / sqrt(2 alpha + t**2)) / 2`` of a Student t with 2 alpha degrees of freedom, and that is
    ``sqrt(2 alpha (u**(-1/alpha) - 1)) cos(2 pi v)`` of two uniforms (Bailey 1994, "Polar generation of random variates
    with the t-distribution"; together in Devroye 1996, "Random variate generation in one line of code").
    """
    u, v = jax.random.uniform(key, (2,))
    cosine = jnp.cos(2 * jnp.pi * v)
    weight = (1 + cosine / jnp.sqrt(cosine**2 + 1 / jnp.expm1(-jnp.log(u) / alpha))) / 2
    # Compiled, the quotient may come out a rounding error beyond 1.
    return jnp.clip(weight, 0, 1)


def draw_mixup(key: jax.Array, shape: tuple[int, ...], alpha: jax.Array) -> Blend:
    """One weight for all values of an example of `shape`."""
    share = jnp.where(alpha > 0, draw_symmetric_beta(key, alpha), 1)
    return Blend(jnp.full((1,) * len(shape), share), share)


def draw_cutmix(key: jax.Array, shape: tuple[int, ...], alpha: jax.Array) -> Blend:
    """One box that is the partner's, in an image of `shape` (h, w, d)."""
    area_key, box_key = jax.random.split(key)
    area = jnp.where(alpha > 0, draw_symmetric_beta(area_key, alpha), 0)
    sides = (jnp.sqrt(area) * jnp.array(shape[:2])).astype(jnp.int32)
    box = draw_box(box_key, shape, sides)
    # The mean of an empty box is 0; that of all the rest need not round to 1.
    return Blend(jnp.where(box, 0.0, 1.0), 1 - jnp.mean(box))


def choose_blend(key: jax.Array, mixup: Blend, cutmix: Blend, hparams: HParams) -> Blend:
    """Either, with equal probability; the one whose knob is above 0 if only one is."""
    is_cutmix = (hparams["cutmix"] > 0) & (jax.random.bernoulli(key) | (hparams["mixup"] <= 0))
    return jax.tree.map(lambda cut, mixed: jnp.where(is_cutmix, cut, mixed), cutmix, mixup)


def mix(key: jax.Array, images: jax.Array, blend: Blend, count: jax.Array) -> Mixed:
    """Blends each of the first `count` examples with another of them, one random shift round the end for all."""
    places = jnp.arange(len(images))
    shift = 1 + draw_below(key, jnp.asarray(count) - 1)
    mixes = (places < count) & (count > 1) & (blend.share < 1)
    partner = jnp.where(mixes, (places + shift) % jnp.maximum(count, 1), places)
    keep = jnp.where(jnp.expand_dims(mixes, tuple(range(1, images.ndim))), blend.keep[None], 1)
    images = jnp.where(keep < 1, interpolate(images[partner], images, keep), images)
    return Mixed(images, partner, jnp.where(mixes, blend.share, 1))


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
    """Those of `AUGMENTATIONS` in `names`, in that order; the others are not in the program.

    Args:
      names: what any member of the ensemble uses.

    Returns:
      ``augment(key, images, knobs, count)`` of one batch: ``images [b, h, w, d]``, in `hparams` a scalar for each name,
      and `count` real examples, before the padding. What one augmentation draws does not depend on the others. A
      member with both mixup and cutmix gets one or the other a batch, with equal probability.

    Raises:
      ValueError: for an unknown name, with the known ones.
    """
    unknown = names - set(AUGMENTATIONS)
    if unknown:
        raise ValueError(f"unknown augmentations {sorted(unknown)}; known: {', '.join(AUGMENTATIONS)}")

    def augment(key: jax.Array, images: jax.Array, hparams: HParams, count: jax.Array) -> Mixed:
        keys = {name: subkey(key, AugmentDraw[name.upper()]) for name in AUGMENTATIONS}

        def change_one(example: tuple[jax.Array, jax.Array]) -> jax.Array:
            place, image = example
            for name, change in CHANGES.items():
                if name in names:
                    image = change(jax.random.fold_in(keys[name], place), image, hparams[name])
            return image

        # In halves, because a loop's result is stored. XLA on a CPU fuses what is not (an optimization_barrier does
        # not stop it) into its users, and mixing, which reads images out of order, would take 6 times as long.
        half = max(len(images) // 2, 1)
        images = jax.lax.map(change_one, (jnp.arange(len(images)), images), batch_size=half)
        used = [name for name in MIXES if name in names]
        if not used:
            return Mixed(images, jnp.arange(len(images)), jnp.ones(len(images)))
        blends = [MIXES[name](keys[name], images.shape[1:], hparams[name]) for name in used]
        if len(blends) == 2:
            blends = [choose_blend(subkey(key, AugmentDraw.CHOICE), *blends, hparams)]
        return mix(subkey(key, AugmentDraw.PARTNER), images, blends[0], count)

    return augment
