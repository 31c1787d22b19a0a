"""One worker of a Ray cluster: the actor in its own process, and the driver's handle on it."""

import collections
from collections.abc import Callable
from typing import Any

from jaxgen.runs.plan import Chunk
from jaxgen.runs.store import Arrays

# Ray concurrency group of the calls that are answered while a chunk is training; all other calls share one thread.
CONCURRENT = "concurrent"


class Worker:
    """Ray actor that trains chunks one after another and reports progress meanwhile.

    Args:
      build: makes the trainer from a number of devices (0: all visible ones). The trainer has ``configure(settings)``,
        ``train(chunk, report)``, which returns the chunk's arrays and anything else to be kept, and ``close()``.
      num_devices: passed to `build`.
    """

    def __init__(self, build: Callable[[int], Any], num_devices: int):
        self.build, self.num_devices = build, num_devices
        self.reports: collections.deque[tuple[Chunk, float]] = collections.deque()
        self.trainer: Any = None

    def open(self) -> None:
        """Builds the trainer. Not done in the constructor, so that the driver sees the original exception."""
        self.trainer = self.build(self.num_devices)

    def configure(self, settings: Any) -> Any:
        """Configures the trainer with `settings`, or lets it choose them if None; returns the settings in effect."""
        return self.trainer.configure(settings)

    def train(self, chunk: Chunk) -> tuple[Arrays, Any]:
        """Returns the chunk's arrays and anything else to be kept."""
        return self.trainer.train(chunk, lambda amount, earlier=False: self.reports.append((chunk, amount)))

    def progress(self) -> dict[Chunk, float]:
        """Work done since the last call, by chunk."""
        amounts: dict[Chunk, float] = {}
        for chunk, amount in [self.reports.popleft() for _ in range(len(self.reports))]:
            amounts[chunk] = amounts.get(chunk, 0.0) + amount
        return amounts

    def close(self) -> None:
        """Removes what the trainer has left on the node's disk."""
        if self.trainer:
            self.trainer.close()


class WorkerHandle:
    """A worker as the driver sees it.

    Attributes:
      actor: the Ray actor.
      slot: the resources it occupies, as of `jaxgen.runs.ray_cluster.worker_slots`.
      opened: Ray reference that resolves once the trainer is built.
      configured: Ray reference that resolves once the trainer is configured; None before that was requested.
      chunks: chunks submitted to the worker, by the Ray reference of their result.
      work: work reported so far, by chunk.
      pending_progress: Ray reference of an unanswered progress request, if any.
    """

    def __init__(self, actor: Any, slot: tuple[str, int]):
        self.actor, self.slot, self.opened = actor, slot, actor.open.remote()
        self.configured: Any = None
        self.chunks: dict[Any, Chunk] = {}
        self.work: dict[Chunk, float] = {}
        self.pending_progress: Any = None

    def submit(self, chunk: Chunk) -> None:
        """Queues a chunk on the worker."""
        self.chunks[self.actor.train.remote(chunk)] = chunk
        self.work[chunk] = 0.0

    def call_concurrently(self, method: Any) -> Any:
        """Calls an actor method that need not wait for the chunk in training; returns the Ray reference."""
        return method.options(concurrency_group=CONCURRENT).remote()
