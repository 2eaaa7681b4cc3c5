"""Tables of a training set: the published one and its sums, and the same counted from annotations."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskmill import Dataset, FormatError, Masks
from maskmill.cli import main
from maskmill.dataset import Table
from maskmill.io import write
from maskmill.io._tables import to_csv, to_html, to_markdown, write_table
from maskmill.studies.zircon import tables
from maskmill.studies.zircon.breakdown import BREAKDOWN, differences, read_breakdown
from maskmill.studies.zircon.content import kolmogorov_smirnov


def part(counts, *, sample="S1", first=1, size=(64, 64), scale=0.5, seed=0):
    """A data set of one image per count, with so many grains."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]]
    images = [
        ((y - rng.uniform(10, 54)) ** 2 + (x - rng.uniform(10, 54)) ** 2 < rng.uniform(4, 9) ** 2)
        for _ in range(sum(counts))
    ]
    masks = Masks.encode(np.stack(images)) if images else Masks.empty()
    names = [f"{sample}-Spot {first + i}.png" for i in range(len(counts))]
    table = {"file_name": names, "height": [size[0]] * len(counts), "width": [size[1]] * len(counts)}
    return Dataset(
        {**table, "scale": [scale] * len(counts)},
        {"name": ["grain"]},
        {"image": np.repeat(np.arange(len(counts)), counts), "category": [0] * sum(counts)},
        masks,
    )


def test_published_tables(data):
    path = data / "zircon" / "split_table.csv"
    made = tables(path)
    assert to_csv(made.breakdown) == path.read_text(encoding="utf-8")
    assert [list(row.values()) for row in made.facilities] == [
        ["ALC", 32, 1203, 212, 1415, 12923, 2326, 15249],
        ["UCSB", 7, 121, 22, 143, 1039, 176, 1215],
        ["Total", 39, 1324, 234, 1558, 13962, 2502, 16464],
    ]
    assert list(made.legacy.row(2).values()) == ["Total", 1324, 234, 13962, 2502]


def test_counted_from_annotations():
    train, validation = part([3, 0, 2]), part([4], first=9, seed=1)
    made = tables(train, validation, facility={"S1": "ALC"})
    assert list(made.breakdown.row(0).values()) == ["S1", "ALC", "64 x 64", "0.500", 3, 1, 5, 4]
    content = made.content
    row = content.images.row(0)
    assert (row["Images"], row["Annotations"], row["Without annotations"]) == (3, 5, 1)
    assert (row["Per image, min"], row["Per image, median"], row["Per image, max"]) == (0, 2, 3)
    grains = content.grains.row(0)
    assert grains["Grains"] == 5
    assert grains["Area (µm^2), max"] == grains["Area (pixels), max"] / 4 == train.masks.area.max() / 4
    assert (
        sum(value for name, value in grains.items() if name.endswith(("µm", "more")) and "," not in name) == 5
    )
    assert [(r["Part"], r["Sample"]) for r in content.grains] == [
        (p, s) for p in ("training", "validation") for s in ("all", "S1")
    ]
    assert 0 <= content.tests.row(0)["Probability"] <= 1


def test_grains_at_the_edge():
    image = np.zeros((2, 64, 64), bool)
    image[0, :5, 10:20] = image[1, 30:40, 30:40] = True
    train = part([1, 1])
    train = train.replace(shapes=part([1, 1]).shapes.of_masks(Masks.encode(image)))
    assert tables(train, part([1], first=9)).content.grains.row(0)["Touching the edge (%)"] == 50


def test_duplicates():
    train, validation = part([2, 1]), part([2], first=1)
    found = tables(train, validation).content.duplicates
    assert [list(row.values()) for row in found] == [
        ["name", "training", "S1-Spot 1.png", "validation", "S1-Spot 1.png"],
        ["annotations", "training", "S1-Spot 1.png", "validation", "S1-Spot 1.png"],
    ]
    assert len(tables(train, part([2], first=9, seed=4)).content.duplicates) == 0


def test_several_sizes_and_scales():
    train = part([1])
    both = train.replace(
        images=Table(
            {
                "file_name": ["S1-Spot 1.png", "S1-Spot 2.png"],
                "height": [64, 32],
                "width": [64, 32],
                "scale": [0.5, np.nan],
            }
        )
    )
    row = tables(both, part([1], first=5)).breakdown.row(0)
    assert (row["Image size (pixels)"], row["Image scale (µm/pixel)"]) == ("various", "various")
    assert tables(both, part([1], first=5), scale=0.5).breakdown.row(0)["Image scale (µm/pixel)"] == "0.500"


def test_samples_by_pattern():
    train = part([1], sample="x")
    with pytest.raises(FormatError, match=r"image 'x-1.png': expected a name with its sample"):
        tables(
            train.replace(images=train.images.with_columns(file_name=np.array(["x-1.png"], object))), train
        )
    named = train.replace(images=train.images.with_columns(file_name=np.array(["dir/R33_7.png"], object)))
    assert tables(named, named, sample=r"^(\w+)_").breakdown["Sample"].tolist() == ["R33"]
    clipped = train.replace(
        images=train.images.with_columns(file_name=np.array(["R33/R33_FC-2.png"], object))
    )
    assert tables(clipped, clipped).breakdown["Sample"].tolist() == ["R33"]


@pytest.mark.parametrize(
    ("column", "cell", "expected"),
    [
        (4, "-1", "line 2: Training set images: expected a number of 0 or more"),
        (5, "1.5", "line 2: Validation set images: expected a whole number, found '1.5'"),
        (2, "big", "line 2: Image size .pixels.: expected a size such as 268 x 268"),
        (6, "nan", "line 2: Training set annotations: expected a number"),
    ],
)
def test_breakdowns_that_are_none(tmp_path, column, cell, expected):
    cells = ["BC01", "ALC", "268 x 268", "1.494", "31", "6", "404", "90"]
    cells[column] = cell
    path = tmp_path / "a.csv"
    path.write_text(",".join(BREAKDOWN).replace("µ", "Âµ") + "\n" + ",".join(cells) + "\n", encoding="utf-8")
    with pytest.raises(FormatError, match=expected):
        read_breakdown(path)


@given(st.binary(max_size=200), st.integers(0, 300))
def test_mangled_breakdowns(tmp_path_factory, rubbish, at):
    """Rubbish anywhere: a table, or FormatError."""
    text = ",".join(BREAKDOWN).encode() + b"\nBC01,ALC,268 x 268,1.494,31,6,404,90\n"
    path = tmp_path_factory.getbasetemp() / "mangled.csv"
    path.write_bytes(text[:at] + rubbish + text[at:])
    with contextlib.suppress(FormatError):
        read_breakdown(path)


def test_differences(tmp_path):
    first = tables(part([3, 1]), part([1], first=9)).breakdown
    second = tables(part([3, 2]), part([1], first=9)).breakdown
    assert differences(first, first) == []
    assert differences(first, second) == ["S1: Training set annotations: 4, expected 5"]
    other = tables(part([1], sample="S2"), part([1], sample="S2", first=3)).breakdown
    assert differences(first, other) == ["S1: not expected", "S2: not there"]


def test_kolmogorov_smirnov(rng):
    stats = pytest.importorskip("scipy.stats")
    for n, m, shift in ((40, 60, 0), (200, 150, 0.3), (30, 500, 1), (1000, 900, 0.02)):
        a, b = rng.normal(size=n), rng.normal(shift, size=m)
        ours, theirs = kolmogorov_smirnov(a, b), stats.ks_2samp(a, b, method="exact")
        assert ours[0] == pytest.approx(theirs.statistic)
        assert ours[1] == pytest.approx(theirs.pvalue, abs=0.03)


def test_writing(tmp_path):
    table = Table({"Sample": ["a|b<c>", "d"], "Area (µm^2)": [1.23456, np.nan], "n": [1, 2]})
    assert to_csv(table) == "Sample,Area (µm^2),n\na|b<c>,1.23456,1\nd,,2\n"
    assert to_markdown(table) == (
        "| Sample | Area (µm^2) | n |\n| --- | ---: | ---: |\n| a\\|b<c> | 1.235 | 1 |\n| d |  | 2 |\n"
    )
    assert "<td>a|b&lt;c&gt;</td><td>1.235</td>" in to_html(table, "T")
    with pytest.raises(ValueError, match="a table must be"):
        write_table(table, tmp_path / "a.xlsx")


def test_command(tmp_path, capsys):
    write(part([3, 0, 2]), tmp_path / "train.json", format="coco")
    write(part([4], first=9, seed=1), tmp_path / "val.json", format="coco")
    inputs = [str(tmp_path / "train.json"), str(tmp_path / "val.json")]
    out = tmp_path / "tables"
    assert main(["zircon", "tables", *inputs, str(out), "--facility", "ALC", "--scale", "0.5"]) == 0
    assert "4 images,         9 annotations  ALC" in capsys.readouterr().out
    names = ("breakdown", "duplicates", "facilities", "grains", "images", "legacy", "tests")
    assert sorted(p.name for p in out.iterdir()) == [f"{n}.{s}" for n in names for s in ("csv", "html", "md")]
    published = str(out / "breakdown.csv")
    assert main(["zircon", "tables", *inputs, str(out), "--facilities", published, "--check", published]) == 0
    write(part([3, 0, 1]), tmp_path / "train.json", format="coco")
    assert main(["zircon", "tables", *inputs, str(tmp_path / "new"), "--check", published]) == 3
    assert "S1: Training set annotations: 4, expected 5" in capsys.readouterr().err
    assert main(["zircon", "tables", published, str(tmp_path / "sums"), "--check", published]) == 0
    assert main(["zircon", "tables", inputs[0], str(tmp_path / "sums")]) == 2
