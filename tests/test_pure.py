"""maskmill where nothing was compiled: the Numba twins do all of it, after one warning."""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import maskmill
from maskmill import _backend

PACKAGE = Path(maskmill.__file__).parent

EVERYTHING = """
import contextlib, io, json, sys, warnings
import numpy as np

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import maskmill
    from maskmill import Masks, Polygons, coco_json
    from maskmill.evaluate import coco as evaluate
    from maskmill.pycocotools import mask

    rng = np.random.default_rng(1)
    images = rng.random((12, 40, 50)) < 0.7
    for i, image in enumerate(images):
        y, x = i % 4 * 8, i % 3 * 14
        image[:y] = image[y + 16 :] = image[:, :x] = image[:, x + 20 :] = False
    masks = Masks.encode(images)
    near = Masks.encode(images ^ (rng.random(images.shape) < 0.05))
    out = {"area": masks.area.tolist(), "iou": masks.iou(near).tolist(), "bbox": masks.bbox.tolist()}

    # The drop-in's functions
    rles = mask.encode(np.asfortranarray(np.moveaxis(images, 0, 2)))
    out["rles"] = [rle["counts"].decode() for rle in rles]
    out["merged"] = mask.merge(rles, intersect=True)["counts"].decode()
    out["ious"] = mask.iou(rles, rles[:3], [0, 1, 0]).tolist()
    out["boxes"] = mask.toBbox(rles).tolist()
    out["areas"] = mask.area(rles).tolist()
    out["decoded"] = int(mask.decode(rles).sum())
    polygons = mask.frPyObjects([[1.5, 1, 9, 2, 8, 7.25], [0, 0, 3, 0, 3, 3, 0, 3]], 10, 12)
    out["filled"] = [rle["counts"].decode() for rle in polygons]

    # Files, and their evaluation
    ids = np.arange(1, 13)
    common = {"image_id": (ids - 1) % 3 + 1, "category_id": ids % 2 + 1, "bbox": masks.bbox}
    ground_truth = common | {"id": ids, "area": masks.area * 9.0, "iscrowd": ids % 5 == 0}
    info = {
        "images": [{"id": i, "height": 40, "width": 50} for i in (1, 2, 3)],
        "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
    }
    coco_json.write("gt.json", ground_truth, masks, **info)
    coco_json.write("dt.json", common | {"bbox": near.bbox + 0.5, "score": (ids % 4) / 4}, near)
    file = coco_json.read("gt.json")
    out["read"] = {name: column.tolist() for name, column in file.columns.items()}
    out["masks"] = file.masks() == masks
    with open("gt.json") as f:
        gt = json.load(f)
    for annotation, points in zip(gt["annotations"], rng.normal(20, 9, (12, 17, 2))):
        annotation["keypoints"] = np.concatenate([points, np.full((17, 1), 2)], 1).ravel().tolist()
        annotation["num_keypoints"] = 17
    with open("kp_gt.json", "w") as f:
        json.dump(gt, f)
    with open("kp_dt.json", "w") as f:
        keys = ("image_id", "category_id", "keypoints")
        json.dump([{key: a[key] for key in keys} | {"score": a["id"] / 20} for a in gt["annotations"]], f)
    for kind, names in (("bbox", "gt dt"), ("segm", "gt dt"), ("keypoints", "kp_gt kp_dt")):
        found = evaluate.evaluate(*(f"{name}.json" for name in names.split()), kind)
        out[kind] = [found.stats, found.text, found.precision.ravel().tolist(), found.classes]
    with open("bad.json", "w") as f:
        f.write('{"annotations": [\\n  {"id": 1,}]}')
    try:
        coco_json.read("bad.json")
    except maskmill.FormatError as error:
        out["error"] = str(error)

warned = [[w.category.__name__, str(w.message), w.filename] for w in caught]
print(json.dumps([out, warned]))
"""


def run(script: str, package: Path, folder: Path) -> tuple[int, str, str]:
    folder.mkdir(exist_ok=True)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MASKMILL_")}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def pure(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with maskmill, but for what was compiled."""
    folder = tmp_path_factory.mktemp("pure")
    shutil.copytree(PACKAGE, folder / "maskmill", ignore=shutil.ignore_patterns("_core*.so", "_core*.pyd"))
    return folder


def test_everything_is_there_without_the_core(pure: Path, tmp_path: Path) -> None:
    pytest.importorskip("numba")
    code, printed, error = run(EVERYTHING, pure, tmp_path / "pure")
    assert code == 0, error
    results, warned = json.loads(printed)
    assert [category for category, *_ in warned] == ["RuntimeWarning"]
    assert warned[0][1].startswith("maskmill has no compiled core here and uses its slower Numba twins")
    assert warned[0][2] == "<string>"  # the user's own line
    assert results["segm"][0]["AP"] > 0.3
    assert results["error"] == ("bad.json: line 2, column 12: expected a key in double quotes, found '}'")
    if _backend.why_missing("cpp") is not None:
        pytest.skip("there is no compiled core to compare with")
    code, printed, error = run(EVERYTHING, PACKAGE.parent, tmp_path / "compiled")
    assert code == 0, error
    expected, warned = json.loads(printed)
    assert warned == []
    for name, value in expected.items():
        assert results[name] == value, name


def test_without_core_and_numba(pure: Path, tmp_path: Path) -> None:
    script = "import sys; sys.modules['numba'] = None; import maskmill; maskmill.Masks.encode([[1]])"
    code, _, error = run(script, pure, tmp_path)
    assert code != 0
    assert "Warning" not in error
    assert error.splitlines()[-1] == (
        "maskmill._backend.BackendError: maskmill has no compiled core here, and to do without one it needs numba; "
        "run: pip install 'maskmill[numba]'"
    )


# Both backends are what the stub says


def parameters_in_stub() -> dict[str, list[str]]:
    tree = ast.parse((PACKAGE / "_core.pyi").read_text())
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {f.name: [a.arg for a in f.args.posonlyargs + f.args.args] for f in functions}


KERNELS = {
    name: parameters
    for name, parameters in parameters_in_stub().items()
    if not re.match("coco_(?!json|rle)", name) and "_" in name and not re.search("thread|simd", name)
}


def test_the_stub_names_all_twins() -> None:
    twins = pytest.importorskip("maskmill._numba")
    assert sorted(twins.__all__) == sorted(KERNELS)


@pytest.mark.parametrize("name", KERNELS)
def test_parameters_have_the_names_in_the_stub(backend: str, name: str) -> None:
    function: Any = getattr(_backend.kernels(backend), name)
    if backend != "numba":
        # pybind11 says it in the docstring's first line, or in one for each type that is taken.
        line = next(line for line in function.__doc__.splitlines() if ") ->" in line and "*args" not in line)
        found = re.findall(r"(\w+): ", line.partition(") ->")[0])
    else:
        found = list(inspect.signature(function).parameters)
    assert found == KERNELS[name]
