"""Influences of training on test examples as published: one matrix of all pairs, or one matrix for each class."""

import json
import pathlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from jaxgen.data.image_sets import tfds_order
from jaxgen.errors import UserError

# The most pairs that are compared; more are asked for by mistake.
MOST_PAIRS = 20_000_000
SHIFT = 32
# Descriptions of the ids of pairs: positions in an unknown order, or in that of the original files.
UNKNOWN_ORDER = "pairs of positions, whose order the file does not tell"
REORDERED = "pairs, brought from tensorflow-datasets order into that of the original files"


def pair_ids(train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """One integer for each pair of training and test positions.

    Raises:
      ValueError: if they are not whole numbers from 0 up.
    """
    return positions(train) << SHIFT | positions(test)


def positions(values: np.ndarray) -> np.ndarray:
    """Positions as int64; raises ValueError if they are not whole numbers from 0 up."""
    values = np.asarray(values)
    if values.dtype.kind not in "iu" or (values.size and (values.min() < 0 or values.max() >= 2 ** (SHIFT - 1))):
        raise ValueError("positions must be whole numbers from 0 up")
    return values.astype(np.int64)


def split_ids(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The training and the test positions of `pair_ids`."""
    return ids >> SHIFT, ids & (2**SHIFT - 1)


class InfluenceBlock(NamedTuple):
    """Influences ``[b, a]`` of training examples ``train [a]`` on test examples ``test [b]``."""

    train: np.ndarray
    test: np.ndarray
    values: np.ndarray


class Matrix(NamedTuple):
    """Influences in blocks of pairs; `name` is the file's and the score's, `order` describes the positions."""

    name: str
    blocks: tuple[InfluenceBlock, ...]
    order: str = "pairs"

    @classmethod
    def of_one(cls, name: str, values: np.ndarray) -> "Matrix":
        """A matrix ``[t, n]`` whose rows and columns are positions in an unknown order."""
        if values.ndim != 2 or values.dtype.kind not in "biuf":
            raise UserError(
                f"{name}: influence has shape {values.shape}, type {values.dtype}; needed: numbers, test x training "
                "examples"
            )
        block = InfluenceBlock(np.arange(values.shape[1]), np.arange(values.shape[0]), values)
        return cls(f"{name}: influence", (block,), UNKNOWN_ORDER)

    @classmethod
    def of_classes(cls, name: str, arrays: Mapping[str, np.ndarray], classes: list[str]) -> "Matrix":
        """A matrix for each class, test x training or its transpose, by the lengths of the index arrays."""
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
            blocks.append(InfluenceBlock(train, test, values))
        return cls(f"{name}: influence", tuple(blocks))

    def in_original_order(self) -> "Matrix":
        """The matrix with positions of tensorflow-datasets order mapped to those of the original files."""
        [block] = self.blocks
        train, test = tfds_order("train", len(block.train)), tfds_order("test", len(block.test))
        return Matrix(self.name, (block._replace(train=train, test=test),), REORDERED)

    def at(self, ids: np.ndarray) -> np.ndarray:
        """The influences of pairs by their ids; NaN for pairs in no block."""
        train, test = split_ids(ids)
        influences = np.full(len(ids), np.nan)
        for block in self.blocks:
            columns, rows = find_indices(block.train, train), find_indices(block.test, test)
            inside = (columns >= 0) & (rows >= 0)
            influences[inside] = block.values[rows[inside], columns[inside]]
        return influences

    def all_pairs(self) -> tuple[np.ndarray, np.ndarray]:
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
    """The test ids of a cscores.npz; in a file without, positions in the order of its training ids, if complete."""
    count = len(arrays["test_labels"])
    if "test_ids" in arrays:
        test_ids = arrays["test_ids"]
        return test_ids if test_ids.dtype.kind in "iu" else np.arange(count)
    if np.array_equal(ids, np.arange(len(ids))):
        return np.arange(count)
    part = json.loads(str(arrays["metadata"])).get("flags", {}).get("num_test_examples", "0") != "0"
    if part or not np.array_equal(ids, tfds_order("train", len(ids))):
        raise UserError(
            f"{path}: holds a part or another order of a data set and no test_ids, so its influence pairs cannot "
            "be told apart; run its job again, which writes them and trains nothing"
        )
    return tfds_order("test", count)


def find_indices(known: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The index in `known` of each of `wanted`; -1 if it is not there."""
    order = np.argsort(known, kind="stable")
    at = np.minimum(np.searchsorted(known[order], wanted), len(known) - 1)
    return np.where(known[order][at] == wanted, order[at], -1)
