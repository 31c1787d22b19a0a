"""Data augmentation of a batch inside the training step; every hyperparameter is a traced scalar.

A hyperparameter of 0 is exactly the identity, so members with and without an augmentation share a program. The draws of
an image depend on the key and its index in the batch, not on the batch size. Axes: b batch, h w d image.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxgen.keys import AugmentDraw, draw_key
from jaxgen.training.optimizers import HParams
from jaxgen.transforms.augmix import augmix_one
from jaxgen.transforms.draws import draw_below, draw_box
from jaxgen.transforms.mixing import Mixed, choose_blend, draw_cutmix, draw_mixup, interpolate, mix
from jaxgen.transforms.sampling import rotation, warp

# Weights of red, green and blue in the luma (ITU-R BT.601).
LUMA = (0.299, 0.587, 0.114)


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


def rotate(key: jax.Array, images: jax.Array, *, degrees: jax.Array) -> jax.Array:
    """Rotates each of ``images [b, h, w, d]`` about its centre by an angle uniform from -degrees to degrees.

    Interpolation is bilinear; pixels from outside are 0.
    """
    return map_images(rotate_one, key, images, degrees)


def augmix(key: jax.Array, images: jax.Array, *, severity: jax.Array) -> jax.Array:
    """Mixes each of ``images [b, h, w, d]``, in [0, 1], with changed versions of itself (`jaxgen.transforms.augmix`).

    Args:
      key: draws the operations, their levels and the weights of each image.
      images: ``[b, h, w, d]`` in [0, 1].
      severity: 1 to 10.
    """
    return map_images(augmix_one, key, images, severity)


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


def rotate_one(key: jax.Array, image: jax.Array, degrees: jax.Array) -> jax.Array:
    """`rotate` for one image."""
    angle = jnp.deg2rad(jax.random.uniform(key, minval=-degrees, maxval=degrees))
    return jnp.where(degrees > 0, warp(image, rotation(angle)), image)


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


def shift_randomly(key: jax.Array, image: jax.Array, limits: jax.Array) -> jax.Array:
    """Shifts ``image [h, w, d]`` by uniform integers up to ``limits [2]``, rounded, vertically and horizontally.

    Pixels from outside are 0.
    """
    limits = jnp.round(limits).astype(jnp.int32)
    offset = draw_below(key, 2 * limits + 1) - limits
    rows, columns = (jnp.arange(side) + offset[axis] for axis, side in enumerate(image.shape[:2]))
    shifted = image.at[rows[:, None], columns[None]]
    return shifted.get(mode="fill", fill_value=0, wrap_negative_indices=False)


def to_grey(image: jax.Array) -> jax.Array:
    """Luma of an image ``[h, w, 3]``, ``[h, w, 1]``; an image without three channels is returned as it is."""
    if image.shape[-1] != len(LUMA):
        return image
    return sum(weight * image[:, :, i : i + 1] for i, weight in enumerate(LUMA))


CHANGES = {
    "flip": flip_one,
    "crop": crop_one,
    "translate": translate_one,
    "rotate": rotate_one,
    "augmix": augmix_one,
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
        keys = {name: draw_key(key, AugmentDraw[name.upper()]) for name in AUGMENTATIONS}

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
            blends = [choose_blend(draw_key(key, AugmentDraw.CHOICE), *blends, hparams)]
        return mix(draw_key(key, AugmentDraw.PARTNER), images, blends[0], count)

    return augment
