"""Getting chunks trained in this process, and kept."""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator

from jaxgen.errors import Interrupted, UserError
from jaxgen.runs.plan import Chunk
from jaxgen.runs.progress import ProgressBar, Report
from jaxgen.runs.store import Arrays, Store

# (chunk, report of work done) -> the chunk's arrays.
TrainChunk = Callable[[Chunk, Report], Arrays]


def train_chunks(
    store: Store, chunks: list[Chunk], train: TrainChunk, work: Callable[[str], float], *, resume: str, shown: bool
) -> float:
    """Has `chunks` trained, and keeps each as soon as it is done.

    Args:
      store: where finished chunks go.
      chunks: what to train.
      train: trains one chunk; tells of its work as it goes.
      work: the work of one run of a cell, in the unit of `train`'s reports.
      resume: how to go on, for one who stops it.
      shown: whether to show a progress bar.

    Returns:
      Seconds from the first chunk to the last.

    Raises:
      Interrupted: on Ctrl-C or SIGTERM; all finished chunks are kept.
      UserError: if what is to be kept cannot be written.
    """
    total = sum(work(chunk.cell) * (chunk.stop - chunk.start) for chunk in chunks)
    missing = sum(span.stop - span.start for spans in store.missing().values() for span in spans)
    bar = ProgressBar(total, store.plan.num_runs, store.plan.num_runs - missing, shown=shown)
    began = time.perf_counter()
    try:
        with stoppable():
            for chunk in chunks:
                store.write(chunk, train(chunk, bar.work))
                bar.models(chunk.stop - chunk.start)
    except KeyboardInterrupt:
        bar.close()
        raise Interrupted(
            f"stopped; {bar.done:,} of {store.plan.num_runs:,} models are done and kept. To go on: {resume}"
        ) from None
    except OSError as error:
        bar.close()
        raise UserError(
            f"--out={store.folder.parent.parent}: cannot be written ({error}); {bar.done:,} of "
            f"{store.plan.num_runs:,} models are done and kept; make room or move what is in the way. To go on: "
            f"{resume}"
        ) from None
    finally:
        bar.close()
    return time.perf_counter() - began


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Makes SIGTERM stop the program as Ctrl-C does, where this thread may set signal handlers."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
