"""Shards of a plan: which runs each driver trains when several work on one store.

Drivers share the store's folder and never communicate. The driver of a run follows from the plan, the block size, which
is recorded in the store, and the shard's index, so no run is trained twice.
"""

from collections.abc import Mapping
from typing import NamedTuple

from jaxgen.runs.plan import Plan, Span


class Shard(NamedTuple):
    """Shard `index` of `count`, from 0."""

    index: int
    count: int

    def part(self, spans: Mapping[str, list[Span]], block: int) -> dict[str, list[Span]]:
        """Selects this shard's runs from spans of all run groups.

        Block j of group i, runs ``j * block .. (j + 1) * block - 1``, belongs to shard ``(i + j) % count``: every shard
        gets some of the first runs, and shards of many groups are even.

        Args:
          spans: ascending spans by run group, for all of the plan's groups in their order.
          block: number of consecutive runs that one driver trains.
        """
        if self.count == 1:
            return {run_group: list(group_spans) for run_group, group_spans in spans.items()}
        return {
            run_group: [
                piece
                for span in group_spans
                for piece in split_at_blocks(span, block)
                if self.owns(i + piece.start // block)
            ]
            for i, (run_group, group_spans) in enumerate(spans.items())
        }

    def owns(self, number: int) -> bool:
        """Whether blocks with this sum of group and block number are the shard's."""
        return number % self.count == self.index


# The only shard of an unshared plan.
WHOLE = Shard(0, 1)


def split_at_blocks(span: Span, block: int) -> list[Span]:
    """Splits a span at multiples of `block`."""
    ends = [*range(span.start - span.start % block + block, span.stop, block), span.stop]
    return [Span(start, stop) for start, stop in zip([span.start, *ends[:-1]], ends, strict=True)]


def block_size(plan: Plan, chunk_size: int, shard: Shard) -> int:
    """Number of runs in a block: a chunk, or fewer if the plan is too short to give every shard a chunk."""
    return max(1, min(chunk_size, plan.num_runs // shard.count))


def read_shard(text: str) -> Shard:
    """Parses ``i/n``; the empty text is `WHOLE`."""
    if not text:
        return WHOLE
    index, count = text.split("/")
    return Shard(int(index), int(count))
