"""Pooling whose gradient is made of slices: XLA's own (select and scatter) has no fast kernel on a CPU.

Axes: b images, h w pixels, c channels.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxgen.models.convolution import Geometry, Padding


def places(geometry: Geometry, padded: jax.Array) -> list[jax.Array]:
    """For each pixel of the window, what it sees at each of its places: ``[b, h', w', c]`` each."""
    (height, width, _), (down, right) = geometry.outputs, geometry.strides
    return [
        padded[:, i : i + (height - 1) * down + 1 : down, j : j + (width - 1) * right + 1 : right]
        for i in range(geometry.kernel[0])
        for j in range(geometry.kernel[1])
    ]


def pad(geometry: Geometry, inputs: jax.Array, value: float) -> jax.Array:
    pads = [(0, 0, 0), *((low, high, 0) for low, high in geometry.padding), (0, 0, 0)]
    return lax.pad(inputs, jnp.asarray(value, inputs.dtype), pads)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def largest(geometry: Geometry, inputs: jax.Array) -> jax.Array:
    """The largest value of each window."""
    return functools.reduce(jnp.maximum, places(geometry, pad(geometry, inputs, -jnp.inf)))


def largest_ahead(geometry: Geometry, inputs: jax.Array) -> tuple[jax.Array, Any]:
    outputs = largest(geometry, inputs)
    return outputs, (inputs, outputs)


def largest_back(geometry: Geometry, kept: tuple, gradients: jax.Array) -> tuple[jax.Array]:
    """To the first of a window's largest values goes its whole gradient, as in XLA's own."""
    inputs, outputs = kept
    taken, parts = jnp.zeros(outputs.shape, bool), []
    for seen in places(geometry, pad(geometry, inputs, -jnp.inf)):
        hit = (seen == outputs) & ~taken
        taken |= hit
        parts.append(jnp.where(hit, gradients, 0))
    return (put_back(geometry, parts),)


largest.defvjp(largest_ahead, largest_back)


def put_back(geometry: Geometry, parts: list[jax.Array]) -> jax.Array:
    """Adds up what each pixel of the window sends to each of its places: the reverse of `places` and `pad`."""
    (height, width, _), (down, right) = geometry.outputs, geometry.strides
    sizes = [size + sum(pads) for size, pads in zip(geometry.inputs, geometry.padding, strict=False)]
    if geometry.kernel[:2] == geometry.strides and sizes == [height * down, width * right]:
        # Windows side by side: every place is written once.
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
    channels = inputs.shape[-1]
    return Geometry(inputs.shape[1:], (*window, channels, channels), strides, padding)


def max_pool(
    inputs: jax.Array, window: tuple[int, int], strides: tuple[int, int], padding: Padding = ((0, 0), (0, 0))
) -> jax.Array:
    """The largest value under the window at each of its places: ``[b, h, w, c]`` to ``[b, h', w', c]``.

    What is beyond the border never counts. Where several values are largest the first one takes the gradient.
    """
    return largest(pooling_geometry(inputs, window, strides, padding), inputs)


def mean_pool(inputs: jax.Array, window: tuple[int, int], strides: tuple[int, int]) -> jax.Array:
    """The mean under the window at each of its places: ``[b, h, w, c]`` to ``[b, h', w', c]``."""
    seen = places(pooling_geometry(inputs, window, strides, ((0, 0), (0, 0))), inputs)
    return sum(seen) / len(seen)
