"""Cubes of public volumes on the web, by a table of them or by their addresses."""

from __future__ import annotations

import csv
import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from maskmill._files import FormatError
from maskmill.io.remote import Patience, split_address
from maskmill.studies.em.crop import Job
from maskmill.studies.em.origins import remote_origin
from maskmill.studies.em.plans import Origin, Wish

_COLUMNS = ("download_url", "volume_name")


@dataclass(frozen=True)
class Row:
    """A volume to fetch from.

    Attributes
    ----------
    where
        For messages: "row 3 (cell)" of a table, or the address.
    address
    name
        Of the volume, without level.
    mip
        Level of the pyramid, 0 is the finest.
    voxel
        Size along z, y, x at level 0, in nanometers; None where the table does not know it.
    crop
        Whether cubes are taken, or the whole volume.
    crop_size, invert, padding_value
        Instead of those of the wish, if given.
    """

    where: str
    address: str
    name: str
    mip: int = 0
    voxel: tuple[float | None, float | None, float | None] = (None, None, None)
    crop: bool = True
    crop_size: int | None = None
    invert: bool | None = None
    padding_value: float | None = None

    @property
    def label(self) -> str:
        """What its files are called."""
        return f"{self.name}_s{self.mip}"

    def wish(self, general: Wish) -> Wish:
        """What the user wants of all volumes, with what the table says of this one."""
        return replace(
            general,
            size=general.size if self.crop_size is None else self.crop_size,
            invert=general.invert if self.invert is None else self.invert,
            padding_value=general.padding_value if self.padding_value is None else self.padding_value,
        )


def read_table(path: str | Path) -> list[Row]:
    """The rows of a CSV table as cem-dataset has it: UTF-8, with or without a byte-order mark.

    Columns: download_url and volume_name; mip, voxel_x, voxel_y, voxel_z ("x" where unknown), crop (TRUE or FALSE),
    crop_size, invert and padding_value are optional; others are ignored.

    Raises
    ------
    FormatError
        If a column is missing, or a field is not what it should be; the message names the row, counted as a
        spreadsheet does, with the head as row 1.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restkey="_more")
            names = [name.strip() for name in reader.fieldnames or []]
            reader.fieldnames = names
            lines = [(reader.line_num, line) for line in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise FormatError(f"{path}: expected a table as CSV in UTF-8, found other ({error})") from None
    missing = [column for column in _COLUMNS if column not in names]
    if missing:
        raise FormatError(
            f"{path}: expected the column {missing[0]}, found {', '.join(names)[:80] or 'nothing'}"
        )
    rows = [
        _row(path, number, {key: (value or "").strip() for key, value in line.items() if key != "_more"})
        for number, line in lines
        if any(str(value or "").strip() for value in line.values())
    ]
    if not rows:
        raise FormatError(f"{path}: expected rows below the head, found none")
    return rows


def _row(path: str | Path, number: int, line: dict[str, str]) -> Row:
    def bad(column: str, expected: str) -> FormatError:
        return FormatError(f"{path}: row {number}: {column} must be {expected}, not {line.get(column)!r}")

    def whole(column: str, default: int | None, least: int) -> int | None:
        text = line.get(column, "")
        if not text:
            return default
        if not text.isascii() or not text.isdigit() or int(text) < least:
            raise bad(column, f"a whole number of {least} or more")
        return int(text)

    def truth(column: str, default: bool | None) -> bool | None:
        text = line.get(column, "").lower()
        if text not in ("", "true", "false"):
            raise bad(column, "TRUE or FALSE")
        return text == "true" if text else default

    def size(column: str) -> float | None:
        text = line.get(column, "")
        if text.lower() in ("", "x"):
            return None
        value = _number(text)
        if value is None or value <= 0:
            raise bad(column, 'a size in nanometers, or "x"')
        return value

    padding = line.get("padding_value", "")
    if padding and _number(padding) is None:
        raise bad("padding_value", "a number")
    if not line["download_url"]:
        raise bad("download_url", "an address")
    name = line["volume_name"]
    if not is_name(name):
        raise bad("volume_name", "a name that files can have")
    return Row(
        where=f"row {number} ({name})",
        address=line["download_url"],
        name=name,
        mip=whole("mip", 0, 0) or 0,
        voxel=(size("voxel_z"), size("voxel_y"), size("voxel_x")),
        crop=truth("crop", True) is not False,
        crop_size=whole("crop_size", None, 1),
        invert=truth("invert", None),
        padding_value=_number(padding) if padding else None,
    )


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def is_name(text: str) -> bool:
    """Whether files can be called so, here and on other systems."""
    return (
        0 < len(text) <= 150 and text[0] not in ".- " and not any(c in '/\\:*?"<>|' or c < " " for c in text)
    )


def address_row(address: str, mip: int = 0, name: str | None = None) -> Row:
    """A row of an address alone, called by its last parts that say something.

    Examples
    --------
    >>> address_row("s3://janelia-cosem/jrc_hela-2/jrc_hela-2.n5/em/fibsem-uint16").name
    'jrc_hela-2_em_fibsem-uint16'
    >>> address_row("precomputed://https://host/em.precomputed/", mip=2).label
    'em_s2'
    """
    if name is None:
        bare = split_address(address)[0].partition("?")[0]
        parts = [part for part in bare.partition("://")[2].split("/") or [bare] if part]
        parts = parts or [part for part in bare.split("/") if part]
        whole = [i for i, part in enumerate(parts) if part.endswith((".n5", ".zarr", ".precomputed"))]
        parts = parts[whole[-1] :] if whole else parts[-2:]
        name = "_".join(part.removesuffix(end) for part in parts for end in [_ending(part)])
        name = "".join(c if c.isalnum() or c in "-_." else "_" for c in name).lstrip(".-_")
    if not is_name(name):
        raise ValueError(
            f"{address}: the name of a volume must be one that files can have, not {name!r}: use --name"
        )
    return Row(address, address, name, mip)


def _ending(part: str) -> str:
    return next((end for end in (".ome.zarr", ".zarr", ".n5", ".precomputed") if part.endswith(end)), "")


def check_names(rows: Sequence[Row]) -> None:
    """ValueError if two rows would write the same files."""
    seen: dict[str, Row] = {}
    for row in rows:
        other = seen.setdefault(row.label.casefold(), row)
        if other is not row:
            raise ValueError(
                f"{other.where} and {row.where} would both be called {row.label}: rename one of them"
            )


def row_jobs(rows: Sequence[Row], wish: Wish, patience: Patience, stop: threading.Event) -> list[Job]:
    """Jobs of a table, to be run by `run_jobs`.

    Raises ValueError if two rows would write the same files.
    """
    check_names(rows)

    def opener(row: Row) -> Callable[[], Origin]:
        return lambda: remote_origin(
            row.label, row.address, row.mip, voxel=row.voxel, patience=patience, stop=stop
        )

    return [Job(row.label, row.where, row.wish(wish), opener(row), whole=not row.crop) for row in rows]
