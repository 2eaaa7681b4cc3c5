"""What happened from trial to trial, and what is suspicious in labels."""

from __future__ import annotations

import json

import numpy as np
import pytest

from doodled import SETTINGS, trial, write_result
from maskmill.cli import main
from maskmill.studies.coast import find, quality, read, timeline
from maskmill.studies.coast.quality import problems

CLASSES = ["water", "sand", "dev"]

PUBLISHED = {
    "2021-10-11-08-28": [
        ([27226, 6054, 5386, 18520], [414524, 32702, 15592, 127006], 56876, None, None),
        ([38170, 6880, 5386, 18520], [427672, 21066, 15258, 125828], 67714, 16632, 11770),
        ([38478, 6880, 6125, 24857], [431256, 17824, 15596, 125148], 74900, 5874, 7384),
    ],
    "2021-10-11-12-10": [([71808, 14795, 8374, 30961], [427967, 27023, 13586, 121248], 123263, None, None)],
    "2021-10-16-14-15": [([9147, 2830, 2014, 9034], [42952, 6045, 4348, 40087], 22821, None, None)],
    "2021-10-16-14-20": [([7104, 2203, 2326, 7577], [43334, 5587, 5093, 39418], 19105, None, None)],
    "2022-05-04-14-34": [
        ([7449, 6273], [26612, 26020], 12602, None, None),
        ([8468, 8037], [28616, 24016], 15205, 2212, 9516),
        ([8468, 8037], [28644, 23988], 15107, 804, 0),
        ([8468, 8037], [28936, 23696], 15183, 924, 0),
        ([8468, 8037], [28455, 24177], 15260, 873, 0),
        ([13105, 8010], [29008, 23624], 19155, 885, 4637),
    ],
    "2022-05-04-14-36": [([5801, 1428, 1809, 7202], [21844, 3784, 4008, 22996], 16175, None, None)],
    "2022-05-04-14-40": [
        ([13628, 5683], [30664, 21968], 18371, None, None),
        ([13553, 9687], [29524, 23108], 21679, 1140, 4004),
    ],
    "2022-05-04-14-47": [([17749, 8891], [461144, 103736], 26640, None, None)],
}
"""Of the published files, by their date: px drawn and labelled of each class, px whose label is what was drawn, px of
label and doodles that changed."""


def test_published_counts(data):
    tiny = {}
    for path in find(data / "doodler"):
        date = path.name.removeprefix("results__results")[:16]
        steps = timeline(read(path))
        assert [
            (
                [*step.doodles.values()],
                [*step.labels.values()],
                step.agreeing,
                step.labels_changed,
                step.doodles_changed,
            )
            for step in steps
        ] == PUBLISHED[date]
        assert all(step.trial.era == "2021-09-30 to 2022-06-13, perceptron" for step in steps)
        found = quality(steps[-1].trial)
        tiny[date] = sum(found.tiny_pixels.values())
        assert sum(found.conflicts.values()) == steps[-1].drawn - steps[-1].agreeing
        assert found.edge_rank > 0.7
        if date in ("2021-10-11-08-28", "2021-10-16-14-15", "2022-05-04-14-34"):
            parts = {"08-28": [6, 173, 207, 5], "14-15": [10, 109, 84, 9], "14-34": [8, 6]}
            assert [*found.parts.values()] == parts[date[11:]]
    assert list(tiny.values()) == [1104, 956, 435, 373, 9, 28, 0, 4]


class TestTimeline:
    def test_settings_of_every_era(self, tmp_path, rng):
        """Trials of many years in one file: settings that appear, change and go."""
        made = [{**trial(rng, CLASSES), "settings": np.array(v, float)} for v in SETTINGS.values()]
        steps = timeline(read(write_result(tmp_path / "a_ann.npz", *made)))
        assert [len(step.settings_changed) for step in steps] == [0, 2, 3, 1, 2]
        assert steps[4].settings_changed == {"gt_prob": (0.9, 1.0), "n_sigmas": (2.0, 3.0)}
        assert np.isnan(steps[3].settings_changed["n_sigmas"][0])

    def test_other_classes(self, tmp_path):
        """Classes are compared by name, whatever their number."""
        label = np.eye(2, dtype=np.uint8)[[[0, 0, 1]]]
        a = {
            "label": label,
            "doodles": np.array([[1, 0, 2]], np.uint8),
            "classes": np.array(["water", "land"]),
        }
        b = {**a, "label": 1 - label, "classes": np.array(["land", "water"])}
        steps = timeline(read(write_result(tmp_path / "a_ann.npz", a, b)))
        assert steps[1].labels_changed == 0
        assert steps[1].doodles_changed == 2
        assert steps[1].agreeing == 0

    def test_odd_trials(self, tmp_path):
        """No doodles, labels of numbers, pixels without a class, no names and names twice, sizes that differ."""
        label = np.zeros((4, 5, 2), np.uint8)
        label[:2, :, 1] = 1
        a = {"label": label}
        b = {"label": np.ones((4, 5), np.uint8), "classes": np.array(["", ""])}
        c = {"label": label[1:], "classes": np.array(["water", "water"])}
        steps = timeline(read(write_result(tmp_path / "a_ann.npz", a, b, c)))
        assert steps[0].labels == {"1": 0, "2": 10, "(none)": 10}
        assert steps[1].labels == {"#1": 0, "#2": 20}
        assert steps[2].labels == {"water": 0, "water#2": 5, "(none)": 10}
        assert [step.labels_changed for step in steps] == [None, 20, None]
        assert steps[0].drawn == 0


class TestQuality:
    def test_a_made_label(self, tmp_path, rng):
        labels = np.zeros((30, 40), int)  # water
        labels[2:12, 2:12] = 1  # sand,
        labels[5:7, 5:8] = 0  # with a hole,
        labels[20, 20], labels[21, 21] = 1, 1  # and crumbs that touch at a corner alone
        label = np.eye(4, dtype=np.uint8)[labels]
        label[29, 30:] = 0
        doodles = np.where(labels == 1, 2, 0).astype(np.uint8)
        doodles[15, :10], doodles[2, 2:6] = 3, 1
        image = np.where(labels == 1, 200, 50).astype(np.uint8)
        names = np.array(["water", "sand", "dev", "other"])
        one = {"image": image, "label": label, "doodles": doodles, "classes": names}
        found = quality(read(write_result(tmp_path / "a_ann.npz", one))[0])
        assert found.parts == {"water": 2, "sand": 3, "dev": 0, "other": 0}
        assert found.tiny_pixels == {"water": 6, "sand": 2, "dev": 0, "other": 0}
        assert found.holes == {"water": 3, "sand": 1, "dev": 0, "other": 0}
        assert found.hole_pixels == {"water": 96, "sand": 6, "dev": 0, "other": 0}
        assert found.conflicts == {"water": 4, "sand": 0, "dev": 10, "other": 0}
        assert found.unlabelled == 10
        assert (found.absent, found.lost, found.undrawn) == (("dev", "other"), ("dev",), ())
        assert found.edge_rank > 0.75

    def test_merged_by_rounding(self, tmp_path, rng):
        """Of eight classes, the last one is lost: its pixels have the one before."""
        names = [f"c{i}" for i in range(1, 9)]
        one = trial(rng, names, size=(40, 60))
        one["doodles"] = (one["label"].argmax(-1) + 1).astype(np.uint8)
        one["label"] = np.eye(8, dtype=np.uint8)[np.minimum(one["label"].argmax(-1), 6)]
        found = quality(read(write_result(tmp_path / "a_ann.npz", one))[0])
        assert found.lost == ("c8",)
        assert found.merged == {"c8": "c7"}
        assert any("c8 may have become c7" in line for line in problems(found))

    @pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1)])
    def test_small_and_plain(self, tmp_path, size):
        one = {"image": np.zeros((*size, 3), np.uint8), "label": np.ones((*size, 1), np.uint8)}
        found = quality(read(write_result(tmp_path / "a_ann.npz", one))[0])
        assert found.parts == {"1": 1}
        assert np.isnan(found.edge_rank)
        assert found.undrawn == ()

    def test_no_relation_to_the_image(self, tmp_path, rng):
        one = trial(rng, CLASSES, size=(100, 100))
        assert quality(read(write_result(tmp_path / "a_ann.npz", one))[0]).edge_rank == pytest.approx(
            0.5, abs=0.03
        )
        one["image"] = np.full((100, 100, 3), 7, np.uint8)
        assert quality(read(write_result(tmp_path / "b_ann.npz", one))[0]).edge_rank == 0.5


class TestVerb:
    def test_text(self, tmp_path, rng, capsys):
        made = [{**trial(rng, CLASSES), "settings": np.array([3, 2, n, 1, 1, 0.9, 2])} for n in (4, 6)]
        write_result(tmp_path / "results2021-10-11-08-28" / "beach_db.npz", *made)
        assert main(["coast", "info", str(tmp_path), "--quality"]) == 0
        told = capsys.readouterr().out
        assert "beach, by db, 2021-10-11 08:28" in told
        assert "rf_downsample 4 -> 6" in told
        assert "parts" in told

    def test_json_and_failures(self, tmp_path, rng, capsys):
        write_result(tmp_path / "beach_db.npz", trial(rng, CLASSES))
        (tmp_path / "bad_db.npz").write_bytes(b"no zip")
        assert main(["coast", "info", str(tmp_path), "--json", "--quality"]) == 3
        told = capsys.readouterr()
        assert "bad_db.npz" in told.err
        [found] = json.loads(told.out)
        assert found["user"] == "db"
        assert found["trials"][0]["quality"]["unlabelled"] == 0

    def test_names_of_classes(self, tmp_path, rng, capsys):
        one = trial(rng, CLASSES)
        del one["classes"]
        path = write_result(tmp_path / "old_db.npz", one)
        (tmp_path / "classes.txt").write_text("sea\nbeach\n\nroad\n")
        for said in ("sea,beach,road", str(tmp_path / "classes.txt")):
            assert main(["coast", "info", str(path), "--classes", said]) == 0
            assert "sea " in capsys.readouterr().out
