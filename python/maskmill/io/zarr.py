"""OME-Zarr 0.4 and 0.5, plain zarr v2 and v3, N5 and precomputed, in folders and at URLs (by tensorstore).

Voxel sizes are of the level that is read: NGFF's coordinateTransformations, N5's `transform`, `pixelResolution` or
`resolution`, precomputed's `resolution`.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError, need
from maskmill.io._volume import Options, Volume, base_name

_CHUNK = 1 << 31
_DEFAULT_AXES = {2: "yx", 3: "zyx", 4: "czyx", 5: "tczyx"}
_Spacing = tuple[dict[str, float], str | None]  # by axis, and the unit


def open_zarr(path: str, options: Options) -> Volume:
    return _open_in(path, _file(path), options, "zarr")


def open_n5(path: str, options: Options) -> Volume:
    return _open_in(path, _file(path), options, "n5")


def open_precomputed(path: str, options: Options) -> Volume:
    return _open_in(path, _file(path), options, "precomputed")


def open_remote(url: str, options: Options) -> Volume:
    """http, https, s3, gs and file URLs; "zarr://", "n5://" and "precomputed://" before one say what is there."""
    kind = next((kind for kind in ("zarr", "n5", "precomputed") if url.startswith(f"{kind}://")), None)
    bare = url[len(f"{kind}://") :] if kind else url
    if "://" not in bare:
        raise ValueError(f"a URL must begin with http://, https://, s3://, gs:// or file://, not {url!r}")
    return _open_in(url, bare.rstrip("/") + "/", options, kind)


def open_spec(spec: Mapping[str, Any], options: Options) -> Volume:
    """A TensorStore spec: its own axis labels, or z, y, x."""
    name = json.dumps(dict(spec), default=str)
    array = _Store(name, dict(spec))
    labels = "".join(array.labels)
    axes = labels if len(labels) == len(array.shape) else _axes_of(name, len(array.shape))
    spacing, unit = array.spacing(axes)
    return Volume(
        name,
        "tensorstore",
        array,
        axes,
        name="volume",
        spacing=spacing,
        unit=unit,
        chunks=array.chunks,
        channel=options.channel,
    )


def _file(path: str) -> dict[str, Any]:
    return {"driver": "file", "path": os.path.abspath(path).replace("\\", "/") + "/"}


def _open_in(source: str, place: Any, options: Options, kind: str | None) -> Volume:
    node = _Node(source, place, "")
    kind = kind or node.kind()
    if kind == "precomputed":
        return _precomputed(node, options)
    if options.dataset:
        node = node.child(options.dataset)
    if kind == "n5":
        return _n5(node, options)
    return _zarr(node, options)


class _Node:
    """A group or array within a container: its metadata, and how tensorstore finds it."""

    def __init__(self, source: str, place: Any, path: str) -> None:
        self.source, self.place, self.path = source, place, path
        tensorstore = need("tensorstore", "em")
        try:
            self._store = tensorstore.KvStore.open(place).result()
        except (ValueError, OSError, RuntimeError) as error:
            raise FormatError(f"{source}: cannot be opened ({_short(error)})") from None

    @property
    def name(self) -> str:
        return f"{self.source}/{self.path}" if self.path else self.source

    def child(self, path: str) -> _Node:
        parts = [part for part in f"{self.path}/{path}".split("/") if part not in ("", ".")]
        if ".." in parts:
            raise FormatError(f"{self.source}: expected a path within the container, found {path!r}")
        return _Node(self.source, self.place, "/".join(parts))

    def json(self, name: str) -> dict[str, Any] | None:
        """A metadata file, None if there is none."""
        key = f"{self.path}/{name}" if self.path else name
        try:
            found = self._store.read(key).result()
        except (ValueError, OSError, RuntimeError) as error:
            raise FormatError(f"{self.source}: {key} cannot be read ({_short(error)})") from None
        if found.state == "missing":
            return None
        try:
            value = json.loads(found.value)
        except (ValueError, RecursionError) as error:
            raise FormatError(f"{self.source}: expected JSON in {key} ({error})") from None
        if not isinstance(value, dict):
            raise FormatError(f"{self.source}: expected an object in {key}, found {type(value).__name__}")
        return value

    def kind(self) -> str:
        for name, kind in (
            ("zarr.json", "zarr"),
            (".zattrs", "zarr"),
            (".zgroup", "zarr"),
            (".zarray", "zarr"),
            ("info", "precomputed"),
            ("attributes.json", "n5"),
        ):
            if self.json(name) is not None:
                return kind
        raise FileNotFoundError(2, "no zarr, N5 or precomputed data there", self.source)

    def store(self, driver: str, **more: Any) -> _Store:
        path = f"{self.path}/" if self.path else ""
        place = self.place
        if isinstance(place, str):
            place = f"{place}{path}"
        else:
            place = {**place, "path": place["path"] + path}
        return _Store(self.name, {"driver": driver, "kvstore": place, **more})


class _Store:
    """A tensorstore array whose faults are FormatErrors, with its origin at 0."""

    def __init__(self, name: str, spec: dict[str, Any]) -> None:
        tensorstore = need("tensorstore", "em")
        self._name = name
        try:
            store = tensorstore.open(spec, read=True, open=True).result()
            self._dtype = np.dtype(store.dtype.numpy_dtype)
            self.shape = tuple(map(int, store.shape))
            self.labels = tuple(map(str, store.domain.labels))
            self._units = list(store.dimension_units)
            chunk = store.chunk_layout.read_chunk.shape
            if store.rank:
                store = store[tensorstore.d[:].translate_to[0]]
        except (ValueError, OSError, RuntimeError, TypeError, OverflowError) as error:
            raise FormatError(f"{name}: expected an array ({_short(error)})") from None
        self.dtype, self._store = self._dtype, store
        self.chunks = list(map(int, chunk)) if chunk is not None else list(self.shape)
        if any(size < 0 for size in self.shape) or math.prod(self.chunks) * self.dtype.itemsize > _CHUNK:
            raise FormatError(f"{name}: expected chunks below 2 GiB, found {self.chunks} of {self.dtype}")

    def __getitem__(self, index: Any) -> NDArray[Any]:
        try:
            return np.asarray(self._store[index].read().result())
        except (ValueError, OSError, RuntimeError) as error:
            raise FormatError(f"{self._name}: a chunk cannot be read ({_short(error)})") from None

    def spacing(self, axes: str) -> tuple[list[float | None] | None, str | None]:
        """Of tensorstore's dimension units."""
        units = dict(zip(axes, self._units, strict=True))
        known = [units.get(axis) for axis in "zyx"]
        if any(unit is None for unit in known) or len({unit.base_unit for unit in known if unit}) != 1:
            return None, None
        return [float(unit.multiplier) for unit in known if unit], str(known[0].base_unit) if known[
            0
        ] else None


def _short(error: BaseException) -> str:
    return str(error).partition(" [source locations")[0][:300]


def _axes_of(name: str, dimensions: int) -> str:
    if dimensions not in _DEFAULT_AXES:
        raise FormatError(f"{name}: expected 2 to 5 dimensions, found {dimensions}")
    return _DEFAULT_AXES[dimensions]


# zarr


def _zarr(node: _Node, options: Options) -> Volume:
    third = node.json("zarr.json")
    if third is not None:
        if third.get("node_type") == "array":
            return _zarr_array(node, options, third)
        attributes = third.get("attributes")
        attributes = attributes if isinstance(attributes, dict) else {}
        attributes = attributes.get("ome", attributes)
    else:
        if node.json(".zarray") is not None:
            return _zarr_array(node, options, None)
        attributes = node.json(".zattrs") or {}
        if not attributes and node.json(".zgroup") is None:
            raise FormatError(f"{node.name}: expected a zarr array or group, found neither")
    if not isinstance(attributes, dict):
        raise FormatError(f"{node.name}: expected attributes of a group, found {type(attributes).__name__}")
    if "multiscales" in attributes:
        return _multiscale(node, options, attributes["multiscales"], third is not None)
    if "plate" in attributes or "well" in attributes:
        what = "a plate of wells" if "plate" in attributes else "a well of several fields"
        raise FormatError(
            f"{node.name}: expected an image, found {what}: choose one, such as dataset='{_example(attributes)}'"
        )
    raise FormatError(
        f"{node.name}: expected an array, or a group with multiscales: name an array in it with dataset="
    )


def _example(attributes: dict[str, Any]) -> str:
    try:
        if "plate" in attributes:
            return f"{attributes['plate']['wells'][0]['path']}/0"
        return str(attributes["well"]["images"][0]["path"])
    except (KeyError, IndexError, TypeError):
        return "A/1/0"


def _zarr_array(node: _Node, options: Options, third: dict[str, Any] | None) -> Volume:
    if options.level:
        raise ValueError(f"{node.name}: level must be 0, not {options.level}: it is no pyramid")
    array = node.store("zarr3" if third is not None else "zarr")
    labels = "".join(array.labels)
    axes = (
        labels
        if len(labels) == len(array.shape) and set(labels) <= set("tczyx")
        else _axes_of(node.name, len(array.shape))
    )
    return _volume(node, "zarr", array, axes, ({}, None), options)


def _multiscale(node: _Node, options: Options, multiscales: Any, third: bool) -> Volume:
    scale = multiscales[0] if isinstance(multiscales, list) and multiscales else None
    datasets = scale.get("datasets") if isinstance(scale, dict) else None
    if not isinstance(scale, dict) or not isinstance(datasets, list) or not datasets:
        raise FormatError(f"{node.name}: expected multiscales with datasets, found {str(multiscales)[:100]}")
    if options.level >= len(datasets):
        raise ValueError(f"{node.name}: level must be 0 to {len(datasets) - 1}, not {options.level}")
    dataset = datasets[options.level]
    if not isinstance(dataset, dict) or not isinstance(dataset.get("path"), str):
        raise FormatError(
            f"{node.name}: expected level {options.level} to have a path, found {str(dataset)[:100]}"
        )
    child = node.child(dataset["path"])
    array = child.store("zarr3" if third else "zarr")
    axes, units = _ngff_axes(node, scale.get("axes"), len(array.shape))
    sizes = dict.fromkeys(axes, 1.0)
    stated = False
    for transformations in (dataset.get("coordinateTransformations"), scale.get("coordinateTransformations")):
        for factors in _scales(node, transformations, len(axes)):
            stated = True
            sizes = {axis: size * factor for (axis, size), factor in zip(sizes.items(), factors, strict=True)}
    unit = units.get("z") if len({units.get(axis) for axis in "zyx"}) == 1 else None
    mixed = len({units.get(axis) for axis in "zyx" if axis in axes}) > 1
    spacing: _Spacing = (sizes, unit) if stated and not mixed else ({}, None)
    return _volume(node, "zarr", array, axes, spacing, options)


def _ngff_axes(node: _Node, axes: Any, dimensions: int) -> tuple[str, dict[str, str | None]]:
    """Letters, and units by letter. Objects from 0.4 on, strings in 0.3, nothing before."""
    if axes is None:
        return _axes_of(node.name, dimensions), {}
    letters, units = [], {}
    for axis in axes if isinstance(axes, list) else []:
        entry = axis if isinstance(axis, dict) else {"name": axis}
        name = str(entry.get("name", "")).lower()
        letter = name if len(name) == 1 else {"channel": "c", "time": "t"}.get(str(entry.get("type")), name)
        letters.append(letter)
        units[letter] = str(entry["unit"]) if entry.get("unit") else None
    if (
        len(letters) != dimensions
        or len(set(letters)) != dimensions
        or any(len(letter) != 1 for letter in letters)
    ):
        raise FormatError(f"{node.name}: expected {dimensions} different axes, found {str(axes)[:200]}")
    return "".join(letters), units


def _scales(node: _Node, transformations: Any, dimensions: int) -> list[list[float]]:
    found = []
    for entry in transformations if isinstance(transformations, list) else []:
        if isinstance(entry, dict) and entry.get("type") == "scale" and "scale" in entry:
            factors = _numbers(entry["scale"])
            if factors is None or len(factors) != dimensions:
                raise FormatError(
                    f"{node.name}: expected a scale of {dimensions} numbers, found {str(entry['scale'])[:100]}"
                )
            found.append(factors)
    return found


def _numbers(value: Any) -> list[float] | None:
    if not isinstance(value, list) or not all(
        isinstance(v, (int, float)) and not isinstance(v, bool) for v in value
    ):
        return None
    return [float(v) for v in value]


def _volume(
    node: _Node, format: str, array: _Store, axes: str, spacing: _Spacing, options: Options
) -> Volume:
    sizes, unit = spacing
    name = "_".join([base_name(node.source), *filter(None, node.path.split("/"))])
    return Volume(
        node.name,
        format,
        array,
        axes,
        name=name,
        spacing=[sizes.get(axis) for axis in "zyx"],
        unit=unit,
        chunks=array.chunks,
        channel=options.channel,
    )


# N5


def _n5(node: _Node, options: Options) -> Volume:
    attributes = node.json("attributes.json") or {}
    if "dimensions" not in attributes:
        child = node.child(f"s{options.level}")
        group, attributes = attributes, child.json("attributes.json") or {}
        if "dimensions" not in attributes:
            if node.child("s0").json("attributes.json") is not None:
                raise ValueError(f"{node.name}: level must be one that is there, not {options.level}")
            raise FormatError(
                f"{node.name}: expected an array, or levels s0, s1, ...: name an array in it with dataset="
            )
        attributes = {
            **{key: group[key] for key in ("pixelResolution", "resolution") if key in group},
            **attributes,
        }
    else:
        child = node
        if options.level:
            raise ValueError(f"{node.name}: level must be 0, not {options.level}: it is no pyramid")
    array = child.store("n5")
    n = len(array.shape)
    if not 2 <= n <= 5:
        raise FormatError(f"{child.name}: expected 2 to 5 dimensions, found {n}")
    axes = {2: "xy", 3: "xyz", 4: "xyzc", 5: "xyzct"}[n]  # N5 counts from the fastest
    return _volume(node, "n5", array, axes, _n5_spacing(attributes), options)


def _n5_spacing(attributes: dict[str, Any]) -> _Spacing:
    transform = attributes.get("transform")
    if isinstance(transform, dict):
        scale, names, units = (transform.get(key) for key in ("scale", "axes", "units"))
        numbers = _numbers(scale)
        if numbers and isinstance(names, list) and len(names) == len(numbers):
            unit = units[0] if isinstance(units, list) and len(set(map(str, units))) == 1 else None
            sizes = {str(a).lower(): v for a, v in zip(names, numbers, strict=True)}
            return sizes, str(unit) if unit else None
    resolution: Any = attributes.get("pixelResolution", attributes.get("resolution"))
    unit = None
    if isinstance(resolution, dict):
        resolution, unit = resolution.get("dimensions"), resolution.get("unit")
    numbers = _numbers(resolution)
    if not numbers or len(numbers) < 3:
        return {}, None
    factors = _numbers(attributes.get("downsamplingFactors")) or [1.0] * 3
    if len(factors) < 3:
        return {}, None
    return {axis: v * f for axis, v, f in zip("xyz", numbers, factors, strict=False)}, str(
        unit
    ) if unit else None


# precomputed


def _precomputed(node: _Node, options: Options) -> Volume:
    info = node.json("info")
    scales = info.get("scales") if info is not None else None
    if not isinstance(scales, list) or not scales or not all(isinstance(scale, dict) for scale in scales):
        raise FormatError(f"{node.name}: expected info with scales, found {str(info)[:100]}")
    number = options.level
    if options.dataset is not None:
        keys: Sequence[str] = [str(scale.get("key")) for scale in scales]
        if options.dataset not in keys:
            raise ValueError(
                f"{node.name}: dataset must be one of {', '.join(keys)}, not {options.dataset!r}"
            )
        number = keys.index(options.dataset)
    if number >= len(scales):
        raise ValueError(f"{node.name}: level must be 0 to {len(scales) - 1}, not {number}")
    array = node.store("neuroglancer_precomputed", scale_index=number)
    resolution = _numbers(scales[number].get("resolution"))
    sizes = dict(zip("xyz", resolution, strict=False)) if resolution and len(resolution) == 3 else {}
    return _volume(node, "precomputed", array, "xyzc", (sizes, "nanometer" if sizes else None), options)
