"""Model files: damaged and hostile ones are refused by name, and run nothing."""

import io
import json
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskmill import FormatError, densify
from maskmill.densify.model import _digest
from test_densify import QUICK, fields

pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Files of models by their classifiers."""
    image, strokes, _ = fields(np.random.default_rng(1), 60, 90)
    folder = tmp_path_factory.mktemp("models")
    for name in ("logistic", "mlp", "trees", "boosting"):
        model = densify.fit(
            image, strokes, features="lab", classifier=name, options=QUICK.get(name), names={3: "sand"}
        )
        model.save(folder / f"{name}.npz")
    return folder


def changed(path, to, recipe=None, **arrays):
    """A model with other contents, and the hash that belongs to them."""
    with np.load(path) as found:
        parts = {**found, **arrays}
    said = json.loads(parts.pop("recipe").tobytes())
    said |= recipe or {}
    about = said.pop("about")
    said.pop("digest")
    parts = {name: array for name, array in parts.items() if array is not None}
    said |= {"digest": _digest(parts, said), "about": about}
    np.savez(to, **parts, recipe=np.frombuffer(json.dumps(said).encode(), np.uint8))
    return to


def arrays_of(path):
    with np.load(path) as found:
        return dict(found)


def test_refused_by_content(saved, tmp_path):
    layers, trees = saved / "logistic.npz", saved / "trees.npz"
    forest = arrays_of(trees)
    inner = np.flatnonzero(forest["classifier_feature"] >= 0)
    back = forest["classifier_left"].copy()
    back[inner[2]] = inner[2]
    far = forest["classifier_left"].copy()
    far[forest["classifier_feature"] < 0] = 1 << 20
    nan = arrays_of(layers)["classifier_weights0"] * np.nan
    for path, content, text in (
        (layers, {"classifier_weights0": nan}, "not a number"),
        (layers, {"classifier_weights0": np.zeros((2, 3), np.float32)}, "a layer must take 3 values"),
        (layers, {"classifier_weights0": None}, "weights0"),
        (layers, {"mean": np.zeros(2, np.float32)}, "standardised"),
        (layers, {"scale": np.zeros(3, np.float32)}, "standardised"),
        (layers, {"classes": np.array([3, 3, 8])}, "do not rise"),
        (layers, {"classes": np.array([0.5, 1, 2])}, "not a model"),
        (layers, {"recipe": {"version": 99}}, "this reads 1"),
        (layers, {"recipe": {"features": ["colour"]}}, "features must be of"),
        (layers, {"recipe": {"bands": "many"}}, "not a model"),
        (layers, {"recipe": {"sigmas": [1e9]}}, "up to 1000"),
        (layers, {"recipe": {"temperature": float("nan")}}, "temperature"),
        (layers, {"recipe": {"names": {"3": ["x"]}, "colours": []}}, "not a model"),
        (layers, {"recipe": {"classifier": {"kind": "foreign"}}}, "'foreign'"),
        (layers, {"recipe": {"classifier": {"kind": "layers", "layers": 1, "activation": "exec"}}}, "activation"),
        (trees, {"classifier_left": back}, "goes back or outside"),
        (trees, {"classifier_left": far}, "a leaf has no value"),
        (trees, {"classifier_root": forest["classifier_root"] + 10**6}, "a root lies outside"),
        (trees, {"classifier_column": forest["classifier_column"] + 1}, "a class that there is not"),
        (trees, {"classifier_value": forest["classifier_value"] * 3}, "not within 0..1"),
        (saved / "boosting.npz", {"base": None, "classifier_base": np.zeros(9)}, "scores to begin with"),
    ):  # fmt: skip
        with pytest.raises(FormatError, match=text):
            densify.load(changed(path, tmp_path / "m.npz", **content))


def test_refused_by_hash(saved, tmp_path):
    parts = arrays_of(saved / "logistic.npz")
    parts["mean"] = parts["mean"] + 1
    np.savez(tmp_path / "m.npz", **parts)
    with pytest.raises(FormatError, match="its hash is another one"):
        densify.load(tmp_path / "m.npz")


def npy(header):
    text = f"{header}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def test_refused_as_an_archive(saved, tmp_path):
    """Objects, sizes that are not there, other files."""
    path = tmp_path / "m.npz"
    objects = io.BytesIO()
    np.lib.format.write_array(objects, np.array([{}], object))
    for data, text in (
        (objects.getvalue(), "expected numbers, found object"),
        (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999,)}"), "bytes for float64"),
        (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}"), "expected numbers"),
        (npy("{'descr': '<f8'"), "an array of NumPy"),
        (b"", "an array of NumPy"),
    ):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("mean.npy", data)
        with pytest.raises(FormatError, match=text):
            densify.load(path)
    path.write_bytes(b"PK")
    with pytest.raises(FormatError, match="m.npz"):
        densify.load(path)
    with pytest.raises(FileNotFoundError):
        densify.load(tmp_path / "none.npz")


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_damage(saved, tmp_path_factory, data):
    """Of a file with bytes changed or cut off, it is said that it is damaged, or nothing was lost."""
    original = saved / f"{data.draw(st.sampled_from(['logistic', 'mlp', 'trees']))}.npz"
    content = bytearray(original.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "m.npz"
    path.write_bytes(content[: data.draw(st.integers(0, 2 * len(content)))])
    try:
        found = densify.load(path)
    except FormatError:
        return
    assert found.digest == densify.load(original).digest


@pytest.mark.parametrize("classes", [2, 3])
def test_xgboost_is_plain(rng, classes):
    xgboost = pytest.importorskip("xgboost")
    from maskmill.densify.classifiers import train

    table = rng.normal(size=(300, 4)).astype(np.float32)
    table[:, 3] = np.round(table[:, 3], 1)
    target = (table[:, 0] > 0).astype(int) + (table[:, 1] > 1 if classes == 3 else 0)
    made = train("xgboost", table, target, seed=1, options={"n_estimators": 7})
    assert made.kind == "boosted"
    theirs = xgboost.XGBClassifier(n_estimators=7, max_depth=6, random_state=1)
    weight = (len(target) / np.bincount(target))[target]
    theirs.fit(table, target, sample_weight=weight / weight.mean())
    assert np.allclose(made(table), theirs.predict_proba(table), atol=1e-5)
