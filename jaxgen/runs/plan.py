"""What is to be trained: an identity that decides every run, and cells of numbered runs cut into chunks."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Span(NamedTuple):
    """Runs ``start .. stop-1`` of a cell."""

    start: int
    stop: int


class Chunk(NamedTuple):
    """Runs that are trained together and kept in one file."""

    run_group: str
    start: int
    stop: int


@dataclasses.dataclass(frozen=True)
class Plan:
    """Runs to be trained.

    Attributes:
      identity: everything that a run's result depends on besides its cell and number, as flag name (or other name) to
        text. Not in it: how many runs are wanted, where they are kept, which machine trains them.
      run_groups: name of each setting (for C-scores, each ratio) to the number of runs wanted.
    """

    identity: dict[str, str]
    run_groups: dict[str, int]

    @functools.cached_property
    def digest(self) -> str:
        """Short hash of the identity: runs of different identities never meet."""
        return hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def num_runs(self) -> int:
        return sum(self.run_groups.values())


def gaps(done: Iterable[Span], wanted: int) -> Iterator[Span]:
    """The parts of ``0 .. wanted-1`` that no span of `done` (ascending) covers."""
    position = 0
    for span in done:
        if span.start > position:
            yield Span(position, min(span.start, wanted))
        position = max(position, span.stop)
        if position >= wanted:
            return
    if position < wanted:
        yield Span(position, wanted)


def count_runs(spans: dict[str, list[Span]]) -> dict[str, int]:
    """By cell, how many runs its spans are."""
    return {run_group: sum(span.stop - span.start for span in own) for run_group, own in spans.items()}


def cut_chunks(missing: dict[str, list[Span]], size: int) -> list[Chunk]:
    """Chunks of at most `size` runs, low run numbers of all cells first, so that a stopped job is even over cells."""
    chunks = [
        Chunk(run_group, start, min(start + size, span.stop))
        for run_group, spans in missing.items()
        for span in spans
        for start in range(span.start, span.stop, size)
    ]
    return sorted(chunks, key=lambda chunk: chunk.start)
