"""Turns the bytes of one image file into RGB pixels, and says what is wrong with damaged ones.

JPEG, PNG, WebP, BMP and GIF (its first frame) are read. EXIF orientation is applied; CMYK becomes RGB; 16 bits keep their upper 8;
palettes are looked up; what is transparent lies on white. OpenCV fills the missing part of a truncated JPEG with grey and says nothing,
so the file's own end is looked at first."""

from __future__ import annotations

import io
import struct
import zlib
from typing import NamedTuple

import numpy as np

from datasets._files import ImageError

MAX_PIXELS = 100_000_000  # a small file can claim a picture that fills the memory
_PNG = b"\x89PNG\r\n\x1a\n"
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "WEBP")  # Pillow's other readers are never tried: fewer to trust
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})  # JPEG markers that start a frame

_BROKEN = (OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, struct.error, Warning)  # Pillow's many ways


class _Header(NamedTuple):
    width: int
    height: int
    plain: bool  # OpenCV reads it as we want it


def decode(data: bytes, path: str) -> np.ndarray:
    """uint8 (H, W, 3) RGB, upright. path only names the image in messages. Raises ImageError."""
    import cv2

    if not data:
        raise ImageError(f"{path} is empty (0 bytes); fetch it again")
    header = _header(data, path)
    if header.width * header.height > MAX_PIXELS:
        raise ImageError(f"{path} claims {header.width} x {header.height} pixels, more than the {MAX_PIXELS} allowed; shrink it")
    if min(header.width, header.height) < 1:
        raise ImageError(f"{path} claims {header.width} x {header.height} pixels; fetch it again")
    if not header.plain:
        return _load_with_pillow(data, path)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        image = None
    if image is None:
        raise ImageError(f"{path} cannot be decoded; fetch it again")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)


def crop_and_resize(image: np.ndarray, box: np.ndarray | None, size: int) -> np.ndarray:
    """uint8 (size, size, 3). The box (half-open x1, y1, x2, y2) is clipped to the image; an empty one means the whole image.
    Width and height are squashed separately; averaged over areas where both shrink, else linear."""
    import cv2

    if box is not None:
        image = crop(image, box)
    shrinks = image.shape[0] >= size and image.shape[1] >= size
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def part_seen(image: np.ndarray, box: np.ndarray | None) -> tuple[int, int, int, int]:
    """The half-open x1, y1, x2, y2 that a box cuts out of an image (H, W, 3), clipped to it; no box, or an empty one, means all of it."""
    height, width = image.shape[:2]
    if box is not None:
        x1, x2 = (min(max(int(x), 0), width) for x in box[::2])
        y1, y2 = (min(max(int(y), 0), height) for y in box[1::2])
        if x1 < x2 and y1 < y2:
            return x1, y1, x2, y2
    return 0, 0, width, height


def crop(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The part of an image (H, W, 3) that part_seen tells."""
    x1, y1, x2, y2 = part_seen(image, box)
    return image[y1:y2, x1:x2]


def _header(data: bytes, path: str) -> _Header:
    if data[:2] == b"\xff\xd8":
        return _jpeg_header(data, path)
    if data[:8] == _PNG:
        return _png_header(data, path)
    if data[:2] == b"BM" or data[:6] in (b"GIF87a", b"GIF89a") or (data[:4] == b"RIFF" and data[8:12] == b"WEBP"):
        return _pillow_header(data, path)
    raise ImageError(f"{path} is no JPEG, PNG, WebP, BMP or GIF image (it starts with {data[:8]!r})")


def _jpeg_header(data: bytes, path: str) -> _Header:
    """Walks the segments to the frame and on to the scan; the end marker must follow that."""
    position, frame = 2, None
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        if marker in _FRAMES and position + 10 <= len(data):
            height, width = (int.from_bytes(data[position + i : position + i + 2], "big") for i in (5, 7))
            frame = _Header(width, height, data[position + 4] == 8 and data[position + 9] in (1, 3))
        position += 2 + length
        if marker == 0xDA:
            break
    end = data.rfind(b"\xff\xd9", position)
    if frame is None or end < 0:
        raise ImageError(f"{path} is truncated: a JPEG without its end marker; fetch it again")
    if len(data.rstrip(b"\0")) > end + 2:  # something follows the end marker, so it may not be the picture's own
        _load_with_pillow(data, path)
    return frame


def _png_header(data: bytes, path: str) -> _Header:
    """Checks every chunk's sum; transparency goes the careful way."""
    position, transparent, ended = 8, False, False
    while position + 12 <= len(data) and not ended:
        length, kind = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        end = position + 8 + length
        if end + 4 > len(data):
            break
        if zlib.crc32(data[position + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            raise ImageError(f"{path} is damaged: PNG chunk {kind!r} does not match its checksum; fetch it again")
        transparent |= kind == b"tRNS"
        ended, position = kind == b"IEND", end + 4
    if not ended:
        raise ImageError(f"{path} is truncated: a PNG without its end; fetch it again")
    width, height = (int.from_bytes(data[i : i + 4], "big") for i in (16, 20))
    bits, colours = data[24], data[25]
    return _Header(width, height, colours not in (4, 6) and not (transparent and bits < 16))


def _pillow_header(data: bytes, path: str) -> _Header:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            return _Header(*image.size, plain=False)
    except (*_BROKEN, Image.DecompressionBombError) as failed:
        raise ImageError(f"{path} cannot be decoded: {failed}; fetch it again") from None


def _load_with_pillow(data: bytes, path: str) -> np.ndarray:
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            upright = ImageOps.exif_transpose(image).convert("RGBA")
    except (*_BROKEN, Image.DecompressionBombError) as failed:
        raise ImageError(f"{path} cannot be decoded: {failed}; fetch it again") from None
    white = Image.new("RGBA", upright.size, "white")
    return np.asarray(Image.alpha_composite(white, upright).convert("RGB"))
