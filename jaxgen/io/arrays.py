"""Arrays from .npy and .npz files of any origin: no pickles, and no memory for values that are not there.

NumPy parses the headers (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html). It would allocate
what a header asks for before it reads any value, so the size claimed is first compared with the bytes that follow.
"""

import functools
import io
import math
import os
import pathlib
import tokenize
import warnings
import zipfile
from typing import BinaryIO

import numpy as np

from jaxgen.errors import UNREADABLE

Header = tuple[tuple[int, ...], str, np.dtype]
# Version 3.0 differs from 2.0 in the encoding of field names only, and arrays with fields are refused.
HEADER_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
    (3, 0): np.lib.format.read_array_header_2_0,
}
# Headers of plain arrays have about a hundred bytes.
MOST_HEADER = 1000
# The largest item or axis of an array without values: NumPy allocates one item even there.
MOST_EMPTY = 2**20
# Some of NumPy's functions take no more.
MOST_AXES = 32
# Files up to SMALL bytes unpacked are always read, larger ones up to MOST_RATIO times their packed size. Black-on-white
# images pack to a hundredth of their size, an archive bomb to a thousandth.
SMALL, MOST_RATIO = 2**28, 200
PIECE = 2**20


def refuse_bomb(unpacked: int, packed: int) -> None:
    """Raises ValueError where a file of `packed` bytes would unpack to far more than real data do."""
    if unpacked > max(SMALL, MOST_RATIO * packed):
        raise ValueError(f"{packed:,} bytes would unpack to {unpacked:,}; save it with less compression if that is so")


class ArrayFile(np.lib.npyio.NpzFile):
    """The arrays of an .npz file, each read on access. A context manager; all methods may raise `UNREADABLE`.

    Args:
      path: of the file.
    """

    def __init__(self, path: str | os.PathLike):
        super().__init__(path)
        self._members = dict(zip(self.files, self.zip.infolist(), strict=True))
        refuse_bomb(sum(member.file_size for member in self.zip.infolist()), os.path.getsize(path))

    def __getitem__(self, name: str) -> np.ndarray:
        with self.open(name) as file:
            return read_values(file, self._members[name].file_size)

    def open(self, name: str) -> BinaryIO:
        """The .npy file of one array."""
        # LZMA allocates as much as the file asks for.
        if self._members[name].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{name} is compressed in a way that NumPy does not use")
        return self.zip.open(self._members[name])


def read_npy(path: str | os.PathLike) -> np.ndarray:
    """The array of an .npy file; raises one of `UNREADABLE`."""
    with open(path, "rb") as file:
        return read_values(file, os.fstat(file.fileno()).st_size)


def map_npy(path: str | os.PathLike) -> np.ndarray:
    """The memory-mapped array of an .npy file, read-only; raises one of `UNREADABLE`."""
    with open(path, "rb") as file:
        shape, order, dtype = read_header(file)
        offset = file.tell()
        check_header(shape, dtype, os.fstat(file.fileno()).st_size - offset)
    return np.memmap(pathlib.Path(path), dtype, "r", offset, shape, order)


def read_values(file: BinaryIO, size: int) -> np.ndarray:
    """The array of an open .npy file of `size` bytes."""
    shape, order, dtype = read_header(file)
    check_header(shape, dtype, size - file.tell())
    values = np.empty(math.prod(shape), dtype)
    if values.size and (missing := fill(values, file)):
        raise ValueError(f"{missing:,} bytes of its values are missing")
    check_values(values)
    return values.reshape(shape, order=order)


def fill(values: np.ndarray, file: BinaryIO) -> int:
    """Reads the bytes of `values` from a file; returns how many are missing there."""
    rest = memoryview(values.view(np.uint8))
    while rest and (count := file.readinto(rest[:PIECE])):
        rest = rest[count:]
    return len(rest)


def read_header(file: BinaryIO) -> Header:
    """Shape, order (C or F) and type of an .npy file, which is left where its values begin."""
    try:
        version = np.lib.format.read_magic(file)
    except ValueError:
        version = None
    if version not in HEADER_READERS:
        raise ValueError("it is no array of NumPy's")
    prefix = file.read(2 if version == (1, 0) else 4)
    length = int.from_bytes(prefix, "little")
    if length > MOST_HEADER:
        raise ValueError(f"its header has {length:,} bytes, and at most {MOST_HEADER:,} are read")
    return parse_header(version, prefix + file.read(length))


@functools.lru_cache
def parse_header(version: tuple[int, int], header: bytes) -> Header:
    """Shape, order and type; cached because the chunks of a store have few different headers."""
    try:
        # NumPy warns about headers of Python 2, and Python about odd literals.
        with warnings.catch_warnings(action="ignore"):
            shape, fortran_order, dtype = HEADER_READERS[version](io.BytesIO(header))
        if dtype.names is not None or dtype.subdtype is not None or min(shape, default=0) < 0:
            raise ValueError
    except (*UNREADABLE, tokenize.TokenError):
        raise ValueError("its header is not that of plain numbers or texts") from None
    return shape, "F" if fortran_order else "C", dtype


def check_header(shape: tuple[int, ...], dtype: np.dtype, available: int) -> None:
    """Raises ValueError for Python objects, and where a header claims other values than the `available` bytes."""
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which allow_pickle=False keeps out")
    if dtype.kind not in "biufcSUV":
        raise ValueError(f"it holds {dtype.str}, and neither numbers nor texts")
    claimed = math.prod(shape) * dtype.itemsize
    too_large = not claimed and max(dtype.itemsize, *shape, 0) > MOST_EMPTY
    if claimed != available or not dtype.itemsize or too_large or len(shape) > MOST_AXES:
        raise ValueError(f"its header claims shape {shape} of {dtype}, and {available:,} bytes follow it")


def check_values(values: np.ndarray) -> None:
    """Refuses bytes that are no values of their type: such booleans index beyond arrays, such texts cannot be read."""
    if values.dtype.kind == "b" and values.size and values.view(np.uint8).max() > 1:
        raise ValueError("it holds truth values that are neither true nor false")
    if values.dtype.kind == "U" and values.size:
        codes = values.view(np.dtype(np.uint32).newbyteorder(values.dtype.byteorder))
        if codes.max() > 0x10FFFF or has_surrogates(codes):
            raise ValueError("it holds what is no text")


def has_surrogates(codes: np.ndarray) -> bool:
    """Whether Unicode code points include surrogates, which cannot be encoded."""
    return bool(((codes >= 0xD800) & (codes <= 0xDFFF)).any())
