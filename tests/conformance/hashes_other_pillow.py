"""Count the bits of hashes that differ from the reference packages', with whatever Pillow is installed.

    PYTHONPATH=python MASKMILL_DATA=... python tests/conformance/hashes_other_pillow.py [images of each sort]

Compares with ImageHash, and with imagededup, pdqhash and OpenCV's img_hash where they are installed. Run it in
environments with other Pillows than that of the test suite; the regime is that of the Pillow found. Ends with exit code
1 if a bit differs.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from unittest.mock import MagicMock

import imagehash
import numpy as np
import PIL
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

import hash_images
from maskmill import hashes

Texts = Callable[[np.ndarray], list[str]]


class Comparison(NamedTuple):
    """Hexadecimal codes of an image by both sides; only each `every`-th image is compared."""

    ours: Texts
    theirs: Texts
    every: int


VERSION = tuple(int(part) for part in PIL.__version__.split(".")[:2])
REGIME = "pillow13" if VERSION >= (13, 0) else "pillow12.2" if VERSION >= (12, 2) else "pillow<=12.1"


def by_imagehash() -> Iterator[tuple[str, Comparison]]:
    functions = {
        "ahash": (imagehash.average_hash, (8, 16, 5)),
        "dhash": (imagehash.dhash, (8, 16, 3)),
        "dhash_v": (imagehash.dhash_vertical, (8, 16)),
        "phash": (imagehash.phash, (8, 16, 6, 10)),
        "phash_simple": (imagehash.phash_simple, (8, 16)),
        "whash": (imagehash.whash, (8, 16)),
    }
    for kind, (function, sizes) in functions.items():
        for size in sizes:
            every = 1 if size == sizes[0] else 5
            yield (
                f"imagehash.{kind}/{size}",
                Comparison(
                    lambda image, kind=kind, size=size: plain(kind, image, size),
                    lambda image, function=function, size=size: [
                        str(function(picture(image), hash_size=size))
                    ],
                    every,
                ),
            )
    yield (
        "imagehash.colorhash",
        Comparison(
            lambda image: hashes.to_hex(hashes.colorhash([image]), 42),
            lambda image: [str(imagehash.colorhash(picture(image)))],
            2,
        ),
    )
    yield (
        "imagehash.crop_resistant",
        Comparison(
            lambda image: hashes.to_hex(hashes.crop_resistant([image], resize=REGIME)[0]),
            lambda image: str(imagehash.crop_resistant_hash(picture(image))).split(","),
            50,
        ),
    )


def by_imagededup() -> Iterator[tuple[str, Comparison]]:
    # The package imports what only its neural networks need.
    for name in ("methods.cnn", "handlers.search.retrieval", "utils.plotter", "utils.models"):
        sys.modules[f"imagededup.{name}"] = MagicMock()
    from imagededup.methods import hashing

    for kind, maker in (("ahash", "AHash"), ("dhash", "DHash"), ("phash", "PHash"), ("whash", "WHash")):
        encode = getattr(hashing, maker)(verbose=False).encode_image
        yield (
            f"imagededup.{kind}",
            Comparison(
                lambda image, kind=kind: plain(kind, image, profile="imagededup"),
                # Of alpha it makes what Pillow does with a mode it is not told.
                lambda image, encode=encode: [encode(image_array=colors(image))],
                1,
            ),
        )


def by_pdqhash() -> Iterator[tuple[str, Comparison]]:
    import pdqhash

    def theirs(image: np.ndarray) -> list[str]:
        image = colors(image)
        bits, _ = pdqhash.compute(image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2))
        return [np.packbits(bits.astype(np.uint8)).tobytes().hex()]

    yield "pdq", Comparison(lambda image: hashes.to_hex(hashes.pdq([image])), theirs, 1)


def by_opencv() -> Iterator[tuple[str, Comparison]]:
    from cv2 import img_hash

    for kind, function in (("ahash", img_hash.averageHash), ("phash", img_hash.pHash)):
        yield (
            f"opencv.{kind}",
            Comparison(
                lambda image, kind=kind: plain(kind, image, profile="opencv"),
                lambda image, function=function: hashes.to_hex(
                    hashes.from_opencv(function(np.ascontiguousarray(colors(image)[..., ::-1])))
                    if image.ndim == 3
                    else hashes.from_opencv(function(np.ascontiguousarray(image)))
                ),
                1,
            ),
        )


def plain(kind: str, image: np.ndarray, size: int = 8, profile: str = "imagehash") -> list[str]:
    codes = getattr(hashes, kind)([image], size, profile=profile, resize=REGIME)
    return hashes.to_hex(codes, size**2)


def picture(image: np.ndarray) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(image))


def colors(image: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(image[:, :, :3] if image.ndim == 3 else image)


def images(n: int) -> Iterator[tuple[str, np.ndarray]]:
    rng = np.random.default_rng(13)
    folder = Path(os.environ.get("MASKMILL_DATA", "."))
    folders = [folder / name for name in ("em", "dedupe", "flakes", "dsb2018")]
    try:
        import skimage

        folders.append(Path(skimage.__file__).parent / "data")
    except ImportError:
        pass
    for place in folders:
        yield from (("real", image) for image in hash_images.real(place, n // len(folders) + 1, rng))
    yield from (("random", image) for image in hash_images.random(n, rng))
    yield from (("degenerate", image) for image in hash_images.degenerate())


def main(n: int) -> int:
    print(f"Pillow {PIL.__version__}, {REGIME}, ImageHash {imagehash.__version__}")
    comparisons = dict(by_imagehash())
    for others in (by_imagededup, by_pdqhash, by_opencv):
        try:
            comparisons |= others()
        except ImportError as error:
            print(f"not compared: {error}")
    compared, differ = Counter(), Counter()
    for k, (sort, image) in enumerate(images(n)):
        for name, comparison in comparisons.items():
            if k % comparison.every == 0:
                compared[name, sort] += 1
                differ[name] += bits_apart(comparison.ours(image), comparison.theirs(image))
    for name in comparisons:
        counts = ", ".join(f"{compared[name, sort]} {sort}" for sort in ("real", "random", "degenerate"))
        print(f"{name}: {differ[name]} differing bits in {counts}")
    return 1 if differ.total() else 0


def bits_apart(ours: list[str], theirs: list[str]) -> int:
    """Codes that only one side has count as wholly different."""
    apart = 4 * sum(map(len, ours + theirs)) if len(ours) != len(theirs) else 0
    return apart or sum((int(a, 16) ^ int(b, 16)).bit_count() for a, b in zip(ours, theirs, strict=True))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5000))
