"""Pooling with gradients by slicing, because XLA's own (select and scatter) is slow on CPUs.

Axes: b images, h w pixels, c channels.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxgen.models.convolution import Geometry, Padding


def window_slices(geometry: Geometry, padded: jax.Array) -> list[jax.Array]:
    """For each pixel of the window, its values at all positions of the window: ``[b, h', w', c]`` each."""
    (height, width, _), (down, right) = geometry.outputs, geometry.strides
    return [
        padded[:, i : i + (height - 1) * down + 1 : down, j : j + (width - 1) * right + 1 : right]
        for i in range(geometry.kernel[0])
        for j in range(geometry.kernel[1])
    ]


def pad(geometry: Geometry, inputs: jax.Array, value: float) -> jax.Array:
    """Pads ``inputs [b, h, w, c]`` with a value."""
    pads = [(0, 0, 0), *((low, high, 0) for low, high in geometry.padding), (0, 0, 0)]
    return lax.pad(inputs, jnp.asarray(value, inputs.dtype), pads)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def largest(geometry: Geometry, inputs: jax.Array) -> jax.Array:
    """The maximum of each window: ``[b, h, w, c]`` to ``[b, h', w', c]``."""
    return functools.reduce(jnp.maximum, window_slices(geometry, pad(geometry, inputs, -jnp.inf)))


def largest_forward(geometry: Geometry, inputs: jax.Array) -> tuple[jax.Array, Any]:
    """The maxima, and the arrays that `largest_backward` needs."""
    outputs = largest(geometry, inputs)
    return outputs, (inputs, outputs)


def largest_backward(geometry: Geometry, residuals: tuple, gradients: jax.Array) -> tuple[jax.Array]:
    """The first maximum of a window gets the whole gradient, as in XLA."""
    inputs, outputs = residuals
    taken, parts = jnp.zeros(outputs.shape, bool), []
    for values in window_slices(geometry, pad(geometry, inputs, -jnp.inf)):
        hit = (values == outputs) & ~taken
        taken |= hit
        parts.append(jnp.where(hit, gradients, 0))
    return (add_slices(geometry, parts),)


largest.defvjp(largest_forward, largest_backward)


def add_slices(geometry: Geometry, parts: list[jax.Array]) -> jax.Array:
    """Adds gradients of `window_slices`, ``[b, h', w', c]`` each, to ``[b, h, w, c]``: its transpose."""
    (height, width, _), (down, right) = geometry.outputs, geometry.strides
    sizes = [size + sum(pads) for size, pads in zip(geometry.inputs, geometry.padding, strict=False)]
    if geometry.kernel[:2] == geometry.strides and sizes == [height * down, width * right]:
        # Windows do not overlap: every pixel is written once.
        images, channels = parts[0].shape[0], parts[0].shape[-1]
        stacked = jnp.stack(parts, axis=3).reshape(images, height, width, down, right, channels)
        total = stacked.transpose(0, 1, 3, 2, 4, 5).reshape(images, *sizes, channels)
    else:
        total = 0
        for k, part in enumerate(parts):
            i, j = divmod(k, geometry.kernel[1])
            ends = sizes[0] - i - (height - 1) * down - 1, sizes[1] - j - (width - 1) * right - 1
            pads = [(0, 0, 0), (i, ends[0], down - 1), (j, ends[1], right - 1), (0, 0, 0)]
            total += lax.pad(part, jnp.zeros((), part.dtype), pads)
    (top, _), (left, _) = geometry.padding
    return total[:, top : top + geometry.inputs[0], left : left + geometry.inputs[1]]


def pooling_geometry(
    inputs: jax.Array, window: tuple[int, int], strides: tuple[int, int], padding: Padding
) -> Geometry:
    """The geometry of a pooling of ``inputs [b, h, w, c]``."""
    channels = inputs.shape[-1]
    return Geometry(inputs.shape[1:], (*window, channels, channels), strides, padding)


def max_pool(
    inputs: jax.Array, window: tuple[int, int], strides: tuple[int, int], padding: Padding = ((0, 0), (0, 0))
) -> jax.Array:
    """Max-pooling, ``[b, h, w, c]`` to ``[b, h', w', c]``.

    Padding is minus infinity. If several values of a window are largest, the first one gets the gradient.
    """
    return largest(pooling_geometry(inputs, window, strides, padding), inputs)


def mean_pool(inputs: jax.Array, window: tuple[int, int], strides: tuple[int, int]) -> jax.Array:
    """Average pooling without padding, ``[b, h, w, c]`` to ``[b, h', w', c]``."""
    slices = window_slices(pooling_geometry(inputs, window, strides, ((0, 0), (0, 0))), inputs)
    return sum(slices) / len(slices)
