"""OME-Zarr 0.4 and 0.5, plain zarr, N5 and precomputed as volumes, in folders and at URLs (by tensorstore).

What lies there is described by `maskmill.io.multiscale` and read by `maskmill.io.remote`. Voxel sizes are of the level
that is read, in nanometers where the metadata name a unit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError, need
from maskmill.io._volume import Options, Volume, base_name
from maskmill.io.multiscale import DEFAULT_AXES
from maskmill.io.remote import RemoteArray, Source, plain


def open_zarr(path: str, options: Options) -> Volume:
    return _open(path, "zarr", options)


def open_n5(path: str, options: Options) -> Volume:
    return _open(path, "n5", options)


def open_precomputed(path: str, options: Options) -> Volume:
    return _open(path, "precomputed", options)


def open_remote(url: str, options: Options) -> Volume:
    """http, https, s3, gs and file URLs; "zarr://", "n5://" and "precomputed://" before one say what is there."""
    return _open(url, "", options)


def _open(address: str, kind: str, options: Options) -> Volume:
    inner = options.dataset.strip("/") if options.dataset else ""
    if ".." in inner.split("/"):
        raise ValueError(f"dataset must be a path within {address}, not {options.dataset!r}")
    place = f"{address.rstrip('/')}/{inner}" if inner else address
    try:
        source = Source(place, format=kind or None)
    except FormatError as error:
        if inner or "plate" in str(error):
            raise
        raise FormatError(f"{error}; an array within it is opened by dataset=") from None
    levels = source.pyramid.levels
    if options.level >= len(levels):
        raise ValueError(f"{place}: level must be 0 to {len(levels) - 1}, not {options.level}")
    level = levels[options.level]
    array = _Channels(source, options.level)
    return Volume(
        place,
        kind or source.pyramid.format,
        array,
        "zyxc",
        name="_".join([base_name(address), *filter(None, inner.split("/"))]),
        spacing=level.voxel,
        unit=level.unit,
        chunks=array.chunks,
        channel=options.channel,
    )


class _Channels:
    """The channels of a level as the last axis; each is read when it is asked for."""

    def __init__(self, source: Source, level: int) -> None:
        first = source.open(level)
        self._source, self._level = source, source.pyramid.levels[level]
        self._opened = {0: first}
        self.shape, self.dtype, self.chunks = (*first.shape, first.channels), first.dtype, (*first.chunks, 1)

    def __getitem__(self, index: tuple[slice, slice, slice, slice]) -> NDArray[Any]:
        z, y, x, channels = index
        box = (z.start, z.stop, y.start, y.stop, x.start, x.stop)
        planes = []
        for number in range(channels.start, channels.stop):
            if number not in self._opened:
                self._opened[number] = RemoteArray(self._source, self._level, number)
            planes.append(self._opened[number].read(box))
        return planes[0][..., None] if len(planes) == 1 else np.stack(planes, axis=-1)


def open_spec(spec: Mapping[str, Any], options: Options) -> Volume:
    """A TensorStore spec. Its axes are its own labels, or z, y, x with time and channels before."""
    array = _Spec(dict(spec))
    labels = array.labels if all(label in "tczyx" for label in array.labels) else ()
    axes = "".join(labels)
    if len(axes) != len(array.shape):
        if len(array.shape) not in DEFAULT_AXES:
            raise FormatError(f"{array.name}: expected 2 to 5 dimensions, found {len(array.shape)}")
        axes = DEFAULT_AXES[len(array.shape)]
    return Volume(
        array.name, "tensorstore", array, axes, name="volume", chunks=array.chunks, channel=options.channel
    )


class _Spec:
    """An array that a spec describes, counted from 0."""

    def __init__(self, spec: dict[str, Any]) -> None:
        tensorstore = need("tensorstore", "em")
        self.name = json.dumps(spec, default=str)
        try:
            store = tensorstore.open(spec, read=True, open=True).result()
            self._store = store[tensorstore.d[:].translate_to[0]] if store.rank else store
        except (ValueError, OSError) as error:
            raise plain(error, self.name) from None
        self.shape, self.dtype = tuple(map(int, store.shape)), np.dtype(store.dtype.numpy_dtype)
        self.labels = tuple(map(str, store.domain.labels))
        self.chunks = tuple(map(int, store.chunk_layout.read_chunk.shape or self.shape))

    def __getitem__(self, index: Any) -> NDArray[Any]:
        try:
            return np.asarray(self._store[index].read().result())
        except (ValueError, OSError) as error:
            raise plain(error, self.name) from None
