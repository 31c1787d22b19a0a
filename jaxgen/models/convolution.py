"""Convolution in several ways, equal in value and in gradient; which is fastest depends on shapes, members and device.

Mapped over members, a convolution becomes a grouped one, which crawls on CPUs and, backwards, on GPUs. So besides it
there are:

* ``grouped``: what `vmap` gives.
* ``plain``: one ordinary convolution a member. On a CPU its gradients avoid the forms that XLA has no fast kernel for:
  that of the input is an ordinary convolution with the turned kernel, that of the kernel a product of patches.
* ``batched``: patches of the whole batch (im2col) times the kernel as a matrix, one batched product for all members.
* ``chunked``: the same, a few images at a time, so that the patches stay in the cache.

Axes: b images, h w pixels, i channels in, o channels out, q = kernel height * kernel width * i, p patches.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

BACKENDS = ("grouped", "plain", "batched", "chunked")
# Patches of so many bytes are built at a time: with the product's other sides they fit a core's second-level cache.
CHUNK_BYTES = 2**21

Padding = tuple[tuple[int, int], tuple[int, int]]


class Geometry(NamedTuple):
    """All of a convolution but its numbers: ``inputs`` (h, w, i), ``kernel`` (kh, kw, i, o), strides, padding."""

    inputs: tuple[int, int, int]
    kernel: tuple[int, int, int, int]
    strides: tuple[int, int]
    padding: Padding

    @property
    def outputs(self) -> tuple[int, int, int]:
        """(h, w, o) of the result."""
        sizes = zip(self.inputs, self.kernel, self.strides, self.padding, strict=False)
        return (*((size + sum(pads) - width) // stride + 1 for size, width, stride, pads in sizes), self.kernel[3])

    def __str__(self) -> str:
        height, width, channels = self.inputs
        text = f"{height}x{width}x{channels} by {self.kernel[0]}x{self.kernel[1]} to {self.kernel[3]}"
        text += f" stride {self.strides[0]}x{self.strides[1]}" * (self.strides != (1, 1))
        return text + f" padding {self.padding}" * (self.padding != same_padding(self.inputs, self.kernel, (1, 1)))


def same_padding(inputs: tuple[int, ...], kernel: tuple[int, ...], strides: tuple[int, int]) -> Padding:
    """Padding after which a stride of 1 keeps the size and a stride of s divides it by s, rounded up."""
    pads = []
    for size, width, stride in zip(inputs[:2], kernel[:2], strides, strict=True):
        total = max((-(-size // stride) - 1) * stride + width - size, 0)
        pads.append((total // 2, total - total // 2))
    return tuple(pads)


def convolve(inputs: jax.Array, kernel: jax.Array, *, strides: tuple[int, int], padding: Padding, backend: str) -> Any:
    """Cross-correlates images with a kernel, as networks do.

    Args:
      inputs: ``[b, h, w, i]``.
      kernel: ``[kh, kw, i, o]``, of the same type.
      strides: pixels from one output to the next, vertically and horizontally.
      padding: zeros before and after, vertically and horizontally.
      backend: one of `BACKENDS`.

    Returns:
      ``[b, h', w', o]``.
    """
    geometry = Geometry(inputs.shape[1:], kernel.shape, strides, padding)
    if backend == "grouped":
        return convolve_directly(geometry, inputs, kernel)
    return {"plain": plainly, "batched": in_one_batch, "chunked": in_chunks}[backend](geometry, inputs, kernel)


def convolve_directly(geometry: Geometry, inputs: jax.Array, kernel: jax.Array) -> jax.Array:
    """XLA's own convolution."""
    return lax.conv_general_dilated(
        inputs, kernel, geometry.strides, geometry.padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def turned(geometry: Geometry) -> Geometry:
    """The convolution, of stride 1, that takes output gradients (with zeros between them) to input gradients."""
    pads, spread = [], []
    for size, width, stride, (low, _), out in zip(
        geometry.inputs, geometry.kernel, geometry.strides, geometry.padding, geometry.outputs, strict=False
    ):
        between = (out - 1) * stride + 1
        pads.append((width - 1 - low, size + low - between))
        spread.append(between)
    height, width, channels, features = geometry.kernel
    return Geometry((*spread, features), (height, width, features, channels), (1, 1), tuple(pads))


def spread_gradients(geometry: Geometry, gradients: jax.Array) -> jax.Array:
    """Output gradients with ``stride - 1`` zeros between them."""
    if geometry.strides == (1, 1):
        return gradients
    between = [(0, 0, 0), *((0, 0, stride - 1) for stride in geometry.strides), (0, 0, 0)]
    return lax.pad(gradients, jnp.zeros((), gradients.dtype), between)


def turn_kernel(kernel: jax.Array) -> jax.Array:
    """A kernel upside down and back to front, its channels in and out exchanged."""
    # Behind the barrier XLA cannot fold the turning into the convolution and so into a form it has no kernel for.
    return lax.optimization_barrier(jnp.flip(kernel, (0, 1)).transpose(0, 1, 3, 2))


def extract_patches(geometry: Geometry, inputs: jax.Array) -> jax.Array:
    """The pixels under the kernel at each of its places, ``[p, q]`` with p = b * h' * w'."""
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
    """A matrix product over the named axes, summed in float32 whatever the type of its factors."""
    axes = (((contract[0],), (contract[1],)), ((), ()))
    return lax.dot_general(left, right, axes, preferred_element_type=jnp.float32).astype(left.dtype)


def images_at_once(geometry: Geometry, num_images: int, itemsize: int) -> int:
    """The largest divisor of `num_images` whose patches take at most `CHUNK_BYTES`, or 1."""
    height, width, _ = geometry.outputs
    most = CHUNK_BYTES // (height * width * math.prod(geometry.kernel[:3]) * itemsize)
    return max((size for size in range(1, min(most, num_images) + 1) if num_images % size == 0), default=1)


def by_patches(geometry: Geometry, inputs: jax.Array, kernel: jax.Array, microbatch_size: int) -> jax.Array:
    """Convolves `microbatch_size` images at a time, each time as one product of patches and kernel."""
    matrix = kernel.reshape(-1, kernel.shape[-1])

    def some(images: jax.Array) -> jax.Array:
        outputs = product(extract_patches(geometry, images), matrix, (1, 0))
        return outputs.reshape(len(images), *geometry.outputs)

    return in_pieces(some, microbatch_size, inputs)


def in_pieces(function: Callable, size: int, images: jax.Array) -> jax.Array:
    """Applies `function` to `size` images at a time."""
    if size == len(images):
        return function(images)
    pieces = images.reshape(-1, size, *images.shape[1:])
    return lax.map(function, pieces).reshape(len(images), *jax.eval_shape(function, pieces[0]).shape[1:])


def kernel_gradient(geometry: Geometry, inputs: jax.Array, gradients: jax.Array, microbatch_size: int) -> jax.Array:
    """The gradient of the kernel, ``[kh, kw, i, o]``: patches times output gradients, a microbatch at a time."""

    def some(images: jax.Array, gradients: jax.Array) -> jax.Array:
        # In this order the smaller factor is the one that has to be transposed.
        axes = (((0,), (0,)), ((), ()))
        flat = gradients.reshape(-1, gradients.shape[-1])
        return lax.dot_general(flat, extract_patches(geometry, images), axes, preferred_element_type=jnp.float32)

    if microbatch_size == len(inputs):
        total = some(inputs, gradients)
    else:
        pieces = [field.reshape(-1, microbatch_size, *field.shape[1:]) for field in (inputs, gradients)]
        start = jnp.zeros((geometry.kernel[3], math.prod(geometry.kernel[:3])))
        total, _ = lax.scan(lambda total, piece: (total + some(*piece), None), start, tuple(pieces))
    return total.T.reshape(geometry.kernel).astype(inputs.dtype)


def input_gradient(geometry: Geometry, gradients: jax.Array, kernel: jax.Array, forward: Callable) -> jax.Array:
    """The gradient of the input by a convolution `forward` of the output gradients."""
    return forward(turned(geometry), spread_gradients(geometry, gradients), turn_kernel(kernel))


def with_gradients(forward: Callable, microbatch_size: Callable[[Geometry, jax.Array], int]) -> Callable:
    """A convolution by `forward`, forwards and for the input's gradient, and by patches for the kernel's."""

    @functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
    def convolution(geometry: Geometry, inputs: jax.Array, kernel: jax.Array) -> jax.Array:
        return forward(geometry, inputs, kernel)

    def ahead(geometry: Geometry, inputs: jax.Array, kernel: jax.Array) -> tuple:
        return forward(geometry, inputs, kernel), (inputs, kernel)

    def back(geometry: Geometry, kept: tuple, gradients: jax.Array) -> tuple[jax.Array, jax.Array]:
        inputs, kernel = kept
        at_inputs = input_gradient(geometry, gradients, kernel, forward)
        return at_inputs, kernel_gradient(geometry, inputs, gradients, microbatch_size(geometry, inputs))

    convolution.defvjp(ahead, back)
    return convolution


def chunk_size(geometry: Geometry, inputs: jax.Array) -> int:
    """How many of these images `in_chunks` takes at a time."""
    return images_at_once(geometry, len(inputs), inputs.dtype.itemsize)


def all_images(geometry: Geometry, inputs: jax.Array) -> int:
    """Every image there is."""
    return len(inputs)


in_one_batch = with_gradients(lambda geometry, x, kernel: by_patches(geometry, x, kernel, len(x)), all_images)
in_chunks = with_gradients(
    lambda geometry, x, kernel: by_patches(geometry, x, kernel, chunk_size(geometry, x)), chunk_size
)


def one_by_one(function: Callable) -> Callable:
    """`function` of two arrays, mapped over members by a loop and not by enlarging its operations."""
    mapped = jax.custom_batching.custom_vmap(function)

    @mapped.def_vmap
    def rule(axis_size: int, in_batched: list[bool], left: jax.Array, right: jax.Array) -> tuple[jax.Array, bool]:
        def member(i: Any) -> jax.Array:
            return function(*(x[i] if batched else x for x, batched in zip((left, right), in_batched, strict=True)))

        outputs = member(0)[None] if axis_size == 1 else lax.map(member, jnp.arange(axis_size))
        return outputs, True

    return mapped


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def plainly(geometry: Geometry, inputs: jax.Array, kernel: jax.Array) -> jax.Array:
    """One convolution a member."""
    return one_by_one(functools.partial(convolve_directly, geometry))(inputs, kernel)


def plainly_ahead(geometry: Geometry, inputs: jax.Array, kernel: jax.Array) -> tuple:
    return plainly(geometry, inputs, kernel), (inputs, kernel)


def plainly_back(geometry: Geometry, kept: tuple, gradients: jax.Array) -> tuple[jax.Array, jax.Array]:
    inputs, kernel = kept

    def to_inputs(gradients: jax.Array, kernel: jax.Array) -> jax.Array:
        def native(gradients: jax.Array, kernel: jax.Array) -> jax.Array:
            shape = jax.ShapeDtypeStruct((len(gradients), *geometry.inputs), gradients.dtype)
            transposed = jax.linear_transpose(lambda x: convolve_directly(geometry, x, kernel), shape)
            return transposed(gradients)[0]

        def turning(gradients: jax.Array, kernel: jax.Array) -> jax.Array:
            return input_gradient(geometry, gradients, kernel, convolve_directly)

        return lax.platform_dependent(gradients, kernel, cpu=turning, default=native)

    def to_kernel(inputs: jax.Array, gradients: jax.Array) -> jax.Array:
        def native(inputs: jax.Array, gradients: jax.Array) -> jax.Array:
            shape = jax.ShapeDtypeStruct(geometry.kernel, gradients.dtype)
            return jax.linear_transpose(lambda w: convolve_directly(geometry, inputs, w), shape)(gradients)[0]

        def products(inputs: jax.Array, gradients: jax.Array) -> jax.Array:
            return kernel_gradient(geometry, inputs, gradients, chunk_size(geometry, inputs))

        return lax.platform_dependent(inputs, gradients, cpu=products, default=native)

    return one_by_one(to_inputs)(gradients, kernel), one_by_one(to_kernel)(inputs, gradients)


plainly.defvjp(plainly_ahead, plainly_back)
