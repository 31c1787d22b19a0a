"""From the columns of a table to features, labels and ids."""

import collections
import dataclasses
import difflib
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaxgen.config import DataSpec
from jaxgen.config.fields import shorten
from jaxgen.data.checks import make_dataset
from jaxgen.data.pictures import read_pictures
from jaxgen.data.tables.features import Features, read_features, read_numbers
from jaxgen.data.tables.file import UNNAMED, Table, read_table, shown
from jaxgen.data.tables.names import describe_labels, find_ids, read_ids, read_labels, refuse_counts
from jaxgen.data.tables.points import describe_points, refuse_thousands
from jaxgen.data.tables.rows import looks_like_data
from jaxgen.data.tables.unnamed import idle_index, refuse_unnamed
from jaxgen.errors import UserError, first_line
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
    import pyarrow

    source = f"--dataset={spec.dataset}"
    kind = spec.dataset.partition(":")[0]
    table = read_table(path, source, (spec.label_column, spec.id_column, spec.image_column), kind)
    if spec.label_column not in table.names:
        if table.text and looks_like_data(table.names):
            raise UserError(
                f"--label_column={spec.label_column}: {path} has no such column, as its first line looks like data "
                f"({some_of(table.names, 3)}); put a line with the names of the columns above it"
            )
        near = difflib.get_close_matches(spec.label_column, table.names, n=1)
        raise UserError(
            f"--label_column={spec.label_column}: {path} has no such column, but "
            + some_of(shown(table.names), MOST_NAMES)
            + (f"; did you mean {near[0]}?" if near else "; name one of them")
        )
    labels = read_labels(table, spec.label_column)
    table = dataclasses.replace(table, notes=(*table.notes, *describe_labels(table, spec.label_column, labels)))
    if spec.image_column:
        return load_pictures(table, pathlib.Path(path), labels, spec)
    if spec.image_size:
        raise UserError(f"--image_size={spec.image_size}: is for pictures; name their column by --image_column")
    rows, told = read_tables([table], spec, spec.label_column), table.notes
    # A large table need not be in memory twice, and Arrow keeps the room of what it has dropped.
    del table
    pyarrow.default_memory_pool().release_unused()
    return make_dataset(
        pathlib.Path(path).stem,
        rows.parts[0],
        labels,
        source=source,
        ids=rows.ids[0],
        impute=spec.impute,
        columns=rows.columns,
        notes=(*told, *rows.notes),
    )


def load_pictures(table: Table, path: pathlib.Path, labels: np.ndarray, spec: DataSpec) -> Dataset:
    """Reads the pictures whose files the column `spec.image_column` names, from the folder of the table.

    Their ids are those of a column that names the rows, or else the names of the files.

    Raises:
      UserError: for a column or a file that is not there, and for a picture that cannot be read.
    """
    if spec.image_column not in table.names:
        raise UserError(
            f"--image_column={spec.image_column}: {path} has the columns {', '.join(shown(table.names))}; name one"
        )
    id_column, notes = find_ids(table, spec, spec.label_column)
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
        ids=names if id_column is None else read_ids(table, id_column),
        notes=(*table.notes, *notes, *([f"not read: {some_of(others)}"] if others else []), *pictures.notes),
    )


class Columns(NamedTuple):
    """Features made of several columns.

    Attributes:
      values: float ``[n, f]``.
      names: of the features, ``[f]``.
      notes: which columns became several.
    """

    values: np.ndarray
    names: tuple[str, ...]
    notes: tuple[str, ...]


def read_columns(table: Table, names: Sequence[str], impute: str = "none") -> Columns:
    """The features that columns of the table are made into; errors are those of `read_features`."""
    columns, plain, are_complete = {}, *read_numbers(table, names)
    for place, name in enumerate(names):
        values = plain[:, place : place + 1]
        found = Features(values) if are_complete[place] else read_features(table, name, impute)
        if not found.categories and found.values.shape[1] == 1:
            # Columns of numbers are kept once: where they stand in the end, if all are such.
            values[:] = found.values
            found = found._replace(values=values)
        columns[name] = found
    refuse_thousands(table, columns)
    are_plain = all(found.values.base is plain for found in columns.values())
    values = plain if are_plain else np.concatenate([found.values for found in columns.values()], axis=1)
    features = [
        f"{name or UNNAMED}{kind}"
        for name, found in columns.items()
        for kind in [f"={shorten(kind)}" for kind in found.categories] or [""] * found.values.shape[1]
    ]
    return Columns(
        values, tuple(features), (*describe_columns(table, columns, are_complete), *describe_points(table, columns))
    )


def describe_columns(table: Table, columns: Mapping[str, Features], are_complete: np.ndarray) -> list[str]:
    """Says what columns were read as, and what they have beside plain numbers; `are_complete` ``[f]`` have no more."""
    missing = {
        name: 0 if complete else found.without + int(np.isnan(found.values).sum())
        for (name, found), complete in zip(columns.items(), are_complete, strict=True)
    }
    by_kind = collections.Counter(found.kind for found in columns.values())
    kinds = ", ".join(f"{count} of {kind}" for kind, count in by_kind.items())
    counts = [f"{name or UNNAMED} ({count:,})" for name, count in missing.items() if count]
    notes = [f"columns: {kinds}"] * (len(by_kind) > 1)
    commas = [name for name, found in columns.items() if found.has_decimal_commas]
    notes += [f"commas stand for decimal points in {some_of(commas)}"] * bool(commas)
    padded = [name for name, found in columns.items() if name in table.padded or found.is_padded]
    notes += [
        f"{count_of(len(padded), 'column')} of numbers with zeros before them, which are dropped: {some_of(padded, 3)}"
    ] * bool(padded)
    notes += [f"of all rows, values are missing in {some_of(counts)}"] * bool(counts)
    notes += [
        f"column {name}: test rows alone have {some_of(found.unseen)}, which is none of its categories"
        for name, found in columns.items()
        if found.unseen
    ]
    notes += [
        f"column {name} has {count_of(len(found.categories), 'category')}: "
        + some_of([shorten(kind) for kind in found.categories])
        for name, found in columns.items()
        if found.categories
    ]
    notes += [
        f"column {name}: texts that differ by white space around alone are one category ({some_of(spaces.merged, 3)})"
        for name, spaces in table.spaces.items()
        if spaces.merged and name in columns and columns[name].categories
    ]
    return notes


class TableRows(NamedTuple):
    """Features and ids of a table of training examples and perhaps one of test examples.

    Attributes:
      parts: features of each table, ``[n_i, f]``.
      ids: of the rows of each, ``[n_i]``; None where no column names them.
      notes: what was assumed.
      columns: names of the features, ``[f]``.
    """

    parts: list[np.ndarray]
    ids: list[np.ndarray | None]
    notes: tuple[str, ...]
    columns: tuple[str, ...] = ()


def read_tables(tables: Sequence[Table], spec: DataSpec, label: str | None = None) -> TableRows:
    """Features of all columns but the label and the ids; categories are those of the first table, of training examples.

    Args:
      tables: one, or two with the same columns.
      spec: flags of the data.
      label: the column that is no feature; None: there is no such.

    Raises:
      UserError: if a column has several types, or no numbers can be made of it.
    """
    refuse_unnamed(tables[0], spec, label)
    id_column, notes = find_ids(tables[0], spec, label)
    idle = (label, id_column, *idle_index(tables[0], spec, label))
    names = [name for name in tables[0].names if name not in idle]
    if not names:
        raise UserError(f"{tables[0].source}: has no column of numbers beside the label; give it one or more")
    refuse_counts(tables[0], names, spec)
    found = read_columns(join(tables, names), names, spec.impute)
    bounds = np.cumsum([table.data.num_rows for table in tables])[:-1]
    ids = [None if id_column is None else read_ids(table, id_column) for table in tables]
    return TableRows(np.split(found.values, bounds), ids, (*notes, *found.notes), found.names)


def join(tables: Sequence[Table], names: Sequence[str]) -> Table:
    """Columns of one table, or of two below each other.

    Raises:
      UserError: if their types differ.
    """
    import pyarrow

    if len(tables) == 1:
        return tables[0]
    data = [table.data.select(names) for table in tables]
    try:
        joined = pyarrow.concat_tables(data, promote_options="permissive")
    except (pyarrow.ArrowException, KeyError, TypeError, OverflowError) as error:
        raise UserError(
            f"{tables[0].source}: cannot be read as a table ({first_line(error)}); give columns of one type each, "
            "alike for training and testing"
        ) from None
    row_names = None
    if all(table.row_names is not None for table in tables):
        row_names = [name for table in tables for name in table.row_names]
    return Table(
        tables[0].source,
        joined,
        categories=frozenset().union(*(table.categories for table in tables)),
        training=data[0].num_rows,
        row_names=row_names,
        spaces=collections.ChainMap(*(table.spaces for table in tables)),
    )
