"""Blurs: Gaussian, defocus, zoom, motion, glass (Hendrycks and Dietterich 2019).

Functions map one ``image [h, w, d]`` of floats in [0, 1] to another, which is clipped afterwards.
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

# Range of directions, in degrees from the horizontal.
MOTION_ANGLES = (-45, 45)


def blur_gaussian(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """A Gaussian blur with edge padding."""
    del seeds
    return blur_as(image, severity, strength)


def blur_as(image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """A Gaussian blur whose standard deviation is the first constant of the severity's row."""
    sides = [
        strength.choose(severity, lambda deviation, *_, size=size: blur_matrix(size, deviation * strength.stretch))
        for size in image.shape[:2]
    ]
    return apply_along(image, *sides)


def blur_defocus(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """The mean over a disk around each pixel, with reflection padding; the blur of its edge is not stretched."""
    del seeds
    kernels = [disk(radius * strength.stretch, alias) for radius, alias in strength.rows]
    return apply_chosen(image, severity, strength, [separate_kernel(kernel, *image.shape[:2]) for kernel in kernels])


def blur_zoom(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """The mean of the image and of versions enlarged by increasing factors.

    As enlarged images are cropped to whole pixels, small factors may have no effect.
    """
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
    """Applies the sum of separable maps that belongs to the severity.

    Args:
      image: ``[h, w, d]``.
      severity: scalar.
      strength: five rows of constants.
      sums: for each row, arguments ``[r, h, h]`` and ``[r, w, w]`` of `apply_sum`.
    """
    by_row = dict(zip(map(tuple, strength.rows), sums, strict=True))
    num_terms = max(len(rows) for rows, _ in sums)
    rows, columns = (
        strength.choose(severity, lambda *row, side=side: pad_terms(by_row[row][side], num_terms)) for side in (0, 1)
    )
    count = strength.choose(severity, lambda *row: np.array(len(by_row[row][0])))
    return apply_sum(image, rows, columns, count.astype(jnp.int32))


def blur_motion(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """A one-sided blur with half-Gaussian weights, in a random direction within 45 degrees of the horizontal."""
    angle = draw_angle(seeds, *MOTION_ANGLES)
    return blur_along(image, angle, trail(severity, strength, lambda radius, deviation: (radius, deviation)))


def trail(severity: jax.Array, strength: Strength, choose: object) -> jax.Array:
    """Half-Gaussian weights ``[l]`` of a motion blur.

    Args:
      severity: scalar.
      strength: rows of constants.
      choose: returns radius and standard deviation of a row, in pixels of the published size.
    """
    rows = {tuple(row): choose(*row) for row in strength.rows}
    lengths = {row: 2 * int(np.ceil(radius * strength.stretch)) + 1 for row, (radius, _) in rows.items()}

    def weigh(*row: float) -> np.ndarray:
        offsets = np.arange(max(lengths.values()))
        weights = np.exp(-0.5 * (offsets / (rows[row][1] * strength.stretch)) ** 2) * (offsets < lengths[row])
        return weights / weights.sum()

    return strength.choose(severity, weigh)


def blur_along(image: jax.Array, angle: jax.Array, weights: jax.Array) -> jax.Array:
    """Weighted mean of the pixels from each pixel on in the direction of `angle`, with ``weights [l]``.

    It rounds to whole pixels and pads with edge pixels, like ImageMagick's motion blur, which the published code uses.
    """
    height, width, depth = image.shape
    reach = len(weights) - 1
    padded = jnp.pad(image, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    # Slices of flattened rows are contiguous reads; a gather of pixels would take far longer.
    padded = padded.reshape(len(padded), -1)
    steps = jnp.arange(len(weights))
    down, right = (jnp.ceil(steps * way - 0.5).astype(jnp.int32) + reach for way in (jnp.sin(angle), jnp.cos(angle)))

    def add(i: jax.Array, total: jax.Array) -> jax.Array:
        return total + weights[i] * jax.lax.dynamic_slice(padded, (down[i], depth * right[i]), total.shape)

    # A loop materializes its result. XLA on a CPU would compute a plain sum anew for each of its uses.
    return jax.lax.fori_loop(0, reach + 1, add, jnp.zeros((height, depth * width))).reshape(image.shape)


def draw_angle(seeds: jax.Array, low: float, high: float) -> jax.Array:
    """A uniform random angle between `low` and `high` degrees, in radians."""
    return jnp.deg2rad(low + (high - low) * seeded_uniform(seeds, ()))


def blur_glass(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """Random displacement of pixels between two Gaussian blurs: each pixel takes the value of a random one near it.

    In each round all pixels move at once. The published code visits pixels one by one, and what it writes as a swap
    copies one colour pixel onto the other. For offsets up to one pixel (all of CIFAR-10-C) its images have the same
    distribution as these. With larger offsets it also copies pixels that it has already moved, and grey images are
    really swapped. With MNIST-C's constants each pixel stays with probability one half, as in its code.
    """
    height, width = image.shape[:2]
    _, reach, rounds = strength.at(severity)
    reach = jnp.maximum(jnp.round(reach * strength.stretch), 1)
    largest_reach = max(round(float(strength.rows[:, 1].max()) * strength.stretch), 1)
    may_stay = strength.kind == "mnist"
    rows, columns = jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij")
    inside = (rows > reach) & (rows <= height - reach) & (columns > reach) & (columns <= width - reach)

    def move(i: jax.Array, image: jax.Array) -> jax.Array:
        down, right, *stays = seeded_uniform(fold_seeds(seeds, i), (3 if may_stay else 2, height, width))
        moves = inside & (stays[0] < 0.5) if may_stay else inside
        down, right = (
            jnp.where(moves, jnp.floor(2 * reach * draw) - reach, 0).astype(jnp.int32) for draw in (down, right)
        )
        return take_near(image, down, right, largest_reach)

    moved = jax.lax.fori_loop(0, rounds.astype(jnp.int32), move, blur_as(image, severity, strength))
    return blur_as(moved, severity, strength)


def take_near(image: jax.Array, down: jax.Array, right: jax.Array, reach: int) -> jax.Array:
    """Replaces each pixel by the one at an offset of its own.

    It selects offset by offset, because a gather would take far longer.

    Args:
      image: ``[h, w, d]``.
      down, right: ints ``[h, w]`` from -reach to reach - 1, pointing into the image.
      reach: the largest offset.
    """
    height, width = down.shape
    padded = jnp.pad(image, ((reach, reach), (reach, reach), (0, 0)))
    moved = image
    for y, x in np.ndindex(2 * reach, 2 * reach):
        chosen = (down == y - reach) & (right == x - reach)
        moved = jnp.where(chosen[:, :, None], padded[y : y + height, x : x + width], moved)
    return moved
