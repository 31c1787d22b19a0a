"""Blurs: Gaussian, defocus, zoom, motion, glass (Hendrycks and Dietterich 2019).

One ``image [h, w, d]`` of floats in [0, 1] in, one out, to be clipped.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.hashing import fold_seeds, seeded_uniform
from jaxgen.transforms.corruptions.constants import Strength
from jaxgen.transforms.corruptions.matrices import (
    apply_along,
    apply_sum,
    blur_matrix,
    disk,
    pad_terms,
    separate_kernel,
    separate_sum,
    zoom_matrix,
)

# Degrees on either side of the horizontal.
MOTION_ANGLES = (-45, 45)


def blur_gaussian(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """A Gaussian blur, the edge pixels continued outwards."""
    del seeds
    return blur_as(image, severity, strength)


def blur_as(image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """A Gaussian blur by the first constant of each row."""
    sides = [
        strength.choose(severity, lambda deviation, *_, size=size: blur_matrix(size, deviation * strength.stretch))
        for size in image.shape[:2]
    ]
    return apply_along(image, *sides)


def blur_defocus(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """The mean over a disk around each pixel, mirrored at the border; the disk's edge is not stretched."""
    del seeds
    kernels = [disk(radius * strength.stretch, alias) for radius, alias in strength.rows]
    return apply_chosen(image, severity, strength, [separate_kernel(kernel, *image.shape[:2]) for kernel in kernels])


def blur_zoom(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """The mean of the image and of itself seen ever closer; by whole pixels cut off, so little closer is not at all."""
    del seeds
    sums = []
    for end, step in strength.rows:
        factors = np.arange(1, end, step)
        rows, columns = ([np.eye(size), *(zoom_matrix(size, factor) for factor in factors)] for size in image.shape[:2])
        terms, others = separate_sum(rows, columns)
        sums.append((terms / (len(factors) + 1), others))
    return apply_chosen(image, severity, strength, sums)


def apply_chosen(
    image: jax.Array, severity: jax.Array, strength: Strength, sums: list[tuple[np.ndarray, np.ndarray]]
) -> jax.Array:
    """That of five sums of separable maps which belongs to a severity."""
    by_row = dict(zip(map(tuple, strength.rows), sums, strict=True))
    most = max(len(rows) for rows, _ in sums)
    rows, columns = (
        strength.choose(severity, lambda *row, side=side: pad_terms(by_row[row][side], most)) for side in (0, 1)
    )
    count = strength.choose(severity, lambda *row: np.array(len(by_row[row][0])))
    return apply_sum(image, rows, columns, count.astype(jnp.int32))


def blur_motion(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """A trail on one side, in a direction within 45 degrees of the horizontal, that thins out as half a Gaussian."""
    angle = draw_angle(seeds, *MOTION_ANGLES)
    return blur_along(image, angle, trail(severity, strength, lambda radius, deviation: (radius, deviation)))


def trail(severity: jax.Array, strength: Strength, choose: object) -> jax.Array:
    """Variables ``[l]`` of a trail, from `choose`'s radius and deviation in pixels of the published side."""
    rows = {tuple(row): choose(*row) for row in strength.rows}
    lengths = {row: 2 * int(np.ceil(radius * strength.stretch)) + 1 for row, (radius, _) in rows.items()}

    def weigh(*row: float) -> np.ndarray:
        places = np.arange(max(lengths.values()))
        weights = np.exp(-0.5 * (places / (rows[row][1] * strength.stretch)) ** 2) * (places < lengths[row])
        return weights / weights.sum()

    return strength.choose(severity, weigh)


def blur_along(image: jax.Array, angle: jax.Array, weights: jax.Array) -> jax.Array:
    """Each pixel the mean of those that lie from it in the direction of `angle`, by ``weights [l]``.

    At whole pixels, the edge pixels continued, as ImageMagick's motion blur does it, and the published code by it.
    """
    height, width, depth = image.shape
    reach = len(weights) - 1
    wide = jnp.pad(image, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    # Rows of values: slices of them are read one value after the other, while a gather of pixels takes far longer.
    wide = wide.reshape(len(wide), -1)
    steps = jnp.arange(len(weights))
    down, right = (jnp.ceil(steps * way - 0.5).astype(jnp.int32) + reach for way in (jnp.sin(angle), jnp.cos(angle)))

    def add(i: jax.Array, total: jax.Array) -> jax.Array:
        return total + weights[i] * jax.lax.dynamic_slice(wide, (down[i], depth * right[i]), total.shape)

    # A loop, because its result is stored; XLA on a CPU would compute a sum again for each of its uses.
    return jax.lax.fori_loop(0, reach + 1, add, jnp.zeros((height, depth * width))).reshape(image.shape)


def draw_angle(seeds: jax.Array, low: float, high: float) -> jax.Array:
    """Radians, uniform between degrees."""
    return jnp.deg2rad(low + (high - low) * seeded_uniform(seeds, ()))


def blur_glass(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """Pixels out of place between two Gaussian blurs: each takes the colours of a random one near it.

    In every round all do so at once. The published code goes from pixel to pixel, and what it writes as a swap copies
    one colour pixel onto the other; so for offsets up to one pixel (all of CIFAR-10-C) its images are drawn as these
    are, while by its larger offsets it also copies what it has already moved, and in grey images it does swap. With
    MNIST-C's constants each pixel stays in half of all cases, as by its code.
    """
    height, width = image.shape[:2]
    _, reach, rounds = strength.at(severity)
    reach = jnp.maximum(jnp.round(reach * strength.stretch), 1)
    most = max(round(float(strength.rows[:, 1].max()) * strength.stretch), 1)
    may_stay = strength.kind == "mnist"
    rows, columns = jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij")
    inside = (rows > reach) & (rows <= height - reach) & (columns > reach) & (columns <= width - reach)

    def move(i: jax.Array, image: jax.Array) -> jax.Array:
        down, right, *stays = seeded_uniform(fold_seeds(seeds, i), (3 if may_stay else 2, height, width))
        moves = inside & (stays[0] < 0.5) if may_stay else inside
        down, right = (
            jnp.where(moves, jnp.floor(2 * reach * one) - reach, 0).astype(jnp.int32) for one in (down, right)
        )
        return take_near(image, down, right, most)

    moved = jax.lax.fori_loop(0, rounds.astype(jnp.int32), move, blur_as(image, severity, strength))
    return blur_as(moved, severity, strength)


def take_near(image: jax.Array, down: jax.Array, right: jax.Array, most: int) -> jax.Array:
    """Each pixel the one that lies ``down [h, w]`` and ``right [h, w]`` of it, from -most to most - 1 and in the image.

    Offset by offset, the same for all images of a batch: a gather takes far longer.
    """
    height, width = down.shape
    wide = jnp.pad(image, ((most, most), (most, most), (0, 0)))
    found = image
    for y, x in np.ndindex(2 * most, 2 * most):
        chosen = (down == y - most) & (right == x - most)
        found = jnp.where(chosen[:, :, None], wide[y : y + height, x : x + width], found)
    return found
