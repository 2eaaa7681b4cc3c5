"""Names of patches, the orders that follow from them, and pickles of patches."""

from __future__ import annotations

import contextlib
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from em_oracle import oracle as load_oracle
from maskmill._files import FormatError
from maskmill.studies.em import names
from maskmill.studies.em.pickles import read_pickle, write_pickle


@pytest.fixture(scope="module")
def oracle(data):
    return load_oracle(data)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a-LOC-1_007_0-224_0-224", ("a", 1, 7, None, 0, 224, 0, 224)),
        ("a-LOC-0_0_0-5_0-6.tiff", ("a", 0, 0, None, 0, 5, 0, 6)),
        (
            "v_s1-ROI-x0-9_y0-9_z0-9-LOC-2_045_0-224_224-336.tiff",
            ("v_s1-ROI-x0-9_y0-9_z0-9", 2, 45, None, 0, 224, 224, 336),
        ),
        ("07-LOC-2d-0-224_0-199.tiff", ("07", -1, None, None, 0, 224, 0, 199)),
        ("x-LOC-2d_0_224", ("x", -1, None, None, 0, None, 224, None)),
        ("e-LOC-1_043-048_0-9_0-9.tif", ("e", 1, 43, 48, 0, 9, 0, 9)),
        ("x-LOC-y-LOC-0_3_0_224.tiff", ("x-LOC-y", 0, 3, None, 0, None, 224, None)),
        ("nothing", None),
        ("a-LOC-3_0_0-5_0-6", None),
        ("a-LOC-0_0_0-5_0-6.png", None),
        ("a-LOC-", None),
        ("", None),
    ],
)
def test_parse(text, parts):
    assert names.parse(text) == (parts and names.PatchName(*parts))


@given(
    exp=st.text(max_size=12),
    axis=st.integers(-1, 2),
    index=st.integers(0, 2000),
    length=st.integers(1, 3000),
    box=st.tuples(*[st.integers(0, 99999)] * 4),
)
def test_names_are_parsed_back(exp, axis, index, length, box):
    (name,) = names.patch_names(exp, axis, [index], length, [box])
    assert names.parse(name) == names.PatchName(exp, axis, None if axis == -1 else index, None, *box)


@given(st.text(max_size=60))
def test_any_text_can_be_asked(text):
    names.parse(text)
    names.parse("a-LOC-" + text)
    names.parse_roi(text)


def test_digits_of_the_index():
    """As many as of the number of the last slice but one."""
    for length, digits in ((2, 1), (3, 1), (11, 1), (12, 2), (101, 2), (102, 3), (2_000_000, 7)):
        (name,) = names.patch_names("a", 0, [0], length, [(0, 1, 0, 1)])
        assert name == f"a-LOC-0_{'0' * digits}_0-1_0-1"


def test_names_of_nothing():
    assert names.patch_names("a", 0, [], 5, np.empty((0, 4))) == []
    assert names.ordinals(0) == []


def test_ordinals():
    digits = {1: 1, 2: 2, 8: 4, 21: 5, 55: 6, 149: 7}
    assert {n: len(names.ordinals(n)[0]) for n in digits} == digits


def test_names_and_keys_of_the_oracle(oracle, rng):
    for _ in range(200):
        axis, index, seed = int(rng.integers(3)), int(rng.integers(500)), int(rng.integers(10))
        y0, x0 = (int(i) for i in rng.integers(0, 9999, 2))
        length, box = int(rng.integers(index + 1, 600)), (y0, y0 + 7, x0, x0 + 9)
        (name,) = names.patch_names("völ", axis, [index], length, [box])
        assert name == oracle.patch_name("völ", axis, index, length, box)
        (key,) = names.stable_keys("völ", axis, index, y0, [x0], seed=seed)
        assert key == oracle.stable_key("völ", axis, index, y0, x0, seed)


def test_keys_known():
    (key,) = names.stable_keys("vol", 2, [45], [224], [448], seed=9)
    assert f"{key:016x}" == "40445fe9d12a70c5"


def test_permutation_of_the_oracle(oracle):
    for n, seed in ((1, 0), (50, 7), (700, 5), (10, 4294967295)):
        assert names.permutation(n, seed).tolist() == oracle.mt19937_permutation(n, seed)


# Pickles


@pytest.fixture
def patches(rng):
    return [rng.integers(0, 256, shape, dtype=np.uint8) for shape in ((3, 4), (2, 2), (0, 5))]


def test_pickle_and_back(tmp_path, patches):
    write_pickle(tmp_path / "a.pkl", ["a", "b", "c"], patches)
    plain = pickle.loads((tmp_path / "a.pkl").read_bytes())
    assert list(plain) == ["names", "patches"]
    found = read_pickle(tmp_path / "a.pkl")
    assert found.names == plain["names"] == ["a", "b", "c"]
    for ours, theirs, given_ in zip(found.patches, plain["patches"], patches, strict=True):
        assert np.array_equal(ours, given_)
        assert np.array_equal(theirs, given_)
        assert ours.flags.writeable


@pytest.mark.parametrize("module", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_pickles_of_either_numpy(tmp_path, patches, module):
    content = pickle.dumps({"names": ["a"], "patches": patches[:1]}, 4)
    for known in (b"numpy._core.multiarray", b"numpy.core.multiarray"):
        old = b"\x8c" + bytes([len(known)]) + known
        content = content.replace(old, b"\x8c" + bytes([len(module)]) + module)
    # Frames have lengths of their own; without them a pickle is as valid.
    start = content.index(b"\x95")
    (tmp_path / "a.pkl").write_bytes(content[:start] + content[start + 9 :])
    assert np.array_equal(read_pickle(tmp_path / "a.pkl").patches[0], patches[0])


def test_slices_and_fortran_order(tmp_path):
    image = np.arange(30, dtype=np.uint8).reshape(5, 6)
    write_pickle(tmp_path / "a.pkl", ["a", "b"], [image[1:3, ::2], image.T])
    found = read_pickle(tmp_path / "a.pkl").patches
    assert np.array_equal(found[0], image[1:3, ::2])
    assert np.array_equal(found[1], image.T)


class Runs:
    def __reduce__(self):
        return print, ("this was run",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"names": [Runs()], "patches": []}, "it names builtins.print"),
        ({"names": ["a"], "patches": [np.zeros((2, 2))]}, "patches must be uint8, not f8"),
        ({"names": ["a"], "patches": [np.array([[None]])]}, "patches must be uint8, not O8"),
        ({"names": ["a"], "patches": [np.zeros(3, np.uint8)]}, "must be a 2-D uint8 array, not one of 1 dim"),
        ({"names": ["a"], "patches": [7]}, "must be a 2-D uint8 array, not int"),
        ({"names": ["a"], "patches": [np.dtype("u1")]}, "must be a 2-D uint8 array"),
        ({"names": ["a"], "patches": [np.ndarray]}, "must be a 2-D uint8 array"),
        ({"names": [3], "patches": [np.zeros((2, 2), np.uint8)]}, "name 0 must be a text, not int"),
        ({"names": ["a"], "patches": []}, "must be lists of one length"),
        ({"names": "a", "patches": [1]}, "must be lists of one length"),
        ({"patches": []}, "must be a dict with names and patches, not \\['patches'\\]"),
        ([1], "not list"),
    ],
)
def test_other_pickles_are_refused(tmp_path, content, message, capsys):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content, 4))
    with pytest.raises(FormatError, match=message):
        read_pickle(tmp_path / "a.pkl")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "content",
    [b"}%sNs.", b"}(%sNu.", b"(%sNd.", b"(%s\x91.", b"cnumpy\ndtype\n(%stR."],
    ids=["key", "keys", "dict", "set", "type"],
)
def test_pickles_that_would_take_years(tmp_path, content):
    """A tuple of twice a tuple of twice a tuple ... is short in a file; to hash or to show it takes 2 ** 100 steps."""
    deep = b")" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(100))
    (tmp_path / "a.pkl").write_bytes(b"\x80\x04" + content % deep)
    with pytest.raises(FormatError, match="not a readable pickle"):
        read_pickle(tmp_path / "a.pkl")


def test_missing_and_cut_short(tmp_path, patches):
    with pytest.raises(FileNotFoundError):
        read_pickle(tmp_path / "a.pkl")
    write_pickle(tmp_path / "a.pkl", ["a", "b", "c"], patches)
    whole = (tmp_path / "a.pkl").read_bytes()
    for end in range(len(whole)):
        (tmp_path / "a.pkl").write_bytes(whole[:end])
        with pytest.raises(FormatError, match="not a readable pickle"):
            read_pickle(tmp_path / "a.pkl")


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_damaged_pickles(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "damaged.pkl"
    content = bytearray(pickle.dumps({"names": ["a"], "patches": [np.zeros((2, 3), np.uint8)]}, 4))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with contextlib.suppress(FormatError):
        read_pickle(path)


def test_lengths_must_agree(tmp_path):
    with pytest.raises(ValueError, match="must have one length, not 1 and 0"):
        write_pickle(tmp_path / "a.pkl", ["a"], [])
    assert not list(tmp_path.iterdir())
