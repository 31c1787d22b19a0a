"""A Ray cluster: how it is reached, and how many workers it has room for."""

import collections
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from jaxgen.errors import UserError

# Seconds in which a cluster's head answers.
ANSWER = 10
# How HTTP/2 begins, which Ray speaks: the client with this and its settings, the server with its own (RFC 9113, 3.4).
SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SETTINGS


def connect(address: str) -> Any:
    """Ray, connected to the cluster at `address`; ``local`` starts one on this machine, until this process ends.

    Raises:
      UserError: if Ray is not installed, or there is no such cluster.
    """
    try:
        # Imported here: it is an extra, and takes a second.
        import ray
    except ImportError:
        raise UserError("--launcher=ray: needs Ray, which is not installed; pip install 'jaxgen[ray]'") from None
    if ray.is_initialized():
        return ray
    refuse_unreachable(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    own = {"include_dashboard": False} if address == "local" else {}
    try:
        ray.init(address=address, logging_level="error", log_to_driver=False, **own)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        raise UserError(no_cluster(address, str(error).splitlines()[0])) from None
    return ray


def refuse_unreachable(address: str) -> None:
    """Refuses, within seconds, an address where nobody listens: Ray itself takes minutes.

    Raises:
      UserError: for an address that cannot be reached.
    """
    if address in ("auto", "local"):
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise UserError(f"--ray_address={address}: is neither auto nor local nor a host and its port; give host:port")
    try:
        with socket.create_connection((host, int(port)), timeout=ANSWER) as connection:
            if os.environ.get("RAY_USE_TLS", "0") == "0":
                connection.sendall(PREFACE)
                speaks = connection.recv(len(SETTINGS))[3:4] == SETTINGS[3:4]
            else:
                speaks = True
    except (OSError, OverflowError) as error:
        raise UserError(no_cluster(address, str(error))) from None
    if not speaks:
        raise UserError(no_cluster(address, "something else answers"))


def no_cluster(address: str, reason: str) -> str:
    return (
        f"--ray_address={address}: no cluster can be reached there ({reason}); start one (ray start --head), give the "
        "address of another as host:port, or --ray_address=local"
    )


def places(nodes: Sequence[Mapping[str, Any]], cpus: int) -> collections.Counter:
    """How many workers there is room for, by what each takes of a node: a GPU, a node's TPU chips, or so many cores.

    Args:
      nodes: as Ray lists them.
      cpus: cores of a worker where there are no accelerators; 0: all of its node.
    """
    found: collections.Counter = collections.Counter()
    for node in nodes:
        has = node["Resources"] if node["Alive"] else {}
        cores = int(has.get("CPU", 0))
        if gpus := int(has.get("GPU", 0)):
            found[("GPU", 1)] += gpus
        elif chips := int(has.get("TPU", 0)):
            found[("TPU", chips)] += 1
        elif own := min(cpus, cores) or cores:
            found[("CPU", own)] += cores // own
    return found


def options(place: tuple[str, int]) -> dict[str, Any]:
    """What Ray is asked for."""
    kind, count = place
    if kind == "CPU":
        return {"num_cpus": count}
    return {"num_cpus": 1, "num_gpus": count} if kind == "GPU" else {"num_cpus": 1, "resources": {"TPU": count}}
