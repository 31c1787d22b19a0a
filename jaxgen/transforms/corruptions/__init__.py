"""Images as they go wrong in use: noise, blur, weather, light, compression, geometry; at severities 1 to 5.

``CORRUPTIONS[name](key, images, severity=3)`` is a pure function that can be jitted; `corrupt` is the same by name,
compiled; `corrupt_in_batches` is for arrays of the host. Where the constants come from, and which are published, says
`jaxgen.transforms.corruptions.constants`. Known differences from the published images: values are rounded to the
nearest, not down, to 8 bits; the glass blur's pixels move all at once; the frost is a drawn texture; water spatters by
exact distances; motion blur and the rest draw by JAX, so that no image is the published one.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

# `x as x`: those over which the mean corruption error is taken, for readers of this package.
from jaxgen.config.corruption_names import STANDARD as STANDARD
from jaxgen.errors import UserError
from jaxgen.hashing import draw_seeds, fold_seeds
from jaxgen.transforms.corruptions import blur, color, digital, geometry, lines, noise, weather
from jaxgen.transforms.corruptions.constants import KINDS, NUM_SEVERITIES, Kind, Strength, find_strength

# What the laws hold for, and are tested on, begins at 8 pixels; the arithmetic needs 4.
SMALLEST_SIDE = 4
BATCH_SIZE = 250


@dataclasses.dataclass(frozen=True)
class Corruption:
    """One way of going wrong.

    Attributes:
      name: that of the published files, where there are any.
      apply: ``(seeds, image [h, w, d], severity, strength) -> image``, floats, to be clipped to [0, 1]; for `seeds` see
        `jaxgen.hashing`.
      is_random: whether it draws.
      needs_color: whether images of one channel come back as they are.
      on_host: whether the work is done outside the device's program.
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
        """Corrupted images, in the type of the given.

        Args:
          key: of the draws; an image's depend on it and on the image's place.
          images: ``[n, h, w, d]``, uint8 or float in [0, 1]; sides of 8 or more (of 4 at least, where fewer
            pixels show less of each), d of 1 or 3.
          severity: 0 to 5, whole, for all or ``[n]``, traced or not; 0 gives the image itself, to the bit. Traced ones
            outside count as the nearest.
          constants: whose constants: those for images of 32, of 224 or of MNIST's 28 pixels.
          first: the place of the first image, when `images` are a part of more.

        Raises:
          UserError: for images or a severity of another kind.
        """
        check_images(images)
        check_severity(severity, len(images))
        check_constants(constants)
        strength = find_strength(self.name, constants, images.shape[1:])
        severity = jnp.clip(jnp.asarray(severity, jnp.int32), 0, NUM_SEVERITIES)

        seeds = draw_seeds(key)

        def one(place: jax.Array, image: jax.Array, severity: jax.Array) -> jax.Array:
            is_byte = image.dtype == jnp.uint8
            values = image.astype(jnp.float32) / (255 if is_byte else 1)
            found = self.apply(fold_seeds(seeds, place), values, severity, strength)
            found = jnp.clip(found, 0, 1)
            found = (jnp.round(255 * found) if is_byte else found).astype(image.dtype)
            return jnp.where(severity > 0, found, image)

        places = first + jnp.arange(len(images))
        return jax.vmap(one, (0, 0, 0 if severity.ndim else None))(places, images, severity)


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
# The 15 of Mu and Gilmer 2019.
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
    """``CORRUPTIONS[name]``, compiled once for all severities of images of a shape.

    Raises:
      UserError: for a name, images, a severity or constants that there are not.
    """
    check_name(name)
    # What a tracer cannot say is checked before it is one.
    check_severity(severity, len(images))
    check_constants(constants)
    return compiled(name, constants)(key, images, severity, first)


@functools.cache
def compiled(name: str, constants: Kind) -> Callable[..., jax.Array]:
    """``(key, images, severity, first) -> images``."""

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
    """`corrupt` of any number of images in the host's memory, a batch at a time; the same as all at once."""
    found = np.empty_like(images)
    for first in range(0, len(images), batch_size):
        batch = images[first : first + batch_size]
        # A short last one is filled up: another shape would be compiled again.
        filled = np.concatenate([batch, np.zeros((batch_size - len(batch), *batch.shape[1:]), batch.dtype)])
        answer = corrupt(name, key, filled, severity=severity, constants=constants, first=first)
        found[first : first + batch_size] = np.asarray(answer)[: len(batch)]
    return found


def check_name(name: str) -> None:
    """Raises UserError for an unknown corruption."""
    if name not in CORRUPTIONS:
        raise UserError(f"corruption {name}: unknown; known: {', '.join(CORRUPTIONS)}")


def can_corrupt(shape: tuple[int, ...]) -> bool:
    """Whether values of a shape are images that can be corrupted."""
    return len(shape) == 4 and shape[3] in (1, 3) and min(shape[1:3]) >= SMALLEST_SIDE


def check_images(images: jax.Array) -> None:
    """Raises UserError unless images have a type, a number of channels and a size that can be corrupted."""
    if not can_corrupt(images.shape):
        raise UserError(
            f"corruption of values of shape {images.shape}: takes images [n, h, w, d] of at least {SMALLEST_SIDE} "
            "pixels a side with 1 or 3 channels; give such images"
        )
    if images.dtype != jnp.uint8 and not jnp.issubdtype(images.dtype, jnp.floating):
        raise UserError(f"corruption of values of type {images.dtype}: takes uint8, or floats in [0, 1]; convert them")


def check_severity(severity: int | jax.Array, count: int) -> None:
    """Raises UserError for a severity outside 0 to 5, or of a wrong shape; what is traced passes."""
    if np.shape(severity) not in ((), (count,)):
        raise UserError(f"severity of shape {np.shape(severity)}: give one number, or one for each of {count} images")
    if isinstance(severity, jax.core.Tracer):
        return
    values = np.asarray(severity)
    if values.dtype.kind not in "iu" or (values < 0).any() or (values > NUM_SEVERITIES).any():
        raise UserError(f"severity {severity}: must be whole, from 0 to {NUM_SEVERITIES}")


def check_constants(constants: str) -> None:
    """Raises UserError for unknown constants."""
    if constants not in KINDS:
        raise UserError(f"constants {constants}: unknown; known: {', '.join(KINDS)}")
