"""Pictures are turned as tag 274 says, and by nothing else."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskmill.io.exif import orientation, upright


def encoded(image, kind, tags):
    pil = pytest.importorskip("PIL.Image")
    exif = pil.Exif()
    exif.update(tags)
    file = io.BytesIO()
    pil.fromarray(image).save(file, kind, exif=exif)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_as_pillow(rng, kind, turn):
    image = rng.integers(0, 256, (5, 7, 3), np.uint8)
    data = encoded(image, kind, {274: turn, 296: 3})
    assert orientation(data) == turn
    pil, ops = pytest.importorskip("PIL.Image"), pytest.importorskip("PIL.ImageOps")
    expected = np.asarray(ops.exif_transpose(pil.open(io.BytesIO(data))))
    stored = np.asarray(pil.open(io.BytesIO(data))) if kind == "JPEG" else image
    assert np.array_equal(upright(stored, turn), expected)


@pytest.mark.parametrize("tags", [{}, {296: 3}, {274: 0}, {274: 9}, {41986: 6}])
def test_other_tags_turn_nothing(tags):
    assert orientation(encoded(np.zeros((4, 5), np.uint8), "JPEG", tags)) == 1


@given(
    st.binary(max_size=60), st.sampled_from([b"", b"\xff\xd8\xff\xe1\0\x20Exif\0\0II*\0\x08\0\0\0", b"MM\0*"])
)
def test_rubbish(data, head):
    assert 1 <= orientation(head + data) <= 8
