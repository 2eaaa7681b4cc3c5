"""maskmill flakes evaluate: named numbers, small flakes ignored, MaskTerial's protocol for comparison."""

from __future__ import annotations

import contextlib
import io
import json

import numpy as np
import pytest

from maskmill import Dataset, Masks
from maskmill.cli import main
from maskmill.studies.flakes import evaluate
from maskmill.studies.flakes.annotations import write_annotations
from maskmill.studies.flakes.evaluation import area_bins
from maskmill.studies.flakes.predictions import write_results
from test_flakes_layout import real

MAIN = ("AP", "AP50", "AP75", "AR")


def with_scores(dataset, scores):
    return dataset.replace(instances=dataset.instances.with_columns(score=np.asarray(scores, float)))


def boxes(rng, images=6, n=40, size=120):
    """Random rectangles of two classes and all sizes; predictions of them: moved, some missing, some invented."""

    def masks(x, y, w, h):
        dense = np.zeros((n, size, size), bool)
        for i in range(n):
            dense[i, y[i] : y[i] + h[i], x[i] : x[i] + w[i]] = True
        return Masks.encode(dense)

    x, y = rng.integers(0, 60, n), rng.integers(0, 60, n)
    w, h = rng.integers(8, 60, n), rng.integers(8, 60, n)
    image, category = rng.integers(0, images, n), rng.integers(0, 2, n)
    common = (
        {"id": np.arange(images) * 3 + 5, "file_name": [f"{i}.jpg" for i in range(images)],
         "height": np.full(images, size), "width": np.full(images, size)},
        {"id": [3, 9], "name": ["thin", "thick"]},
    )  # fmt: skip
    truth = Dataset(*common, {"image": image, "category": category}, masks(x, y, w, h))
    moved = masks(np.maximum(x + rng.integers(-3, 4, n), 0), y, w + rng.integers(0, 4, n), h)
    predicted = Dataset(
        *common,
        {
            "image": image,
            "category": np.where(rng.random(n) < 0.8, category, 1 - category),
            "score": rng.random(n),
        },
        moved,
    )
    return truth, predicted.take(instances=rng.random(n) < 0.85)


def theirs(truth, predicted, ranges, tmp_path):
    """pycocotools itself."""
    coco = pytest.importorskip("pycocotools.coco")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    write_annotations(truth, tmp_path / "t.json")
    write_results(predicted, tmp_path / "r.json")
    with contextlib.redirect_stdout(io.StringIO()):
        gt = coco.COCO(str(tmp_path / "t.json"))
        ev = cocoeval.COCOeval(gt, gt.loadRes(str(tmp_path / "r.json")), "segm")
        ev.params.areaRng = [list(r) for r in ranges]
        ev.params.areaRngLbl = ["all", *map(str, range(len(ranges) - 1))]
        ev.evaluate()
        ev.accumulate()
    return ev.eval


@pytest.mark.parametrize(("protocol", "least"), [("ignore", 300), ("ignore", 900), ("original", 0)])
def test_numbers_are_those_of_pycocotools(rng, tmp_path, protocol, least):
    truth, predicted = boxes(rng)
    found = evaluate(truth, predicted, protocol=protocol, min_area=least)
    bins = list(found.bins.values())
    precision, recall = (theirs(truth, predicted, bins, tmp_path)[k] for k in ("precision", "recall"))
    keys = list(found.numbers)
    names = ["", "0-100", "100-200", "200-400", "400-inf"]
    assert keys == [
        key + ("," + n if n else "") for key in ("AP50", "AR50", "AP75", "AR75", "AP", "AR") for n in names
    ]

    def mean(values):
        return values[values > -1].mean() if (values > -1).any() else float("nan")

    for i, key in enumerate(keys):
        values = (precision if key[1] == "P" else recall)[..., i % 5, -1]
        at = {"50": 0, "75": 5}.get(key[2:4])
        assert found.numbers[key] == pytest.approx(
            mean(values if at is None else values[at]), nan_ok=True, abs=1e-12
        )
    for k, name in enumerate(("thin", "thick")):
        of_class = found.classes[name]
        assert len(of_class) == 20
        assert of_class[f"AP_{name}"] == pytest.approx(mean(precision[:, :, k, 0, -1]))
        assert of_class[f"AR50,0-100_{name}"] == pytest.approx(mean(recall[0, k, 1, -1]), nan_ok=True)


def test_bins():
    largest = 10**10
    assert area_bins(300) == {
        "": (300, largest),
        "0-100": (300, 676),
        "100-200": (676, 1353),
        "200-400": (1353, 2707),
        "400-inf": (2707, largest),
    }
    assert area_bins(0, 1.0, [50]) == {"": (0, 10**10), "0-50": (0, 50), "50-inf": (50, 10**10)}
    for wrong in ({"scale": 0}, {"edges": [2, 1]}, {"edges": [0]}):
        with pytest.raises(ValueError, match="scale and edges must be above 0"):
            area_bins(**wrong)


def squares(*sides, classes=None):
    dense = np.zeros((len(sides), 60, 60 * len(sides)), bool)
    for i, side in enumerate(sides):
        dense[i, :side, 60 * i : 60 * i + side] = True
    return Dataset(
        {"file_name": ["a.jpg"], "height": [60], "width": [60 * len(sides)]},
        {"name": ["one", "two"]},
        {"category": np.zeros(len(sides), int) if classes is None else np.array(classes)},
        Masks.encode(dense),
    )


def test_small_flakes_are_neither_missed_nor_false():
    """Of 225 and 400 pixels."""
    truth = squares(15, 20)
    for rows in ([0, 1], [1]):
        perfect = with_scores(truth, [0.9, 0.8]).take(instances=rows)
        found = evaluate(truth, perfect)
        assert [found.numbers[key] for key in MAIN] == pytest.approx([1, 1, 1, 1])
        assert found.images.row(0) == {
            "image": "a.jpg", "truth": 1, "ignored": 1, "predicted": 1, "found": 1, "right": 1, "missed": 0, "false": 0,
            "iou": 1.0,
        }  # fmt: skip
    small = evaluate(truth.take(instances=[1]), with_scores(truth, [0.9, 0.8]), protocol="original")
    assert small.numbers["AP"] == pytest.approx(0.5)  # the correct find of 225 pixels is false
    assert evaluate(truth.take(instances=[1]), with_scores(truth, [0.9, 0.8])).numbers["AP"] == pytest.approx(
        1
    )


def test_no_truth_is_no_number():
    truth = squares(20)
    nothing = evaluate(truth, with_scores(truth, [1]).take(instances=[]))
    assert (nothing.numbers["AP"], nothing.numbers["AP,0-100"]) == (0, 0)
    assert np.isnan(nothing.numbers["AP,400-inf"])
    assert "-" in nothing.text()
    assert nothing.to_json()["numbers"]["AP,400-inf"] is None
    assert nothing.confusion.tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]


def test_confusion():
    """Found with the right class, with the wrong one, missed; and invented."""
    truth = squares(20, 21, 22, classes=[0, 0, 1])
    predicted = with_scores(squares(20, 21, 22, classes=[0, 1, 1]), [0.9, 0.8, 0.1])
    moved = Dataset(predicted.images, predicted.categories, predicted.instances, predicted.masks.shift(0, 30))
    found = evaluate(truth, predicted)
    assert found.confusion.tolist() == [[1, 1, 0], [0, 0, 1], [0, 0, 0]]
    assert (found.images["found"][0], found.images["right"][0]) == (2, 1)
    assert evaluate(truth, predicted, threshold=0).confusion.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert evaluate(truth, moved, threshold=0).confusion.tolist() == [[0, 0, 2], [0, 0, 1], [1, 2, 0]]
    agnostic = evaluate(truth, predicted, class_agnostic=True, threshold=0)
    assert (agnostic.names, agnostic.numbers["AP"]) == (("flake",), pytest.approx(1))
    assert evaluate(truth, predicted).numbers["AP"] < 1


def test_boundary():
    """A flake that is one pixel too wide is nearly right, its rim is not."""
    truth = squares(30)
    wider = Dataset(truth.images, truth.categories, truth.instances, truth.masks.dilate(1, "square"))
    wider = with_scores(wider, [1])
    plain, rim = (evaluate(truth, wider, boundary=b).numbers["AP"] for b in (None, 2))
    assert plain == pytest.approx(0.9)  # IoU 0.94
    assert rim == pytest.approx(0.3)
    assert evaluate(truth, with_scores(truth, [1]), boundary=2).numbers["AP"] == pytest.approx(1)


def test_intervals(rng):
    truth, predicted = boxes(rng, images=12, n=80)
    found = evaluate(truth, predicted, bootstrap=200, seed=1)
    for key, (low, high) in found.intervals.items():
        assert low < found.numbers[key] < high
        assert high - low < 0.6
    assert found.intervals == evaluate(truth, predicted, bootstrap=200, seed=1).intervals
    assert found.intervals != evaluate(truth, predicted, bootstrap=200, seed=2).intervals


def test_images_that_are_drawn_twice(rng):
    """Weights of images give what copies of them give; weight 1 gives COCO's own numbers."""
    from maskmill.studies.flakes.evaluation import _average, _compared, _detections

    truth, predicted = boxes(rng)
    weight = np.array([2, 0, 1, 3, 1, 1])
    drawn = np.repeat(np.arange(6), weight)

    def copies(dataset):
        rows = [dataset.rows_of_image(i) for i in drawn]
        part = dataset.take(instances=np.concatenate(rows))
        images = {name: dataset.images[name][drawn] for name in ("height", "width", "file_name")}
        table = {name: part.instances[name] for name in ("category", "score")}
        image = np.repeat(np.arange(len(drawn)), [len(r) for r in rows])
        return Dataset(images, dataset.categories, {"image": image, **table}, part.masks)

    bins = area_bins(300)
    ev, again = (
        _compared(truth, predicted, bins, None, 100),
        _compared(copies(truth), copies(predicted), bins, None, 100),
    )
    for k in range(2):
        for w, of in ((np.ones(6, int), ev), (weight, again)):
            precision, recall = _average(*_detections(ev, k), w, ev.params.recThrs)
            assert np.allclose(precision, of.eval["precision"][:, :, k, 0, -1].mean(1), atol=1e-12)
            assert np.allclose(recall, of.eval["recall"][:, k, 0, -1], atol=1e-12)


def test_nothing_of_the_caller_is_changed(rng):
    """A second call gives the same."""
    truth, predicted = boxes(rng)
    first, second = (evaluate(truth, predicted).to_json() for _ in range(2))
    assert first == second


def test_flakes_with_the_id_0(rng):
    """To COCO's evaluation, a match with 0 is none."""
    truth = squares(20)
    truth = truth.replace(instances=truth.instances.with_columns(id=np.array([0])))
    assert evaluate(truth, with_scores(truth, [1])).numbers["AP"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": "theirs"}, "protocol must be one of"),
        ({"min_area": -1}, "must not be -1"),
        ({"boundary": 0}, "boundary must be 1 pixel or more, not 0"),
    ],
)
def test_wrong_parameters(options, message):
    truth = squares(20)
    with pytest.raises(ValueError, match=message):
        evaluate(truth, with_scores(truth, [1]), **options)


def test_other_images_or_classes():
    truth = squares(20)
    other = Dataset(
        {"id": [2], "file_name": ["a"], "height": [60], "width": [60]}, truth.categories, {}, Masks.empty()
    )
    with pytest.raises(ValueError, match="predictions must have the images of the truth"):
        evaluate(truth, other)
    other = Dataset(truth.images, {"id": [1], "name": ["one"]}, {}, Masks.empty())
    with pytest.raises(ValueError, match="predictions must have the classes of the truth"):
        evaluate(truth, other)


def test_command(rng, tmp_path, capsys):
    truth, predicted = boxes(rng)
    write_annotations(truth, tmp_path / "t.json")
    write_results(predicted, tmp_path / "r.json")
    of_files = evaluate(tmp_path / "t.json", tmp_path / "r.json")
    assert of_files.to_json() == evaluate(truth, predicted).to_json()
    command = [
        "flakes",
        "evaluate",
        tmp_path / "t.json",
        tmp_path / "r.json",
        "--json",
        tmp_path / "o.json",
        "--quiet",
    ]
    more = ["--compare", "--per-class", "--bootstrap", 20, "--images", tmp_path / "i.csv", "--boundary", 5]
    assert main([str(a) for a in (*command, *more)]) == 0
    out = capsys.readouterr().out
    for part in ("with classes:", "class-agnostic:", "400-inf", "95 %:", "thick", "at IoU 0.5:"):
        assert part in out
    written = json.loads((tmp_path / "o.json").read_bytes())
    assert set(written) == {"with classes", "class-agnostic"}
    assert len(written["with classes"]["numbers"]) == 30
    assert (
        (tmp_path / "i.csv")
        .read_text()
        .startswith("image,truth,ignored,predicted,found,right,missed,false,iou\n0.jpg,")
    )
    assert main([str(a) for a in (*command, "--scale", 0)]) == 2
    assert "must be above 0" in capsys.readouterr().err


# Real flakes


def test_the_real_flakes(data):
    full = real(data, "GrapheneH", "WSe2")
    ids, area = full.instances["id"], full.masks.area
    exact = with_scores(full, 1 / (1 + ids))
    by_size = with_scores(full, 1 / (1 + area))
    dilated = Dataset(exact.images, exact.categories, exact.instances, exact.masks.dilate(2, "square"))
    assert dilated.masks.area.sum() == 123071
    of_300, large = full.take(instances=area >= 300), area >= 200
    for truth, predicted, protocol, expected in (
        (full, exact, "original", (1, 1, 1, 1)),
        (of_300, exact.take(instances=large), "original", (0.8857, 0.8857, 0.8857, 1)),
        (of_300, by_size.take(instances=large), "original", (0.8689, 0.8689, 0.8689, 1)),
        (full, exact, "ignore", (1, 1, 1, 1)),
        (full, exact.take(instances=large), "ignore", (1, 1, 1, 1)),
        (full, dilated, "original", (0.2985, 0.9384, 0.1243, 0.4032)),
        (of_300, dilated, "original", (0.3141, 0.8299, 0.1399, 0.4566)),
        (full, dilated, "ignore", (0.3307, 0.9531, 0.1399, 0.4566)),
    ):
        numbers = evaluate(truth, predicted, protocol=protocol).numbers
        assert [round(numbers[key], 4) for key in MAIN] == list(expected)
    whole, ignoring = (evaluate(full, dilated, protocol=p).numbers for p in ("original", "ignore"))
    bins = ("0-100", "100-200", "200-400", "400-inf")
    for numbers, first in ((whole, (0.1733, 0.8796)), (ignoring, (0.2082, 0.8651))):
        assert [round(numbers[f"AP,{b}"], 4) for b in bins] == [first[0], 0.3357, 0.4969, 0.7094]
        assert [round(numbers[f"AP50,{b}"], 4) for b in bins] == [first[1], 1, 1, 1]
    assert [round(whole[f"AR,{b}"], 4) for b in bins] == [0.2120, 0.4136, 0.6, 0.74]
