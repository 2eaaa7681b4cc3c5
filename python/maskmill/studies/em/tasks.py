"""The two kinds of tasks of `maskmill em patchify`, as plain functions of plain arguments: any executor can run them,
in any order, more than once.

Stage 1 reads boxes and hashes what is cut from them: its rows go into a part file, its pixels nowhere. Stage 3 reads
again what was kept, and writes it into a shard.
"""

from __future__ import annotations

import json
import math
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from maskmill import hashes, patches
from maskmill._files import FormatError, written_whole
from maskmill.io.intensity import Scaling
from maskmill.io.volumes import Volume
from maskmill.studies.em.inputs import Source, content_digest
from maskmill.studies.em.names import FLAT_IMAGE
from maskmill.studies.em.pickles import write_pickle
from maskmill.studies.em.plan import Cells, box_of, good_read, runs, union
from maskmill.studies.em.shards import write_shard
from maskmill.studies.em.tables import read_table, write_table

Columns = dict[str, NDArray[Any]]

PLACE = ("source", "axis", "index", "y0", "y1", "x0", "x1")


def part_schema(words: int, described: bool) -> dict[str, str]:
    """Columns of a part file, a row for each patch; with `described`, also what its grey values are like."""
    stats = {"low": "uint8", "high": "uint8", "at_low": "float32", "at_high": "float32", "padding": "float32"}
    return {
        **dict.fromkeys(PLACE, "int32"),
        "axis": "int8",
        **{f"code{word}": "uint64" for word in range(words)},
        **(stats if described else {}),
    }


@dataclass(frozen=True)
class Piece:
    """A box of a source, and the cells that are cut from it."""

    number: int
    source: Source
    cells: Cells
    box: tuple[int, ...]


@dataclass(frozen=True)
class HashTask:
    """Stage 1: hash these pieces and write their rows beside `part`."""

    part: str
    pieces: tuple[Piece, ...]
    hash_size: int
    crop: int
    described: bool
    padding: float | None
    cache: int


@dataclass(frozen=True)
class DigestTask:
    """Digests of the contents of files."""

    paths: tuple[str, ...]


@dataclass(frozen=True)
class ShardTask:
    """Stage 3: write these kept patches as the pages of a shard, or, with `names`, into a pickle."""

    path: str
    sources: dict[int, Source]
    rows: Columns
    cache: int
    most: int
    names: tuple[str, ...] | None = None


# Reading


class _Blocks:
    """The last blocks that were read in this process, as uint8: stage 3 needs them again, and neighbours overlap."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks: OrderedDict[tuple[Source, tuple[int, ...]], NDArray[np.uint8]] = OrderedDict()

    def find(
        self, source: Source, box: NDArray[np.int64]
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]] | None:
        """A block that holds a box, and where it begins."""
        with self._lock:
            for (owner, around), block in self._blocks.items():
                ends = np.array(around)
                if owner == source and (ends[::2] <= box[::2]).all() and (box[1::2] <= ends[1::2]).all():
                    self._blocks.move_to_end((owner, around))
                    return block, ends[::2]
        return None

    def keep(self, source: Source, box: tuple[int, ...], block: NDArray[np.uint8], most: int) -> None:
        with self._lock:
            if block.nbytes <= most:
                self._blocks[source, box] = block
            while self._blocks and sum(b.nbytes for b in self._blocks.values()) > most:
                self._blocks.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._blocks.clear()


_blocks = _Blocks()


@lru_cache(maxsize=4)
def _opened(source: Source) -> Volume:
    """Volumes stay open: a compressed one is unpacked when it is opened."""
    return source.open()


def forget() -> None:
    """Close what is open, and let go of what was read."""
    _blocks.clear()
    _opened.cache_clear()


def read(source: Source, box: NDArray[np.int64], cache: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """A uint8 block that holds a box of a source, and where it begins (z, y, x). Beyond the volume there are zeros.

    It is valid until this thread reads again.
    """
    found = _blocks.find(source, box)
    if found is not None:
        return found
    inside = box.copy()
    inside[1::2] = np.minimum(box[1::2], source.shape)
    shape = (inside[1::2] - inside[::2]).tolist()
    scaling = Scaling.from_json(source.scaling)
    if source.image:
        with source.open() as image:
            block = scaling.apply(image.read(inside.tolist()))
    elif (volume := _opened(source)).is_raw:
        voxels = volume.read(inside.tolist(), out=_scratch("voxels", shape, volume.dtype))
        block = scaling.apply(voxels, None if scaling.is_identity else _scratch("block", shape))
        cache = 0  # read again, it costs less than memory that is touched for the first time
    else:
        block = scaling.apply(volume.read(inside.tolist()))
    beyond = box[1::2] - inside[1::2]
    if beyond.any():
        block = np.pad(block, [(0, n) for n in beyond.tolist()])
    if cache:
        _blocks.keep(source, tuple(box.tolist()), block, cache)
    return block, box[::2]


def _in_block(
    axis: int, tile: NDArray[np.int64], slices: NDArray[np.int64], start: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Tiles and slices counted from where a block begins."""
    rows, columns = (int(start[a]) for a in (0, 1, 2) if a != axis)
    return tile - np.array([rows, rows, columns, columns]), slices.astype(np.int64) - int(start[axis])


_memory = threading.local()


def free_scratch() -> None:
    """Give the memory of all threads back to the system, between stages that need it."""
    global _memory
    _memory = threading.local()


def _scratch(name: str, shape: Sequence[int], dtype: DTypeLike = np.uint8) -> NDArray[Any]:
    """Memory that this thread uses again and again: that of the system is slow at first touch."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    buffer: NDArray[np.uint8] = getattr(_memory, name, np.empty(0, np.uint8))
    if buffer.size < size:
        buffer = np.empty(size, np.uint8)
        setattr(_memory, name, buffer)
    return buffer[:size].view(dtype).reshape(shape)


# Stage 1

FAILED = ".failed"
"""Ending of the file beside a part that says which sources failed, if any."""


def stage1(task: HashTask | DigestTask) -> Any:
    """Run a task of stage 1; of digests, give them."""
    if isinstance(task, DigestTask):
        return [content_digest(path) for path in task.paths]
    _hash(task)
    return None


def _hash(task: HashTask) -> None:
    failed: dict[int, str] = {}
    tables: list[Columns] = []
    for piece in task.pieces:
        try:
            block, start = read(piece.source, np.array(piece.box), task.cache)
            tables.extend(_rows(task, piece, cells, block, start) for cells in piece.cells.alike())
        except (OSError, ValueError, ImportError) as error:
            if isinstance(error, OSError) and error.errno in _OURS:
                raise
            failed[piece.number] = str(error) or type(error).__name__
    schema = part_schema(-(-(task.hash_size**2) // 64), task.described)
    table = {
        name: np.concatenate([t[name] for t in tables], dtype=kind, casting="same_kind")
        if tables
        else np.empty(0, kind)
        for name, kind in schema.items()
    }
    if failed:  # before the part, which says that the task is done
        with written_whole(Path(task.part + FAILED)) as file:
            file.write(json.dumps(failed).encode())
    write_table(Path(task.part), table, schema)


_OURS = (28, 122, 30, 12)
"""No space, over quota, read-only, no memory: faults of where we work, not of what we read."""


def _rows(
    task: HashTask, piece: Piece, cells: Cells, block: NDArray[np.uint8], start: NDArray[np.int64]
) -> Columns:
    axis, slices = int(cells.axis[0]), cells.slices()
    tiles, planes = _in_block(axis, cells.tile, slices, start)
    codes = hashes.planes(block, axis, tiles, planes, hash_size=task.hash_size, crop=task.crop)
    stats = patches.stats(block, axis, tiles, planes, padding=task.padding) if task.described else None
    n = len(slices)
    place = cells.tile.repeat(n, 0)
    return {
        "source": np.full(len(place), piece.number),
        "axis": np.full(len(place), FLAT_IMAGE if piece.source.image else axis),
        "index": np.tile(slices, len(cells)),
        **{name: place[:, column] for column, name in enumerate(("y0", "y1", "x0", "x1"))},
        **{f"code{word}": codes[:, word] for word in range(codes.shape[1])},
        **({} if stats is None else _described(stats)),
    }


def _described(stats: patches.Stats) -> Columns:
    return {
        "low": stats.min,
        "high": stats.max,
        "at_low": stats.at_min.astype(np.float32),
        "at_high": stats.at_max.astype(np.float32),
        "padding": stats.padding.astype(np.float32),
    }


def read_parts(paths: list[Path], words: int, described: bool) -> Columns:
    """The rows of part files in natural order: by source, axis, slice, row, column."""
    schema = part_schema(words, described)
    tables = [_read_part(path, schema) for path in paths]
    whole: Columns = {}
    for name, kind in schema.items():  # column by column: there are never two of all of them
        parts = [table.pop(name) for table in tables]
        whole[name] = np.concatenate(parts) if parts else np.empty(0, kind)
    order = np.lexsort([whole[name] for name in ("x0", "y0", "index", "axis", "source")])
    for name in whole:
        whole[name] = whole[name][order]
    return whole


def _read_part(path: Path, schema: dict[str, str]) -> Columns:
    try:
        return read_table(path, schema)
    except FormatError as error:
        path.unlink()  # so that it is made again
        raise FormatError(
            f"{path}: damaged, perhaps by a power cut: give the command again to have it made anew ({error})"
        ) from None


# Stage 3


def storage_order(rows: Columns, crop: int) -> NDArray[np.int64]:
    """The order in which patches lie in shards: that in which cubes of the volumes are read."""
    box = _boxes(rows)
    z, y, x = (box[:, 2 * a] // crop for a in (0, 1, 2))
    keys = (rows["index"], rows["x0"], rows["y0"], rows["axis"], x, y, z, rows["source"])
    return np.lexsort(keys)


def _boxes(rows: Columns) -> NDArray[np.int64]:
    tile = np.stack([rows[name] for name in ("y0", "y1", "x0", "x1")], -1)
    return box_of(np.maximum(rows["axis"], 0), tile, rows["index"], rows["index"] + 1)


def stage3(task: ShardTask) -> None:
    """Write a shard or a pickle."""
    rows, path = task.rows, Path(task.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if task.names is not None:
        # Rows come in the order of the pickle; they are read in the order of storage.
        order = storage_order(rows, 1 << 8)
        found: list[Any] = [None] * len(order)
        blocks = cut({name: column[order] for name, column in rows.items()}, task)
        pages = (page.copy() for block in blocks for page in block)
        for place, page in zip(order.tolist(), pages, strict=True):
            found[place] = page
        write_pickle(path, task.names, found)
    else:
        height, width = int(rows["y1"][0] - rows["y0"][0]), int(rows["x1"][0] - rows["x0"][0])
        write_shard(path, len(rows["axis"]), height, width, cut(rows, task))


def cut(rows: Columns, task: ShardTask) -> Iterator[NDArray[np.uint8]]:
    """The pixels of rows in storage order, as (n, h, w) blocks. A block is valid until the next one is asked for."""
    if not len(rows["axis"]):
        return
    box = _boxes(rows)
    keys = np.stack([rows[name] for name in ("source", "axis", "y0", "y1", "x0", "x1")], -1)
    # Adjacent slices of one tile are cut at once; a box of them is never wider than what may be read.
    starts = np.flatnonzero(np.r_[True, (keys[1:] != keys[:-1]).any(1) | (np.diff(rows["index"]) <= 0)])
    ends = np.r_[starts[1:], len(keys)]
    pieces = [(int(a), int(b)) for a, b in zip(starts, ends, strict=True)]
    around = np.array([union(box[a:b]) for a, b in pieces]).reshape(-1, 6)
    number = rows["source"][starts]
    for first, last in _same(number):
        source = task.sources[int(number[first])]
        side = int((keys[starts[first:last], 3::2] - keys[starts[first:last], 2::2]).max())
        for a, b in runs(around[first:last], good_read(source.shape, source.chunks, side, task.most)):
            whole, held = union(around[first + a : first + b]), None
            for start, end in pieces[first + a : first + b]:
                found = held or _blocks.find(source, union(box[start:end]))
                block, origin = found or (held := read(source, whole, task.cache))
                axis = max(int(rows["axis"][start]), 0)
                tile, slices = _in_block(axis, keys[start : start + 1, 2:], rows["index"][start:end], origin)
                shape = (1, end - start, *(tile[0, 1::2] - tile[0, ::2]).tolist())
                out = _scratch("planes", shape)
                yield patches.planes(block, axis, tile, slices, out=out)[0]


def _same(numbers: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Runs of equal numbers."""
    starts = np.flatnonzero(np.r_[True, np.diff(numbers) != 0]) if len(numbers) else numbers
    yield from zip(starts.tolist(), [*starts[1:].tolist(), len(numbers)], strict=True)
