"""Weather: fog, frost, snow, spatter (Hendrycks and Dietterich 2019).

Functions map one ``image [h, w, d]`` of floats in [0, 1] to another, which is clipped afterwards. Frost is a synthetic
texture of the brightness and contrast of the six photographs from which the published code crops it.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.hashing import fold_seeds, seeded_normal, seeded_uniform
from jaxgen.transforms.augment import LUMA, to_grey
from jaxgen.transforms.corruptions.blur import blur_along, draw_angle, trail
from jaxgen.transforms.corruptions.constants import Strength, power_of_two
from jaxgen.transforms.corruptions.liquid import sheen
from jaxgen.transforms.corruptions.matrices import apply_along, blur_matrix, zoom_matrix

# Size of the fractal relative to the image. MNIST-C crops 28 pixels out of 256, so that its fog is nearly uniform.
FOG_DETAIL = {"small": 1.0, "imagenet": 1.0, "mnist": 256 / 28}
# Range of directions in degrees, within 45 of the vertical.
SNOW_ANGLES = (-135, -45)
# Pale turquoise, brown, and the grey that MNIST-C uses for brown.
WATER, MUD, GREY_MUD = (175 / 255, 238 / 255, 238 / 255), (63 / 255, 42 / 255, 20 / 255), (63 / 255,)
# Colour of frost, of mean 1.
ICE = (0.92, 1.01, 1.07)
# Crops of the published photographs, as they are resized for 32 pixels: mean, and deviation of their means and within.
FROST_MEAN, FROST_BETWEEN, FROST_WITHIN = 0.635, 0.055, 0.058
NUM_CRYSTALS = 12
# Distance between the needles of a crystal, in sides of the image.
NEEDLE = 0.11


def add_fog(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """Adds a plasma fractal, and rescales to the original maximum."""
    thickness, decay = strength.at(severity)
    height, width = image.shape[:2]
    size = power_of_two(FOG_DETAIL[strength.kind] * max(height, width))
    brightest = jnp.max(image)
    fog = plasma(seeds, size, decay)[:height, :width, None]
    return (image + thickness * fog) * brightest / (brightest + thickness)


def plasma(seeds: jax.Array, size: int, decay: jax.Array) -> jax.Array:
    """A plasma fractal ``[size, size]`` in [0, 1], periodic in both axes, by the diamond-square algorithm.

    A. Fournier, D. Fussell, L. Carpenter, Computer Rendering of Stochastic Models, CACM 25, 1982. The amplitude falls
    by ``decay**2`` from level to level, as in the published code, where it enters squared. `size` is a power of two.
    """
    noise = 2 * seeded_uniform(seeds, (size * size,)) - 1
    corners, amplitude = jnp.zeros((1, 1)), 1.0
    for level in range(size.bit_length() - 1):
        side = 1 << level
        wobble = amplitude * noise[side * side : 4 * side * side].reshape(3, side, side)
        below, right = jnp.roll(corners, -1, 0), jnp.roll(corners, -1, 1)
        middles = (corners + below + right + jnp.roll(below, -1, 1)) / 4 + wobble[0]
        tops = (corners + right + middles + jnp.roll(middles, 1, 0)) / 4 + wobble[1]
        lefts = (corners + below + middles + jnp.roll(middles, 1, 1)) / 4 + wobble[2]
        # Without the barrier, XLA would recompute each level for every pixel of the next.
        parts = jax.lax.optimization_barrier((corners, tops, lefts, middles))
        upper, lower = jnp.stack(parts[:2], 2), jnp.stack(parts[2:], 2)
        corners = jnp.stack([upper, lower], 1).reshape(2 * side, 2 * side)
        amplitude = amplitude / decay**2
    lowest = corners.min()
    return (corners - lowest) / jnp.maximum(corners.max() - lowest, 1e-12)


def add_frost(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """A weighted sum of the image and of `frost`, which is bluish white on colour images."""
    image_weight, frost_weight = strength.at(severity)
    tint = jnp.array(ICE if image.shape[2] == 3 else (1.0,) * image.shape[2])
    return image_weight * image + frost_weight * frost(seeds, image.shape)[:, :, None] * tint[None, None]


def frost(seeds: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """A frost texture ``[h, w]``: needles in chevrons along the axes of random crystals, bright and of low contrast."""
    side = min(shape[:2])
    rows, columns = jnp.meshgrid(*(jnp.arange(size) / side for size in shape[:2]), indexing="ij")
    draws = seeded_uniform(fold_seeds(seeds, 0), (NUM_CRYSTALS, 3))
    crystals = draws * jnp.array([shape[0] / side, shape[1] / side, 2 * np.pi])[None]

    def grow(i: jax.Array, state: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        nearest = state[0]
        down, right = rows - crystals[i, 0], columns - crystals[i, 1]
        cosine, sine = jnp.cos(crystals[i, 2]), jnp.sin(crystals[i, 2])
        distance = down**2 + right**2
        current = (distance, jnp.abs(cosine * down - sine * right), sine * down + cosine * right)
        return tuple(jnp.where(distance < nearest, new, old) for new, old in zip(current, state, strict=True))

    start = tuple(jnp.full(rows.shape, value) for value in (jnp.inf, 0.0, 0.0))
    _, across, along = jax.lax.fori_loop(0, NUM_CRYSTALS, grow, start)
    needles = jnp.abs(((along + 0.6 * across) / NEEDLE) % 1 - 0.5) * 2
    spine = jnp.exp(-((across / 0.03) ** 2))
    patches = plasma(fold_seeds(seeds, 1), power_of_two(max(shape[:2])), jnp.float32(1.6))[: shape[0], : shape[1]]
    texture = patches * (0.35 + 0.9 * jnp.maximum(needles**2, spine))
    level = FROST_MEAN + FROST_BETWEEN * seeded_normal(fold_seeds(seeds, 2), ())
    return level + FROST_WITHIN * (texture - texture.mean()) / jnp.maximum(texture.std(), 1e-6)


def add_snow(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """Adds motion-blurred flakes, and the same rotated by 180 degrees, to a whitened image."""
    mean, deviation, _, threshold, _, _, weight = strength.at(severity)
    flakes = mean + deviation * seeded_normal(fold_seeds(seeds, 0), (*image.shape[:2], 1))
    enlarge = [
        strength.choose(severity, lambda *row, size=size: zoom_matrix(size, max(row[2] * strength.stretch, 1)))
        for size in image.shape[:2]
    ]
    flakes = apply_along(flakes, *enlarge)
    flakes = jnp.clip(jnp.where(flakes < threshold, 0, flakes), 0, 1)
    weights = trail(severity, strength, lambda *row: row[4:6])
    fallen = blur_along(flakes, draw_angle(fold_seeds(seeds, 1), *SNOW_ANGLES), weights)
    pale = weight * image + (1 - weight) * jnp.maximum(image, to_grey(image) * 1.5 + 0.5)
    return pale + fallen + fallen[::-1, ::-1]


def add_spatter(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """Drops of water at the lower severities, and of mud at the higher ones.

    Drops are where blurred noise exceeds a threshold. On larger images the noise is blurred more and amplified
    accordingly, so that the same fraction of the image is wet.
    """
    mean, deviation, _, threshold, shine, is_mud = strength.at(severity)
    stretch = strength.stretch
    noise = mean + stretch * deviation * seeded_normal(seeds, (*image.shape[:2], 1))
    liquid = blur_by(noise, severity, strength, lambda *row: row[2] * stretch)
    wet = liquid > threshold
    mud = blur_by(wet.astype(jnp.float32), severity, strength, lambda *row: row[4] * stretch if row[5] else 0)
    mud = jnp.where(mud < 0.8, 0, mud)
    water = shine * sheen(jnp.where(wet, liquid, 0)[:, :, 0])[:, :, None]
    brown, blue = (jnp.array(color)[None, None] for color in liquid_colors(image.shape[2]))
    return jnp.where(is_mud > 0, image * (1 - mud) + brown * mud, image + water * blue)


def blur_by(image: jax.Array, severity: jax.Array, strength: Strength, deviation: object) -> jax.Array:
    """A Gaussian blur with standard deviation ``deviation(*row)`` for each row of constants."""
    sides = [
        strength.choose(severity, lambda *row, size=size: blur_matrix(size, deviation(*row)))
        for size in image.shape[:2]
    ]
    return apply_along(image, *sides)


def liquid_colors(depth: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Colours of mud and of water, in images of `depth` channels."""
    return (MUD, WATER) if depth == 3 else (GREY_MUD, (float(np.dot(WATER, LUMA)),))
