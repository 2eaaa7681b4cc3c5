"""Photos as files: read whole, or, where they are large, part by part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from maskmill._files import FormatError
from maskmill.io import doodler
from maskmill.io.images import IMAGE_SUFFIXES, read_image
from maskmill.io.volumes import Volume, open_volume

LARGE = 1 << 28
"""Bytes above which a TIFF is read part by part."""


class Picture:
    """An image of which only what is asked for is read: a TIFF, or an array of zarr, N5 or HDF5.

    Attributes
    ----------
    shape : (H, W) or (H, W, bands)
    dtype : numpy.dtype
    """

    def __init__(self, volume: Volume) -> None:
        if volume.shape[0] != 1:
            raise FormatError(f"{volume.source}: expected an image, found a stack of {volume.shape[0]}")
        self._volume = volume
        size = volume.shape[1:]
        self.shape: tuple[int, ...] = size if volume.channels == 1 else (*size, volume.channels)
        self.dtype = volume.dtype

    def __getitem__(self, index: tuple[slice, slice]) -> NDArray[Any]:
        """Rows and columns: picture[y0:y1, x0:x1]."""
        (y0, y1, _), (x0, x1, _) = (part.indices(n) for part, n in zip(index, self.shape[:2], strict=True))
        found = self._volume.read_channels((0, 1, y0, y1, x0, x1))[0]
        plane: NDArray[Any] = found[..., 0] if len(self.shape) == 2 else found
        return plane


def open_picture(path: str | Path, *, dataset: str | None = None) -> Any:
    """A photo: an array, or a `Picture` of what is large or lies in chunks.

    PNG, JPEG, BMP, WebP, TIFF, the picture in a result of Doodler (`.npz`), and whatever `maskmill.io.volumes` opens,
    if it has one plane. Alpha is left out, but for TIFFs, whose fourth band may be anything.

    Raises
    ------
    FormatError
        If it is none, or damaged.
    """
    file = Path(path)
    suffix = file.suffix.lower()
    tiff = suffix in (".tif", ".tiff")
    if suffix == ".npz":
        (found, *_) = doodler.read(file, trials="newest").images["pixels"]
        if found is None:
            raise FormatError(f"{file}: expected a result of Doodler with its picture, found none")
        return found.read()
    whole = suffix in IMAGE_SUFFIXES and not file.is_dir() and dataset is None
    if whole and not (tiff and file.stat().st_size > LARGE):
        image = read_image(file)
        return image if tiff or image.ndim == 2 or image.shape[2] != 4 else image[..., :3]
    return Picture(open_volume(file, dataset=dataset))
