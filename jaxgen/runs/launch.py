"""Getting chunks trained, in this process or by a cluster's workers, and kept."""

import collections
import contextlib
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jaxgen.errors import FailedRuns, Interrupted, OutOfMemory, UserError
from jaxgen.runs.plan import Chunk, Span, count_runs
from jaxgen.runs.progress import ProgressBar, Report
from jaxgen.runs.signals import Stop, stoppable
from jaxgen.runs.store import Arrays, Store
from jaxgen.runs.worker_pool import ChunkFailed, WorkerPool

# (chunk, report of work done) -> the chunk's arrays.
TrainChunk = Callable[[Chunk, Report], Arrays]
Share = Callable[[dict[str, list[Span]]], dict[str, list[Span]]]
# A chunk that fails is tried so often in all, the last time after all others.
TRIES = 2
# A chunk that has so many workers lost is taken for what ends them: by a crash, or by the memory of their node.
LOSSES = 10
# Where so many fail and none is done, the others are not tried.
HOPELESS = 3


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
    """Has `chunks` trained, and keeps each as soon as it is done.

    Args:
      store: where finished chunks go.
      chunks: what to train.
      train: trains one chunk; tells of its work as it goes.
      work: of one run of each cell that belongs to these chunks, those that are done too, in the unit of `train`'s
        reports.
      resume: how to go on, for one who stops it.
      shown: whether to show a progress bar.
      stop: is told of Ctrl-C and SIGTERM; `train` may heed it within a chunk.
      things: what runs are, in the plural.
      share: of all cells' spans, those that are this driver's.

    Returns:
      Seconds from the first chunk to the last.

    Raises:
      Interrupted: on Ctrl-C or SIGTERM; all finished chunks are kept, and what `train` has kept of others.
      UserError: if what is to be kept cannot be written.
      FailedRuns: if chunks failed again and again, which no user is to blame for; all others are done.
    """
    stop, failures = stop or Stop(), Failures(store, things)
    began = time.perf_counter()
    with watched(store, work, share, resume=resume, shown=shown, stop=stop, things=things) as bar:
        waiting = collections.deque(chunks)
        while waiting:
            chunk, heard = waiting.popleft(), Heard(bar)
            try:
                arrays = train(chunk, heard)
            except (UserError, OSError, OutOfMemory):
                raise
            # Whatever it is: the other chunks may do better, and days of them are not to be lost.
            except Exception:  # noqa: BLE001
                heard.take_back()
                if failures.again(chunk, traceback.format_exc()):
                    waiting.append(chunk)
                continue
            store.write(chunk, arrays)
            failures.done += 1
            bar.models(chunk.stop - chunk.start)
            stop.heed()
    failures.log(resume)
    return time.perf_counter() - began


def train_on_cluster(
    store: Store,
    chunks: list[Chunk],
    crew: WorkerPool,
    work: Mapping[str, float],
    *,
    keep: Callable[[Chunk, Any], Arrays],
    resume: str,
    shown: bool,
    things: str = "models",
    share: Share = lambda spans: spans,
) -> float:
    """As `train_chunks`, by the workers of a cluster; a chunk whose worker is lost is given to another.

    Args:
      store, chunks, work, resume, shown, things, share: as of `train_chunks`.
      crew: the workers.
      keep: takes what a worker gave for a chunk, beside whatever else is to be kept of it, and returns its arrays.
    """
    stop, failures, waiting = Stop(), Failures(store, things), collections.deque(chunks)
    began = time.perf_counter()
    with watched(store, work, share, resume=resume, shown=shown, stop=stop, things=things) as bar:
        while waiting or crew.busy():
            stop.heed()
            crew.hire(len(waiting))
            crew.give(waiting)
            for amount in crew.listen():
                bar.work(amount)
            for chunk, heard, found in crew.answers():
                whole = work[chunk.run_group] * (chunk.stop - chunk.start)
                if found is None or isinstance(found, ChunkFailed):
                    bar.work(-heard)
                    if found is None and failures.lost(chunk):
                        waiting.appendleft(chunk)
                    elif found and failures.again(chunk, str(found)):
                        waiting.append(chunk)
                    continue
                store.write(chunk, keep(chunk, found))
                failures.done += 1
                bar.work(whole - heard)
                bar.models(chunk.stop - chunk.start)
    failures.log(resume)
    return time.perf_counter() - began


@contextlib.contextmanager
def watched(
    store: Store,
    work: Mapping[str, float],
    share: Share,
    *,
    resume: str,
    shown: bool,
    stop: Stop,
    things: str,
) -> Iterator[ProgressBar]:
    """A bar over all of a driver's runs, and one line for whoever or whatever stops them."""
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


class Heard:
    """A chunk's reports on their way to the bar; those of a chunk that failed are taken back."""

    def __init__(self, bar: ProgressBar):
        self.bar, self.amount = bar, 0.0

    def __call__(self, amount: float, *, earlier: bool = False) -> None:
        self.amount += amount
        self.bar.work(amount, earlier=earlier)

    def take_back(self) -> None:
        self.bar.work(-self.amount)


class Failures:
    """Chunks that failed, for reasons that nobody foresaw.

    Attributes:
      done: how many chunks did not.
    """

    def __init__(self, store: Store, things: str):
        self.store, self.things, self.done = store, things, 0
        self.tries: collections.Counter = collections.Counter()
        self.losses: collections.Counter = collections.Counter()
        self.given_up: dict[Chunk, str] = {}

    def again(self, chunk: Chunk, reason: str) -> bool:
        """Takes note of a failure; whether the chunk is to be tried again.

        Raises:
          FailedRuns: if nothing but failures has been seen.
        """
        self.tries[chunk] += 1
        if not self.done and len(self.tries) >= HOPELESS:
            self.given_up = dict.fromkeys(self.tries, reason)
            self.log("give it again when that is mended", all_alike=True)
        if self.tries[chunk] < TRIES:
            return True
        self.given_up[chunk] = reason
        return False

    def lost(self, chunk: Chunk) -> bool:
        """Takes note of a chunk's worker that was lost; whether the chunk is to be given to another."""
        self.losses[chunk] += 1
        if self.losses[chunk] >= LOSSES:
            self.given_up[chunk] = f"{LOSSES} workers were lost while they had it"
        return self.losses[chunk] < LOSSES

    def log(self, resume: str, *, all_alike: bool = False) -> None:
        """Ends the job with what failed, if anything did.

        Raises:
          FailedRuns: naming the first, and the file that holds all of its reason.
        """
        if not self.given_up:
            return
        chunk, reason = next(iter(self.given_up.items()))
        path = self.store.path(chunk).with_suffix(".failed.txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(reason)
        last = reason.strip().splitlines()[-1]
        runs = sum(each.stop - each.start for each in self.given_up)
        others = "the first to be trained all fail" if all_alike else "all others are done and kept"
        raise FailedRuns(
            f"{runs:,} {self.things} failed, of {chunk.run_group} {chunk.start} to {chunk.stop - 1} first ({last}; "
            f"{path} has all of it); {others}. To try them again: {resume}"
        )
