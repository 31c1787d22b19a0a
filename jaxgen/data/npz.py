"""Data sets in ``.npz`` files."""

import os
import pathlib
import re
import zipfile
from collections.abc import Collection, Iterator, Mapping

import numpy as np

from jaxgen.config import DataSpec
from jaxgen.data.checks import make_dataset
from jaxgen.errors import UNREADABLE, UserError
from jaxgen.io.arrays import ArrayFile
from jaxgen.types import Dataset

# Names of the parts: jaxgen's own, then those of Keras, MedMNIST and others.
KEYS = {
    "images": ("images", "x", "X", "x_train", "X_train", "train_x", "train_images", "training_images", "data"),
    "labels": (
        "labels",
        "y",
        "Y",
        "y_train",
        "Y_train",
        "train_y",
        "train_labels",
        "training_labels",
        "target",
        "targets",
    ),
    "test_images": ("test_images", "test_x", "x_test", "X_test", "testing_images"),
    "test_labels": ("test_labels", "test_y", "y_test", "Y_test", "testing_labels"),
    "class_names": ("class_names", "target_names"),
    "ids": ("ids",),
}
# Of validation examples, which are read where there is no test set.
VALIDATION_KEYS = {
    "test_images": ("val_images", "val_x", "x_val", "X_val", "valid_images", "x_valid", "validation_images"),
    "test_labels": ("val_labels", "val_y", "y_val", "valid_labels", "y_valid", "validation_labels"),
}
# What NumPy calls an array that was saved without a name, and the files of Kuzushiji-MNIST, which hold one each.
UNNAMED = "arr_0"
SPLIT_FILES = {
    "images": "train-imgs",
    "labels": "train-labels",
    "test_images": "test-imgs",
    "test_labels": "test-labels",
}
REQUIRED = ("images", "labels")
OWN_NAMES = {name for part, names in KEYS.items() for name in (part, *names[:2])}


def load_npz(path: str, spec: DataSpec) -> Dataset:
    """Reads images and labels, and optionally a test set, class names and ids, by any of the names in `KEYS`."""
    source = f"npz:{path}"
    if not os.path.isfile(path):
        what = "is a folder; give a file" if os.path.isdir(path) else "there is no such file; give the path of one"
        raise UserError(f"--dataset={source}: {what}")
    if not zipfile.is_zipfile(path):
        raise UserError(
            f"--dataset={source}: is not an .npz file, or the end of it is missing; write one with numpy.savez"
        )
    try:
        with ArrayFile(path) as file:
            if file.files == [UNNAMED]:
                return load_split_files(pathlib.Path(path), source, spec)
            names = find_parts(file.files)
            if missing := [part for part in REQUIRED if part not in names]:
                raise UserError(
                    f"--dataset={source}: has no array {' or '.join(KEYS[missing[0]][:2])}; it has "
                    f"{', '.join(file) or 'none'}; save it by this name, as in numpy.savez(file, images=..., "
                    "labels=...)"
                )
            arrays = {part: read_array(file, name, source) for part, name in names.items()}
    except UNREADABLE as error:
        raise UserError(f"--dataset={source}: is not an .npz file that can be read ({error}); write it anew") from None
    notes = tuple(describe_parts(names, file.files))
    return make_dataset(
        pathlib.Path(path).stem, source=f"--dataset={source}", impute=spec.impute, notes=notes, **arrays
    )


def load_split_files(path: pathlib.Path, source: str, spec: DataSpec) -> Dataset:
    """Reads the four files of Kuzushiji-MNIST's layout, each of one array, by the path of the one with training images.

    Raises:
      UserError: if they are not there.
    """
    root = re.fullmatch(r"(.+)-train-imgs", path.stem)
    files = (
        {} if root is None else {part: path.with_name(f"{root[1]}-{name}.npz") for part, name in SPLIT_FILES.items()}
    )
    missing = [file.name for file in files.values() if not file.is_file()]
    if root is None or missing:
        more = f"; {missing[0]} is not beside it" if missing else ""
        raise UserError(
            f"--dataset={source}: has one array without a name{more}; save images and labels by their names, as in "
            "numpy.savez(file, images=..., labels=...)"
        )
    arrays = {}
    for part, file in files.items():
        with ArrayFile(file) as opened:
            arrays[part] = read_array(opened, UNNAMED, f"npz:{file}")
    names = ", ".join(file.name for file in files.values())
    return make_dataset(root[1], source=f"--dataset={source}", impute=spec.impute, notes=(f"files {names}",), **arrays)


def find_parts(names: Collection[str]) -> dict[str, str]:
    """The array of each part, of those that a file has by `names`; a validation set stands for a missing test set."""
    keys = KEYS if set(names) & {*KEYS["test_images"], *KEYS["test_labels"]} else KEYS | VALIDATION_KEYS
    found = {part: [name for name in known if name in names] for part, known in keys.items()}
    return {part: present[0] for part, present in found.items() if present}


def describe_parts(parts: Mapping[str, str], names: Collection[str]) -> Iterator[str]:
    """Says which arrays are read as what, if they have other names, and which are not read."""
    if renamed := [f"{name} as {part.replace('_', ' ')}" for part, name in parts.items() if name not in OWN_NAMES]:
        yield f"array {', '.join(renamed)}"
    if others := [name for name in names if name not in parts.values()]:
        yield f"not read: {', '.join(others)}"


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
