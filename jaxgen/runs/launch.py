"""Getting chunks trained in this process, and kept."""

import time
from collections.abc import Callable, Mapping

from jaxgen.errors import Interrupted, UserError
from jaxgen.runs.plan import Chunk, Span, count_runs
from jaxgen.runs.progress import ProgressBar, Report
from jaxgen.runs.signals import Stop, stoppable
from jaxgen.runs.store import Arrays, Store

# (chunk, report of work done) -> the chunk's arrays.
TrainChunk = Callable[[Chunk, Report], Arrays]
Share = Callable[[dict[str, list[Span]]], dict[str, list[Span]]]


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
    """
    wanted, missing = (count_runs(part) for part in (share(store.wanted()), share(store.missing())))
    num_runs, stop = sum(wanted.values()), stop or Stop()
    total = sum(amount * wanted[cell] for cell, amount in work.items())
    earlier = sum(amount * (wanted[cell] - missing[cell]) for cell, amount in work.items())
    bar = ProgressBar(total, num_runs, num_runs - sum(missing.values()), shown=shown, things=things)
    bar.work(earlier, earlier=True)
    began = time.perf_counter()
    try:
        with stoppable(stop):
            for chunk in chunks:
                store.write(chunk, train(chunk, bar.work))
                bar.models(chunk.stop - chunk.start)
                stop.heed()
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
    return time.perf_counter() - began
