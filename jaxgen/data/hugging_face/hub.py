"""Opens a data set of Hugging Face by its name on the hub, or from a folder."""

import contextlib
import importlib.util
import os
import pathlib
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from jaxgen.config import DataSpec
from jaxgen.data.hugging_face.splits import Splits, dataset_of_splits
from jaxgen.data.image_folder import PARTS
from jaxgen.data.image_sets import address, connection_failure
from jaxgen.errors import UserError, first_line
from jaxgen.types import Dataset
from jaxgen.wording import count_of, some_of

# Files of which save_to_disk writes one.
SAVED = ("state.json", "dataset_dict.json")


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
        raise UserError(f"{source}: needs the package datasets; pip install -e '.[hf]'")
    splits = choose_splits(open_splits(name, fetch), source)
    return dataset_of_splits(pathlib.PurePath(name.partition(":")[0]).name, source, splits, spec)


def open_splits(name: str, fetch: bool) -> Any:
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
        raise UserError(f"{source}: there is no such folder; give one that save_to_disk wrote")
    path, _, configuration = (name, "", "") if is_folder else name.partition(":")
    is_saved = any(os.path.isfile(f"{name}/{file}") for file in SAVED)
    offline = not is_folder and (not fetch or is_out_of_reach())
    try:
        if is_saved:
            return datasets.load_from_disk(name)
        with offline_if(offline), quiet_if(is_folder or not sys.stderr.isatty()):
            return datasets.load_dataset(path, configuration or None)
    except Exception as error:  # noqa: BLE001 - whatever the hub or a file does, its user gets one line
        while error.__cause__ is not None:
            error = error.__cause__
        remedy = "" if is_folder else "; is it NAME or NAME:CONFIGURATION of the hub?"
        if offline and fetch:
            remedy = "; the hub does not answer: go online once, or give a folder that save_to_disk wrote"
        elif offline:
            remedy = "; it is fetched only if the flag is given"
        raise UserError(f"{source}: cannot be read ({first_line(error)}){remedy}") from None


def is_out_of_reach() -> bool:
    """Whether the hub does not answer; Hugging Face itself would try for half a minute."""
    import datasets

    try:
        return bool(connection_failure(*address(datasets.config.HF_ENDPOINT)))
    except UserError:
        # The environment names a proxy without a valid address.
        return True


@contextlib.contextmanager
def quiet_if(quiet: bool) -> Iterator[None]:
    """Inside, Hugging Face shows no progress if `quiet`."""
    import datasets

    shown = not datasets.are_progress_bars_disabled()
    if quiet:
        datasets.disable_progress_bars()
    try:
        yield
    finally:
        if quiet and shown:
            datasets.enable_progress_bars()


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
    notes = [f"split {train[0]} is for training, {chosen[0] if chosen else 'nothing'} for testing"]
    notes += [f"not read: {some_of(others)}"] * bool(others)
    return Splits(opened[train[0]], opened[chosen[0]] if chosen else None, tuple(notes))
