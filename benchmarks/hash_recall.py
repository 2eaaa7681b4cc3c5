"""What each hash finds: python -m maskmill.benchmarks.hash_recall DATA [--markdown FILE]

DATA is a folder with the sets that README.md names: `dedupe` (photos with edits, from PDQ and imagededup) and `video`.
Needs maskmill.hashes and maskmill.hamming alone, and OpenCV or Pillow to read the files.

Two images are duplicates if they were made from the same photo, whatever was done to it, turning and mirroring
included; those of different photos are not. Two frames are duplicates if they are of one video, at most NEAR frames
apart, and are not if they are of different videos; other pairs of frames do not count.

For a radius, precision is the part of the pairs found that are duplicates; recall the part of the duplicates found.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from maskmill import FormatError, hamming, hashes
from maskmill.io.images import read_image

NEAR = 3
"""Frames."""
EVERY = 4
"""Of the long video, one frame of so many is taken."""

Images = list[np.ndarray]


@dataclass(frozen=True)
class Hash:
    """What makes codes (N, K, words) of images, K turns each; those of the image as it is come first."""

    name: str
    codes: Callable[[Images], np.ndarray]
    radii: tuple[int, ...]
    advised: int  # the radius of the table of edits


def pairs(codes: np.ndarray, radius: int) -> set[tuple[int, int]]:
    """Pairs i < j within the radius; of turned codes, any one to the other image as it is."""
    n, turns, words = codes.shape
    i, j, _ = hamming.pairs(codes.reshape(n * turns, words), radius, other=codes[:, 0].copy())
    return {(min(a, b), max(a, b)) for a, b in zip((i // turns).tolist(), j.tolist(), strict=True) if a != b}


def plain(function: Callable[..., Any], *arguments: Any, **options: Any) -> Callable[[Images], np.ndarray]:
    return lambda images: np.asarray(function(images, *arguments, **options))[:, None]


SHORT, LONG = (4, 8, 12), (16, 31, 48)
HASHES = [
    Hash("ahash", plain(hashes.ahash), SHORT, 8),
    Hash("dhash", plain(hashes.dhash), SHORT, 8),
    Hash("phash", plain(hashes.phash), SHORT, 8),
    Hash("whash", plain(hashes.whash), SHORT, 8),
    Hash("imagededup ahash", plain(hashes.ahash, profile="imagededup"), SHORT, 8),
    Hash("imagededup dhash", plain(hashes.dhash, profile="imagededup"), SHORT, 8),
    Hash("imagededup phash", plain(hashes.phash, profile="imagededup"), SHORT, 8),
    Hash("imagededup whash", plain(hashes.whash, profile="imagededup"), SHORT, 8),
    Hash("cem dhash", plain(hashes.dhash, profile="cem"), SHORT, 12),
    Hash("dhash, 8 turns", hashes.dhash_dihedral, SHORT, 8),
    Hash("dhash, 256 bits", plain(hashes.dhash, 16), LONG, 31),
    Hash("pdq", plain(hashes.pdq), LONG, 31),
    Hash("pdq, 8 turns", hashes.pdq_dihedral, LONG, 31),
    Hash("colorhash", plain(hashes.colorhash), (0, 2, 4), 2),
]


# Sets: images, and a matrix that is 1 for duplicates, 0 for different ones, -1 for pairs that do not count


@dataclass(frozen=True)
class Pool:
    name: str
    images: Images
    truth: np.ndarray


def pool(name: str, items: Iterable[tuple[str, np.ndarray]]) -> Pool:
    """Of (photo, image)."""
    photos, images = zip(*items, strict=True)
    return Pool(name, list(images), np.array([[int(a == b) for b in photos] for a in photos]))


def photos(folder: Path, photo: str | None = None) -> list[tuple[str, np.ndarray]]:
    """(photo, image) of the files of a folder; what cannot be read is left out, and said."""
    out = []
    for path in sorted(folder.iterdir()):
        if not path.is_file():
            continue
        try:
            image = read_image(path)
        except FormatError as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        if image.dtype == np.uint8:
            out.append((photo or path.stem.partition("_")[0].partition(".")[0], image))
    return out


def photo_pools(data: Path) -> list[Pool]:
    base = photos(data / "dedupe/imagededup/base_images")
    edits = data / "dedupe/pdq"
    more = [
        item
        for name in ("mixed_images", "formats_images")
        for item in photos(data / "dedupe/imagededup" / name)
    ]
    return [
        pool("edits", photos(edits / "bridge-mods", "bridge") + base),
        pool("modes", photos(edits / "modes", "bridge") + base),
        pool("turns", photos(edits / "dihedral", "bridge") + base),
        pool("UKBench", base + more),
    ]


def video_pool(data: Path) -> Pool:
    from maskmill.io.video import open_video

    images, places = [], []
    for video, (name, step) in enumerate([("doorknob-hd-no-bar.mp4", 1), ("bulk-water.mov", EVERY)]):
        with open_video(data / "video" / name) as opened:
            frames = list(opened.frames(step=step))
        images += frames
        places += [(video, k) for k in range(len(frames))]
    video, frame = np.array(places).T
    same = video[:, None] == video
    near = np.abs(frame[:, None] - frame) <= NEAR
    return Pool("video", images, np.where(same, np.where(near, 1, -1), 0))


def score(found: set[tuple[int, int]], truth: np.ndarray) -> tuple[float, float]:
    """Precision and recall; nothing found is precise."""
    verdicts = [int(truth[pair]) for pair in found]
    hits, misses = verdicts.count(1), verdicts.count(0)
    duplicates = int(np.count_nonzero(np.triu(truth == 1, 1)))
    return hits / (hits + misses) if hits + misses else 1.0, hits / duplicates


# Edits of one kind each, made here


def shift(part: float) -> Callable[[np.ndarray], np.ndarray]:
    """Moved to the left by that part of the width; the border is repeated."""

    def move(image: np.ndarray) -> np.ndarray:
        width = image.shape[1]
        return image[:, np.minimum(np.arange(width) + int(part * width), width - 1)]

    return move


def crop(part: float) -> Callable[[np.ndarray], np.ndarray]:
    """That part of both sides is cut off, half of it on each."""

    def cut(image: np.ndarray) -> np.ndarray:
        y, x = (int(part / 2 * side) for side in image.shape[:2])
        return image[y : image.shape[0] - y, x : image.shape[1] - x]

    return cut


def rotated(degrees: float) -> Callable[[np.ndarray], np.ndarray]:
    """About the middle, nearest pixels; corners repeat the border."""

    def turn(image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        y, x = np.mgrid[:height, :width] - np.array([height / 2, width / 2])[:, None, None]
        cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        rows = np.clip(np.rint(cos * y - sin * x + height / 2), 0, height - 1).astype(int)
        columns = np.clip(np.rint(sin * y + cos * x + width / 2), 0, width - 1).astype(int)
        return image[rows, columns]

    return turn


def noise(image: np.ndarray) -> np.ndarray:
    added = image + np.random.default_rng(0).normal(0, 20, image.shape)
    return np.clip(np.rint(added), 0, 255).astype(np.uint8)


def blur(image: np.ndarray) -> np.ndarray:
    """Means of 9 x 9 pixels."""
    for axis in (0, 1):
        padded = np.pad(image, [(4, 4) if k == axis else (0, 0) for k in range(image.ndim)], "edge")
        image = sliding_window_view(padded, 9, axis).mean(axis=-1).astype(np.uint8)
    return image


def gamma(image: np.ndarray) -> np.ndarray:
    return np.rint(255 * (np.arange(256) / 255) ** 0.6).astype(np.uint8)[image]


def caption(image: np.ndarray) -> np.ndarray:
    """A white bar over a tenth of the height."""
    out = image.copy()
    out[-image.shape[0] // 10 :] = 255
    return out


EDITS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "half the size": lambda image: image[::2, ::2],
    "stretched: half the width": lambda image: image[:, ::2],
    "blur, 9 x 9": blur,
    "noise, sigma 20": noise,
    "gamma 0.6": gamma,
    "gray": lambda image: image.mean(axis=2).astype(np.uint8),
    "caption": caption,
    "shift 2 %": shift(0.02),
    "shift 5 %": shift(0.05),
    "shift 10 %": shift(0.10),
    "crop 5 %": crop(0.05),
    "crop 10 %": crop(0.10),
    "crop 25 %": crop(0.25),
    "rotation 2 degrees": rotated(2),
    "rotation 5 degrees": rotated(5),
    "rotation 90 degrees": lambda image: np.rot90(image),
    "rotation 180 degrees": lambda image: np.rot90(image, 2),
    "mirror": lambda image: image[:, ::-1],
    "inversion": lambda image: 255 - image,
}


def edit_row(edit: Callable[[np.ndarray], np.ndarray], originals: Images) -> list[float]:
    """Part of the photos that each hash finds to be that of the edited one, crop-resistant last."""
    edited = [np.ascontiguousarray(edit(image)) for image in originals]
    n = len(originals)
    row = []
    for each in HASHES:
        found = pairs(each.codes(originals + edited), each.advised)
        row.append(sum((k, n + k) in found for k in range(n)) / n)
    codes, others = hashes.crop_resistant(originals), hashes.crop_resistant(edited)
    return [*row, sum(map(hashes.crop_matches, codes, others)) / n]


def false_row(originals: Images) -> list[float]:
    """Part of the pairs of different photos that each hash takes for one."""
    n = len(originals)
    possible = n * (n - 1) / 2
    codes = hashes.crop_resistant(originals)
    confused = sum(hashes.crop_matches(codes[i], codes[j]) for i in range(n) for j in range(i))
    return [
        *(len(pairs(each.codes(originals), each.advised)) / possible for each in HASHES),
        confused / possible,
    ]


# Tables


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def sets_table(pools: list[Pool]) -> str:
    def rows() -> Iterable[list[str]]:
        for each in HASHES:
            codes = [each.codes(pool.images) for pool in pools]
            for radius in each.radii:
                scores = (
                    score(pairs(made, radius), pool.truth) for made, pool in zip(codes, pools, strict=True)
                )
                yield [each.name, str(radius), *(f"{p:.2f} / {r:.2f}" for p, r in scores)]

    return table(["precision / recall", "radius", *(pool.name for pool in pools)], rows())


def edits_table(originals: Images) -> str:
    names = [*(f"{each.name} ({each.advised})" for each in HASHES), "crop-resistant"]
    columns = {name: edit_row(edit, originals) for name, edit in EDITS.items()}
    columns["different photos taken for one"] = false_row(originals)
    return table(
        ["part found", *names],
        ([edit, *(f"{part:.2f}" for part in parts)] for edit, parts in columns.items()),
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="hash_recall", description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder with dedupe and video")
    parser.add_argument("--markdown", type=Path, help="write the tables there, too")
    options = parser.parse_args(arguments)
    for part in ("dedupe", "video"):
        if not (options.data / part).is_dir():
            parser.error(f"{options.data} must have a folder {part}")
    pools = [*photo_pools(options.data), video_pool(options.data)]
    originals = [image for _, image in photos(options.data / "dedupe/imagededup/base_images")]
    originals += [image for _, image in photos(options.data / "dedupe/pdq/bridge-mods")[:1]]
    counts = table(
        ["set", "images", "duplicates", "different pairs"],
        (
            [p.name, str(len(p.images)), *(str(np.count_nonzero(np.triu(p.truth == k, 1))) for k in (1, 0))]
            for p in pools
        ),
    )
    text = f"{counts}\n\n{sets_table(pools)}\n\n{edits_table(originals)}\n"
    print(text)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
