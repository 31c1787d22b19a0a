"""Picture files as bytes: upright, without transparency, of eight bits a channel.

Every change is counted, so that the reader can say what was done.
"""

import dataclasses
import math
import pathlib
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxgen.errors import UNREADABLE, UserError
from jaxgen.io.arrays import refuse_bomb
from jaxgen.wording import count_of

# Of Pillow's formats, those that are decoded without running another program.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
SUFFIXES = {".png", ".jpg", ".jpeg", ".jpe", ".webp", ".bmp", ".tif", ".tiff", ".gif"}
# Pillow's limit, above which it warns of a decompression bomb.
MOST_PIXELS = 89_478_485
# EXIF's tag of the orientation; 1 is upright.
ORIENTATION = 0x112
# TIFF's tag of what 0 means: where it is 0, white.
PHOTOMETRIC = 262
BACKGROUND = (255, 255, 255)
DEPTHS = (8, 10, 12, 14, 16)


class Pictures(NamedTuple):
    """Decoded pictures.

    Attributes:
      pixels: uint8 ``[n, h, w]`` if all are grey, else ``[n, h, w, 3]``.
      notes: what was changed, one sentence each.
    """

    pixels: np.ndarray
    notes: tuple[str, ...]


@dataclasses.dataclass
class Changes:
    """What happened to pictures.

    Attributes:
      stretched: how many were resized, and were not square.
      turned, transparent, frames: how many were turned, had transparent parts, several frames.
      cut: how many have several channels of 16 bits, of which the upper 8 are read.
      largest: the largest value of grey pictures of 16 bits.
    """

    stretched: int = 0
    turned: int = 0
    transparent: int = 0
    frames: int = 0
    cut: int = 0
    largest: int = -1

    @property
    def depth(self) -> int:
        """Bits of the pictures of more than eight, by their largest value; 8 without any."""
        return next(bits for bits in DEPTHS if self.largest < 2**bits)

    def describe(self, number: int) -> Iterator[str]:
        """Says what was changed among `number` pictures, one sentence each."""
        pictures = count_of(number, "picture")
        if self.stretched:
            yield f"{self.stretched:,} of {pictures} were not square, and were stretched to one size"
        if self.turned:
            yield f"{self.turned:,} of {pictures} were turned upright, by the orientation in their EXIF data"
        if self.transparent:
            yield f"{self.transparent:,} of {pictures} are transparent in parts, and were laid on white"
        if self.frames:
            yield f"of {count_of(self.frames, 'file')} with several frames the first was taken"
        if self.cut:
            yield f"of {count_of(self.cut, 'picture')} with 16 bits a channel the upper 8 were taken"
        if self.largest >= 0:
            yield f"pictures of 16 bits have values up to {self.largest:,}: {2**self.depth - 1:,} was taken for white"


def read_pictures(files: Sequence[pathlib.Path], side: int) -> Pictures:
    """Decodes picture files, all resized to `side` x `side` pixels unless it is 0.

    Raises:
      UserError: for unreadable files, pictures of several sizes that are not to be resized, decompression bombs.
    """
    changes = Changes()
    return as_pixels(decode(files, side, changes), changes)


def as_pixels(pictures: Sequence[Any], changes: Changes) -> Pictures:
    """Unpacked pictures of one size as bytes, and what was changed."""
    mode = "L" if all(picture.mode in ("L", "F") for picture in pictures) else "RGB"
    pixels = np.stack([as_bytes(picture, changes.depth, mode) for picture in pictures])
    return Pictures(pixels, tuple(changes.describe(len(pictures))))


def decode(files: Sequence[pathlib.Path], side: int, changes: Changes) -> list[Any]:
    """The pictures in Pillow's modes ``L``, ``RGB`` or, for sixteen bits, ``F``; counts `changes`."""
    from PIL import Image

    pictures: list[Any] = []
    pixels = file_bytes = 0
    for path in files:
        try:
            # Pillow's warnings are not for users.
            with warnings.catch_warnings(action="ignore"), Image.open(path, formats=FORMATS) as opened:
                refuse_huge(path, opened.size)
                file_bytes += path.stat().st_size
                # Pictures to be resized are unpacked one at a time.
                pixels = 0 if side else pixels + math.prod(opened.size)
                refuse_large(path, pixels, file_bytes)
                picture = unpack(opened, changes)
        except (*UNREADABLE, Image.DecompressionBombError) as error:
            raise UserError(f"{path}: is not a picture that can be read ({error}); mend or remove it") from None
        pictures.append(resized(picture, side, changes))
        refuse_other_size(path, picture.size, files[0], pictures[0].size if not side else picture.size)
    return pictures


def read_opened(pictures: Iterable[Any], source: str, side: int = 0) -> Pictures:
    """As `read_pictures`, of pictures that Pillow has opened; `source` is the user's name of them.

    Raises:
      UserError: if their sizes differ and they are not to be resized, or they cannot be read.
    """
    from PIL import Image

    changes = Changes()
    try:
        unpacked = [resized(unpack(picture, changes), side, changes) for picture in pictures]
    except (*UNREADABLE, Image.DecompressionBombError) as error:
        raise UserError(f"{source}: has a picture that cannot be read ({error})") from None
    if len({picture.size for picture in unpacked}) > 1:
        remedy = "give --image_size to resize all" if source.startswith("--") else "resize all to one"
        raise UserError(f"{source}: has pictures of several sizes; {remedy}")
    return as_pixels(unpacked, changes)


def resized(picture: Any, side: int, changes: Changes) -> Any:
    """A picture at `side` x `side` pixels, or as it is if that is 0; counts `changes`."""
    from PIL import Image

    changes.stretched += bool(side) and picture.width != picture.height
    return picture.resize((side, side), Image.Resampling.LANCZOS) if side else picture


def refuse_large(path: pathlib.Path, pixels: int, file_bytes: int) -> None:
    """Raises `UserError` where pictures would unpack to far more than their files."""
    try:
        refuse_bomb(pixels, file_bytes)
    except ValueError as error:
        raise UserError(
            f"{path}: with the pictures before it, {error}; or give --image_size to make them smaller"
        ) from None


def refuse_other_size(path: pathlib.Path, size: tuple[int, int], first: pathlib.Path, wanted: tuple[int, int]) -> None:
    """Raises `UserError` for a picture of another size than that of the first."""
    if size != wanted:
        raise UserError(
            f"{path}: has {size[0]}x{size[1]} pixels, {first.name} {wanted[0]}x{wanted[1]}; give --image_size to "
            "resize all"
        )


def refuse_huge(path: pathlib.Path, size: tuple[int, int]) -> None:
    """Raises `UserError` for a picture of too many pixels."""
    if math.prod(size) > MOST_PIXELS:
        raise UserError(f"{path}: has {size[0]}x{size[1]} pixels, more than {MOST_PIXELS:,}; make it smaller")


def unpack(opened: Any, changes: Changes) -> Any:
    """An opened picture's first frame, upright and opaque, in mode ``L``, ``RGB`` or, for sixteen bits, ``F``.

    Palettes and single bits are resolved here, before anything is resized.

    Raises:
      ValueError: for numbers of more than sixteen bits.
    """
    from PIL import Image, ImageOps

    # Before it is loaded, as reading EXIF data may do: TIFF pictures are turned then.
    tiles = list(getattr(opened, "tile", ()))
    changes.cut += any(";16" in str(tile[3]) for tile in tiles) and not opened.mode.startswith("I")
    changes.turned += opened.getexif().get(ORIENTATION, 1) in range(2, 9)
    changes.frames += getattr(opened, "n_frames", 1) > 1
    opened.seek(0)
    opened.load()
    picture = ImageOps.exif_transpose(opened)
    if picture.mode.startswith(("I", "F")):
        values = np.asarray(picture)
        if values.dtype.kind == "f" or values.min() < 0 or values.max() > 0xFFFF:
            raise ValueError("it holds numbers of 32 bits; save 8 or 16 bits a channel")
        if getattr(opened, "tag_v2", {}).get(PHOTOMETRIC) == 0:
            values = 0xFFFF - values
        changes.largest = max(changes.largest, int(values.max()))
        return Image.fromarray(values.astype(np.float32))
    if picture.has_transparency_data:
        return on_background(picture, changes)
    return picture.convert("L" if picture.mode in ("1", "L") else "RGB")


def on_background(picture: Any, changes: Changes) -> Any:
    """A picture with an alpha channel or a transparent colour, laid on white."""
    from PIL import Image

    colours = picture.convert("RGBA")
    changes.transparent += colours.getchannel("A").getextrema()[0] < 255
    laid = Image.alpha_composite(Image.new("RGBA", colours.size, (*BACKGROUND, 255)), colours)
    return laid.convert("L" if picture.mode in ("1", "L", "LA", "La") else "RGB")


def as_bytes(picture: Any, depth: int, mode: str) -> np.ndarray:
    """A picture as uint8 ``[h, w]`` or ``[h, w, 3]``, by Pillow's `mode`; values of mode ``F`` have `depth` bits."""
    from PIL import Image

    if picture.mode == "F":
        # Resizing may overshoot.
        values = np.rint(np.asarray(picture) * (255 / (2**depth - 1))).clip(0, 255)
        picture = Image.fromarray(values.astype(np.uint8))
    return np.asarray(picture.convert(mode))


def resize(pixels: np.ndarray, side: int) -> np.ndarray:
    """A uint8 ``[h, w]`` or ``[h, w, d]`` image at `side` x `side` pixels."""
    from PIL import Image

    flat = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[-1] == 1 else pixels
    return np.asarray(Image.fromarray(flat).resize((side, side), Image.Resampling.LANCZOS))
