"""Which rule fits the outlines that somebody drew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from skimage.draw import polygon2mask

from maskmill import FormatError
from maskmill.cli.bench import _benchmarks

try:
    _benchmarks()
except ImportError as error:
    pytest.skip(str(error), allow_module_level=True)

from maskmill.benchmarks import fill_rules


def make(folder: Path, regions: list[dict[str, Any]], labels: np.ndarray, scale: float = 0.5) -> Path:
    """A data set of one picture."""
    (folder / "segmaps").mkdir()
    assert cv2.imwrite(str(folder / "segmaps" / "a.png"), labels)
    (folder / "fitted_scale.csv").write_text(f"filename,scale\na.png,{scale}\n")
    shapes = [{"shape_attributes": region, "region_attributes": {}} for region in regions]
    (folder / "metadata.csv").write_text(f'filename,regions\na.png,"{shapes}"\n')
    return folder


def test_finds_the_rule(tmp_path: Path, rng: np.random.Generator, capsys: pytest.CaptureFixture[str]) -> None:
    labels = np.zeros((90, 120), np.uint16)
    regions = []
    for k in range(1, 7):
        turn = np.sort(rng.uniform(0, 2 * np.pi, 9))
        ring = np.round(
            40 * k * np.array([1, 0]) + 16 * np.stack([np.cos(turn), np.sin(turn)], 1) + [-18, 80]
        )
        regions.append(
            {"name": "polyline", "all_points_x": ring[:, 0].tolist(), "all_points_y": ring[:, 1].tolist()}
        )
        labels[polygon2mask(labels.shape, ring[:, ::-1] / 2)] = k
    assert fill_rules.main([str(make(tmp_path, regions, labels))]) == 0
    shown = capsys.readouterr().out
    assert "1 pictures, 6 regions, 6 of them outlines of vertices" in shown
    assert "| skimage | 0 | 1.0000 | 1.0000 | 1.0000 |" in shown
    assert "| cv2.fillPoly | 0.5 |" in shown


def test_curves_and_hidden_regions(tmp_path: Path) -> None:
    labels = np.zeros((60, 60), np.uint16)
    labels[10:50, 10:50] = 1
    regions = [
        {"name": "circle", "cx": 60, "cy": 60, "r": 40},
        {"name": "ellipse", "cx": 60, "cy": 60, "rx": 40, "ry": 20, "theta": 0.3},
    ]
    folder = make(tmp_path, regions, labels)
    assert fill_rules.pictures(folder) == []  # the second region is not to be seen
    labels[25:35, 25:35] = 2
    assert cv2.imwrite(str(folder / "segmaps" / "a.png"), labels)
    (picture,) = fill_rules.pictures(folder)
    assert picture.drawn.tolist() == [False, False]
    masks = fill_rules.fill(picture, "even-odd", 0.0)
    np.testing.assert_allclose(masks.area, [np.pi * 400, np.pi * 200], rtol=0.01)


def test_bad_regions(tmp_path: Path) -> None:
    folder = make(tmp_path, [{"name": "circle", "cx": 1}], np.zeros((5, 5), np.uint16))
    with pytest.raises(FormatError, match=r"metadata.csv: a.png: regions \('r'\)"):
        fill_rules.main([str(folder)])


def test_emps(data: Path) -> None:
    """Vertices are numbers of pixels: even-odd fits half a pixel further, and scikit-image's rule as they are."""
    found = fill_rules.pictures(data / "via/emps")[::20]
    mean = {
        (rule, offset): np.mean(
            np.concatenate(
                [
                    fill_rules.agreement(picture, fill_rules.fill(picture, rule, offset))[0]
                    for picture in found
                ]
            )
        )
        for rule, offset in [("even-odd", 0.0), ("even-odd", 0.5), ("skimage", 0.0), ("skimage", 0.5)]
    }
    assert mean["even-odd", 0.5] > mean["even-odd", 0.0] + 0.01
    assert mean["skimage", 0.0] > mean["skimage", 0.5] + 0.01
    assert abs(mean["even-odd", 0.5] - mean["skimage", 0.0]) < 1e-3
