"""Count the bits of hashes that differ from ImageHash's, with whatever Pillow is installed.

    PYTHONPATH=python MASKMILL_DATA=... python tests/conformance/hashes_other_pillow.py [images of each sort]

Run it in environments with other Pillows than that of the test suite; the regime is that of the Pillow found. Ends with
exit code 1 if a bit differs.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import imagehash
import numpy as np
import PIL
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

import hash_images
from maskmill import hashes

REFERENCES = {
    "ahash": (imagehash.average_hash, (8, 16, 5)),
    "dhash": (imagehash.dhash, (8, 16, 3)),
    "dhash_v": (imagehash.dhash_vertical, (8, 16)),
    "phash": (imagehash.phash, (8, 16, 6, 10)),
    "phash_simple": (imagehash.phash_simple, (8, 16)),
    "whash": (imagehash.whash, (8, 16)),
}


def regime() -> str:
    version = tuple(int(part) for part in PIL.__version__.split(".")[:2])
    return "pillow13" if version >= (13, 0) else "pillow12.2" if version >= (12, 2) else "pillow<=12.1"


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
    print(f"Pillow {PIL.__version__}, {regime()}, ImageHash {imagehash.__version__}")
    compared, differ = Counter(), Counter()
    for k, (sort, image) in enumerate(images(n)):
        compared[sort] += 1
        picture = Image.fromarray(np.ascontiguousarray(image))
        for kind, (function, sizes) in REFERENCES.items():
            for size in itertools.islice(sizes, 1 if k % 5 else None):
                ours = getattr(hashes, kind)([image], size, resize=regime())
                if (wrong := bits(ours, size) != function(picture, hash_size=size).hash.ravel()).any():
                    differ[sort, kind, size] += int(wrong.sum())
    print("images:", dict(compared))
    print("differing bits:", dict(differ) or 0)
    return 1 if differ else 0


def bits(codes: np.ndarray, size: int) -> np.ndarray:
    return np.unpackbits(codes.astype(">u8").view(np.uint8))[: size**2] != 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5000))
