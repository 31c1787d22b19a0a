"""Arrays from files that nobody vouches for: .npy and .npz without pickle, and without belief in what a header claims.

NumPy asks for the memory that a header names before it looks for the values, and unpacks whatever an archive holds.
Here the claim is first held against the bytes that are there. The format is that of
https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
"""

import functools
import math
import os
import pathlib
import re
import struct
import zipfile
from collections.abc import Iterator, Mapping
from typing import BinaryIO

import numpy as np

MAGIC = b"\x93NUMPY"
# How the length of the header is written, by version.
LENGTHS = {1: "<H", 2: "<I", 3: "<I"}
# As long as a header is read: those of plain arrays have about a hundred bytes.
MOST_HEADER = 1000
# As large as an item or an axis of an array without values may be.
MOST_EMPTY = 2**20
# Some of NumPy's functions take no more.
MOST_AXES = 32
# What NumPy and others write of plain arrays; numbers of Python 2 end with L.
FIELD = r"\s*+'(\w+)'\s*+:\s*+('[^']*'|True|False|\([\d,\sL]*+\))\s*+,?\s*+"
HEADER = re.compile(rf"\s*+\{{(?:{FIELD})*+\}}\s*+", re.ASCII)
KIND = re.compile(r"[<>|=]?[biufcSUV]\d{1,9}", re.ASCII)
# What may be unpacked from a file whatever its size, and beyond that how many bytes from each of its own: images of
# nothing but paper shrink to a hundredth, a bomb to a thousandth.
SMALL, MOST_RATIO = 2**28, 200
PIECE = 2**20


def refuse_bomb(unpacked: int, packed: int) -> None:
    """Raises ValueError where a file of `packed` bytes would unpack to far more than files do."""
    if unpacked > max(SMALL, MOST_RATIO * packed):
        raise ValueError(f"{packed:,} bytes would unpack to {unpacked:,}; save it with less compression if that is so")


class ArrayFile(Mapping[str, np.ndarray]):
    """The arrays of an .npz file, each read when it is asked for. A context manager; `UNREADABLE` may be raised by all.

    Args:
      path: of the file.
    """

    def __init__(self, path: str | os.PathLike):
        self._zip = zipfile.ZipFile(path)
        try:
            entries = self._zip.infolist()
            refuse_bomb(sum(entry.file_size for entry in entries), os.path.getsize(path))
        except BaseException:
            self._zip.close()
            raise
        self._entries = {entry.filename.removesuffix(".npy"): entry for entry in entries}
        self.names = tuple(self._entries)

    def __enter__(self) -> "ArrayFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __getitem__(self, name: str) -> np.ndarray:
        with self.open(name) as file:
            return read_values(file, self._entries[name].file_size)

    def open(self, name: str) -> BinaryIO:
        """The bytes of one array's own .npy file."""
        entry = self._entries[name]
        # Others, such as LZMA, may ask for memory of their own.
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{name} is compressed in a way that NumPy does not use")
        return self._zip.open(entry)


def read_npy(path: str | os.PathLike) -> np.ndarray:
    """The array of an .npy file; raises one of `UNREADABLE`."""
    with open(path, "rb") as file:
        return read_values(file, os.fstat(file.fileno()).st_size)


def map_npy(path: str | os.PathLike) -> np.ndarray:
    """The array of an .npy file, read from disk where it is looked at; raises one of `UNREADABLE`."""
    with open(path, "rb") as file:
        shape, order, dtype = read_header(file)
        offset = file.tell()
        check_claim(shape, dtype, os.fstat(file.fileno()).st_size - offset)
    if not math.prod(shape):
        return np.empty(shape, dtype)
    return np.memmap(pathlib.Path(path), dtype, "r", offset, shape, order)


def read_values(file: BinaryIO, size: int) -> np.ndarray:
    """The array of an open .npy file that has `size` bytes."""
    shape, order, dtype = read_header(file)
    check_claim(shape, dtype, size - file.tell())
    values = np.empty(math.prod(shape), dtype)
    if values.size and (missing := fill(values, file)):
        raise ValueError(f"{missing:,} bytes of its values are missing")
    check_values(values)
    return values.reshape(shape, order=order)


def fill(values: np.ndarray, file: BinaryIO) -> int:
    """Reads into `values` as many bytes as it has, or as there are; returns how many are missing."""
    rest = memoryview(values.view(np.uint8))
    while rest and (count := file.readinto(rest[:PIECE])):
        rest = rest[count:]
    return len(rest)


def read_header(file: BinaryIO) -> tuple[tuple[int, ...], str, np.dtype]:
    """Shape, order (C or F) and type of an .npy file, which is left where its values begin."""
    shape, order, kind = parse_header(file)
    if "O" in kind:
        raise ValueError("it holds Python objects, which allow_pickle=False keeps out")
    if not KIND.fullmatch(kind):
        raise ValueError(f"it holds {kind[:20]}, and neither numbers nor texts")
    return shape, order, np.dtype(kind)


def parse_header(file: BinaryIO) -> tuple[tuple[int, ...], str, str]:
    """Shape, order and the text that names the type."""
    start = file.read(8)
    if start[:6] != MAGIC or len(start) < 8 or start[6] not in LENGTHS:
        raise ValueError("it is no array of NumPy's")
    form = LENGTHS[start[6]]
    (length,) = struct.unpack(form, file.read(struct.calcsize(form)))
    if length > MOST_HEADER:
        raise ValueError(f"its header has {length:,} bytes, and at most {MOST_HEADER:,} are read")
    return parse_fields(file.read(length).decode("latin1"))


@functools.lru_cache
def parse_fields(header: str) -> tuple[tuple[int, ...], str, str]:
    """Shape, order and the text that names the type, of the text of a header: many files have the same."""
    fields = dict(re.findall(FIELD, header)) if HEADER.fullmatch(header) else {}
    if fields.keys() != {"descr", "fortran_order", "shape"} or fields["shape"][0] != "(" or fields["descr"][0] != "'":
        raise ValueError("its header is not that of plain numbers or texts")
    shape = tuple(int(number) for number in re.findall("[0-9]+", fields["shape"]))
    return shape, "F" if fields["fortran_order"] == "True" else "C", fields["descr"][1:-1]


def check_claim(shape: tuple[int, ...], dtype: np.dtype, there: int) -> None:
    """Raises ValueError where a header claims other bytes of values than the `there` that follow it."""
    claimed = math.prod(shape) * dtype.itemsize
    # NumPy makes room for an item where there is none, and cannot count beyond some axes.
    largest = max(dtype.itemsize, *shape, 0)
    if claimed != there or not dtype.itemsize or (not claimed and largest > MOST_EMPTY) or len(shape) > MOST_AXES:
        raise ValueError(f"its header claims shape {shape} of {dtype}, and {there:,} bytes follow it")


def check_values(values: np.ndarray) -> None:
    """Refuses bytes that are no values of their type: such truth values index beyond arrays, such texts are none."""
    if values.dtype.kind == "b" and values.size and values.view(np.uint8).max() > 1:
        raise ValueError("it holds truth values that are neither true nor false")
    if values.dtype.kind == "U" and values.size:
        codes = values.view(np.dtype(np.uint32).newbyteorder(values.dtype.byteorder))
        if codes.max() > 0x10FFFF or has_halves(codes):
            raise ValueError("it holds what is no text")


def has_halves(codes: np.ndarray) -> bool:
    """Whether there are halves of surrogate pairs among Unicode's numbers, which can neither be printed nor written."""
    return bool(((codes >= 0xD800) & (codes <= 0xDFFF)).any())
