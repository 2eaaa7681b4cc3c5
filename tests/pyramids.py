"""Makers of image pyramids for the tests of remote sources: the same voxels as OME-Zarr, Zarr, N5 and precomputed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ts = pytest.importorskip("tensorstore")

KINDS = ("ome-zarr-0.4", "ome-zarr-0.5", "zarr2", "zarr3", "n5", "precomputed", "sharded")
VOXEL = (40.0, 4.0, 6.0)
"""Of the finest level, z, y, x, in nm."""


def specimen(shape: Sequence[int], dtype: Any = np.uint8, seed: int = 0) -> np.ndarray:
    """(D, H, W): blobs of 1 to 250, and a quarter of padding, 0, along x."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(1, 251, [-(-n // 4) for n in shape])
    volume = coarse.repeat(4, 0).repeat(4, 1).repeat(4, 2)[: shape[0], : shape[1], : shape[2]].astype(dtype)
    volume[:, :, : shape[2] // 4] = 0
    return np.ascontiguousarray(volume)


def levels_of(volume: np.ndarray, n: int) -> list[np.ndarray]:
    """Each level takes every second voxel of the one before."""
    return [np.ascontiguousarray(volume[:: 2**k, :: 2**k, :: 2**k]) for k in range(n)]


def write(folder: Path, kind: str, volume: np.ndarray, *, levels: int = 3, chunk: int = 16) -> str:
    """Write a pyramid; returns its name within the folder, as a URL would have it."""
    name = {"precomputed": "em.precomputed", "sharded": "em.sharded", "n5": "em.n5/raw"}.get(
        kind, f"em.{kind}.zarr"
    )
    root = folder / name
    root.mkdir(parents=True, exist_ok=True)
    arrays = levels_of(volume, levels if kind not in ("zarr2", "zarr3") else 1)
    for k, array in enumerate(arrays):
        _WRITERS[kind](root, k, array, [min(chunk, n) for n in array.shape])
    if kind.startswith("ome-zarr"):
        _describe_ngff(root, kind, len(arrays))
    if kind == "n5":
        (root / "attributes.json").write_text(json.dumps({"n5": "2.0.0"}))
    return name


def _fill(spec: dict[str, Any], array: np.ndarray) -> None:
    store = ts.open(spec, create=True, delete_existing="scale_index" not in spec).result()
    store[...] = array


def _file(path: Path) -> dict[str, str]:
    return {"driver": "file", "path": f"{path}/"}


def _zarr2(root: Path, k: int, array: np.ndarray, chunk: list[int], path: str = "") -> None:
    metadata = {
        "shape": list(array.shape),
        "chunks": chunk,
        "dtype": array.dtype.newbyteorder("<").str,
        "compressor": {"id": "zlib", "level": 1},
        "dimension_separator": "/",
    }
    _fill({"driver": "zarr", "kvstore": _file(root / path), "metadata": metadata}, array)


def _zarr3(root: Path, k: int, array: np.ndarray, chunk: list[int], path: str = "") -> None:
    metadata = {
        "shape": list(array.shape),
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
        "data_type": str(array.dtype),
        "codecs": [{"name": "gzip", "configuration": {"level": 1}}, {"name": "crc32c"}],
    }
    codecs = metadata["codecs"]
    codecs.insert(0, {"name": "bytes", "configuration": {"endian": "little"}})
    _fill({"driver": "zarr3", "kvstore": _file(root / path), "metadata": metadata}, array)


def _n5(root: Path, k: int, array: np.ndarray, chunk: list[int]) -> None:
    metadata = {
        "dimensions": list(array.shape[::-1]),
        "blockSize": chunk[::-1],
        "dataType": str(array.dtype),
        "compression": {"type": "gzip"},
        "transform": {
            "axes": ["z", "y", "x"],
            "units": ["nm"] * 3,
            "scale": [v * 2**k for v in VOXEL],
            "translate": [0.0] * 3,
        },
    }
    _fill({"driver": "n5", "kvstore": _file(root / f"s{k}"), "metadata": metadata}, array.transpose(2, 1, 0))


def _precomputed(root: Path, k: int, array: np.ndarray, chunk: list[int], sharding: Any = None) -> None:
    scale = {
        "size": list(array.shape[::-1]),
        "encoding": "raw",
        "chunk_size": chunk[::-1],
        "resolution": [v * 2**k for v in VOXEL[::-1]],
        "voxel_offset": [100 >> k, 60 >> k, 20 >> k],
        **({"sharding": sharding} if sharding else {}),
    }
    spec = {
        "driver": "neuroglancer_precomputed",
        "kvstore": _file(root),
        "scale_index": k,
        "multiscale_metadata": {"type": "image", "data_type": str(array.dtype), "num_channels": 1},
        "scale_metadata": scale,
    }
    _fill(spec, array.transpose(2, 1, 0)[..., None])


def _sharded(root: Path, k: int, array: np.ndarray, chunk: list[int]) -> None:
    sharding = {
        "@type": "neuroglancer_uint64_sharded_v1",
        "preshift_bits": 1,
        "minishard_bits": 2,
        "shard_bits": 1,
        "hash": "identity",
        "data_encoding": "gzip",
        "minishard_index_encoding": "gzip",
    }
    _precomputed(root, k, array, chunk, sharding)


_WRITERS = {
    "ome-zarr-0.4": lambda root, k, array, chunk: _zarr2(root, k, array, chunk, f"s{k}"),
    "ome-zarr-0.5": lambda root, k, array, chunk: _zarr3(root, k, array, chunk, f"s{k}"),
    "zarr2": _zarr2,
    "zarr3": _zarr3,
    "n5": _n5,
    "precomputed": _precomputed,
    "sharded": _sharded,
}


def _describe_ngff(root: Path, kind: str, levels: int) -> None:
    image = {
        "axes": [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "zyx"],
        "datasets": [
            {
                "path": f"s{k}",
                "coordinateTransformations": [{"type": "scale", "scale": [v * 2**k / 1000 for v in VOXEL]}],
            }
            for k in range(levels)
        ],
    }
    if kind == "ome-zarr-0.4":
        (root / ".zgroup").write_text('{"zarr_format": 2}')
        (root / ".zattrs").write_text(json.dumps({"multiscales": [{**image, "version": "0.4"}]}))
    else:
        attributes = {"ome": {"version": "0.5", "multiscales": [image]}}
        (root / "zarr.json").write_text(
            json.dumps({"zarr_format": 3, "node_type": "group", "attributes": attributes})
        )
