"""Rivals for perceptual hashes. The same form as in rivals.py, which lists them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Operation = Callable[..., tuple[Callable[[], Any], Callable[[Any], Any]]]


def imagehash() -> dict[str, Operation]:
    import imagehash
    from PIL import Image

    def codes(hashes: list[Any]) -> np.ndarray:
        bits = np.array([found.hash.ravel() for found in hashes])
        return np.packbits(bits, axis=1).view(">u8").astype(np.uint64)

    def operation(function: Callable[[Any], Any]) -> Operation:
        def made(images: np.ndarray) -> Any:
            return lambda: [function(Image.fromarray(image)) for image in images], codes

        return made

    return {
        "hashes_ahash": operation(imagehash.average_hash),
        "hashes_dhash": operation(imagehash.dhash),
        "hashes_phash": operation(imagehash.phash),
        "hashes_whash": operation(imagehash.whash),
    }
