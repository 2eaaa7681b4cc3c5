"""What the metadata of chunked image pyramids say: OME-Zarr 0.1 to 0.5, plain Zarr 2 and 3, N5, and precomputed.

Nothing here reads files: metadata come through a function, so that it is the same for folders and for web servers.

Sources: https://ngff.openmicroscopy.org (0.4 and 0.5); https://github.com/saalfeldlab/n5 with the attributes of
n5-viewer, BigDataViewer and OpenOrganelle; https://github.com/google/neuroglancer (precomputed volumes).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from maskmill._files import FormatError

Read = Callable[[str], Any]
"""A key of the source, such as "zarr.json" -> the parsed JSON, or None where there is nothing."""

_NANOMETERS = {
    **dict.fromkeys(("picometer", "pm"), 1e-3),
    **dict.fromkeys(("angstrom", "\u00c5", "\u212b", "ang"), 1e-1),
    **dict.fromkeys(("nanometer", "nanometre", "nm"), 1.0),
    **dict.fromkeys(("micrometer", "micrometre", "micron", "um", "\u00b5m", "\u03bcm"), 1e3),
    **dict.fromkeys(("millimeter", "millimetre", "mm"), 1e6),
    **dict.fromkeys(("centimeter", "cm"), 1e7),
    **dict.fromkeys(("meter", "metre", "m"), 1e9),
}
_MOST_LEVELS = 32  # halved 32 times, anything is one voxel
_N5_AXES = "xyzct"
DEFAULT_AXES = {2: "yx", 3: "zyx", 4: "czyx", 5: "tczyx"}
"""Of arrays that name none."""


@dataclass(frozen=True)
class Level:
    """One resolution of a pyramid.

    Attributes
    ----------
    path
        Of its array, within the source; empty for the source itself.
    driver
        Of TensorStore: "zarr", "zarr3", "n5" or "neuroglancer_precomputed".
    axes
        A letter for each dimension as the driver gives them: z, y, x, c, t; others are "?".
    voxel
        Size along z, y, x in nanometers, or in an unknown unit; None where unknown.
    unit
        "nm", or None if the metadata have none.
    scale_index
        Which of a precomputed volume's scales it is.
    """

    path: str
    driver: str
    axes: str
    voxel: tuple[float | None, float | None, float | None] = (None, None, None)
    unit: str | None = None
    scale_index: int | None = None


@dataclass(frozen=True)
class Pyramid:
    """What a source is, and its levels, the finest first."""

    format: str
    levels: tuple[Level, ...]


def describe(source: str, read: Read, format: str | None = None) -> Pyramid:
    """Find out what lies at a place, from its metadata.

    Parameters
    ----------
    source
        Path or URL, for messages, and because its name tells where to look first.
    read
        Gives the JSON of a key, or None.
    format
        "zarr", "n5" or "precomputed" if it is known.

    Raises
    ------
    FormatError
        If there is none of these, or its metadata are not what they should be.

    Examples
    --------
    >>> scale = {"key": "4_4_40", "resolution": [4, 4, 40], "size": [100, 90, 30]}
    >>> files = {"info": {"data_type": "uint8", "num_channels": 1, "scales": [scale]}}
    >>> describe("https://host/em", files.get).levels[0].voxel
    (40.0, 4.0, 4.0)
    """
    probes = {"zarr": _zarr, "n5": _n5, "precomputed": _precomputed}
    if format is not None and format not in probes:
        raise ValueError(f'format must be "zarr", "n5" or "precomputed", not {format!r}')
    # The name tells which to try first; servers are asked as little as possible.
    order = sorted(probes, key=lambda name: f".{name}" not in source.lower()) if format is None else [format]
    try:
        for name in order:
            found = probes[name](source, read)
            if found is not None:
                if not found.levels:
                    raise FormatError(f"{source}: expected at least one level, found none")
                return found
    except FormatError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        words = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise FormatError(f"{source}: expected metadata of {name}, found other ({words})") from None
    looked = {"zarr": "zarr.json, .zattrs or .zarray", "n5": "attributes.json", "precomputed": "info"}
    raise FormatError(f"{source}: expected {', '.join(looked[name] for name in order)}, found none of them")


# Zarr


def _zarr(source: str, read: Read) -> Pyramid | None:
    head = read("zarr.json")
    if head is not None:
        if head["node_type"] == "array":
            return Pyramid("zarr 3", (_zarr_array("", head, 3),))
        attributes = head.get("attributes", {})
        ome = attributes.get("ome", attributes)
    else:
        if (head := read(".zarray")) is not None:
            return Pyramid("zarr 2", (_zarr_array("", head, 2, read(".zattrs")),))
        ome = read(".zattrs")
        if ome is None and read(".zgroup") is None:
            return _zarr_children(read)
        ome = ome or {}
    if "multiscales" in ome:
        return _ngff(source, ome, 3 if "zarr_format" in head_of(head) else 2)
    if "bioformats2raw.layout" in ome:  # a collection: its first image
        inner = _zarr(source, lambda key: read(f"0/{key}"))
        return None if inner is None else _within("0", inner)
    if "plate" in ome or "well" in ome:
        raise FormatError(
            f"{source}: expected an image, found a plate: name one of its images, such as A/1/0"
        )
    return _zarr_children(read)


def head_of(head: Any) -> Mapping[str, Any]:
    return head if isinstance(head, Mapping) else {}


def _within(path: str, pyramid: Pyramid) -> Pyramid:
    levels = tuple(
        Level(f"{path}/{level.path}".rstrip("/"), level.driver, level.axes, level.voxel, level.unit)
        for level in pyramid.levels
    )
    return Pyramid(pyramid.format, levels)


def _zarr_children(read: Read) -> Pyramid | None:
    """A group without a word about its arrays: those called s0, s1 ... or 0, 1 ..."""
    for prefix in ("s", ""):
        levels: list[Level] = []
        while len(levels) < _MOST_LEVELS:
            path = f"{prefix}{len(levels)}"
            if (head := read(f"{path}/.zarray")) is not None:
                levels.append(_zarr_array(path, head, 2, read(f"{path}/.zattrs")))
            elif (head := read(f"{path}/zarr.json")) is not None and head.get("node_type") == "array":
                levels.append(_zarr_array(path, head, 3))
            else:
                break
        if levels:
            return Pyramid("zarr", tuple(levels))
    return None


def _zarr_array(path: str, head: Any, version: int, attributes: Any = None) -> Level:
    names = head.get("dimension_names") if version == 3 else (attributes or {}).get("_ARRAY_DIMENSIONS")
    n = len(head["shape"])
    axes = _letters(names) if names else "tczyx"[-n:] if n <= 5 else "?" * (n - 3) + "zyx"
    return Level(path, "zarr3" if version == 3 else "zarr", axes)


def _ngff(source: str, ome: Mapping[str, Any], version: int) -> Pyramid:
    image = ome["multiscales"][0]
    number = image.get("version", ome.get("version", "0.5" if version == 3 else "0.4"))
    names = image.get("axes", list("tczyx"))
    axes = _letters([axis["name"] if isinstance(axis, Mapping) else axis for axis in names])
    units = [axis.get("unit") if isinstance(axis, Mapping) else None for axis in names]
    levels = []
    for dataset in image["datasets"]:
        scale = [1.0] * len(axes)
        told = False
        for step in [
            *dataset.get("coordinateTransformations", []),
            *image.get("coordinateTransformations", []),
        ]:
            if step["type"] == "scale" and "scale" in step:
                if len(step["scale"]) != len(axes):
                    raise ValueError(f"a scale must have {len(axes)} numbers, not {step['scale']}")
                scale = [a * float(b) for a, b in zip(scale, step["scale"], strict=True)]
                told = True
        sizes = dict(zip(axes, scale, strict=True)) if told else {}
        voxel, unit = _known(sizes, dict(zip(axes, units, strict=True)))
        levels.append(Level(_inner(dataset["path"]), "zarr3" if version == 3 else "zarr", axes, voxel, unit))
    return Pyramid(f"OME-Zarr {number}", tuple(levels))


# N5


def _n5(source: str, read: Read) -> Pyramid | None:
    group = read("attributes.json")
    if group is not None and "dimensions" in group:
        return Pyramid("N5", (_n5_array("", group, {}, {}),))
    group = group or {}
    paths = [f"s{k}" for k in range(_MOST_LEVELS)]
    told: dict[str, Any] = {}
    if isinstance(group.get("multiscales"), list) and group["multiscales"]:
        told = {_inner(entry["path"]): entry for entry in group["multiscales"][0].get("datasets", [])}
        paths = list(told) or paths
    levels: list[Level] = []
    first: Mapping[str, Any] = {}
    for path in paths:
        head = read(f"{path}/attributes.json")
        if head is None:
            break
        first = first or head
        shared = {**group, "transform": told.get(path, {}).get("transform")}
        levels.append(_n5_array(path, head, shared, first if head is not first else {}))
    return Pyramid("N5", tuple(levels)) if levels else None


def _n5_array(
    path: str, head: Mapping[str, Any], group: Mapping[str, Any], finest: Mapping[str, Any]
) -> Level:
    n = len(head["dimensions"])
    names = head.get("axes")
    axes = _letters(names) if isinstance(names, list) and len(names) == n else _N5_AXES[:n].ljust(n, "?")
    transform = head.get("transform") or group.get("transform")
    if transform:  # OpenOrganelle: with the names of its axes
        letters = _letters(transform["axes"])
        sizes = dict(zip(letters, transform["scale"], strict=True))
        units: dict[str, Any] = dict(zip(letters, transform.get("units", [None] * len(letters)), strict=True))
        return Level(path, "n5", axes, *_known(sizes, units))
    factors = [float(f) for f in head.get("downsamplingFactors", [1] * n)]
    pixel = head.get("pixelResolution")
    if pixel:
        sizes, unit = (
            (pixel["dimensions"], pixel.get("unit")) if isinstance(pixel, Mapping) else (pixel, None)
        )
        # n5-viewer repeats the finest voxel at every level; OpenOrganelle writes each its own.
        repeated = pixel == finest.get("pixelResolution")
        scaled = [float(a) * (f if repeated else 1) for a, f in zip(sizes, factors, strict=False)]
        return Level(
            path, "n5", axes, *_known(dict(zip("xyz", scaled, strict=False)), dict.fromkeys("xyz", unit))
        )
    if head.get("resolution"):
        units = dict(zip("xyz", head.get("units", [None] * 3), strict=False))
        return Level(path, "n5", axes, *_known(dict(zip("xyz", head["resolution"], strict=False)), units))
    if group.get("resolution"):  # BigDataViewer: of the finest level
        scaled = [float(a) * f for a, f in zip(group["resolution"], factors, strict=False)]
        units = dict(zip("xyz", group.get("units", [None] * 3), strict=False))
        return Level(path, "n5", axes, *_known(dict(zip("xyz", scaled, strict=False)), units))
    return Level(path, "n5", axes)


# Precomputed


def _precomputed(source: str, read: Read) -> Pyramid | None:
    info = read("info")
    if info is None or "scales" not in info:
        return None
    levels = []
    for index, scale in enumerate(info["scales"]):
        sizes = dict(zip("xyz", scale["resolution"], strict=True))
        voxel, unit = _known(sizes, dict.fromkeys("xyz", "nm"))
        levels.append(Level("", "neuroglancer_precomputed", "xyzc", voxel, unit, index))
    return Pyramid("precomputed", tuple(levels))


# What all share


def _letters(names: Sequence[Any]) -> str:
    """One letter for each axis; whatever is none of space, time and channel is "?"."""
    known = {"channel": "c", "time": "t", "c^": "c"}
    letters = [known.get(str(name).lower(), str(name).lower()) for name in names]
    axes = "".join(letter if letter in "zyxct" and len(letter) == 1 else "?" for letter in letters)
    if axes.count("y") != 1 or axes.count("x") != 1 or axes.count("z") > 1:
        raise ValueError(f"the axes must have one y, one x and at most one z, not {list(names)}")
    return axes


def _known(
    sizes: Mapping[str, Any], units: Mapping[str, Any]
) -> tuple[tuple[float | None, float | None, float | None], str | None]:
    """Sizes along z, y, x in nanometers where the unit is known. Ones without a unit are what is written by default."""
    factors = {axis: _NANOMETERS.get(str(units.get(axis) or "").lower()) for axis in "zyx"}
    named = any(units.get(axis) for axis in "zyx")
    voxel: list[float | None] = []
    for axis in "zyx":
        size = float(sizes[axis]) if axis in sizes else 0.0
        factor = factors[axis] if named else 1.0
        good = factor is not None and math.isfinite(size) and size > 0
        voxel.append(size * factor if good and factor is not None else None)
    if not named and all(size in (None, 1.0) for size in voxel):
        voxel = [None, None, None]
    return (voxel[0], voxel[1], voxel[2]), "nm" if named and any(voxel) else None


def _inner(path: Any) -> str:
    """A path below the source: metadata of strangers must not lead elsewhere."""
    text = str(path).strip("/")
    if "\\" in text or ":" in text or (any(part in ("", "..") for part in text.split("/")) and text):
        raise ValueError(f"the path of a level must be within the source, not {path!r}")
    return "" if text == "." else text
