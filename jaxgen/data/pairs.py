"""Influences as published: of every pair, as one matrix or a matrix a class."""

import json
import pathlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from jaxgen.data.tfds import tfds_order
from jaxgen.errors import UserError

# More pairs than are compared by mistake.
MOST_PAIRS = 20_000_000
SHIFT = 32
# What the ids of pairs are: positions in a file that does not tell their order, or in the original files.
UNTOLD = "pairs of positions, whose order the file does not tell"
BROUGHT = "pairs, brought from tensorflow-datasets order into that of the original files"


def pair_ids(train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """One integer for each pair of training and test positions.

    Raises:
      ValueError: for what are no positions.
    """
    return positions(train) << SHIFT | positions(test)


def positions(found: np.ndarray) -> np.ndarray:
    """Positions as int64; raises ValueError for what are none."""
    found = np.asarray(found)
    if found.dtype.kind not in "iu" or (found.size and (found.min() < 0 or found.max() >= 2 ** (SHIFT - 1))):
        raise ValueError("positions must be whole numbers from 0 up")
    return found.astype(np.int64)


def split_ids(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The training and the test positions of `pair_ids`."""
    return ids >> SHIFT, ids & (2**SHIFT - 1)


class Block(NamedTuple):
    """Influences ``[b, a]`` of training examples ``train [a]`` on test examples ``test [b]``."""

    train: np.ndarray
    test: np.ndarray
    values: np.ndarray


class Matrix(NamedTuple):
    """Influences of all pairs of some blocks; `name` is that of file and score, `order` is what the positions are."""

    name: str
    blocks: tuple[Block, ...]
    order: str = "pairs"

    @classmethod
    def of_one(cls, name: str, values: np.ndarray) -> "Matrix":
        """A matrix ``[t, n]``; nothing tells which examples its rows and columns are."""
        if values.ndim != 2 or values.dtype.kind not in "biuf":
            raise UserError(
                f"{name}: influence has shape {values.shape}, type {values.dtype}; needed: numbers, test x training "
                "examples"
            )
        block = Block(np.arange(values.shape[1]), np.arange(values.shape[0]), values)
        return cls(f"{name}: influence", (block,), UNTOLD)

    @classmethod
    def of_classes(cls, name: str, arrays: Mapping[str, np.ndarray], classes: list[str]) -> "Matrix":
        """A matrix for each class, test x training as the other or the other way round, as the index arrays tell."""
        if not classes:
            raise UserError(
                f"{name}: has no infl_matrix_class of any class, and so no influence; choose another --score"
            )
        blocks = []
        for label in classes:
            train, test = arrays[f"tr_classidx_{label}"], arrays[f"tt_classidx_{label}"]
            values = arrays[f"infl_matrix_class{label}"]
            train, test = positions(train), positions(test)
            if values.dtype.kind not in "biuf":
                raise UserError(f"{name}: infl_matrix_class{label} is of type {values.dtype}; numbers are needed")
            if values.shape == (len(train), len(test)) != (len(test), len(train)):
                values = values.T
            if values.shape != (len(test), len(train)):
                raise UserError(
                    f"{name}: infl_matrix_class{label} has shape {values.shape} for {len(train)} training and "
                    f"{len(test)} test examples"
                )
            blocks.append(Block(train, test, values))
        return cls(f"{name}: influence", tuple(blocks))

    def in_original_order(self) -> "Matrix":
        """The matrix whose positions, of tensorflow-datasets order, are those of the original files."""
        [block] = self.blocks
        train, test = tfds_order("train", len(block.train)), tfds_order("test", len(block.test))
        return Matrix(self.name, (block._replace(train=train, test=test),), BROUGHT)

    def at(self, ids: np.ndarray) -> np.ndarray:
        """The influences of pairs; NaN of those that are in no block."""
        train, test = split_ids(ids)
        found = np.full(len(ids), np.nan)
        for block in self.blocks:
            columns, rows = places(block.train, train), places(block.test, test)
            here = (columns >= 0) & (rows >= 0)
            found[here] = block.values[rows[here], columns[here]]
        return found

    def every_pair(self) -> tuple[np.ndarray, np.ndarray]:
        """Ids and influences of all pairs."""
        count = sum(block.values.size for block in self.blocks)
        if count > MOST_PAIRS:
            raise UserError(
                f"{self.name}: has {count:,} pairs, more than {MOST_PAIRS:,}; compare it with a file of few pairs, "
                "such as a cscores.npz with --influence_pairs"
            )
        if not count:
            raise UserError(f"{self.name}: has no pairs")
        ids = [pair_ids(block.train[None, :], block.test[:, None]).ravel() for block in self.blocks]
        return np.concatenate(ids), np.concatenate([block.values.ravel() for block in self.blocks]).astype(float)


def find_test_ids(path: pathlib.Path, arrays: Mapping[str, np.ndarray], ids: np.ndarray) -> np.ndarray:
    """The test examples' ids in a cscores.npz; in one without, as its training examples lie, if all are there."""
    count = len(arrays["test_labels"])
    if "test_ids" in arrays:
        own = arrays["test_ids"]
        return own if own.dtype.kind in "iu" else np.arange(count)
    if np.array_equal(ids, np.arange(len(ids))):
        return np.arange(count)
    part = json.loads(str(arrays["metadata"])).get("flags", {}).get("num_test_examples", "0") != "0"
    if part or not np.array_equal(ids, tfds_order("train", len(ids))):
        raise UserError(
            f"{path}: holds a part or another order of a data set and no test_ids, so its influence pairs cannot "
            "be told apart; run its job again, which writes them and trains nothing"
        )
    return tfds_order("test", count)


def places(known: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where in `known` each of `wanted` is; -1 where it is not."""
    order = np.argsort(known, kind="stable")
    at = np.minimum(np.searchsorted(known[order], wanted), len(known) - 1)
    return np.where(known[order][at] == wanted, order[at], -1)
