"""Plans of cubes: what a user wishes, what is chosen of a volume, and the folder where that is written down."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError, written_whole
from maskmill.io.intensity import Scaling, fit_scaling
from maskmill.studies.em import rois
from maskmill.studies.em.names import Roi, roi_name

BLOCK = 1 << 24
"""Voxels of one read."""

SAMPLES = 16
"""Cubes whose middle the contrast is taken from."""
_SAMPLE = 64  # length of the edges


class Readable(Protocol):
    """What cubes are taken from: a volume of a file, or a level of a pyramid."""

    @property
    def shape(self) -> tuple[int, int, int]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def chunks(self) -> tuple[int, ...]: ...
    def read(self, box: Sequence[int], /) -> NDArray[Any]: ...


Overview = tuple[NDArray[Any], tuple[float, float, float]]
"""A smaller picture of a volume, and how many voxels one of its voxels stands for, along z, y, x."""


@dataclass(frozen=True)
class Origin:
    """A volume to take cubes from.

    Attributes
    ----------
    name
        What its cubes are called, before "-ROI-".
    address
        Path or URL, for the plan.
    voxels
    spacing
        Along z, y, x; None where unknown.
    unit
    overview
        Makes an overview in which cubes of a length have some voxels along each axis.
    close
        Ends with the volume.
    """

    name: str
    address: str
    voxels: Readable
    spacing: tuple[float | None, float | None, float | None]
    unit: str | None
    overview: Callable[[int], Overview]
    close: Callable[[], object] = lambda: None


@dataclass(frozen=True)
class Wish:
    """What to take.

    Attributes
    ----------
    size
        Length of the cubes' edges, in voxels.
    gb
        GiB of cubes to write in all, for each volume.
    count
        How many cubes, instead of as many as the budget allows.
    seed
    padding_value, max_padding
        Cubes with this share of such voxels, or more, are left out.
    probe
        Where padding is looked for: "overview", "first" (the first voxel of each cube) or "none".
    region
        z0, z1, y0, y1, x0, x1 to stay in.
    contrast
        How voxels become bytes: a policy of `maskmill.io.intensity` with its numbers, or ("keep",): not at all. By
        default bytes stay as they are, and others are cut off at 0.1 and 99.9 percent.
    invert
    """

    size: int = 256
    gb: float = 5.0
    count: int | None = None
    seed: int = 0
    padding_value: float = 0
    max_padding: float = 0.3
    probe: str = "overview"
    region: tuple[int, ...] | None = None
    contrast: tuple[Any, ...] | None = None
    invert: bool = False

    @property
    def keeps(self) -> bool:
        """Whether voxels keep their type."""
        return self.contrast is not None and self.contrast[0] == "keep"

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"the crop size must be 1 or more voxels, not {self.size}")
        if not 0 < self.gb < float("inf"):
            raise ValueError(f"the budget must be more than 0 GiB, not {self.gb}")
        if self.count is not None and self.count < 1:
            raise ValueError(f"the count must be 1 or more cubes, not {self.count}")
        if not 0 <= self.max_padding <= 1:
            raise ValueError(f"the share of padding must be 0 to 1, not {self.max_padding}")
        if self.probe not in ("overview", "first", "none"):
            raise ValueError(f'probe must be "overview", "first" or "none", not {self.probe!r}')


@dataclass(frozen=True)
class Cube:
    """One cube of a plan: half-open ranges in voxels, and its share of padding as far as known."""

    file: str
    x: tuple[int, int]
    y: tuple[int, int]
    z: tuple[int, int]
    padding: float | None

    @property
    def box(self) -> rois.Box:
        return (*self.z, *self.y, *self.x)

    @property
    def voxels(self) -> int:
        z0, z1, y0, y1, x0, x1 = self.box
        return (z1 - z0) * (y1 - y0) * (x1 - x0)


@dataclass(frozen=True)
class Plan:
    """Which cubes of a volume to take, in which order.

    Attributes
    ----------
    parameters
        All that the choice and the voxels follow from, but for how many.
    cubes
    boxes, fit
        How many boxes the grid has, and how many of them are little enough padding. -1 if not all were looked at.
    scaling
        To bytes, of all cubes; None if voxels stay as they are.
    """

    parameters: dict[str, Any]
    cubes: tuple[Cube, ...]
    boxes: int
    fit: int
    scaling: Scaling | None

    def to_json(self) -> dict[str, Any]:
        scaling = None if self.scaling is None else json.loads(self.scaling.to_json())
        return {"version": 1, **asdict(self), "scaling": scaling}

    @staticmethod
    def from_json(fields: dict[str, Any]) -> Plan:
        cubes = tuple(
            Cube(c["file"], tuple(c["x"]), tuple(c["y"]), tuple(c["z"]), c["padding"])
            for c in fields["cubes"]
        )
        scaling = Scaling.from_json(json.dumps(fields["scaling"])) if fields["scaling"] else None
        return Plan(fields["parameters"], cubes, fields["boxes"], fields["fit"], scaling)


class Folder:
    """The folder of cubes, with `plans` for what is to be there, and `.cache` for overviews."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def prepare(self) -> None:
        """Make it, and see that it can be written to before anything is fetched."""
        for part in ("plans", ".cache"):
            (self.path / part).mkdir(parents=True, exist_ok=True)
        with written_whole(self.path / ".cache" / "writable"):
            pass

    def plan(self, name: str) -> Plan | None:
        path = self._plan(name)
        if not path.exists():
            return None
        try:
            return Plan.from_json(json.loads(path.read_bytes()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FormatError(f"{path}: expected a plan of cubes, found other ({error})") from None

    def save_plan(self, name: str, plan: Plan) -> None:
        _write(self._plan(name), json.dumps(plan.to_json(), indent=1).encode() + b"\n")

    def _plan(self, name: str) -> Path:
        return self.path / "plans" / f"{name}.json"

    def done(self, name: str) -> dict[str, dict[str, Any]]:
        """What was finished, by file: its bytes and digest. A line that a kill cut short does not count."""
        found = {}
        path = self.path / "plans" / f"{name}.done.jsonl"
        for line in path.read_bytes().splitlines() if path.exists() else []:
            try:
                entry = json.loads(line)
                found[entry["file"]] = entry
            except (ValueError, KeyError, TypeError):
                continue
        return found

    def note(self, name: str, file: str) -> None:
        """Write down that a file is finished."""
        path = self.path / file
        entry = {"file": file, "bytes": path.stat().st_size, "blake2b": digest(path)}
        with open(self.path / "plans" / f"{name}.done.jsonl", "ab") as journal:
            # A line of its own, even behind one that was cut short.
            journal.write(b"\n" * (journal.tell() > 0) + json.dumps(entry).encode() + b"\n")

    def has(self, entry: dict[str, Any] | None, *, verify: bool) -> bool:
        """Whether a file is there as it was written."""
        if entry is None:
            return False
        path = self.path / entry["file"]
        if not path.is_file() or path.stat().st_size != entry.get("bytes"):
            return False
        return not verify or digest(path) == entry.get("blake2b")

    def overview(self, origin: Origin, size: int, *, keep: bool) -> Overview:
        """From the cache if it is there."""
        key = hashlib.blake2b(
            f"{origin.address} {origin.voxels.shape} {size}".encode(), digest_size=8
        ).hexdigest()
        path = self.path / ".cache" / f"{origin.name}_overview_{key}.npz"
        try:
            with np.load(path, allow_pickle=False) as stored:
                f = stored["factors"].tolist()
                return stored["voxels"], (f[0], f[1], f[2])
        except (OSError, ValueError, KeyError, EOFError):
            pass
        except Exception as error:  # zipfile's own, which it is not worth importing for
            if type(error).__name__ != "BadZipFile":
                raise
        voxels, factors = origin.overview(size)
        if keep:
            with written_whole(path) as file:
                np.savez_compressed(file, voxels=voxels, factors=np.array(factors))
        return voxels, factors


def digest(path: Path) -> str:
    """BLAKE2b of a file, 32 hex digits."""
    state = hashlib.blake2b(digest_size=16)
    with open(path, "rb") as file:
        while part := file.read(1 << 20):
            state.update(part)
    return state.hexdigest()


def _write(path: Path, content: bytes) -> None:
    with written_whole(path) as file:
        file.write(content)


# The plan


def make_plan(origin: Origin, wish: Wish, folder: Folder, *, dry: bool = False) -> Plan:
    """Choose the cubes of a volume; those of an earlier run with the same wish are among them.

    Raises
    ------
    ValueError
        If the folder has cubes of the same volume by another wish, or nothing of the volume is fit to be taken.
    """
    parameters = parameters_of(origin, wish)
    old = folder.plan(origin.name)
    if old is not None and old.parameters != parameters:
        other = next(k for k in parameters if old.parameters.get(k) != parameters[k])
        raise ValueError(
            f"{folder.path} has cubes of {origin.name} with {other} = {old.parameters.get(other)}, "
            f"not {parameters[other]}: choose another folder, or remove these"
        )
    itemsize = origin.voxels.dtype.itemsize if wish.keeps else 1
    wanted = wish.count or rois.budget_count(wish.gb, wish.size, itemsize)
    if old is not None and len(old.cubes) >= min(wanted, old.fit if old.fit >= 0 else wanted):
        return replace(old, cubes=old.cubes[:wanted])
    cubes, boxes, fit = _chosen(origin, wish, folder, wanted, keep=not dry)
    scaling = old.scaling if old is not None else None
    if old is None and not dry:
        scaling = fit_contrast(origin, wish, [cube.box for cube in cubes])
    plan = Plan(parameters, cubes, boxes, fit, scaling)
    if not dry:
        folder.save_plan(origin.name, plan)
    return plan


def parameters_of(origin: Origin, wish: Wish) -> dict[str, Any]:
    fields = {key: value for key, value in asdict(wish).items() if key not in ("gb", "count")}
    found = {
        "address": origin.address,
        "shape": list(origin.voxels.shape),
        "dtype": str(origin.voxels.dtype),
        "spacing": list(origin.spacing),
        "unit": origin.unit,
        **fields,
    }
    kept: dict[str, Any] = json.loads(json.dumps(found))  # as it will be read again
    return kept


def _chosen(
    origin: Origin, wish: Wish, folder: Folder, wanted: int, *, keep: bool
) -> tuple[tuple[Cube, ...], int, int]:
    """Cubes in the order of taking, the number of boxes, and of fit ones among them."""
    boxes = rois.roi_grid(origin.voxels.shape, wish.size, wish.region)
    shares: NDArray[np.float64] | None = None
    total = len(boxes)
    if wish.probe == "overview":
        overview, factors = folder.overview(origin, wish.size, keep=keep)
        shares = rois.padding_shares(overview, factors, boxes, wish.padding_value)
        fit = shares < wish.max_padding
        boxes, shares = boxes[fit], shares[fit]
    order = rois.roi_order(origin.name, boxes, wish.seed)
    n_fit = len(boxes)
    if wish.probe == "first":
        order, n_fit = _by_first_voxel(origin, wish, boxes, order, wanted), -1
    if len(order) == 0:
        raise ValueError(
            f"{origin.address}: none of {total} boxes of {wish.size} voxels has less than "
            f"{wish.max_padding:.0%} of padding (voxels of {wish.padding_value:g})"
        )
    cubes = []
    for i in order[:wanted]:
        z0, z1, y0, y1, x0, x1 = boxes[i].tolist()
        name = roi_name(Roi(origin.name, z0, z1, y0, y1, x0, x1))
        share = None if shares is None else round(float(shares[i]), 4)
        cubes.append(Cube(f"{name}.nrrd", (x0, x1), (y0, y1), (z0, z1), share))
    return tuple(cubes), total, n_fit


def _by_first_voxel(
    origin: Origin, wish: Wish, boxes: NDArray[np.int64], order: NDArray[np.int64], wanted: int
) -> NDArray[np.int64]:
    """The first boxes in order whose first voxel is not padding."""
    taken: list[int] = []
    for i in order[: 100 * wanted]:
        z, y, x = (int(start) for start in boxes[i, ::2])
        if origin.voxels.read((z, z + 1, y, y + 1, x, x + 1)).item() != wish.padding_value:
            taken.append(int(i))
            if len(taken) == wanted:
                break
    return np.array(taken, np.int64)


def fit_contrast(origin: Origin, wish: Wish, boxes: Sequence[rois.Box]) -> Scaling | None:
    """One scaling for all cubes, from the middles of the first of them: an overview has less noise than they have."""
    dtype = origin.voxels.dtype
    if wish.keeps or dtype.kind == "b" or (wish.contrast is None and dtype == np.uint8):
        return None
    policy, *numbers = wish.contrast or ("percentile", 0.1, 99.9)
    if policy not in ("percentile", "minmax"):
        return fit_scaling(np.empty(0, dtype), policy, numbers)
    samples = []
    for box in boxes[:SAMPLES]:
        middle: list[int] = []
        for lo, hi in zip(box[::2], box[1::2], strict=True):
            start = max(lo, (lo + hi - _SAMPLE) // 2)
            middle += [start, min(hi, start + _SAMPLE)]
        block = origin.voxels.read(middle).ravel()
        samples.append(block[block != wish.padding_value])
    return fit_scaling(np.concatenate(samples), policy, numbers)
