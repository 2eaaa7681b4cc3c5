"""ImageJ's .roi: one region in bytes, as ij.io.RoiDecoder and RoiEncoder (ImageJ 1.53) have it.

All numbers are big-endian. A header of 64 bytes, coordinates, a second header of 64 bytes, texts in UTF-16. Whole
numbers are relative to the region's upper left corner, floats (for vertices between pixels) are not.

Of areas, the vertex (x, y) is the upper left corner of pixel (x, y), as here. Of lines and points it is the middle of
that pixel: half a pixel is added when they are read.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError
from maskmill.io._parse import wrong

__all__ = ["Roi", "decode", "encode"]

POLYGON, RECT, OVAL, LINE, FREELINE, POLYLINE, NONE, FREEHAND, TRACED, ANGLE, POINT = range(11)
TEXT, ARROW, ELLIPSE, IMAGE, ROTATED_RECT = range(1, 6)
SUBPIXEL = 128
VERSION = 228
LEAST = -5000
"""Smallest whole coordinate; what is below stands for one above 32767."""

LINES = (FREELINE, POLYLINE, ANGLE, POINT)
_HEADER = ">4sHBxhhhhH16sHi4s4sHH4sii"
_HEADER2 = ">iiiiii4shBBifiii"
_MOVE, _LINE, _QUAD, _CUBIC, _CLOSE = range(5)
_CURVE_PIECES = 16


@dataclass
class Roi:
    """One region, in pixels.

    Attributes
    ----------
    kind : str, of maskmill.dataset.KINDS
    rings : list of (K, 2)
        Of polygons their rings (to be filled by the even-odd rule); control points of the others.
    name : str
    group : int
    positions : dict
        position, channel, slice, frame: those that are not 0.
    properties : dict of str
    """

    kind: str
    rings: list[NDArray[np.float64]]
    name: str = ""
    group: int = 0
    positions: dict[str, int] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)


def decode(data: bytes, where: str) -> Roi:
    """A region from its bytes.

    Raises
    ------
    FormatError
        If they are not such, cut short, or hold numbers that no picture has.
    """
    if data[:4] != b"Iout":
        raise wrong(where, "an ImageJ ROI, which begins with Iout", data[:4])
    try:
        kind, rings = _geometry(data, where)
        roi = Roi(kind, rings)
        (position, offset) = struct.unpack_from(">ii", data, 56)
        if 0 < offset <= len(data) - 52:
            _second(roi, data, offset)
        if position > 0:
            roi.positions = {"position": position, **roi.positions}
    except struct.error:
        raise FormatError(f"{where}: expected more than {len(data)} bytes: it is cut short") from None
    for ring in roi.rings:
        if not (np.abs(ring) <= 1e9).all():
            raise wrong(where, "coordinates within 1e9", float(ring[~(np.abs(ring) <= 1e9)][0]))
    return roi


def _short(value: int) -> int:
    return value + 65536 if value < LEAST else value


def _geometry(data: bytes, where: str) -> tuple[str, list[NDArray[np.float64]]]:
    (version, kind, top, left, bottom, right, n) = struct.unpack_from(">HBxhhhhH", data, 4)
    top, left, bottom, right = map(_short, (top, left, bottom, right))
    (shape_size,) = struct.unpack_from(">i", data, 36)
    subtype, options = struct.unpack_from(">HH", data, 48)
    floats = struct.unpack_from(">ffff", data, 18)
    exact = bool(options & SUBPIXEL) and version >= 222
    if kind == RECT and shape_size > 0:
        return "polygon", _path(_array(data, 64, ">f4", shape_size), where)
    if kind in (RECT, OVAL):
        x, y, w, h = floats if exact and version >= 223 else (left, top, right - left, bottom - top)
        if subtype in (TEXT, IMAGE):
            return "box", [np.array([(x, y), (x + w, y + h)])]
        if kind == RECT:
            return "rectangle", [np.array([(x, y), (x + w, y + h)])]
        return "ellipse", [np.array([(x + w / 2, y + h / 2), (abs(w) / 2, abs(h) / 2), (0, 0)])]
    if kind == LINE:
        return "line", [np.array([floats[:2], floats[2:]]) + 0.5]
    if kind == FREEHAND and subtype in (ELLIPSE, ROTATED_RECT):
        return _slanted(floats, struct.unpack_from(">f", data, 52)[0], subtype)
    if kind not in (POLYGON, FREEHAND, TRACED, *LINES):
        raise wrong(where, "a known type of ROI", kind)
    if n == 0:
        (n,) = struct.unpack_from(">i", data, 18)
    if exact:
        points = _array(data, 64 + 4 * n, ">f4", 2 * n).reshape(2, -1).T
    else:
        whole = _array(data, 64, ">i2", 2 * n).reshape(2, -1).T
        points = np.where(whole < LEAST, whole + 65536, np.maximum(whole, 0)) + (left, top)
    if kind in LINES:
        return "point" if kind == POINT else "polyline", [points + 0.5]
    return "polygon", [points]


def _array(data: bytes, offset: int, dtype: str, n: int) -> NDArray[np.float64]:
    if n < 0 or offset + n * np.dtype(dtype).itemsize > len(data):
        raise struct.error
    return np.frombuffer(data, dtype, n, offset).astype(np.float64)


def _slanted(ends: Sequence[float], ratio: float, subtype: int) -> tuple[str, list[NDArray[np.float64]]]:
    """An ellipse by the ends of its long axis and the ratio of its axes; a rectangle by the ends of its middle line and
    its width."""
    x1, y1, x2, y2 = ends
    length, angle = math.hypot(x2 - x1, y2 - y1), math.atan2(y2 - y1, x2 - x1)
    if subtype == ELLIPSE:
        axes = (length / 2, length / 2 * abs(ratio))
        return "ellipse", [np.array([((x1 + x2) / 2, (y1 + y2) / 2), axes, (angle, 0)])]
    dx, dy = -math.sin(angle) * ratio / 2, math.cos(angle) * ratio / 2
    return "polygon", [
        np.array([(x1 + dx, y1 + dy), (x1 - dx, y1 - dy), (x2 - dx, y2 - dy), (x2 + dx, y2 + dy)])
    ]


def _path(numbers: NDArray[np.float64], where: str) -> list[NDArray[np.float64]]:
    """The rings of a path of segments: each its kind, and the points that it needs."""
    rings: list[list[Sequence[float]]] = []
    values = numbers.tolist()
    at = 0
    while at < len(values):
        kind, take = values[at], {_MOVE: 2, _LINE: 2, _QUAD: 4, _CUBIC: 6, _CLOSE: 0}.get(values[at], -1)
        points = [values[k : k + 2] for k in range(at + 1, at + 1 + take, 2)]
        if take < 0 or at + 1 + take > len(values) or (kind != _MOVE and not rings):
            raise wrong(f"{where}: shape[{at}]", "a segment of a path", kind)
        if kind == _MOVE:
            rings.append(points)
        elif kind == _LINE:
            rings[-1] += points
        elif kind != _CLOSE:
            rings[-1] += _curve([rings[-1][-1], *points])
        at += 1 + take
    return [np.array(ring, np.float64).reshape(-1, 2) for ring in rings if len(ring) > 1]


def _curve(control: Sequence[Sequence[float]]) -> list[Sequence[float]]:
    """Points of a Bézier curve behind its first."""
    t = np.arange(1, _CURVE_PIECES + 1)[:, None] / _CURVE_PIECES
    n = len(control) - 1
    points = sum(
        math.comb(n, k) * (1 - t) ** (n - k) * t**k * np.array(point) for k, point in enumerate(control)
    )
    return np.asarray(points).tolist()  # type: ignore[no-any-return]


def _second(roi: Roi, data: bytes, offset: int) -> None:
    """The second header."""
    (_, channel, plane, frame, name_at, name_length, _, _, roi.group, *_, props_at, props_length, _) = (
        struct.unpack_from(_HEADER2, data, offset)
    )
    for key, value in (("channel", channel), ("slice", plane), ("frame", frame)):
        if value > 0:
            roi.positions[key] = value
    roi.name = _text(data, name_at, name_length)
    roi.properties = _properties(_text(data, props_at, props_length))


def _text(data: bytes, at: int, length: int) -> str:
    if at <= 0 or length <= 0 or at + 2 * length > len(data):
        return ""
    return data[at : at + 2 * length].decode("utf-16-be", "replace")


# Properties, in Java's way of writing them


def _properties(text: str) -> dict[str, str]:
    found = {}
    for line in text.splitlines():
        match = re.match(r"\s*((?:[^\\:=\s]|\\.)+)\s*[:=]?\s?(.*)", line)
        if match and not line.lstrip().startswith(("#", "!")):
            found[_unescaped(match[1])] = _unescaped(match[2])
    return found


def _unescaped(text: str) -> str:
    special = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}

    def one(match: re.Match[str]) -> str:
        return chr(int(match[1], 16)) if match[1] else special.get(match[2], match[2])

    plain = re.sub(r"\\(?:u([0-9a-fA-F]{4})|(.))", one, text)
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _escaped(text: str) -> str:
    def one(c: str) -> str:
        units = c.encode("utf-16-be", "surrogatepass")
        return "".join(f"\\u{units[k] << 8 | units[k + 1]:04x}" for k in range(0, len(units), 2))

    return "".join(c if c.isascii() and (c.isalnum() or c in "_.-") else one(c) for c in text)


# Writing


def encode(roi: Roi) -> bytes:
    """The bytes of a region; floats have 32 bits."""
    head: dict[str, Any] = {
        "kind": POLYGON,
        "n": 0,
        "floats": bytes(16),
        "size": 0,
        "subtype": 0,
        "options": 0,
    }
    head["ratio"] = bytes(4)
    body = _body(roi, head)
    box = _box(roi)
    offset = 64 + len(body)
    top = struct.pack(
        _HEADER, b"Iout", VERSION, head["kind"], *box, head["n"], head["floats"], 0, head["size"],
        bytes(4), bytes(4), head["subtype"], head["options"], head["ratio"],
        roi.positions.get("position", 0), offset,
    )  # fmt: skip
    properties = "".join(f"{_escaped(key)}={_escaped(value)}\n" for key, value in roi.properties.items())
    texts = [text.encode("utf-16-be", "replace") for text in (roi.name, properties)]
    name_at, props_at = offset + 64, offset + 64 + len(texts[0])
    second = struct.pack(
        _HEADER2, 0, *(roi.positions.get(key, 0) for key in ("channel", "slice", "frame")),
        name_at if texts[0] else 0, len(texts[0]) // 2, bytes(4), 0, roi.group, 0, 0, 0.0,
        props_at if texts[1] else 0, len(texts[1]) // 2, 0,
    )  # fmt: skip
    return b"".join([top, body, second.ljust(64, b"\0"), *texts])


def _box(roi: Roi) -> tuple[int, int, int, int]:
    """top, left, bottom, right, which hold the region, in 16 bits as far as they go."""
    if roi.kind == "ellipse":
        (cx, cy), (rx, ry), _ = roi.rings[0].tolist()
        reach = max(rx, ry)
        low, high = np.array([cx - reach, cy - reach]), np.array([cx + reach, cy + reach])
    else:
        points = np.concatenate(roi.rings)
        low, high = points.min(0), points.max(0)
    ends = np.clip(
        [math.floor(low[1]), math.floor(low[0]), math.ceil(high[1]), math.ceil(high[0])], LEAST, 60535
    )
    top, left, bottom, right = (int(v) - 65536 if v > 32767 else int(v) for v in ends)
    return top, left, bottom, right


def _body(roi: Roi, head: dict[str, Any]) -> bytes:
    """The coordinates, and what the header has to say of them."""
    first = roi.rings[0]
    if roi.kind in ("box", "rectangle"):
        low, high = first.min(0), first.max(0)
        head |= {"kind": RECT, "options": SUBPIXEL, "floats": struct.pack(">ffff", *low, *(high - low))}
        return b""
    if roi.kind == "ellipse":
        (cx, cy), (rx, ry), (angle, _) = first.tolist()
        if ry > rx:
            rx, ry, angle = ry, rx, angle + math.pi / 2
        dx, dy = rx * math.cos(angle), rx * math.sin(angle)
        head |= {"kind": FREEHAND, "subtype": ELLIPSE, "ratio": struct.pack(">f", ry / rx if rx else 1)}
        head["floats"] = struct.pack(">ffff", cx - dx, cy - dy, cx + dx, cy + dy)
        return b""
    if roi.kind == "line":
        head |= {"kind": LINE, "floats": struct.pack(">ffff", *(first[:2] - 0.5).ravel())}
        return b""
    if len(roi.rings) > 1:
        numbers: list[float] = []
        for ring in roi.rings:
            kinds = [_MOVE] + [_LINE] * (len(ring) - 1)
            numbers += np.column_stack([kinds, ring]).ravel().tolist() + [_CLOSE]
        head |= {"kind": RECT, "size": len(numbers)}
        return np.array(numbers, ">f4").tobytes()
    head["kind"] = {"point": POINT, "polyline": POLYLINE}.get(roi.kind, POLYGON)
    points = first if roi.kind == "polygon" else first - 0.5
    head["n"] = len(points) if len(points) < 65536 else 0
    if not head["n"]:
        head["floats"] = struct.pack(">i12x", len(points))
    corner = np.floor(first.min(0))
    whole = np.clip(points - corner, 0, 60535)
    words: bytes = whole.round().astype(np.int64).T.astype(">u2").tobytes()
    if roi.kind == "polygon" and np.array_equal(whole, whole.round()) and _fits(first):
        head["kind"] = TRACED
        return words
    head["options"] = SUBPIXEL
    return words + bytes(points.T.astype(">f4").tobytes())


def _fits(points: NDArray[np.float64]) -> bool:
    """Whether whole numbers of 16 bits hold the vertices."""
    return bool(
        (points >= LEAST).all() and (points <= 60535).all() and np.array_equal(points, points.round())
    )
