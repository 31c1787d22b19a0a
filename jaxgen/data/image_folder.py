"""A folder of PNG or JPEG files for each class."""

import math
import pathlib
import warnings
from typing import Any

import numpy as np

from jaxgen.config import DataSpec
from jaxgen.data.checks import make_dataset
from jaxgen.errors import UNREADABLE, UserError
from jaxgen.io.arrays import refuse_bomb
from jaxgen.types import Dataset

SUFFIXES = {".png", ".jpg", ".jpeg"}
# Pillow's limit, above which it warns of a decompression bomb.
MOST_PIXELS = 89_478_485
SPLITS = ({"train", "test"}, {"train", "val"}, {"train", "valid"})


def load_image_folder(folder: str, spec: DataSpec) -> Dataset:
    """Reads ``DIR/<class>/*.png|jpg|jpeg``, or ``DIR/train/<class>/...`` with ``DIR/test/<class>/...`` beside it.

    Grey where all files are grey, else RGB. An example's id is its path below DIR.
    """
    root = pathlib.Path(folder)
    if not root.is_dir():
        raise UserError(f"--dataset=images:{folder}: there is no such folder")
    subfolders = {path.name for path in list_folders(root)}
    split = subfolders in SPLITS
    files = list_files(root / "train" if split else root, folder)
    test_files = list_files(root / (subfolders - {"train"}).pop(), folder) if split else []
    pictures = open_pictures(files + test_files, spec.image_size)
    mode = "L" if all(picture.mode in ("1", "L", "LA") for picture in pictures) else "RGB"
    pixels = np.stack([np.asarray(picture.convert(mode)) for picture in pictures])
    labels = np.asarray([readable(path.parent.name) for path in files + test_files])
    test = {"test_images": pixels[len(files) :], "test_labels": labels[len(files) :]} if split else {}
    return make_dataset(
        root.resolve().name,
        pixels[: len(files)],
        labels[: len(files)],
        source=f"--dataset=images:{folder}",
        ids=np.asarray([readable(path.relative_to(root).as_posix()) for path in files]),
        **test,
    )


def list_files(root: pathlib.Path, folder: str) -> list[pathlib.Path]:
    """The picture files of all class folders, sorted by class and file name."""
    files = [path for kind in list_folders(root) for path in sorted(kind.iterdir()) if is_picture(path)]
    if not files:
        raise UserError(f"--dataset=images:{folder}: {root} has no .png or .jpg files in folders named by class")
    return files


def list_folders(root: pathlib.Path) -> list[pathlib.Path]:
    """Folders sorted by name, without leftovers of programs (``.ipynb_checkpoints``, ``__MACOSX``)."""
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith((".", "__")))


def is_picture(path: pathlib.Path) -> bool:
    """Whether a path is a file with the suffix of a picture."""
    return path.suffix.lower() in SUFFIXES and path.is_file()


def readable(name: str) -> str:
    """A file's name as text that can be encoded; bytes that are not UTF-8 are escaped."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def open_pictures(files: list[pathlib.Path], side: int) -> list[Any]:
    """The pictures with eight bits a channel, resized to `side` x `side` pixels unless `side` is 0.

    Raises:
      UserError: for unreadable files, pictures of several sizes that are not to be resized, and decompression bombs.
    """
    from PIL import Image

    pictures, first, pixels, file_bytes = [], (0, 0), 0, 0
    for path in files:
        try:
            # Some of Pillow's formats run programs, and its warnings are not for users.
            with warnings.catch_warnings(action="ignore"), Image.open(path, formats=("PNG", "JPEG")) as picture:
                size = picture.size
                first = first if pictures else size
                refuse_sizes(path, size, files[0], size if side else first)
                file_bytes += path.stat().st_size
                # Pictures to be resized are unpacked one at a time.
                pixels = 0 if side else pixels + math.prod(size)
                refuse_bomb(pixels, file_bytes)
                pictures.append(unpack(picture, side))
        except (*UNREADABLE, Image.DecompressionBombError) as error:
            raise UserError(f"{path}: is not a picture that can be read ({error}); mend or remove it") from None
    return pictures


def refuse_sizes(path: pathlib.Path, size: tuple[int, int], other: pathlib.Path, wanted: tuple[int, int]) -> None:
    """Raises UserError for a picture of another size than `wanted`, or of too many pixels."""
    if math.prod(size) > MOST_PIXELS:
        raise UserError(f"{path}: has {size[0]}x{size[1]} pixels, more than {MOST_PIXELS:,}; make it smaller")
    if size != wanted:
        raise UserError(
            f"{path}: has {size[0]}x{size[1]} pixels, {other.name} {wanted[0]}x{wanted[1]}; give --image_size to "
            "resize all"
        )


def unpack(picture: Any, side: int) -> Any:
    """An opened picture with eight bits a channel, resized unless `side` is 0."""
    from PIL import Image

    picture.load()
    if picture.mode.startswith("I"):
        # Sixteen bits a pixel, which Pillow would clip at 255.
        sixteen = np.asarray(picture).astype(np.int64).clip(0, 65535)
        eight = Image.fromarray(((sixteen + 128) // 257).astype(np.uint8))
    else:
        eight = picture.copy()
    return eight.resize((side, side), Image.Resampling.LANCZOS) if side else eight


def resize(pixels: np.ndarray, side: int) -> np.ndarray:
    """A uint8 ``[h, w]`` or ``[h, w, d]`` image at `side` x `side` pixels."""
    from PIL import Image

    flat = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[-1] == 1 else pixels
    return np.asarray(Image.fromarray(flat).resize((side, side), Image.Resampling.LANCZOS))
