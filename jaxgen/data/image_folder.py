"""A folder of pictures for each class.

Nothing is left out in silence: what is not read is counted in a note by class and reason.
"""

import collections
import os
import pathlib
from collections.abc import Collection, Iterator
from typing import NamedTuple

import numpy as np

from jaxgen.config import DataSpec
from jaxgen.data.checks import make_dataset
from jaxgen.data.labels import number_order
from jaxgen.data.pictures import SUFFIXES, read_pictures
from jaxgen.errors import UserError
from jaxgen.types import Dataset
from jaxgen.wording import count_of

# Folders that programs leave behind, beside hidden ones such as .ipynb_checkpoints.
LEFTOVERS = ("__MACOSX", "__pycache__")
# Names of the folders of the parts: for training, for testing, for validation.
PARTS = ({"train", "training"}, {"test", "testing"}, {"val", "valid", "validation"})


class Split(NamedTuple):
    """Which folders hold the pictures to train on and to test on.

    Attributes:
      train: a folder of class folders.
      test: the same, or None.
      notes: what was assumed.
    """

    train: pathlib.Path
    test: pathlib.Path | None
    notes: tuple[str, ...]


def load_image_folder(folder: str, spec: DataSpec) -> Dataset:
    """Reads ``DIR/<class>/...``, or ``DIR/train/<class>/...`` with ``DIR/test/<class>/...`` beside it.

    Pictures may lie deeper: all below a class folder are of its class. Grey where all are grey, else RGB. An example's
    id is its path below DIR.
    """
    root = pathlib.Path(folder)
    if not os.path.isdir(root):
        raise UserError(f"--dataset=images:{folder}: there is no such folder; give one with a folder for each class")
    split = find_split(root)
    files, notes = list_pictures(split.train, folder)
    test_files, test_notes = list_pictures(split.test, folder) if split.test else ([], [])
    pictures = read_pictures(files + test_files, spec.image_size)
    roots = [split.train] * len(files) + [split.test] * len(test_files)
    # As they are named: 1 and 1.0 are two folders.
    labels = [readable(path.relative_to(top).parts[0]) for path, top in zip(files + test_files, roots, strict=True)]
    names = np.unique(labels[: len(files)])
    names = names[number_order(names)]
    refuse_new_classes(folder, names, labels[len(files) :])
    if len(names) < 2:
        raise UserError(
            f"--dataset=images:{folder}: has one folder of a class, {names[0]}, in {split.train}; two classes or more "
            "are needed: add their folders, or give the folder above, if its folders are the classes"
        )
    places = {name: place for place, name in enumerate(names.tolist())}
    labels = np.array([places[label] for label in labels])
    test = {"test_images": pictures.pixels[len(files) :], "test_labels": labels[len(files) :]} if split.test else {}
    return make_dataset(
        root.resolve().name,
        pictures.pixels[: len(files)],
        labels[: len(files)],
        source=f"--dataset=images:{folder}",
        class_names=names,
        ids=np.asarray([readable(path.relative_to(root).as_posix()) for path in files]),
        notes=(*split.notes, *notes, *test_notes, *pictures.notes),
        **test,
    )


def refuse_new_classes(folder: str, names: np.ndarray, test_labels: Collection[str]) -> None:
    """Raises `UserError` for a class that has pictures for testing and none for training."""
    if new := set(test_labels) - set(names.tolist()):
        raise UserError(
            f"--dataset=images:{folder}: the class {min(new)} has pictures for testing, and none for training; add "
            "some, or remove its folder"
        )


def find_split(root: pathlib.Path) -> Split:
    """Finds folders named train and test, or by one of their other names, in capitals or not.

    Without a test folder the validation folder is for testing. Folders of such names beside others are classes.

    Raises:
      UserError: if a part has two folders.
    """
    folders = list_folders(root)
    names = {path.name.lower() for path in folders}
    if not (names & PARTS[0] and names <= set().union(*PARTS)):
        return Split(root, None, ())
    train, test, validation = ([path for path in folders if path.name.lower() in part] for part in PARTS)
    for part in (train, test, validation):
        if len(part) > 1:
            raise UserError(f"{root}: {part[0].name} and {part[1].name} are two folders of one part; join them")
    if not test and validation:
        test, validation = validation, []
    tests = f"{test[0].name}/ for testing" if test else "nothing for testing"
    notes = [f"{train[0].name}/ is for training, {tests}"]
    if validation:
        number = sum(is_picture(path) for path, _ in walk(validation[0]))
        notes.append(f"{validation[0].name}/ is not read ({count_of(number, 'picture')})")
    if loose := sum(is_picture(path) for path in root.iterdir()):
        notes.append(f"left out: {count_of(loose, 'picture')} beside these folders")
    return Split(train[0], test[0] if test else None, tuple(notes))


def list_pictures(root: pathlib.Path, folder: str) -> tuple[list[pathlib.Path], list[str]]:
    """The pictures of all class folders, by class and path; and what is left out, by class and reason.

    Raises:
      UserError: without class folders, and for a class without pictures.
    """
    files, notes = [], []
    for kind in list_folders(root):
        found = list(walk(kind))
        pictures = [path for path, hidden in found if is_picture(path) and not hidden]
        skipped = describe_skipped(found)
        name = readable(kind.relative_to(root).as_posix())
        if not pictures:
            raise UserError(
                f"{readable(str(kind))}: has no pictures{f' (left out: {skipped})' if skipped else ''}; remove this "
                f"folder, or put pictures into it ({', '.join(sorted(SUFFIXES))})"
            )
        if skipped:
            notes.append(f"left out of {name}: {skipped}")
        if deeper := [path for path in pictures if path.parent != kind]:
            shown = readable(deeper[0].relative_to(root).as_posix())
            pictures_of = f"{count_of(len(pictures), 'picture')} of {name}"
            notes.append(f"{len(deeper):,} of {pictures_of} lie in folders below it, such as {shown}")
        files += pictures
    if not files:
        raise UserError(
            f"--dataset=images:{folder}: {root} has no folders named by class, with pictures in them "
            f"({', '.join(sorted(SUFFIXES))}); make a folder for each class, and put its pictures there"
        )
    loose = sum(is_picture(path) for path in root.iterdir())
    return files, notes + [f"left out: {count_of(loose, 'picture')} that no class folder holds"] * bool(loose)


def list_folders(root: pathlib.Path) -> list[pathlib.Path]:
    """Folders sorted by name, without leftovers of programs (``.ipynb_checkpoints``, ``__MACOSX``)."""
    return sorted(path for path in root.iterdir() if path.is_dir() and not is_leftover(path.name))


def walk(folder: pathlib.Path) -> Iterator[tuple[pathlib.Path, bool]]:
    """All files below a folder, sorted by path, and whether they or a folder above them are hidden or leftovers."""
    for path in sorted(files_below(folder)):
        parts = path.relative_to(folder).parts
        yield path, any(map(is_leftover, parts[:-1])) or parts[-1].startswith(".")


def files_below(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """All files below a folder, links to folders followed once.

    Raises:
      UserError: for a folder that cannot be read.
    """
    seen = set()

    def refuse(error: OSError) -> None:
        raise UserError(f"{error.filename}: cannot be read ({error.strerror}); mend or remove it")

    for place, subfolders, names in os.walk(folder, followlinks=True, onerror=refuse):
        if (real := os.path.realpath(place)) in seen:
            subfolders.clear()
            continue
        seen.add(real)
        yield from (pathlib.Path(place) / name for name in names)


def is_leftover(name: str) -> bool:
    """Whether a folder of this name is hidden or was left by a program."""
    return name.startswith(".") or name in LEFTOVERS


def is_picture(path: pathlib.Path) -> bool:
    """Whether a path is a file with the suffix of a picture."""
    return path.suffix.lower() in SUFFIXES and path.is_file()


def describe_skipped(found: list[tuple[pathlib.Path, bool]]) -> str:
    """How many of the files found by `walk` are not read, and why; empty if all are."""
    hidden = sum(is_hidden for _, is_hidden in found)
    others = [path.suffix.lower() for path, is_hidden in found if not is_hidden and not is_picture(path)]
    parts = [
        f"{count_of(number, 'file')} {suffix or 'without a suffix'}"
        for suffix, number in sorted(collections.Counter(others).items())
    ]
    return ", ".join(parts + [count_of(hidden, "hidden file")] * bool(hidden))


def readable(name: str) -> str:
    """A file's name as text that can be encoded; bytes that are not UTF-8 are escaped."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
