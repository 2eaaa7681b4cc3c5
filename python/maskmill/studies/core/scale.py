"""Where a picture of a core lies in the full photo, how large its pixels are, how deep its rows."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Scale:
    """mm per pixel of a photo of a core, and the depth of its upper edge.

    The scale belongs to the full photo, whose rows span the length that was laid upon the scanner. A picture that is
    cut out keeps it, and says where it begins: dividing the full length by the rows of a crop is the mistake that made
    the lengths of the original 4.1 % too large.

    Attributes
    ----------
    mm : float
        mm per pixel.
    columns : int
        Width of the full photo in pixels: its middle is the axis of the core.
    top : float
        Depth of the upper edge of the full photo in m.
    row, column : int
        Where the picture begins in the full photo.

    Examples
    --------
    >>> from maskmill.studies.core import Scale
    >>> scale = Scale.of(610, (2693, 396), top=698.41)
    >>> round(scale.mm, 8), scale.depth(2693).round(2).item()
    (0.22651318, 699.02)
    >>> crop = scale.crop(row=1000, column=20)
    >>> crop.mm == scale.mm, bool(crop.depth(0) == scale.depth(1000)), crop.from_axis(178).item()
    (True, True, 0.0)
    """

    mm: float
    columns: int
    top: float = 0.0
    row: int = 0
    column: int = 0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mm) and self.mm > 0):
            raise ValueError(f"the size of a pixel must be above 0 mm, not {self.mm}")
        if self.columns < 1:
            raise ValueError(f"columns must be 1 or more, not {self.columns}")
        if not math.isfinite(self.top):
            raise ValueError(f"top must be a depth in m, not {self.top}")

    @classmethod
    def of(cls, length_mm: float, size: tuple[int, int], *, top: float = 0.0) -> Scale:
        """Of a full photo of (rows, columns) that shows a core of this length."""
        if not (math.isfinite(length_mm) and length_mm > 0):
            raise ValueError(f"length_mm must be above 0, not {length_mm}")
        return cls(length_mm / size[0], size[1], top)

    def crop(self, row: int = 0, column: int = 0) -> Scale:
        """Of a picture that is cut out of this one at a row and column."""
        return replace(self, row=self.row + row, column=self.column + column)

    def depth(self, y: ArrayLike) -> Any:
        """Depth in m of places in the picture: pixel r covers r to r + 1."""
        return self.top + (np.asarray(y, np.float64) + self.row) * self.mm / 1000

    def from_axis(self, x: ArrayLike) -> Any:
        """Distance from the axis of the core in mm, of places in the picture: pixel c covers c to c + 1."""
        return np.abs(np.asarray(x, np.float64) + self.column - self.columns / 2) * self.mm
