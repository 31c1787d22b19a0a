"""Files that are whole or not there at all."""

import io
import os
import pathlib
import platform
import zipfile
from collections.abc import Mapping

import numpy as np

from jaxgen.types import TRACKED

Arrays = Mapping[str, np.ndarray]
# How hard to pack: the least takes a fifth of the time of the usual, for a tenth more bytes.
PACKING = 1


def process_name() -> str:
    """A name that no other process on a shared folder has."""
    return f"{platform.node()}-{os.getpid()}"


def write_npz(path: pathlib.Path, arrays: Arrays) -> None:
    """Puts arrays in place as one file, whole; those that tell of single examples, many and alike, are packed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.asanyarray(array), allow_pickle=False)
            entry, packed = zipfile.ZipInfo(f"{name}.npy"), name.startswith(TRACKED)
            kind = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
            file.writestr(entry, content.getbuffer(), kind, PACKING if packed else None)
    write_durably(path, buffer.getvalue())


def write_durably(path: pathlib.Path, content: bytes | memoryview, *, replace: bool = True) -> None:
    """Puts a file in place whole, on the disk before it has its name; without `replace` a file that is there stays."""
    part = path.with_name(f".{path.name}.{process_name()}.part")
    try:
        with open(part, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    if not replace:
        try:
            os.link(part, path)
        except FileExistsError:
            pass
        except OSError:
            # A file system without links.
            if not path.exists():
                os.replace(part, path)
        part.unlink(missing_ok=True)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
