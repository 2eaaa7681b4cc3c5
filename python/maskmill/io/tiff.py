"""TIFF stacks, OME-TIFF and ImageJ's (by tifffile). Voxels in one piece are read so; else strips or tiles are decoded.

LZW, JPEG and Zstandard need the package imagecodecs. Resolution without a unit of length (dots per inch) says nothing
about voxels, and counts as unknown.
"""

from __future__ import annotations

import logging
import math
import operator
import re
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError, need
from maskmill.io._raw import RawVoxels
from maskmill.io._spool import check_size, voxel_bytes
from maskmill.io._volume import Options, Volume

_SEGMENT = 1 << 31  # more bytes in one strip or tile are a damaged header, not a picture


def open_tiff(path: str, options: Options) -> Volume:
    with _faults(path):
        file = need("tifffile", "em").TiffFile(path)
    try:
        with _faults(path):
            return _open(path, file, options)
    except BaseException:
        file.close()
        raise


def _open(path: str, file: Any, options: Options) -> Volume:
    if not len(file.series):
        raise FormatError(f"{path}: expected images, found none")
    number = _series_number(path, file, options.dataset)
    full = file.series[number]
    if not 0 <= options.level < len(full.levels):
        raise ValueError(f"{path}: level must be 0 to {len(full.levels) - 1}, not {options.level}")
    series = full.levels[options.level]
    if series.dtype is None:
        raise FormatError(f"{path}: expected pixels of a known type, found none that tifffile knows")
    axes = _letters(series.axes)
    total = voxel_bytes(path, series.shape, series.dtype)
    offset = series.dataoffset
    if offset is not None:
        if operator.index(offset) < 0:
            raise FormatError(f"{path}: expected voxels behind the header, found them at byte {offset}")
        check_size(path, offset, total, f"{' x '.join(map(str, series.shape))} of {series.dtype}")
        order = file.byteorder
        array: Any = RawVoxels(path, series.dtype.newbyteorder(order), offset, series.shape)
        chunks = None
    else:
        array = _Pages(path, file, series)
        chunks = array.chunks
    spacing, unit = _spacing(file, number)
    if spacing is not None and options.level:
        ratio = dict(zip(axes, (a / b for a, b in zip(full.shape, series.shape, strict=False)), strict=False))
        spacing = [
            size * ratio.get(axis, 1.0) if size else size for axis, size in zip("zyx", spacing, strict=False)
        ]
    return Volume(
        path,
        "tiff",
        array,
        axes,
        spacing=spacing,
        unit=unit,
        chunks=chunks,
        channel=options.channel,
        close=file.close,
    )


def _series_number(path: str, file: Any, dataset: str | None) -> int:
    if dataset is None:
        return 0
    if not dataset.isdigit() or int(dataset) >= len(file.series):
        raise ValueError(
            f"{path}: dataset must be the number of a series, 0 to {len(file.series) - 1}, not {dataset!r}"
        )
    return int(dataset)


def _letters(axes: str) -> str:
    """tifffile's letters as ours: samples of a pixel are the channels, or else C is."""
    letters = axes.lower()
    if "s" in letters:
        return letters.replace("c", "k").replace("s", "c")
    return letters


class _Pages:
    """Pages of a series as one array; what is read is decoded strip by strip, or tile by tile."""

    def __init__(self, path: str, file: Any, series: Any) -> None:
        key = series.keyframe
        self._path, self._file, self._key = path, file, key
        self.shape, self.dtype = tuple(series.shape), series.dtype
        self._lead = self.shape[: len(self.shape) - len(key.shape)]
        self._pages = list(series.pages)
        if self.shape[len(self._lead) :] != tuple(key.shape) or key.axes not in ("YX", "YXS", "SYX"):
            raise FormatError(
                f"{path}: expected pages of y, x and samples, found {key.axes} in {series.axes}"
            )
        if math.prod(self._lead) != len(self._pages):
            raise FormatError(f"{path}: expected {math.prod(self._lead)} pages, found {len(self._pages)}")
        separate, depth, self._height, self._width, self._contiguous = key.shaped
        if depth != 1:
            raise FormatError(f"{path}: expected flat pages, found pages of depth {depth}")
        self._separate = separate
        self._rows = key.tilelength if key.is_tiled else min(max(key.rowsperstrip, 1), self._height)
        self._columns = key.tilewidth if key.is_tiled else self._width
        if min(self._rows, self._columns) < 1 or self._rows * self._columns * self.dtype.itemsize > _SEGMENT:
            raise FormatError(
                f"{path}: expected strips or tiles below 2 GiB, found {self._rows} x {self._columns}"
            )
        grain = {"Y": self._rows, "X": self._columns, "S": 1}
        self.chunks = [1] * len(self._lead) + [grain[axis] for axis in key.axes]

    def __getitem__(self, index: tuple[Any, ...]) -> NDArray[Any]:
        n = len(self._lead)
        numbers = np.arange(len(self._pages)).reshape(self._lead)[index[:n]]
        inner = dict(zip(self._key.axes, index[n:], strict=False))
        samples = inner.get("S", 0)
        parts = [self._page(int(page), inner["Y"], inner["X"], samples) for page in np.ravel(numbers)]
        block = np.stack(parts) if parts else np.empty((0,), self.dtype)
        return block.reshape(np.shape(numbers) + block.shape[1:])

    def _page(self, number: int, rows: slice, columns: slice, samples: Any) -> NDArray[Any]:
        """Rows and columns of a page, with its samples where the page has them."""
        y0, y1, x0, x1 = rows.start, rows.stop, columns.start, columns.stop
        planar = np.arange(self._separate)[samples] if self._key.axes == "SYX" else 0
        wanted = np.atleast_1d(planar).tolist()
        out = np.zeros((len(wanted), y1 - y0, x1 - x0, self._contiguous), self.dtype)
        page = self._pages[number]
        if page is not None:
            across, down = -(-self._width // self._columns), -(-self._height // self._rows)
            for k, plane in enumerate(wanted):
                for r in range(y0 // self._rows, -(-y1 // self._rows)):
                    for c in range(x0 // self._columns, -(-x1 // self._columns)):
                        segment = self._segment(page, number, (plane * down + r) * across + c)
                        if segment is not None:
                            _paste(out[k], segment, y0, x0, r * self._rows, c * self._columns)
        if self._key.axes == "YXS":
            picked: NDArray[Any] = out[0][..., samples]
            return picked
        return out[..., 0] if self._key.axes == "SYX" and np.ndim(planar) else out[0, ..., 0]

    def _segment(self, page: Any, number: int, index: int) -> NDArray[Any] | None:
        """A decoded strip or tile (rows, columns, samples); None where nothing was stored."""
        try:
            offset, count = map(operator.index, (page.dataoffsets[index], page.databytecounts[index]))
        except (IndexError, TypeError):
            raise FormatError(
                f"{self._path}: page {number}: expected strip or tile {index}, found none"
            ) from None
        if count == 0:
            return None
        if min(offset, count) < 0:
            raise FormatError(
                f"{self._path}: page {number}: expected {count} bytes at {offset}, which cannot be"
            )
        handle = page.parent.filehandle
        with self._file.filehandle.lock:
            handle.seek(offset)
            data = handle.read(count) if offset + count <= handle.size else b""
        if len(data) < count:
            raise FormatError(
                f"{self._path}: page {number}: expected {count} bytes at {offset}: it is cut short"
            )
        with _faults(self._path, f"page {number}: "):
            segment, _, shape = self._key.decode(data, index, jpegtables=page.jpegtables)
            if segment is None:
                return None
            part: NDArray[Any] = np.asarray(segment)[0][: shape[1], : shape[2]]
            if part.ndim != 3 or part.shape[2] != self._contiguous:
                found = (
                    f"page {number}: expected {self._contiguous} samples a pixel, found shape {part.shape}"
                )
                raise FormatError(f"{self._path}: {found}")
            return part


def _paste(out: NDArray[Any], part: NDArray[Any], y0: int, x0: int, top: int, left: int) -> None:
    """Copy of `part`, which lies at (top, left), what falls into `out`, which lies at (y0, x0)."""
    a, b = max(top, y0), min(top + part.shape[0], y0 + out.shape[0])
    c, d = max(left, x0), min(left + part.shape[1], x0 + out.shape[1])
    if a < b and c < d:
        out[a - y0 : b - y0, c - x0 : d - x0] = part[a - top : b - top, c - left : d - left]


@contextmanager
def _faults(path: str, where: str = "") -> Iterator[None]:
    """What tifffile raises, and what it only writes to its log, as FormatErrors."""

    class Errors(logging.Handler):
        def __init__(self) -> None:
            super().__init__(logging.WARNING)
            self.found: list[str] = []
            self.thread = threading.get_ident()

        def emit(self, record: logging.LogRecord) -> None:
            if record.thread == self.thread and record.levelno >= logging.ERROR:
                self.found.append(record.getMessage())

    log, errors = logging.getLogger("tifffile"), Errors()
    log.addHandler(errors)
    try:
        yield
    except (FormatError, MemoryError, ImportError):
        raise
    except OSError as error:
        if error.errno is not None:
            raise
        raise FormatError(f"{path}: {where}{error}") from None
    except Exception as error:  # tifffile and its decoders raise what they please on damaged files
        missing = "imagecodecs" in str(error)
        hint = "; run: pip install imagecodecs" if missing else ""
        what = where or "not a readable TIFF file: "
        raise FormatError(f"{path}: {what}{error or type(error).__name__}{hint}") from None
    finally:
        log.removeHandler(errors)
    if errors.found:
        raise FormatError(f"{path}: {where}damaged or cut short ({errors.found[0]})")


_NO_LENGTH = ("inch", "pixel", "pixels", "", "none", "null")


def _spacing(file: Any, series: int) -> tuple[list[float | None] | None, str | None]:
    """Voxel size along z, y, x and its unit, from OME-XML, or ImageJ's metadata, which tifffile writes, too."""
    if file.is_ome:
        return _ome_spacing(file.ome_metadata, series)
    meta = file.imagej_metadata if file.is_imagej else (file.shaped_metadata or [{}])[0]
    meta = meta or {}
    unit = _unit(str(meta.get("unit") or ""))
    if unit.lower() in _NO_LENGTH:
        return None, None
    page = file.pages.first
    x, y = (_per_unit(page, tag) for tag in ("XResolution", "YResolution"))
    return [_number(meta.get("spacing")), y, x], unit


def _unit(text: str) -> str:
    text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda m: chr(int(m[1], 16)), text).strip()
    return {"µm": "micrometer", "μm": "micrometer", "um": "micrometer", "micron": "micrometer"}.get(
        text, text
    )


def _per_unit(page: Any, name: str) -> float | None:
    tag = page.tags.get(name)
    if tag is None or not isinstance(tag.value, tuple) or len(tag.value) != 2 or not tag.value[0]:
        return None
    return float(tag.value[1]) / float(tag.value[0])


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _ome_spacing(text: str, series: int) -> tuple[list[float | None] | None, str | None]:
    try:
        pixels = [node for node in ET.fromstring(text).iter() if node.tag.rpartition("}")[2] == "Pixels"]
    except ET.ParseError:
        return None, None
    if series >= len(pixels):
        return None, None
    values = pixels[series].attrib
    sizes = [_number(values.get(f"PhysicalSize{axis}")) for axis in "ZYX"]
    units = {_unit(values.get(f"PhysicalSize{axis}Unit", "µm")) for axis in "ZYX"}
    if len(units) != 1 or units & set(_NO_LENGTH):
        return None, None  # of several units: nobody writes that on purpose
    return sizes, units.pop()
