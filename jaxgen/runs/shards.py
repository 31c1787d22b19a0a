"""Shares of a plan: which runs a driver trains, where several share a store's folder and nothing else.

No driver waits for another or asks it anything. Who trains a run follows from the plan, the size of a block, which the
store's settings hold, and the driver's own number; so two never train the same one.
"""

from collections.abc import Mapping
from typing import NamedTuple

from jaxgen.runs.plan import Plan, Span


class Shard(NamedTuple):
    """The `index`-th of `count` shares, from 0."""

    index: int
    count: int

    def part(self, spans: Mapping[str, list[Span]], block: int) -> dict[str, list[Span]]:
        """Those of all cells' spans, ascending, that are this share's.

        Block j of a cell, its runs ``j * block .. (j + 1) * block - 1``, belongs to the share of cell number + j: so
        every share has some of the first runs, and shares of many cells are even.

        Args:
          spans: by cell, all of the plan's cells in their order.
          block: runs that are trained by one driver.
        """
        if self.count == 1:
            return {run_group: list(own) for run_group, own in spans.items()}
        return {
            run_group: [
                piece for span in own for piece in pieces(span, block) if self.owns(number + piece.start // block)
            ]
            for number, (run_group, own) in enumerate(spans.items())
        }

    def owns(self, number: int) -> bool:
        return number % self.count == self.index


WHOLE = Shard(0, 1)


def pieces(span: Span, block: int) -> list[Span]:
    """A span cut where blocks end."""
    ends = [*range(span.start - span.start % block + block, span.stop, block), span.stop]
    return [Span(start, stop) for start, stop in zip([span.start, *ends[:-1]], ends, strict=True)]


def block_size(plan: Plan, together: int, shard: Shard) -> int:
    """Runs of a block, where so many are trained together: fewer in so short a job that shares would stay empty."""
    return max(1, min(together, plan.num_runs // shard.count))


def read_shard(text: str) -> Shard:
    """Reads ``i/n``; the empty text is the whole."""
    if not text:
        return WHOLE
    index, count = text.split("/")
    return Shard(int(index), int(count))
