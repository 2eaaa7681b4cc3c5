"""The pictures of a data set, copied, linked or cut into a folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError, written_whole
from maskmill.dataset import Dataset, Reference, objects
from maskmill.dataset.tiles import Window
from maskmill.io._parse import read_pixels, safe_name

__all__ = ["write_picture", "write_pictures"]

Report = Callable[[int, int, str], None]


def write_pictures(
    dataset: Dataset, folder: Path, *, link: bool = False, report: Report | None = None
) -> Dataset:
    """Put the pictures that are there into a folder, under their file names.

    Whole files are copied byte by byte (or linked, where the file system can); tiles and embedded pictures become PNG,
    or TIFF if they are neither 8 nor 16 bits with 1, 3 or 4 channels. Pictures that are there already, with the same
    size and date, stay.

    Returns
    -------
    Dataset
        With references to the pictures in the folder, and the names that they have there.

    Raises
    ------
    FormatError
        If two pictures would have one name, or a name leads out of the folder.
    """
    names = dataset.images["file_name"].copy()
    pixels = dataset.images["pixels"].copy()
    taken: dict[str, int] = {}
    cut = _Cutter()
    for i, reference in enumerate(pixels.tolist()):
        if report:
            report(i, len(names), str(names[i]))
        if reference is None:
            continue
        name = str(safe_name(names[i] or f"{dataset.images['id'][i]}.png", f"images[{i}].file_name"))
        whole = reference.reader is read_pixels and not reference.field
        image = None if whole else cut(reference)
        if image is not None:
            name = str(Path(name).with_suffix(_suffix(image)))
        if taken.setdefault(name.lower(), i) != i:
            raise FormatError(f"images[{i}].file_name: expected names that differ, found {name!r} twice")
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if image is None:
            _copy(Path(reference.path), target, link)
        else:
            write_picture(target, image)
        names[i], pixels[i] = name, Reference(str(target), "", read_pixels)
    if report:
        report(len(names), len(names), "")
    return dataset.replace(
        images=dataset.images.with_columns(file_name=names, pixels=objects(pixels.tolist()))
    )


class _Cutter:
    """Reads references; of tiles of one picture, the picture once."""

    def __init__(self) -> None:
        self._source: Reference | None = None
        self._image: NDArray[Any] = np.empty((0, 0))

    def __call__(self, reference: Reference) -> NDArray[Any]:
        window = reference.reader
        if not isinstance(window, Window):
            return reference.read()
        if window.source != self._source:
            self._source, self._image = window.source, window.source.read()
        return window.cut(self._image)


def _suffix(image: NDArray[Any]) -> str:
    channels = image.shape[2] if image.ndim == 3 else 1
    return ".png" if image.dtype in (np.uint8, np.uint16) and channels in (1, 3, 4) else ".tif"


def write_picture(path: Path, image: NDArray[Any]) -> None:
    """A PNG or TIFF, by the suffix, whole or not at all."""
    if path.suffix == ".tif":
        from maskmill._files import need

        tifffile = need("tifffile", "em")
        with written_whole(path) as file:
            tifffile.imwrite(file, image, photometric="minisblack")
        return
    import cv2

    if image.ndim == 3 and image.shape[2] in (3, 4):
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR if image.shape[2] == 3 else cv2.COLOR_RGBA2BGRA)
    done, data = cv2.imencode(".png", image)
    if not done:
        raise ValueError(f"{path}: an image of {image.dtype} and shape {image.shape} cannot be a PNG")
    with written_whole(path) as file:
        file.write(data.tobytes())


def _copy(source: Path, target: Path, link: bool) -> None:
    if target.exists():
        if source.samefile(target):
            return
        a, b = source.stat(), target.stat()
        if (a.st_size, int(a.st_mtime)) == (b.st_size, int(b.st_mtime)):
            return
        target.unlink()
    if link:
        try:
            os.link(source, target)
            return
        except OSError:  # another file system, or one without links
            pass
    with written_whole(target) as file, open(source, "rb") as opened:
        shutil.copyfileobj(opened, file, 1 << 20)
    shutil.copystat(source, target)
