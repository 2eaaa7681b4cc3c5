"""Hostile annotations of every format: each is read as something, or refused by an error that names it, in bounded time
and memory. Whatever `maskmill.io.formats()` knows is taken through this, with the files that its own writer makes."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import time
import tracemalloc

import cv2
import numpy as np
import pytest

import maskmill.io
from maskmill import Dataset, Masks
from maskmill.cli._dataset import file_name

FORMATS = [f.name for f in maskmill.io.formats() if f.writes and f.reads]
TEXT = (".json", ".xml", ".csv", ".txt", ".yaml")
SECONDS, BYTES = 10.0, 1 << 30
"""What reading one of these files of a few kilobytes may take, on a busy machine."""


def nested(depth):
    made = []
    for _ in range(depth):
        made = [made]
    return made


VALUES = {
    "nothing": None,
    "an array": [],
    "an object": {},
    "text": "zebra",
    "traversal": "../../../../etc/passwd",
    "absolute": "/etc/passwd",
    "control": "a\0b\nc",
    "long text": "x" * 5000,
    "true": True,
    "minus one": -1,
    "a billion": 10**9,
    "2**63": 2**63,
    "many digits": 10**30,
    "1e300": 1e300,
    "NaN": float("nan"),
    "infinity": float("inf"),
    "deep": nested(300),
    "numbers": [1.5, "2", None],
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A function that gives the folder with a small data set in a format, and the name of what to read there."""
    root = tmp_path_factory.mktemp("written")
    rng = np.random.default_rng(3)
    (root / "photos").mkdir()
    masks = np.zeros((4, 20, 24), bool)
    masks[0, 2:9, 3:12] = masks[1, 10:18, 1:9] = masks[2, 3:8, 14:20] = masks[3, 11:19, 12:22] = True
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(root / "photos" / name), rng.integers(0, 255, (20, 24, 3), np.uint8))
    dataset = Dataset(
        {"file_name": ["a.png", "b.png"], "height": [20, 20], "width": [24, 24]},
        {"name": ["grain", "void"]},
        {"image": [0, 0, 1, 1], "category": [0, 1, 0, 1]},
        Masks.encode(masks),
    )
    maskmill.io.write(dataset, root / "all.json")
    dataset = maskmill.io.read(root / "all.json", images=root / "photos")
    made = {}

    def of(format):
        if format not in made:
            folder = root / format
            folder.mkdir()
            name = file_name("data", format)
            maskmill.io.write(dataset, folder / name, format, compare=False)
            made[format] = folder, name
        return made[format]

    of.dataset = dataset
    of.photos = root / "photos"
    return of


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def attempt(path, format, photos):
    """Read and rasterise. Whatever is wrong is a FormatError that names a file, or a ValueError of masks; at once."""
    known = next(f for f in maskmill.io.formats() if f.name == format).module.read.__kwdefaults__
    options = {"images": photos} if "images" in known else {}
    begin = time.process_time()
    try:
        dataset = maskmill.io.read(path, format, **options)
    except (maskmill.FormatError, FileNotFoundError) as error:
        said = str(error)
    else:
        said = str(path)
        for name in dataset.images["file_name"]:
            assert isinstance(name, str)
        for pixels in dataset.images["pixels"]:
            assert pixels is None or not pixels.path.startswith("/etc")
        with contextlib.suppress(ValueError):
            assert len(dataset.masks) == len(dataset.instances)
    assert "/copy" in said  # the file, or another one of its folder
    assert len(said) < 3000
    assert time.process_time() - begin < SECONDS


@pytest.fixture
def bounded():
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < BYTES, f"{peak:,} bytes"


def damaged(folder, name, target, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    return copy / name, copy / target.relative_to(folder)


@pytest.mark.parametrize("format", FORMATS)
def test_cut_short_or_with_other_bytes(format, written, tmp_path, bounded):
    folder, name = written(format)
    rng = np.random.default_rng(7)
    for number, file in enumerate(files(folder)):
        path, target = damaged(folder, name, file, tmp_path)
        whole = file.read_bytes()
        for cut in np.unique(np.linspace(0, max(len(whole) - 1, 0), 12 if number < 3 else 3).astype(int)):
            target.write_bytes(whole[:cut])
            attempt(path, format, written.photos)
        for _ in range(12 if number < 3 else 3):
            data = np.frombuffer(whole, np.uint8).copy()
            where = rng.integers(0, max(len(data), 1), 3)
            data[where] = rng.integers(0, 256, 3)
            target.write_bytes(data.tobytes())
            attempt(path, format, written.photos)
        target.unlink()
        attempt(path, format, written.photos)
        shutil.rmtree(tmp_path / "copy")


@pytest.mark.parametrize("format", FORMATS)
def test_other_encodings(format, written, tmp_path, bounded):
    folder, name = written(format)
    for file in files(folder):
        if file.suffix not in TEXT:
            continue
        path, target = damaged(folder, name, file, tmp_path)
        text = file.read_text(encoding="utf-8").replace("grain", "gräin µ")
        for encoding in ("latin-1", "utf-16", "utf-16-le", "utf-8-sig", "utf-32"):
            target.write_bytes(text.encode(encoding))
            attempt(path, format, written.photos)
        target.write_bytes(text.replace("\n", "\r\n").encode())
        attempt(path, format, written.photos)
        shutil.rmtree(tmp_path / "copy")


NUMBERS = ("NaN", "-1", "1e300", "-1e300", "1e9", "999999999999999999999", "", "x", "0", "../../etc/passwd")


@pytest.mark.parametrize("format", FORMATS)
def test_other_numbers(format, written, tmp_path, bounded):
    """Each of the first numbers of each text file, exchanged for what it should not be."""
    folder, name = written(format)
    for file in [file for file in files(folder) if file.suffix in TEXT][:6]:
        path, target = damaged(folder, name, file, tmp_path)
        text = file.read_text(encoding="utf-8")
        for found in list(re.finditer(r"-?\d+(\.\d+)?", text))[:16]:
            for value in NUMBERS:
                target.write_text(text[: found.start()] + value + text[found.end() :], encoding="utf-8")
                attempt(path, format, written.photos)
        shutil.rmtree(tmp_path / "copy")


def places(tree, path=()):
    """The paths to all nodes of a JSON tree, the first two items of arrays."""
    yield path
    if isinstance(tree, dict):
        for key in tree:
            yield from places(tree[key], (*path, key))
    elif isinstance(tree, list):
        for i in range(min(len(tree), 2)):
            yield from places(tree[i], (*path, i))


def exchanged(tree, path, value):
    if not path:
        return value
    copy = tree.copy()
    copy[path[0]] = exchanged(tree[path[0]], path[1:], value)
    return copy


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("value", VALUES)
def test_other_values_anywhere(format, value, written, tmp_path):
    """Every node of every JSON file, exchanged for something else."""
    folder, name = written(format)
    chosen = [file for file in files(folder) if file.suffix == ".json"][:2]
    for file in chosen:
        path, target = damaged(folder, name, file, tmp_path)
        tree = json.loads(file.read_text(encoding="utf-8"))
        for place in places(tree):
            target.write_text(json.dumps(exchanged(tree, place, VALUES[value])), encoding="utf-8")
            attempt(path, format, written.photos)
        shutil.rmtree(tmp_path / "copy")


@pytest.mark.parametrize("format", FORMATS)
def test_missing_fields(format, written, tmp_path):
    """Every field of every JSON object, left out."""
    folder, name = written(format)
    for file in [file for file in files(folder) if file.suffix == ".json"][:2]:
        path, target = damaged(folder, name, file, tmp_path)
        tree = json.loads(file.read_text(encoding="utf-8"))
        for place in places(tree):
            if place and isinstance(place[-1], str):
                parent = tree
                for key in place[:-1]:
                    parent = parent[key]
                without = {key: value for key, value in parent.items() if key != place[-1]}
                target.write_text(json.dumps(exchanged(tree, place[:-1], without)), encoding="utf-8")
                attempt(path, format, written.photos)
        shutil.rmtree(tmp_path / "copy")


@pytest.mark.parametrize("format", FORMATS)
def test_deep_nesting(format, written, tmp_path):
    folder, name = written(format)
    for file in files(folder)[:4]:
        path, target = damaged(folder, name, file, tmp_path)
        for content in (b"[" * 500_000, b'{"a":' * 200_000, b"<a>" * 200_000, b"(" * 500_000, b'"' * 100_001):
            target.write_bytes(content)
            attempt(path, format, written.photos)
        shutil.rmtree(tmp_path / "copy")


EVIL = (
    "../evil.png",
    "{outside}/evil.png",
    "..\\evil.png",
    "a/../../evil.png",
    "C:\\evil.png",
    "x" * 400 + ".png",
    "a\nb.png",
)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("evil", EVIL)
def test_writers_stay_in_their_folder(format, evil, written, tmp_path):
    """Names of images may come from a hostile file: a writer puts nothing beside what it was asked for."""
    evil = evil.format(outside=tmp_path)
    _, name = written(format)
    dataset = Dataset(
        {
            "file_name": [evil, "b.png"],
            "height": [20, 20],
            "width": [24, 24],
            "pixels": written.dataset.images["pixels"],
        },
        written.dataset.categories,
        written.dataset.instances,
        written.dataset.shapes,
    )
    target = tmp_path / "inner" / "target"
    target.mkdir(parents=True)
    with contextlib.suppress(ValueError, OSError):  # OSError: a name longer than file systems hold
        maskmill.io.write(dataset, target / name, format, compare=False)
    assert [path.name for path in tmp_path.iterdir()] == ["inner"]
    assert [path.name for path in (tmp_path / "inner").iterdir()] == ["target"]
    assert not list(tmp_path.rglob("*.part"))
