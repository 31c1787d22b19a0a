"""Geometric corruptions: rotation, shear, translation, scale (Mu and Gilmer 2019), elastic deformation (Hendrycks and
Dietterich 2019).

Functions map one ``image [h, w, d]`` to another, by bilinear interpolation. Pixels from outside are black, as in
MNIST-C.
"""

import jax
import jax.numpy as jnp

from jaxgen.hashing import fold_seeds, seeded_uniform
from jaxgen.transforms.corruptions.constants import Strength
from jaxgen.transforms.corruptions.matrices import apply_along, blur_matrix
from jaxgen.transforms.sampling import by_mirror, by_reflection, rotation, sample, warp


def rotate(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """Rotates about the centre by an angle, in a random direction."""
    [angle] = strength.at(severity)
    return warp(image, rotation(angle * draw_signs(seeds, ())))


def shear(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """Shears columns about the centre by an angle, in a random direction; their length is kept."""
    [angle] = strength.at(severity)
    angle = angle * draw_signs(seeds, ())
    one, zero = jnp.ones(()), jnp.zeros(())
    return warp(image, [[one, -jnp.sin(angle)], [zero, jnp.cos(angle)]])


def shrink(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """Shrinks the image about the centre."""
    del seeds
    [share] = strength.at(severity)
    zero = jnp.zeros(())
    return warp(image, [[1 / share, zero], [zero, 1 / share]])


def translate(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """Shifts along both axes by a fraction of the side, in random directions."""
    [share] = strength.at(severity)
    right, down = share * min(image.shape[:2]) * draw_signs(seeds, (2,))
    one, zero = jnp.ones(()), jnp.zeros(())
    return warp(image, [[one, zero], [zero, one]], (right, down))


def draw_signs(seeds: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Random signs, -1 or 1, in the given shape."""
    return jnp.where(seeded_uniform(seeds, shape) < 0.5, -1.0, 1.0)


def warp_elastically(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """A random affine map followed by smooth random displacements, all in proportion to the side.

    P. Simard, D. Steinkraus, J. Platt, Best Practices for Convolutional Neural Networks, ICDAR 2003, with the affine
    map of the published code. The image is reflected at the border; with MNIST-C's constants it is black outside, as in
    its code.
    """
    height, width = image.shape[:2]
    side = min(height, width)
    amplitude, _, reach = strength.at(severity)
    affine_border, border = (None, None) if strength.kind == "mnist" else (by_mirror, by_reflection)
    grid = jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij")
    image = sample(image, *map_back(fold_seeds(seeds, 0), image.shape, reach * side, grid), affine_border)
    displacements = 2 * seeded_uniform(fold_seeds(seeds, 1), (height, width, 2)) - 1
    smooth = [
        strength.choose(
            severity, lambda *row, size=size: blur_matrix(size, row[1] * side, truncate=3, border="symmetric")
        )
        for size in (height, width)
    ]
    displacements = amplitude * side * apply_along(displacements, *smooth)
    return sample(image, grid[0] + displacements[:, :, 0], grid[1] + displacements[:, :, 1], border)


def map_back(
    seeds: jax.Array, shape: tuple[int, ...], reach: jax.Array, grid: list[jax.Array]
) -> tuple[jax.Array, jax.Array]:
    """Source coordinates of all pixels, rows and columns ``[h, w]``, under a random affine map.

    The map moves three corners of a central square by up to `reach` pixels along each axis.

    Args:
      seeds: ``[2]``, of the draws.
      shape: (h, w, d) of the image.
      reach: scalar, in pixels.
      grid: rows and columns of all pixels ``[h, w]``.
    """
    height, width = shape[:2]
    half = min(height, width) // 3
    middle = jnp.array([height // 2, width // 2], jnp.float32)
    corners = middle[None] + half * jnp.array([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0]])
    moved = corners + reach * (2 * seeded_uniform(seeds, (3, 2)) - 1)
    (a, c), (b, d) = (moved[0] - moved[1]) / (2 * half), (moved[1] - moved[2]) / (2 * half)
    determinant = a * d - b * c
    # With large constants a map could be nearly singular.
    determinant = jnp.where(jnp.abs(determinant) < 0.01, jnp.copysign(0.01, determinant), determinant)
    down, right = grid[0] - moved[1, 0], grid[1] - moved[1, 1]
    rows = (d * down - b * right) / determinant + corners[1, 0]
    columns = (a * right - c * down) / determinant + corners[1, 1]
    return rows, columns
