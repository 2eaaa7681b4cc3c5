"""What cem-dataset's patchify3d does to one volume, written anew from its description, as the rival of `em patchify`.

One process, as there for one file: SimpleITK reads, Pillow and ImageHash make one hash after the other, and every
exemplar is compared with all that remain as rows of booleans, which are then copied without what it dropped.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Operation = Callable[..., tuple[Callable[[], Any], Callable[[Any], Any]]]


def cem_dataset() -> dict[str, Operation]:
    import imagehash  # noqa: F401 - it takes part only where it can

    def em_patchify(volume: Path, out: Path, crop: int) -> Any:
        out.mkdir(exist_ok=True)
        return lambda: patchify(volume, out / f"{volume.stem}.pkl", crop=crop, seed=0), lambda _: read(out)

    return {"em_patchify": em_patchify}


def read(folder: Path) -> list[Any]:
    """Names and patches of the one pickle in a folder."""
    from maskmill.studies.em.pickles import read_pickle

    found = read_pickle(next(folder.glob("*.pkl")))
    return [list(found.names), list(found.patches)]


FULL_SCALE = {"uint16": 65535, "int16": 32767, "uint32": 4294967295, "float32": 1.0}


def patchify(
    volume: Path,
    out: Path,
    axes: tuple[int, ...] = (0, 1, 2),
    crop: int = 224,
    hash_size: int = 8,
    radius: int = 12,
    seed: int | None = None,
) -> int:
    """Writes {names, patches} to `out`; returns how many patches were kept."""
    import SimpleITK

    image = SimpleITK.ReadImage(str(volume))
    array = SimpleITK.GetArrayFromImage(image)
    name = volume.name.split(".")[0]
    patches, names = cut(array, name, axes, crop)
    hashes = [dhash(patch, crop, hash_size) for patch in patches]
    kept = dedupe(hashes, radius, np.random.RandomState(seed).permutation(len(hashes)))
    with open(out, "wb") as file:
        pickle.dump({"names": [names[i] for i in kept], "patches": [patches[i] for i in kept]}, file)
    return len(kept)


def cut(
    array: NDArray[Any], name: str, axes: tuple[int, ...], crop: int
) -> tuple[list[NDArray[np.uint8]], list[str]]:
    if array.dtype != np.uint8:
        array = (array.astype(np.float32) / FULL_SCALE[array.dtype.name] * 255).astype(np.uint8)
    patches, names = [], []
    for axis in axes:
        length = array.shape[axis]
        digits = int(np.ceil(np.log10(length - 1)))
        for index in range(length - 1):
            plane = array.take(index, axis=axis)
            rows, columns = (max(1, round(side / crop)) for side in plane.shape)
            for r in range(rows):
                for c in range(columns):
                    y0, x0 = r * crop, c * crop
                    y1, x1 = min(y0 + crop, plane.shape[0]), min(x0 + crop, plane.shape[1])
                    patches.append(plane[y0:y1, x0:x1])
                    names.append(f"{name}-LOC-{axis}_{str(index).zfill(digits)}_{y0}-{y1}_{x0}-{x1}")
    return patches, names


def dhash(patch: NDArray[np.uint8], crop: int, hash_size: int) -> NDArray[np.bool_]:
    import imagehash
    from PIL import Image

    resized = Image.fromarray(patch).resize((crop, crop), resample=Image.Resampling.BILINEAR)
    bits: NDArray[np.bool_] = imagehash.dhash(resized, hash_size=hash_size).hash
    return bits


def dedupe(hashes: list[NDArray[np.bool_]], radius: int, order: NDArray[np.int64]) -> list[int]:
    """Indices of what is kept: the first of what remains drops all within the radius."""
    rows = np.stack([hashes[i].ravel() for i in order]) if hashes else np.zeros((0, 1), bool)
    kept = []
    while len(order):
        kept.append(int(order[0]))
        far = np.logical_xor(rows[0], rows).sum(axis=1) > radius
        rows, order = rows[far], order[far]
    return kept
