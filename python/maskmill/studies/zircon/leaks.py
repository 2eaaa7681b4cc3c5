"""What a validation set should not show: windows that overlap with those of another part, and equal pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from maskmill._files import FormatError
from maskmill.io._parse import safe_name
from maskmill.io.images import read_image

_WINDOW = ("left", "top", "columns", "rows")
_MOST = 20_000  # windows of one mosaic


@dataclass(frozen=True)
class Leak:
    """Two shots of different parts that show the same.

    Attributes
    ----------
    kind : str
        "overlap", of windows of one mosaic, or "equal", of pictures.
    first, second : (str, str, str)
        Part, sample and shot.
    """

    kind: str
    first: tuple[str, str, str]
    second: tuple[str, str, str]

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def _key(row: Mapping[str, str]) -> tuple[str, str, str]:
    return row["part"], row["sample"], row["shot"]


def overlapping_windows(rows: Sequence[Mapping[str, str]]) -> list[Leak]:
    """Windows of one mosaic that overlap and are in different parts.

    Parameters
    ----------
    rows : sequence of dict
        With part, sample and shot; and mosaic, left, top, columns and rows, or else they are passed over.
    """
    mosaics: dict[str, list[Mapping[str, str]]] = {}
    for row in rows:
        if all(row.get(name) for name in ("mosaic", *_WINDOW)):
            mosaics.setdefault(row["mosaic"], []).append(row)
    return [leak for mosaic, there in mosaics.items() for leak in _overlaps(mosaic, there)]


def _overlaps(mosaic: str, rows: Sequence[Mapping[str, str]]) -> Iterator[Leak]:
    if len(rows) > _MOST:
        raise FormatError(f"mosaic {mosaic}: expected at most {_MOST:,} windows, found {len(rows):,}")
    windows = np.array([[_whole(row, name) for name in _WINDOW] for row in rows], np.int64)
    parts = np.array([row["part"] for row in rows])
    for i, (left, top, columns, height) in enumerate(windows.tolist()):
        others = windows[i + 1 :]
        near = (others[:, 0] < left + columns) & (left < others[:, 0] + others[:, 2])
        near &= (others[:, 1] < top + height) & (top < others[:, 1] + others[:, 3])
        for j in np.flatnonzero(near & (parts[i + 1 :] != parts[i])).tolist():
            yield Leak("overlap", _key(rows[i]), _key(rows[i + 1 + j]))


def _whole(row: Mapping[str, str], name: str) -> int:
    try:
        value = int(row[name])
    except ValueError:
        value = 1 << 62
    if abs(value) > 1 << 53:
        where = f"{row['sample']} {row['shot']}: {name}"
        raise FormatError(f"{where}: expected a whole number of pixels, found {row[name]!r:.60}")
    return value


def equal_images(
    folder: Path, rows: Sequence[Mapping[str, str]], progress: Callable[[int, int, str], None] | None = None
) -> list[Leak]:
    """Pictures with the same pixels that are in different parts. For similar ones, see `maskmill dedupe`.

    Parameters
    ----------
    folder : path
        What the rows' images are relative to.
    rows : sequence of dict
        With part, sample, shot and image.
    """
    first: dict[tuple[str, str], Mapping[str, str]] = {}
    digests: dict[str, list[str]] = {}
    leaks = []
    for number, row in enumerate(rows):
        if progress is not None:
            progress(number + 1, len(rows), row["shot"])
        if not row.get("image"):
            continue
        pixels = read_image(folder / safe_name(row["image"], f"{row['sample']} {row['shot']}: image"))
        digest = hashlib.sha256(f"{pixels.shape} {pixels.dtype}".encode() + pixels.tobytes()).hexdigest()
        parts = digests.setdefault(digest, [])
        leaks += [
            Leak("equal", _key(first[digest, part]), _key(row)) for part in parts if part != row["part"]
        ]
        if row["part"] not in parts:
            parts.append(row["part"])
            first[digest, row["part"]] = row
    return leaks
