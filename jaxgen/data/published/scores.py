"""Reads score files, published ones and those of jaxgen; the layout follows from the keys of a file.

The layouts are those published with Jiang et al. 2021 (https://pluskid.github.io/structural-regularity), with Feldman
and Zhang 2020 (https://pluskid.github.io/influence-memorization), and of the latter's MNIST demo. Pickles are read only
in files that the user names, and only as arrays of bytes, texts and numbers.
"""

import pathlib
import zipfile
from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np

from jaxgen.data.image_sets import tfds_order
from jaxgen.data.labels import as_text, without_fractions
from jaxgen.data.published.pairs import UNKNOWN_ORDER, Matrix, find_test_ids, pair_ids
from jaxgen.data.published.pickled import read_objects
from jaxgen.data.tables.file import read_table
from jaxgen.data.tables.names import guess_ids, whole_numbers
from jaxgen.data.tables.words import to_number
from jaxgen.errors import UNREADABLE, UserError
from jaxgen.io.arrays import ArrayFile, read_npy

OURS = {"scores", "labels", "ids", "counts", "subset_ratios", "scores_by_ratio"}


class Values(NamedTuple):
    """A number for each of n examples, or of n pairs.

    Attributes:
      name: file and score.
      values: float64 ``[n]``; NaN where missing.
      labels: int64 or text ``[n]``, or None.
      ids: ``[n]``, of examples or pairs: positions in the original files, file names, or `pair_ids`; None where the
        file has none.
      order: description of `ids`.
      pairs: whether these are values of pairs.
      class_names: text ``[c]``, if `labels` are codes in ``0..c-1`` and the file has names for them.
    """

    name: str
    values: np.ndarray
    labels: np.ndarray | None = None
    ids: np.ndarray | None = None
    order: str = "positions"
    pairs: bool = False
    class_names: np.ndarray | None = None


def read_published(
    path: pathlib.Path, score: str, unpickled: Collection[str] = (), label_column: str = "label"
) -> Values | Matrix:
    """The values in a file of any layout.

    Args:
      path: an .npz or .npy file, or FILE.csv:COLUMN.
      score: name of one of the file's scores; empty for its main one.
      unpickled: files whose object arrays may be read.
      label_column: of a CSV file.

    Raises:
      UserError: for a missing or unreadable file, or one without that score.
    """
    if ".csv:" in path.name and not path.exists():
        return read_column(path, label_column)
    if not path.is_file():
        raise UserError(f"{path}: there is no such file or folder; give a cscores.npz, or the folder of a job")
    if path.suffix == ".csv":
        raise UserError(f"{path}: say which column: {path}:COLUMN")
    if path.suffix == ".npy":
        return read_bare(path, score)
    if not zipfile.is_zipfile(path):
        raise UserError(f"{path}: is no .npz, .npy or .csv file; give one of these, or a folder of published runs")
    try:
        return by_keys(NpzArrays(path, unpickled), score)
    except (IndexError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path}: has not the layout that its keys promise ({error})") from None


class NpzArrays(Mapping[str, np.ndarray]):
    """The arrays of an .npz file, each read on access."""

    def __init__(self, path: pathlib.Path, unpickled: Collection[str] = ()):
        self.path, self.allowed = path, {str(path), path.name} & set(unpickled)
        try:
            with ArrayFile(path) as file:
                self.names = file.files
        except UNREADABLE as error:
            raise UserError(f"{path}: is no .npz file that can be read ({error})") from None

    def __iter__(self):
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.names:
            raise KeyError(name)
        try:
            with ArrayFile(self.path) as file:
                return file[name]
        except UNREADABLE as error:
            if "allow_pickle" not in str(error):
                raise UserError(f"{self.path}: array {name} cannot be read ({error})") from None
        if not self.allowed:
            raise UserError(
                f"{self.path}: array {name} holds pickled Python objects, which can run programs; if you trust where "
                f"the file is from, give --allow_pickle={self.path}"
            )
        return read_objects(self.path, name)


def by_keys(arrays: NpzArrays, score: str) -> Values | Matrix:
    """The values that `score` names in an .npz file of any known layout."""
    keys, path = set(arrays), arrays.path
    if keys >= OURS:
        return read_own(arrays, score)
    if keys >= {"tr_mem", "tr_labels"}:
        if pick(path, score, ("memorization", "influence")) == "memorization":
            return original(f"{path.name}: memorization", arrays["tr_mem"], arrays["tr_labels"])
        classes = [key.removeprefix("infl_matrix_class") for key in arrays if key.startswith("infl_matrix_class")]
        return Matrix.of_classes(path.name, arrays, classes)
    if keys >= {"tr_idx", "tt_idx", "infl", "mem"}:
        return read_pairs(arrays, pick(path, score, ("influence", "memorization")))
    if keys >= {"memorization", "influence"} and "influence_train" not in keys:
        if pick(path, score, ("memorization", "influence")) == "memorization":
            return numbers(f"{path.name}: memorization", arrays["memorization"])
        return Matrix.of_one(path.name, arrays["influence"])
    if keys >= {"influence_train", "influence_test", "influence"} and score == "influence":
        pairs = pair_ids(arrays["influence_train"], arrays["influence_test"])
        return numbers(f"{path.name}: influence", arrays["influence"], None, pairs, UNKNOWN_ORDER)._replace(pairs=True)
    if keys >= {"labels", "scores", "filenames"} and score in ("", "scores"):
        texts = np.asarray(arrays["filenames"]).astype(str)
        return numbers(f"{path.name}: scores", arrays["scores"], arrays["labels"], texts, "file names")
    if keys >= {"labels", "scores"} and score in ("", "scores") and "orig-order" in path.name:
        return original(f"{path.name}: scores", arrays["scores"], arrays["labels"])
    return read_any(arrays, score or ("scores" if "scores" in keys else ""))


def pick(path: pathlib.Path, score: str, known: tuple[str, ...]) -> str:
    """`score`, or the first of those that the file has if it is empty."""
    if score and score not in known:
        raise UserError(f"--score={score}: {path} has {' and '.join(known)}")
    return score or known[0]


def numbers(name: str, values: np.ndarray, labels=None, ids=None, order: str = "positions") -> Values:
    """Values ``[n]``, labels and ids, checked."""
    if np.ndim(values) != 1 or values.dtype.kind not in "biuf" or not len(values):
        raise UserError(f"{name}: has shape {np.shape(values)} of {values.dtype}; needed: one number an example")
    labels = check_names(f"{name}: labels", labels, len(values))
    ids = check_names(f"{name}: ids", ids, len(values))
    values = values.astype(np.float64)
    if np.isinf(values).any():
        raise UserError(f"{name}: value {int(np.argmax(np.isinf(values)))} is infinite; mend the file")
    return Values(name, values, labels, ids, order)


def check_names(what: str, names: np.ndarray | None, count: int) -> np.ndarray | None:
    """Labels or ids of `count` values, as numbers or text; None if there are none."""
    if names is None:
        return None
    if names.shape != (count,) or names.dtype.kind not in "biufSU":
        raise UserError(f"{what}: have shape {names.shape} of {names.dtype} for {count} values; give one a value")
    return without_fractions(as_text(names, what)) if names.dtype.kind in "SU" else names


def original(name: str, values: np.ndarray, labels: np.ndarray | None = None) -> Values:
    """Values in the order of the original files."""
    return numbers(name, values, labels, np.arange(len(values)), "positions in the original files")


def read_own(arrays: NpzArrays, score: str) -> Values:
    """A score of one number an example of a cscores.npz, or its influence pairs."""
    path, ids, score = arrays.path, arrays["ids"], score or "scores"
    if score not in arrays:
        count, available = len(ids), []
        for name in sorted(set(arrays) - {"labels", "ids"}):
            array = arrays[name]
            available += [name] if array.shape == (count,) and array.dtype.kind in "biuf" else []
        available += ["influence"] if "influence_train" in arrays else []
        raise UserError(f"--score={score}: {path} has {', '.join(available)}")
    if score != "influence":
        values = numbers(f"{path.name}: {score}", arrays[score], arrays["labels"], ids, "ids")
        names = arrays.get("class_names")
        if names is not None and (names.ndim != 1 or names.dtype.kind not in "iuSU"):
            raise UserError(f"{path}: class_names has shape {names.shape} of {names.dtype}; needed: one text a class")
        return values._replace(class_names=names)
    # Ids of text are replaced by positions.
    ids = ids if ids.dtype.kind in "iu" else np.arange(len(ids))
    pairs = pair_ids(ids[arrays["influence_train"]], find_test_ids(path, arrays, ids)[arrays["influence_test"]])
    return numbers(f"{path.name}: influence", arrays[score], None, pairs, "pairs")._replace(pairs=True)


def read_pairs(arrays: NpzArrays, score: str) -> Values:
    """Pairs of large influence, or the memorization of their training examples."""
    name = f"{arrays.path.name}: {score}"
    if score == "influence":
        pairs = pair_ids(arrays["tr_idx"], arrays["tt_idx"])
        return numbers(name, arrays["infl"], None, pairs, "pairs")._replace(pairs=True)
    train, first = np.unique(arrays["tr_idx"], return_index=True)
    return numbers(name, arrays["mem"][first], None, train, "positions in the original files")


def read_any(arrays: NpzArrays, score: str) -> Values:
    """An .npz file of unknown layout: the array that the user names."""
    path = arrays.path
    if not score:
        raise UserError(
            f"{path}: is of no known layout; name one of its arrays by --score: {', '.join(sorted(arrays))}"
        )
    if score not in arrays:
        raise UserError(f"--score={score}: {path} has {', '.join(sorted(arrays))}")
    return numbers(f"{path.name}: {score}", arrays[score], arrays.get("labels"), arrays.get("ids"), "ids")


def read_bare(path: pathlib.Path, score: str) -> Values:
    """An .npy file; the published scores of MNIST are recognised by their file name."""
    if score not in ("", "scores"):
        raise UserError(f"--score={score}: {path} is one array without names; leave it out")
    try:
        array = read_npy(path)
    except UNREADABLE as error:
        raise UserError(f"{path}: is no .npy file of numbers ({error})") from None
    values = numbers(path.name, array)
    if path.name == "mnist-cscores.npy":
        order = "positions in the original files, from tensorflow-datasets order"
        return values._replace(ids=tfds_order("train", len(array)), order=order)
    return values


def read_column(path: pathlib.Path, label_column: str) -> Values:
    """A column of a CSV file, with the labels of `label_column`, and the ids of the column that names the rows."""
    file, _, column = str(path).rpartition(":")
    table = read_table(file, file, (label_column,))
    if column not in table.names:
        raise UserError(f"{path}: {file} has the columns {', '.join(table.names)}")
    if label_column != "label" and label_column not in table.names:
        raise UserError(f"--label_column={label_column}: {file} has the columns {', '.join(table.names)}")
    texts = table.texts(column)
    values = np.asarray([to_number(text) for text in texts])
    invalid = np.isnan(values) & (texts != "")
    if invalid.any():
        row = int(np.argmax(invalid))
        raise UserError(f"{path}: {table.where(row)}: {str(texts[row])!r} is no number")
    labels, ids = (
        whole_numbers(table.texts(name)) if name in table.names else None
        for name in (label_column, guess_ids(table, (label_column, column)))
    )
    return numbers(f"{pathlib.Path(file).name}: {column}", values, labels, ids, "ids")
