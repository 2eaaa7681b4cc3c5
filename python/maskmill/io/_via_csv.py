"""CSV exports of VIA as entries: fields are JSON in doubled quotes; file names are not quoted, and may hold commas."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from maskmill._files import FormatError
from maskmill.io._parse import integer, load_text, mapping, parse_json

__all__ = ["entries_of_csv"]

HEADER = (
    "filename",
    "file_size",
    "file_attributes",
    "region_count",
    "region_id",
    "region_shape_attributes",
    "region_attributes",
)
_FIELD = re.compile(r'("[^"]*(?:""[^"]*)*"|[^,]*)(,|$)')


def entries_of_csv(path: Path) -> dict[str, Any]:
    """Entries by key: file name and size.

    Raises
    ------
    FormatError
        On lines that lack fields, fields that are no JSON, and images with fewer regions than they say they
        have, as in files that are cut short; names the line.
    """
    lines = load_text(path).splitlines()
    header = [name.strip('"') for name in lines[0].lstrip("#").split(",")] if lines else []
    if header != list(HEADER):
        raise FormatError(f"{path}: expected the header {','.join(HEADER)}, found {','.join(header)[:80]!r}")
    entries: dict[str, Any] = {}
    counts: dict[str, int] = {}
    for number, line in enumerate(lines[1:], 2):
        if line.strip():
            _add(entries, counts, line, f"{path}: line {number}")
    for key, n in counts.items():
        if len(entries[key]["regions"]) < n:  # there are files of VIA that say too few
            raise FormatError(f"{path}: {key!r}: expected {n} regions, found {len(entries[key]['regions'])}")
    return entries


def _add(entries: dict[str, Any], counts: dict[str, int], line: str, where: str) -> None:
    name, size, file_attributes, count, number, shape, attributes = _fields(line, where)
    key = f"{name}{size}"
    if key not in entries:
        counts[key] = integer(count, f"{where}: region_count", low=0)
        entries[key] = {
            "filename": name,
            "size": integer(size, f"{where}: file_size"),
            "regions": [],
            "file_attributes": _json(file_attributes, f"{where}: file_attributes"),
        }
    if counts[key] > 0:
        integer(number, f"{where}: region_id")
        entries[key]["regions"].append(
            {
                "shape_attributes": _json(shape, f"{where}: region_shape_attributes"),
                "region_attributes": _json(attributes, f"{where}: region_attributes"),
            }
        )


def _fields(line: str, where: str) -> list[str]:
    """Seven fields; what is too many belongs to the file name."""
    fields, at = [], 0
    while True:
        found = _FIELD.match(line, at)
        assert found is not None  # the second branch takes anything up to a comma
        fields.append(found[1])
        at = found.end()
        if not found[2]:
            break
    more = len(fields) - len(HEADER)
    if more < 0:
        raise FormatError(f"{where}: expected {len(HEADER)} fields, found {len(fields)}")
    return [_unquoted(",".join(fields[: more + 1])), *map(_unquoted, fields[more + 1 :])]


def _unquoted(field: str) -> str:
    quoted = len(field) > 1 and field[0] == field[-1] == '"'
    return field[1:-1].replace('""', '"') if quoted else field


def _json(field: str, where: str) -> dict[str, Any]:
    return mapping(parse_json(field.encode(), where), where)
