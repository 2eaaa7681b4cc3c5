"""Shot lists."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskmill import FormatError
from maskmill.cli import main
from maskmill.studies.zircon.scanlists import counts, read_scanlist

HEADING = (
    "Scan Type,Description,Selected,Lock Edit,Vertex Count,Vertex List,"
    "Preablation Settings,Ablation Settings,Data\n"
)
SETTINGS = '"Laser.Output=0.00;Laser.SpotSize=40µm Circle","ShotCount=83;Laser.SpotSize=20µm Circle",""\n'


def row(description, x=1.5, y=2.5, kind="Spot", selected=1):
    return f'{kind},"{description}",{selected},0,1,"{x},{y},15600.00",{SETTINGS}'


def write(folder, text, encoding="cp1252"):
    path = folder / "list.scancsv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return path


def names(folder, *descriptions):
    return [
        shot.name for shot in read_scanlist(write(folder, HEADING + "".join(map(row, descriptions)))).shots
    ]


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8", "utf-8-sig", "utf-16"])
def test_encodings(tmp_path, encoding):
    (shot,) = read_scanlist(write(tmp_path, HEADING + row("FC"), encoding)).spots
    assert (shot.name, shot.x, shot.y, shot.vertices[0][2]) == ("FC", 1.5, 2.5, 15600)
    assert shot.ablation == {"ShotCount": "83", "Laser.SpotSize": "20µm Circle"}
    assert (shot.spot_size, shot.selected, shot.locked, shot.line) == (20, True, False, 2)


def test_names(tmp_path):
    assert names(tmp_path, "FC", "Spot 1", "FC", "FC") == ["FC", "Spot 1", "FC-2", "FC-3"]


@pytest.mark.parametrize(
    ("descriptions", "expected"),
    [
        (["FC", "FC", "FC-2"], ["FC", "FC-3", "FC-2"]),
        (["FC-2", "FC", "FC", "FC"], ["FC-2", "FC", "FC-3", "FC-4"]),
        (["FC", "FC-2", "FC-2", "FC"], ["FC", "FC-2", "FC-2-2", "FC-3"]),
    ],
)
def test_collisions_keep_shots_apart(tmp_path, descriptions, expected):
    """The original calls two shots FC-2, and loses one of them."""
    assert names(tmp_path, *descriptions) == expected
    collisions = read_scanlist(tmp_path / "list.scancsv").collisions
    assert ("FC", "FC-2", "FC-3") in collisions


def test_many_collisions_in_time(tmp_path):
    many = [f"FC-{n}" for n in range(2, 20_000)] + ["FC"] * 20_000
    found = names(tmp_path, *many)
    assert len(set(found)) == len(many)


def test_lines_and_rasters_are_kept_apart(tmp_path):
    line = f'Line,"FC",1,0,2,"1,2,3,4,5,6",{SETTINGS}'
    raster = f'Raster,"FC",1,0,3,"1,2;3,4;5,6",{SETTINGS}'
    found = read_scanlist(write(tmp_path, HEADING + line + row("FC") + raster + row("FC")))
    assert [shot.name for shot in found.spots] == ["FC", "FC-2"]
    assert [shot.name for shot in found.shots] == ["FC-3", "FC", "FC-4", "FC-2"]
    assert found.shots[0].vertices == ((1, 2, 3), (4, 5, 6))
    assert found.shots[2].vertices[1][:2] == (3, 4)
    assert math.isnan(found.shots[2].vertices[1][2])
    assert found.kinds() == {"Line": 1, "Spot": 2, "Raster": 1}
    assert found.xy.shape == (2, 2)


def test_standards_by_a_pattern(tmp_path):
    found = read_scanlist(write(tmp_path, HEADING + "".join(map(row, ["FC", "Spot 1", "Spot 12b", "R33"]))))
    assert [shot.is_standard() for shot in found.spots] == [True, False, True, True]
    assert [shot.is_standard("FC|SL") for shot in found.spots] == [True, False, False, False]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "line 1: expected a column 'Scan Type', found an empty line"),
        (HEADING.replace("Vertex List", "Vertices") + row("FC"), "line 1: expected a column 'Vertex List'"),
        (HEADING + 'Spot,"FC",1\n', "line 2: expected 9 cells, found 3"),
        (HEADING + row("FC").replace("1.5", "one"), "line 2: Vertex List: expected numbers"),
        (HEADING + row("FC").replace("1.5", "nan"), "line 2: Vertex List: expected coordinates"),
        (HEADING + row("FC").replace("1.5", "1e300"), "line 2: Vertex List: expected coordinates"),
        (HEADING + row("FC").replace("1.5", "1.5,7"), "line 2: Vertex List: expected x,y,z of 1 vert"),
        (HEADING + row("FC").replace(",1,0,1,", ",1,0,99999999999,"), "expected x,y,z of 99999999999"),
        (HEADING + row("FC").replace(",1,0,1,", ",1,0,0,"), "line 2: Vertex Count: expected a number of 1"),
        (HEADING + row("FC").replace(",1,0,1,", ",1,0,inf,"), "line 2: Vertex Count: expected a number"),
        (HEADING + row("FC", selected="maybe"), "line 2: Selected: expected 0 or 1, found 'maybe'"),
        (HEADING + row(""), "line 2: Description: expected the name"),
        (HEADING + row("FC") + row("FC", kind=""), "line 3: Scan Type: expected Spot"),
        (HEADING + row("FC") + '"Spot', "line 3: expected a row of CSV"),
        (HEADING.encode() + b'Spot,"\x81"', "expected text in UTF-8 or Windows-1252, found 0x81"),
        (HEADING + f'Spot,"{"x" * 200_000}"', "expected a row of CSV"),
    ],
)
def test_faults_name_line_and_column(tmp_path, text, message):
    with pytest.raises(FormatError) as fault:
        read_scanlist(write(tmp_path, text))
    assert "list.scancsv" in str(fault.value)
    assert message in str(fault.value)


def test_too_large(tmp_path):
    path = write(tmp_path, HEADING)
    with open(path, "r+b") as file:
        file.truncate(1 << 40)
    with pytest.raises(FormatError, match="at most 64 MiB"):
        read_scanlist(path)


VALID = (HEADING + row("FC") + row("Spot 1") + row("FC", kind="Line")).encode("cp1252")


@given(st.data())
def test_mutated(tmp_path_factory, data):
    text = bytearray(VALID)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        text[at : at + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=8))
    path = write(tmp_path_factory.getbasetemp(), bytes(text))
    try:
        found = read_scanlist(path)
    except FormatError as error:
        named = str(error).startswith(str(path))
    else:
        named = len({shot.name for shot in found.shots}) == len(found.shots)
    assert named


@given(st.lists(st.sampled_from(["FC", "FC-2", "FC-3", "FC-2-2", "SL"]), max_size=12))
def test_names_are_unique(tmp_path_factory, descriptions):
    folder = tmp_path_factory.getbasetemp()
    found = names(folder, *descriptions)
    assert len(set(found)) == len(found)
    usual, seen = [], {}
    for description in descriptions:
        seen[description] = n = seen.get(description, 0) + 1
        usual.append(description if n == 1 else f"{description}-{n}")
    if len(set(usual)) == len(usual):
        assert found == usual


@pytest.mark.parametrize(("name", "size"), [("SY-D-COMPLETE", 15), ("1WM-478", 20)])
def test_real_lists(data, name, size):
    scans = read_scanlist(data / "zircon/scanlists" / f"{name}.scancsv")
    assert counts(scans) == {
        "scans": 397,
        "kinds": {"Spot": 397},
        "spots": 397,
        "standards": {"FC": 40, "SL": 32, "R33": 10},
        "not_selected": 0,
        "same_place": 0,
        "spot_sizes": [size],
        "collisions": [],
    }
    grains = [shot.name for shot in scans.spots if not shot.is_standard()]
    assert sorted(grains, key=lambda text: int(text[5:])) == [f"Spot {n}" for n in range(1, 316)]


def test_info(tmp_path, capsys):
    path = write(tmp_path, HEADING + "".join(map(row, ["FC", "FC", "FC-2", "Spot 1"])))
    assert main(["zircon", "info", str(path)]) == 0
    told = capsys.readouterr().out
    assert "4 scans (4 Spot)" in told
    assert "a repeat of FC is called FC-3: another scan is called FC-2" in told
    assert main(["zircon", "info", str(tmp_path / "none.scancsv")]) == 2
    assert "maskmill zircon info: " in capsys.readouterr().err
