"""IDX files, the format of MNIST (Y. LeCun, C. Cortes, C. Burges, http://yann.lecun.com/exdb/mnist/).

Big-endian: two zero bytes, a type byte (8: uint8), the number of axes, each axis as uint32, then the values.
"""

import gzip
import math
import os
import pathlib
import re
import struct
from collections.abc import Mapping
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
# Sets whose images are stored column by column (G. Cohen et al. 2017, arXiv:1702.05373).
TRANSPOSED = "emnist"
UINT8 = 8
GZIP_MAGIC = b"\x1f\x8b"


def load_idx_folder(folder: str, spec: DataSpec) -> Dataset:
    """Reads the four files of MNIST's layout, each gzip or plain.

    Their names may begin with that of the set, as those of EMNIST do. Of several sets in one folder, `folder` names one
    by ``DIR/NAME``.
    """
    source, path = f"--dataset=idx:{folder}", pathlib.Path(folder)
    root, name = (path, find_name(path, source)) if path.is_dir() else (path.parent, path.name)
    if not path.is_dir() and name not in names_in(root):
        raise UserError(f"{source}: there is no such folder; give the one that holds the files")
    prefix = f"{name}-" if name else ""
    arrays = {
        part: read_idx(find(root, f"{prefix}{file}"), 3 if "images" in part else 1) for part, file in FILES.items()
    }
    notes, classes = [], find_classes(root, prefix)
    if name.startswith(TRANSPOSED):
        arrays |= {part: arrays[part].swapaxes(1, 2) for part in ("images", "test_images")}
        notes.append("images of EMNIST are stored on their side, and were turned upright")
    if classes:
        notes.append(f"classes are named by {prefix}mapping.txt")
        arrays |= {part: place_labels(arrays[part], classes, source) for part in ("labels", "test_labels")}
        arrays["class_names"] = np.array(list(classes.values()))
    return make_dataset(name or root.resolve().name, source=source, notes=tuple(notes), **arrays)


def names_in(root: pathlib.Path) -> list[str]:
    """The sets that a folder holds, by what their files' names begin with; an empty name for MNIST's own layout."""
    found = (re.fullmatch(r"(.*?)-?train-images[-.]idx3-ubyte(\.gz)?", path.name) for path in root.glob("*-ubyte*"))
    return sorted({match[1] for match in found if match})


def find_name(root: pathlib.Path, source: str) -> str:
    """The set of a folder: that of MNIST's own layout, or the only one.

    Raises:
      UserError: if there are several.
    """
    names = names_in(root)
    if len(names) > 1 and "" not in names:
        raise UserError(f"{source}: has the sets {', '.join(names)}; name one, as in idx:{root}/{names[0]}")
    return names[0] if names else ""


def find(root: pathlib.Path, name: str) -> pathlib.Path:
    """The file `name` in one of its usual spellings."""
    for known in (name, name.replace("t10k-", "test-")):
        for spelling in (f"{known}.gz", known, f"{known.replace('-idx', '.idx')}.gz", known.replace("-idx", ".idx")):
            if (root / spelling).is_file():
                return root / spelling
    raise UserError(
        f"--dataset=idx:{root}: {name}.gz is missing; the folder must hold the four files "
        "of MNIST's layout, gzip or plain"
    )


def find_classes(root: pathlib.Path, prefix: str) -> dict[int, str]:
    """The characters of EMNIST's labels by label, of a file that lists their codes; none without that file."""
    path = root / f"{prefix}mapping.txt"
    if not prefix or not path.is_file():
        return {}
    try:
        lines = [list(map(int, line.split())) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        return {label: "".join(map(chr, codes)) for label, *codes in lines}
    except (*UNREADABLE, UnicodeError) as error:
        raise UserError(f"{path}: cannot be read ({error}); mend or remove it") from None


def place_labels(labels: np.ndarray, classes: Mapping[int, str], source: str) -> np.ndarray:
    """Labels as places in the list of classes.

    Raises:
      UserError: for a label that the list lacks.
    """
    known = np.array(list(classes))
    if (unknown := np.setdiff1d(labels, known)).size:
        raise UserError(f"{source}: the label {unknown[0]} is not in its mapping.txt; mend or remove that file")
    order = np.argsort(known)
    return order[np.searchsorted(known, labels, sorter=order)]


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
