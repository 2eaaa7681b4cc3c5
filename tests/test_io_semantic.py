"""Classes of pixels: through every two formats that hold them, and back."""

from __future__ import annotations

from itertools import product

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import maskmill.io
from maskmill import Dataset, Masks
from maskmill.dataset import Reference, objects
from maskmill.io._parse import read_pixels
from maskmill.io._semantic import label_image, read_rows

READING = {
    "ilastik": {},
    "doodler": {},
    "label_images": {"values": "classes"},
}
"""Formats with a class for each pixel, and the options that say so."""


def read_numpy(path: str, field: str) -> np.ndarray:
    """`Reference` reader of `.npy` files."""
    return np.load(path)


def made(folder, rng, ids) -> Dataset:
    """Three pictures with label images."""
    names = ["a.png", "b c.png", "ü.png"]
    semantic, pixels, sizes = [], [], []
    for name in names:
        size = rng.integers(2, 12, 2)
        np.save(folder / f"{name}.npy", rng.choice([0, *ids], size))
        cv2.imencode(".png", rng.integers(0, 256, (*size, 3), np.uint8))[1].tofile(folder / name)
        semantic.append(Reference(str(folder / f"{name}.npy"), "", read_numpy))
        pixels.append(Reference(str(folder / name), "", read_pixels))
        sizes.append(size)
    heights, widths = np.transpose(sizes)
    return Dataset(
        {
            "file_name": objects(names), "height": heights, "width": widths,
            "semantic": objects(semantic), "pixels": objects(pixels),
        },
        {"id": ids, "name": objects([f"class {i}" for i in ids])},
        {},
        Masks.empty(),
    )  # fmt: skip


def classes(dataset: Dataset) -> dict[str, list]:
    """Names of the classes of all pixels, by the name of the image without its suffix."""
    names = np.array([None, *dataset.categories["name"]], object)
    return {
        name.rpartition(".")[0]: names[label_image(dataset, i)].tolist()
        for i, name in enumerate(dataset.images["file_name"])
    }


@pytest.mark.parametrize(("one", "other"), list(product(READING, READING)))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), ids=st.sampled_from([(1, 2), (9, 3), (200, 40_000, 7)]))
def test_through_two_formats(tmp_path_factory, one, other, seed, ids):
    folder = tmp_path_factory.mktemp("semantic")
    before = now = made(folder, np.random.default_rng(seed), ids)
    for step, name in enumerate((one, other)):
        options = READING[name]
        maskmill.io.write(now, folder / str(step), name, **options, compare=False)
        where = {} if name == "doodler" else {"images": folder}
        now = maskmill.io.read(folder / str(step), name, **options, **where)
    assert classes(now) == classes(before)


def test_values_that_are_no_class(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[0, 3], [1, 1]]))
    dataset = Dataset({"height": [2], "width": [2]}, {"id": [1]}, {}, Masks.empty())
    with pytest.raises(ValueError, match="must have ids of categories, not the value 3"):
        read_rows(dataset, Reference(str(tmp_path / "a.npy"), "", read_numpy))
    np.save(tmp_path / "b.npy", np.zeros((2, 2, 3)))
    with pytest.raises(ValueError, match=r"must be an \(H, W\) label image, not float64 of shape"):
        read_rows(dataset, Reference(str(tmp_path / "b.npy"), "", read_numpy))
