"""Columns without a name: most are an index that a program wrote, but some are data whose name is gone."""

import re
from typing import Literal

import numpy as np

from jaxgen.config import DataSpec
from jaxgen.data.tables.file import INDEX_NAMES, PANDAS_INDEX, Table
from jaxgen.data.tables.words import NO_COLUMN, decimals, describe_column, names_rows
from jaxgen.errors import UserError

Kind = Literal["names", "index", "empty", "data"]


def kind_of(table: Table, name: str) -> Kind:
    """What a column without a name holds.

    These are names of the rows, an index that starts anew (of frames below each other), no values, or data.
    """
    if table.data.column(name).null_count == table.data.num_rows:
        return "empty"
    if names_rows(table, name):
        return "names"
    return "index" if name.lower() == PANDAS_INDEX or counts_anew(decimals(table.texts(name))) else "data"


def counts_anew(values: np.ndarray) -> bool:
    """Whether each of some values ``[n]`` is 1 more than the one before it, or the first value again."""
    is_next, is_first = np.diff(values) == 1, values[1:] == values[0]
    # Zeros and ones by chance are no count.
    return bool((is_next | is_first).all() and values.max() - values[0] > 1 and values[0] == np.rint(values[0]))


def idle_index(table: Table, spec: DataSpec, label: str | None) -> dict[str, Kind]:
    """The columns without a name that are no features: those without values, and, but by ``--id_column=none``, indices.

    Returns:
      What they hold, by their names.
    """
    kinds = {name: kind_of(table, name) for name in unnamed(table, spec, label)}
    idle = ("empty",) if spec.id_column == NO_COLUMN else ("empty", "names", "index")
    kinds = {name: kind for name, kind in kinds.items() if kind in idle}
    others = [name for name in table.names if re.fullmatch(r"unnamed: [1-9]\d*", name.lower())]
    empty = [name for name in others if table.data.column(name).null_count == table.data.num_rows]
    return kinds | dict.fromkeys(empty, "empty")


def unnamed(table: Table, spec: DataSpec, label: str | None) -> list[str]:
    """The columns without a name, beside `label` and one that ``--id_column`` names."""
    names = [name for name in table.names if name.lower() in INDEX_NAMES and name != label]
    return [name for name in names if not name or name != spec.id_column]


def describe_idle(table: Table, spec: DataSpec, label: str | None, id_column: str | None) -> list[str]:
    """Says which columns without a name are not read."""
    told = {
        "empty": "a column without a name and without values is left out",
        "index": f"is an index, and is not read (--id_column={NO_COLUMN} makes it a feature)",
    }
    return [
        told["empty"] if kind == "empty" else f"{describe_column(name)} {told['index']}"
        for name, kind in idle_index(table, spec, label).items()
        if name != id_column
    ]


def refuse_unnamed(table: Table, spec: DataSpec, label: str | None) -> None:
    """Raises `UserError` for a column without a name that holds data, but where ``--id_column=none`` makes it one."""
    for name in [] if spec.id_column == NO_COLUMN else unnamed(table, spec, label):
        if kind_of(table, name) == "data":
            raise UserError(
                f"{table.title(name)}: {why_no_names(table, name)}, so it is no index; give it a name, or leave it out "
                f"(--id_column={NO_COLUMN} reads it as a feature)"
            )


def why_no_names(table: Table, name: str) -> str:
    """Says why the values of a column do not name the rows."""
    texts = table.texts(name)
    values = decimals(texts)
    if (fractions := np.isfinite(values) & (values != np.rint(values))).any():
        return f"has fractions, such as {texts[fractions][0]}"
    if (texts == "").any():
        return f"has no value in {table.where(int(np.argmax(texts == '')))}"
    kinds, counts = np.unique(texts, return_counts=True)
    return f"has {kinds[counts.argmax()]} in {counts.max():,} rows"
