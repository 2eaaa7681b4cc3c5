"""Label images as PNG: whatever bits they have, pixels are numbers."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError, written_whole

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GRAY, _PALETTE = 0, 3


def read_labels(path: Path) -> NDArray[Any]:
    """The numbers of a label image, (H, W): gray of 8 or 16 bits; indices of a palette; red + 256 green + 65536 blue.

    Raises
    ------
    FormatError
        If it is no image, or damaged.
    """
    from maskmill.io.images import read_image

    head = path.open("rb").read(26)
    if head.startswith(_SIGNATURE) and len(head) == 26 and head[25] == _PALETTE:
        return _indices(path, head[24])
    image = read_image(path)
    if image.dtype.kind not in "ui":
        raise FormatError(f"{path}: expected a label image of integers, found {image.dtype}")
    if image.ndim == 2:
        return image
    if image.dtype != np.uint8 or image.shape[2] < 3:
        raise FormatError(
            f"{path}: expected gray, a palette or 8-bit RGB, found {image.shape[2]} x {image.dtype}"
        )
    rgb = image[..., :3].astype(np.int32)
    if np.array_equal(rgb[..., 0], rgb[..., 1]) and np.array_equal(rgb[..., 0], rgb[..., 2]):
        gray: NDArray[Any] = rgb[..., 0]  # a gray picture that was saved as RGB
        return gray
    numbers: NDArray[Any] = rgb[..., 0] + 256 * rgb[..., 1] + 65536 * rgb[..., 2]
    return numbers


def _indices(path: Path, bits: int) -> NDArray[Any]:
    """Palette indices: decoders give colours, unless they are told that the picture is gray."""
    import cv2

    from maskmill.io.images import read_image

    read_image(path)  # complains of damage
    data, out, at = path.read_bytes(), [_SIGNATURE], len(_SIGNATURE)
    while at + 12 <= len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + size]
        if kind == b"IHDR":
            body = body[:9] + bytes([_GRAY]) + body[10:]
        if kind in (b"IHDR", b"IDAT", b"IEND"):
            out.append(_chunk(kind, body))
        at += 12 + size
    image = cv2.imdecode(np.frombuffer(b"".join(out), np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise FormatError(f"{path}: the palette image cannot be decoded")
    # Gray of few bits is spread over 0 to 255.
    return np.asarray(image) // (255 // ((1 << bits) - 1))


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def write_labels(path: Path, labels: NDArray[Any], *, palette: bool = False) -> None:
    """Write numbers as PNG: 8 bits, or 16 above 255; with `palette`, 8-bit indices that look like `colours`."""
    height, width = labels.shape
    deep = int(labels.max(initial=0)) > 255
    if deep and int(labels.max()) > 65535:
        raise ValueError(f"{path}: numbers must be at most 65535, not {labels.max()}")
    if deep and palette:
        raise ValueError(f"{path}: with a palette, numbers must be at most 255, not {labels.max()}")
    rows = np.ascontiguousarray(labels, ">u2" if deep else np.uint8).view(np.uint8).reshape(height, -1)
    body = np.zeros((height, 1 + rows.shape[1]), np.uint8)  # each row begins with its filter: none
    body[:, 1:] = rows
    header = struct.pack(
        ">IIBBBBB", width, height, 16 if deep else 8, _PALETTE if palette else _GRAY, 0, 0, 0
    )
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(body.tobytes(), 4)), (b"IEND", b"")]
    if palette:
        chunks.insert(1, (b"PLTE", colours().tobytes()))
    with written_whole(path) as file:
        file.write(_SIGNATURE + b"".join(_chunk(kind, part) for kind, part in chunks))


def colours() -> NDArray[np.uint8]:
    """(256, 3) colours of numbers, black for 0: those of the PASCAL VOC label images."""
    number = np.arange(256)
    table = np.zeros((256, 3), np.int64)
    for bit in range(8):
        for channel in range(3):
            table[:, channel] |= ((number >> (3 * bit + channel)) & 1) << (7 - bit)
    return table.astype(np.uint8)
