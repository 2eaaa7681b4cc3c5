"""em labels and train-filter: patches to labels and labels to a filter, without leaks or pickles."""

from __future__ import annotations

import json

import numpy as np
import pytest

from maskmill import FormatError
from maskmill.cli import main
from maskmill.studies.em import train as module
from maskmill.studies.em.filter import load_model
from maskmill.studies.em.labels import export_for_labels, read_labelled, read_names
from maskmill.studies.em.pickles import write_pickle
from maskmill.studies.em.sources import find_parts
from maskmill.studies.em.store import write_patch
from maskmill.studies.em.train import measure, roc, split


@pytest.fixture
def tree(tmp_path, rng):
    """Five data sets of 20 patches: stripes are good, noise is bad."""
    stripes = np.broadcast_to(np.sin(np.arange(32) / 2) * 60 + 128, (32, 32))
    for dataset in "abcde":
        for i in range(20):
            image = rng.normal(128, 30, (32, 32)) if i % 2 else stripes + rng.normal(0, 5, (32, 32))
            write_patch(tmp_path / "tree", dataset, f"p{i:02d}", np.clip(image, 0, 255).astype(np.uint8))
    return tmp_path / "tree"


@pytest.fixture
def labels(tree):
    paths = sorted(tree.rglob("*.tiff"))
    rows = [
        f"{p.relative_to(tree)},{p.parent.name},{p.stem},{'bad' if int(p.stem[1:]) % 2 else 'good'}"
        for p in paths
    ]
    (tree / "labels.csv").write_text("path,dataset,name,label\n" + "\n".join(rows) + "\n")
    return tree / "labels.csv"


def as_npy(labels, folder):
    labelled = read_labelled([labels])
    np.save(folder / "paths.npy", np.array([str(path) for path in labelled.paths]))
    np.save(folder / "labels.npy", np.where(labelled.good, "good", "bad"))
    return folder / "paths.npy", folder / "labels.npy"


def run(verb, *args):
    return main(["em", verb, *map(str, args), "--quiet"])


# Training


def test_forest(labels, tree, tmp_path, capsys):
    pytest.importorskip("sklearn")
    out = tmp_path / "out"
    assert run("train-filter", labels, out) == 0
    printed = capsys.readouterr().out
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["accuracy"] == 1
    assert metrics["split by"] == "dataset"
    assert metrics["validation"] == 20
    assert metrics["TP"] == metrics["TN"] == 10
    assert "TP     10" in printed
    assert "accuracy 1.000" in printed
    # And it filters.
    assert run("filter", tree, tmp_path / "filtered", "--model", out / "filter.npz") == 0
    good = sorted(path.stem for path in (tmp_path / "filtered" / "a").glob("*.tiff"))
    assert good == [f"p{i:02d}" for i in range(0, 20, 2)]


def test_npy(labels, tmp_path):
    pytest.importorskip("sklearn")
    paths, texts = as_npy(labels, tmp_path)
    assert run("train-filter", labels, tmp_path / "csv") == 0
    assert run("train-filter", paths, texts, tmp_path / "npy") == 0
    one, two = (load_model(tmp_path / name / "filter.npz").digest for name in ("csv", "npy"))
    assert one == two


def test_network(labels, tree, tmp_path):
    """One epoch, from given weights and from none; the weights are those that em filter takes."""
    torch = pytest.importorskip("torch")
    from maskmill.studies.em.cnn import read_weights, resnet34

    state = resnet34().state_dict()
    imagenet = {**state, "fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}
    torch.save(imagenet, tmp_path / "imagenet.pth")
    weights = ["--weights", tmp_path / "imagenet.pth"]
    assert run("train-filter", labels, tmp_path / "out", "--cnn", "--epochs", 1, *weights) == 0
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["best epoch"] == 1
    assert len(metrics["epochs"]) == 1
    path = tmp_path / "out" / "patch_quality_classifier_nn.pth"
    trained = read_weights(path)
    assert torch.equal(trained["layer3.0.conv1.weight"], state["layer3.0.conv1.weight"])
    assert not torch.equal(trained["layer4.0.conv1.weight"], state["layer4.0.conv1.weight"])
    (part,) = find_parts([tree / "a"])
    scores = load_model(path).scores([item.patch for item in part.items([])])
    assert ((scores >= 0) & (scores <= 1)).all()


def test_split_keeps_data_sets_together(rng):
    good = rng.random(400) < 0.4
    groups = [f"d{i}" for i in rng.integers(0, 25, 400)]
    parts = split(good, groups)
    sides = [{groups[i] for i in side} for side in (parts.training, parts.validation)]
    assert parts.by == "dataset"
    assert not sides[0] & sides[1]
    assert sorted([*parts.training, *parts.validation]) == list(range(400))
    assert abs(len(parts.validation) / 400 - 0.15) < 0.05
    assert abs(good[parts.validation].mean() - good.mean()) < 0.05
    again = split(good, groups)
    assert np.array_equal(parts.validation, again.validation)


def test_split_of_one_data_set(rng):
    good = np.arange(100) < 40
    parts = split(good, ["one"] * 100)
    assert parts.by == "patch"
    assert (good[parts.validation].sum(), len(parts.validation)) == (6, 15)


def test_too_few():
    with pytest.raises(ValueError, match="at least 64 labelled patches .* not 60 .of 70, 10 are held back"):
        split(np.arange(70) % 2 == 0, ["one"] * 70)
    with pytest.raises(ValueError, match="at least 2 good and 2 bad patches are needed, not 99 and 1"):
        split(np.arange(100) > 0, ["one"] * 100)


def test_roc_equals_scikit_learn(rng):
    metrics = pytest.importorskip("sklearn.metrics")
    good, scores = rng.random(300) < 0.3, np.round(rng.random(300), 1)
    assert roc(scores, good)[2] == pytest.approx(metrics.roc_auc_score(good, scores), abs=1e-12)
    counts = measure(scores, good)
    tn, fp, fn, tp = metrics.confusion_matrix(good, scores > 0.5).ravel().tolist()
    assert [counts[name] for name in ("TN", "FP", "FN", "TP")] == [tn, fp, fn, tp]


def test_curve(tmp_path, rng):
    pytest.importorskip("matplotlib")
    module._draw(tmp_path / "roc.png", rng.random(50), rng.random(50) < 0.5)
    assert (tmp_path / "roc.png").read_bytes().startswith(b"\x89PNG")


def test_default_filter_can_be_made_again(tmp_path):
    """The recipe gives the same forest each time; that which is shipped was made by the same, of more patches."""
    pytest.importorskip("sklearn")
    one = module.train_default(tmp_path / "a.npz", n=60)
    assert one.digest == module.train_default(tmp_path / "b.npz", n=60).digest
    shipped = load_model("default")
    assert shipped.about["trained on"] == one.about["trained on"].replace("60 made", "3000 made")
    assert shipped.names == one.names


# Labels


def test_export(tree, tmp_path, rng):
    import cv2

    n, failed = export_for_labels([tree], tmp_path / "out", n=23)
    assert (n, failed) == (23, [])
    labelled = read_names(tmp_path / "out" / "labels.csv")
    assert len(labelled) == 23
    assert set(labelled.values()) == {"none"}
    dataset, name = next(iter(labelled))
    shown = cv2.imread(str(tmp_path / "out" / "patches" / dataset / f"{name}.png"), -1)
    items = {item.name: item.patch for item in find_parts([tree / dataset])[0].items([])}
    assert np.array_equal(shown, items[name])
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count("<figure ") == 23
    again = export_for_labels([tree], tmp_path / "again", n=23)
    assert again == (23, [])
    assert read_names(tmp_path / "again" / "labels.csv") == labelled
    assert export_for_labels([tree], tmp_path / "all", n=10_000)[0] == 100


def test_labels_are_taken_over_by_name(tree, labels, tmp_path):
    export_for_labels([tree], tmp_path / "out", n=30, labels=labels)
    for (_, name), label in read_names(tmp_path / "out" / "labels.csv").items():
        assert label == ("bad" if int(name[1:]) % 2 else "good")


def test_labels_are_not_overwritten(tree, tmp_path, capsys):
    assert run("labels", tree, tmp_path / "out", "-n", 5) == 0
    assert "5 patches to label" in capsys.readouterr().out
    assert run("labels", tree, tmp_path / "out", "-n", 5) == 2
    assert "may hold labels" in capsys.readouterr().err


def test_names_are_escaped(tmp_path):
    name = '<script>alert("x")</script>&'.replace("/", "_")
    write_pickle(tmp_path / "cell.pkl", [name], [np.zeros((4, 4), np.uint8)])
    export_for_labels([tmp_path / "cell.pkl"], tmp_path / "out")
    assert "<script>alert" not in (tmp_path / "out" / "index.html").read_text()
    assert list(read_names(tmp_path / "out" / "labels.csv")) == [("cell", name)]


# Bad input


@pytest.mark.parametrize("verb", ["labels", "train-filter"])
def test_help(capsys, verb):
    with pytest.raises(SystemExit):
        main(["em", verb, "--help"])
    assert "examples:" in capsys.readouterr().out


def test_python_objects_are_refused(labels, tmp_path, capsys):
    """Arrays as cem-dataset saved them may need pickle: refused, with advice."""
    paths, texts = as_npy(labels, tmp_path)
    np.save(texts, np.load(texts).astype(object), allow_pickle=True)
    assert run("train-filter", paths, texts, tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert "labels.npy: holds Python objects, which could run code" in error
    assert "astype(str)" in error


def test_bad_label_files(labels, tmp_path):
    paths, texts = as_npy(labels, tmp_path)
    content = texts.read_bytes()
    for change, match in (
        (lambda: texts.write_bytes(content[:200]), "not a readable .npy"),
        (lambda: texts.write_bytes(b""), "not a readable .npy"),
        (lambda: np.save(texts, np.zeros(100)), "must be one row of texts, not .100,. of float64"),
        (lambda: np.save(texts, np.array(["good"] * 99)), "must have a label for each of 100 paths, not 99"),
        (
            lambda: np.save(texts, np.array(["good"] * 99 + ["fine"])),
            "label 99 must be good, bad or none, not 'fine'",
        ),
    ):
        change()
        with pytest.raises(FormatError, match=match):
            read_labelled([paths, texts])
    (tmp_path / "a.csv").write_text("path\nx\n")
    with pytest.raises(FormatError, match="must have a column label, not only path"):
        read_labelled([tmp_path / "a.csv"])
    (tmp_path / "a.csv").write_text("path,label\nx\n")
    with pytest.raises(FormatError, match="line 2 must have 2 fields"):
        read_labelled([tmp_path / "a.csv"])
    (tmp_path / "a.csv").write_text("")
    with pytest.raises(FormatError, match="must have a column path"):
        read_labelled([tmp_path / "a.csv"])
    with pytest.raises(FormatError, match="must be a table .csv or an array .npy, not .txt"):
        read_labelled([tmp_path / "a.txt"])


def test_unlabelled_do_not_count(labels):
    labels.write_text(labels.read_text().replace("bad", "none", 3))
    assert (len(read_labelled([labels]).paths), read_labelled([labels]).unlabelled) == (97, 3)


def test_bad_pictures(labels, tree, tmp_path, capsys):
    victim = next(tree.rglob("*.tiff"))
    content = victim.read_bytes()
    victim.write_bytes(content[:50])
    assert run("train-filter", labels, tmp_path / "out") == 2
    assert victim.name in capsys.readouterr().err
    victim.unlink()
    assert run("train-filter", labels, tmp_path / "out") == 2
    assert victim.name in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.csv", "out"], "none.csv: No such file or directory"),
        (["LABELS", "out", "--cnn", "--epochs", "-1"], "epochs must be 1 or more, not -1"),
        (["LABELS", "out", "--weights", "x.pth"], "--weights goes with --cnn"),
        (["LABELS", "LABELS", "LABELS", "out"], "labels must be in one file or two, not 3"),
        (["LABELS", "LABELS/below"], "labels.csv"),
    ],
)
def test_usage(labels, tmp_path, capsys, monkeypatch, arguments, message):
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    assert run("train-filter", *(text.replace("LABELS", str(labels)) for text in arguments)) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none", "out"], "none: no such file or folder"),
        (["TREE", "out", "-n", "-5"], "--number must be 1 or more, not -5"),
        (["TREE", "out", "--labels", "none.csv"], "none.csv: No such file"),
        (["TREE", "TREE/labels.csv/x"], "labels.csv"),
    ],
)
def test_usage_of_labels(tree, labels, tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert run("labels", *(text.replace("TREE", str(tree)) for text in arguments)) == 2
    assert message in capsys.readouterr().err
