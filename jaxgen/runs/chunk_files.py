"""Files of finished chunks: named arrays with one row a run, and SHA-256 checksums of them.

Arrays of single examples during training have a checksum of their own, so that most readers can skip them.
"""

import hashlib
import pathlib
from collections.abc import Mapping

import numpy as np

from jaxgen.errors import UNREADABLE
from jaxgen.io.arrays import ArrayFile
from jaxgen.io.writing import write_npz
from jaxgen.types import TRACKED

Arrays = Mapping[str, np.ndarray]
CHECKSUM, TRACKED_CHECKSUM = "checksum", "checksum_of_tracked"


class DamagedChunk(Exception):
    """A chunk's file does not hold what was written."""


def write_chunk(path: pathlib.Path, identity: str, arrays: Arrays) -> None:
    """Writes a chunk's arrays with their checksums; the file appears whole or not at all.

    Args:
      path: of the file.
      identity: text that tells the chunk from all others; part of the checksums.
      arrays: by name, one row a run.
    """
    plain, tracked = split_tracked(arrays)
    parts = {CHECKSUM: plain, TRACKED_CHECKSUM: tracked} if tracked else {CHECKSUM: plain}
    checksums = {name: np.asarray(checksum(identity, part)) for name, part in parts.items()}
    write_npz(path, {**arrays, **checksums})


def read_chunk(path: pathlib.Path, identity: str, num_runs: int, *, tracked: bool) -> dict[str, np.ndarray]:
    """Reads a chunk's arrays and verifies their checksums.

    Args:
      path: of the file.
      identity: as of `write_chunk`.
      num_runs: rows that every array must have.
      tracked: whether to read the arrays of single examples during training too.

    Raises:
      DamagedChunk: if the file is damaged, or was written for other runs.
    """
    try:
        with ArrayFile(path) as file:
            arrays = {name: file[name] for name in file if tracked or not name.startswith(TRACKED)}
    except UNREADABLE as error:
        raise DamagedChunk(str(error)) from None
    checksums = {name: str(arrays.pop(name, "")) for name in (CHECKSUM, TRACKED_CHECKSUM)}
    plain, tracked_arrays = split_tracked(arrays)
    if checksums[CHECKSUM] != checksum(identity, plain):
        raise DamagedChunk("its checksum does not fit")
    expected = checksum(identity, tracked_arrays) if tracked_arrays else ""
    if tracked and checksums[TRACKED_CHECKSUM] != expected:
        raise DamagedChunk("its checksum of what was tracked does not fit")
    # A forged file can have a valid checksum.
    if any(array.shape[:1] != (num_runs,) for array in arrays.values()):
        raise DamagedChunk("it has not a row for each of its runs")
    return arrays


def split_tracked(arrays: Arrays) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Splits off the arrays of single examples during training; returns ``(other arrays, tracked arrays)``."""
    plain = {name: array for name, array in arrays.items() if not name.startswith(TRACKED)}
    return plain, {name: array for name, array in arrays.items() if name not in plain}


def checksum(identity: str, arrays: Arrays) -> str:
    """SHA-256 of an identity and of arrays with their names, types and shapes, as hexadecimal digits."""
    sha = hashlib.sha256(identity.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        sha.update(f"{name}{array.dtype.str}{array.shape}".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()
