"""Cores and memory available to this process, and starting JAX on its devices."""

import contextlib
import os
import pathlib
from collections.abc import Iterator

import jax

from jaxgen.errors import UserError
from jaxgen.io.process import environment


def available_cores() -> int:
    """Number of cores this process may use: its CPU affinity, limited by the cgroup quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = pathlib.Path("/sys/fs/cgroup/cpu.max").read_text(encoding="utf-8").split()
        return max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):
        return cores


def available_memory() -> int:
    """Bytes of host memory this process may still allocate: the system's free memory, limited by the cgroup."""
    free = []
    try:
        lines = pathlib.Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        free += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")]
    except OSError:
        pass
    try:
        limit, used = (
            int(pathlib.Path(f"/sys/fs/cgroup/memory.{name}").read_text(encoding="utf-8"))
            for name in ("max", "current")
        )
        free.append(limit - used)
    except (OSError, ValueError):
        pass
    return min(free, default=8 * 2**30)


def start_devices(num_devices: int, copied_bytes: int = 0) -> list[jax.Device]:
    """Starts JAX unless it has started already, and returns the devices to use.

    A CPU becomes one single-threaded XLA device per core: members are independent, and two one-thread devices were
    faster than one two-thread device on every job measured. If JAX has started already, its devices are used as they
    are. The number of XLA threads on a CPU can change the last bits of convolutional networks, as another machine can.

    Args:
      num_devices: how many; 0: all, or on a CPU as many as have room for their copies in half of the free memory.
      copied_bytes: size of the data that every device holds a copy of.

    Raises:
      UserError: if there are fewer devices, or the copies do not fit into memory.
    """
    free = available_memory()
    max_devices = max(1, free // 2 // copied_bytes) if copied_bytes else available_cores()
    wanted = num_devices or min(available_cores(), max_devices)
    # JAX raises if it has started already.
    with contextlib.suppress(RuntimeError):
        jax.config.update("jax_num_cpu_devices", min(wanted, available_cores()))
    # Local ones: with --launcher=distributed every process trains on its own.
    with limited_threads(num_devices), single_threaded():
        devices = local_devices()
    if num_devices > len(devices):
        raise UserError(f"--num_devices={num_devices}: this process has {len(devices)} {devices[0].platform} device(s)")
    devices = devices[: num_devices or None]
    if devices[0].platform == "cpu" and copied_bytes * len(devices) > free:
        raise UserError(
            f"--num_devices={num_devices}: {len(devices)} copies of the data take "
            f"{copied_bytes * len(devices) / 1e6:.0f} MB, and {free / 1e6:.0f} MB are free; lower --num_devices or "
            "--num_examples"
        )
    return devices


def local_devices() -> list[jax.Device]:
    """The devices of this process.

    Raises:
      UserError: if JAX finds none of the kind that it was told to use.
    """
    try:
        # XLA reads its flags here.
        devices = jax.local_devices()
    except (RuntimeError, AssertionError) as error:
        # JAX asserts that some devices were found, without a word.
        reason = (str(error).splitlines() or ["no such devices"])[0]
        raise UserError(
            f"JAX_PLATFORMS={jax.config.jax_platforms or ''}: JAX cannot start there ({reason}); unset it, or install "
            "JAX for these devices"
        ) from None
    return devices


@contextlib.contextmanager
def single_threaded() -> Iterator[None]:
    """Tells XLA, if it starts inside the block, to use one thread for each CPU device, unless the user has."""
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_cpu_multi_thread_eigen" in flags:
        yield
        return
    with environment(XLA_FLAGS=f"{flags} --xla_cpu_multi_thread_eigen=false".strip()):
        yield


@contextlib.contextmanager
def limited_threads(num_devices: int) -> Iterator[None]:
    """Limits XLA, if it starts inside the block, to `num_devices` CPU threads; 0: no limit.

    A job on fewer devices than cores leaves the other cores free: two such processes side by side took 1.4 times as
    long when each had threads on all cores.
    """
    if not num_devices or {"PJRT_NPROC", "NPROC"} & os.environ.keys():
        yield
        return
    # Child processes may use other numbers of devices.
    with environment(PJRT_NPROC=str(num_devices)):
        yield


def start_one_core() -> list[jax.Device]:
    """Starts JAX on one CPU device, for a driver whose workers train; accelerators are left to the workers."""
    # JAX raises if it has started already.
    with contextlib.suppress(RuntimeError):
        jax.config.update("jax_platforms", "cpu")
    return jax.devices("cpu")[:1]


def memory_budget(devices: list[jax.Device]) -> int:
    """Bytes that the members on one device may take.

    That is 80 % of an accelerator's free memory, or 60 % of the host's, divided among the CPU devices.
    """
    stats = devices[0].memory_stats() if devices[0].platform != "cpu" else None
    if stats and "bytes_limit" in stats:
        return int(0.8 * (stats["bytes_limit"] - stats.get("bytes_in_use", 0)))
    return int(0.6 * available_memory() / len(devices))
