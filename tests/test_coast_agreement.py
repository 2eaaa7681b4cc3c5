"""Agreement between labelers: measures by their definitions, on real files, and from folders and tables."""

from __future__ import annotations

import csv
import json
import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from maskmill import FormatError
from maskmill.cli import main
from maskmill.io._palette import read_indexed
from maskmill.io.doodler import read_trials
from maskmill.studies.coast.comparison import Comparison, borders, boundary_f, confusion
from maskmill.studies.coast.consensus import estimate_truth, fleiss_kappa, majority, vote
from maskmill.studies.coast.interrater import agreement
from maskmill.studies.coast.labelers import labellings, pairs
from maskmill.studies.coast.records import read_records
from maskmill.studies.coast.superclasses import ALL
from test_coast_tables import as_result, write

LABELS = arrays(np.uint8, (6, 7), elements=st.integers(0, 3))


@pytest.fixture(scope="module")
def real(data_of_doodler):
    """Labels of F1 '00', '0' and '', F2, F5 and F6: class + 1."""
    files = sorted(data_of_doodler.glob("*.npz"))
    first = [trial.labels() for trial in reversed(read_trials(files[0]))]
    return [*first, *(read_trials(files[i])[0].labels() for i in (1, 4, 5))]


@pytest.fixture(scope="module")
def data_of_doodler(data):
    return data / "doodler"


# Measures


def test_two_real_labels(real):
    found, left_out = confusion(real[2], real[3], 4)
    assert found.tolist() == [
        [417001, 14085, 28, 142],
        [5948, 11562, 284, 30],
        [1000, 1024, 12628, 944],
        [4018, 352, 646, 120132],
    ]
    assert left_out == 0
    measures = Comparison(found)
    assert measures.agreement == pytest.approx(0.951679, abs=5e-7)
    assert measures.kappa == pytest.approx(0.886000, abs=5e-7)
    assert measures.iou == pytest.approx([0.942968, 0.347364, 0.762837, 0.951435], abs=5e-7)
    assert measures.mean_iou == pytest.approx(0.751151, abs=5e-7)
    assert measures.mean_dice == pytest.approx(0.831711, abs=1e-6)
    assert boundary_f(real[2], real[3], 2) == pytest.approx(0.590244, abs=5e-7)


@pytest.mark.parametrize(
    ("third", "counts", "observed", "kappa"),
    [
        (2, [[24151, 4857], [1477, 22147]], 0.879655, 0.759952),
        (1, [[25785, 3223], [3851, 19773]], 0.865595, 0.727676),
    ],
)
def test_real_labels_of_different_classes(real, third, counts, observed, kappa):
    """Surf is water; sand is land, or water."""
    common = np.array([0, 1, 1, third, 2], np.uint8)[real[5]]
    found, _ = confusion(real[4], common, 2)
    assert found.tolist() == counts
    assert Comparison(found).agreement == pytest.approx(observed, abs=5e-7)
    assert Comparison(found).kappa == pytest.approx(kappa, abs=5e-7)
    if third == 2:
        assert Comparison(found).mean_iou == pytest.approx(0.784916, abs=5e-7)
        assert boundary_f(real[4], common, 2) == pytest.approx(0.324156, abs=5e-7)


def test_four_real_labels(real):
    votes = vote(real[:4], 4)
    assert fleiss_kappa(votes) == pytest.approx(0.910729, abs=5e-7)
    winners, tied = majority(votes)
    assert np.bincount(votes.image(winners).ravel())[1:].tolist() == [430872, 18774, 15096, 125082]
    assert votes.weights[tied].sum() == 6463
    assert votes.weights[votes.counts().max(1) == 4].sum() == 547486
    truth = estimate_truth(votes)
    assert np.bincount(votes.image(truth.labels).ravel())[1:].tolist() == [427690, 21252, 15214, 125668]
    assert truth.reliability[2].diagonal() == pytest.approx([0.99975, 0.77275, 0.98358, 0.99355], abs=6e-6)


def brute_confusion(a, b, n):
    found = np.zeros((n, n), int)
    for x, y in zip(a.ravel(), b.ravel(), strict=True):
        if x and y:
            found[x - 1, y - 1] += 1
    return found


def brute_boundary_f(a, b, tolerance):
    def border(labels):
        height, width = labels.shape
        found = set()
        for y, x in product(range(height), range(width)):
            for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                inside = 0 <= v < height and 0 <= u < width
                if inside and labels[y, x] and labels[v, u] and labels[y, x] != labels[v, u]:
                    found.add((y, x))
        return found

    known = (a > 0) & (b > 0)
    first, second = border(a * known), border(b * known)
    if not first or not second:
        return 0.0 if first or second else math.nan
    shares = [
        sum(any(math.dist(p, q) <= tolerance for q in other) for p in own) / len(own)
        for own, other in ((first, second), (second, first))
    ]
    return 2 * shares[0] * shares[1] / sum(shares) if sum(shares) else 0.0


@settings(max_examples=60, deadline=None)
@given(LABELS, LABELS, st.sampled_from([0.0, 1.0, 1.5, 2.0]))
def test_measures_are_their_definitions(a, b, tolerance):
    found, left_out = confusion(a, b, 3)
    assert np.array_equal(found, brute_confusion(a, b, 3))
    assert left_out == ((a == 0) | (b == 0)).sum()
    assert boundary_f(a, b, tolerance) == pytest.approx(brute_boundary_f(a, b, tolerance), nan_ok=True)
    assert np.array_equal(confusion(b, a, 3)[0], found.T)
    measures = Comparison(found)
    for c in range(3):
        x, y = (a == c + 1) & (b > 0), (b == c + 1) & (a > 0)
        either = (x | y).sum()
        assert measures.iou[c] == pytest.approx((x & y).sum() / either if either else math.nan, nan_ok=True)


def test_kappa_is_scikit_learns(rng):
    sklearn = pytest.importorskip("sklearn.metrics")
    a = rng.integers(1, 5, (40, 50))
    b = np.where(rng.random(a.shape) < 0.7, a, rng.integers(1, 5, a.shape))
    found = Comparison(confusion(a, b, 5)[0])
    assert found.kappa == pytest.approx(sklearn.cohen_kappa_score(a.ravel(), b.ravel()))
    mean = sklearn.jaccard_score(a.ravel(), b.ravel(), average="macro")
    assert found.mean_iou == pytest.approx(mean)  # the fifth class, which nobody used, is not in the mean
    assert found.mean_dice == pytest.approx(sklearn.f1_score(a.ravel(), b.ravel(), average="macro"))


def test_labels_without_anything_to_compare():
    none, one = np.zeros((3, 4), np.uint8), np.ones((3, 4), np.uint8)
    empty = Comparison(confusion(none, one, 2)[0])
    assert np.isnan([empty.agreement, empty.kappa, empty.mean_iou, empty.mean_dice]).all()
    same = Comparison(confusion(one, one, 2)[0])
    assert same.agreement == same.mean_iou == 1
    assert math.isnan(same.kappa)  # by chance, too, there would be complete agreement
    assert math.isnan(boundary_f(one, one))
    half = one.copy()
    half[:, 2:] = 2
    assert boundary_f(one, half) == 0
    assert not borders(np.zeros((0, 4), np.uint8)).any()
    with pytest.raises(FormatError, match="of one size"):
        confusion(one, one[:2], 2)
    with pytest.raises(ValueError, match="labels must be 0 to 1, not 2"):
        confusion(one, half, 1)


@settings(max_examples=40, deadline=None)
@given(st.lists(LABELS, min_size=2, max_size=5))
def test_votes_are_their_definitions(labels):
    votes = vote(labels, 3)
    assert np.array_equal(votes.image(votes.patterns), np.stack(labels, -1))
    winners, tied = (votes.image(values) for values in majority(votes))
    truth = estimate_truth(votes)
    for y, x in product(range(6), range(7)):
        said = [int(label[y, x]) for label in labels]
        counts = [said.count(c) for c in (1, 2, 3)]
        known = 0 not in said
        assert winners[y, x] == (counts.index(max(counts)) + 1 if known else 0)
        assert tied[y, x] == (known and counts.count(max(counts)) > 1)
    assert np.array_equal(truth.labels > 0, votes.known)
    assert truth.probabilities[votes.known].sum(1) == pytest.approx(1)


def test_fleiss_published_example():
    """Fleiss 1971, by way of the table of 14 raters and 10 subjects that text books have: kappa 0.210."""
    counts = [
        *([0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1]),
        *([7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7]),
    ]
    said = np.array([np.repeat(np.arange(1, 6), row) for row in counts])
    assert fleiss_kappa(vote([said[None, :, r] for r in range(14)], 5)) == pytest.approx(0.210, abs=5e-4)


def test_truth_follows_the_reliable(rng):
    """One good labeler is believed against two that are often wrong."""
    true = rng.integers(1, 3, (200, 200))
    votes = vote([np.where(rng.random(true.shape) < p, 3 - true, true) for p in (0.02, 0.2, 0.3)], 2)
    truth = estimate_truth(votes)
    assert (votes.image(majority(votes)[0]) == true).mean() == pytest.approx(0.932, abs=0.005)
    assert (votes.image(truth.labels) == true).mean() == pytest.approx(0.98, abs=0.003)
    assert truth.reliability[:, 0, 0] == pytest.approx([0.98, 0.8, 0.7], abs=0.02)


# Folders and tables


@pytest.fixture
def folder(tmp_path, rng):
    """Two images by two labelers, one by one."""
    for name in ("dune", "spit", "cape"):
        label = rng.integers(0, 3, (6, 8))
        picture = rng.integers(0, 255, (6, 8, 3)).astype(np.uint8)
        for labeler in (1, 3) if name != "cape" else (2,):
            as_result(tmp_path / "npz" / f"{name}_ID{labeler}.npz", label, np.ones((6, 8)), image=picture)
            label = (label + (rng.random((6, 8)) < 0.2)) % 3
    return tmp_path / "npz"


def test_labels_of_one_image_are_found(folder):
    by_name = labellings(folder)
    assert [[m.labeler for m in group] for group in by_name] == [["ID1", "ID3"], ["ID1", "ID3"]]
    assert [group[0].image for group in by_name] == ["dune", "spit"]
    (folder / "dune_ID3.npz").rename(folder / "other_ID3.npz")
    assert len(labellings(folder)) == 1
    assert [group[0].image for group in labellings(folder, by="pixels")] == ["dune", "spit"]


def test_agreement_of_a_folder(folder):
    found = agreement(folder, samples=200)
    assert found.classes == ("water", "sand", "dev")
    assert found.images["image"].tolist() == ["dune", "spit"]
    assert found.confusions.sum((1, 2)).tolist() == [48, 48]
    whole = Comparison(found.confusions.sum(0))
    assert found.summary["kappa"]["all_pixels"] == pytest.approx(float(whole.kappa))
    low, high = found.summary["kappa"]["all_pixels_interval"]
    assert low <= whole.kappa <= high
    assert found.summary == agreement(folder, samples=200).summary
    shares = {(r["labeler"], r["class"]): r["share"] for r in found.labelers}
    assert sum(shares["ID1", name] for name in found.classes) == pytest.approx(1)
    bias = {(r["labeler"], r["class"]): r["bias"] for r in found.labelers}
    assert bias["ID1", "sand"] == pytest.approx(-bias["ID3", "sand"])


def test_classes_are_brought_together(folder, rng):
    as_result(
        folder / "dune_ID3.npz",
        rng.integers(0, 3, (6, 8)),
        np.ones((6, 8)),
        classes=np.array(["sea", "foam", "land"]),
    )
    with pytest.raises(ValueError, match=r"dune_ID3.npz: its classes are not those .* give a mapping"):
        agreement(folder)
    with pytest.raises(ValueError, match="no common class is given for 'foam'"):
        agreement(folder, mapping={"water": "sea", "sand": "land", "dev": "land"})
    mapping = {"water": "sea", "foam": "sea", "sand": "land", "dev": None}
    found = agreement(folder, mapping=mapping)
    assert found.classes == ("sea", "land")
    dropped = [
        (read_trials(folder / f"{name}_ID{k}.npz")[0].labels() == 3) for name in ("spit",) for k in (1, 3)
    ]
    assert found.pairs["left_out"][1] == (dropped[0] | dropped[1]).sum()


def test_classes_in_another_order(folder):
    path = folder / "dune_ID1.npz"
    trial = read_trials(path)[0]
    label = trial.labels().astype(int) - 1
    as_result(folder / "dune_ID3.npz", 2 - label, np.ones((6, 8)), classes=np.array(["dev", "sand", "water"]))
    assert agreement(folder).pairs["agreement"][0] == 1


def test_labels_of_different_sizes(folder):
    as_result(folder / "dune_ID3.npz", np.ones((5, 8), int), np.ones((5, 8)))
    with pytest.raises(FormatError, match=r"dune_ID3.npz: label: expected \(6, 8\) pixels"):
        agreement(folder)


def test_no_image_with_two_labelers(folder):
    with pytest.raises(ValueError, match="there must be an image with two labelers"):
        agreement([folder / "cape_ID2.npz"])


def test_real_files_are_paired(data_of_doodler):
    files = sorted(data_of_doodler.glob("*.npz"))
    found = agreement(files[:2], trials="all")
    assert found.images["fleiss_kappa"][0] == pytest.approx(0.910729, abs=5e-7)
    assert len(found.pairs) == 6
    assert found.images.row(0) | {"labelers": 0, "fleiss_kappa": 0} == {
        "image": "LC08_014035_20150215_lr_db",
        "labelers": 0,
        "pixels": 589824,
        "left_out": 0,
        "unanimous": 547486,
        "tied": 6463,
        "fleiss_kappa": 0,
    }
    mapping = {"surf": "water", "sand": "land"}
    found = agreement(files[4:6], mapping=mapping)
    assert found.confusions.tolist() == [[[24151, 4857], [1477, 22147]]]


def test_pairs_of_real_tables(data):
    found = pairs(read_records(data / "coast_train"))
    sets = found["record_set"].tolist()
    assert {name: sets.count(name) for name in set(sets)} == {"A": 70, "C": 50}
    merged = pairs(read_records(data / "coast_train"), ALL)
    assert merged["same_classes"].mean() > found["same_classes"].mean()


def test_agreement_verb(folder, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["coast", "agreement", str(folder), str(out), "--maps", "--samples", "50", "--quiet"]) == 0
    assert "2 images, 2 pairs, 96 pixels (0 left out)" in capsys.readouterr().out
    made = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert {"summary.json", "pairs.csv", "confusion.csv", "bias.png", "maps/dune_majority.png"} <= made
    assert np.array_equal(
        read_indexed(out / "maps" / "dune_ties.png"), read_indexed(out / "maps" / "dune_disagreement.png")
    )
    assert set(np.unique(read_indexed(out / "maps" / "dune_truth.png"))) <= {1, 2, 3}
    assert json.loads((out / "summary.json").read_bytes())["classes"] == ["water", "sand", "dev"]
    with open(out / "pairs.csv", encoding="utf-8-sig", newline="") as file:
        assert [row["image"] for row in csv.DictReader(file)] == ["dune", "spit"]
    first = {name: (out / name).read_bytes() for name in made}
    assert main(["coast", "agreement", str(folder), str(out), "--maps", "--samples", "50", "--quiet"]) == 0
    assert first == {name: (out / name).read_bytes() for name in made}


def test_agreement_verb_with_tables(folder, tmp_path, capsys):
    rows = [
        {"annotation_image_filename": f"npz/{name}_ID{k}.npz"}
        for name in ("dune", "spit", "cape")
        for k in (1, 3)
    ]
    table = write(tmp_path / "K_x.csv", *rows)
    args = ["coast", "agreement", "--tables", str(table)]
    assert main([*args, "--pairs", str(tmp_path / "pairs.csv")]) == 0
    assert capsys.readouterr().out.startswith("K: 3 pairs; 3 with the same classes")
    assert main([*args, str(folder), str(tmp_path / "out"), "--quiet", "--no-plots"]) == 0
    assert "2 images, 2 pairs" in capsys.readouterr().out
    assert main(["coast", "agreement", str(folder), str(tmp_path / "out"), "--map", "water"]) == 2
    assert main(["coast", "agreement"]) == 2


def test_agreement_verb_with_a_configuration(folder, tmp_path, capsys):
    config = tmp_path / "remap.json"
    config.write_text('{"super_classes": ["wet", "dry"], "aliases": {"water": "wet", "sand": "dry"}}')
    args = [
        "coast",
        "agreement",
        str(folder),
        str(tmp_path / "out"),
        "--config",
        str(config),
        "--quiet",
        "--no-plots",
    ]
    assert main(args) == 2
    assert "no common class is given for 'dev'" in capsys.readouterr().err
    assert main([*args, "--map", "dev=dry"]) == 0
    assert json.loads((tmp_path / "out" / "summary.json").read_bytes())["classes"] == ["wet", "dry"]
