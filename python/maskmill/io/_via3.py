"""Projects of VIA 3 as entries and definitions of VIA 2.

A view shows one or more files; metadata belong to a view, and are a shape, a stretch of time, or attributes of all of
it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from maskmill.io._parse import mapping, number, sequence, text, wrong

__all__ = ["entries_of_via3"]

_NAMES = {
    1: "point",
    2: "rect",
    3: "circle",
    4: "ellipse",
    5: "line",
    6: "polyline",
    7: "polygon",
    8: "rect",
    9: "circle",
}
EXTREME_RECTANGLE, EXTREME_CIRCLE = 8, 9
_FIELDS = {
    1: ("cx", "cy"),
    2: ("x", "y", "width", "height"),
    3: ("cx", "cy", "r"),
    4: ("cx", "cy", "rx", "ry"),
}
_TYPES = {1: "text", 2: "checkbox", 3: "radio", 4: "dropdown", 5: "image"}
CHECKBOX = 2


def entries_of_via3(
    content: dict[str, Any], where: str
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Entries by view (and time, of videos), what else the project says, definitions of region attributes."""
    files = mapping(content.get("file"), f"{where}: file")
    views = mapping(content["view"], f"{where}: view")
    attributes = {
        aid: mapping(how, f"{where}: attribute.{aid}")
        for aid, how in mapping(content.get("attribute") or {}, f"{where}: attribute").items()
    }
    entries = {vid: _entry(view, files, f"{where}: view.{vid}") for vid, view in views.items()}
    times: list[dict[str, Any]] = []
    for mid, value in mapping(content["metadata"], f"{where}: metadata").items():
        at = f"{where}: metadata.{mid}"
        item = mapping(value, at)
        vid = str(item.get("vid"))
        if vid not in entries:
            raise wrong(f"{at}: vid", "a view of the file", item.get("vid"))
        named = _values(item, attributes, at)
        z, xy = (sequence(item.get(key) or [], f"{at}: {key}") for key in ("z", "xy"))
        if xy:
            entry = entries[vid] if not z else _at_time(entries, vid, number(z[0], f"{at}: z[0]"))
            flags = {"flg": item["flg"]} if item.get("flg") else {}
            entry["regions"].append(
                {"shape_attributes": _shape(xy, at), "region_attributes": named, "mid": mid, **flags}
            )
        elif z:
            times.append({**item, "mid": mid})
        else:
            entries[vid]["file_attributes"].update(named)
    rest = {
        key: value for key, value in content.items() if key not in ("file", "view", "metadata", "attribute")
    }
    return entries, {"via3": {**rest, "times": times}}, _definitions(attributes)


def _entry(view: Any, files: dict[str, Any], where: str) -> dict[str, Any]:
    fids = sequence(mapping(view, where).get("fid_list"), f"{where}: fid_list")
    if not fids or str(fids[0]) not in files:
        raise wrong(f"{where}: fid_list", "files of the project", fids)
    file = mapping(files[str(fids[0])], f"{where}: file")
    rest = {"src": file["src"]} if isinstance(file.get("src"), str) and len(file["src"]) < 4096 else {}
    return {
        "filename": text(file.get("fname"), f"{where}: fname"),
        "size": -1,
        "regions": [],
        "file_attributes": {},
        "fid_list": fids,
        **rest,
    }


def _at_time(entries: dict[str, Any], vid: str, seconds: float) -> dict[str, Any]:
    """The entry of a moment of a video."""
    key = f"{vid}@{seconds:g}"
    if key not in entries:
        entries[key] = {**entries[vid], "regions": [], "file_attributes": {"time": seconds}}
    found: dict[str, Any] = entries[key]
    return found


def _shape(xy: list[Any], where: str) -> dict[str, Any]:
    """Shape attributes of VIA 2 from a code and numbers."""
    code = xy[0]
    if isinstance(code, bool) or not isinstance(code, int) or code not in _NAMES:
        raise wrong(f"{where}: xy[0]", f"a shape from 1 to {len(_NAMES)}", code)
    values = [number(value, f"{where}: xy[{i}]") for i, value in enumerate(xy[1:], 1)]
    name = _NAMES[code]
    if code in _FIELDS:
        fields = _FIELDS[code]
        if len(values) != len(fields):
            raise wrong(f"{where}: xy", f"{len(fields)} numbers behind the shape", xy)
        return {"name": name, **dict(zip(fields, xy[1:], strict=True))}
    least = {EXTREME_RECTANGLE: 4, EXTREME_CIRCLE: 6}.get(code, 0)
    if len(values) % 2 or len(values) < least:
        raise wrong(f"{where}: xy", "pairs of numbers behind the shape", xy)
    points = np.array(values).reshape(-1, 2)
    if code == EXTREME_RECTANGLE:
        (x, y), (w, h) = points.min(0).tolist(), np.ptp(points, 0).tolist()
        return {"name": name, "x": x, "y": y, "width": w, "height": h}
    if code == EXTREME_CIRCLE:
        return {"name": name, **_circle(points[:3], where)}
    return {"name": name, "all_points_x": xy[1::2], "all_points_y": xy[2::2]}


def _circle(points: Any, where: str) -> dict[str, float]:
    """The circle through three points: their distances to its centre are equal."""
    (dx1, dy1), (dx2, dy2) = points[1:] - points[0]
    twice_area = 2 * (dx1 * dy2 - dx2 * dy1)
    if twice_area == 0:
        raise wrong(f"{where}: xy", "three points of a circle", points.tolist())
    a, b = dx1**2 + dy1**2, dx2**2 + dy2**2
    x, y = (dy2 * a - dy1 * b) / twice_area, (dx1 * b - dx2 * a) / twice_area
    return {"cx": float(points[0, 0] + x), "cy": float(points[0, 1] + y), "r": float(np.hypot(x, y))}


# Attributes


def _values(item: dict[str, Any], attributes: dict[str, Any], where: str) -> dict[str, Any]:
    """Attributes by name."""
    made = {}
    for aid, value in mapping(item.get("av") or {}, f"{where}: av").items():
        how = attributes.get(aid, {})
        if how.get("type") == CHECKBOX and isinstance(value, str):
            value = {option: True for option in value.split(",") if option}
        made[_name(aid, how)] = value
    return made


def _name(aid: str, how: dict[str, Any]) -> str:
    name = how.get("aname")
    return name if isinstance(name, str) and name else aid


def _definitions(attributes: dict[str, Any]) -> dict[str, Any]:
    made = {}
    for aid, how in attributes.items():
        if "_XY0" in str(how.get("anchor_id", "_XY1")):  # of files and times
            continue
        options = how.get("options") if isinstance(how.get("options"), dict) else {}
        kind = how.get("type")
        made[_name(aid, how)] = {
            "type": _TYPES.get(kind, "text") if isinstance(kind, int) else "text",
            "description": how.get("desc", ""),
            "options": options,
            "default_options": {},
        }
    return made
