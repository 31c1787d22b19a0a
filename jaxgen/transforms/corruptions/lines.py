"""Dotted lines, zigzags and Canny edges (N. Mu, J. Gilmer, MNIST-C, 2019, https://arxiv.org/abs/1906.02337).

Functions map one ``image [h, w, d]`` of floats in [0, 1] to another, which is clipped afterwards. The single severity
of MNIST-C is severity 5 here. At lower ones lines are fainter, and edges are blended with the image. Lengths are in
proportion to the side.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.hashing import seeded_uniform
from jaxgen.transforms.augment import to_grey
from jaxgen.transforms.corruptions.constants import Strength
from jaxgen.transforms.corruptions.liquid import filter_square
from jaxgen.transforms.corruptions.matrices import blur_matrix

# Lengths in pixels of MNIST.
SIDE, THICKNESS, DASH, ZIG = 28, 2.3, 2, 2.0
ZIGZAG_ENDS = (2, 25)
LOW, HIGH = 0.1, 0.2
SOBEL = ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1))


def add_dotted_line(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """A bright dashed line between random heights at the left and right edge."""
    [opacity] = strength.at(severity)
    rows, columns = mnist_grid(image.shape)
    start, end = jnp.floor(27 * seeded_uniform(seeds, (2,)))
    line = line_between(rows, columns, (jnp.float32(0), start), (jnp.float32(27), end))
    dashes = jnp.floor((columns + 0.5) / DASH) % 2 == 1
    return image + opacity * jnp.where(dashes, line, 0)[:, :, None]


def add_zigzag(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """A bright zigzag about a line from left to right."""
    [opacity] = strength.at(severity)
    rows, columns = mnist_grid(image.shape)
    start, rise = jnp.floor(jnp.array([27.0, 10.0]) * seeded_uniform(seeds, (2,)) - jnp.array([0.0, 5.0]))
    first, last = ZIGZAG_ENDS
    length = jnp.hypot(rise, last - first)
    # Coordinates along the line and across it: start, six points of the zigzag, end.
    points = [(jnp.float32(0), 0.0), *((jnp.float32((2 * i + 1) * ZIG), (-1) ** i * ZIG) for i in range(6))]
    points.append((length, -ZIG / (2 * (length - 20))))
    cosine, sine = (last - first) / length, rise / length
    ends = [(first + cosine * x - sine * y, start + sine * x + cosine * y) for x, y in points]
    lines = [line_between(rows, columns, *pair) for pair in itertools.pairwise(ends)]
    return image + opacity * jnp.clip(sum(lines[1:], lines[0]), 0, 1)[:, :, None]


def mnist_grid(shape: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
    """Row and column coordinates ``[h, w]`` of all pixels, in units of MNIST pixels."""
    rows, columns = ((jnp.arange(size) + 0.5) * (SIDE / size) - 0.5 for size in shape[:2])
    return jnp.meshgrid(rows, columns, indexing="ij")


def line_between(
    rows: jax.Array, columns: jax.Array, start: tuple[jax.Array, jax.Array], end: tuple[jax.Array, jax.Array]
) -> jax.Array:
    """Brightness ``[h, w]`` of a line: 1 on it, fading above and below, 0 beyond its ends.

    Args:
      rows, columns: coordinates of the pixels ``[h, w]``.
      start, end: ends of the line as (column, row).
    """
    slope = (end[1] - start[1]) / (end[0] - start[0])
    distance = jnp.abs(rows - start[1] - slope * (columns - start[0]))
    faded = jnp.log1p(-jnp.minimum(distance / THICKNESS, 1 - 1e-6)) + 1
    beside = (columns < jnp.floor(start[0])) | (columns >= jnp.ceil(end[0]))
    return jnp.where(beside, 0, jnp.clip(faded, 0, 1))


def find_edges(seeds: jax.Array, image: jax.Array, severity: jax.Array, strength: Strength) -> jax.Array:
    """Blends the image with its edges, white on black; at severity 5 only edges remain."""
    del seeds
    [share] = strength.at(severity)
    edges = canny(to_grey(image)[:, :, 0].astype(jnp.float32))
    return image + share * (edges.astype(jnp.float32)[:, :, None] - image)


def canny(layer: jax.Array) -> jax.Array:
    """Canny edges of ``layer [h, w]``, bool: J. Canny, A Computational Approach to Edge Detection, PAMI 8, 1986.

    As in scikit-image: Gaussian smoothing by one pixel, Sobel gradient, non-maximum suppression, and hysteresis with
    thresholds 0.1 and 0.2 of the gradient (which is 8 for a step of 1). Edge pixels are repeated beyond the border.
    """
    rows, columns = (jnp.array(blur_matrix(size, 1.0), jnp.float32) for size in layer.shape)
    layer = rows @ layer @ columns.T
    right, down = filter_square(layer, SOBEL), filter_square(layer, tuple(zip(*SOBEL, strict=True)))
    size = jnp.hypot(right, down)
    thin = is_crest(size, right, down)
    weak = thin & (size >= LOW)
    return link(weak, weak & (size >= HIGH))


def is_crest(size: jax.Array, right: jax.Array, down: jax.Array) -> jax.Array:
    """Non-maximum suppression: where a gradient is at least as large as its neighbours along its direction.

    Args:
      size: magnitude of the gradient ``[h, w]``.
      right, down: its components ``[h, w]``.

    Returns:
      bool ``[h, w]``; False at the border.
    """
    height, width = size.shape
    steeper = jnp.abs(down) >= jnp.abs(right)
    larger, smaller = jnp.maximum(jnp.abs(right), jnp.abs(down)), jnp.minimum(jnp.abs(right), jnp.abs(down))
    share = smaller / jnp.maximum(larger, 1e-9)
    falling = right * down >= 0
    around = jnp.pad(size, 1)

    def neighbour(y: int, x: int) -> jax.Array:
        return around[1 + y : 1 + y + height, 1 + x : 1 + x + width]

    crest = jnp.pad(jnp.ones((height - 2, width - 2), bool), 1)
    for sign in (1, -1):
        across = jnp.where(falling, neighbour(0, sign), neighbour(0, -sign))
        straight = jnp.where(steeper, neighbour(sign, 0), across)
        diagonal = jnp.where(falling, neighbour(sign, sign), neighbour(sign, -sign))
        crest &= size >= straight + share * (diagonal - straight)
    return crest


def link(weak: jax.Array, strong: jax.Array) -> jax.Array:
    """Hysteresis: the pixels of ``weak [h, w]`` that are 8-connected to ``strong [h, w]`` within `weak`."""

    def grow(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        linked, _ = state
        around = jnp.pad(linked, 1)
        near = [around[i : i + linked.shape[0], j : j + linked.shape[1]] for i, j in np.ndindex(3, 3)]
        grown = weak & jnp.any(jnp.stack(near), 0)
        return grown, jnp.any(grown != linked)

    return jax.lax.while_loop(lambda state: state[1], grow, (strong, jnp.any(strong)))[0]
