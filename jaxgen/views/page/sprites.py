"""Sprite sheets with small images of all examples, a hundred to a sheet, for pages with tens of thousands of them."""

import base64
import io
import math
from typing import NamedTuple

import numpy as np
from PIL import Image, features

# Columns and rows of a sheet. The page decodes a sheet when it first shows one of its images.
COLUMNS, ROWS = 10, 10
# Largest side of an image in pixels, and largest number of pixels of all images.
MOST_SIDE, MOST_PIXELS = 64, 128_000_000
# Largest number of raw bytes that are stored losslessly.
MOST_LOSSLESS = 12_000_000
QUALITY = 80


class Sprites(NamedTuple):
    """Images on sprite sheets.

    Attributes:
      sheets: image files in base64; image i is on sheet ``i // (COLUMNS * ROWS)``, in row-major order.
      kind: MIME type of the sheets.
      height, width: of an image in pixels.
      is_exact: whether all images are stored at full size and losslessly, with 8 bits a channel.
    """

    sheets: list[str]
    kind: str
    height: int
    width: int
    is_exact: bool


def make_sprites(images: np.ndarray, scale: float, order: np.ndarray) -> Sprites:
    """Sprite sheets of images, reduced in size if they are large; alpha is dropped.

    Args:
      images: ``[n, h, w, d]``; values times `scale` are in [0, 1].
      scale: factor of the values.
      order: indices of the images, in the order of the sheets.
    """
    count, (height, width) = max(1, len(order)), images.shape[1:3]
    side = max(1, min(MOST_SIDE, math.isqrt(MOST_PIXELS // count)))
    shrink = max(1.0, max(height, width) / side)
    height, width = max(1, round(height / shrink)), max(1, round(width / shrink))
    channels = 1 if images.shape[3] == 1 else 3
    lossless = count * height * width * channels <= MOST_LOSSLESS
    has_webp = features.check("webp")
    per_sheet = COLUMNS * ROWS
    sheets = [
        encode(draw_sheet(images[order[i : i + per_sheet]], scale, (width, height)), lossless, has_webp)
        for i in range(0, len(order), per_sheet)
    ]
    kind = "image/webp" if has_webp else "image/png" if lossless else "image/jpeg"
    return Sprites(sheets, kind, height, width, lossless and shrink == 1)


def draw_sheet(images: np.ndarray, scale: float, size: tuple[int, int]) -> np.ndarray:
    """A sheet of up to a hundred images, resized to `size` (width, height): uint8 ``[h, w]`` or ``[h, w, 3]``."""
    pictures = np.rint(np.clip(images.astype(np.float32) * np.float32(scale), 0, 1) * 255).astype(np.uint8)
    pictures = pictures[..., 0] if pictures.shape[3] == 1 else pictures[..., :3]
    if pictures.shape[1:3] != size[::-1]:
        pictures = np.stack(
            [np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX)) for picture in pictures]
        )
    columns = min(COLUMNS, len(pictures))
    rows = math.ceil(len(pictures) / columns)
    sheet = np.zeros((rows * columns, *pictures.shape[1:]), np.uint8)
    sheet[: len(pictures)] = pictures
    sheet = sheet.reshape(rows, columns, *pictures.shape[1:]).swapaxes(1, 2)
    return sheet.reshape(rows * pictures.shape[1], columns * pictures.shape[2], *pictures.shape[3:])


def encode(sheet: np.ndarray, lossless: bool, has_webp: bool) -> str:
    """A sheet as an image file in base64."""
    buffer = io.BytesIO()
    picture = Image.fromarray(sheet)
    if has_webp:
        quality = {"lossless": True, "quality": 50, "method": 2} if lossless else {"quality": QUALITY, "method": 4}
        picture.save(buffer, "WEBP", **quality)
    elif lossless:
        picture.save(buffer, "PNG", optimize=True)
    else:
        picture.save(buffer, "JPEG", quality=QUALITY)
    return base64.b64encode(buffer.getvalue()).decode()
