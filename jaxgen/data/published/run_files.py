"""Single runs, in the layout of the published runs behind Jiang et al. 2021 and Feldman and Zhang 2020.

    EXPERIMENT/<subset ratio>/<run>/aux_arrays.npz

(https://github.com/google-research/heldout-influence-estimation). A file holds ``correctness_<part>`` and
``index_<part>`` of the parts train, removed and test, and ``subsample_idx``. The indices of train and removed together
are those of the whole training set.
"""

import pathlib
import zipfile
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from jaxgen.errors import UNREADABLE, UserError
from jaxgen.io.arrays import ArrayFile
from jaxgen.types import Outcome

NAME = "aux_arrays.npz"
PARTS = ("train", "removed", "test")


class RunFolder(NamedTuple):
    """The runs of an experiment, sorted.

    Attributes:
      path: of the experiment.
      ratios: k subset ratios, ascending.
      files: the runs of each ratio, in the order of their numbers.
      num_examples, num_tests: n and t; t is 0 for runs without a test set.
    """

    path: pathlib.Path
    ratios: tuple[float, ...]
    files: tuple[tuple[pathlib.Path, ...], ...]
    num_examples: int
    num_tests: int


def is_run_folder(path: pathlib.Path) -> bool:
    """Whether a folder has the files of this layout."""
    return next(path.glob(f"*/*/{NAME}"), None) is not None


def open_run_folder(path: pathlib.Path) -> RunFolder:
    """Finds the runs below `path`; the numbers of examples are those of the first file.

    Raises:
      UserError: for a folder not named by a ratio or a run, or a first file of another layout.
    """
    runs: dict[float, list[tuple[int, pathlib.Path]]] = {}
    for file in path.glob(f"*/*/{NAME}"):
        try:
            ratio, run = float(file.parts[-3]), int(file.parts[-2])
        except ValueError:
            raise UserError(f"{file}: is not in a folder <subset ratio>/<run number>; move it out of the way") from None
        if not 0 < ratio < 1:
            raise UserError(f"{file}: {ratio:g} is no subset ratio; they lie between 0 and 1")
        runs.setdefault(ratio, []).append((run, file))
    ratios = tuple(sorted(runs))
    files = tuple(tuple(file for _, file in sorted(runs[ratio])) for ratio in ratios)
    trained, _, tests = read_run(files[0][0])
    return RunFolder(path, ratios, files, len(trained), len(tests))


def stream_runs(folder: RunFolder, place: int) -> Iterator[Outcome]:
    """The runs of one ratio, one after the other.

    Raises:
      UserError: for a file of another layout, or of other numbers of examples than the first.
    """
    for file in folder.files[place]:
        trained, correct, tests = read_run(file)
        if (len(trained), len(tests)) != (folder.num_examples, folder.num_tests):
            raise UserError(
                f"{file}: is of {len(trained)} training and {len(tests)} test examples, {folder.files[0][0]} of "
                f"{folder.num_examples} and {folder.num_tests}; keep one experiment to a folder"
            )
        packed = (np.packbits(row[None], axis=1) for row in (trained, correct, tests))
        no_curve, epochs = np.full((1, 1), np.nan, np.float32), np.zeros(1, np.int32)
        yield Outcome(*packed, no_curve, epochs, np.ones(1, bool), np.zeros((1, 0), np.uint8))


def read_run(file: pathlib.Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One run as bool: trained on ``[n]``, correct ``[n]``, and test correct ``[t]``."""
    if not zipfile.is_zipfile(file):
        raise UserError(f"{file}: is no .npz file; fetch it again")
    try:
        with ArrayFile(file) as arrays:
            parts = {"test": (np.zeros(0, int), np.zeros(0, bool))} | {
                part: (arrays[f"index_{part}"], arrays[f"correctness_{part}"])
                for part in PARTS
                if part != "test" or "index_test" in arrays
            }
    except UNREADABLE as error:
        raise UserError(f"{file}: has not the layout of published runs ({error})") from None
    for part, (index, values) in parts.items():
        fits = index.dtype.kind in "iu" and values.dtype.kind in "biuf"
        if not fits or index.shape != values.shape or index.ndim != 1:
            raise UserError(
                f"{file}: {part} indices and correctness do not belong together ({index.dtype} {index.shape}, "
                f"{values.dtype} {values.shape})"
            )
    # NumPy concatenates uint64 and int64 to float64.
    inside, outside, tests = (parts[part][0].astype(np.int64) for part in PARTS)
    right = [parts[part][1] != 0 for part in PARTS]
    correct = scatter(file, np.concatenate([inside, outside]), np.concatenate(right[:2]), "training")
    trained_on = np.zeros(len(correct), bool)
    trained_on[inside] = True
    return trained_on, correct, scatter(file, tests, right[2], "test")


def scatter(file: pathlib.Path, index: np.ndarray, values: np.ndarray, what: str) -> np.ndarray:
    """The values in the order of the examples; the index must hold each example once."""
    if not np.array_equal(np.sort(index), np.arange(len(index))):
        raise UserError(f"{file}: its {what} indices are not those of {len(index)} examples, each once")
    ordered = np.zeros(len(index), bool)
    ordered[index] = values
    return ordered


def write_run(path: pathlib.Path, trained_on: np.ndarray, correct: np.ndarray, test_correct: np.ndarray) -> None:
    """Writes one run: bool ``[n]``, ``[n]`` and ``[t]``, in the order that `read_run` returns."""
    inside, outside = np.flatnonzero(trained_on), np.flatnonzero(~trained_on)
    path.mkdir(parents=True, exist_ok=True)
    np.savez(
        path / NAME,
        correctness_train=correct[inside],
        index_train=inside,
        correctness_removed=correct[outside],
        index_removed=outside,
        correctness_test=test_correct,
        index_test=np.arange(len(test_correct)),
        subsample_idx=inside,
    )
