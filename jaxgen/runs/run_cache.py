"""Repeated reads of a store's runs: as many as fit are cached in memory, the others are read from disk each time."""

from collections.abc import Iterable, Iterator

import numpy as np

from jaxgen.runs.store import Arrays, Store

# Size of the cache in bytes: 50,000 runs on 10,000 examples, as answers are stored as bits.
MAX_BYTES = 2**28
# Chunks are concatenated to blocks of about this many bytes: small blocks are slow, large ones unpack to too much.
BLOCK_BYTES = 2**20


class RunCache:
    """Iterates over the runs of a run group in order, as blocks of concatenated chunks.

    Args:
      store: where the runs are.
      max_bytes: size of the cache.
      block_bytes: approximate size of a block.
    """

    def __init__(self, store: Store, max_bytes: int = MAX_BYTES, block_bytes: int = BLOCK_BYTES):
        self.store, self.free_bytes, self.block_bytes = store, max_bytes, block_bytes
        self.cached: dict[str, list[Arrays]] = {}

    def __call__(self, run_group: str) -> Iterator[Arrays]:
        """Yields blocks of the group's arrays, one row a run."""
        cached = self.cached.setdefault(run_group, [])
        yield from cached
        for block in concatenate_chunks(self.store.runs(run_group, start=next_run(cached)), self.block_bytes):
            # Only a prefix is cached; another iteration may have cached this block meanwhile.
            if block["run"][0] == next_run(cached) and num_bytes(block) <= self.free_bytes:
                cached.append(block)
                self.free_bytes -= num_bytes(block)
            yield block


def next_run(blocks: list[Arrays]) -> int:
    """The run after the last of `blocks`."""
    return int(blocks[-1]["run"][-1]) + 1 if blocks else 0


def num_bytes(arrays: Arrays) -> int:
    """Total size of the arrays."""
    return sum(array.nbytes for array in arrays.values())


def concatenate_chunks(chunks: Iterable[Arrays], min_bytes: int) -> Iterator[Arrays]:
    """Concatenates consecutive chunks into blocks of at least `min_bytes`; only the last may be smaller."""
    pending: list[Arrays] = []
    pending_bytes = 0
    for chunk in chunks:
        pending.append(chunk)
        pending_bytes += num_bytes(chunk)
        if pending_bytes >= min_bytes:
            yield concatenate(pending)
            pending, pending_bytes = [], 0
    if pending:
        yield concatenate(pending)


def concatenate(chunks: list[Arrays]) -> Arrays:
    """Concatenates arrays of the same name along the axis of runs."""
    if len(chunks) == 1:
        return chunks[0]
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
