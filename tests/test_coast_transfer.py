"""Doodles of one picture label others of the same size."""

from __future__ import annotations

import numpy as np
import pytest

from doodled import write_result
from maskmill import FormatError
from maskmill.cli import main
from maskmill.io.pictures import write_picture
from maskmill.studies.coast import read, transfer

CLASSES = ["water", "sand", "dev"]


def scene(shift, rng, size=(40, 60)):
    """Water up to a column, and land behind it; with noise."""
    land = np.arange(size[1]) >= 25 + shift
    picture = np.where(land[None, :, None], (200, 170, 120), (40, 60, 90)) + rng.integers(-9, 10, (*size, 3))
    return picture.astype(np.uint8), np.repeat(land[None], size[0], 0)


@pytest.fixture
def drawn(tmp_path, rng):
    """A result in which water and dev are drawn, sand is not."""
    picture, land = scene(0, rng)
    doodles = np.zeros(land.shape, np.uint8)
    doodles[2:38, 3], doodles[2:38, 20], doodles[2:38, 36], doodles[2:38, 55] = 1, 1, 3, 3
    one = {
        "image": picture,
        "doodles": doodles,
        "label": np.eye(3, dtype=np.uint8)[land * 2],
        "classes": CLASSES,
    }
    return write_result(tmp_path / "may_db.npz", one)


def test_follows_the_picture(drawn, tmp_path, rng):
    (tmp_path / "series").mkdir()
    for shift in (-3, 0, 8):
        write_picture(tmp_path / "series" / f"shift{shift}.png", scene(shift, rng)[0])
    report = transfer(drawn, tmp_path / "series", tmp_path / "out", user="db")
    assert report.failed == []
    for row in report.rows:
        shift = int(row["name"].removeprefix("shift"))
        [found] = read(tmp_path / "out" / row["files"][0])
        expected = np.where(scene(shift, rng)[1], 3, 1)
        assert np.mean(found.labels() == expected) > 0.9
        assert np.array_equal(found.doodles(), read(drawn)[0].doodles())
        assert row["unchanged"] == pytest.approx(1 - abs(shift) / 60, abs=0.1)
        assert found.classes == tuple(CLASSES)
    assert transfer(drawn, tmp_path / "series", tmp_path / "out", user="db").unchanged == 3


def test_pinned(drawn, tmp_path, rng):
    """Doodles that are wrong in the new picture stay, or not."""
    write_picture(tmp_path / "x.png", scene(-22, rng)[0])
    doodles = read(drawn)[0].doodles()
    for pin in (True, False):
        transfer(drawn, tmp_path / "x.png", tmp_path / str(pin), pin=pin, crf=False)
        labels = read(tmp_path / str(pin))[0].labels()
        assert np.array_equal(labels[doodles > 0], doodles[doodles > 0]) or not pin


def test_what_is_wrong(drawn, tmp_path, rng):
    (tmp_path / "series").mkdir()
    write_picture(tmp_path / "series" / "small.png", np.zeros((20, 30, 3), np.uint8))
    write_picture(tmp_path / "series" / "deep.png", np.zeros((40, 60, 3), np.uint16))
    (tmp_path / "series" / "bad.png").write_bytes(b"\x89PNG")
    write_picture(tmp_path / "series" / "gray.png", scene(0, rng)[0][..., 0])
    report = transfer(drawn, tmp_path / "series", tmp_path / "out")
    assert report.done == 1
    assert len(report.failed) == 3
    assert (
        "small.png: expected 40 x 60 pixels as the doodles of may_db.npz, found 20 x 30"
        in report.failed[2].reason
    )
    (tmp_path / "none").mkdir()
    with pytest.raises(FormatError, match="expected pictures, found none"):
        transfer(drawn, tmp_path / "none", tmp_path / "out")
    one = {"label": np.ones((4, 5, 1), np.uint8), "doodles": np.zeros((4, 5), np.uint8)}
    with pytest.raises(FormatError, match="expected what was drawn, found nothing"):
        transfer(write_result(tmp_path / "empty_db.npz", one), tmp_path / "series", tmp_path / "out")
    with pytest.raises(ValueError, match="user must be letters"):
        transfer(drawn, tmp_path / "series", tmp_path / "out", user="../x")


def test_verb(drawn, tmp_path, rng, capsys):
    write_picture(tmp_path / "june.png", scene(3, rng)[0])
    args = ["coast", "transfer", str(drawn), str(tmp_path / "june.png"), str(tmp_path / "out"), "--quiet"]
    assert main([*args, "--no-crf"]) == 0
    assert "june: 9" in capsys.readouterr().out
    assert main(args) == 2
    assert "was begun with crf false" in capsys.readouterr().err
