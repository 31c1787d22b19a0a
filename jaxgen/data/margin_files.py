"""Datamodels stores: which examples each model trained on, and by how much it was right.

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
    """A store of M models; `on_training` where its margins are those of the training examples themselves."""

    path: pathlib.Path
    masks: np.ndarray
    margins: np.ndarray
    completed: np.ndarray

    @property
    def on_training(self) -> bool:
        return self.masks.shape[1] == self.margins.shape[1]

    @property
    def ratio(self) -> float:
        """The share of the examples that the first completed model trained on."""
        return float(self.masks[np.flatnonzero(self.completed)[0]].mean())


def is_margin_folder(path: pathlib.Path) -> bool:
    return (path / "masks.npy").is_file() and (path / "margins.npy").is_file()


def open_margin_folder(path: pathlib.Path) -> MarginFolder:
    """Opens a store without reading it.

    Raises:
      UserError: for arrays of other shapes, or no completed model.
    """
    try:
        masks, margins = (map_npy(path / f"{name}.npy") for name in ("masks", "margins"))
        whole = not (path / "_completed.npy").exists()
        done = np.ones(masks.shape[:1], bool) if whole else read_npy(path / "_completed.npy").astype(bool).reshape(-1)
    except UNREADABLE as error:
        raise UserError(f"{path}: masks.npy, margins.npy or _completed.npy cannot be read ({error})") from None
    kinds = masks.dtype.kind + margins.dtype.kind
    if kinds[0] not in "biu" or kinds[1] != "f":
        raise UserError(
            f"{path}: masks.npy holds {masks.dtype}, margins.npy {margins.dtype}; truth values and numbers are needed"
        )
    if masks.ndim != 2 or margins.ndim != 2 or not len(masks) == len(margins) == len(done) or not masks.size:
        raise UserError(
            f"{path}: masks.npy has shape {masks.shape}, margins.npy {margins.shape}, of {len(done)} models; needed: "
            "[models, training examples] and [models, examples]"
        )
    if not done.any():
        raise UserError(f"{path}: _completed.npy says that no model is complete")
    return MarginFolder(path, masks, margins, done)


def stream_models(folder: MarginFolder) -> Iterator[Outcome]:
    """The completed models in batches; a model with a margin that is no number counts as diverged.

    Where margins are of the training examples they are given as these and as test examples too.
    """
    for start in range(0, len(folder.masks), MODELS_AT_ONCE):
        here = start + np.flatnonzero(folder.completed[start : start + MODELS_AT_ONCE])
        if not len(here):
            continue
        trained_on, margins = folder.masks[here] != 0, np.asarray(folder.margins[here])
        right = margins > 0
        correct = right if folder.on_training else np.zeros_like(trained_on)
        yield Outcome(
            *(np.packbits(rows, axis=1) for rows in (trained_on, correct, right)),
            np.full((len(here), 1), np.nan, np.float32),
            np.zeros(len(here), np.int32),
            np.isfinite(margins).all(1),
            np.zeros((len(here), 0), np.uint8),
        )
