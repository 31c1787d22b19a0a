"""The machine: cores and memory this process may use, and JAX started on its devices."""

import contextlib
import os
import pathlib
from collections.abc import Iterator

import jax

from jaxgen.errors import UserError


def available_cores() -> int:
    """Cores this process may use: its affinity, cut to a container's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = pathlib.Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):
        return cores


def available_memory() -> int:
    """Bytes of host memory this process may still take: what the system has free, cut to a container's limit."""
    free = []
    try:
        lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
        free += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")]
    except OSError:
        pass
    try:
        limit, used = (int(pathlib.Path(f"/sys/fs/cgroup/memory.{name}").read_text()) for name in ("max", "current"))
        free.append(limit - used)
    except (OSError, ValueError):
        pass
    return min(free, default=8 * 2**30)


def start_devices(num_devices: int, copied_bytes: int = 0) -> list[jax.Device]:
    """Starts JAX if it has not started yet, and returns the devices to use.

    A CPU is cut into one single-threaded XLA device a core: members need no threads in common, and two one-thread
    devices beat one two-thread device on every job measured. If JAX has started already, its devices are taken as they
    are. How many threads XLA has on a CPU may change the last bits of convolutional networks, as other machines do.

    Args:
      num_devices: how many; 0 takes all, or as many as the copies below leave room for.
      copied_bytes: what every device will hold a copy of.

    Raises:
      UserError: if there are not so many devices, or their copies do not fit.
    """
    free = available_memory()
    most = max(1, free // 2 // copied_bytes) if copied_bytes else available_cores()
    if "xla_cpu_multi_thread_eigen" not in os.environ.get("XLA_FLAGS", ""):
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false".strip()
    wanted = num_devices or min(available_cores(), most)
    # Refused where JAX has started already: its devices are what they are.
    with contextlib.suppress(RuntimeError):
        jax.config.update("jax_num_cpu_devices", min(wanted, available_cores()))
    # Of several processes, each has its own.
    with threads_of(num_devices):
        devices = jax.local_devices()
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


@contextlib.contextmanager
def threads_of(num_devices: int) -> Iterator[None]:
    """Has XLA, if it starts meanwhile, take as many threads of a CPU as devices were asked for, if any were.

    Who asks for fewer than there are cores leaves these to others: with threads on all of them, two such processes side
    by side take 1.4 times as long.
    """
    if not num_devices or {"PJRT_NPROC", "NPROC"} & os.environ.keys():
        yield
        return
    os.environ["PJRT_NPROC"] = str(num_devices)
    try:
        yield
    finally:
        # Other processes have other numbers of devices.
        del os.environ["PJRT_NPROC"]


def start_one_core() -> list[jax.Device]:
    """One core's device, for a process that has others train: accelerators, where there are any, are left to them."""
    # Refused where JAX has started already: its devices are what they are.
    with contextlib.suppress(RuntimeError):
        jax.config.update("jax_platforms", "cpu")
    return jax.devices("cpu")[:1]


def memory_budget(devices: list[jax.Device]) -> int:
    """Bytes that the members on one device may take: most of what is free."""
    stats = devices[0].memory_stats() if devices[0].platform != "cpu" else None
    if stats and "bytes_limit" in stats:
        return int(0.8 * (stats["bytes_limit"] - stats.get("bytes_in_use", 0)))
    return int(0.6 * available_memory() / len(devices))
