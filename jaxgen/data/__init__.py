"""Data sets: `load_dataset` reads any source that ``--dataset`` can name. Other modules read files of scores and runs.

To add a kind of source, write ``load_KIND(path, spec) -> Dataset`` in a module here, with `npz` as a model: it says
"there is no such file", turns whatever else goes wrong (`errors.UNREADABLE`) into a `UserError` of one line, refuses
sizes that a file only claims (`io.arrays.refuse_bomb`), and ends in `checks.make_dataset`. Then enter it in

* `READERS` below, and in `LIMITED_FLAGS` for each flag that it has, new or not;
* the help of these flags in `jaxgen.config.training.DataSpec`, and README's table of sources;
* ``setup.py``: extras of its own and ``test``, if it needs a library;
* ``MAKERS`` of ``tests/data/test_data.py``, ``cases`` and ``NAMES`` of ``tests/io/test_fuzz.py``.

Nothing is cached: a store knows its data by `Dataset.fingerprint`. Sources are `tables`, `idx`, `npz`,
`image_folder`, `digits`, `image_sets` and `tfds`; `keel` is no ``--dataset`` kind, ``jaxgen.lnr --keel`` reads it.
`parts`, `long_tail` and `corrupted` derive data from data.
"""

import dataclasses
import os
import pathlib
import re
from collections.abc import Callable

from jaxgen.config import DataSpec
from jaxgen.data.digits import load_digits
from jaxgen.data.hugging_face.hub import SAVED, load_hugging_face
from jaxgen.data.idx import load_idx_folder
from jaxgen.data.image_folder import load_image_folder
from jaxgen.data.image_sets import IMAGE_SETS, load_image_set
from jaxgen.data.npz import load_npz
from jaxgen.data.parts import crop_center, first_examples, first_test_examples, normalized
from jaxgen.data.tables.columns import load_table
from jaxgen.errors import UserError
from jaxgen.types import Dataset

# What stands before the colon of --dataset=KIND:PATH.
READERS: dict[str, Callable[..., Dataset]] = {
    "csv": load_table,
    "hf": load_hugging_face,
    "idx": load_idx_folder,
    "images": load_image_folder,
    "npz": load_npz,
    "parquet": load_table,
}
# Suffixes of files that need no kind before them.
SUFFIX_KINDS = {".csv": "csv", ".tsv": "csv", ".parquet": "parquet", ".pq": "parquet", ".npz": "npz"}
TABLES = ("csv", "parquet", "hf")
# Kinds whose data may have to be downloaded.
FETCHED = ("hf",)
# Flags that only some kinds of source have, and those kinds. An empty tuple: only names of data sets have the flag,
# which have --image_size too.
LIMITED_FLAGS = {"label_column": TABLES, "id_column": TABLES, "image_column": TABLES}
LIMITED_FLAGS |= {"impute": ("npz", *TABLES), "image_size": ("images", *TABLES), "data_dir": ()}
# Those of tensorflow-datasets and of the image sets.
OF_NAMES = ("image_size", "data_dir")
# name, name/config, name:1.2.3
TFDS_NAME = r"\w+(/[\w.-]+)?(:[\d.*]+)?"
EMBEDDED: dict[str, Callable[[DataSpec], Dataset]] = {"digits": load_digits}


def load_dataset(spec: DataSpec, *, fetch: bool = True) -> Dataset:
    """Reads and checks the data set that `spec` names; labels become ``0..c-1``.

    Args:
      spec: the source, and which part of it.
      fetch: whether it may be downloaded.

    Raises:
      UserError: if there is no such data, or it cannot be used.
    """
    typed, spec = spec.dataset, dataclasses.replace(spec, dataset=with_kind(spec.dataset))
    kind, path = split_kind(spec.dataset)
    refuse_idle_flags(kind, spec)
    if kind:
        dataset = READERS[kind](path, spec, **({"fetch": fetch} if kind in FETCHED else {}))
    elif spec.dataset in EMBEDDED:
        dataset = EMBEDDED[spec.dataset](spec)
    elif spec.dataset in IMAGE_SETS:
        dataset = load_image_set(spec, fetch=fetch)
    elif not re.fullmatch(TFDS_NAME, spec.dataset):
        if os.path.isfile(spec.dataset):
            raise UserError(
                f"--dataset={spec.dataset}: is a file of a kind that is not read by its suffix "
                f"({', '.join(SUFFIX_KINDS)}); save it as one of these, or write its kind before it, as in csv:FILE"
            )
        raise UserError(
            f"--dataset={spec.dataset}: unknown; known: {', '.join(EMBEDDED)}, a tensorflow-datasets name, "
            f"{', '.join(f'{name}:PATH' for name in READERS)}"
        )
    else:
        from jaxgen.data.tfds import load_tfds

        dataset = load_tfds(spec, fetch=fetch)
    if spec.dataset != typed and re.fullmatch(TFDS_NAME, typed) and os.path.isdir(typed):
        note = f"--dataset={typed} is the folder of this name, and not a data set of tensorflow-datasets"
        dataset = dataclasses.replace(dataset, notes=(note, *dataset.notes))
    dataset = first_examples(dataset, spec.num_examples, spec.dataset)
    dataset = first_test_examples(dataset, spec.num_test_examples, spec.dataset)
    return normalized(crop_center(dataset, spec.center_crop, spec.dataset), spec, spec.dataset)


def with_kind(name: str) -> str:
    """The name of a data set with the kind of its source, if it is a path whose suffix tells, or a folder."""
    kind, path = split_kind(name)
    if kind and not path:
        raise UserError(f"--dataset={name}: names nothing; give {kind}:PATH")
    if kind or name in EMBEDDED or name in IMAGE_SETS:
        return name
    if not os.path.isdir(name):
        kind = SUFFIX_KINDS.get(pathlib.Path(name).suffix.lower())
        return f"{kind}:{name}" if kind else name
    folder = pathlib.Path(name)
    if any((folder / file).is_file() for file in SAVED):
        return f"hf:{name}"
    return f"{'idx' if any(folder.glob('*-ubyte*')) else 'images'}:{name}"


def split_kind(name: str) -> tuple[str, str]:
    """What stands before the colon of a data set's name, if it is a kind of source, and after it; else empty texts."""
    kind, colon, path = name.partition(":")
    return (kind, path) if colon and kind in READERS else ("", "")


def refuse_idle_flags(kind: str, spec: DataSpec) -> None:
    """Raises UserError for a flag that has no effect on this kind of source."""
    is_named = not kind and spec.dataset not in EMBEDDED
    for name, kinds in LIMITED_FLAGS.items():
        value, is_taken = getattr(spec, name), name in OF_NAMES if is_named else kind in kinds
        if not is_taken and value != getattr(DataSpec, name):
            places = " or ".join(f"{place}:PATH" for place in kinds) or "names of data sets, such as mnist"
            raise UserError(f"--{name}={value}: goes with {places}, not with --dataset={spec.dataset}; leave it out")
