"""From the columns of a table to features, labels and ids."""

import collections
import difflib
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaxgen.config import DataSpec
from jaxgen.data.checks import make_dataset
from jaxgen.data.pictures import read_pictures
from jaxgen.data.tables.features import UNNAMED, Features, read_features
from jaxgen.data.tables.file import Table, read_table, strip_texts
from jaxgen.data.tables.names import find_ids, idle_index, read_ids, read_labels, refuse_counts
from jaxgen.errors import UserError
from jaxgen.types import Dataset
from jaxgen.wording import count_of, some_of

# Columns that a message names.
MOST_NAMES = 20


def load_table(path: str, spec: DataSpec) -> Dataset:
    """Reads labels, ids and features of a CSV or Parquet file.

    Labels are the column `spec.label_column`. Columns of numbers are features, and so are those of true and false;
    a column of texts becomes one of zeros and ones for each of its texts.

    Raises:
      UserError: if that cannot be done; naming the column and where in the file.
    """
    source = f"--dataset={spec.dataset}"
    table = read_table(path, source, (spec.label_column, spec.id_column, spec.image_column))
    if spec.label_column not in table.names:
        near = difflib.get_close_matches(spec.label_column, table.names, n=1)
        raise UserError(
            f"--label_column={spec.label_column}: {path} has no such column, but {some_of(table.names, MOST_NAMES)}"
            + (f"; did you mean {near[0]}?" if near else "; name one of them")
        )
    labels = read_labels(table, spec.label_column)
    id_column, notes = find_ids(table, spec)
    ids = None if id_column is None else read_ids(table, id_column)
    if spec.image_column:
        return load_pictures(table, pathlib.Path(path), labels, id_column, ids, spec)
    if spec.image_size:
        raise UserError(f"--image_size={spec.image_size}: is for pictures; name their column by --image_column")
    names = [name for name in table.names if name not in (spec.label_column, id_column)]
    if not names:
        raise UserError(f"{source}: has no column of numbers beside the label")
    names = [name for name in names if name not in idle_index(table, spec)]
    refuse_counts(table, names, spec)
    found = read_columns(table, names, spec.impute)
    told = table.notes
    # A large table need not be in memory twice.
    del table
    return make_dataset(
        pathlib.Path(path).stem,
        found.values,
        labels,
        source=source,
        ids=ids,
        impute=spec.impute,
        notes=(*told, *notes, *found.notes),
    )


def load_pictures(
    table: Table, path: pathlib.Path, labels: np.ndarray, id_column: str | None, ids: np.ndarray | None, spec: DataSpec
) -> Dataset:
    """Reads the pictures whose files the column `spec.image_column` names, from the folder of the table.

    Their ids are those of `id_column`, or else the names of the files.

    Raises:
      UserError: for a column or a file that is not there, and for a picture that cannot be read.
    """
    if spec.image_column not in table.names:
        raise UserError(f"--image_column={spec.image_column}: {path} has the columns {', '.join(table.names)}")
    names = table.texts(spec.image_column)
    files = [path.parent / name for name in names]
    for row, file in enumerate(files):
        if not names[row] or not os.path.isfile(file):
            raise UserError(
                f"{table.source}: {table.where(row)}: there is no such picture: {file}; mend or drop the line"
            )
    if spec.impute != DataSpec.impute:
        raise UserError(
            f"--impute={spec.impute}: is for rows of features, and {table.source} names pictures; leave it out"
        )
    pictures = read_pictures(files, spec.image_size)
    others = [name or UNNAMED for name in table.names if name not in (spec.label_column, spec.image_column, id_column)]
    return make_dataset(
        path.stem,
        pictures.pixels,
        labels,
        source=table.source,
        ids=names if ids is None else ids,
        notes=(*table.notes, *([f"not read: {some_of(others)}"] if others else []), *pictures.notes),
    )


class Columns(NamedTuple):
    """Features made of several columns.

    Attributes:
      values: float ``[n, f]``.
      notes: which columns became several.
    """

    values: np.ndarray
    notes: tuple[str, ...]


def read_columns(table: Table, names: Sequence[str], impute: str = "none") -> Columns:
    """The features that columns of the table are made into; errors are those of `read_features`."""
    columns = {name: read_features(table, name, impute) for name in names}
    refuse_thousands(table, columns)
    missing = {name: int(np.isnan(found.values).sum()) for name, found in columns.items() if not found.categories}
    by_kind = collections.Counter(found.kind for found in columns.values())
    kinds = ", ".join(f"{count} of {kind}" for kind, count in by_kind.items())
    missing |= {name: found.without for name, found in columns.items() if found.categories}
    counts = [f"{name or UNNAMED} ({count:,})" for name, count in missing.items() if count]
    notes = [f"columns: {kinds}"] * (len(by_kind) > 1)
    commas = [name for name, found in columns.items() if found.has_decimal_commas]
    notes += [f"commas stand for decimal points in {some_of(commas)}"] * bool(commas)
    notes += [f"values are missing in {some_of(counts)}"] * bool(counts)
    notes += [
        f"column {name} has {count_of(len(found.categories), 'category')}: {some_of(found.categories)}"
        for name, found in columns.items()
        if found.categories
    ]
    return Columns(np.concatenate([found.values for found in columns.values()], axis=1), tuple(notes))


class JoinedColumns(NamedTuple):
    """Features of several tables: ``[n_i, f]`` each, and notes as of `Columns`."""

    parts: list[np.ndarray]
    notes: tuple[str, ...]


def read_joined(tables: Sequence[Table], names: Sequence[str], impute: str) -> JoinedColumns:
    """The features of tables with the same columns, whose categories are those of all of them.

    Raises:
      UserError: if a column has several types, or no numbers can be made of it.
    """
    import pyarrow

    source, data = tables[0].source, [table.data.select(names) for table in tables]
    try:
        joined = pyarrow.concat_tables(data, promote_options="permissive")
    except (pyarrow.ArrowException, KeyError, TypeError, OverflowError) as error:
        raise UserError(
            f"{source}: cannot be read as a table ({str(error).splitlines()[0]}); give columns of one type each, "
            "alike for training and testing"
        ) from None
    categories = frozenset().union(*(table.categories for table in tables))
    found = read_columns(Table(source, strip_texts(joined), categories=categories), names, impute)
    bounds = np.cumsum([part.num_rows for part in data])[:-1]
    return JoinedColumns(np.split(found.values, bounds), found.notes)


def refuse_thousands(table: Table, columns: Mapping[str, Features]) -> None:
    """Raises `UserError` for numbers like 1.234 in a file that writes decimals with commas: they may be thousands."""
    commas = next((name for name, found in columns.items() if found.has_decimal_commas), None)
    for name, found in columns.items():
        # Numbers of other sources have no points.
        if not table.separator or commas is None or found.has_decimal_commas or found.categories:
            continue
        values = found.values[np.isfinite(found.values)]
        # A float that has three decimals at most, and some that has one.
        if (values != np.rint(values)).any() and np.allclose(1000 * values, np.rint(1000 * values), rtol=0, atol=1e-6):
            raise UserError(
                f"{table.source}: column {name or UNNAMED} has points in its numbers, and column {commas} commas for "
                "decimals; are the points thousands? write all decimals in one way, and no thousands"
            )
