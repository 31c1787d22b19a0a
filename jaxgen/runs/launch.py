"""Trains chunks, in this process or on a Ray cluster, and writes each to the store as soon as it is done."""

import collections
import contextlib
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jaxgen.errors import FailedRuns, Interrupted, OutOfMemory, UserError
from jaxgen.runs.plan import Chunk, Span, count_runs
from jaxgen.runs.progress import ProgressBar, ProgressCallback
from jaxgen.runs.signals import Stop, stoppable
from jaxgen.runs.store import Arrays, Store
from jaxgen.runs.worker_pool import ChunkFailed, WorkerPool

# (chunk, report of work done) -> the chunk's arrays.
TrainChunk = Callable[[Chunk, ProgressCallback], Arrays]
# Spans of all run groups -> those that this driver trains.
Share = Callable[[dict[str, list[Span]]], dict[str, list[Span]]]
# How often a failing chunk is tried in all; the retry comes after all other chunks.
MAX_TRIES = 2
# A chunk that loses this many workers is taken to be the cause: by a crash, or by exhausting its node's memory.
MAX_LOST_WORKERS = 10
# If this many chunks fail before any succeeds, the rest are not tried.
MAX_FIRST_FAILURES = 3


def train_chunks(
    store: Store,
    chunks: list[Chunk],
    train: TrainChunk,
    work: Mapping[str, float],
    *,
    resume: str,
    shown: bool,
    stop: Stop | None = None,
    things: str = "models",
    share: Share = lambda spans: spans,
) -> float:
    """Trains `chunks` one after another in this process, writing each to the store as soon as it is done.

    Args:
      store: receives finished chunks.
      chunks: what to train.
      train: trains one chunk and reports its work as it goes.
      work: work of one run, by run group, in the unit of `train`'s reports; for all groups of these chunks, finished
        runs included.
      resume: how to resume the job, for the message of a stopped one.
      shown: whether to show a progress bar.
      stop: set by Ctrl-C and SIGTERM; `train` may check it within a chunk.
      things: what runs are called, in the plural.
      share: picks this driver's spans from those of all run groups.

    Returns:
      Wall time in seconds.

    Raises:
      Interrupted: on Ctrl-C or SIGTERM; finished chunks are kept, and checkpoints of unfinished ones.
      UserError: if the store cannot be written.
      FailedRuns: if chunks failed repeatedly with unexpected exceptions; all others are done.
    """
    stop, failures = stop or Stop(), Failures(store, things)
    began = time.perf_counter()
    with progress_bar(store, work, share, resume=resume, shown=shown, stop=stop, things=things) as bar:
        waiting = collections.deque(chunks)
        while waiting:
            chunk, progress = waiting.popleft(), ChunkProgress(bar)
            try:
                arrays = train(chunk, progress)
            except (UserError, OSError, OutOfMemory):
                raise
            # Any other exception: the remaining chunks may succeed, and can be days of work.
            except Exception:  # noqa: BLE001
                progress.revert()
                if failures.record_failure(chunk, traceback.format_exc()):
                    waiting.append(chunk)
                continue
            store.write(chunk, arrays)
            failures.num_done += 1
            bar.models(chunk.stop - chunk.start)
            stop.raise_if_requested()
    failures.raise_if_any(resume)
    return time.perf_counter() - began


def train_on_cluster(
    store: Store,
    chunks: list[Chunk],
    pool: WorkerPool,
    work: Mapping[str, float],
    *,
    keep: Callable[[Chunk, Any], Arrays],
    resume: str,
    shown: bool,
    things: str = "models",
    share: Share = lambda spans: spans,
) -> float:
    """As `train_chunks`, on the workers of a cluster; the chunk of a lost worker goes to another.

    Args:
      store, chunks, work, resume, shown, things, share: as of `train_chunks`.
      pool: the workers.
      keep: ``(chunk, worker's result) -> arrays``; stores whatever else is to be kept of the result.

    Returns:
      Wall time in seconds.

    Raises:
      Interrupted, UserError, FailedRuns: as `train_chunks`.
    """
    stop, failures, waiting = Stop(), Failures(store, things), collections.deque(chunks)
    began = time.perf_counter()
    with progress_bar(store, work, share, resume=resume, shown=shown, stop=stop, things=things) as bar:
        while waiting or pool.busy():
            stop.raise_if_requested()
            pool.scale_up(len(waiting))
            pool.dispatch(waiting)
            for amount in pool.poll():
                bar.work(amount)
            for chunk, reported, result in pool.results():
                if result is None or isinstance(result, ChunkFailed):
                    bar.work(-reported)
                    if result is None and failures.record_loss(chunk):
                        waiting.appendleft(chunk)
                    elif result and failures.record_failure(chunk, str(result)):
                        waiting.append(chunk)
                    continue
                store.write(chunk, keep(chunk, result))
                failures.num_done += 1
                bar.work(work[chunk.run_group] * (chunk.stop - chunk.start) - reported)
                bar.models(chunk.stop - chunk.start)
    failures.raise_if_any(resume)
    return time.perf_counter() - began


@contextlib.contextmanager
def progress_bar(
    store: Store,
    work: Mapping[str, float],
    share: Share,
    *,
    resume: str,
    shown: bool,
    stop: Stop,
    things: str,
) -> Iterator[ProgressBar]:
    """Shows progress over all of this driver's runs, and turns Ctrl-C and write errors into one line.

    Args:
      store, work, share, resume, shown, stop, things: as of `train_chunks`.

    Raises:
      Interrupted: on Ctrl-C or SIGTERM.
      UserError: if the store cannot be written.
    """
    wanted, missing = (count_runs(part) for part in (share(store.wanted()), share(store.missing())))
    num_runs = sum(wanted.values())
    total = sum(amount * wanted[run_group] for run_group, amount in work.items())
    earlier = sum(amount * (wanted[run_group] - missing[run_group]) for run_group, amount in work.items())
    bar = ProgressBar(total, num_runs, num_runs - sum(missing.values()), shown=shown, things=things)
    bar.work(earlier, earlier=True)
    try:
        with stoppable(stop):
            yield bar
    except KeyboardInterrupt:
        bar.close()
        middle = ", and unfinished ones in their middle" if store.has_checkpoints() else ""
        raise Interrupted(
            f"stopped; {bar.done:,} of {num_runs:,} {things} are done and kept{middle}. To go on: {resume}"
        ) from None
    except OSError as error:
        bar.close()
        raise UserError(
            f"--out={store.folder.parent.parent}: cannot be written ({error}); {bar.done:,} of "
            f"{num_runs:,} {things} are done and kept; make room or move what is in the way. To go on: "
            f"{resume}"
        ) from None
    finally:
        bar.close()


class ChunkProgress:
    """Forwards a chunk's reports to the bar, and can revert them if the chunk fails."""

    def __init__(self, bar: ProgressBar):
        self.bar, self.amount = bar, 0.0

    def __call__(self, amount: float, *, earlier: bool = False) -> None:
        self.amount += amount
        self.bar.work(amount, earlier=earlier)

    def revert(self) -> None:
        """Subtracts what was reported."""
        self.bar.work(-self.amount)


class Failures:
    """Counts unexpected failures and lost workers by chunk, and decides which chunks are tried again.

    Attributes:
      num_done: how many chunks succeeded.
      given_up: reasons of the chunks that are not tried again.
    """

    def __init__(self, store: Store, things: str):
        self.store, self.things, self.num_done = store, things, 0
        self.tries: collections.Counter = collections.Counter()
        self.losses: collections.Counter = collections.Counter()
        self.given_up: dict[Chunk, str] = {}

    def record_failure(self, chunk: Chunk, reason: str) -> bool:
        """Counts a failure; returns whether the chunk is to be tried again.

        Raises:
          FailedRuns: if the first `MAX_FIRST_FAILURES` chunks all failed.
        """
        self.tries[chunk] += 1
        if not self.num_done and len(self.tries) >= MAX_FIRST_FAILURES:
            self.given_up = dict.fromkeys(self.tries, reason)
            self.raise_if_any("give it again when that is mended", all_failed=True)
        if self.tries[chunk] < MAX_TRIES:
            return True
        self.given_up[chunk] = reason
        return False

    def record_loss(self, chunk: Chunk) -> bool:
        """Counts the loss of a worker that had the chunk; returns whether the chunk is to go to another worker."""
        self.losses[chunk] += 1
        if self.losses[chunk] >= MAX_LOST_WORKERS:
            self.given_up[chunk] = f"{MAX_LOST_WORKERS} workers were lost while they had it"
        return self.losses[chunk] < MAX_LOST_WORKERS

    def raise_if_any(self, resume: str, *, all_failed: bool = False) -> None:
        """Writes the first failure's full reason beside the store's chunks and raises, if any chunk was given up.

        Raises:
          FailedRuns: naming the first failed chunk and the file of its reason.
        """
        if not self.given_up:
            return
        chunk, reason = next(iter(self.given_up.items()))
        path = self.store.path(chunk).with_suffix(".failed.txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(reason)
        last_line = reason.strip().splitlines()[-1]
        num_runs = sum(failed.stop - failed.start for failed in self.given_up)
        others = "the first to be trained all fail" if all_failed else "all others are done and kept"
        raise FailedRuns(
            f"{num_runs:,} {self.things} failed, of {chunk.run_group} {chunk.start} to {chunk.stop - 1} first "
            f"({last_line}; {path} has all of it); {others}. To try them again: {resume}"
        )
