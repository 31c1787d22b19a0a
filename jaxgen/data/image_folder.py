"""A folder of PNG or JPEG files for each class."""

import pathlib

import numpy as np

from jaxgen.data.checks import make_dataset
from jaxgen.errors import UserError
from jaxgen.spec import DataSpec
from jaxgen.types import Dataset

SUFFIXES = {".png", ".jpg", ".jpeg"}
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
    pictures = [open_picture(path, spec.image_size) for path in files + test_files]
    mode = "L" if all(picture.mode in ("1", "L", "LA") for picture in pictures) else "RGB"
    pixels = stack([np.asarray(picture.convert(mode)) for picture in pictures], files + test_files)
    labels = np.asarray([path.parent.name for path in files + test_files])
    test = {"test_images": pixels[len(files) :], "test_labels": labels[len(files) :]} if split else {}
    return make_dataset(
        root.resolve().name,
        pixels[: len(files)],
        labels[: len(files)],
        source=f"--dataset=images:{folder}",
        ids=np.asarray([path.relative_to(root).as_posix() for path in files]),
        **test,
    )


def list_files(root: pathlib.Path, folder: str) -> list[pathlib.Path]:
    """All picture files one level below the class folders, classes and files in order of name."""
    files = [path for kind in list_folders(root) for path in sorted(kind.iterdir()) if path.suffix.lower() in SUFFIXES]
    if not files:
        raise UserError(f"--dataset=images:{folder}: {root} has no .png or .jpg files in folders named by class")
    return files


def list_folders(root: pathlib.Path) -> list[pathlib.Path]:
    """Folders in order of name, without those that programs leave behind (``.ipynb_checkpoints``, ``__MACOSX``)."""
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith((".", "__")))


def open_picture(path: pathlib.Path, side: int):
    """The picture, with eight bits a channel, resized if `side` is not 0."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            picture.load()
            if picture.mode.startswith("I"):
                # Sixteen bits a pixel, which Pillow's own conversion would cut off at 255.
                sixteen = np.asarray(picture).astype(np.int64).clip(0, 65535)
                eight = Image.fromarray(((sixteen + 128) // 257).astype(np.uint8))
            else:
                eight = picture.copy()
            return eight.resize((side, side), Image.Resampling.LANCZOS) if side else eight
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{path}: is not a picture that can be read ({error}); mend or remove it") from None


def resize(pixels: np.ndarray, side: int) -> np.ndarray:
    """A uint8 ``[h, w]`` or ``[h, w, d]`` image at `side` x `side` pixels."""
    from PIL import Image

    flat = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[-1] == 1 else pixels
    return np.asarray(Image.fromarray(flat).resize((side, side), Image.Resampling.LANCZOS))


def stack(pixels: list[np.ndarray], files: list[pathlib.Path]) -> np.ndarray:
    for array, path in zip(pixels, files, strict=True):
        if array.shape != pixels[0].shape:
            raise UserError(
                f"{path}: has {array.shape[1]}x{array.shape[0]} pixels, {files[0].name} "
                f"{pixels[0].shape[1]}x{pixels[0].shape[0]}; give --image_size to resize all"
            )
    return np.stack(pixels)
