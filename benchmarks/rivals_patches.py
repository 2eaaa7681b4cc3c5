"""Rivals for patches. The same form as in rivals.py, which lists them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .measure import answer_itself

Operation = Callable[..., tuple[Callable[[], Any], Callable[[Any], Any]]]


def numpy() -> dict[str, Operation]:
    def extract(image: np.ndarray, size: int) -> Any:
        """Into one buffer, patch by patch."""
        rows, columns = image.shape[0] // size, image.shape[1] // size
        out = np.zeros((rows * columns, size, size), image.dtype)

        def call() -> np.ndarray:
            for i in range(rows * columns):
                y, x = i // columns * size, i % columns * size
                out[i] = image[y : y + size, x : x + size]
            return out

        return call, answer_itself

    def planes(volume: np.ndarray, tiles: list[np.ndarray]) -> Any:
        """Into one buffer, slices of a tile at once."""
        outs = [
            np.zeros((len(t), volume.shape[axis], *(t[0, 1::2] - t[0, ::2])), volume.dtype)
            for axis, t in enumerate(tiles)
        ]

        def call() -> list[np.ndarray]:
            for axis, out in enumerate(outs):
                cross = np.moveaxis(volume, axis, 0)
                for k, (r0, r1, c0, c1) in enumerate(tiles[axis].tolist()):
                    out[k] = cross[:, r0:r1, c0:c1]
            return outs

        return call, answer_itself

    def stats(volume: np.ndarray, tiles: list[np.ndarray]) -> Any:
        def call() -> list[list[np.ndarray]]:
            found = []
            for axis, boxes in enumerate(tiles):
                cross = np.moveaxis(volume, axis, 0)
                parts = [cross[:, r0:r1, c0:c1] for r0, r1, c0, c1 in boxes.tolist()]
                functions = (np.min, np.max, np.mean)
                found.append([np.concatenate([f(p, axis=(1, 2)) for p in parts]) for f in functions])
            return found

        return call, answer_itself

    def stitch(cut: np.ndarray, boxes: np.ndarray, shape: tuple[int, ...]) -> Any:
        """Sums and numbers of patches, divided. Where patches agree, the mean is exact."""
        where = [(slice(y0, y1), slice(x0, x1)) for y0, y1, x0, x1 in boxes.tolist()]

        def call() -> np.ndarray:
            total, weight = np.zeros(shape), np.zeros(shape)
            for patch, at in zip(cut, where, strict=True):
                total[at] += patch
                weight[at] += 1
            return np.rint(total / np.maximum(weight, 1)).astype(cut.dtype)

        return call, answer_itself

    return {
        "patches_extract": extract,
        "patches_planes": planes,
        "patches_stats": stats,
        "patches_stitch": stitch,
    }


def pycocotools(mask_utils: Any, rles: Callable[[Any], Any]) -> dict[str, Operation]:
    def masks(masks: Any, boxes: np.ndarray) -> Any:
        """Every mask decoded once; what a tile does not show is left out."""
        items = masks.to_coco()

        def call() -> list[Any]:
            images = [mask_utils.decode(item) for item in items]
            where = mask_utils.toBbox(items)
            out = []
            for y0, y1, x0, x1 in boxes.tolist():
                left, top, width, height = where.T
                meets = (left < x1) & (left + width > x0) & (top < y1) & (top + height > y0)
                for i in np.flatnonzero(meets):
                    part = images[i][y0:y1, x0:x1]
                    if part.any():
                        out.append(mask_utils.encode(np.asfortranarray(part)))
            return out

        return call, rles

    return {"patches_masks": masks}


def list_of_copies() -> dict[str, Operation]:
    def extract(image: np.ndarray, size: int) -> Any:
        ys, xs = (range(0, n - size + 1, size) for n in image.shape)
        return lambda: [image[y : y + size, x : x + size].copy() for y in ys for x in xs], np.stack

    return {"patches_extract": extract}


def sliding_window_view() -> dict[str, Operation]:
    def extract(image: np.ndarray, size: int) -> Any:
        def call() -> np.ndarray:
            windows = np.lib.stride_tricks.sliding_window_view(image, (size, size))[::size, ::size]
            return windows.reshape(-1, size, size)

        return call, answer_itself

    return {"patches_extract": extract}


def patchify() -> dict[str, Operation]:
    import patchify as package

    def extract(image: np.ndarray, size: int) -> Any:
        def call() -> np.ndarray:
            return package.patchify(image, (size, size), step=size).reshape(-1, size, size)

        return call, answer_itself

    return {"patches_extract": extract}


def scikit_learn() -> dict[str, Operation]:
    from sklearn.feature_extraction import image as package

    def extract(image: np.ndarray, size: int) -> Any:
        # Private, because extract_patches_2d has no step: it would give every window.
        def call() -> np.ndarray:
            windows = package._extract_patches(image, (size, size), size)
            return windows.reshape(-1, size, size)

        return call, answer_itself

    return {"patches_extract": extract}


def torch() -> dict[str, Operation]:
    import torch as package

    def extract(image: np.ndarray, size: int) -> Any:
        tensor = package.from_numpy(image)

        def call() -> Any:
            return tensor.unfold(0, size, size).unfold(1, size, size).reshape(-1, size, size)

        return call, lambda answer: answer.numpy()

    return {"patches_extract": extract}
