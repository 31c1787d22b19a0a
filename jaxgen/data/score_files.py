"""Score files on disk: `cscores.npz`."""

import dataclasses
import json
import os
import pathlib
import zipfile

import numpy as np

from jaxgen.arrays import ArrayFile
from jaxgen.errors import UNREADABLE, UserError
from jaxgen.types import Scores

# What every such file has; all other keys are what is more.
FIELDS = tuple(field.name for field in dataclasses.fields(Scores) if field.name != "more")


def write_scores(scores: Scores, path: str | os.PathLike) -> None:
    """Writes `scores` as an ``.npz`` that loads with ``allow_pickle=False``; a reader never sees half of it."""
    arrays = {name: np.asarray(getattr(scores, name)) for name in FIELDS}
    if taken := arrays.keys() & scores.more.keys():
        raise ValueError(f"{min(taken)}: is a field of the scores, and may be no key of what is more")
    arrays |= {name: np.asarray(array) for name, array in scores.more.items()}
    arrays["metadata"] = np.asarray(json.dumps(scores.metadata, sort_keys=True))
    part = pathlib.Path(f"{path}.part")
    with open(part, "wb") as file:
        np.savez_compressed(file, **arrays)
    os.replace(part, path)


def load_scores(path: str | os.PathLike) -> Scores:
    """Reads what `write_scores` wrote.

    Raises:
      UserError: if there is no such file, or it is another kind of file.
    """
    if not os.path.exists(path):
        raise UserError(f"{path}: there is no such file; a cscores.npz, as jaxgen.cscore writes it, is needed")
    if not zipfile.is_zipfile(path):
        raise UserError(f"{path}: not a cscores.npz (no .npz file at all); give one that jaxgen.cscore has written")
    try:
        with ArrayFile(path) as file:
            arrays = {name: file[name] for name in FIELDS}
            more = {name: file[name] for name in file if name not in FIELDS}
        arrays |= {"num_runs": int(arrays["num_runs"]), "metadata": json.loads(str(arrays["metadata"])), "more": more}
    except UNREADABLE as error:
        raise UserError(f"{path}: not a cscores.npz ({error}); give one that jaxgen.cscore has written") from None
    return Scores(**arrays)
