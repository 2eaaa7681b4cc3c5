"""A label for each pixel of an image, tile by tile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill._device import on_host
from maskmill._jobs import cpu_count
from maskmill.densify.columns import Box
from maskmill.densify.model import Model
from maskmill.densify.smoothing import smoothed
from maskmill.densify.training import bands, check_image

BLOCK = 128
"""Side of the blocks whose pixels a classifier is asked about at once. They begin at multiples of it whatever the
tiles are: sums of matrix products depend, in their last bits, on how many rows there are."""
TILE = 6 * BLOCK

Progress: TypeAlias = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Result:
    """Dense labels.

    Attributes
    ----------
    labels : (H, W) uint8 or uint16
        The most probable class of each pixel, as it was painted.
    probabilities : (H, W, L) float32 or None
    classes : (L,) int64
        What the last axis of `probabilities` is of.
    report : dict
        Per class: pixels, share, mean probability. How sure the model is; what a CRF changed; how much of what is
        painted (`pinned`) got its label.
    """

    labels: NDArray[Any]
    probabilities: NDArray[np.float32] | None
    classes: NDArray[np.int64]
    report: dict[str, Any] = field(default_factory=dict)


def predict(
    model: Model,
    image: Any,
    *,
    crf: Mapping[str, Any] | None = None,
    pinned: ArrayLike | None = None,
    tile: int = TILE,
    labels: NDArray[Any] | None = None,
    probabilities: NDArray[Any] | bool = True,
    progress: Progress | None = None,
) -> Result:
    """Label each pixel of an image.

    Parameters
    ----------
    model : Model
        Of `fit` or `load`.
    image : (H, W) or (H, W, bands)
        With as many bands as the model was trained with. Anything that can be cut: np.memmap and zarr, too.
    crf : mapping, optional
        Smooth by a dense CRF, with these arguments of `maskmill.crf.refine`, {} for its defaults. It needs the
        probabilities of the whole image.
    pinned : (H, W) integers, optional
        Painted pixels, which keep their labels.
    tile : int
        Side of the tiles in pixels, rounded up to a multiple of 128: memory grows with it; the result does not change.
    labels : array, optional
        (H, W) of integers to write into, such as a np.memmap.
    probabilities : bool or array
        Whether to keep them, or an (H, W, L) array of floats to write into.
    progress : callable, optional
        Called with the tiles done, the number of tiles, and "".

    Returns
    -------
    Result

    Raises
    ------
    ValueError
        If the image has other bands, or `pinned` classes that the model does not know.

    Notes
    -----
    Tiles overlap as far as filters reach, and labels and probabilities are the same bits for any size of tiles.
    """
    check_image(image, "image")
    if bands(image) != model.columns.bands:
        raise ValueError(f"image must have {model.columns.bands} bands, as the model, not {bands(image)}")
    image = model.columns.opened(image)
    height, width = (int(n) for n in image.shape[:2])
    shape = (height, width, len(model.classes))
    marks = None if pinned is None else _pins(model, pinned, shape[:2])
    out = _labels_out(model, labels, shape[:2])
    p = _probabilities_out(probabilities, shape, needed=crf is not None)
    summary = _Summary(model)
    boxes = list(_tiles(height, width, tile, whole=model.columns.halo is None))
    with ThreadPoolExecutor(cpu_count()) as pool:
        for done, box in enumerate(boxes):
            if progress:
                progress(done, len(boxes), "")
            found = _tile(model, image, box, pool)
            y0, y1, x0, x1 = box
            seen = _label(model, found, out, box, None if marks is None else marks[y0:y1, x0:x1])
            if p is not None:
                p[y0:y1, x0:x1] = found
            summary.add(found, out[y0:y1, x0:x1], seen)
    if progress:
        progress(len(boxes), len(boxes), "")
    if crf is not None and p is not None:
        summary.changed = _smooth(model, image, p, out, crf, marks)
    kept = p if p is not None and probabilities is not False else None
    return Result(out, kept, model.classes, summary.told(out))


def _tiles(height: int, width: int, tile: int, *, whole: bool) -> Iterator[Box]:
    if tile < 1:
        raise ValueError(f"tile must be 1 or more, not {tile}")
    side = max(height, width) if whole else tile
    side = -(-side // BLOCK) * BLOCK
    for y in range(0, height, side):
        for x in range(0, width, side):
            yield y, min(y + side, height), x, min(x + side, width)


def _tile(model: Model, image: Any, box: Box, pool: ThreadPoolExecutor) -> NDArray[np.float32]:
    """(h, w, L) probabilities; blocks by several threads."""
    table = model.columns.of(image, box)
    if table.shape[2] != len(model.mean):
        raise ValueError(
            f"features must give {len(model.mean)} columns, as for the model, not {table.shape[2]}"
        )
    out = np.empty((*table.shape[:2], len(model.classes)), np.float32)

    def block(corner: tuple[int, int]) -> None:
        y, x = corner
        part = table[y : y + BLOCK, x : x + BLOCK]
        rows = np.ascontiguousarray(part).reshape(-1, part.shape[2])
        out[y : y + BLOCK, x : x + BLOCK] = model.probabilities(rows).reshape(*part.shape[:2], -1)

    corners = [(y, x) for y in range(0, table.shape[0], BLOCK) for x in range(0, table.shape[1], BLOCK)]
    list(pool.map(block, corners))
    return out


# Labels


def _pins(model: Model, pinned: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Index of the class of each painted pixel, -1 of others."""
    marks = on_host(pinned, "pinned")
    if marks.dtype.kind not in "bui" or marks.shape != tuple(shape):
        raise ValueError(
            f"pinned must be integers of shape {tuple(shape)}, not {marks.dtype} of {marks.shape}"
        )
    unknown = np.setdiff1d(marks, [0, *model.classes])
    if len(unknown):
        known = ", ".join(map(str, model.classes.tolist()))
        raise ValueError(f"pinned must have classes of the model, {known}, not {unknown[0]}")
    index = np.searchsorted(model.classes, marks)
    return np.where(marks > 0, index, -1)


def _labels_out(model: Model, labels: NDArray[Any] | None, shape: tuple[int, ...]) -> NDArray[Any]:
    dtype = np.uint8 if model.classes[-1] < 256 else np.uint16
    if labels is None:
        return np.empty(shape, dtype)
    if (
        labels.shape != tuple(shape)
        or labels.dtype.kind not in "ui"
        or np.iinfo(labels.dtype).max < model.classes[-1]
    ):
        raise ValueError(
            f"labels must be {np.dtype(dtype)} of {tuple(shape)}, not {labels.dtype} of {labels.shape}"
        )
    return labels


def _probabilities_out(
    given: NDArray[Any] | bool, shape: tuple[int, ...], *, needed: bool
) -> NDArray[Any] | None:
    if isinstance(given, bool):
        return np.empty(shape, np.float32) if given or needed else None
    if given.shape != shape or given.dtype.kind != "f":
        raise ValueError(f"probabilities must be floats of {shape}, not {given.dtype} of {given.shape}")
    return given


def _label(
    model: Model, found: NDArray[np.float32], out: NDArray[Any], box: Box, marks: NDArray[np.int64] | None
) -> tuple[int, int]:
    """Write labels; pin what is painted. How many pixels are painted here, and how many had their label anyway."""
    best = found.argmax(axis=2)
    seen = (0, 0)
    if marks is not None:
        mine = marks >= 0
        seen = int(mine.sum()), int((best[mine] == marks[mine]).sum())
        best[mine] = marks[mine]
        found[mine] = np.eye(found.shape[2], dtype=np.float32)[marks[mine]]
    y0, y1, x0, x1 = box
    out[y0:y1, x0:x1] = model.classes[best]
    return seen


def _smooth(
    model: Model,
    image: Any,
    probabilities: NDArray[Any],
    out: NDArray[Any],
    crf: Mapping[str, Any],
    marks: NDArray[np.int64] | None,
) -> int:
    """A dense CRF over the whole image, in place. How many labels it changed."""
    found = smoothed(probabilities, image, crf, marks)
    probabilities[...] = found
    new = model.classes[found.argmax(axis=2)].astype(out.dtype)
    changed = int((new != out).sum())
    out[...] = new
    return changed


class _Summary:
    """What tiles say of how sure the model is, added up."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.sure = np.zeros(len(model.classes))
        self.count = np.zeros(len(model.classes), np.int64)
        self.unsure = self.painted = self.agreed = 0
        self.changed: int | None = None

    def add(self, found: NDArray[np.float32], labels: NDArray[Any], seen: tuple[int, int]) -> None:
        best = np.searchsorted(self.model.classes, labels.ravel())
        top = found.max(axis=2).ravel()
        self.count += np.bincount(best, minlength=len(self.count))
        self.sure += np.bincount(best, top, minlength=len(self.count))
        self.unsure += int((top < 0.5).sum())
        self.painted, self.agreed = self.painted + seen[0], self.agreed + seen[1]

    def told(self, labels: NDArray[Any]) -> dict[str, Any]:
        total = labels.size
        values, pixels = np.unique(labels, return_counts=True)
        final = dict(zip(values.tolist(), pixels.tolist(), strict=True))
        per_class = []
        for k, label in enumerate(self.model.classes.tolist()):
            n = final.get(label, 0)
            sure = float(self.sure[k] / self.count[k]) if self.count[k] else None
            per_class.append({"class": label, "name": self.model.names[k], "pixels": n, "share": n / total,
                              "mean_probability": sure})  # fmt: skip
        told: dict[str, Any] = {
            "size": list(labels.shape),
            "model": {
                "classifier": self.model.classifier.kind,
                "features": list(self.model.columns.features),
            },
            "classes": per_class,
            "mean_probability": float(self.sure.sum() / total),
            "share_below_half": self.unsure / total,
        }
        if self.changed is not None:
            told["crf_changed"] = self.changed / total
        if self.painted:
            told["painted"] = {"pixels": self.painted, "agreed": self.agreed / self.painted}
        return told
