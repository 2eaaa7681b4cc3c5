"""Tiles: images cut into windows, with the annotations that are seen in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill import patches
from maskmill.dataset.dataset import Dataset
from maskmill.dataset.reference import Reference
from maskmill.dataset.shapes import BOX, NONE, Shapes
from maskmill.dataset.table import Table, objects
from maskmill.masks import Masks

__all__ = ["Window", "tile"]


@dataclass(frozen=True)
class Window:
    """A `Reference` reader: a part of what another one reads, filled up with zeros outside."""

    source: Reference
    box: tuple[int, int, int, int]

    def __call__(self, path: str, field: str) -> NDArray[Any]:
        return self.cut(self.source.read())

    def cut(self, image: NDArray[Any]) -> NDArray[Any]:
        """The part, of pixels that are read already."""
        part: NDArray[Any] = patches.extract(image, np.array([self.box], np.int64))[0]
        return part


def tile(
    dataset: Dataset,
    size: int | tuple[int, int],
    stride: int | tuple[int, int] | None,
    edge: str,
    min_visible: float,
    drop_empty: bool,
) -> Dataset:
    """See `Dataset.tile`."""
    masks = dataset.masks
    made: list[_Part] = []
    for i in range(len(dataset)):
        shape = int(dataset.images["height"][i]), int(dataset.images["width"][i])
        if min(shape) <= 0:
            raise ValueError(f"image {dataset.images['file_name'][i]!r}: its size is not known")
        boxes = patches.grid(shape, size, stride, edge=edge)
        made.append(_of_image(dataset, masks, i, boxes, min_visible, drop_empty))
    first = np.cumsum([0, *(len(part.boxes) for part in made)])
    images = _images(dataset, made)
    rows = np.concatenate([part.rows for part in made] or [np.empty(0, np.int64)])
    image = np.concatenate([part.box + n for part, n in zip(made, first, strict=False)] or [rows])
    instances = dataset.instances.take(rows)
    bare = np.isin(dataset.shapes.kind[rows], (BOX, NONE))
    boxes = np.where(bare[:, None], _boxes(dataset, images, rows, image), np.nan)
    instances = instances.with_columns(
        id=np.arange(1, len(rows) + 1),
        image=image,
        bbox=boxes,
        area=np.full(len(rows), np.nan),
        attributes=objects(
            [
                {
                    **(instances["attributes"][k] or {}),
                    "source_id": int(instances["id"][k]),
                    "visible": float(visible),
                }
                for k, visible in enumerate(np.concatenate([part.visible for part in made] or [np.empty(0)]))
            ]
        ),
    )
    shapes = Shapes.of_masks(Masks.concatenate([part.masks for part in made]))
    if bare.any():
        shapes = _with_bare(shapes, dataset.shapes.kind[rows], bare)
    return dataset.replace(images=images, instances=instances, shapes=shapes).note(
        step="tile", size=size, stride=stride, edge=edge, min_visible=min_visible
    )


@dataclass
class _Part:
    """The tiles of one image."""

    boxes: NDArray[np.int64]
    box: NDArray[np.int64]  # of each instance that is seen
    rows: NDArray[np.int64]
    visible: NDArray[np.float64]
    masks: Masks


def _of_image(
    dataset: Dataset, masks: Masks, i: int, boxes: NDArray[np.int64], min_visible: float, drop_empty: bool
) -> _Part:
    rows = dataset.rows_of_image(i)
    parts, box, mask, visible = masks[rows].tiles(boxes, min_visible=min_visible)
    bare = rows[np.isin(dataset.shapes.kind[rows], (BOX, NONE))]
    if len(bare):
        seen, which, share = _seen_boxes(dataset.instances["bbox"][bare], boxes, min_visible)
        sizes = np.stack([boxes[seen, 1] - boxes[seen, 0], boxes[seen, 3] - boxes[seen, 2]], 1)
        parts = Masks.concatenate([parts, Masks.empty(sizes)])
        box, visible = np.concatenate([box, seen]), np.concatenate([visible, share])
        found = np.concatenate([rows[mask], bare[which]])
    else:
        found = rows[mask]
    order = np.lexsort((found, box))
    box, found, visible, parts = box[order], found[order], visible[order], parts[order]
    if drop_empty:
        kept, box = np.unique(box, return_inverse=True)
        boxes = boxes[kept]
    return _Part(boxes, box, found, visible, parts)


def _seen_boxes(
    bbox: NDArray[np.float64], boxes: NDArray[np.int64], min_visible: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Which tiles see which bounding boxes, and the share of each that is seen."""
    y0, y1, x0, x1 = boxes.T[:, :, None].astype(float)
    bx, by, bw, bh = bbox.T[:, None, :]
    w = np.minimum(x1, bx + bw) - np.maximum(x0, bx)
    h = np.minimum(y1, by + bh) - np.maximum(y0, by)
    area = np.maximum(bw * bh, 1e-300)
    share = np.maximum(w, 0) * np.maximum(h, 0) / area
    tile, which = np.nonzero((share > 0) & (share >= min_visible))
    return tile, which, share[tile, which]


def _boxes(
    dataset: Dataset, images: Table, rows: NDArray[np.int64], image: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Bounding boxes as seen in their tiles."""
    box = dataset.instances["bbox"][rows]
    origin = np.array([[a["tile"][2], a["tile"][0]] for a in images["attributes"]], float).reshape(-1, 2)[
        image
    ]
    size = np.stack([images["width"], images["height"]], 1)[image]
    low = np.clip(box[:, :2] - origin, 0, size)
    high = np.clip(box[:, :2] + box[:, 2:] - origin, 0, size)
    return np.concatenate([low, high - low], 1)


def _with_bare(shapes: Shapes, kinds: NDArray[np.uint8], bare: NDArray[np.bool_]) -> Shapes:
    kind = np.where(bare, kinds, shapes.kind).astype(np.uint8)
    return Shapes(kind, shapes.rule, shapes.points, shapes.rles[~bare])


def _images(dataset: Dataset, parts: list[_Part]) -> Table:
    source = np.repeat(np.arange(len(parts)), [len(part.boxes) for part in parts])
    boxes = np.concatenate([part.boxes for part in parts] or [np.empty((0, 4), np.int64)])
    table = dataset.images.take(source)
    names, attributes = [], []
    windows: dict[str, list[Reference | None]] = {"pixels": [], "semantic": []}
    for k, box in enumerate(boxes.tolist()):
        name = PurePosixPath(table["file_name"][k] or str(table["id"][k]))
        names.append(str(name.with_name(f"{name.stem}_y{box[0]}_x{box[2]}{name.suffix or '.png'}")))
        attributes.append(
            {**(table["attributes"][k] or {}), "source_image": table["file_name"][k], "tile": box}
        )
        for column, made in windows.items():
            whole = table[column][k]
            made.append(None if whole is None else _window(whole, *box))
    return table.with_columns(
        id=np.arange(1, len(boxes) + 1),
        file_name=objects(names),
        height=boxes[:, 1] - boxes[:, 0],
        width=boxes[:, 3] - boxes[:, 2],
        attributes=objects(attributes),
        **{column: objects(made) for column, made in windows.items()},
    )


def _window(whole: Reference, y0: int, y1: int, x0: int, x1: int) -> Reference:
    return Reference(whole.path, f"{y0}:{y1},{x0}:{x1}", Window(whole, (y0, y1, x0, x1)))
