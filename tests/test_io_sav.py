"""SA-V masklets."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import maskmill.io
from annotations import mutated, mutated_json, read_or_refused
from maskmill import FormatError
from maskmill.io import sav

RLE = {"size": [2, 3], "counts": [1, 2, 3]}
VIDEO = {
    "video_id": "v1",
    "video_height": 2.0,
    "video_width": 3.0,
    "masklet": [[RLE, None], [RLE, {"size": [2, 3], "counts": [6]}]],
    "masklet_id": [4, 9],
    "masklet_stability_score": [[0.5, None], [1, 0.25]],
}


def saved(path, content):
    path.write_text(json.dumps(content))
    return path


def test_frames_and_objects(tmp_path):
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1/00004.jpg").write_bytes(b"")
    read = maskmill.io.read(saved(tmp_path / "a.json", VIDEO))
    assert read.images["file_name"].tolist() == ["v1/00000.jpg", "v1/00004.jpg"]
    assert [reference is None for reference in read.images["pixels"]] == [True, False]
    assert read.instances["masklet"].tolist() == [4, 4, 9]
    assert read.instances["image"].tolist() == [0, 1, 1]
    assert read.instances["score"].tolist() == [0.5, 1, 0.25]
    assert read.masks.area.tolist() == [2, 2, 0]
    assert read.info["sav"]["masklet_id"] == [4, 9]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"video_id": 3}, "video_id: expected text, found 3"),
        ({"video_height": 1e300}, "video_height: expected"),
        ({"masklet": None}, "masklet: expected an array, found None"),
        ({"masklet": [[3]]}, "masklet[0][0]: expected an object, found 3"),
        ({"masklet": [[{"size": [2, 3]}]]}, "masklet[0][0]: mask 0: must have 'counts'"),
        ({"masklet_id": []}, "masklet[0][0]: expected one of 0 objects, as masklet_id has, found 0"),
        (
            {"video_width": 4},
            "masklet[0][0].size: expected the video's height and width [2, 4], found [2, 3]",
        ),
        ({"masklet_stability_score": [["x"]]}, "masklet_stability_score[0][0]: expected a number"),
    ],
)
def test_malformed(tmp_path, change, message):
    path = saved(tmp_path / "a.json", {**VIDEO, **change})
    with pytest.raises(FormatError) as error:
        sav.read(path)
    assert str(error.value).startswith(f"{path}: {message}")


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32 - 1))
def test_rubbish_is_read_or_refused(tmp_path, seed):
    rng = np.random.default_rng(seed)
    path = tmp_path / "fuzzed.json"
    path.write_bytes(mutated(json.dumps(VIDEO).encode(), rng))
    read_or_refused(sav.read, path)
    read_or_refused(sav.read, saved(path, mutated_json(VIDEO, rng)))


def test_real_masklets(data, tmp_path):
    manual, automatic = (
        maskmill.io.read(data / f"sav/sav_000001_{kind}.json") for kind in ("manual", "auto")
    )
    assert (len(manual), len(manual.instances), len(automatic.instances)) == (121, 605, 1089)
    assert manual.images["file_name"][120] == "sav_000001/00480.jpg"
    assert np.isnan(manual.instances["score"]).all()
    assert automatic.instances["score"][0] == 1.0
    first = manual.instances["masklet"] == 1
    assert manual.masks[first].area.mean() == pytest.approx(38512.4876033058)
    for dataset in (manual, automatic):
        report = maskmill.io.write(dataset, tmp_path / "coco.json")
        assert report.masks_kept, str(report)
