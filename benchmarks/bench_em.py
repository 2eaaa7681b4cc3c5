"""em: one volume cut along all three axes, hashed and deduplicated; beside it, reading and writing alone.

The rival is cem-dataset's algorithm (rivals_em.py); with `legacy` both write the same pickle. By default maskmill
writes a store, whose floor is to read the volume once and to write what is kept.
"""

from __future__ import annotations

import functools
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import rivals, rivals_em
from .measure import OURS, Cases, Race, Settings
from .workloads import Workload

CASES = Cases("em", needs_core=True, needs=("nrrd", "pyarrow"))


@dataclass
class Cut:
    """A volume on disk, the side of its patches, and a folder for what comes out."""

    volume: Path
    out: Path
    crop: int
    bytes: int


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="maskmill-bench-")  # removed when Python ends


def texture(side: int, crop: int) -> Cut:
    """Smooth noise of several sizes with grain, so that neighbouring slices are alike as in real ones."""
    import cv2

    from maskmill.io.volumes import write_volume

    rng = np.random.default_rng(side)
    volume = np.zeros((side, side, side), np.float32)
    for size in (4, 12, 40):
        coarse = rng.standard_normal((-(-side // size) + 1,) * 3, np.float32)
        planes = np.stack([cv2.resize(plane, (side, side)) for plane in coarse])
        volume += size**0.5 * np.stack([cv2.resize(planes[:, y], (side, side)) for y in range(side)], 1)
    volume *= 20 / volume.std()
    volume += rng.integers(120, 137, volume.shape, np.uint8)
    folder = Path(_folder().name)
    path = folder / f"texture{side}.nrrd"
    write_volume(path, np.clip(volume, 0, 255).astype(np.uint8), spacing=(8, 8, 8))
    return Cut(path, folder, crop, volume.size)


SMALL = Workload("96^3, patches of 32", lambda _: texture(96, 32), quick=True)
LARGE = Workload("512^3, patches of 224", lambda _: texture(512, 224))


def _patchify(cut: Cut, out: Path, **given: Any) -> Any:
    from maskmill.studies.em.patchify import patchify
    from maskmill.studies.em.plan import Grid
    from maskmill.studies.em.select import Rule
    from maskmill.studies.em.settings import Settings as Given

    rule = Rule(seed=0) if given.get("legacy") else Rule()
    return patchify([str(cut.volume)], out, Given(grid=Grid(cut.crop), rule=rule, **given), overwrite=True)


@CASES.add("em_patchify", SMALL, LARGE)
def em_patchify(cut: Cut, settings: Settings) -> Race:
    race = Race(read=cut.bytes, must_equal_pycocotools=False)
    ours, theirs = (cut.out / f"{cut.volume.stem}-{whose}" for whose in ("ours", "theirs"))
    race.add(OURS, lambda: _patchify(cut, ours, legacy=True), lambda _: rivals_em.read(ours))
    rivals.enter(race, settings, "em_patchify", cut.volume, theirs, cut.crop)
    return race


@CASES.add("em_patchify, store", SMALL, LARGE)
def store(cut: Cut, settings: Settings) -> Race:
    out = cut.out / "store"
    kept = _patchify(cut, out).kept
    race = Race(read=cut.bytes, written=kept * cut.crop**2)
    race.add(OURS, lambda: _patchify(cut, out), lambda report: report.kept)
    return race


@CASES.add("em_patchify, store: reading and writing alone", SMALL, LARGE)
def read_and_write(cut: Cut, settings: Settings) -> Race:
    """The floor of the row above, by the same reader and writer."""
    from maskmill.io.volumes import open_volume
    from maskmill.studies.em.shards import write_shard

    kept = _patchify(cut, cut.out / "store").kept
    patches = np.zeros((kept, cut.crop, cut.crop), np.uint8)
    path = cut.out / "floor.tiff"

    def call() -> None:
        with open_volume(cut.volume) as volume:
            depth, height, width = volume.shape
            for z in range(0, depth, cut.crop):
                for y in range(0, height, cut.crop):
                    volume.read((z, min(z + cut.crop, depth), y, min(y + cut.crop, height), 0, width))
        write_shard(path, kept, cut.crop, cut.crop, [patches])

    race = Race(read=cut.bytes, written=patches.nbytes)
    race.add(OURS, call)
    return race
