"""Folders of corrupted images in the layouts of CIFAR-10-C and MNIST-C: memory-mapped readers, and a writer.

CIFAR-10-C (D. Hendrycks, T. Dietterich, https://arxiv.org/abs/1903.12261; CIFAR-100-C is alike): for each corruption
``<corruption>.npy``, uint8 ``[5t, h, w, d]``, the t test images at severity 1, then 2, up to 5; and ``labels.npy``,
``[5t]``. MNIST-C (N. Mu, J. Gilmer, https://arxiv.org/abs/1906.02337): for each corruption a folder
with ``train_images.npy``, ``train_labels.npy``, ``test_images.npy``, ``test_labels.npy``, at one severity; and a folder
``identity`` with the uncorrupted images, which is skipped.
"""

import os
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from jaxgen.config.corruption_names import spell_out
from jaxgen.errors import UNREADABLE, UserError
from jaxgen.io.arrays import map_npy
from jaxgen.transforms.corruptions import MNIST_STANDARD, STANDARD, Kind, check_images, check_name, corrupt_in_batches
from jaxgen.transforms.corruptions.constants import NUM_SEVERITIES

LABELS = "labels.npy"
UNCORRUPTED = "identity"
MNIST_FILES = ("train_images", "train_labels", "test_images", "test_labels")


class LabelledImages(NamedTuple):
    """Memory-mapped images and their labels.

    Attributes:
      images: uint8 ``[n, h, w, d]``.
      labels: integers ``[n]``.
    """

    images: np.ndarray
    labels: np.ndarray


class CorruptedFolder(NamedTuple):
    """The contents of a folder.

    Attributes:
      test: by corruption and severity; MNIST-C has severity 1 only.
      train: by corruption; empty in the layout of CIFAR-10-C.
    """

    test: dict[tuple[str, int], LabelledImages]
    train: dict[str, LabelledImages]

    @property
    def names(self) -> list[str]:
        """The corruptions, in order of name."""
        return sorted({name for name, _ in self.test})


def read_folder(path: str | os.PathLike, names: Sequence[str] = ("all",)) -> CorruptedFolder:
    """Reads a folder of either layout.

    Args:
      path: of the folder.
      names: corruptions to read, all of which must be there; ``standard`` for the 15 of CIFAR-10-C or MNIST-C,
        ``all`` for every one in the folder.

    Raises:
      UserError: for a folder of neither layout, missing or damaged files, and arrays that do not match.
    """
    root = pathlib.Path(path)
    if not root.is_dir():
        raise UserError(f"{root}: there is no such folder")
    if (root / LABELS).is_file():
        return read_cifar_layout(root, names)
    folders = sorted(path.name for path in root.iterdir() if (path / f"{MNIST_FILES[2]}.npy").is_file())
    if not folders:
        raise UserError(
            f"{root}: has neither {LABELS}, as CIFAR-10-C, nor folders with {MNIST_FILES[2]}.npy, as MNIST-C; give the "
            "folder that holds them"
        )
    return read_mnist_layout(root, folders, names)


def read_cifar_layout(root: pathlib.Path, names: Sequence[str]) -> CorruptedFolder:
    """A file for each corruption, with a block of images for each severity."""
    available = sorted(path.stem for path in root.glob("*.npy") if path.name != LABELS)
    labels = read_labels(root / LABELS)
    if len(labels) % NUM_SEVERITIES or not len(labels):
        raise UserError(f"{root / LABELS}: holds {len(labels)} labels; {NUM_SEVERITIES} blocks are needed")
    size, test = len(labels) // NUM_SEVERITIES, {}
    for name in choose(names, available, STANDARD, root):
        images = read_images(root / f"{name}.npy", len(labels), LABELS)
        for severity in range(1, NUM_SEVERITIES + 1):
            block = slice((severity - 1) * size, severity * size)
            test[name, severity] = LabelledImages(images[block], labels[block])
    return CorruptedFolder(test, {})


def read_mnist_layout(root: pathlib.Path, folders: Sequence[str], names: Sequence[str]) -> CorruptedFolder:
    """A folder for each corruption, with training and test images."""
    test, train = {}, {}
    for name in choose(names, [folder for folder in folders if folder != UNCORRUPTED], MNIST_STANDARD, root):
        for part in ("train", "test"):
            labels = read_labels(root / name / f"{part}_labels.npy")
            images = read_images(root / name / f"{part}_images.npy", len(labels), f"{part}_labels.npy")
            if part == "train":
                train[name] = LabelledImages(images, labels)
            else:
                test[name, 1] = LabelledImages(images, labels)
    return CorruptedFolder(test, train)


def choose(names: Sequence[str], found: Sequence[str], standard: Sequence[str], root: pathlib.Path) -> list[str]:
    """The requested corruptions without duplicates.

    Raises:
      UserError: if one is missing, or the folder has none.
    """
    chosen = spell_out(names, standard, found)
    missing = [name for name in chosen if name not in found]
    if missing or not chosen:
        raise UserError(
            f"{root}: {', '.join(missing) or 'every corruption'} is missing; it has {', '.join(found) or 'none'}; "
            "fetch the whole folder again, or ask for what it has (--corruptions=all)"
        )
    return chosen


def read_labels(path: pathlib.Path) -> np.ndarray:
    """Integer labels ``[n]``, memory-mapped; raises UserError for anything else."""
    labels = map_array(path)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise UserError(f"{path}: holds {labels.dtype} of shape {labels.shape}; integers [n] are needed")
    return labels


def read_images(path: pathlib.Path, count: int, labelled: str) -> np.ndarray:
    """Images, uint8 ``[count, h, w, d]``; ``[count, h, w]`` gets a channel axis."""
    images = map_array(path)
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] not in (1, 3)):
        raise UserError(
            f"{path}: holds {images.dtype} of shape {images.shape}; uint8 [n, h, w, d] with 1 or 3 channels is needed"
        )
    if len(images) != count:
        raise UserError(f"{path}: holds {len(images)} images for the {count} labels of {labelled}; fetch both again")
    return images if images.ndim == 4 else images[..., None]


def map_array(path: pathlib.Path) -> np.ndarray:
    """The memory-mapped array of a file."""
    if not path.is_file():
        raise UserError(f"{path}: is missing; fetch the whole folder again")
    try:
        return map_npy(path)
    except UNREADABLE as error:
        raise UserError(f"{path}: is no .npy file that can be read ({error}); fetch it again") from None


def write_folder(
    path: str | os.PathLike,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    seed: int = 0,
    names: Sequence[str] = STANDARD,
    constants: Kind = "small",
) -> None:
    """Writes corrupted copies of images, at all severities, in the layout of CIFAR-10-C.

    An image's draws depend on the seed, the corruption's name, the severity and the image's index, so that a folder can
    be written in several calls. Files are written atomically; a file of the same content stays.

    Args:
      path: of the folder, created if missing.
      images: ``[t, h, w, d]`` uint8, or float in [0, 1].
      labels: integers ``[t]``.
      seed: of all draws.
      names: of the corruptions.
      constants: which constants the severities have.

    Raises:
      UserError: for images or labels of a wrong shape or type, an unknown corruption, and existing files of other
        content.
    """
    check_images(images)
    for name in names:
        check_name(name)
    labels = np.asarray(labels)
    if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
        raise UserError(f"{path}: labels are {labels.dtype} of shape {labels.shape} for {len(images)} images; give [t]")
    if images.dtype != np.uint8:
        images = np.rint(255 * np.clip(images, 0, 1)).astype(np.uint8)
    root = pathlib.Path(path)
    all_labels = np.tile(labels, NUM_SEVERITIES)
    if (root / LABELS).exists() and not np.array_equal(read_labels(root / LABELS), all_labels):
        raise UserError(f"{root / LABELS}: has other labels; name another folder")
    root.mkdir(parents=True, exist_ok=True)
    for name in names:
        write_corrupted(root / f"{name}.npy", name, images, seed, constants)
    with open(part_of(root / LABELS), "wb") as file:
        np.save(file, all_labels)
    os.replace(part_of(root / LABELS), root / LABELS)


def write_corrupted(path: pathlib.Path, name: str, images: np.ndarray, seed: int, constants: Kind) -> None:
    """Writes a block of images for each severity, or compares them with those of an existing file.

    Raises:
      UserError: if the file exists with other content.
    """
    shape, exists = (NUM_SEVERITIES * len(images), *images.shape[1:]), path.exists()
    array = map_array(path) if exists else open_part(path, shape)
    fits = array.shape == shape and array.dtype == np.uint8
    for severity in range(1, NUM_SEVERITIES + 1):
        block = slice((severity - 1) * len(images), severity * len(images))
        key = draw_key(seed, name, severity)
        corrupted = corrupt_in_batches(name, key, images, severity=severity, constants=constants)
        if not exists:
            array[block] = corrupted
        elif not fits or not np.array_equal(array[block], corrupted):
            raise UserError(f"{path}: is there already, with other content; remove it, or name another folder")
    if not exists:
        array.flush()
        os.replace(part_of(path), path)


def draw_key(seed: int, name: str, severity: int) -> jax.Array:
    """The key of one corruption at one severity."""
    key = jax.random.key(seed)
    for byte in name.encode():
        key = jax.random.fold_in(key, byte)
    return jax.random.fold_in(key, severity)


def part_of(path: pathlib.Path) -> pathlib.Path:
    """The path that a file has until it is complete."""
    return path.with_name(f"{path.name}.part")


def open_part(path: pathlib.Path, shape: tuple[int, ...]) -> np.memmap:
    """A memory-mapped uint8 array to be written, in a file that is renamed to `path` when complete."""
    return np.lib.format.open_memmap(part_of(path), mode="w+", dtype=np.uint8, shape=shape)
