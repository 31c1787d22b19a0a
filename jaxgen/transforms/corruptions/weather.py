"""Weather and what it leaves on the lens: fog, frost, snow, spatter (Hendrycks and Dietterich 2019).

One ``image [h, w, d]`` of floats in [0, 1] in, one out, to be clipped. The frost is a texture drawn here, where the
published is cut out of six photographs.
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

# MNIST-C cuts 28 pixels out of a fractal of 256, so that its fog hardly varies over an image.
FOG_DETAIL = {"small": 1.0, "imagenet": 1.0, "mnist": 256 / 28}
# Snow falls within 45 degrees of the vertical.
SNOW_ANGLES = (-135, -45)
# Pale turquoise, and brown; what MNIST-C takes for brown in grey.
WATER, MUD, GREY_MUD = (175 / 255, 238 / 255, 238 / 255), (63 / 255, 42 / 255, 20 / 255), (63 / 255,)
ICE = (0.86, 0.94, 1.0)
NUM_CRYSTALS = 12
# Of a crystal's needles, in sides of the image.
NEEDLE = 0.11


def add_fog(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """A plasma fractal over the image, the whole scaled back to the brightest value it had."""
    thickness, decay = strength.at(severity)
    height, width = image.shape[:2]
    size = power_of_two(FOG_DETAIL[strength.kind] * max(height, width))
    brightest = jnp.max(image)
    fog = plasma(seeds, size, decay)[:height, :width, None]
    return (image + thickness * fog) * brightest / (brightest + thickness)


def plasma(seeds: jax.Array, size: int, decay: jax.Array) -> jax.Array:
    """A height map ``[size, size]`` from 0 to 1 on a torus, by the diamond-square algorithm; `size` a power of two.

    A. Fournier, D. Fussell, L. Carpenter, Computer Rendering of Stochastic Models, CACM 25, 1982. The amplitude of a
    level is that of the one before over ``decay**2``, as in the published code, whose wobble enters squared.
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
        # Else XLA computes each level again for every pixel of the next.
        parts = jax.lax.optimization_barrier((corners, tops, lefts, middles))
        upper, lower = jnp.stack(parts[:2], 2), jnp.stack(parts[2:], 2)
        corners = jnp.stack([upper, lower], 1).reshape(2 * side, 2 * side)
        amplitude = amplitude / decay**2
    lowest = corners.min()
    return (corners - lowest) / jnp.maximum(corners.max() - lowest, 1e-12)


def add_frost(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """A weighted sum of the image and of `frost`, bluish white where there are colours."""
    own, frosted = strength.at(severity)
    tint = jnp.array(ICE if image.shape[2] == 3 else (1.0,) * image.shape[2])
    return own * image + frosted * frost(seeds, image.shape)[:, :, None] * tint[None, None]


def frost(seeds: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Ferns of ice ``[h, w]`` in [0, 1]: needles in chevrons along the axes of random crystals, in random density."""
    side = min(shape[:2])
    rows, columns = jnp.meshgrid(*(jnp.arange(size) / side for size in shape[:2]), indexing="ij")
    drawn = seeded_uniform(fold_seeds(seeds, 0), (NUM_CRYSTALS, 3))
    crystals = drawn * jnp.array([shape[0] / side, shape[1] / side, 2 * np.pi])[None]

    def grow(i: jax.Array, state: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        nearest = state[0]
        down, right = rows - crystals[i, 0], columns - crystals[i, 1]
        cosine, sine = jnp.cos(crystals[i, 2]), jnp.sin(crystals[i, 2])
        distance = down**2 + right**2
        own = (distance, jnp.abs(cosine * down - sine * right), sine * down + cosine * right)
        return tuple(jnp.where(distance < nearest, new, old) for new, old in zip(own, state, strict=True))

    start = tuple(jnp.full(rows.shape, value) for value in (jnp.inf, 0.0, 0.0))
    _, across, along = jax.lax.fori_loop(0, NUM_CRYSTALS, grow, start)
    needles = jnp.abs(((along + 0.6 * across) / NEEDLE) % 1 - 0.5) * 2
    spine = jnp.exp(-((across / 0.03) ** 2))
    patches = plasma(fold_seeds(seeds, 1), power_of_two(max(shape[:2])), jnp.float32(1.6))[: shape[0], : shape[1]]
    return jnp.clip(patches * (0.35 + 0.9 * jnp.maximum(needles**2, spine)), 0, 1)


def add_snow(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """Flakes that fall, and the same upside down, over an image made paler."""
    mean, deviation, _, threshold, _, _, weight = strength.at(severity)
    flakes = mean + deviation * seeded_normal(fold_seeds(seeds, 0), (*image.shape[:2], 1))
    closer = [
        strength.choose(severity, lambda *row, size=size: zoom_matrix(size, max(row[2] * strength.stretch, 1)))
        for size in image.shape[:2]
    ]
    flakes = apply_along(flakes, *closer)
    flakes = jnp.clip(jnp.where(flakes < threshold, 0, flakes), 0, 1)
    weights = trail(severity, strength, lambda *row: row[4:6])
    fallen = blur_along(flakes, draw_angle(fold_seeds(seeds, 1), *SNOW_ANGLES), weights)
    pale = weight * image + (1 - weight) * jnp.maximum(image, to_grey(image) * 1.5 + 0.5)
    return pale + fallen + fallen[::-1, ::-1]


def add_spatter(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """Drops of water, pale turquoise and shining, at the lower severities, and of mud at the higher.

    Where blurred noise exceeds a threshold there is liquid. Noise that is blurred further on larger images is made
    stronger as much, so that the same share of them is wet.
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
    """A Gaussian blur by what `deviation` makes of each row of constants."""
    sides = [
        strength.choose(severity, lambda *row, size=size: blur_matrix(size, deviation(*row)))
        for size in image.shape[:2]
    ]
    return apply_along(image, *sides)


def liquid_colors(depth: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Of mud and of water, in images of `depth` colours."""
    return (MUD, WATER) if depth == 3 else (GREY_MUD, (float(np.dot(WATER, LUMA)),))
