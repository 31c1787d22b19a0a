"""Datamodels stores: which examples each model trained on, and its margins.

    masks.npy bool [M, N], margins.npy float16 [M, T], and optionally _completed.npy bool [M]

(Ilyas, Park, Engstrom, Leclerc, Madry, ICML 2022, https://arxiv.org/abs/2202.00622; https://github.com/MadryLab). A
margin is above 0 where the model is right.
"""

import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from jaxgen.errors import UNREADABLE, UserError
from jaxgen.io.arrays import map_npy, read_npy
from jaxgen.types import Outcome

MODELS_AT_ONCE = 64


class MarginFolder(NamedTuple):
    """A memory-mapped store of M models; `on_training` if its margins are those of the training examples."""

    path: pathlib.Path
    masks: np.ndarray
    margins: np.ndarray
    completed: np.ndarray

    @property
    def on_training(self) -> bool:
        """Whether the margins are those of the training examples."""
        return self.masks.shape[1] == self.margins.shape[1]

    @property
    def ratio(self) -> float:
        """The fraction of the examples that the first completed model trained on."""
        return float(self.masks[np.flatnonzero(self.completed)[0]].mean())


def is_margin_folder(path: pathlib.Path) -> bool:
    """Whether a folder has the files of this layout."""
    return (path / "masks.npy").is_file() and (path / "margins.npy").is_file()


def open_margin_folder(path: pathlib.Path) -> MarginFolder:
    """Opens a store without reading its values.

    Raises:
      UserError: for unreadable files, arrays of other shapes or types, or no completed model.
    """
    try:
        masks, margins = (map_npy(path / f"{name}.npy") for name in ("masks", "margins"))
        partial = (path / "_completed.npy").exists()
        completed = read_npy(path / "_completed.npy").astype(bool) if partial else np.ones(masks.shape[:1], bool)
        completed = completed.reshape(-1)
    except UNREADABLE as error:
        raise UserError(f"{path}: masks.npy, margins.npy or _completed.npy cannot be read ({error})") from None
    kinds = masks.dtype.kind + margins.dtype.kind
    if kinds[0] not in "biu" or kinds[1] != "f":
        raise UserError(
            f"{path}: masks.npy holds {masks.dtype}, margins.npy {margins.dtype}; truth values and numbers are needed"
        )
    if masks.ndim != 2 or margins.ndim != 2 or not len(masks) == len(margins) == len(completed) or not masks.size:
        raise UserError(
            f"{path}: masks.npy has shape {masks.shape}, margins.npy {margins.shape}, of {len(completed)} models; "
            "needed: [models, training examples] and [models, examples]"
        )
    if not completed.any():
        raise UserError(f"{path}: _completed.npy says that no model is complete")
    return MarginFolder(path, masks, margins, completed)


def stream_models(folder: MarginFolder) -> Iterator[Outcome]:
    """The completed models in batches; a model with a margin that is not finite counts as diverged.

    Margins of the training examples are yielded both as training and as test results.
    """
    for start in range(0, len(folder.masks), MODELS_AT_ONCE):
        models = start + np.flatnonzero(folder.completed[start : start + MODELS_AT_ONCE])
        if not len(models):
            continue
        trained_on, margins = folder.masks[models] != 0, np.asarray(folder.margins[models])
        right = margins > 0
        correct = right if folder.on_training else np.zeros_like(trained_on)
        yield Outcome(
            *(np.packbits(rows, axis=1) for rows in (trained_on, correct, right)),
            np.full((len(models), 1), np.nan, np.float32),
            np.zeros(len(models), np.int32),
            np.isfinite(margins).all(1),
            np.zeros((len(models), 0), np.uint8),
        )
