"""Small pictures of masks, for notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from maskmill.masks import Masks

_MOST_MASKS = 64
_SIDE = 512


def colours(n: int) -> np.ndarray:
    """(n, 3) uint8, bright and far apart: hues by the golden ratio."""
    import cv2

    hue = (np.arange(n) * 0.618033988749895 % 1 * 180).astype(np.uint8)
    hsv = np.stack([hue, np.full(n, 170, np.uint8), np.full(n, 235, np.uint8)], 1)[None]
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0]) if n else np.empty((0, 3), np.uint8)


def contact_sheet(masks: Masks) -> bytes | None:
    """PNG of the first masks: painted over one another when they share one size, else the first one alone."""
    import cv2

    if len(masks) == 0 or 0 in masks.sizes[0]:
        return None
    same = np.all(masks.sizes == masks.sizes[0], axis=1)
    shown = masks[np.flatnonzero(same)[:_MOST_MASKS]]
    labels = shown.labels()
    palette = np.concatenate([np.full((1, 3), 24, np.uint8), colours(len(shown))])
    scale = _SIDE / max(labels.shape)
    if scale < 1:
        size = (max(1, round(labels.shape[1] * scale)), max(1, round(labels.shape[0] * scale)))
        labels = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
    picture = palette[labels][..., ::-1]
    return bytes(cv2.imencode(".png", picture)[1])
