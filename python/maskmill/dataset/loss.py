"""What a format could not hold: two data sets compared, the written one and the one that is read back."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill.dataset.dataset import Dataset
from maskmill.dataset.shapes import BOX, NONE, POLYGON, Shapes
from maskmill.dataset.table import Table
from maskmill.masks import Masks

__all__ = ["LossReport", "compared", "counted"]


@dataclass(frozen=True)
class LossReport:
    """What did not survive being written and read again. Numbers count instances unless said.

    Attributes
    ----------
    format : str
    instances, images : int
        Before.
    images_lost, instances_lost : int
    instances_gained : int
        That were none before, such as those of a label image without instances. Nothing else of them counts.
    masks_changed : int
        Of those that are still there, masks with other pixels.
    pixels, pixels_lost, pixels_gained : int
        Of all masks before; that are gone (those of lost instances too); that are new.
    worst_iou : float
        The least IoU of a mask with itself, 1.0 if nothing changed.
    holes_lost, parts_lost : int
        Whose number of holes, of connected parts, is another.
    classes_changed, crowds_lost, scores_lost, boxes_changed, keypoints_lost : int
    attributes_lost : int
        Values that are missing or different.
    vertices_lost : int
        Whose vertices (or curves) are not the same numbers any more: rounded, or traced anew from pixels.
    compared : bool
        Whether the file was read back; otherwise only instances_lost is known.
    changed : dict of arrays
        row (of the instance, before), lost, gained (pixels) and iou of each mask that changed.
    """

    format: str
    images: int
    instances: int
    images_lost: int = 0
    instances_lost: int = 0
    instances_gained: int = 0
    masks_changed: int = 0
    pixels: int = 0
    pixels_lost: int = 0
    pixels_gained: int = 0
    worst_iou: float = 1.0
    holes_lost: int = 0
    parts_lost: int = 0
    classes_changed: int = 0
    crowds_lost: int = 0
    scores_lost: int = 0
    boxes_changed: int = 0
    keypoints_lost: int = 0
    attributes_lost: int = 0
    vertices_lost: int = 0
    compared: bool = True
    changed: dict[str, NDArray[Any]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def lossless(self) -> bool:
        """Whether all that was compared is the same."""
        return self.compared and not any(self._losses().values())

    @property
    def masks_kept(self) -> bool:
        """Whether every instance is there with the same pixels and the same class."""
        return self.compared and not (self.instances_lost or self.masks_changed or self.classes_changed)

    def _losses(self) -> dict[str, int]:
        unsaid = ("format", "images", "instances", "pixels", "worst_iou", "compared", "changed")
        return {name: value for name, value in vars(self).items() if name not in unsaid}

    def to_json(self) -> dict[str, Any]:
        """All numbers, without the table of changed masks."""
        made = asdict(self)
        del made["changed"]
        return {**made, "lossless": self.lossless}

    def __str__(self) -> str:
        of = (self.instances, "instance"), (self.images, "image")
        head = f"{self.format}: " + " in ".join(f"{n:,} {what}{'' if n == 1 else 's'}" for n, what in of)
        if not self.compared:
            return f"{head}, {self.instances_lost:,} left out; not compared"
        losses = {name: value for name, value in self._losses().items() if value}
        if not losses:
            return f"{head}, nothing lost"
        lines = [f"  {name.replace('_', ' ')}: {value:,}" for name, value in losses.items()]
        if self.masks_changed:
            lines.append(f"  worst IoU: {self.worst_iou:.4f}")
        return "\n".join([f"{head}; the format does not hold:", *lines])


def counted(before: Dataset, rows: NDArray[np.int64], format: str) -> LossReport:
    """A report without comparison."""
    n = len(before.instances)
    return LossReport(
        format, len(before), n, instances_lost=n - len(np.unique(rows[rows >= 0])), compared=False
    )


def compared(before: Dataset, after: Dataset, rows: NDArray[np.int64], format: str) -> LossReport:
    """Compare a data set with what became of it.

    Parameters
    ----------
    before, after : Dataset
    rows : (len(after.instances),) int64
        The instance of `before` that each instance of `after` was, -1 for none.
    """
    if len(rows) != len(after.instances):
        raise ValueError(f"rows must name {len(after.instances)} instances, as there are, not {len(rows)}")
    n = len(before.instances)
    known = rows >= 0
    instances_gained = int(np.count_nonzero(~known))
    if instances_gained:
        rows, after = rows[known], after.take(instances=known)
    old, new = before.masks, after.masks
    was = old[rows]
    lost, gained, iou = _pixels(was, new)
    changed = np.flatnonzero((lost > 0) | (gained > 0))
    gone = np.setdiff1d(np.arange(n), rows)
    holes, parts = _topology(was[changed], new[changed])
    return LossReport(
        format,
        len(before),
        n,
        images_lost=_images_lost(before, after),
        instances_lost=len(gone),
        instances_gained=instances_gained,
        masks_changed=len(changed),
        pixels=int(old.area.sum()),
        pixels_lost=int(lost.sum()) + int(old[gone].area.sum()),
        pixels_gained=int(gained.sum()),
        worst_iou=float(iou.min(initial=1.0)),
        holes_lost=holes,
        parts_lost=parts,
        vertices_lost=_vertices_lost(before.shapes.take(rows), after.shapes),
        changed={
            "row": rows[changed],
            "lost": lost[changed],
            "gained": gained[changed],
            "iou": iou[changed],
        },
        **_columns(before, after, rows),  # type: ignore[arg-type]
    )


def _pixels(was: Masks, new: Masks) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Pixels lost and gained, and the IoU, of each pair; a mask of another size has lost all."""
    same = (was.sizes == new.sizes).all(1)
    lost, gained = was.area.astype(np.int64), new.area.astype(np.int64)
    total = lost.copy()
    index = np.flatnonzero(same)
    a, b = was[index], new[index]
    lost[index], gained[index] = (a - b).area, (b - a).area
    union = total + gained
    iou = np.divide(total - lost, union, out=np.ones(len(union)), where=union > 0)
    return lost, gained, iou


def _topology(was: Masks, new: Masks) -> tuple[int, int]:
    """How many have another number of holes, of parts."""

    def holes(masks: Masks) -> NDArray[np.int64]:
        traced = masks.polygons()
        of_mask = np.repeat(np.arange(len(masks)), np.diff(traced.masks))
        return np.bincount(of_mask[traced.parent >= 0], minlength=len(masks))

    def parts(masks: Masks) -> NDArray[np.int64]:
        return np.bincount(masks.components()[1], minlength=len(masks))

    return (
        int(np.count_nonzero(holes(was) != holes(new))),
        int(np.count_nonzero(parts(was) != parts(new))),
    )


def _images_lost(before: Dataset, after: Dataset) -> int:
    """Names (without folders and suffixes, which formats exchange) that are not there any more, or at least the
    difference in number."""

    def files(dataset: Dataset) -> list[PurePosixPath]:
        return [PurePosixPath(name.replace("\\", "/")) for name in dataset.images["file_name"]]

    # "a.v1.png" may have become "a.v1", of which "v1" is no suffix.
    there = {part for file in files(after) for part in (file.name, file.stem)}
    lost = {file.stem for file in files(before) if file.name not in there and file.stem not in there}
    return max(len(lost), len(before) - len(after), 0)


def _columns(before: Dataset, after: Dataset, rows: NDArray[np.int64]) -> dict[str, int]:
    old, new = before.instances.take(rows), after.instances
    names = np.asarray(before.category_names, object)[rows] if len(rows) else np.empty(0, object)
    score = ~np.isnan(old["score"])
    bare = np.isin(before.shapes.kind[rows], (BOX, NONE)) & ~np.isnan(old["bbox"]).any(1)
    moved = np.abs(old["bbox"][bare] - new["bbox"][bare]) > 1e-6
    return {
        "classes_changed": sum(a != b for a, b in zip(names, after.category_names, strict=True)),
        "crowds_lost": int(np.count_nonzero(old["iscrowd"] & ~new["iscrowd"])),
        "scores_lost": int(np.count_nonzero(old["score"][score] != new["score"][score])),
        "boxes_changed": int(np.count_nonzero(moved.any(1) | np.isnan(new["bbox"][bare]).any(1))),
        "keypoints_lost": _keypoints_lost(old, new),
        "attributes_lost": sum(
            _values_lost(a, b) for a, b in zip(old["attributes"], new["attributes"], strict=True)
        ),
    }


def _keypoints_lost(old: Table, new: Table) -> int:
    """How many had keypoints that are missing or different."""
    if "keypoints" not in old:
        return 0
    there = new["keypoints"] if "keypoints" in new else np.full(len(new), None)
    pairs = zip(old["keypoints"], there, strict=True)
    return sum(a is not None and (b is None or not np.array_equal(a, b)) for a, b in pairs)


def _values_lost(old: dict[str, Any] | None, new: dict[str, Any] | None) -> int:
    if not old:
        return 0
    there = new or {}
    return sum(key not in there or there[key] != value for key, value in old.items())


def _vertices_lost(old: Shapes, new: Shapes) -> int:
    return int(np.count_nonzero((old.kind >= POLYGON) & ~old.same_as(new)))
