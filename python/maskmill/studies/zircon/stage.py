"""Between the stage of the laser, in µm, and the pixels of a mosaic: the one transform that everything here uses."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill._check import floats
from maskmill._files import FormatError

_LARGEST = 1 << 20  # bytes of an .Align file, which has 244
_WIDEST = 8192  # pixels of a window; those of grains have some hundred


@dataclass(frozen=True)
class Alignment:
    """Where a mosaic lies on the stage: what an `.Align` file says.

    Attributes
    ----------
    center : (float, float)
        Of the mosaic, x and y in µm.
    size : (float, float)
        Width and height in µm.
    rotation : float
        Degrees.
    focus : float
        Height of the stage, NaN where it is not said.
    """

    center: tuple[float, float]
    size: tuple[float, float]
    rotation: float = 0.0
    focus: float = math.nan


def read_align(path: str | Path) -> Alignment:
    """Read an `.Align` file.

    Raises
    ------
    FormatError
        If it is no XML, or `Center`, `Size` or `Rotation` is missing or out of range. Nothing is made up: zeros in
        their place would divide by zero later.
    FileNotFoundError

    Examples
    --------
    >>> import tempfile
    >>> text = "<Rotation>5</Rotation><Center>10,20</Center><Size>400.5,300</Size>"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "m.Align"
    ...     _ = path.write_text(f"<MappedImage><Alignment>{text}</Alignment></MappedImage>")
    ...     read_align(path)
    Alignment(center=(10.0, 20.0), size=(400.5, 300.0), rotation=5.0, focus=nan)
    """
    path = Path(path)
    with open(path, "rb") as file:
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise FormatError(f"{path}: expected an .Align file of a few lines, found more than 1 MiB")
    if b"<!" in data.replace(b"\0", b"").replace(b"<!--", b""):  # also in UTF-16: entities can be bombs
        raise FormatError(f"{path}: expected plain XML, found a document type")
    try:
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise FormatError(f"{path}: expected XML, found none ({error})") from None
    if root.tag != "MappedImage":
        raise FormatError(f"{path}: expected <MappedImage>, found <{str(root.tag)[:80]}>")
    size = _pair(path, root, "Size")
    if not min(size) >= 1e-3:
        raise FormatError(f"{path}: MappedImage/Alignment/Size: expected two sizes above 0, found {size}")
    rotation = _number(path, "Rotation", _text(path, root, "Rotation"))
    focus = root.findtext("Alignment/Focus")
    return Alignment(
        center=_pair(path, root, "Center"),
        size=size,
        rotation=rotation,
        focus=_number(path, "Focus", focus) if focus and focus.strip() else math.nan,
    )


def _text(path: Path, root: ElementTree.Element, tag: str) -> str:
    text = root.findtext(f"Alignment/{tag}")
    if text is None or not text.strip():
        raise FormatError(f"{path}: MappedImage/Alignment/{tag}: expected a value, found none")
    return text


def _number(path: Path, tag: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= 1e9:
        raise FormatError(
            f"{path}: MappedImage/Alignment/{tag}: expected a finite number, found {text.strip()[:80]!r}"
        )
    return value


def _pair(path: Path, root: ElementTree.Element, tag: str) -> tuple[float, float]:
    text = _text(path, root, tag)
    parts = re.split(r"[,;]", text)
    if len(parts) != 2:
        raise FormatError(
            f"{path}: MappedImage/Alignment/{tag}: expected two numbers, found {text.strip()[:80]!r}"
        )
    return _number(path, tag, parts[0]), _number(path, tag, parts[1])


@dataclass(frozen=True)
class Transform:
    """From stage coordinates to places in a mosaic and back.

    A place is (x, y) in the plane of the picture, in pixels: pixel (row r, column c) covers [c, c + 1) x [r, r + 1).
    The stage's y grows downwards, as rows do. With a rotation, the stage is first turned about the mosaic's centre.

    Attributes
    ----------
    alignment : Alignment or None
        None: there is no `.Align` file, and what the scan list says are pixels of the mosaic already.
    columns, rows : int
        Size of the mosaic in pixels.
    offset : (float, float)
        X_offset and Y_offset of mosaic_info.csv: taken from the mosaic's corner, in µm.
    compat : bool
        One scale for both axes, their mean, as colab_zirc_dims takes it; pixels are then the same, bit for bit.

    Examples
    --------
    >>> mosaic = Transform(Alignment(center=(1000, 500), size=(200, 100)), columns=100, rows=100)
    >>> mosaic.sx, mosaic.sy
    (2.0, 1.0)
    >>> mosaic.to_pixels([[900, 450], [1000, 500]])
    array([[ 0,  0],
           [50, 50]])
    >>> mosaic.to_stage(mosaic.to_plane([[950, 475]]))
    array([[950., 475.]])
    """

    alignment: Alignment | None
    columns: int
    rows: int
    offset: tuple[float, float] = (0.0, 0.0)
    compat: bool = False

    def __post_init__(self) -> None:
        if not (self.columns >= 1 and self.rows >= 1):
            raise ValueError(f"columns and rows must be 1 or more, not {self.columns} and {self.rows}")

    @property
    def _scales(self) -> tuple[float, float]:
        if self.alignment is None:
            return 1.0, 1.0
        sx, sy = self.alignment.size[0] / self.columns, self.alignment.size[1] / self.rows
        return ((sx + sy) / 2, (sx + sy) / 2) if self.compat else (sx, sy)

    @property
    def sx(self) -> float:
        """Width of a pixel in µm; 1 pixel where there is no alignment."""
        return self._scales[0]

    @property
    def sy(self) -> float:
        """Height of a pixel in µm; 1 pixel where there is no alignment."""
        return self._scales[1]

    @property
    def unit(self) -> str:
        """Of the stage's coordinates."""
        return "µm" if self.alignment is not None else "pixel"

    @property
    def rotation(self) -> float:
        """Degrees."""
        return self.alignment.rotation if self.alignment is not None else 0.0

    @property
    def origin(self) -> tuple[float, float]:
        """Where the corner of pixel (0, 0) lies on the stage, before the rotation."""
        if self.alignment is None:
            return self.offset[0] * -1.0 + 0.0, self.offset[1] * -1.0 + 0.0
        (cx, cy), (w, h) = self.alignment.center, self.alignment.size
        return cx - w / 2 - self.offset[0], cy - h / 2 - self.offset[1]

    def to_plane(self, stage: ArrayLike) -> NDArray[np.float64]:
        """(N, 2) stage coordinates to places in the picture."""
        turned = self._turned(floats(stage, 2, "stage"), 1.0)
        plane: NDArray[np.float64] = (turned - np.array(self.origin)) / np.array(self._scales)
        return plane

    def to_pixels(self, stage: ArrayLike) -> NDArray[np.int64]:
        """(N, 2) stage coordinates to columns and rows: places, rounded half to even as colab_zirc_dims does it."""
        return np.rint(self.to_plane(stage)).clip(-(2**53), 2**53).astype(np.int64)

    def to_stage(self, plane: ArrayLike) -> NDArray[np.float64]:
        """(N, 2) places in the picture to stage coordinates: the inverse of `to_plane`."""
        places = floats(plane, 2, "plane")
        return self._turned(places * np.array(self._scales) + np.array(self.origin), -1.0)

    def inside(self, stage: ArrayLike) -> NDArray[np.bool_]:
        """(N,) whether the pixels of stage coordinates are in the mosaic."""
        pixels = self.to_pixels(stage)
        within = (pixels >= 0) & (pixels < (self.columns, self.rows))
        return within[:, 0] & within[:, 1]

    def matrix(self) -> NDArray[np.float64]:
        """(2, 3) world transform: stage = matrix @ (x, y, 1) of a place in the picture."""
        origin, right, down = self.to_stage([[0, 0], [1, 0], [0, 1]])
        return np.column_stack([right - origin, down - origin, origin])

    def window(self, field: float) -> tuple[int, int]:
        """Columns and rows of a window of so many µm, both even: 2 round(field / s / 2), as colab_zirc_dims has it."""
        if not 0 < field < math.inf:
            raise ValueError(f"field must be more than 0, not {field:g}")
        columns, rows = 2 * round(field / self.sx / 2), 2 * round(field / self.sy / 2)
        if not columns * rows:
            raise ValueError(f"field must be two pixels or more ({2 * max(self._scales):g}), not {field:g}")
        if max(columns, rows) > _WIDEST:
            raise ValueError(
                f"field must be at most {_WIDEST} pixels ({_WIDEST * min(self._scales):g}), not {field:g}"
            )
        return columns, rows

    def as_dict(self) -> dict[str, Any]:
        """What a sidecar says of it."""
        return {
            "unit": self.unit,
            "sx": self.sx,
            "sy": self.sy,
            "rotation": self.rotation,
            "origin": list(self.origin),
            "center": list(self.alignment.center) if self.alignment else None,
            "offset": list(self.offset),
            "compat": self.compat,
        }

    def _turned(self, xy: NDArray[np.float64], sign: float) -> NDArray[np.float64]:
        if self.alignment is None or self.rotation == 0:
            return xy
        angle = math.radians(self.rotation)
        cos, sin = math.cos(angle), math.sin(angle) * sign
        cx, cy = self.alignment.center
        dx, dy = xy[:, 0] - cx, xy[:, 1] - cy
        return np.column_stack([dx * cos + dy * sin + cx, -dx * sin + dy * cos + cy])
