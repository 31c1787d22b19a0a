"""Data sets of Hugging Face: saved on disk, on the hub, or given from Python.

Pictures, lists of numbers of one length, numbers, truths and categories are read, each as in the other sources. The
label is the column ``--label_column``, or else the only one of the type ClassLabel.
"""

import contextlib
import importlib.util
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxgen.config import DataSpec
from jaxgen.data.checks import make_dataset
from jaxgen.data.image_folder import PARTS
from jaxgen.data.image_sets import first_line, probe_network
from jaxgen.data.pictures import read_opened
from jaxgen.data.tables.columns import read_joined
from jaxgen.data.tables.file import Table, strip_texts
from jaxgen.data.tables.names import find_ids, read_ids, read_labels, refuse_counts
from jaxgen.errors import UserError
from jaxgen.types import Dataset
from jaxgen.wording import count_of, some_of

# Files of which save_to_disk writes one.
SAVED = ("state.json", "dataset_dict.json")
# What the hub writes for the label of an example that has none.
NO_LABEL = -1


class Splits(NamedTuple):
    """The examples to train on and to test on, as data sets of Hugging Face; and what is not read."""

    train: Any
    test: Any = None
    notes: tuple[str, ...] = ()


class Roles(NamedTuple):
    """Which column is what.

    Attributes:
      label: the label.
      pictures: the pictures; None for rows of features.
      names: the names of the classes, if the label's type has them.
      notes: what was assumed.
    """

    label: str
    pictures: str | None
    names: tuple[str, ...] | None
    notes: tuple[str, ...]


def load_hugging_face(name: str, spec: DataSpec, *, fetch: bool = True) -> Dataset:
    """Reads a data set by its name on the hub (``NAME`` or ``NAME:CONFIGURATION``), or from a folder.

    Args:
      name: what stands behind ``hf:``.
      spec: which columns.
      fetch: whether it may be downloaded.

    Raises:
      UserError: if it cannot be had or read.
    """
    source = f"--dataset=hf:{name}"
    if importlib.util.find_spec("datasets") is None:
        raise UserError(f"{source}: needs the package datasets; pip install 'jaxgen[hf]'")
    splits = choose_splits(open_splits(name, spec, fetch), source)
    return dataset_of_splits(pathlib.PurePath(name.partition(":")[0]).name, source, splits, spec)


def open_splits(name: str, spec: DataSpec, fetch: bool) -> Any:
    """What Hugging Face makes of a name or a folder: a data set, or one for each of several splits.

    Raises:
      UserError: in one line, whatever goes wrong.
    """
    import datasets

    source = f"--dataset=hf:{name}"
    is_folder = os.path.isdir(name)
    if not is_folder and os.path.exists(name):
        raise UserError(f"{source}: is a file; give the folder that save_to_disk wrote")
    if not is_folder and (name.startswith((".", "/", "~")) or name.count("/") > 1):
        raise UserError(f"{source}: there is no such folder")
    path, _, configuration = (name, "", "") if is_folder else name.partition(":")
    is_saved = any(os.path.isfile(f"{name}/{file}") for file in SAVED)
    offline = not is_folder and (not fetch or is_out_of_reach(spec))
    try:
        if is_saved:
            return datasets.load_from_disk(name)
        with offline_if(offline):
            return datasets.load_dataset(path, configuration or None)
    except Exception as error:  # noqa: BLE001 - whatever the hub or a file does, its user gets one line
        remedy = "" if is_folder else "; is it NAME or NAME:CONFIGURATION of the hub?"
        if offline and fetch:
            remedy = "; the hub does not answer: go online once, or give a folder that save_to_disk wrote"
        elif offline:
            remedy = "; it is fetched only if the flag is given"
        raise UserError(f"{source}: cannot be read ({first_line(error)}){remedy}") from None


def is_out_of_reach(spec: DataSpec) -> bool:
    """Whether the hub does not answer; Hugging Face itself would try for half a minute."""
    import datasets

    try:
        probe_network(datasets.config.HF_ENDPOINT, spec, "")
    except UserError:
        return True
    return False


@contextlib.contextmanager
def offline_if(offline: bool) -> Iterator[None]:
    """Inside, only the cache of Hugging Face is read if `offline`."""
    import datasets
    import huggingface_hub

    places = (datasets.config, huggingface_hub.constants)
    before = [place.HF_HUB_OFFLINE for place in places]
    try:
        for place in places:
            place.HF_HUB_OFFLINE = place.HF_HUB_OFFLINE or offline
        yield
    finally:
        for place, value in zip(places, before, strict=True):
            place.HF_HUB_OFFLINE = value


def choose_splits(opened: Any, source: str) -> Splits:
    """The splits to train on and to test on, by their names; without one for testing the validation split is for it.

    Raises:
      UserError: if there are several, and none is called train.
    """
    if not isinstance(opened, Mapping):
        return Splits(opened)
    if len(opened) == 1:
        return Splits(*opened.values())
    train, test, validation = ([name for name in opened if name.lower() in part] for part in PARTS)
    if len(train) != 1 or len(test) > 1 or len(validation) > 1:
        raise UserError(f"{source}: has the splits {', '.join(opened)}; needed: train, and test or validation")
    chosen = test or validation
    others = [f"{name} ({count_of(len(opened[name]), 'row')})" for name in opened if name not in (*train, *chosen)]
    notes = [f"split {train[0]} is for training, {f'{chosen[0]}' if chosen else 'nothing'} for testing"]
    notes += [f"not read: {some_of(others)}"] * bool(others)
    return Splits(opened[train[0]], opened[chosen[0]] if chosen else None, tuple(notes))


def dataset_of_splits(name: str, source: str, splits: Splits, spec: DataSpec) -> Dataset:
    """The data set of splits with the same columns.

    Raises:
      UserError: if there is no label, or no features can be made of the rest.
    """
    roles = find_roles(splits.train, source, spec)
    parts = [splits.train] if splits.test is None else [splits.train, splits.test]
    if splits.test is not None and set(splits.test.column_names) != set(splits.train.column_names):
        raise UserError(
            f"{source}: the splits have the columns {some_of(splits.train.column_names, 8)} and "
            f"{some_of(splits.test.column_names, 8)}; needed: the same"
        )
    labels = [labels_of(part, source, roles) for part in parts]
    notes = [*splits.notes, *roles.notes]
    if len(parts) == 2 and (labels[1] == NO_LABEL).all() and roles.names:
        notes.append(f"the {count_of(len(labels[1]), 'row')} for testing have no labels, and are not read")
        parts, labels = parts[:1], labels[:1]
    for found in labels:
        if roles.names and (found == NO_LABEL).any():
            row = int(np.argmax(found == NO_LABEL))
            raise UserError(f"{source}: row {row + 1} has no {roles.label} (-1); fill it or drop the row")
    rows = read_rows(parts, source, roles, spec)
    test = {"test_images": rows.values[1], "test_labels": labels[1], "test_ids": rows.ids[1]} if parts[1:] else {}
    return make_dataset(
        name,
        rows.values[0],
        labels[0],
        source=source,
        class_names=None if roles.names is None else np.array(roles.names),
        ids=rows.ids[0],
        impute="none" if roles.pictures else spec.impute,
        notes=(*notes, *rows.notes),
        **test,
    )


class Rows(NamedTuple):
    """Values and ids of each part, ids None where no column holds them; and notes."""

    values: list[np.ndarray]
    ids: list[np.ndarray | None]
    notes: tuple[str, ...]


def read_rows(parts: list[Any], source: str, roles: Roles, spec: DataSpec) -> Rows:
    """The pictures, or the numbers made of all columns but the label and the ids, of each part."""
    others = [name for name in parts[0].column_names if name not in (roles.label, roles.pictures)]
    if roles.pictures:
        plain = [name for name in others if is_plain(parts[0].features[name])]
        tables = [as_table(part, plain, source) for part in parts]
    else:
        if spec.image_size:
            raise UserError(f"--image_size={spec.image_size}: {source} has no pictures; leave it out")
        if not others:
            raise UserError(f"{source}: has no column of numbers beside the label")
        tables = [as_table(part, others, source) for part in parts]
    id_column, notes = find_ids(tables[0], spec) if tables[0].names else (None, [])
    ids = [None if id_column is None else read_ids(table, id_column) for table in tables]
    others = [name for name in others if name != id_column]
    if roles.pictures:
        pictures = read_opened(pictures_of(parts, roles.pictures, source), source, spec.image_size)
        bounds = np.cumsum([len(part) for part in parts])[:-1]
        notes += [f"not read: {some_of(others)}"] * bool(others)
        return Rows(np.split(pictures.pixels, bounds), ids, (*notes, *pictures.notes))
    refuse_counts(tables[0], others, spec)
    found = read_joined([table.data.select(others) for table in tables], source, spec.impute)
    return Rows(found.parts, ids, (*notes, *found.notes))


def find_roles(split: Any, source: str, spec: DataSpec) -> Roles:
    """Finds the label and the pictures of a split by the types of its columns.

    Raises:
      UserError: without a label, and for several columns of pictures.
    """
    kinds = {name: type(feature).__name__ for name, feature in split.features.items()}
    labels, notes = [name for name, kind in kinds.items() if kind == "ClassLabel"], []
    label = spec.label_column
    if label not in kinds and label == DataSpec.label_column and len(labels) == 1:
        [label] = labels
        notes = [f"column {label} is the label (--label_column names another)"]
    if label not in kinds:
        raise UserError(f"--label_column={label}: {source} has the columns {', '.join(kinds)}")
    pictures = [name for name, kind in kinds.items() if kind == "Image"]
    if spec.image_column and spec.image_column not in pictures:
        raise UserError(f"--image_column={spec.image_column}: {source} has pictures in {', '.join(pictures) or 'none'}")
    if len(pictures) > 1 and not spec.image_column:
        raise UserError(f"{source}: has pictures in the columns {', '.join(pictures)}; name one by --image_column")
    names = getattr(split.features[label], "names", None) if kinds[label] == "ClassLabel" else None
    return Roles(label, spec.image_column or next(iter(pictures), None), names and tuple(names), tuple(notes))


def labels_of(split: Any, source: str, roles: Roles) -> np.ndarray:
    """The labels of a split: its classes by number, -1 where there is none, if their type has names; ``[n]``."""
    table = as_table(split, [roles.label], source)
    if roles.names is None:
        return read_labels(table, roles.label)
    return table.data.column(roles.label).fill_null(NO_LABEL).to_numpy()


def as_table(split: Any, names: list[str], source: str) -> Table:
    """Columns of a split, its rows in their order."""
    data = split.select_columns(names).with_format("arrow")[:] if names else split.data.table.select([])
    return Table(source, strip_texts(data.replace_schema_metadata()))


def is_plain(feature: Any) -> bool:
    """Whether a column holds one number or text a row."""
    return type(feature).__name__ in ("Value", "ClassLabel")


def pictures_of(parts: list[Any], name: str, source: str) -> Iterator[Any]:
    """The opened pictures of all parts.

    Raises:
      UserError: for a row without one.
    """
    for part in parts:
        for row, example in enumerate(part.select_columns([name]).with_format(None)):
            if example[name] is None:
                raise UserError(f"{source}: row {row + 1} has no {name}; drop it")
            yield example[name]
