"""Score files on disk: `cscores.npz`."""

import dataclasses
import io
import json
import os
import pathlib
import zipfile
from typing import Any

import numpy as np

from jaxgen.errors import UNREADABLE, UserError
from jaxgen.io.arrays import ArrayFile
from jaxgen.io.writing import write_durably
from jaxgen.types import Scores

# The file of a job.
NAME = "cscores.npz"
# The keys of every such file; all others go to `Scores.more`.
FIELDS = tuple(field.name for field in dataclasses.fields(Scores) if field.name != "more")
# More than any number of seconds or models.
MOST = 1e18


def write_scores(scores: Scores, path: str | os.PathLike) -> None:
    """Writes `scores` atomically as an ``.npz`` that loads with ``allow_pickle=False``."""
    arrays = {name: np.asarray(getattr(scores, name)) for name in FIELDS}
    if taken := arrays.keys() & scores.more.keys():
        raise ValueError(f"{min(taken)}: is a field of the scores, and may be no key of what is more")
    arrays |= {name: np.asarray(array) for name, array in scores.more.items()}
    arrays["metadata"] = np.asarray(json.dumps(scores.metadata, sort_keys=True))
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    write_durably(pathlib.Path(path), content.getbuffer())


def load_scores(path: str | os.PathLike) -> Scores:
    """Reads what `write_scores` wrote.

    Raises:
      UserError: if there is no such file, or it is no cscores.npz.
    """
    if not os.path.exists(path):
        raise UserError(f"{path}: there is no such file; a cscores.npz, as jaxgen.cscore writes it, is needed")
    if not zipfile.is_zipfile(path):
        raise UserError(f"{path}: not a cscores.npz (no .npz file at all); give one that jaxgen.cscore has written")
    try:
        with ArrayFile(path) as file:
            if missing := [name for name in FIELDS if name not in file]:
                raise ValueError(f"it has no array {missing[0]}")
            arrays = {name: file[name] for name in FIELDS}
            more = {name: file[name] for name in file if name not in FIELDS}
        arrays |= {"num_runs": int(arrays["num_runs"]), "metadata": json.loads(str(arrays["metadata"])), "more": more}
        scores = Scores(**arrays)
        check_layout(scores)
    except UNREADABLE as error:
        raise UserError(f"{path}: not a cscores.npz ({error}); give one that jaxgen.cscore has written") from None
    return scores


def check_layout(scores: Scores) -> None:
    """Checks the shapes, types and ranges of the fields.

    Raises:
      ValueError: naming the first field that is wrong.
    """
    count, ratios, classes = scores.labels.size, scores.subset_ratios.size, scores.class_names.size
    layout = {name: ((count,), "f") for name in ("scores", "stderr")}
    layout |= {"labels": ((count,), "iuf"), "ids": ((count,), "iuU"), "class_names": ((classes,), "U")}
    layout |= {"counts": ((ratios, count), "iu"), "scores_by_ratio": ((ratios, count), "f")}
    layout |= {"subset_ratios": ((ratios,), "f"), "reliability": ((scores.reliability.size,), "f")}
    layout["heldout_accuracy"] = ((ratios, scores.num_runs), "f")
    for name, (shape, kinds) in layout.items():
        array = getattr(scores, name)
        if array.shape != shape or array.dtype.kind not in kinds:
            raise ValueError(f"{name} has shape {array.shape} and type {array.dtype} for {count} examples")
    labels = scores.labels
    if not count or labels.dtype.kind == "f" or labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"labels are not numbers of its {classes} classes")
    if not ratios or not ((scores.subset_ratios > 0) & (scores.subset_ratios <= 1)).all():
        raise ValueError("subset_ratios are not between 0 and 1")
    # Rounding may bring a mean of ones slightly above 1.
    for name, low, high in (
        *((name, 0, 1 + 1e-6) for name in ("scores", "scores_by_ratio", "heldout_accuracy")),
        *((name, 0, MOST) for name in ("counts", "stderr")),
        ("reliability", -np.inf, 1 + 1e-6),
    ):
        values = getattr(scores, name)[~np.isnan(getattr(scores, name))]
        if ((values < low) | (values > high)).any():
            raise ValueError(f"{name} has numbers below {low:g} or above {high:g}")
    check_metadata(scores.metadata)


def check_metadata(metadata: Any) -> None:
    """Checks the types and ranges of the metadata that are computed with.

    Raises:
      ValueError: naming the first entry that is wrong.
    """
    flags = metadata.get("flags", {}) if isinstance(metadata, dict) else None
    if not isinstance(flags, dict) or not all(isinstance(text, str) for text in flags.values()):
        raise ValueError("metadata does not tell the flags")
    influence = metadata.get("influence") or {}
    numbers = {name: metadata.get(name, 0) for name in ("seconds", "diverged")}
    numbers |= influence if isinstance(influence, dict) else {"influence": influence}
    for name, number in numbers.items():
        if not isinstance(number, int | float) or not abs(number) < MOST:
            raise ValueError(f"metadata has {str(number)[:50]!r} for {name}")
