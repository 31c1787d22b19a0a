"""Atomic writes: a file is complete or not there at all."""

import io
import os
import pathlib
import platform
import zipfile
from collections.abc import Mapping

import numpy as np

from jaxgen.types import TRACKED

Arrays = Mapping[str, np.ndarray]
# zlib's lowest level takes a fifth of the default's time, for a tenth more bytes.
COMPRESSION_LEVEL = 1


def process_name() -> str:
    """A name unique among all processes that share a folder."""
    return f"{platform.node()}-{os.getpid()}"


def write_npz(path: pathlib.Path, arrays: Arrays) -> None:
    """Writes arrays as one .npz file, atomically; arrays of single examples (`TRACKED`) are compressed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.asanyarray(array), allow_pickle=False)
            member, compress = zipfile.ZipInfo(f"{name}.npy"), name.startswith(TRACKED)
            method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
            file.writestr(member, content.getbuffer(), method, COMPRESSION_LEVEL if compress else None)
    write_durably(path, buffer.getvalue())


def write_durably(path: pathlib.Path, content: bytes | memoryview, *, replace: bool = True) -> None:
    """Writes a file atomically: synced to disk, then renamed. Without `replace` an existing file stays."""
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
