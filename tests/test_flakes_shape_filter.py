"""maskmill flakes train-filter: ragged shapes are told from flakes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from maskmill import Dataset, FormatError, Masks
from maskmill.cli import main
from maskmill.studies.flakes import ShapeFilter, fit_shapes
from maskmill.studies.flakes.predictions import read_results, shape_features, write_results
from maskmill.studies.flakes.semantics import write_labels
from maskmill.studies.flakes.shape_filter import read_false_finds


def shapes(rng, n=40, size=60):
    """Rectangles, and the same with teeth: (2 n, size, size), and which have teeth."""
    dense = np.zeros((2 * n, size, size), bool)
    for i in range(2 * n):
        h, w = rng.integers(15, 50, 2)
        dense[i, 3 : 3 + h, 3 : 3 + w] = True
        if i >= n:
            dense[i, 3 : h - 2, 4 : 3 + w : 2] = False
    return dense, np.arange(2 * n) >= n


@pytest.mark.parametrize("rule", ["exact", "maskterial"])
def test_fit(rng, tmp_path, rule):
    pytest.importorskip("sklearn")
    dense, false = shapes(rng)
    made = fit_shapes(Masks.encode(dense), false, rule=rule)
    others, expected = shapes(np.random.default_rng(9))
    assert np.array_equal(made.false_probability(Masks.encode(others)) >= 0.5, expected)
    made.write(tmp_path / "f.json")
    assert ShapeFilter.read(tmp_path / "f.json") == made


def test_the_model_is_scikit_learns(rng):
    """MaskTerial's solver, given time, ends at the same weights."""
    linear = pytest.importorskip("sklearn.linear_model")
    dense, false = shapes(rng)
    false = false ^ (rng.random(len(false)) < 0.2)
    masks = Masks.encode(dense)
    theirs = linear.LogisticRegression(
        C=1, solver="saga", class_weight="balanced", max_iter=200_000, tol=1e-7, random_state=0
    ).fit(shape_features(masks), false)
    made = fit_shapes(masks, false)
    expected = theirs.predict_proba(shape_features(masks))[:, 1]
    assert np.allclose(made.false_probability(masks), expected, atol=0.002)


def test_no_area(rng):
    """What encloses nothing is no flake, and nothing to learn from."""
    pytest.importorskip("sklearn")
    made = ShapeFilter(1.0, 0.0, -100.0, "maskterial")
    line = np.zeros((2, 9, 9), bool)
    line[0, 4] = True
    assert made.false_probability(Masks.encode(line)).tolist() == [1, 1]
    dense, false = shapes(rng)
    both = Masks.encode(np.concatenate([dense, np.zeros((1, 60, 60), bool)]))
    assert fit_shapes(both, np.append(false, False)) == fit_shapes(Masks.encode(dense), false)
    with pytest.raises(ValueError, match="masks must be flakes and false finds, not 40 of one kind"):
        fit_shapes(Masks.encode(dense[:40]), false[:40])


def false_finds(folder, dense, false):
    (folder / "masks").mkdir(parents=True)
    for i, mask in enumerate(dense):
        write_labels(folder / f"masks/m{i}.png", mask.astype(np.uint8) * 255)
    labels = {f"m{i}": int(f) for i, f in enumerate(false)}
    (folder / "annotations.json").write_text(json.dumps(labels))


def test_commands(rng, tmp_path, capsys):
    pytest.importorskip("sklearn")
    dense, false = shapes(rng, 10)
    false_finds(tmp_path / "train", dense, false)
    assert np.array_equal(read_false_finds(tmp_path / "train")[0].decode(), dense)
    command = [
        "flakes",
        "train-filter",
        tmp_path / "train",
        tmp_path / "f.json",
        "--test",
        tmp_path / "train",
    ]
    assert main([str(a) for a in command]) == 0
    assert "others: 20 of 20 right, 0 flakes taken for false" in capsys.readouterr().out
    data = Dataset(
        {"file_name": ["a"], "height": [60], "width": [60]},
        {"name": ["flake"]},
        {"category": np.zeros(20, int), "score": np.ones(20)},
        Masks.encode(dense),
    )
    write_results(data, tmp_path / "r.json")
    command = [
        "flakes",
        "postprocess",
        tmp_path / "r.json",
        tmp_path / "o.json",
        "--shape-filter",
        tmp_path / "f.json",
    ]
    assert main([str(a) for a in (*command, "--min-area", 0, "--quiet")]) == 0
    assert read_results(tmp_path / "o.json").masks == Masks.encode(dense[:10])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "expected an object"),
        ({"../m": 1}, "below its folder"),
        ({"gone": 1}, "found no such file"),
        ({"m0": "x"}, "expected a number"),
    ],
)
def test_wrong_sets(rng, tmp_path, content, message):
    false_finds(tmp_path / "s", *shapes(rng, 1))
    (tmp_path / "s/annotations.json").write_text(json.dumps(content))
    with pytest.raises(FormatError, match=message):
        read_false_finds(tmp_path / "s")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "expected an object"),
        ('{"rule": "other"}', "expected 'exact' or 'maskterial'"),
        ('{"rule": "exact", "outline": null}', "outline: expected a number"),
        ('{"rule": "exact", "outline": 1, "solidity": NaN, "intercept": 1}', "solidity: expected a number"),
    ],
)
def test_wrong_filters(tmp_path, content, message):
    (tmp_path / "f.json").write_text(content)
    with pytest.raises(FormatError, match=message):
        ShapeFilter.read(tmp_path / "f.json")
