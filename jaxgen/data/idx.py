"""IDX files, the format of MNIST (Y. LeCun, C. Cortes, C. Burges, http://yann.lecun.com/exdb/mnist/).

Big-endian: two zero bytes, a type byte (8: uint8), the number of axes, each axis as uint32, then the values.
"""

import gzip
import math
import os
import pathlib
import struct
from typing import BinaryIO

import numpy as np

from jaxgen.config import DataSpec
from jaxgen.data.checks import make_dataset
from jaxgen.errors import UNREADABLE, UserError
from jaxgen.io.arrays import fill, refuse_bomb
from jaxgen.types import Dataset

FILES = {
    "images": "train-images-idx3-ubyte",
    "labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}
UINT8 = 8
GZIP_MAGIC = b"\x1f\x8b"


def load_idx_folder(folder: str, spec: DataSpec) -> Dataset:
    """Reads the four files of MNIST's layout, each gzip or plain."""
    root = pathlib.Path(folder)
    if not root.is_dir():
        raise UserError(f"--dataset=idx:{folder}: there is no such folder")
    arrays = {part: read_idx(find(root, name), 3 if "images" in part else 1) for part, name in FILES.items()}
    return make_dataset(root.resolve().name, source=f"--dataset=idx:{folder}", **arrays)


def find(root: pathlib.Path, name: str) -> pathlib.Path:
    """The file `name` in one of its usual spellings."""
    for spelling in (f"{name}.gz", name, f"{name.replace('-idx', '.idx')}.gz", name.replace("-idx", ".idx")):
        if (root / spelling).is_file():
            return root / spelling
    raise UserError(
        f"--dataset=idx:{root}: {name}.gz is missing; the folder must hold the four files "
        "of MNIST's layout, gzip or plain"
    )


def read_idx(path: pathlib.Path, num_axes: int) -> np.ndarray:
    """The uint8 array of an IDX file, gzip or plain.

    Raises:
      UserError: for a file of another kind, of another number of axes, cut off or too long.
    """
    try:
        with open(path, "rb") as raw:
            packed, size = raw.read(2) == GZIP_MAGIC, os.fstat(raw.fileno()).st_size
            raw.seek(0)
            return parse_idx(gzip.GzipFile(fileobj=raw) if packed else raw, path, num_axes, size, packed)
    except UNREADABLE as error:
        raise UserError(f"{path}: cannot be read ({error}); fetch it again") from None


def parse_idx(file: BinaryIO, path: pathlib.Path, num_axes: int, file_size: int, packed: bool) -> np.ndarray:
    """The array of an open file, of `file_size` bytes on disk."""
    header = file.read(4 + 4 * num_axes)
    expected = bytes([0, 0, UINT8, num_axes])
    if header[:4] != expected:
        raise UserError(
            f"{path}: starts with {header[:4].hex()}; an IDX file of bytes with {num_axes} axes has {expected.hex()}"
        )
    if len(header) < 4 + 4 * num_axes:
        raise UserError(f"{path}: is cut off in its header; fetch it again")
    shape = struct.unpack(f">{num_axes}I", header[4:])
    size, needed = math.prod(shape), f"bytes than its header's shape {shape} needs"
    # Checked before memory is allocated, which a forged header could ask for in any amount.
    if not packed and size != file_size - len(header):
        more = "more" if size < file_size - len(header) else "fewer"
        raise UserError(f"{path}: holds {more} {needed}; fetch it again")
    refuse_bomb(size, file_size)
    values = np.empty(size, np.uint8)
    if fill(values, file):
        raise UserError(f"{path}: holds fewer {needed}; fetch it again")
    if file.read(1):
        raise UserError(f"{path}: holds more {needed}; fetch it again")
    return values.reshape(shape)
