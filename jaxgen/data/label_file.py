"""Noisy labels of a data set's training examples, from files: human labels such as those of CIFAR-10N.

J. Wei et al. Learning with Noisy Labels Revisited: A Study Using Real-World Human Annotations. ICLR 2022.
https://arxiv.org/abs/2110.12088. Their files hold a dictionary: a column of labels for each way to collect them, and
``clean_label``, by which rows are matched with examples.
"""

import importlib.util
import pathlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from jaxgen.errors import UNREADABLE, UserError
from jaxgen.io.arrays import ArrayFile, read_npy
from jaxgen.types import Dataset

CLEAN = "clean_label"


class NoisyLabels(NamedTuple):
    """Labels of the training examples, int32 ``[n]``, and in words how rows of the file were matched with them."""

    labels: np.ndarray
    matched: str


def load_noisy_labels(path: str, key: str, dataset: Dataset, said: str) -> NoisyLabels:
    """The noisy labels of a data set's training examples.

    Args:
      path: of a .pt, .npz, .npy or .csv file.
      key: names one of its columns; may be empty where there is but one.
      dataset: the examples.
      said: the flag that named the file, for messages.

    Raises:
      UserError: if the file cannot be read, or its labels are not those of these examples.
    """
    columns = read_columns(pathlib.Path(path), said)
    noisy = choose_column(columns, key, said)
    clean = columns.get(CLEAN)
    for column in [noisy] if clean is None else [noisy, clean]:
        if column.ndim != 1 or column.dtype.kind not in "iuf" or not np.array_equal(column, np.floor(column)):
            raise UserError(f"{said}: needed are whole numbers in a column; found {column.dtype} {column.shape}")
    rows, matched = match_rows(noisy, clean, dataset, said)
    labels = noisy[rows]
    if (outside := np.flatnonzero((labels < 0) | (labels >= dataset.num_classes))).size:
        raise UserError(
            f"{said}: the label of example {dataset.ids[outside[0]]} is {labels[outside[0]]:g}; classes of "
            f"{dataset.name} count from 0 to {dataset.num_classes - 1}, in the order of their names"
        )
    num_different = int((labels != dataset.labels).sum())
    if not 0 < num_different < len(labels):
        raise UserError(
            f"{said}: {num_different} of {len(labels)} labels differ from those of {dataset.name}; needed: some, and "
            "not all; give another key or file"
        )
    return NoisyLabels(labels.astype(np.int32), matched)


def choose_column(columns: Mapping[str, np.ndarray], key: str, said: str) -> np.ndarray:
    """The column of that name; without a name the only one.

    Raises:
      UserError: if there is no such column, or there are several and no name.
    """
    names = [name for name in columns if name != CLEAN]
    if not key and len(names) == 1:
        return columns[names[0]]
    if key in columns and key != CLEAN:
        return columns[key]
    wanted = f"has no column {key}" if key else f"has {len(names)} columns of labels"
    choice = (
        f"give one of {', '.join(names)} after the file, as in file:PATH:KEY" if any(names) else "leave the key out"
    )
    raise UserError(f"{said}: {wanted}; {choice}")


def match_rows(noisy: np.ndarray, clean: np.ndarray | None, dataset: Dataset, said: str) -> tuple[np.ndarray, str]:
    """The row of each example in the file, int ``[n]``, and how it was found, in words.

    Ids that are whole numbers are positions in the source: data sets of tensorflow-datasets have another order than the
    original files. So rows are taken by id, or else by position; `clean`, if there, must agree with the labels. Only
    then may the file have further examples.

    Raises:
      UserError: if rows and examples are not as many, or clean labels disagree.
    """
    count, ids, found = len(dataset.labels), dataset.ids, []
    if ids.dtype.kind in "iu" and ids.min() >= 0 and ids.max() < len(noisy):
        found.append((ids.astype(np.int64), "by id"))
    found.append((np.arange(count), "in their order"))
    if len(noisy) < count or (len(noisy) > count and clean is None):
        raise UserError(
            f"{said}: has {len(noisy):,} labels, and {dataset.name} {count:,} training examples; give one label each"
        )
    if clean is None:
        return found[0]
    if len(clean) != len(noisy):
        raise UserError(f"{said}: has {len(noisy):,} labels and {len(clean):,} of {CLEAN}; as many are needed")
    for rows, matched in found:
        if np.array_equal(clean[rows], dataset.labels):
            return rows, f"{matched}, as {CLEAN} agrees with the data"
    rows, _ = found[0]
    wrong = np.flatnonzero(clean[rows] != dataset.labels)
    first = wrong[0]
    raise UserError(
        f"{said}: {CLEAN} differs from the labels of {dataset.name} for {len(wrong):,} of {count:,} examples, first of "
        f"id {ids[first]}: {clean[rows[first]]:g}, not {dataset.labels[first]}; needed: a file of the same examples "
        "and classes, in their order or that of their ids"
    )


def read_columns(path: pathlib.Path, said: str) -> dict[str, np.ndarray]:
    """The columns of a file by name; a single one without a name has the empty name. Nothing is unpickled.

    Raises:
      UserError: if it cannot be read.
    """
    readers = {".pt": read_torch, ".pth": read_torch, ".npz": read_npz, ".npy": read_plain, ".csv": read_csv}
    if path.suffix not in readers:
        raise UserError(
            f"{said}: {path.name} is of an unknown kind; needed: one of {', '.join(readers)}, as in file:PATH or "
            "file:PATH:KEY, without a rate"
        )
    if not path.exists():
        raise UserError(f"{said}: there is no such file; give the path of one of {', '.join(readers)}")
    if path.suffix in (".pt", ".pth") and not importlib.util.find_spec("torch"):
        raise UserError(
            f"{said}: PyTorch reads this file, and is not installed; pip install -e '.[torch]', or turn the file into "
            "an .npz of the same keys where it is"
        )
    try:
        return readers[path.suffix](path)
    except UNREADABLE as error:
        remedy = "needed: columns of whole numbers"
        if path.suffix == ".npy":
            remedy += (
                "; if it holds a dictionary and you trust it, numpy.savez('labels.npz', "
                f"**numpy.load('{path.name}', allow_pickle=True).item()) makes a file that can be read"
            )
        raise UserError(f"{said}: cannot be read ({error}); {remedy}") from None


def read_torch(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The columns of a dictionary of arrays or tensors that PyTorch saved."""
    import pickle

    import torch

    # Constructors of plain arrays, by their names in NumPy 1 and 2.
    reconstruct = np._core.multiarray._reconstruct
    names = [(reconstruct, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")]
    types = [type(np.dtype(code)) for code in ("?", "b", "B", "h", "H", "i", "I", "l", "L", "q", "Q", "f", "d")]
    try:
        with torch.serialization.safe_globals([*names, np.ndarray, np.dtype, *types]):
            held = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise ValueError("it holds more than arrays and numbers, and nothing else is unpickled") from None
    if not isinstance(held, dict):
        raise ValueError("it holds no dictionary of labels")
    return {str(name): np.asarray(column) for name, column in held.items()}


def read_npz(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz file."""
    with ArrayFile(path) as file:
        return dict(file.items())


def read_plain(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The array of an .npy file."""
    return {"": read_npy(path)}


def read_csv(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The columns of a table of numbers, of which the first line may have the names."""
    with open(path, encoding="utf-8-sig") as text:
        lines = [line for line in text.read().splitlines() if line.strip()]
    cells = [cell.strip() for cell in (lines or [""])[0].split(",")]
    named = not all(is_number(cell) for cell in cells)
    if len(lines) <= named:
        raise ValueError("it has no lines of numbers")
    if not named and len(cells) > 1:
        raise ValueError(f"it has {len(cells)} columns without names in its first line")
    table = np.loadtxt(lines[named:], delimiter=",", ndmin=2)
    if repeated := [cell for cell in dict.fromkeys(cells) if named and cells.count(cell) > 1]:
        raise ValueError(f"it has {cells.count(repeated[0])} columns of the name {repeated[0]}")
    if table.shape[1] != len(cells):
        raise ValueError(f"it has {table.shape[1]} columns and {len(cells)} names")
    return dict(zip(cells if named else [""], table.T, strict=True))


def is_number(text: str) -> bool:
    """Whether a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
