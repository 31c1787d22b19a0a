"""Workers of a Ray cluster: as many as its nodes have room for, each with a chunk at a time, replaced where lost.

Ray places processes and carries arrays. What is done is this process's store alone: workers need no shared folder, and
a cluster that vanishes takes nothing with it but unfinished chunks.
"""

import collections
import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from jaxgen.errors import UserError
from jaxgen.runs.plan import Chunk
from jaxgen.runs.store import Arrays

# Seconds to wait for an answer before the bar and the user get their turn.
PATIENCE = 0.3
# Seconds in which a cluster's head answers.
ANSWER = 10
# Seconds between two looks at which nodes there are.
LOOK = 5.0
# Seconds for which a cluster may have no room for a single worker: nodes may still be starting.
EMPTY = 120.0
# So many workers of one place may be lost, none having trained anything, before the cluster is given up.
HOPELESS = 3


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
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER).close()
    except (OSError, ValueError, OverflowError) as error:
        raise UserError(no_cluster(address, str(error))) from None


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


class Worker:
    """In a process of the cluster: trains chunks.

    Args:
      build: from how many devices to use (0: all that are seen) to what trains: it has ``settings()`` and
        ``train(chunk, report)``, which gives the chunk's arrays and whatever else is to be kept.
      devices: how many.
    """

    def __init__(self, build: Callable[[int], Any], devices: int):
        self.heard: collections.deque = collections.deque()
        self.trainer = build(devices)

    def settings(self) -> Any:
        """How the trainer is laid out."""
        return self.trainer.settings()

    def train(self, chunk: Chunk) -> tuple[Arrays, Any]:
        """A chunk's arrays, and what else is to be kept of it."""
        return self.trainer.train(chunk, lambda amount, earlier=False: self.heard.append(amount))

    def told(self) -> float:
        """Work done since it was asked last; it answers while a chunk is trained."""
        amounts = [self.heard.popleft() for _ in range(len(self.heard))]
        return sum(amounts)


class Hired:
    """A worker as this process knows it."""

    def __init__(self, actor: Any, place: tuple[str, int], ready: Any):
        self.actor, self.place, self.ready = actor, place, ready
        self.chunk: Chunk | None = None
        self.answer: Any = None
        self.telling: Any = None
        # Of its chunk.
        self.work = 0.0


class Crew:
    """The workers of a cluster, until it is closed.

    Args:
      ray: connected.
      cpus: as of `places`.
      build: as of `Worker`; arguments that are large are in the cluster already.
    """

    def __init__(self, ray: Any, cpus: int, build: Callable[[int], Any]):
        self.ray, self.cpus, self.build = ray, cpus, ray.put(build)
        # A second thread, to be asked while a chunk is trained.
        self.remote = ray.remote(max_concurrency=2, max_restarts=0)(Worker)
        self.hired: list[Hired] = []
        self.room: collections.Counter = collections.Counter()
        self.looked = -LOOK
        self.lost, self.trained = 0, 0

    def teach(self, build: Callable[[int], Any]) -> None:
        """Has workers that are hired from now on begin otherwise."""
        self.build = self.ray.put(build)

    def close(self) -> None:
        """Lets all workers go."""
        for worker in list(self.hired):
            self.dismiss(worker)

    def hire(self, most: int) -> None:
        """Starts workers for what room there is, but not more than `most` beside those at work."""
        if time.monotonic() - self.looked >= LOOK:
            self.room, self.looked = places(self.ray.nodes(), self.cpus), time.monotonic()
        taken = collections.Counter(worker.place for worker in self.hired)
        free = list((self.room - taken).elements())
        idle = sum(worker.chunk is None for worker in self.hired)
        for place in free[: max(most - idle, 0)]:
            devices = place[1] if place[0] == "CPU" else 0
            actor = self.remote.options(**options(place)).remote(self.build, devices)
            self.hired.append(Hired(actor, place, actor.settings.remote()))

    def settings(self) -> Any:
        """How the trainer of the first worker that is ready is laid out.

        Raises:
          UserError: if workers are lost, one after another.
        """
        began = time.monotonic()
        while True:
            self.hire(1)
            if not self.hired:
                if time.monotonic() - began > EMPTY:
                    raise UserError("--launcher=ray: no node of the cluster has a core, a GPU or TPU chips; add one")
                time.sleep(PATIENCE)
                continue
            found, _ = self.ray.wait([worker.ready for worker in self.hired], timeout=LOOK)
            for worker in [one for one in self.hired if one.ready in found]:
                with self.noted(worker):
                    return self.ray.get(worker.ready)

    @contextlib.contextmanager
    def noted(self, worker: Hired) -> Iterator[None]:
        """Lets a worker go that is lost; raises what the user has to be told, and `ChunkFailed` for other failures."""
        errors = self.ray.exceptions
        try:
            yield
        except errors.RayTaskError as error:
            cause = error.cause if isinstance(error.cause, Exception) else error
            if isinstance(cause, UserError | MemoryError):
                raise cause from None
            raise ChunkFailed(str(error)) from None
        except errors.RayError as error:
            self.dismiss(worker)
            self.lost += 1
            if self.lost >= HOPELESS * max(sum(self.room.values()), 1) and not self.trained:
                reason = str(error).strip().splitlines()[-1]
                raise UserError(
                    f"--launcher=ray: {self.lost} workers were lost before any had trained a model ({reason}); see "
                    "Ray's logs, and that all nodes have the same jaxgen and data"
                ) from None

    def dismiss(self, worker: Hired) -> None:
        """Ends a worker, whatever it does."""
        self.hired.remove(worker)
        with contextlib.suppress(Exception):
            self.ray.kill(worker.actor)

    def give(self, waiting: collections.deque) -> None:
        """Gives idle workers that are ready the first of the chunks that wait."""
        idle = [worker for worker in self.hired if worker.chunk is None]
        ready, _ = (
            self.ray.wait([worker.ready for worker in idle], num_returns=len(idle), timeout=0) if idle else ([], [])
        )
        for worker in idle:
            if waiting and worker.ready in ready:
                with self.noted(worker):
                    self.ray.get(worker.ready)
                    worker.chunk, worker.work = waiting.popleft(), 0.0
                    worker.answer = worker.actor.train.remote(worker.chunk)

    def busy(self) -> list[Hired]:
        return [worker for worker in self.hired if worker.chunk is not None]

    def listen(self) -> Iterator[float]:
        """Work that workers have done since they were heard last."""
        for worker in self.busy():
            if worker.telling is None:
                worker.telling = worker.actor.told.remote()
                continue
            if self.ray.wait([worker.telling], timeout=0)[0]:
                # A worker that is lost is found when it is asked for its chunk.
                with contextlib.suppress(self.ray.exceptions.RayError):
                    amount = self.ray.get(worker.telling)
                    worker.work += amount
                    yield amount
                worker.telling = None

    def answers(self) -> Iterator[tuple[Chunk, float, Any]]:
        """Chunks that are done: each with the work heard of it, and its arrays, or a `ChunkFailed`, or None where its
        worker was lost."""
        busy = {worker.answer: worker for worker in self.busy()}
        if not busy:
            time.sleep(PATIENCE)
            return
        for answer in self.ray.wait([*busy], num_returns=1, timeout=PATIENCE)[0]:
            worker, found = busy[answer], None
            chunk, work = worker.chunk, worker.work
            try:
                with self.noted(worker):
                    found = self.ray.get(answer)
                    self.trained += 1
            except ChunkFailed as error:
                found = error
            worker.chunk = worker.answer = worker.telling = None
            yield chunk, work, found


class ChunkFailed(Exception):
    """Training a chunk raised what no user is to blame for."""
