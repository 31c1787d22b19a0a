"""Common image corruptions at severities 1 to 5: noise, blur, weather, lighting, compression, geometry.

``CORRUPTIONS[name](key, images, severity=3)`` is a pure function that can be jitted; `corrupt` is the compiled version,
and `corrupt_in_batches` takes arrays in host memory. Module `constants` documents the sources of all constants.

To add a corruption, write a function of one image in a module here and its constants in `constants.TABLES`; enter it at
the end of `ALL`, and its name at the end of `jaxgen.config.corruption_names.CORRUPTIONS`. Flags, their help and the
tests of all corruptions follow from these; README tells how many there are. `noise.add_impulse_noise` is salt and
pepper; the noise of copied examples is in `jaxgen.transforms.copies`.

Images differ from the published ones because random draws come from JAX. Further known differences: values are rounded
to 8 bits, not truncated; glass blur moves all pixels at once; frost is a synthetic texture; spatter uses exact
distances.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

# The corruptions of the mean corruption error; ``as`` marks the name as exported.
from jaxgen.config.corruption_names import STANDARD as STANDARD
from jaxgen.errors import UserError
from jaxgen.hashing import draw_seeds, fold_seeds
from jaxgen.transforms.corruptions import blur, color, digital, geometry, lines, noise, weather
from jaxgen.transforms.corruptions.constants import KINDS, NUM_SEVERITIES, Kind, Strength, find_strength
from jaxgen.wording import count_of

# The least side that all corruptions can be computed for. Their properties are tested from 8 pixels on.
SMALLEST_SIDE = 4
BATCH_SIZE = 250


@dataclasses.dataclass(frozen=True)
class Corruption:
    """An image corruption.

    Attributes:
      name: as in the published files, if there are any.
      apply: ``(seeds, image [h, w, d], severity, strength) -> image``, on floats; the result is clipped to [0, 1]. For
        `seeds` see `jaxgen.hashing`.
      is_random: whether it uses the seeds.
      needs_color: whether images with one channel are returned unchanged.
      on_host: whether it is computed on the host, by a callback.
    """

    name: str
    apply: Callable[[jax.Array, jax.Array, jax.Array, Strength], jax.Array]
    is_random: bool = True
    needs_color: bool = False
    on_host: bool = False

    def __call__(
        self,
        key: jax.Array,
        images: jax.Array,
        *,
        severity: int | jax.Array,
        constants: Kind = "small",
        first: int | jax.Array = 0,
    ) -> jax.Array:
        """Corrupts images.

        Args:
          key: of the draws; those of an image depend on it and on the index of the image.
          images: ``[n, h, w, d]``, uint8 or float in [0, 1]; sides of at least 4, better 8, pixels; d is 1 or 3.
          severity: integer from 0 to 5, a scalar or ``[n]``, may be traced; 0 returns exactly the image. Traced values
            are clipped to the range.
          constants: one of `KINDS`: for images of 32 or 224 pixels, or of MNIST's 28.
          first: index of the first image, if `images` are a batch of a larger array.

        Returns:
          Images of the same shape and dtype.

        Raises:
          UserError: for images, severities or constants that are not supported.
        """
        check_images(images)
        check_severity(severity, len(images))
        check_constants(constants)
        strength = find_strength(self.name, constants, images.shape[1:])
        severity = jnp.clip(jnp.asarray(severity, jnp.int32), 0, NUM_SEVERITIES)

        seeds = draw_seeds(key)

        def corrupt_one(index: jax.Array, image: jax.Array, severity: jax.Array) -> jax.Array:
            is_byte = image.dtype == jnp.uint8
            values = image.astype(jnp.float32) / (255 if is_byte else 1)
            corrupted = self.apply(fold_seeds(seeds, index), values, severity, strength)
            corrupted = jnp.clip(corrupted, 0, 1)
            corrupted = (jnp.round(255 * corrupted) if is_byte else corrupted).astype(image.dtype)
            return jnp.where(severity > 0, corrupted, image)

        indices = first + jnp.arange(len(images))
        return jax.vmap(corrupt_one, (0, 0, 0 if severity.ndim else None))(indices, images, severity)


# In the order of `jaxgen.config.corruption_names.CORRUPTIONS`.
ALL = (
    Corruption("gaussian_noise", noise.add_gaussian_noise),
    Corruption("shot_noise", noise.add_shot_noise),
    Corruption("impulse_noise", noise.add_impulse_noise),
    Corruption("speckle_noise", noise.add_speckle_noise),
    Corruption("gaussian_blur", blur.blur_gaussian, is_random=False),
    Corruption("defocus_blur", blur.blur_defocus, is_random=False),
    Corruption("glass_blur", blur.blur_glass),
    Corruption("motion_blur", blur.blur_motion),
    Corruption("zoom_blur", blur.blur_zoom, is_random=False),
    Corruption("snow", weather.add_snow),
    Corruption("frost", weather.add_frost),
    Corruption("fog", weather.add_fog),
    Corruption("spatter", weather.add_spatter),
    Corruption("brightness", color.brighten, is_random=False),
    Corruption("contrast", color.reduce_contrast, is_random=False),
    Corruption("saturate", color.saturate, is_random=False, needs_color=True),
    Corruption("elastic_transform", geometry.warp_elastically),
    Corruption("pixelate", digital.pixelate, is_random=False),
    Corruption("jpeg_compression", digital.compress_jpeg, is_random=False, on_host=True),
    Corruption("occlusion", digital.occlude),
    Corruption("posterize", color.posterize, is_random=False),
    Corruption("invert", color.invert, is_random=False),
    Corruption("night", color.darken),
    Corruption("grayscale", color.lose_color, is_random=False, needs_color=True),
    Corruption("rotate", geometry.rotate),
    Corruption("shear", geometry.shear),
    Corruption("translate", geometry.translate),
    Corruption("scale", geometry.shrink, is_random=False),
    Corruption("stripe", digital.stripe, is_random=False),
    Corruption("dotted_line", lines.add_dotted_line),
    Corruption("zigzag", lines.add_zigzag),
    Corruption("canny_edges", lines.find_edges, is_random=False),
)
CORRUPTIONS: dict[str, Corruption] = {corruption.name: corruption for corruption in ALL}
# The 15 corruptions of MNIST-C (Mu and Gilmer 2019).
MNIST_STANDARD = (
    "shot_noise",
    "impulse_noise",
    "glass_blur",
    "motion_blur",
    "shear",
    "scale",
    "rotate",
    "brightness",
    "translate",
    "stripe",
    "fog",
    "spatter",
    "dotted_line",
    "zigzag",
    "canny_edges",
)


def corrupt(
    name: str,
    key: jax.Array,
    images: jax.Array,
    *,
    severity: int | jax.Array,
    constants: Kind = "small",
    first: int | jax.Array = 0,
) -> jax.Array:
    """``CORRUPTIONS[name]``, compiled once for all severities and all images of a shape.

    Raises:
      UserError: for an unknown name, or for images, severities or constants that are not supported.
    """
    check_name(name)
    # Checked here, because severities are traced inside.
    check_severity(severity, len(images))
    check_constants(constants)
    return compiled(name, constants)(key, images, severity, first)


@functools.cache
def compiled(name: str, constants: Kind) -> Callable[..., jax.Array]:
    """The compiled corruption, ``(key, images, severity, first) -> images``."""

    @jax.jit
    def run(key: jax.Array, images: jax.Array, severity: jax.Array, first: jax.Array) -> jax.Array:
        return CORRUPTIONS[name](key, images, severity=severity, constants=constants, first=first)

    return run


def corrupt_in_batches(
    name: str,
    key: jax.Array,
    images: np.ndarray,
    *,
    severity: int,
    constants: Kind = "small",
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """`corrupt` for images in host memory, batch by batch; the result does not depend on the batch size."""
    corrupted = np.empty_like(images)
    for first in range(0, len(images), batch_size):
        batch = images[first : first + batch_size]
        # A short last batch is padded, because another shape would be compiled again.
        padded = np.concatenate([batch, np.zeros((batch_size - len(batch), *batch.shape[1:]), batch.dtype)])
        result = corrupt(name, key, padded, severity=severity, constants=constants, first=first)
        corrupted[first : first + batch_size] = np.asarray(result)[: len(batch)]
    return corrupted


def check_name(name: str) -> None:
    """Raises UserError for an unknown corruption."""
    if name not in CORRUPTIONS:
        raise UserError(f"corruption {name}: unknown; known: {', '.join(CORRUPTIONS)}")


def can_corrupt(shape: tuple[int, ...]) -> bool:
    """Whether arrays of this shape are images that can be corrupted."""
    return len(shape) == 4 and shape[3] in (1, 3) and min(shape[1:3]) >= SMALLEST_SIDE


def check_images(images: jax.Array) -> None:
    """Raises UserError unless shape and dtype of the images are supported."""
    if not can_corrupt(images.shape):
        raise UserError(
            f"corruption of values of shape {images.shape}: takes images [n, h, w, d] of at least {SMALLEST_SIDE} "
            "pixels a side with 1 or 3 channels; give such images"
        )
    if images.dtype != jnp.uint8 and not jnp.issubdtype(images.dtype, jnp.floating):
        raise UserError(f"corruption of values of type {images.dtype}: takes uint8, or floats in [0, 1]; convert them")


def check_severity(severity: int | jax.Array, count: int) -> None:
    """Raises UserError for a severity outside 0 to 5 or of a wrong shape; traced values are not checked."""
    if np.shape(severity) not in ((), (count,)):
        raise UserError(
            f"severity of shape {np.shape(severity)}: give one number, or one for each of {count_of(count, 'image')}"
        )
    if isinstance(severity, jax.core.Tracer):
        return
    values = np.asarray(severity)
    if values.dtype.kind not in "iu" or (values < 0).any() or (values > NUM_SEVERITIES).any():
        raise UserError(f"severity {severity}: must be whole, from 0 to {NUM_SEVERITIES}")


def check_constants(constants: str) -> None:
    """Raises UserError for unknown constants."""
    if constants not in KINDS:
        raise UserError(f"constants {constants}: unknown; known: {', '.join(KINDS)}")
