"""Single images: PNG, JPEG, BMP and whatever else OpenCV decodes, and TIFF by tifffile. Damaged ones are an error."""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError
from maskmill.io._volume import Options, Volume

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".pgm", ".ppm", ".webp")

_PNG = b"\x89PNG\r\n\x1a\n"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_image(path: str | Path) -> NDArray[Any]:
    """An image as it is stored: (H, W), or (H, W, C) with red first; 8 or 16 bits, or floats.

    Raises
    ------
    FormatError
        If it is no image, or damaged or cut short: of such, decoders make up the rest in gray.
    FileNotFoundError
        If there is no such file.
    """
    path = os.fspath(path)
    with open(path, "rb") as file:
        head = file.read(4)
    if head in _TIFF:
        return _read_tiff(path)
    return _decode(path)


def open_image(path: str, options: Options) -> Volume:
    image = read_image(path)
    return Volume(path, "image", image, "yxc"[: image.ndim], channel=options.channel)


def _decode(path: str) -> NDArray[Any]:
    with open(path, "rb") as file:
        return decode_image(file.read(), path)


def decode_image(data: bytes, path: str) -> NDArray[Any]:
    """An image in memory, as `read_image` gives it; `path` is what errors call it."""
    import cv2

    if data.startswith(_PNG):
        _check_png(path, data)
    elif data.startswith(b"\xff\xd8\xff") and b"\xff\xd9" not in data[-(1 << 16) :]:
        raise FormatError(f"{path}: expected the end mark of a JPEG, found none: it is cut short")
    elif data.startswith(b"BM") and len(data) < int.from_bytes(data[2:6], "little"):
        raise FormatError(
            f"{path}: expected {int.from_bytes(data[2:6], 'little')} bytes, found {len(data)}: cut short"
        )
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    except (cv2.error, MemoryError) as error:
        raise FormatError(f"{path}: the image cannot be decoded ({str(error).strip()})") from None
    if image is None or image.size == 0:
        raise FormatError(f"{path}: expected an image, found a file that begins with {data[:8]!r}")
    if image.ndim == 3 and image.shape[2] in (3, 4):
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB if image.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)
    return np.asarray(image)


def _check_png(path: str, data: bytes) -> None:
    """Every chunk is there, and has the sum that it says."""
    at = len(_PNG)
    while at + 12 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 12 + size
        if end > len(data):
            break
        if zlib.crc32(memoryview(data)[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise FormatError(f"{path}: the chunk {kind!r} at byte {at} is damaged")
        if kind == b"IEND":
            return
        at = end
    raise FormatError(f"{path}: expected the chunk IEND at the end of a PNG, found none: it is cut short")


def _read_tiff(path: str) -> NDArray[Any]:
    from maskmill.io.tiff import open_tiff

    with open_tiff(path, Options()) as volume:
        if volume.shape[0] != 1:
            raise FormatError(f"{path}: expected an image, found a stack of {volume.shape[0]}")
        channels = volume.channels
        if channels == 1:
            plane: NDArray[Any] = volume.read()[0]
            return plane
    planes = []
    for channel in range(channels):
        with open_tiff(path, Options(channel=channel)) as volume:
            planes.append(volume.read()[0])
    return np.stack(planes, axis=-1)
