"""Rivals for perceptual hashes. The same form as in rivals.py, which lists them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any
from unittest.mock import MagicMock

import numpy as np

from maskmill import hashes

Operation = Callable[..., tuple[Callable[[], Any], Callable[[Any], Any]]]


def imagehash() -> dict[str, Operation]:
    import imagehash
    from PIL import Image

    def codes(answers: list[Any]) -> np.ndarray:
        bits = np.array([found.hash.ravel() for found in answers])
        padded = np.pad(bits, [(0, 0), (0, -bits.shape[1] % 64)])
        return np.packbits(padded, axis=1).view(">u8").astype(np.uint64)

    def operation(function: Callable[[Any], Any]) -> Operation:
        def made(images: np.ndarray) -> Any:
            return lambda: [function(Image.fromarray(image)) for image in images], codes

        return made

    def segments(found: list[Any]) -> np.ndarray:
        return codes([one for multi in found for one in multi.segment_hashes])

    def crop_resistant(images: np.ndarray) -> Any:
        return lambda: [imagehash.crop_resistant_hash(Image.fromarray(image)) for image in images], segments

    return {
        "hashes_ahash": operation(imagehash.average_hash),
        "hashes_colorhash": operation(imagehash.colorhash),
        "hashes_crop_resistant": crop_resistant,
        "hashes_dhash": operation(imagehash.dhash),
        "hashes_phash": operation(imagehash.phash),
        "hashes_whash": operation(imagehash.whash),
    }


def imagededup() -> dict[str, Operation]:
    for name in ("methods.cnn", "handlers.search.retrieval", "utils.plotter", "utils.models"):
        sys.modules.setdefault(f"imagededup.{name}", MagicMock())  # what only its neural networks need
    from imagededup.methods import hashing

    def operation(encode: Callable[..., str]) -> Operation:
        return lambda images: (lambda: [encode(image_array=image) for image in images], hashes.from_hex)

    return {
        f"hashes_{kind.lower()}_imagededup": operation(getattr(hashing, kind)(verbose=False).encode_image)
        for kind in ("AHash", "DHash", "PHash", "WHash")
    }


def opencv() -> dict[str, Operation]:
    from cv2 import img_hash

    if not hasattr(img_hash, "averageHash"):  # OpenCV 5
        return {}

    def operation(function: Callable[[np.ndarray], np.ndarray]) -> Operation:
        return lambda images: (
            lambda: [function(image) for image in images],
            lambda found: hashes.from_opencv(np.concatenate(found)),
        )

    return {
        "hashes_ahash_opencv": operation(img_hash.averageHash),
        "hashes_phash_opencv": operation(img_hash.pHash),
    }


def pdqhash() -> dict[str, Operation]:
    import pdqhash

    def codes(answers: list[Any]) -> np.ndarray:
        bits = np.array([vector for vector, _ in answers], np.uint8)
        return np.packbits(bits, axis=1).view(">u8").astype(np.uint64)

    def pdq(images: np.ndarray) -> Any:
        # It takes colours alone.
        colors = images if images.ndim == 4 else np.repeat(images[..., None], 3, axis=3)
        return lambda: [pdqhash.compute(image) for image in colors], codes

    return {"hashes_pdq": pdq}
