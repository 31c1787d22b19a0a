"""Transition matrices of class-conditional label noise, from csv, npy or npz files."""

import pathlib

import numpy as np

from jaxgen.errors import UNREADABLE, UserError
from jaxgen.io.arrays import ArrayFile, read_npy

# Files hold probabilities rounded to a few digits.
ROUNDING = 1e-3


def load_noise_matrix(path: str, num_classes: int, said: str = "") -> np.ndarray:
    """The transition matrix, float32 ``[c, c]``: from the true class (row) to the observed one; rows sum to 1.

    Args:
      path: of the file.
      num_classes: c.
      said: the flag that named the file, for messages, if not ``--noise_matrix``.

    Raises:
      UserError: if there is no such file, or no such matrix in it.
    """
    said = said or f"--noise_matrix={path}"
    try:
        matrix = read_numbers(pathlib.Path(path))
    except UNREADABLE as error:
        raise UserError(f"{said}: cannot be read ({error}); needed: a csv, npy or npz file of numbers") from None
    if matrix.dtype.kind not in "biuf" or matrix.shape != (num_classes, num_classes):
        raise UserError(
            f"{said}: has shape {matrix.shape}, type {matrix.dtype}; needed: {num_classes} rows of {num_classes} "
            "numbers, one a class"
        )
    matrix = matrix.astype(np.float64)
    if not np.isfinite(matrix).all() or matrix.min() < 0:
        raise UserError(f"{said}: holds numbers below 0 or not finite; probabilities are needed")
    sums = matrix.sum(1)
    if (wrong := np.flatnonzero(np.abs(sums - 1) > ROUNDING)).size:
        raise UserError(f"{said}: row {wrong[0] + 1} sums to {sums[wrong[0]]:g}; every row must sum to 1")
    return (matrix / sums[:, None]).astype(np.float32)


def read_numbers(path: pathlib.Path) -> np.ndarray:
    """The only array of a file."""
    if path.suffix == ".npy":
        return read_npy(path)
    if path.suffix == ".npz":
        with ArrayFile(path) as file:
            if len(file) != 1:
                raise ValueError(f"{len(file)} arrays where one is needed")
            return next(iter(file.values()))
    # Opened here: NumPy would unpack a file called .gz, and warn of a file without lines.
    with open(path, encoding="utf-8-sig") as text:
        lines = text.read().splitlines()
    if not any(line.partition("#")[0].strip() for line in lines):
        raise ValueError("it is empty")
    return np.loadtxt(lines, delimiter=",", ndmin=2)
