"""Names of patches, and the two orders that follow from names alone.

A patch cut from a volume is called `exp-LOC-axis_index_y0-y1_x0-x1`: ranges are half-open, rows before columns; axis 0
cuts xy planes (rows y), 1 xz (rows z), 2 yz (rows z). One cut from an image is called `exp-LOC-2d-y0-y1_x0-x1`. This is
the grammar of volume-em/cem-dataset; names of its version 0.1, which give starts only, are read too.
"""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

FLAT_IMAGE = -1
"""The axis of a patch that was cut from a 2-D image."""

_SEPARATOR = "-LOC-"
_PLACE = re.compile(
    r"(?:2d[-_]|(?P<axis>[012])_(?P<index>\d+)(?:-(?P<stop>\d+))?_)"
    r"(?P<y0>\d+)(?:-(?P<y1>\d+))?_(?P<x0>\d+)(?:-(?P<x1>\d+))?(?:\.tiff?)?\Z"
)
_ROI = re.compile(r"(?P<volume>.+)-ROI-x(\d+)-(\d+)_y(\d+)-(\d+)_z(\d+)-(\d+)\Z", re.S)


@dataclass(frozen=True)
class PatchName:
    """The parts of a name. `axis` is -1 for patches of 2-D images, which have no `index`; `stop` is set for sub-volumes
    alone; `y1` and `x1` are None in names of version 0.1."""

    exp: str
    axis: int
    index: int | None
    stop: int | None
    y0: int
    y1: int | None
    x0: int
    x1: int | None


def parse(name: str) -> PatchName | None:
    """The parts of a patch's or sub-volume's name, with or without its suffix; None if it is no such name.

    Examples
    --------
    >>> parse("cell_s1-LOC-2_045_0-224_224-336.tiff")
    PatchName(exp='cell_s1', axis=2, index=45, stop=None, y0=0, y1=224, x0=224, x1=336)
    >>> parse("07-LOC-2d-0-224_0-199").axis, parse("cell.tiff")
    (-1, None)
    """
    exp, separator, place = name.rpartition(_SEPARATOR)
    found = _PLACE.match(place) if separator else None
    if found is None:
        return None
    number = {key: None if text is None else int(text) for key, text in found.groupdict().items()}
    axis = FLAT_IMAGE if number["axis"] is None else number["axis"]
    y0, x0 = int(found["y0"]), int(found["x0"])
    return PatchName(exp, axis, number["index"], number["stop"], y0, number["y1"], x0, number["x1"])


def patch_names(exp: str, axis: int, index: ArrayLike, length: int, boxes: ArrayLike) -> list[str]:
    """Names of N patches of one volume along one axis, or of one 2-D image.

    Parameters
    ----------
    exp
        Name of the volume or image.
    axis
        0, 1 or 2; -1 for a 2-D image, whose patches have no index.
    index
        (N,) slice numbers.
    length
        Number of slices along the axis; it fixes how many digits the index has.
    boxes
        (N, 4) y0, y1, x0, x1 within the slice, half-open.

    Examples
    --------
    >>> patch_names("cell", 1, [7, 8], 601, [[0, 224, 0, 224], [0, 224, 224, 336]])
    ['cell-LOC-1_007_0-224_0-224', 'cell-LOC-1_008_0-224_224-336']
    """
    table = np.asarray(boxes, np.int64).reshape(-1, 4)
    # Names are joined from the texts of the few different slices and tiles.
    tiles, tile = np.unique(table, axis=0, return_inverse=True)
    tails = np.array([f"{y0}-{y1}_{x0}-{x1}" for y0, y1, x0, x1 in tiles.tolist()], object)
    if axis == FLAT_IMAGE:
        heads: NDArray[np.object_] = np.array([f"{exp}{_SEPARATOR}2d-"], object)
        place = np.zeros(len(table), np.int64)
    else:
        slices, place = np.unique(np.asarray(index, np.int64), return_inverse=True)
        digits = len(str(length - 2)) if length > 2 else 0
        heads = np.array([f"{exp}{_SEPARATOR}{axis}_{i:0{digits}d}_" for i in slices.tolist()], object)
    names: list[str] = (heads[place.ravel()] + tails[tile.ravel()]).tolist() if len(table) else []
    return names


def subvolume_name(exp: str, axis: int, start: int, stop: int, box: tuple[int, int, int, int]) -> str:
    """Name of the sub-volume of slices start to stop behind one tile.

    Examples
    --------
    >>> subvolume_name("cell", 0, 43, 48, (0, 224, 0, 224))
    'cell-LOC-0_43-48_0-224_0-224'
    """
    y0, y1, x0, x1 = box
    return f"{exp}{_SEPARATOR}{axis}_{start}-{stop}_{y0}-{y1}_{x0}-{x1}"


def ordinals(n: int) -> list[str]:
    """What cem-dataset calls the n images of a group: their numbers, with as many digits as it gives them.

    Examples
    --------
    >>> ordinals(1), ordinals(21)[7]
    (['0'], '00007')
    """
    digits = 1 + math.ceil(math.log(n)) if n else 0
    return [f"{i:0{digits}d}" for i in range(n)]


class Roi(NamedTuple):
    """A crop's place in the volume that it was taken from: half-open, in voxels."""

    volume: str
    z0: int
    z1: int
    y0: int
    y1: int
    x0: int
    x1: int


def parse_roi(exp: str) -> Roi | None:
    """Where a crop lies, if its name tells.

    Examples
    --------
    >>> parse_roi("cell_s1-ROI-x0-9_y10-19_z20-29")
    Roi(volume='cell_s1', z0=20, z1=29, y0=10, y1=19, x0=0, x1=9)
    """
    found = _ROI.match(exp)
    if found is None:
        return None
    x0, x1, y0, y1, z0, z1 = map(int, found.groups()[1:])
    return Roi(found["volume"], z0, z1, y0, y1, x0, x1)


def roi_name(roi: Roi) -> str:
    """What a crop is called, the inverse of `parse_roi`.

    Examples
    --------
    >>> roi_name(Roi("cell_s1", 20, 29, 10, 19, 0, 9))
    'cell_s1-ROI-x0-9_y10-19_z20-29'
    """
    return f"{roi.volume}-ROI-x{roi.x0}-{roi.x1}_y{roi.y0}-{roi.y1}_z{roi.z0}-{roi.z1}"


def dataset_of(exp: str) -> str:
    """The data set that a volume belongs to: its own name, or what stands before `-ROI-` in that of a crop.

    Examples
    --------
    >>> dataset_of("cell_s1-ROI-x0-9_y0-9_z0-9"), dataset_of("cell")
    ('cell_s1', 'cell')
    """
    return exp.partition("-ROI-")[0]


# Orders


def permutation(n: int, seed: int) -> NDArray[np.int64]:
    """The order in which cem-dataset takes n patches after `np.random.seed(seed)`: NumPy's legacy generator, which is
    frozen.

    Examples
    --------
    >>> permutation(5, 0).tolist()
    [2, 0, 1, 3, 4]
    """
    return np.random.RandomState(seed).permutation(n).astype(np.int64)


def _mix(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64 (Steele, Lea, Flood 2014, doi:10.1145/2660193.2660195), modulo 2**64."""
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ value >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ value >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return value ^ value >> np.uint64(31)


def stable_keys(
    volume: str, axis: ArrayLike, index: ArrayLike, y0: ArrayLike, x0: ArrayLike, *, seed: int = 0
) -> NDArray[np.uint64]:
    """(N,) keys of the stable order: as good as random, and the same on any machine, in any sharding.

    Patches of 2-D images have axis 255 and index 0 here, and `group/file` for volume. Ties go by the patch's name.

    Examples
    --------
    >>> [f"{key:016x}" for key in stable_keys("vol", 0, 0, 0, [0]).tolist()]
    ['1a4290e935943b96']
    """
    digest = hashlib.blake2b(volume.encode("utf-8"), digest_size=8).digest()
    parts = (int.from_bytes(digest, "big"), axis, index, y0, x0)
    columns = np.broadcast_arrays(*(np.atleast_1d(np.asarray(part)).astype(np.uint64) for part in parts))
    key = _mix(np.full(columns[0].shape, seed % 2**64, np.uint64))
    for column in columns:
        key = _mix(key ^ column)
    return key
