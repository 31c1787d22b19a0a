"""Connecting to a Ray cluster, and the worker slots that its nodes offer."""

import collections
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from jaxgen.errors import UserError, first_line
from jaxgen.io.process import environment

# Timeout of the reachability check, in seconds.
CONNECT_SECONDS = 10
# Ray speaks HTTP/2: the client opens with this preface and a SETTINGS frame, the server answers with a SETTINGS frame
# (RFC 9113, section 3.4).
SETTINGS_FRAME = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SETTINGS_FRAME


def connect(address: str) -> Any:
    """Returns the `ray` module, connected to the cluster at `address`.

    Args:
      address: ``auto``, ``host:port``, or ``local`` for a cluster on this machine that ends with this process.

    Raises:
      UserError: if Ray is not installed, or the cluster cannot be reached.
    """
    try:
        # An optional dependency that takes a second to import.
        import ray
    except ImportError:
        raise UserError("--launcher=ray: needs Ray, which is not installed; pip install 'jaxgen[ray]'") from None
    if ray.is_initialized():
        return ray
    refuse_unreachable(address)
    options = {"include_dashboard": False} if address == "local" else {}
    try:
        with environment(RAY_USAGE_STATS_ENABLED=os.environ.get("RAY_USAGE_STATS_ENABLED", "0")):
            ray.init(address=address, logging_level="error", log_to_driver=False, **options)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        raise UserError(unreachable_message(address, first_line(error))) from None
    return ray


def refuse_unreachable(address: str) -> None:
    """Checks within seconds that something at `address` speaks HTTP/2; Ray itself tries for minutes.

    Raises:
      UserError: if not, or if the address is malformed.
    """
    if address in ("auto", "local"):
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise UserError(f"--ray_address={address}: is neither auto nor local nor a host and its port; give host:port")
    try:
        with socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS) as connection:
            speaks_http2 = True
            if os.environ.get("RAY_USE_TLS", "0") == "0":
                connection.sendall(PREFACE)
                # Byte 3 of a frame is its type.
                speaks_http2 = connection.recv(len(SETTINGS_FRAME))[3:4] == SETTINGS_FRAME[3:4]
    except (OSError, OverflowError) as error:
        raise UserError(unreachable_message(address, str(error))) from None
    if not speaks_http2:
        raise UserError(unreachable_message(address, "something else answers"))


def unreachable_message(address: str, reason: str) -> str:
    """The error message for a cluster that cannot be reached."""
    return (
        f"--ray_address={address}: no cluster can be reached there ({reason}); start one (ray start --head), give the "
        "address of another as host:port, or --ray_address=local"
    )


def worker_slots(nodes: Sequence[Mapping[str, Any]], cpus: int) -> collections.Counter:
    """Counts the workers that fit on the nodes that are alive, by the resources of one worker.

    A worker takes one GPU, or all TPU chips of its node, or else `cpus` cores.

    Args:
      nodes: as `ray.nodes()` lists them.
      cpus: cores per worker on nodes without accelerators; 0: all cores of the node.

    Returns:
      The number of workers by ``(kind, count)``, such as ``("GPU", 1)``, ``("TPU", 4)`` or ``("CPU", 8)``.
    """
    slots: collections.Counter = collections.Counter()
    for node in nodes:
        resources = node["Resources"] if node["Alive"] else {}
        cores = int(resources.get("CPU", 0))
        if gpus := int(resources.get("GPU", 0)):
            slots[("GPU", 1)] += gpus
        elif chips := int(resources.get("TPU", 0)):
            slots[("TPU", chips)] += 1
        elif cores_per_worker := min(cpus, cores) or cores:
            slots[("CPU", cores_per_worker)] += cores // cores_per_worker
    return slots


def resource_options(slot: tuple[str, int]) -> dict[str, Any]:
    """Ray's resource options for a worker in a slot of `worker_slots`."""
    kind, count = slot
    if kind == "CPU":
        return {"num_cpus": count}
    return {"num_cpus": 1, "num_gpus": count} if kind == "GPU" else {"num_cpus": 1, "resources": {"TPU": count}}
