"""Pool of Ray workers that train chunks; lost workers are replaced and their chunks trained by others.

Ray only places processes and moves arrays. The driver's store alone records what is done: workers need no shared
folder, and losing the whole cluster loses unfinished chunks only.

Ray's `max_restarts` and `max_task_retries` are unused: they retry a task on its own actor, which is restarted
unconfigured and pends while its node is gone, with other workers idle; and the driver cannot count losses by chunk.
"""

import collections
import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from jaxgen.errors import OutOfMemory, UserError
from jaxgen.runs.plan import Chunk
from jaxgen.runs.ray_cluster import resource_options, worker_slots
from jaxgen.runs.worker import CONCURRENT, Worker, WorkerHandle

# Longest wait for a result, in seconds, before the progress bar and signals are served.
POLL_SECONDS = 0.3
# Seconds between two queries of the cluster's nodes.
REFRESH_SECONDS = 5.0
# Seconds that a cluster may have no slot for a single worker: its nodes may still be starting.
EMPTY_CLUSTER_SECONDS = 120.0
# Seconds granted to workers for their clean-up.
SHUTDOWN_SECONDS = 2.0
# The pool gives up after this many consecutive workers per slot were lost before they could train.
MAX_FAILED_STARTS = 5


class WorkerPool:
    """Workers of a Ray cluster. Close it after use.

    Args:
      ray: the connected `ray` module.
      cpus: cores per worker, as of `worker_slots`.
      build: as of `Worker`; large arguments should be in Ray's object store already.

    Attributes:
      workers: handles of the running workers.
      slots: how many workers the cluster has room for, by the resources of one.
      settings: those in effect, once the first worker is configured.
      failed_starts: consecutive workers lost before they could train.
    """

    def __init__(self, ray: Any, cpus: int, build: Callable[[int], Any]):
        self.ray, self.cpus, self.build = ray, cpus, ray.put(build)
        self.remote = ray.remote(concurrency_groups={CONCURRENT: 1}, max_restarts=0)(Worker)
        self.workers: list[WorkerHandle] = []
        self.slots: collections.Counter = collections.Counter()
        self.last_refresh = -REFRESH_SECONDS
        self.settings: Any = None
        self.failed_starts = 0

    def close(self) -> None:
        """Stops all workers."""
        with contextlib.suppress(Exception):
            closing = [worker.call_concurrently(worker.actor.close) for worker in self.workers]
            self.ray.wait(closing, num_returns=len(closing), timeout=SHUTDOWN_SECONDS)
        for worker in list(self.workers):
            self.kill(worker)

    def scale_up(self, most: int) -> None:
        """Starts workers in free slots, as long as fewer than `most` workers are idle."""
        if time.monotonic() - self.last_refresh >= REFRESH_SECONDS:
            self.slots, self.last_refresh = worker_slots(self.ray.nodes(), self.cpus), time.monotonic()
        taken = collections.Counter(worker.slot for worker in self.workers)
        free = list((self.slots - taken).elements())
        num_idle = sum(not worker.chunks for worker in self.workers)
        for slot in free[: max(most - num_idle, 0)]:
            num_devices = slot[1] if slot[0] == "CPU" else 0
            actor = self.remote.options(**resource_options(slot)).remote(self.build, num_devices)
            self.workers.append(WorkerHandle(actor, slot))

    def configure(self, settings: Any, most: int) -> Any:
        """Configures the first worker that is up; `dispatch` gives its settings to all others.

        Args:
          settings: what to configure it with; None: it chooses.
          most: how many workers to start.

        Returns:
          The settings in effect.

        Raises:
          UserError: if workers are lost one after another, or the cluster has no slot for one.
        """
        began = time.monotonic()
        while not self.settings:
            self.scale_up(most)
            if self.workers:
                self._configure_first(settings)
                continue
            if time.monotonic() - began > EMPTY_CLUSTER_SECONDS:
                raise UserError("--launcher=ray: no node of the cluster has a core, a GPU or TPU chips; add one")
            time.sleep(POLL_SECONDS)
        return self.settings

    def _configure_first(self, settings: Any) -> None:
        """Requests the configuration of one worker, or waits for the request made before."""
        configuring = [worker for worker in self.workers if worker.configured]
        if not configuring:
            opened, _ = self.ray.wait([worker.opened for worker in self.workers], timeout=REFRESH_SECONDS)
            for worker in [worker for worker in self.workers if worker.opened in opened][:1]:
                with self.starting(worker, UserError, OutOfMemory):
                    self.ray.get(worker.opened)
                    worker.configured = worker.actor.configure.remote(settings)
        for worker in configuring:
            if self.ray.wait([worker.configured], timeout=REFRESH_SECONDS)[0]:
                with self.starting(worker, UserError, OutOfMemory):
                    self.settings = self.ray.get(worker.configured)
                    self.failed_starts = 0

    @contextlib.contextmanager
    def handling_errors(self, worker: WorkerHandle) -> Iterator[None]:
        """Around a read of a worker's result: drops a worker that was lost.

        Raises:
          UserError, OutOfMemory: as the worker raised them.
          ChunkFailed: if the worker raised anything else.
        """
        errors = self.ray.exceptions
        try:
            yield
        except errors.RayTaskError as error:
            cause = error.cause if isinstance(error.cause, Exception) else error
            if isinstance(cause, UserError | OutOfMemory):
                raise cause from None
            raise ChunkFailed(str(error)) from None
        except errors.RayError as error:
            self.drop(worker, str(error))

    @contextlib.contextmanager
    def starting(self, worker: WorkerHandle, *raised: type[Exception]) -> Iterator[None]:
        """As `handling_errors`, for a worker that has trained nothing yet: errors drop it, except types in `raised`.

        So one bad node does not end the job.
        """
        try:
            with self.handling_errors(worker):
                yield
        except (*raised, NoUsableWorker):
            raise
        except (ChunkFailed, UserError, OutOfMemory) as error:
            self.drop(worker, str(error) or "out of memory")

    def drop(self, worker: WorkerHandle, reason: str) -> None:
        """Removes a lost worker from the pool.

        Raises:
          NoUsableWorker: if too many were lost in a row before they could train.
        """
        self.kill(worker)
        # Losses during training are counted by chunk, not against the cluster.
        if worker.chunks:
            return
        self.failed_starts += 1
        if self.failed_starts >= MAX_FAILED_STARTS * max(sum(self.slots.values()), 1):
            raise NoUsableWorker(
                f"--launcher=ray: {self.failed_starts} workers were lost, one after another, before any could train "
                f"({reason.strip().splitlines()[-1]}); see Ray's logs, and that all nodes have the same jaxgen and data"
            )

    def kill(self, worker: WorkerHandle) -> None:
        """Ends a worker's process."""
        self.workers.remove(worker)
        with contextlib.suppress(Exception):
            self.ray.kill(worker.actor)

    def dispatch(self, waiting: collections.deque[Chunk]) -> None:
        """Takes chunks from the left of `waiting`: one for each configured idle worker, a second if many wait."""
        idle = [worker for worker in self.workers if not worker.chunks]
        opened = self.resolved([worker.opened for worker in idle])
        # Ray may not have placed the others yet.
        for worker in [worker for worker in idle if worker.opened in opened][: len(waiting)]:
            with self.starting(worker):
                self.ray.get(worker.opened)
                worker.configured = worker.configured or worker.actor.configure.remote(self.settings)
        configuring = [worker.configured for worker in idle if worker.configured and worker in self.workers]
        configured = self.resolved(configuring)
        for worker in idle:
            if waiting and worker.configured in configured:
                with self.starting(worker):
                    self.ray.get(worker.configured)
                    self.failed_starts = 0
                    worker.submit(waiting.popleft())
        # A queued chunk saves workers the driver's latency; the last chunks go to whichever worker is idle first.
        for worker in self.busy():
            if len(worker.chunks) == 1 and len(waiting) > sum(self.slots.values()):
                worker.submit(waiting.popleft())

    def resolved(self, references: list[Any]) -> list[Any]:
        """Those of the Ray references that have resolved."""
        return self.ray.wait(references, num_returns=len(references), timeout=0)[0] if references else []

    def busy(self) -> list[WorkerHandle]:
        """Workers that have chunks."""
        return [worker for worker in self.workers if worker.chunks]

    def poll(self) -> Iterator[float]:
        """Yields amounts of work that workers have done since the last call."""
        for worker in self.busy():
            if worker.pending_progress is None:
                worker.pending_progress = worker.call_concurrently(worker.actor.progress)
                continue
            if self.ray.wait([worker.pending_progress], timeout=0)[0]:
                # The loss of a worker is noticed by `results`.
                with contextlib.suppress(self.ray.exceptions.RayError):
                    for chunk, amount in self.ray.get(worker.pending_progress).items():
                        # A finished chunk has been counted in full.
                        if chunk in worker.work:
                            worker.work[chunk] += amount
                            yield amount
                worker.pending_progress = None

    def results(self) -> Iterator[tuple[Chunk, float, Any]]:
        """Yields chunks that ended, each with the work reported for it and its result.

        A result is what `Worker.train` returned, a `ChunkFailed`, or None if the worker was lost.
        """
        owners = {reference: worker for worker in self.busy() for reference in worker.chunks}
        if not owners:
            time.sleep(POLL_SECONDS)
            return
        for reference in self.ray.wait([*owners], num_returns=1, timeout=POLL_SECONDS)[0]:
            worker, result = owners[reference], None
            try:
                with self.handling_errors(worker):
                    result = self.ray.get(reference)
            except ChunkFailed as error:
                result = error
            for ended in [*worker.chunks] if result is None else [reference]:
                chunk = worker.chunks.pop(ended)
                yield chunk, worker.work.pop(chunk), result


class NoUsableWorker(UserError):
    """The cluster loses all its workers before they can train."""


class ChunkFailed(Exception):
    """Training a chunk raised an unexpected exception."""
