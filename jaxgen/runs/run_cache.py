"""Reading the runs of a store again and again: as many as fit into memory are held, all others come from the disk."""

from collections.abc import Iterable, Iterator

import numpy as np

from jaxgen.runs.store import Arrays, Store

# Bytes that are held at most: what tells of a run is packed, so these are 50,000 runs on 10,000 examples.
ROOM = 2**28
# Chunks are put together until they have about so many bytes: many small ones are slow, a large one unpacks to much.
BLOCK = 2**20


class RunCache:
    """The runs of each cell of a store in order, a block of chunks at a time.

    Args:
      store: which.
      room: bytes that may be held.
      block: bytes of a block, about.
    """

    def __init__(self, store: Store, room: int = ROOM, block: int = BLOCK):
        self.store, self.room, self.block = store, room, block
        self.held: dict[str, list[Arrays]] = {}

    def __call__(self, run_group: str) -> Iterator[Arrays]:
        held = self.held.setdefault(run_group, [])
        yield from held
        for block in together(self.store.runs(run_group, start=after(held)), self.block):
            # Not where one before it was too much, or another reader was faster.
            if block["run"][0] == after(held) and size(block) <= self.room:
                held.append(block)
                self.room -= size(block)
            yield block


def after(held: list[Arrays]) -> int:
    """The first run that is not held."""
    return int(held[-1]["run"][-1]) + 1 if held else 0


def size(arrays: Arrays) -> int:
    return sum(array.nbytes for array in arrays.values())


def together(chunks: Iterable[Arrays], least: int) -> Iterator[Arrays]:
    """Chunks one after another, as blocks of at least so many bytes but the last."""
    waiting: list[Arrays] = []
    there = 0
    for chunk in chunks:
        waiting.append(chunk)
        there += size(chunk)
        if there >= least:
            yield joined(waiting)
            waiting, there = [], 0
    if waiting:
        yield joined(waiting)


def joined(chunks: list[Arrays]) -> Arrays:
    if len(chunks) == 1:
        return chunks[0]
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
