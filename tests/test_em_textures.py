"""The made patches that the default filter learned from, and how it does on them and on real ones."""

from __future__ import annotations

import numpy as np
import pytest

from maskmill.studies.em import textures
from maskmill.studies.em.filter import load_model


def test_same_seed_same_patches():
    one, kinds = textures.make(6, seed=3)
    two, _ = textures.make(6, seed=3)
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    assert kinds[::2] == ["tissue"] * 3
    assert set(kinds[1::2]) <= set(textures.UNINFORMATIVE)
    assert not np.array_equal(one[0], textures.make(1, seed=4)[0][0])


def test_default_filter_on_made_patches():
    """Patches of another seed than it was trained on."""
    patches, kinds = textures.make(120, seed=20)
    accepted = load_model("default").scores(patches) > 0.5
    tissue = np.array(kinds) == "tissue"
    assert accepted[tissue].mean() >= 0.9
    assert accepted[~tissue].mean() <= 0.1


def test_default_filter_on_nothing_at_all():
    rng = np.random.default_rng(1)
    flat = [np.full((224, 224), value, np.uint8) for value in (0, 90, 255)]
    noise = [rng.integers(0, 256, (224, 224), dtype=np.uint8)]
    tiny = [np.zeros((1, 1), np.uint8)]
    assert (load_model("default").scores(flat + noise + tiny) < 0.2).all()


def test_default_filter_on_real_patches(data):
    """The examples of cem-dataset are accepted, and nearly all of a stack of sections; ruined ones are not."""
    import cv2

    example = data / "em" / "cem_example" / "example_data"
    files = [*example.glob("occlusion/*.tiff"), *example.glob("correlation/images/*.png")]
    stack = sorted((data / "em" / "em_vnc_drosophila_stack1" / "raw").glob("*.tif"))
    if not files or not stack:
        pytest.skip("no cem_example or no stack")
    model = load_model("default")
    assert (model.scores([cv2.imread(str(file), -1) for file in files]) > 0.5).all()
    section = cv2.imread(str(stack[0]), -1)
    patches = [section[y : y + 224, x : x + 224] for y in range(0, 800, 224) for x in range(0, 800, 224)]
    assert (model.scores(patches) > 0.5).mean() >= 0.9
    blurred = [cv2.GaussianBlur(patch, (0, 0), 10) for patch in patches]
    rng = np.random.default_rng(2)
    shuffled = [rng.permutation(patch.reshape(-1)).reshape(patch.shape) for patch in patches]
    padded = [np.where(np.arange(224) < 200, 0, patch).astype(np.uint8) for patch in patches]
    assert (model.scores(blurred + shuffled + padded) < 0.5).mean() >= 0.95
