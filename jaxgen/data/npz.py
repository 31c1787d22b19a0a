"""Data sets in ``.npz`` files."""

import pathlib
import zipfile

import numpy as np

from jaxgen.config import DataSpec
from jaxgen.data.checks import make_dataset
from jaxgen.errors import UNREADABLE, UserError
from jaxgen.io.arrays import ArrayFile
from jaxgen.types import Dataset

KEYS = {
    "images": ("images", "x"),
    "labels": ("labels", "y"),
    "test_images": ("test_images", "test_x"),
    "test_labels": ("test_labels", "test_y"),
    "class_names": ("class_names",),
    "ids": ("ids",),
}
REQUIRED = ("images", "labels")


def load_npz(path: str, spec: DataSpec) -> Dataset:
    """Reads ``images`` or ``x``, ``labels`` or ``y``, and optionally ``test_*``, ``class_names`` and ``ids``."""
    source = f"npz:{path}"
    if not pathlib.Path(path).is_file():
        what = "is a folder; give a file" if pathlib.Path(path).is_dir() else "there is no such file"
        raise UserError(f"--dataset={source}: {what}")
    if not zipfile.is_zipfile(path):
        raise UserError(
            f"--dataset={source}: is not an .npz file, or the end of it is missing; write one with numpy.savez"
        )
    arrays = {}
    try:
        with ArrayFile(path) as file:
            for part, names in KEYS.items():
                present = [name for name in names if name in file]
                if present:
                    arrays[part] = read_array(file, present[0], source)
                elif part in REQUIRED:
                    raise UserError(
                        f"--dataset={source}: has no array {' or '.join(names)}; it has {', '.join(file) or 'none'}"
                    )
    except UNREADABLE as error:
        raise UserError(f"--dataset={source}: is not an .npz file that can be read ({error})") from None
    return make_dataset(pathlib.Path(path).stem, source=f"--dataset={source}", **arrays)


def read_array(file: ArrayFile, name: str, source: str) -> np.ndarray:
    """An array of a data set's file; raises UserError for one that cannot be read."""
    try:
        return file[name]
    except UNREADABLE as error:
        if "allow_pickle" in str(error):
            raise UserError(f"--dataset={source}: array {name} holds Python objects; save numbers or text") from None
        if isinstance(error, MemoryError):
            raise UserError(f"--dataset={source}: array {name} does not fit in memory") from None
        raise UserError(f"--dataset={source}: array {name} cannot be read ({error})") from None
