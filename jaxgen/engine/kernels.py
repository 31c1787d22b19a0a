"""Chooses the back-end of each convolution by timing, as it depends on shape, number of members and device.

On a CPU the activations of a whole batch do not fit in the cache, so a network without batch statistics takes its batch
in microbatches of a few images; on a GPU the batch stays whole.
"""

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxgen.models.convolution import BACKENDS, Geometry, convolve

# XLA has no fast kernel on a CPU for the gradients of grouped convolutions: a timing would take longer than a job.
CPU_BACKENDS = ("plain", "chunked", "batched")
# Activations of a microbatch in bytes: what stays in a core's share of the cache.
PIECE_BYTES = 2**22
# Activations of one evaluation batch in bytes, on anything but a CPU.
EVALUATION_BYTES = 2**25
MOST_EVALUATED = 500
TIMINGS = 2


class BackendChoice(NamedTuple):
    """The back-end of each convolution timed, and all seconds per image and member that were measured."""

    backends: dict[Geometry, str]
    seconds: dict[tuple[Geometry, str], float]


def candidates(platform: str) -> tuple[str, ...]:
    """The back-ends to time; the first is the default without timings."""
    return CPU_BACKENDS if platform == "cpu" else ("batched", *(name for name in BACKENDS if name != "batched"))


def flops(geometry: Geometry) -> float:
    """Floating-point operations of one image's convolution and its two gradients."""
    return 6.0 * math.prod(geometry.outputs) * math.prod(geometry.kernel[:3])


def activation_bytes(geometries: Sequence[Geometry]) -> int:
    """Bytes of one image's convolution outputs in float32; training needs a few times as much."""
    return 4 * sum(math.prod(geometry.outputs) for geometry in geometries)


def piece_size(platform: str, geometries: Sequence[Geometry], batch_size: int) -> int | None:
    """The microbatch size: a divisor of the batch size, or None for the whole batch."""
    if platform != "cpu" or not geometries:
        return None
    most = PIECE_BYTES // activation_bytes(geometries)
    return max((size for size in range(1, batch_size + 1) if batch_size % size == 0 and size <= most), default=1)


def eval_batch_size(platform: str, geometries: Sequence[Geometry]) -> int:
    """The number of examples in a batch of an evaluation."""
    if not geometries:
        return MOST_EVALUATED
    room = PIECE_BYTES if platform == "cpu" else EVALUATION_BYTES
    return min(MOST_EVALUATED, max(8, room // activation_bytes(geometries)))


def choose_backends(
    geometries: Sequence[Geometry],
    names: Sequence[str],
    time_one: Callable[[Geometry, str], float],
    *,
    worthwhile: Callable[[], bool],
) -> BackendChoice:
    """The fastest back-end of each convolution, the costliest convolutions first.

    Args:
      geometries: the convolutions.
      names: candidates; the first is the default without timings.
      time_one: seconds per image and member, infinite where there is not enough memory.
      worthwhile: whether there is time for one more convolution.
    """
    backends, seconds = dict.fromkeys(geometries, names[0]), {}
    for geometry in sorted(set(geometries), key=flops, reverse=True):
        if len(names) == 1 or not worthwhile():
            break
        for name in names:
            seconds[geometry, name] = time_one(geometry, name)
        backends[geometry] = min(names, key=lambda name: seconds[geometry, name])
    return BackendChoice(backends, seconds)


def time_convolution(
    mesh: Mesh,
    geometry: Geometry,
    backend: str,
    *,
    width: int,
    num_images: int,
    dtype: jnp.dtype,
    precision: str,
    clock: Callable[[], float],
    seconds: float = 0.05,
) -> float:
    """Seconds per image and member of a convolution with both gradients, all devices busy as in training.

    Args:
      mesh: the devices.
      geometry: which convolution.
      backend: by which arithmetic.
      width: members on each device.
      num_images: images of each member at once.
      dtype: of images and kernels.
      precision: of float32 products, as in `jax.default_matmul_precision`.
      clock: a monotonic clock in seconds.
      seconds: about how long each timing lasts.
    """
    program = jax.jit(
        jax.shard_map(
            functools.partial(repeat_convolution, geometry, backend),
            mesh=mesh,
            in_specs=(P("members"), P("members"), P()),
            out_specs=P("members"),
            check_vma=False,
        )
    )
    rng = np.cos(np.arange(width * mesh.size * num_images * math.prod(geometry.inputs), dtype=np.float32))
    images = rng.reshape(width * mesh.size, num_images, *geometry.inputs).astype(dtype)
    kernels = jnp.full((width * mesh.size, *geometry.kernel), 0.01, dtype)
    images, kernels = jax.device_put((images, kernels), NamedSharding(mesh, P("members")))
    times, best = 1, math.inf
    try:
        with jax.default_matmul_precision(precision):
            jax.block_until_ready(program(images, kernels, 1))
            timings = 0
            while timings < TIMINGS:
                began = clock()
                jax.block_until_ready(program(images, kernels, times))
                taken = clock() - began
                if taken < seconds / 2:
                    times *= 4
                else:
                    timings, best = timings + 1, min(best, taken / times)
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
    return best / (width * num_images)


def repeat_convolution(
    geometry: Geometry, backend: str, images: jax.Array, kernels: jax.Array, times: jax.Array
) -> jax.Array:
    """Kernels after `times` gradient steps on the convolution's mean square, in a loop as in training."""

    def loss(kernel: jax.Array, images: jax.Array) -> jax.Array:
        outputs = convolve(images, kernel, strides=geometry.strides, padding=geometry.padding, backend=backend)
        return jnp.mean(jnp.square(outputs.astype(jnp.float32)))

    def step(_: jax.Array, kernels: jax.Array) -> jax.Array:
        at_kernels, at_images = jax.vmap(jax.grad(loss, (0, 1)))(kernels, images)
        # Both gradients are needed, so that neither is optimized away.
        return kernels - (1e-6 * at_kernels + 1e-30 * jnp.max(at_images)).astype(kernels.dtype)

    return jax.lax.fori_loop(0, times, step, kernels)


def describe(choice: dict[Geometry, str]) -> str:
    """The back-ends as text; if they differ, with the convolutions that each computes."""
    names = sorted(set(choice.values()))
    if len(names) == 1:
        return f"convolutions: {names[0]}"
    return "convolutions: " + ", ".join(f"{name} for {_listed(choice, name)}" for name in names)


def _listed(choice: dict[Geometry, str], name: str) -> str:
    chosen: Iterable[str] = (str(geometry) for geometry, backend in choice.items() if backend == name)
    return " and ".join(chosen)
