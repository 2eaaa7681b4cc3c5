"""Label images as GeoTIFF: where they lie is told by the record tables of Coast Train, if one can believe them."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import need
from maskmill.studies.coast.records import read_records

_TOLERANCE = 0.05
"""By this share, sizes of pixels may differ from the square and from what the table says."""


@dataclass(frozen=True)
class Place:
    """Where a picture lies, as its row of a record table says.

    Attributes
    ----------
    epsg : int
        Number of the coordinate system.
    west, east, south, north : float
        Outer edges of the picture, in its units.
    pixel : float
        Size of a pixel in metres that the table states; NaN if it does not.
    """

    epsg: int
    west: float
    east: float
    south: float
    north: float
    pixel: float

    def doubts(self, height: int, width: int) -> str:
        """Why the place may be wrong; empty if nothing speaks against it.

        >>> Place(26911, 0, 80, 0, 60, 10).doubts(6, 8)
        ''
        >>> Place(26911, 0, 80, 0, 60, 10).doubts(12, 8)
        'pixels are 10 wide and 5 high'
        """
        across, down = (self.east - self.west) / width, (self.north - self.south) / height
        if abs(across / down - 1) > _TOLERANCE:
            return f"pixels are {across:g} wide and {down:g} high"
        if self.projected and abs(across / self.pixel - 1) > _TOLERANCE:
            return f"pixels are {across:g} wide, and the table says {self.pixel:g}"
        return ""

    @property
    def projected(self) -> bool:
        """In metres, not in degrees: EPSG's geographic systems are those of 4000 to 4999."""
        return not 4000 <= self.epsg < 5000


def read_places(records: str | Path) -> dict[str, Place]:
    """Places by the names of results (without folder and suffix), of rows that have an extent and an EPSG number.

    Raises
    ------
    FormatError
        If a table is not what it should be.
    """
    found = {}
    for row in read_records(records):
        numbers = [float(row[key]) for key in ("epsg", "XMin", "XMax", "YMin", "YMax")]
        epsg, west, east, south, north = numbers
        if all(map(math.isfinite, numbers)) and west < east and south < north and 1024 <= epsg <= 32766:
            name = Path(row["annotation_image_filename"].replace("\\", "/")).stem
            found[name] = Place(int(epsg), west, east, south, north, float(row["px_size_m"]))
    return found


def geotiff(values: NDArray[np.uint8], colours: NDArray[np.uint8], place: Place) -> bytes:
    """A TIFF of (H, W) values with 256 colours, and GeoTIFF's tags for its place.

    References
    ----------
    OGC 19-008r4, GeoTIFF 1.1: ModelPixelScale, ModelTiepoint (of the outer corner of the first pixel), GeoKeyDirectory.
    """
    height, width = values.shape
    scale = (place.east - place.west) / width, (place.north - place.south) / height, 0.0
    tie = (0.0, 0.0, 0.0, place.west, place.north, 0.0)
    keys = [
        (1024, 1 if place.projected else 2),  # GTModelType
        (1025, 1),  # GTRasterType: pixels are areas
        (3072 if place.projected else 2048, place.epsg),
    ]
    directory = [1, 1, 0, len(keys), *(n for key, value in keys for n in (key, 0, 1, value))]
    tags: Sequence[tuple[Any, ...]] = (
        (33550, 12, 3, scale, True),
        (33922, 12, 6, tie, True),
        (34735, 3, len(directory), directory, True),
    )
    file = io.BytesIO()
    need("tifffile", "coast").imwrite(
        file,
        values,
        photometric="palette",
        colormap=colours.T.astype(np.uint16) * 257,
        compression="zlib",
        extratags=tags,
        metadata=None,
    )
    return file.getvalue()
