"""What is to be trained: groups of numbered runs, cut into chunks, and the identity that determines their results."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Span(NamedTuple):
    """Runs ``start .. stop-1`` of a run group."""

    start: int
    stop: int


class Chunk(NamedTuple):
    """Runs ``start .. stop-1`` of a run group that are trained together and stored in one file."""

    run_group: str
    start: int
    stop: int


@dataclasses.dataclass(frozen=True)
class Plan:
    """Runs to be trained.

    Attributes:
      identity: everything that a run's result depends on besides its run group and number, by flag or other name, as
        text. It leaves out how many runs are wanted, where they are stored and which machine trains them.
      run_groups: the number of runs wanted by run group; a group is one setting, or one subset ratio for C-scores.
    """

    identity: dict[str, str]
    run_groups: dict[str, int]

    @functools.cached_property
    def digest(self) -> str:
        """First 12 hexadecimal digits of the identity's SHA-256; plans of different identities never share a folder."""
        return hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def num_runs(self) -> int:
        """Runs wanted in all groups together."""
        return sum(self.run_groups.values())


def gaps(done: Iterable[Span], wanted: int) -> Iterator[Span]:
    """Yields the parts of ``0 .. wanted-1`` that no span of `done` (ascending) covers."""
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
    """Number of runs in the spans of each run group."""
    return {run_group: sum(span.stop - span.start for span in group_spans) for run_group, group_spans in spans.items()}


def cut_chunks(missing: dict[str, list[Span]], size: int) -> list[Chunk]:
    """Cuts spans into chunks of at most `size` runs.

    Low run numbers come first, over all run groups, so that a stopped job has about as many runs of each.
    """
    chunks = [
        Chunk(run_group, start, min(start + size, span.stop))
        for run_group, spans in missing.items()
        for span in spans
        for start in range(span.start, span.stop, size)
    ]
    return sorted(chunks, key=lambda chunk: chunk.start)
