"""Workers of a Ray cluster: each with a chunk at a time, replaced where lost.

Ray places processes and carries arrays. What is done is this process's store alone: workers need no shared folder, and
a cluster that vanishes takes nothing with it but unfinished chunks.
"""

import collections
import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from jaxgen.errors import OutOfMemory, UserError
from jaxgen.runs.plan import Chunk
from jaxgen.runs.ray_cluster import options, places
from jaxgen.runs.store import Arrays

# Seconds to wait for an answer before the bar and the user get their turn.
PATIENCE = 0.3
# Seconds between two looks at which nodes there are.
LOOK = 5.0
# Seconds for which a cluster may have no room for a single worker: nodes may still be starting.
EMPTY = 120.0
# Seconds that workers have to clear up after themselves.
FAREWELL = 2.0
# LearnerConfig that are called while a chunk is trained; there is one thread for all others.
BESIDE = "beside"
# So many workers of each place may be lost in a row, none having come as far as training; then all is given up.
HOPELESS = 5


class Worker:
    """In a process of the cluster: trains chunks, one after another, and is heard while it does.

    Args:
      build: from how many devices to use (0: all that are seen) to what trains: it has ``settle(settings)``,
        ``train(chunk, report)``, which gives the chunk's arrays and whatever else is to be kept, and ``close()``.
      devices: how many.
    """

    def __init__(self, build: Callable[[int], Any], devices: int):
        self.build, self.devices = build, devices
        self.heard: collections.deque = collections.deque()
        self.trainer: Any = None

    def open(self) -> None:
        """Has the trainer built: not with the worker itself, so that what it raises is seen as it is."""
        self.trainer = self.build(self.devices)

    def settle(self, settings: Any) -> Any:
        """Has the trainer laid out by these settings, or by those that it finds; returns them."""
        return self.trainer.settle(settings)

    def train(self, chunk: Chunk) -> tuple[Arrays, Any]:
        """A chunk's arrays, and what else is to be kept of it."""
        return self.trainer.train(chunk, lambda amount, earlier=False: self.heard.append((chunk, amount)))

    def told(self) -> dict[Chunk, float]:
        """By chunk, the work done since it was asked last."""
        amounts: dict[Chunk, float] = {}
        for chunk, amount in [self.heard.popleft() for _ in range(len(self.heard))]:
            amounts[chunk] = amounts.get(chunk, 0.0) + amount
        return amounts

    def close(self) -> None:
        """Leaves nothing behind on its node."""
        if self.trainer:
            self.trainer.close()


class WorkerHandle:
    """A worker as this process knows it.

    Attributes:
      opened: answers when the worker is there.
      ready: answers when it is laid out to train; None before it is told how.
      chunks: by the answers that are to come, what it trains and what it is to train next.
      work: heard of each of its chunks.
    """

    def __init__(self, actor: Any, place: tuple[str, int]):
        self.actor, self.place, self.opened = actor, place, actor.open.remote()
        self.ready: Any = None
        self.chunks: dict[Any, Chunk] = {}
        self.work: dict[Chunk, float] = {}
        self.telling: Any = None

    def take(self, chunk: Chunk) -> None:
        self.chunks[self.actor.train.remote(chunk)] = chunk
        self.work[chunk] = 0.0

    def ask(self, method: Any) -> Any:
        """Calls a method while a chunk is trained."""
        return method.options(concurrency_group=BESIDE).remote()


class WorkerPool:
    """The workers of a cluster, until it is closed.

    Args:
      ray: connected.
      cpus: as of `places`.
      build: as of `Worker`; arguments that are large are in the cluster already.
    """

    def __init__(self, ray: Any, cpus: int, build: Callable[[int], Any]):
        self.ray, self.cpus, self.build = ray, cpus, ray.put(build)
        self.remote = ray.remote(concurrency_groups={BESIDE: 1}, max_restarts=0)(Worker)
        self.hired: list[WorkerHandle] = []
        self.room: collections.Counter = collections.Counter()
        self.looked = -LOOK
        self.settings: Any = None
        # Since one of them was ready.
        self.lost = 0

    def close(self) -> None:
        """Lets all workers go."""
        with contextlib.suppress(Exception):
            leaving = [worker.ask(worker.actor.close) for worker in self.hired]
            self.ray.wait(leaving, num_returns=len(leaving), timeout=FAREWELL)
        for worker in list(self.hired):
            self.dismiss(worker)

    def hire(self, most: int) -> None:
        """Starts workers for what room there is, but not more than `most` beside those at work."""
        if time.monotonic() - self.looked >= LOOK:
            self.room, self.looked = places(self.ray.nodes(), self.cpus), time.monotonic()
        taken = collections.Counter(worker.place for worker in self.hired)
        free = list((self.room - taken).elements())
        idle = sum(not worker.chunks for worker in self.hired)
        for place in free[: max(most - idle, 0)]:
            devices = place[1] if place[0] == "CPU" else 0
            self.hired.append(WorkerHandle(self.remote.options(**options(place)).remote(self.build, devices), place))

    def settle(self, settings: Any, most: int) -> Any:
        """Has all workers lay themselves out as the first does that is there; meanwhile the others start.

        Args:
          settings: by which it does; None: it finds out.
          most: so many workers are needed.

        Returns:
          The settings of the first.

        Raises:
          UserError: if workers are lost, one after another, or there is none.
        """
        began = time.monotonic()
        while not self.settings:
            self.hire(most)
            if not self.hired:
                if time.monotonic() - began > EMPTY:
                    raise UserError("--launcher=ray: no node of the cluster has a core, a GPU or TPU chips; add one")
                time.sleep(PATIENCE)
                continue
            asked = [worker for worker in self.hired if worker.ready]
            if not asked:
                there, _ = self.ray.wait([worker.opened for worker in self.hired], timeout=LOOK)
                for worker in [one for one in self.hired if one.opened in there][:1]:
                    with self.starting(worker, UserError, OutOfMemory):
                        self.ray.get(worker.opened)
                        worker.ready = worker.actor.settle.remote(settings)
            for worker in asked:
                if self.ray.wait([worker.ready], timeout=LOOK)[0]:
                    with self.starting(worker, UserError, OutOfMemory):
                        self.settings = self.ray.get(worker.ready)
                        self.lost = 0
        return self.settings

    @contextlib.contextmanager
    def noted(self, worker: WorkerHandle) -> Iterator[None]:
        """Lets a worker go that is lost; raises what the user has to be told, and `ChunkFailed` for other failures."""
        errors = self.ray.exceptions
        try:
            yield
        except errors.RayTaskError as error:
            cause = error.cause if isinstance(error.cause, Exception) else error
            if isinstance(cause, UserError | OutOfMemory):
                raise cause from None
            raise ChunkFailed(str(error)) from None
        except errors.RayError as error:
            self.lose(worker, str(error))

    @contextlib.contextmanager
    def starting(self, worker: WorkerHandle, *raised: type[Exception]) -> Iterator[None]:
        """As `noted`, of a worker that has trained nothing yet: it is lost whatever it fails at, but for what is to be
        `raised`. One bad node is no reason to end a job of many."""
        try:
            with self.noted(worker):
                yield
        except (*raised, GivenUp):
            raise
        except (ChunkFailed, UserError, OutOfMemory) as error:
            self.lose(worker, str(error) or "out of memory")

    def lose(self, worker: WorkerHandle, reason: str) -> None:
        """Lets a worker go.

        Raises:
          GivenUp: if one after another is lost that has not come as far as training.
        """
        self.dismiss(worker)
        if worker.chunks:
            return
        self.lost += 1
        if self.lost >= HOPELESS * max(sum(self.room.values()), 1):
            raise GivenUp(
                f"--launcher=ray: {self.lost} workers were lost, one after another, before any could train "
                f"({reason.strip().splitlines()[-1]}); see Ray's logs, and that all nodes have the same jaxgen and data"
            )

    def dismiss(self, worker: WorkerHandle) -> None:
        """Ends a worker, whatever it does."""
        self.hired.remove(worker)
        with contextlib.suppress(Exception):
            self.ray.kill(worker.actor)

    def give(self, waiting: collections.deque) -> None:
        """Gives workers that are ready the first of the chunks that wait, and a second where there are enough."""
        idle = [worker for worker in self.hired if not worker.chunks]
        there = self.answered([worker.opened for worker in idle])
        # Ray may not have found a place for the others.
        for worker in [one for one in idle if one.opened in there][: len(waiting)]:
            with self.starting(worker):
                self.ray.get(worker.opened)
                worker.ready = worker.ready or worker.actor.settle.remote(self.settings)
        ready = self.answered([worker.ready for worker in idle if worker.ready and worker in self.hired])
        for worker in idle:
            if waiting and worker.ready in ready:
                with self.starting(worker):
                    self.ray.get(worker.ready)
                    self.lost = 0
                    worker.take(waiting.popleft())
        # So that no worker waits for this process; but what is left in the end goes to whoever is idle first.
        for worker in self.busy():
            if len(worker.chunks) == 1 and len(waiting) > sum(self.room.values()):
                worker.take(waiting.popleft())

    def answered(self, asked: list[Any]) -> list[Any]:
        """Of what was asked, what is answered by now."""
        return self.ray.wait(asked, num_returns=len(asked), timeout=0)[0] if asked else []

    def busy(self) -> list[WorkerHandle]:
        return [worker for worker in self.hired if worker.chunks]

    def listen(self) -> Iterator[float]:
        """Work that workers have done since they were heard last."""
        for worker in self.busy():
            if worker.telling is None:
                worker.telling = worker.ask(worker.actor.told)
                continue
            if self.ray.wait([worker.telling], timeout=0)[0]:
                # A worker that is lost is found when it is asked for its chunk.
                with contextlib.suppress(self.ray.exceptions.RayError):
                    for chunk, amount in self.ray.get(worker.telling).items():
                        # All work of a chunk that is done has been counted.
                        if chunk in worker.work:
                            worker.work[chunk] += amount
                            yield amount
                worker.telling = None

    def answers(self) -> Iterator[tuple[Chunk, float, Any]]:
        """Chunks that are done: each with the work heard of it, and its arrays, or a `ChunkFailed`, or None where its
        worker was lost."""
        busy = {answer: worker for worker in self.busy() for answer in worker.chunks}
        if not busy:
            time.sleep(PATIENCE)
            return
        for answer in self.ray.wait([*busy], num_returns=1, timeout=PATIENCE)[0]:
            worker, found = busy[answer], None
            try:
                with self.noted(worker):
                    found = self.ray.get(answer)
            except ChunkFailed as error:
                found = error
            for done in [*worker.chunks] if found is None else [answer]:
                chunk = worker.chunks.pop(done)
                yield chunk, worker.work.pop(chunk), found


class GivenUp(UserError):
    """A cluster that does not keep a worker long enough to train."""


class ChunkFailed(Exception):
    """Training a chunk raised what no user is to blame for."""
