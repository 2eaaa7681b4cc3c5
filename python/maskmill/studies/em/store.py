"""What `maskmill em patchify` and `dedupe` leave behind: patches, and where each came from.

OUT/run.json            parameters, versions, counts, times: the only file that differs between runs
OUT/manifest.parquet    a row for every kept patch, in order of rank
OUT/audit.parquet       a row for every dropped patch: why, by whom, at what distance
OUT/patches/*.tiff      the pixels, many pages a file (layout "store")
OUT/<dataset>/*.tiff    the pixels, a file each, as pre-training code globs them (layout "files")
OUT/*.pkl               the pixels, as cem-dataset has them (layout "pickle")
OUT/failed.jsonl        inputs that failed, if any, with the reason
OUT/work/               while a run is going on: what a run that is resumed need not do again
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError
from maskmill.studies.em.pickles import read_pickle
from maskmill.studies.em.shards import read_pages, write_shard
from maskmill.studies.em.tables import Table, find_table, read_table

_PLACE = {
    "id": "int64",  # number in natural order among all patches that were cut
    "dataset": "str",
    "name": "str",
    "source": "str",  # the file that it was cut from
    "axis": "int8",  # 0 xy, 1 xz, 2 yz; -1 an image
    "index": "int64",  # of the slice
    "y0": "int64",  # within the slice: rows y0 to y1, columns x0 to x1
    "y1": "int64",
    "x0": "int64",
    "x1": "int64",
    "code": "str",  # hash, in hexadecimal
}
MANIFEST = {
    **_PLACE,
    "shard": "str",  # file below OUT
    "page": "int64",
    "digest": "str",  # of the source
    "dtype": "str",  # of the source
    "scaling": "str",  # how that became uint8, as JSON
    "spacing_z": "float64",  # NaN: unknown
    "spacing_y": "float64",
    "spacing_x": "float64",
    "hash": "str",  # what the code is
    "rank": "int64",
    "quality": "float64",  # of the table that gave the order; else NaN
    "score": "float64",  # of `em filter`
    "label": "str",  # good, bad or none; empty: not labelled
}
AUDIT = {**_PLACE, "reason": "str", "leader": "int64", "distance": "int64"}
"""`leader`: id of the patch that dropped this one, or -1; `distance`: to its code, or -1."""

REASONS = ("duplicate", "overlap", "flat", "padding", "small", "saturated")


class Store:
    """Patches on disk, opened by `open_store`.

    Attributes
    ----------
    path : Path
    run : dict
        What `run.json` says.
    manifest : dict of arrays
        The columns of `MANIFEST`, one row for each kept patch.
    audit : dict of arrays
        The columns of `AUDIT`, one row for each dropped patch.
    """

    def __init__(self, path: Path, run: dict[str, Any]) -> None:
        self.path, self.run = path, run

    def _table(self, name: str, schema: dict[str, str]) -> Table:
        path = find_table(self.path / name)
        if path is None:
            raise FormatError(f"{self.path}: holds no {name}.parquet")
        return read_table(path, schema)

    @cached_property
    def manifest(self) -> Table:
        return self._table("manifest", MANIFEST)

    @cached_property
    def audit(self) -> Table:
        return self._table("audit", AUDIT)

    def __len__(self) -> int:
        return len(self.manifest["id"])

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r}, {len(self)} patches)"

    def patch(self, row: int) -> NDArray[np.uint8]:
        """The (h, w) pixels of a row of the manifest."""
        return next(self.patches([row]))

    def patches(self, rows: Iterable[int] | None = None) -> Iterator[NDArray[np.uint8]]:
        """The (h, w) pixels of these rows of the manifest, or of all, one by one in the order asked for."""
        table = self.manifest
        opened: tuple[str, Callable[[int], NDArray[np.uint8]]] | None = None
        for row in range(len(self)) if rows is None else rows:
            shard = str(table["shard"][row])
            if opened is None or opened[0] != shard:
                height = int(table["y1"][row] - table["y0"][row])
                opened = shard, self._reader(shard, height, int(table["x1"][row] - table["x0"][row]))
            yield opened[1](int(table["page"][row]))

    @cached_property
    def _pages(self) -> dict[str, int]:
        shards, counts = np.unique(self.manifest["shard"].astype(str), return_counts=True)
        return dict(zip(shards.tolist(), counts.tolist(), strict=True))

    def _reader(self, shard: str, height: int, width: int) -> Callable[[int], NDArray[np.uint8]]:
        path = self.path / shard
        if path.suffix == ".pkl":
            return read_pickle(path).patches.__getitem__
        return lambda page: next(read_pages(path, [page], self._pages[shard], height, width))

    def storage_order(self) -> NDArray[np.int64]:
        """Rows in the order in which their pixels lie on disk: the order to read many in."""
        return np.lexsort((self.manifest["page"], self.manifest["shard"].astype(str)))

    def export(self, out: str | Path, rows: Sequence[int] | None = None) -> int:
        """Write `<out>/<dataset>/<name>.tiff` for these rows, or for all: what pre-training code globs.

        Returns the number of files.
        """
        order = self.storage_order()
        if rows is not None:
            order = order[np.isin(order, np.asarray(rows, np.int64))]
        datasets, names = self.manifest["dataset"], self.manifest["name"]
        for row, patch in zip(order.tolist(), self.patches(order.tolist()), strict=True):
            write_patch(Path(out), str(datasets[row]), str(names[row]), patch)
        return len(order)


def open_store(path: str | Path) -> Store:
    """Open what `maskmill em patchify`, `dedupe` or `filter` wrote.

    Raises
    ------
    FormatError
        If the folder is no store, or the run that writes it has not ended.
    """
    path = Path(path)
    run = read_run(path)
    if run is None:
        raise FormatError(f"{path}: must be a store of patches, with a run.json")
    if run["state"] != "complete":
        raise FormatError(
            f"{path}: the run that writes it has not ended; give its command again to resume it"
        )
    return Store(path, run)


def read_run(path: Path) -> dict[str, Any] | None:
    """What run.json says; None if there is none."""
    if not path.is_dir():
        raise FileNotFoundError(2, "no such folder", str(path))
    try:
        run = json.loads((path / "run.json").read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise FormatError(f"{path / 'run.json'}: not JSON ({error})") from None
    if not isinstance(run, dict) or run.get("state") not in ("running", "complete"):
        raise FormatError(f"{path / 'run.json'}: must tell the state of a run of maskmill em")
    return run


def patch_path(dataset: str, name: str) -> str:
    """Where a patch lies below the root of a tree of files."""
    for part in (dataset, name):
        if not part or part in (".", "..") or set(part) & set("/\\\0"):
            raise FormatError(f"{part!r} cannot be the name of a file or folder")
    return f"{dataset}/{name}.tiff"


def write_patch(out: Path, dataset: str, name: str, patch: NDArray[np.uint8]) -> None:
    """Write a patch as a file of its own, whole or not at all."""
    path = out / patch_path(dataset, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_shard(path, 1, patch.shape[0], patch.shape[1], [patch[None]])
