"""Augmentations: repeatable, and taken back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskmill import Masks
from maskmill.studies.zircon.augmentation import Augmentation, draw
from zircon_projects import picture

PLAIN = Augmentation(
    shape=(60, 80),
    defocus=None,
    lighting=(0.0, 0.0, 0.0),
    contrast=1.0,
    crop=(0, 60, 0, 80),
    flip=(False, False),
    angle=0.0,
    out=(60, 80),
)


@given(st.integers(0, 10_000), st.text(max_size=5), st.integers(2, 300), st.integers(2, 300))
def test_draws(seed, name, rows, columns):
    made = draw((rows, columns), seed, name)
    assert made == draw((rows, columns), seed, name)
    top, bottom, left, right = made.crop
    assert 0 <= top < bottom <= rows
    assert 0 <= left < right <= columns
    assert min(made.out) in (400, 800)
    assert abs(made.angle) <= 30
    assert 0.85 <= made.contrast <= 1.15
    places = np.array([[0, 0], [columns, rows], [1.5, 1.25]])
    assert made.back(made.places(places)) == pytest.approx(places, abs=1e-8)


def test_shares_of_many_draws():
    made = [draw((100, 100), 1, epoch=epoch) for epoch in range(4000)]
    assert np.mean([one.defocus is not None for one in made]) == pytest.approx(0.05, abs=0.012)
    assert np.mean([one.flip for one in made], axis=0) == pytest.approx([0.5, 0.5], abs=0.03)
    assert np.mean([one.angle != 0 for one in made]) == pytest.approx(0.8, abs=0.03)
    assert {one.out for one in made} == {(400, 400), (800, 800)}
    # 100 times the spread of the first component, along red.
    assert np.std([one.lighting[0] for one in made]) == pytest.approx(100 * 0.2175 * 0.5675, rel=0.07)
    tiles = {one.defocus[2] for one in made if one.defocus}
    assert len(tiles) == 8  # halves and quarters
    assert (0, 100, 0, 100) not in tiles


def test_nothing_changes_nothing():
    image = picture(80, 60)
    assert np.array_equal(PLAIN.image(image), image)
    assert np.array_equal(PLAIN.image(image[..., 0]), image[..., 0])


def test_flips_and_quarter_turns():
    image = picture(80, 60)
    assert np.array_equal(replace(PLAIN, flip=(True, False)).image(image), image[:, ::-1])
    assert np.array_equal(replace(PLAIN, flip=(False, True)).image(image), image[::-1])
    square = replace(PLAIN, shape=(60, 60), crop=(0, 60, 0, 60), out=(60, 60), angle=90.0)
    assert np.array_equal(square.image(image[:, :60]), np.rot90(image[:, :60]))
    part = replace(PLAIN, crop=(5, 45, 10, 70), out=(40, 60))
    assert np.array_equal(part.image(image), image[5:45, 10:70])


@given(st.integers(0, 10_000))
def test_places_masks_and_pixels_agree(seed):
    """A bright square: where its pixels, its mask and its middle go."""
    image = np.zeros((90, 120), np.uint8)
    image[40:50, 55:67] = 255
    made = replace(draw((90, 120), seed), defocus=None, lighting=(0.0, 0.0, 0.0), contrast=1.0)
    mask = made.masks(Masks.encode(image[None] > 0)).decode()[0].astype(bool)
    shown = made.image(image)
    assert ((shown > 127) != mask).mean() < 0.002
    rows, columns = np.nonzero(mask)
    ((x, y),) = made.places([[61, 45]])
    assert (columns.mean() + 0.5, rows.mean() + 0.5) == pytest.approx((x, y), abs=0.6)
    matrix = made.matrix()
    assert mask.sum() == pytest.approx(120 * abs(np.linalg.det(matrix[:, :2])), rel=0.06)


def test_defocus_has_a_hard_edge():
    image = picture(80, 60)
    blurred = replace(PLAIN, defocus=(4, 0.5, (0, 30, 40, 80))).image(image)
    assert np.array_equal(blurred[30:], image[30:])
    assert np.array_equal(blurred[:, :40], image[:, :40])
    assert (
        np.abs(np.diff(blurred[:30, 40:].astype(int), axis=1)).mean()
        < 8
        < np.abs(np.diff(image[:30, 40:].astype(int), axis=1)).mean()
    )
    assert blurred[:30, 40:].mean() == pytest.approx(image[:30, 40:].mean(), rel=0.05)


def test_light_and_contrast():
    image = np.full((60, 80, 4), 100, np.uint8)
    image[:30, :, :3] = 140
    lit = replace(PLAIN, lighting=(10.0, -20.0, 200.0)).image(image)
    assert lit[0, 0].tolist() == [150, 120, 255, 100]
    strong = replace(PLAIN, contrast=1.1).image(image)
    assert (strong[0, 0].tolist(), strong[-1, -1].tolist()) == ([142, 142, 142, 100], [98, 98, 98, 100])
    deep = replace(PLAIN, lighting=(10.0, 10.0, 10.0)).image(np.full((60, 80), 1000, np.uint16))
    assert deep[0, 0] == 1000 + 10 * 257


def test_many_pictures_alike():
    """The original fails on four axes."""
    image = picture(80, 60)
    made = draw((60, 80), 3)
    many = made.image(np.stack([image, image[::-1]])[None])
    assert many.shape == (1, 2, *made.out, 3)
    assert np.array_equal(many[0, 1], made.image(image[::-1]))
    gray = made.image(np.stack([image[..., 0]] * 2))
    assert np.array_equal(gray[1], made.image(image[..., 0]))


def test_bad_arguments():
    with pytest.raises(TypeError, match="8 or 16 bits, not float64"):
        PLAIN.image(np.zeros((60, 80)))
    with pytest.raises(ValueError, match=r"of 60 x 80, not of shape \(5, 5, 3\)"):
        PLAIN.image(np.zeros((5, 5, 3), np.uint8))
    with pytest.raises(ValueError, match=r"of 60 x 80, not of \[5, 5\]"):
        PLAIN.masks(Masks.encode(np.zeros((1, 5, 5), np.uint8)))
    with pytest.raises(ValueError, match="2 x 2 or more, not 1 x 5"):
        draw((1, 5), 0)
    with pytest.raises(ValueError, match="edges must be 1 or more"):
        draw((5, 5), 0, edges=())
    assert len(PLAIN.masks(Masks.encode(np.zeros((0, 60, 80), np.uint8)))) == 0
