"""Convolution back-ends with equal values and gradients; the fastest depends on shapes, number of members and device.

`jax.vmap` over members turns a convolution into a grouped one, which is slow on CPUs, and whose gradient is slow on
GPUs. The back-ends are:

* ``grouped``: the grouped convolution.
* ``plain``: a loop over members with ordinary convolutions. On a CPU its gradients avoid forms that XLA has no fast
  kernel for: the input gradient is a convolution with the flipped kernel, the kernel gradient a product with patches.
* ``batched``: patches of the whole batch (im2col) times the kernel matrix, as one batched product for all members.
* ``chunked``: the same for a few images at a time, so that the patches fit in the cache.

Axes: b images, h w pixels, i input channels, o output channels, q = kernel height * kernel width * i, p patches.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

BACKENDS = ("grouped", "plain", "batched", "chunked")
# Size of the patches built at a time: with the other operands of the product, they fit the L2 cache of a core.
CHUNK_BYTES = 2**21

Padding = tuple[tuple[int, int], tuple[int, int]]


class Geometry(NamedTuple):
    """The shapes of a convolution.

    Attributes:
      inputs: (h, w, i).
      kernel: (kh, kw, i, o).
      strides: vertical and horizontal.
      padding: zeros before and after, vertical and horizontal.
    """

    inputs: tuple[int, int, int]
    kernel: tuple[int, int, int, int]
    strides: tuple[int, int]
    padding: Padding

    @property
    def outputs(self) -> tuple[int, int, int]:
        """(h', w', o) of the outputs."""
        sizes = zip(self.inputs, self.kernel, self.strides, self.padding, strict=False)
        return (*((size + sum(pads) - width) // stride + 1 for size, width, stride, pads in sizes), self.kernel[3])

    def __str__(self) -> str:
        height, width, channels = self.inputs
        text = f"{height}x{width}x{channels} by {self.kernel[0]}x{self.kernel[1]} to {self.kernel[3]}"
        text += f" stride {self.strides[0]}x{self.strides[1]}" * (self.strides != (1, 1))
        return text + f" padding {self.padding}" * (self.padding != same_padding(self.inputs, self.kernel, (1, 1)))


def same_padding(inputs: tuple[int, ...], kernel: tuple[int, ...], strides: tuple[int, int]) -> Padding:
    """Padding with which stride 1 keeps the size, and stride s divides it by s, rounded up."""
    pads = []
    for size, width, stride in zip(inputs[:2], kernel[:2], strides, strict=True):
        total = max((-(-size // stride) - 1) * stride + width - size, 0)
        pads.append((total // 2, total - total // 2))
    return tuple(pads)


def convolve(inputs: jax.Array, kernel: jax.Array, *, strides: tuple[int, int], padding: Padding, backend: str) -> Any:
    """Cross-correlates images with a kernel.

    Args:
      inputs: ``[b, h, w, i]``.
      kernel: ``[kh, kw, i, o]``, of the same dtype.
      strides: vertical and horizontal.
      padding: zeros before and after, vertical and horizontal.
      backend: one of `BACKENDS`.

    Returns:
      ``[b, h', w', o]``.
    """
    geometry = Geometry(inputs.shape[1:], kernel.shape, strides, padding)
    if backend == "grouped":
        return convolve_directly(geometry, inputs, kernel)
    return {"plain": convolve_plain, "batched": convolve_batched, "chunked": convolve_chunked}[backend](
        geometry, inputs, kernel
    )


def convolve_directly(geometry: Geometry, inputs: jax.Array, kernel: jax.Array) -> jax.Array:
    """XLA's convolution, ``[b, h, w, i]`` to ``[b, h', w', o]``."""
    return lax.conv_general_dilated(
        inputs, kernel, geometry.strides, geometry.padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def transposed(geometry: Geometry) -> Geometry:
    """Geometry of the stride-1 convolution that maps dilated output gradients to input gradients."""
    pads, dilated = [], []
    for size, width, stride, (low, _), out in zip(
        geometry.inputs, geometry.kernel, geometry.strides, geometry.padding, geometry.outputs, strict=False
    ):
        dilated_size = (out - 1) * stride + 1
        pads.append((width - 1 - low, size + low - dilated_size))
        dilated.append(dilated_size)
    height, width, channels, features = geometry.kernel
    return Geometry((*dilated, features), (height, width, features, channels), (1, 1), tuple(pads))


def dilate_gradients(geometry: Geometry, gradients: jax.Array) -> jax.Array:
    """Inserts ``stride - 1`` zeros between output gradients."""
    if geometry.strides == (1, 1):
        return gradients
    between = [(0, 0, 0), *((0, 0, stride - 1) for stride in geometry.strides), (0, 0, 0)]
    return lax.pad(gradients, jnp.zeros((), gradients.dtype), between)


def flip_kernel(kernel: jax.Array) -> jax.Array:
    """Flips a kernel along height and width and swaps its channels: ``[kh, kw, i, o]`` to ``[kh, kw, o, i]``."""
    # The barrier keeps XLA from folding the flip into the convolution, for which it has no fast kernel.
    return lax.optimization_barrier(jnp.flip(kernel, (0, 1)).transpose(0, 1, 3, 2))


def extract_patches(geometry: Geometry, inputs: jax.Array) -> jax.Array:
    """The patches under the kernel at each output pixel (im2col), ``[p, q]`` with p = b * h' * w'."""
    (height, width, _), (rows, columns, channels, _) = geometry.outputs, geometry.kernel
    pads = [(0, 0, 0), *((low, high, 0) for low, high in geometry.padding), (0, 0, 0)]
    padded = lax.pad(inputs, jnp.zeros((), inputs.dtype), pads)
    down, right = geometry.strides
    shifted = [
        padded[:, i : i + (height - 1) * down + 1 : down, j : j + (width - 1) * right + 1 : right]
        for i in range(rows)
        for j in range(columns)
    ]
    patches = shifted[0] if len(shifted) == 1 else jnp.concatenate(shifted, axis=-1)
    return patches.reshape(-1, rows * columns * channels)


def product(left: jax.Array, right: jax.Array, contract: tuple[int, int]) -> jax.Array:
    """A matrix product that contracts the given axes, with float32 accumulation."""
    axes = (((contract[0],), (contract[1],)), ((), ()))
    return lax.dot_general(left, right, axes, preferred_element_type=jnp.float32).astype(left.dtype)


def images_at_once(geometry: Geometry, num_images: int, itemsize: int) -> int:
    """The largest divisor of `num_images` whose patches take at most `CHUNK_BYTES`, or 1."""
    height, width, _ = geometry.outputs
    most = CHUNK_BYTES // (height * width * math.prod(geometry.kernel[:3]) * itemsize)
    return max((size for size in range(1, min(most, num_images) + 1) if num_images % size == 0), default=1)


def convolve_patches(geometry: Geometry, inputs: jax.Array, kernel: jax.Array, microbatch_size: int) -> jax.Array:
    """Convolution as a product of patches and kernel, for `microbatch_size` images at a time."""
    matrix = kernel.reshape(-1, kernel.shape[-1])

    def convolve_microbatch(images: jax.Array) -> jax.Array:
        outputs = product(extract_patches(geometry, images), matrix, (1, 0))
        return outputs.reshape(len(images), *geometry.outputs)

    return map_microbatches(convolve_microbatch, microbatch_size, inputs)


def map_microbatches(function: Callable, size: int, images: jax.Array) -> jax.Array:
    """Applies `function` to `size` images at a time; `size` divides their number."""
    if size == len(images):
        return function(images)
    microbatches = images.reshape(-1, size, *images.shape[1:])
    return lax.map(function, microbatches).reshape(len(images), *jax.eval_shape(function, microbatches[0]).shape[1:])


def kernel_gradient(geometry: Geometry, inputs: jax.Array, gradients: jax.Array, microbatch_size: int) -> jax.Array:
    """The kernel gradient, ``[kh, kw, i, o]``: patches times output gradients, summed over microbatches."""

    def accumulate(images: jax.Array, gradients: jax.Array) -> jax.Array:
        # In this order the smaller factor is the one that is transposed.
        axes = (((0,), (0,)), ((), ()))
        flat = gradients.reshape(-1, gradients.shape[-1])
        return lax.dot_general(flat, extract_patches(geometry, images), axes, preferred_element_type=jnp.float32)

    if microbatch_size == len(inputs):
        total = accumulate(inputs, gradients)
    else:
        microbatches = [field.reshape(-1, microbatch_size, *field.shape[1:]) for field in (inputs, gradients)]
        start = jnp.zeros((geometry.kernel[3], math.prod(geometry.kernel[:3])))
        total, _ = lax.scan(lambda total, batch: (total + accumulate(*batch), None), start, tuple(microbatches))
    return total.T.reshape(geometry.kernel).astype(inputs.dtype)


def input_gradient(geometry: Geometry, gradients: jax.Array, kernel: jax.Array, forward: Callable) -> jax.Array:
    """The input gradient ``[b, h, w, i]``: the convolution `forward` applied to the dilated output gradients."""
    return forward(transposed(geometry), dilate_gradients(geometry, gradients), flip_kernel(kernel))


def with_gradients(forward: Callable, microbatch_size: Callable[[Geometry, jax.Array], int]) -> Callable:
    """Makes a convolution with custom gradients.

    Args:
      forward: ``forward(geometry, inputs, kernel)``, also used for the input gradient.
      microbatch_size: number of images at a time for the kernel gradient.
    """

    @functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
    def convolution(geometry: Geometry, inputs: jax.Array, kernel: jax.Array) -> jax.Array:
        return forward(geometry, inputs, kernel)

    def forward_pass(geometry: Geometry, inputs: jax.Array, kernel: jax.Array) -> tuple:
        return forward(geometry, inputs, kernel), (inputs, kernel)

    def backward_pass(geometry: Geometry, residuals: tuple, gradients: jax.Array) -> tuple[jax.Array, jax.Array]:
        inputs, kernel = residuals
        at_inputs = input_gradient(geometry, gradients, kernel, forward)
        return at_inputs, kernel_gradient(geometry, inputs, gradients, microbatch_size(geometry, inputs))

    convolution.defvjp(forward_pass, backward_pass)
    return convolution


def chunk_size(geometry: Geometry, inputs: jax.Array) -> int:
    """The number of images that the back-end ``chunked`` takes at a time."""
    return images_at_once(geometry, len(inputs), inputs.dtype.itemsize)


def all_images(geometry: Geometry, inputs: jax.Array) -> int:
    """The number of images that the back-end ``batched`` takes at a time."""
    return len(inputs)


convolve_batched = with_gradients(lambda geometry, x, kernel: convolve_patches(geometry, x, kernel, len(x)), all_images)
convolve_chunked = with_gradients(
    lambda geometry, x, kernel: convolve_patches(geometry, x, kernel, chunk_size(geometry, x)), chunk_size
)


def loop_over_members(function: Callable) -> Callable:
    """Makes `jax.vmap` of a function of two arrays a loop, rather than a batched operation."""
    mapped = jax.custom_batching.custom_vmap(function)

    @mapped.def_vmap
    def rule(axis_size: int, in_batched: list[bool], left: jax.Array, right: jax.Array) -> tuple[jax.Array, bool]:
        def member(i: Any) -> jax.Array:
            return function(*(x[i] if batched else x for x, batched in zip((left, right), in_batched, strict=True)))

        outputs = member(0)[None] if axis_size == 1 else lax.map(member, jnp.arange(axis_size))
        return outputs, True

    return mapped


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def convolve_plain(geometry: Geometry, inputs: jax.Array, kernel: jax.Array) -> jax.Array:
    """XLA's convolution for each member, in a loop over members."""
    return loop_over_members(functools.partial(convolve_directly, geometry))(inputs, kernel)


def plain_forward(geometry: Geometry, inputs: jax.Array, kernel: jax.Array) -> tuple:
    """The outputs, and the arrays that `plain_backward` needs."""
    return convolve_plain(geometry, inputs, kernel), (inputs, kernel)


def plain_backward(geometry: Geometry, residuals: tuple, gradients: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Gradients of the inputs and of the kernel: XLA's own, except on CPUs."""
    inputs, kernel = residuals

    def to_inputs(gradients: jax.Array, kernel: jax.Array) -> jax.Array:
        def native(gradients: jax.Array, kernel: jax.Array) -> jax.Array:
            shape = jax.ShapeDtypeStruct((len(gradients), *geometry.inputs), gradients.dtype)
            transpose = jax.linear_transpose(lambda x: convolve_directly(geometry, x, kernel), shape)
            return transpose(gradients)[0]

        def by_convolution(gradients: jax.Array, kernel: jax.Array) -> jax.Array:
            return input_gradient(geometry, gradients, kernel, convolve_directly)

        return lax.platform_dependent(gradients, kernel, cpu=by_convolution, default=native)

    def to_kernel(inputs: jax.Array, gradients: jax.Array) -> jax.Array:
        def native(inputs: jax.Array, gradients: jax.Array) -> jax.Array:
            shape = jax.ShapeDtypeStruct(geometry.kernel, gradients.dtype)
            return jax.linear_transpose(lambda w: convolve_directly(geometry, inputs, w), shape)(gradients)[0]

        def by_patches(inputs: jax.Array, gradients: jax.Array) -> jax.Array:
            return kernel_gradient(geometry, inputs, gradients, chunk_size(geometry, inputs))

        return lax.platform_dependent(inputs, gradients, cpu=by_patches, default=native)

    return loop_over_members(to_inputs)(gradients, kernel), loop_over_members(to_kernel)(inputs, gradients)


convolve_plain.defvjp(plain_forward, plain_backward)
