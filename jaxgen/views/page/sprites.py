"""Small pictures of all examples, a hundred to a sheet, so that a page can hold tens of thousands of them."""

import base64
import io
import math
from typing import NamedTuple

import numpy as np
from PIL import Image, features

# Pictures in a row of a sheet, and rows. A page decodes a sheet when it first shows one of its pictures.
COLUMNS, ROWS = 10, 10
# Pixels a side at most of each picture; and of all pictures together.
MOST_SIDE, MOST_PIXELS = 64, 128_000_000
# So many bytes of raw pictures are kept to the last bit; more are compressed with loss.
MOST_LOSSLESS = 12_000_000
QUALITY = 80


class Sprites(NamedTuple):
    """Pictures on sheets.

    Attributes:
      sheets: image files in base64; picture p is on sheet ``p // (COLUMNS * ROWS)``, row by row.
      kind: their MIME type.
      height, width: of a picture in pixels.
      is_exact: whether every picture is the image itself, pixel by pixel, in 8 bits a channel.
    """

    sheets: list[str]
    kind: str
    height: int
    width: int
    is_exact: bool


def make_sprites(images: np.ndarray, scale: float, order: np.ndarray) -> Sprites:
    """The pictures of images ``[n, h, w, d]``, of which a value times `scale` is in [0, 1], in this order.

    Large images are made smaller; transparency is left out.
    """
    count, (height, width) = max(1, len(order)), images.shape[1:3]
    side = max(1, min(MOST_SIDE, math.isqrt(MOST_PIXELS // count)))
    shrink = max(1.0, max(height, width) / side)
    height, width = max(1, round(height / shrink)), max(1, round(width / shrink))
    channels = 1 if images.shape[3] == 1 else 3
    lossless = count * height * width * channels <= MOST_LOSSLESS
    has_webp = features.check("webp")
    each = COLUMNS * ROWS
    sheets = [
        encode(draw_sheet(images[order[i : i + each]], scale, (width, height)), lossless, has_webp)
        for i in range(0, len(order), each)
    ]
    kind = "image/webp" if has_webp else "image/png" if lossless else "image/jpeg"
    return Sprites(sheets, kind, height, width, lossless and shrink == 1)


def draw_sheet(images: np.ndarray, scale: float, size: tuple[int, int]) -> np.ndarray:
    """Up to a hundred images side by side: uint8 ``[h, w]`` or ``[h, w, 3]``."""
    pictures = np.rint(np.clip(images.astype(np.float32) * np.float32(scale), 0, 1) * 255).astype(np.uint8)
    pictures = pictures[..., 0] if pictures.shape[3] == 1 else pictures[..., :3]
    if pictures.shape[1:3] != size[::-1]:
        pictures = np.stack([np.asarray(Image.fromarray(one).resize(size, Image.Resampling.BOX)) for one in pictures])
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
