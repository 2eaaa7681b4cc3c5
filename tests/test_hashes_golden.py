"""Codes that ImageHash, imagededup and pdqhash give real images: equal on Pillow 12.1.1, 12.3.0 and 13.0.0."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from maskmill import hashes

Image = pytest.importorskip("PIL.Image")

KINDS = ("ahash", "dhash", "dhash_v", "phash", "phash_simple", "whash")


class Golden(NamedTuple):
    imagehash: str
    """In the order of KINDS."""
    dedup_ahash: str
    dedup_phash: str
    pdq: str
    colorhash: str | None = None


OCCLUSION = "em/cem_example/example_data/occlusion"
EM = {
    "example0.tiff": Golden(
        "ff1c7a6040380c0f 863af2c48ce8f8bc 087b6184193d0ff7 91e49953f4c3c599 b78a8ba06637beb8 ff1c7a60c07c0c1f",
        "ff1c7a6040380c0f",
        "91e49953f4e3c599",
        "9884b2ea96a6aa4075ee4b698dbe52f8e17d84cc1ed1ada3c4972865984cfe93",
    ),
    "example8.tiff": Golden(
        "fefff8fce0800000 040282902828e0c0 ff00048401182060 c4ed01be531d6927 0088898880809889 fffff8fcf0800000",
        "fefff8fce0800000",
        "c4ed01be531d6b27",
        "ae052fcc566abb428ad5fd3873a24581a8df0772504bfdc4a3e7343eccc041db",
    ),
}
SKIMAGE = {
    "astronaut.png": Golden(
        "7f7f7fc744f8d050 cd8dd91d897293a7 01bd8660389b4130 c2924c5532bddfc8 b7a7276565454585 7f775fc744f80040",
        "7f7f7fc744f8d050",
        "c2924c5d32bddfc8",
        "2d6b1af3a956c529e79ca3d2526fa834d4196c81cedd04de0a26b855fc99b724",
        "0b400018000",
    ),
    "motorcycle_left.png": Golden(
        "343a02020ce8e8fe ccc6c696d81380e0 1ac248acf9c0fe3f c507c66b9370aa73 8f8e8f8f8f0a0e8a 3c3a22420cf8f8ff",
        "343a02020cc8e8fe",
        "c507c66b9370aa77",
        "e0c9cfdb78d358d68a58ec54e94ba55937525b67508a0b87ad64fc6b4631c470",
        "06e00010000",
    ),
}


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def assert_golden(image: np.ndarray, golden: Golden, backend: str) -> None:
    def code(kind: str, **options: str) -> str:
        return hashes.to_hex(getattr(hashes, kind)([image], backend=backend, **options))[0]

    assert " ".join(map(code, KINDS)) == golden.imagehash
    assert code("ahash", profile="imagededup") == golden.dedup_ahash
    assert code("phash", profile="imagededup") == golden.dedup_phash
    assert code("pdq") == golden.pdq
    if golden.colorhash is not None:
        assert hashes.to_hex(hashes.colorhash([image], backend=backend), 42) == [golden.colorhash]


@pytest.mark.parametrize("name", EM)
def test_em(name: str, data: Path, backend: str) -> None:
    assert_golden(read(data / OCCLUSION / name), EM[name], backend)


@pytest.mark.parametrize("name", SKIMAGE)
def test_photos(name: str, backend: str) -> None:
    skimage = pytest.importorskip("skimage")
    path = Path(skimage.__file__).parent / "data" / name
    if not path.exists():
        pytest.skip(f"this scikit-image comes without {name}")
    assert_golden(read(path), SKIMAGE[name], backend)


def test_more_bits(data: Path, backend: str) -> None:
    codes = hashes.dhash([read(data / OCCLUSION / "example0.tiff")], 16, backend=backend)
    assert hashes.to_hex(codes) == ["3934c4384bc90e497e186119645bb0b494a0edacb889f8ccfb648be2d3890fde"]


def test_regimes(data: Path) -> None:
    """The third segment is much higher than wide."""
    image = read(data / OCCLUSION / "example5.tiff")
    found = [
        hashes.to_hex(hashes.crop_resistant([image], resize=resize)[0][2:3])
        for resize in ("pillow<=12.1", "pillow12.2", "pillow13")
    ]
    assert found == [["90c0442404e21280"], ["90c0442404e21280"], ["90c8442404e21284"]]


def test_pdq_of_a_photo(data: Path, backend: str) -> None:
    path = next((data / "dedupe").rglob("bridge-mods/aaa-orig.jpg"), None)
    if path is None:
        pytest.skip("no photos of PDQ's")
    codes, quality = hashes.pdq([read(path)], quality=True, backend=backend)
    assert hashes.to_hex(codes) == ["f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6b39c4e9c9b22"]
    assert quality.tolist() == [100]


@pytest.mark.parametrize("value", [0, 1, 128, 255])
def test_constant(value: int, backend: str) -> None:
    image = np.full((224, 224), value, np.uint8)
    for kind in ("ahash", "dhash", "whash"):
        assert getattr(hashes, kind)([image], backend=backend).tolist() == [[0]]
    assert hashes.phash([image], backend=backend).tolist() == [[0 if value == 0 else 1 << 63]]
