"""What formats of label images share: files of numbers, as gray values, indices of a palette or coded as colours."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError, need
from maskmill._jobs import cpu_count
from maskmill.dataset import Dataset, Reference
from maskmill.dataset.sizes import image_size
from maskmill.io._palette import read_indexed
from maskmill.io._parse import Images, stem
from maskmill.io.images import read_image

__all__ = ["Pictures", "colour_code", "in_threads", "no_others", "paint", "read_values", "write_values"]

LARGEST = (1 << 24) - 1
"""The largest number that a colour can code."""
MOST_PIXELS = 1 << 29
"""Of one file: what is larger may be a few bytes that unpack to all of the memory."""

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def colour_code(image: NDArray[Any]) -> NDArray[np.uint32]:
    """Numbers that are coded as colours, (H, W): red + 256 green + 65536 blue, as in COCO's panoptic PNGs."""
    code: NDArray[np.uint32] = image[..., 0].astype(np.uint32)
    for k in (1, 2):
        code |= image[..., k].astype(np.uint32) << np.uint32(8 * k)
    return code


def read_values(path: str | Path, field: str = "") -> NDArray[Any]:
    """The numbers of the pixels, (H, W), of any integer type: gray values, indices of a palette, or colours' codes.

    Raises
    ------
    FormatError
        If it is no image, damaged, has other pixels, or more of them than `MOST_PIXELS`.
    """
    h, w = image_size(path)
    if h * w > MOST_PIXELS:
        raise FormatError(f"{path}: expected an image of at most {MOST_PIXELS} pixels, found {h} x {w}")
    with open(path, "rb") as file:
        head = file.read(33)
    is_gray_png = head.startswith(b"\x89PNG") and len(head) == 33 and head[25] in (0, 3)
    image: NDArray[Any] = read_indexed(path) if is_gray_png else read_image(path)
    if is_gray_png and head[25] == 0 and head[24] < 8:  # decoders stretch few bits to eight
        image = image // np.uint8(255 // (2 ** head[24] - 1))
    if image.ndim == 3 and image.shape[2] in (3, 4) and image.dtype == np.uint8:
        return colour_code(image)
    if image.ndim != 2 or image.dtype.kind not in "bui":
        raise FormatError(
            f"{path}: expected one whole number per pixel, or colours of 8 bits, found {image.dtype} {image.shape}"
        )
    return image.astype(np.uint8) if image.dtype == bool else image


def write_values(file: IO[bytes], numbers: NDArray[Any], suffix: str) -> None:
    """Write (H, W) uint8, uint16 or uint32: as PNG, where 32 bits become colours, or as TIFF, packed without loss."""
    if suffix in (".tif", ".tiff"):
        packed = io.BytesIO()
        need("tifffile", "em").imwrite(packed, numbers, compression="zlib", photometric="minisblack")
        file.write(packed.getvalue())
        return
    import cv2

    if numbers.dtype == np.uint32:
        if int(numbers.max(initial=0)) > LARGEST:
            raise ValueError(f"numbers must be at most {LARGEST} in a PNG, not {int(numbers.max())}")
        numbers = np.stack([numbers >> np.uint32(shift) for shift in (16, 8, 0)], 2).astype(np.uint8)
    _, data = cv2.imencode(".png", np.ascontiguousarray(numbers))
    file.write(data.tobytes())


def paint(
    dataset: Dataset, i: int, rows: NDArray[np.int64], values: NDArray[np.int64], overlap: str = "later"
) -> NDArray[np.int64]:
    """The value of each pixel of image i, (H, W), 0 where there is none.

    Where instances overlap the later one is seen, or the earlier one.
    """
    if overlap not in ("later", "earlier"):
        raise ValueError(f"overlap must be 'later' or 'earlier', not {overlap!r}")
    h, w = int(dataset.images["height"][i]), int(dataset.images["width"][i])
    if not h or not w:
        name = dataset.images["file_name"][i]
        raise ValueError(f"image {name!r}: its size is not known; give the folder of the images")
    out = np.zeros((h, w), np.int64)
    if overlap == "earlier":
        rows, values = rows[::-1], values[::-1]
    if len(rows):
        dataset.masks[rows].labels(values, out=out)
    return out


def in_threads(function: Callable[[_In], _Out], items: Iterable[_In]) -> Iterator[_Out]:
    """What the function makes of each, in order; images are decoded by several threads at once."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(cpu_count()) as pool:
        yield from pool.map(function, items)


def no_others(there: Iterable[Path], mine: Iterable[Path]) -> None:
    """Refuse a folder that holds what would be read back as if it had been written now."""
    others = set(there) - set(mine)
    if others:
        raise FileExistsError(
            17, "the folder must hold nothing of the kind yet, but there is", str(min(others))
        )


class Pictures:
    """Pictures that have the names of annotations but for the suffix.

    Parameters
    ----------
    folder : Path, optional
        Where to look, in all of its folders.
    """

    def __init__(self, folder: Path | None) -> None:
        self._images = Images(folder)
        self._by_stem: dict[str, str] = {}
        if folder is not None:
            for file in sorted(folder.rglob("*")):
                if stem(file.name) != file.name:
                    name = file.relative_to(folder).as_posix()
                    self._by_stem.setdefault(stem(name), name)

    def name(self, given: str) -> str:
        """The picture's name, the given one if there is none."""
        return self._by_stem.get(stem(given), given)

    def reference(self, name: str) -> Reference | None:
        """Where the picture is, None if it is not there."""
        return self._images.reference(name)
