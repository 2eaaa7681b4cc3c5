"""Shots whose windows do not overlap."""

from __future__ import annotations

import csv
import itertools
import json
import random
import struct
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskmill import FormatError
from maskmill.cli import main
from maskmill.studies.zircon import clip, sample
from maskmill.studies.zircon import independent as solver
from maskmill.studies.zircon.independent import max_independent_set
from maskmill.studies.zircon.sampling import choose, conflicts
from test_zircon_stage import MOSAICS, real
from zircon_projects import picture, project

SY, WM = "SY-D-COMPLETE", "1WM-478"


def real_conflicts(data, name, field):
    transform, scans = real(data, name, compat=True)
    return conflicts(scans.xy, transform.to_pixels(scans.xy), field, transform.window(field)), scans.xy


@pytest.mark.parametrize(
    ("name", "field", "edges", "at_random", "optimum"),
    [
        (SY, 300, 1536, 86, 99),
        (SY, 400, 2611, 56, 74),
        (SY, 500, 3990, 41, 53),
        (WM, 300, 2496, 57, 75),
        (WM, 400, 4250, 36, 51),
        (WM, 500, 6402, 28, 37),
    ],
)
def test_real_lists(data, name, field, edges, at_random, optimum):
    near, xy = real_conflicts(data, name, field)
    assert near.sum() == 2 * edges
    assert len(choose(near, "random").selected) == at_random
    began = time.process_time()  # of the processor: others may be busy
    found = choose(near, "max", orders=[np.argsort(xy[:, 0]), np.argsort(xy[:, 1])])
    assert time.process_time() - began < 2
    assert (len(found.selected), found.bound) == (optimum, optimum)
    assert not near[np.ix_(found.selected, found.selected)].any()


@pytest.mark.parametrize(("field", "most"), [(300, [99, 75]), (400, [74, 51]), (500, [53, 37])])
def test_real_project(data, tmp_path, field, most, capsys):
    """By the command line, with the real lists on empty mosaics of made-up sizes."""
    for part in ("mosaics", "scanlists", "mosaic_info.csv"):
        (tmp_path / part).symlink_to(data / "zircon" / part)
    (tmp_path / "mosaics").unlink()
    (tmp_path / "mosaics").mkdir()
    for name, columns, rows in MOSAICS.values():
        (tmp_path / "mosaics" / f"{name}.Align").symlink_to(data / "zircon/mosaics" / f"{name}.Align")
        head = struct.pack("<2sIIIIiiHHIIiiII", b"BM", 0, 0, 54, 40, columns, rows, 1, 24, 0, 0, 0, 0, 0, 0)
        with open(tmp_path / "mosaics" / f"{name}.bmp", "wb") as file:
            file.write(head)
            file.truncate(54 + (columns * 3 + 3) // 4 * 4 * rows)
    command = ["zircon", "sample", str(tmp_path), str(tmp_path / "out.csv"), "--field", str(field)]
    assert main([*command, "--quiet", "--compat"]) == 0
    assert f"SY-D: {most[0]} of 397 selected" in capsys.readouterr().out
    told = json.loads((tmp_path / "out.json").read_text())["samples"]
    assert [(one["selected"], one["bound"]) for one in told] == [(n, n) for n in most]
    if field == 300:
        done = clip(tmp_path, tmp_path / "clips", edges="reject")
        assert (done.failed, done.counts) == ([], {"clipped": 794})


def test_the_random_walk_is_the_published_one(data):
    """Mean, least and greatest of 300 seeds."""
    near, _ = real_conflicts(data, SY, 300)
    sizes = [len(choose(near, "random", seed=seed).selected) for seed in range(300)]
    assert (round(np.mean(sizes), 1), min(sizes), max(sizes)) == (83.0, 75, 91)


def by_hand(near, seed):
    order = list(range(len(near)))
    random.Random(seed).shuffle(order)
    taken = []
    for i in order:
        if not any(near[i][j] for j in taken):
            taken.append(i)
    return sorted(taken)


tables = st.integers(0, 11).flatmap(
    lambda n: st.tuples(
        st.just(n), st.sets(st.tuples(st.integers(0, max(n - 1, 0)), st.integers(0, max(n - 1, 0))))
    )
)


def as_table(n, pairs):
    near = np.zeros((n, n), bool)
    for i, j in pairs:
        if n and i != j:
            near[i, j] = near[j, i] = True
    return near


def brute(near):
    n = len(near)
    for size in range(n, -1, -1):
        for some in itertools.combinations(range(n), size):
            if not near[np.ix_(some, some)].any():
                return size
    return 0


@given(tables, st.integers(0, 5))
def test_any_graph(table, seed):
    near = as_table(*table)
    found = max_independent_set(near, seed=seed)
    assert not near[np.ix_(found.selected, found.selected)].any()
    assert found.proved
    assert len(found.selected) == brute(near)
    assert choose(near, "random", seed=seed).selected.tolist() == by_hand(near, seed)


@given(st.integers(0, 1000))
def test_each_part_of_the_solver(seed):
    """Without reductions, each method alone gives the optimum of graphs that are larger."""
    rng = np.random.default_rng(seed)
    xy = rng.random((26, 2)) * 5
    table = (np.abs(xy[:, None] - xy) < 1.3).all(-1)
    np.fill_diagonal(table, False)
    near, everything = [solver._from_bits(row) for row in table], (1 << 26) - 1
    order = np.argsort(xy[:, 0]).tolist()
    exact, bound = solver._dynamic(near, order, [1 << solver._TIE] * 26, 0, time.monotonic() + 60)
    assert exact.bit_count() == bound == len(max_independent_set(table).selected)
    searched = solver._local_search(near, everything, random.Random(seed), time.monotonic() + 60)
    for some in (exact, searched):
        things = list(solver._bits(some))
        assert not table[np.ix_(things, things)].any()
    assert searched.bit_count() <= bound <= solver._cliques(near, everything)
    cliques = solver._maximal_cliques(near, everything, time.monotonic() + 60)
    assert len(set(cliques)) == len(cliques)
    for i, j in zip(*np.nonzero(table), strict=True):
        assert any(clique >> int(i) & 1 and clique >> int(j) & 1 for clique in cliques)


def test_integer_program():
    pytest.importorskip("scipy")
    xy = np.random.default_rng(1).random((60, 2)) * 6
    table = (np.abs(xy[:, None] - xy) < 1).all(-1)
    np.fill_diagonal(table, False)
    near = [solver._from_bits(row) for row in table]
    chosen, bound = solver._integer_program(near, (1 << 60) - 1, time.monotonic() + 60)
    assert chosen.bit_count() == bound == len(max_independent_set(table).selected)


@pytest.mark.parametrize("integer_program", [True, False])
def test_wide_fronts_and_short_time(monkeypatch, integer_program):
    """Where the sweep gives up, the bound still holds."""
    xy = np.random.default_rng(2).random((120, 2)) * 6
    table = (np.abs(xy[:, None] - xy) < 1).all(-1)
    best = len(max_independent_set(table).selected)
    monkeypatch.setattr(solver, "_MOST_STATES", 3)
    if not integer_program:
        monkeypatch.setattr(solver, "_MOST_CLIQUES", 0)
    found = max_independent_set(table)
    assert len(found.selected) <= best <= found.bound
    assert found.proved or not integer_program
    hurried = max_independent_set(table, time_limit=0)
    assert len(hurried.selected) <= best <= hurried.bound
    assert not table[np.ix_(hurried.selected, hurried.selected)][
        ~np.eye(len(hurried.selected), dtype=bool)
    ].any()


def test_seeds_decide_ties():
    xy = np.random.default_rng(3).random((80, 2)) * 6
    near = (np.abs(xy[:, None] - xy) < 1).all(-1)
    found = [tuple(max_independent_set(near, seed=seed).selected.tolist()) for seed in range(10)]
    assert found == [tuple(max_independent_set(near, seed=seed).selected.tolist()) for seed in range(10)]
    assert len({len(one) for one in found}) == 1
    assert len(set(found)) > 1


def test_both_rules_are_needed():
    """At 1.4942 µm, 400 µm are 268 pixels, which are 400.45 µm: shots 400.2 µm apart overlap in pixels alone."""
    stage, pixels = [[0.0, 0.0], [400.2, 0.0]], [[0, 0], [267, 0]]
    found = [conflicts(stage, pixels, 400, (268, 268), rule)[0, 1] for rule in ("stage", "pixel", "both")]
    assert found == [False, True, True]
    with pytest.raises(ValueError, match="rule must be both, stage or pixel, not 'x'"):
        conflicts(stage, pixels, 400, (268, 268), "x")


@pytest.mark.parametrize(
    ("table", "orders", "message"),
    [
        (np.zeros((2, 3), bool), (), "conflicts must be a square array of bool"),
        (np.zeros((2, 2)), (), "conflicts must be a square array of bool"),
        (np.zeros((2, 2), bool), ([0, 0],), "permutation of 2"),
    ],
)
def test_bad_graphs(table, orders, message):
    with pytest.raises(ValueError, match=message):
        max_independent_set(table, orders=orders)


# The verb

SHOTS = [
    ("FC", 1030, 2030),
    ("Spot 1", 1060, 2030),
    ("Spot 2", 1090, 2030),
    ("FC", 1005, 2100),
    ("FC", 900, 2000),
]


@pytest.fixture
def made(tmp_path):
    return project(tmp_path / "p", picture(160, 120), SHOTS)


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def statuses(path):
    return {row["shot"]: row["status"] for row in rows(path)}


def test_sample(made, tmp_path):
    (chosen,) = sample(made, tmp_path / "out.csv", seed=3)
    assert chosen.selected == ["FC", "Spot 2", "FC-2"]
    assert (chosen.bound, chosen.counts) == (3, {"selected": 3, "conflict": 1, "outside": 1})
    table = rows(tmp_path / "out.csv")
    assert [row["by"] for row in table] == ["", "FC;Spot 2", "", "", ""]
    first = {
        "x": "1030.0",
        "y": "2030.0",
        "left": "10",
        "top": "10",
        "columns": "40",
        "rows": "40",
        "mosaic": "A.bmp",
    }
    assert first.items() <= table[0].items()
    summary = json.loads((tmp_path / "out.json").read_text())
    assert summary["settings"]["seed"] == 3
    assert summary["samples"] == [
        {"sample": "A", "selected": 3, "bound": 3, "proved": True, "counts": chosen.counts}
    ]


def test_filters(made, tmp_path):
    out = tmp_path / "out.csv"
    sample(made, out, standards="out", edges="drop")
    found = statuses(out)
    assert sorted((found.pop("Spot 1"), found.pop("Spot 2"))) == ["conflict", "selected"]
    assert found == {"FC": "standard", "FC-2": "standard", "FC-3": "outside"}
    sample(made, out, standards="only", edges="drop")
    assert statuses(out) == {
        "FC": "selected", "Spot 1": "grain", "Spot 2": "grain", "FC-2": "edge", "FC-3": "outside",
    }  # fmt: skip
    (tmp_path / "reject.csv").write_text("Sample,Shot,why\nA,FC,empty\nA,Spot 2,empty\n")
    sample(made, out, reject=tmp_path / "reject.csv")
    assert statuses(out) == {
        "FC": "rejected", "Spot 1": "selected", "Spot 2": "rejected", "FC-2": "selected", "FC-3": "outside",
    }  # fmt: skip
    sample(made, out, standards="out", pattern="Spot 1")
    assert statuses(out)["Spot 1"] == "standard"


def test_modes_and_fields(made, tmp_path):
    (chosen,) = sample(made, tmp_path / "out.csv", mode="random", seed=1)
    assert (chosen.bound, "selected" in chosen.counts) == (None, True)
    (chosen,) = sample(made, tmp_path / "out.csv", field=20)
    assert chosen.counts == {"selected": 4, "outside": 1}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"mode": "most"}, "mode must be max or random"),
        ({"rule": "none"}, "rule must be both, stage or pixel"),
        ({"standards": "yes"}, "standards must be in, out or only"),
        ({"edges": "cut"}, "edges must be keep or drop"),
        ({"pattern": "("}, "the pattern of standards must be a regular expression"),
        ({"field": 0}, "field must be more than 0"),
        ({"field": 0.5}, "field must be two pixels or more"),
    ],
)
def test_bad_arguments(made, tmp_path, more, message):
    with pytest.raises(ValueError, match=message):
        sample(made, tmp_path / "out.csv", **more)
    with pytest.raises(ValueError, match="out must be a .csv file"):
        sample(made, tmp_path / "out.txt")
    assert not (tmp_path / "out.csv").exists()


def test_rejected_shots_must_exist(made, tmp_path):
    for line, message in [
        ("A,Spot 9", "a spot of A, found 'Spot 9'"),
        ("B,FC", "a sample of the project, found 'B'"),
    ]:
        (tmp_path / "reject.csv").write_text(f"sample,shot\n{line}\n")
        with pytest.raises(FormatError, match=f"reject.csv: line 2: .*{message}"):
            sample(made, tmp_path / "out.csv", reject=tmp_path / "reject.csv")


def test_cli(made, tmp_path, capsys):
    out = tmp_path / "out.csv"
    assert main(["zircon", "sample", str(made), str(out), "--quiet"]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("A: 3 of 5 selected (1 conflict, 1 outside)\n")
    assert told.err == ""
    assert main(["zircon", "sample", str(made), str(out), "--seed", "-1"]) == 2
    assert "maskmill zircon sample: --seed must be 0 or more, not -1" in capsys.readouterr().err
    (made / "mosaics/A.bmp").unlink()
    assert main(["zircon", "sample", str(made), str(out), "--quiet"]) == 2
    assert "A.bmp" in capsys.readouterr().err
