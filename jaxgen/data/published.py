"""Scores that others have published, and our own, as values of examples or of pairs; told apart by their keys.

The layouts are those of the files beside Jiang et al. 2021 (https://pluskid.github.io/structural-regularity), of those
beside Feldman and Zhang 2020 (https://pluskid.github.io/influence-memorization) and of the latter's MNIST demo. Nothing
is unpickled unless the user names the file, and then nothing but arrays of bytes, texts and numbers.
"""

import pathlib
import zipfile
from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np

from jaxgen.data.checks import as_text
from jaxgen.data.csv_file import as_texts, columns_of, read_rows, to_number, whole_numbers
from jaxgen.data.pairs import UNTOLD, Matrix, find_test_ids, pair_ids
from jaxgen.data.pickled import read_objects
from jaxgen.data.tfds import tfds_order
from jaxgen.errors import UNREADABLE, UserError
from jaxgen.io.arrays import ArrayFile, read_npy

OURS = {"scores", "labels", "ids", "counts", "subset_ratios", "scores_by_ratio"}
NOT_KNOWN = ("", "nan", "na")


class Values(NamedTuple):
    """A number for each of n examples, or of n pairs.

    Attributes:
      name: file and score.
      values: float64 ``[n]``; NaN where it is not known.
      labels: int64 or text ``[n]``, or None.
      ids: ``[n]``, which example or pair it is, whatever the order: the position in the original files, a file's name,
        or `pair_ids`; None where the file does not tell.
      order: what `ids` are, in words.
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
    """The values in a file, of whatever layout.

    Args:
      path: an .npz or .npy file, or FILE.csv:COLUMN.
      score: which of the file's scores; empty: the one it is about.
      unpickled: files whose arrays of objects may be read.
      label_column: of a CSV file.

    Raises:
      UserError: for what is no such file.
    """
    if ".csv:" in path.name and not path.exists():
        return read_column(path, label_column)
    if not path.is_file():
        raise UserError(f"{path}: there is no such file or folder")
    if path.suffix == ".csv":
        raise UserError(f"{path}: say which column: {path}:COLUMN")
    if path.suffix == ".npy":
        return read_bare(path, score)
    if not zipfile.is_zipfile(path):
        raise UserError(f"{path}: is no .npz, .npy or .csv file; give one of these, or a folder of published runs")
    try:
        return by_keys(Members(path, unpickled), score)
    except (IndexError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path}: has not the layout that its keys promise ({error})") from None


class Members(Mapping[str, np.ndarray]):
    """The arrays of an .npz file, read when they are asked for."""

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


def by_keys(arrays: Members, score: str) -> Values | Matrix:
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
        found = pair_ids(arrays["influence_train"], arrays["influence_test"])
        return numbers(f"{path.name}: influence", arrays["influence"], None, found, UNTOLD)._replace(pairs=True)
    if keys >= {"labels", "scores", "filenames"} and score in ("", "scores"):
        texts = np.asarray(arrays["filenames"]).astype(str)
        return numbers(f"{path.name}: scores", arrays["scores"], arrays["labels"], texts, "file names")
    if keys >= {"labels", "scores"} and score in ("", "scores") and "orig-order" in path.name:
        return original(f"{path.name}: scores", arrays["scores"], arrays["labels"])
    return read_any(arrays, score or ("scores" if "scores" in keys else ""))


def pick(path: pathlib.Path, score: str, known: tuple[str, ...]) -> str:
    """The score asked for, or else the first of those that the file has."""
    if score and score not in known:
        raise UserError(f"--score={score}: {path} has {' and '.join(known)}")
    return score or known[0]


def numbers(name: str, values: np.ndarray, labels=None, ids=None, order: str = "positions") -> Values:
    """Checked values."""
    if np.ndim(values) != 1 or values.dtype.kind not in "biuf" or not len(values):
        raise UserError(f"{name}: has shape {np.shape(values)} of {values.dtype}; needed: one number an example")
    labels = tell_apart(f"{name}: labels", labels, len(values))
    ids = tell_apart(f"{name}: ids", ids, len(values))
    values = values.astype(np.float64)
    if np.isinf(values).any():
        raise UserError(f"{name}: value {int(np.argmax(np.isinf(values)))} is infinite; mend the file")
    return Values(name, values, labels, ids, order)


def tell_apart(what: str, found: np.ndarray | None, count: int) -> np.ndarray | None:
    """Labels or ids of `count` values, as numbers or text; None where there are none."""
    if found is None:
        return None
    if found.shape != (count,) or found.dtype.kind not in "biufSU":
        raise UserError(f"{what}: have shape {found.shape} of {found.dtype} for {count} values; give one a value")
    return as_text(found, what) if found.dtype.kind in "SU" else found


def original(name: str, values: np.ndarray, labels: np.ndarray | None = None) -> Values:
    """Values in the order of the original files."""
    return numbers(name, values, labels, np.arange(len(values)), "positions in the original files")


def read_own(arrays: Members, score: str) -> Values:
    """A cscores.npz: any score of one number an example, or its pairs."""
    path, ids, score = arrays.path, arrays["ids"], score or "scores"
    if score not in arrays:
        count, able = len(ids), []
        for name in sorted(set(arrays) - {"labels", "ids"}):
            array = arrays[name]
            able += [name] if array.shape == (count,) and array.dtype.kind in "biuf" else []
        able += ["influence"] if "influence_train" in arrays else []
        raise UserError(f"--score={score}: {path} has {', '.join(able)}")
    if score != "influence":
        found = numbers(f"{path.name}: {score}", arrays[score], arrays["labels"], ids, "ids")
        names = arrays.get("class_names")
        if names is not None and (names.ndim != 1 or names.dtype.kind not in "iuSU"):
            raise UserError(f"{path}: class_names has shape {names.shape} of {names.dtype}; needed: one text a class")
        return found._replace(class_names=names)
    # Of names, positions tell.
    ids = ids if ids.dtype.kind in "iu" else np.arange(len(ids))
    found = pair_ids(ids[arrays["influence_train"]], find_test_ids(path, arrays, ids)[arrays["influence_test"]])
    return numbers(f"{path.name}: influence", arrays[score], None, found, "pairs")._replace(pairs=True)


def read_pairs(arrays: Members, score: str) -> Values:
    """Pairs of large influence, or the memorization of their training examples."""
    name = f"{arrays.path.name}: {score}"
    if score == "influence":
        found = pair_ids(arrays["tr_idx"], arrays["tt_idx"])
        return numbers(name, arrays["infl"], None, found, "pairs")._replace(pairs=True)
    train, first = np.unique(arrays["tr_idx"], return_index=True)
    return numbers(name, arrays["mem"][first], None, train, "positions in the original files")


def read_any(arrays: Members, score: str) -> Values:
    """An .npz file of a layout that nobody knows: the array named by the user, or the only one of numbers."""
    path = arrays.path
    if not score:
        raise UserError(
            f"{path}: is of no known layout; name one of its arrays by --score: {', '.join(sorted(arrays))}"
        )
    if score not in arrays:
        raise UserError(f"--score={score}: {path} has {', '.join(sorted(arrays))}")
    beside = [arrays.get(key) for key in ("labels", "ids")]
    return numbers(f"{path.name}: {score}", arrays[score], *beside, "ids")


def read_bare(path: pathlib.Path, score: str) -> Values:
    """One array and nothing else; the published one of MNIST is known by its name."""
    if score not in ("", "scores"):
        raise UserError(f"--score={score}: {path} is one array without names; leave it out")
    try:
        values = read_npy(path)
    except UNREADABLE as error:
        raise UserError(f"{path}: is no .npy file of numbers ({error})") from None
    found = numbers(path.name, values)
    if path.name == "mnist-cscores.npy":
        order = "positions in the original files, from tensorflow-datasets order"
        return found._replace(ids=tfds_order("train", len(values)), order=order)
    return found


def read_column(path: pathlib.Path, label_column: str) -> Values:
    """A column of a CSV file; that of labels is named, and one called id is what it says."""
    file, _, column = str(path).rpartition(":")
    header, rows, lines = read_rows(file, file)
    if column not in header:
        raise UserError(f"{path}: {file} has the columns {', '.join(header)}")
    if label_column != "label" and label_column not in header:
        raise UserError(f"--label_column={label_column}: {file} has the columns {', '.join(header)}")
    table = columns_of(header, rows)
    texts = table[column]
    values = np.asarray([to_number(text) for text in texts])
    strange = np.isnan(values) & [text.lower() not in NOT_KNOWN for text in texts]
    if strange.any():
        place = int(np.argmax(strange))
        raise UserError(f"{path}: line {lines[place]}: {str(texts[place])!r} is no number")
    labels, ids = (
        whole_numbers(as_texts(table[name], f"{file}: column {name}")) if name in table else None
        for name in (label_column, "id")
    )
    return numbers(f"{pathlib.Path(file).name}: {column}", values, labels, ids, "ids")
