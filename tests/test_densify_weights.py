"""Weights in torch's old format: read as torch reads them, and nothing in a file is run."""

from __future__ import annotations

import os
import pickle
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskmill import FormatError
from maskmill.densify._torch_weights import MAGIC, read_weights

TYPES = {"float32": b"ctorch\nFloatStorage\n", "int64": b"ctorch\nLongStorage\n"}
ORDERED = b"ccollections\nOrderedDict\n)R"


def number(n: int) -> bytes:
    return b"J" + struct.pack("<i", n)


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def tensor(key, length, size, stride, offset=0, kind=TYPES["float32"]) -> bytes:
    """As torch pickles it."""
    storage = b"(" + text("storage") + kind + text(key) + text("cpu") + number(length) + b"NtQ"
    shape = b"".join(b"(" + b"".join(map(number, n)) + b"t" for n in (size, stride))
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + number(offset) + shape + b"\x89" + ORDERED + b"tR"
    )


def weights(entries: dict[str, bytes], storages: dict[str, np.ndarray], *, behind: bytes = b"}b") -> bytes:
    """A whole file; `behind` the state dict comes torch's state of modules."""
    state = (
        b"\x80\x02" + ORDERED + b"(" + b"".join(text(name) + entry for name, entry in entries.items()) + b"u"
    )
    head = [pickle.dumps(value, 2) for value in (MAGIC, 1001, {"little_endian": True})]
    body = [struct.pack("<q", values.size) + values.tobytes() for values in storages.values()]
    return b"".join([*head, state + behind + b".", pickle.dumps(list(storages), 2), *body])


NUMBERS = np.arange(24, dtype=np.float32)
COUNT = np.array([7], np.int64)
GOOD = weights(
    {
        "plain": tensor("1", 24, (2, 3, 4), (12, 4, 1)),
        "turned": tensor("1", 24, (4, 6), (1, 4)),
        "part": tensor("1", 24, (3,), (2,), offset=5),
        "none": tensor("1", 24, (0, 5), (5, 1)),
        "count": tensor("2", 1, (), (), kind=TYPES["int64"]),
    },
    {"1": NUMBERS, "2": COUNT},
)

DEEP = b")" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(100))
"""A tuple of twice a tuple of twice a tuple ..."""


def test_tensors(tmp_path):
    (tmp_path / "w.pth").write_bytes(GOOD)
    found = read_weights(tmp_path / "w.pth")
    assert list(found) == ["plain", "turned", "part", "none", "count"]
    assert np.array_equal(found["plain"], NUMBERS.reshape(2, 3, 4))
    assert np.array_equal(found["turned"], NUMBERS.reshape(6, 4).T)
    assert found["part"].tolist() == [5, 7, 9]
    assert found["none"].shape == (0, 5)
    assert found["count"].dtype == np.int64
    assert found["count"] == 7
    assert not found["plain"].flags.writeable


def test_as_torch_writes_them(tmp_path, rng):
    torch = pytest.importorskip("torch")
    state = {"a": torch.from_numpy(rng.random((3, 4), np.float32)).T, "n": torch.tensor(5)}
    torch.save(
        torch.nn.Linear(3, 2).state_dict() | state, tmp_path / "w", _use_new_zipfile_serialization=False
    )
    found = read_weights(tmp_path / "w")
    for name, value in torch.load(tmp_path / "w", weights_only=True).items():
        assert np.array_equal(found[name], value.numpy())


HOSTILE = {
    "a command": (
        b"cos\nsystem\n(" + text("touch ran") + b"tR",
        "names os.system, which weights have no use for",
    ),
    "eval": (b"cbuiltins\neval\n(" + text("1") + b"tR", "names builtins.eval"),
    "a rebuild of torch's own": (b"ctorch\nload\n(" + text("x") + b"tR", "names torch.load"),
    "by protocol 4": (text("posix") + text("system") + b"\x93(" + text("touch ran") + b"tR", ""),
    "an old instance": (b"(" + text("touch ran") + b"ios\nsystem\n", ""),
    "an extension": (b"\x82\x01", ""),
    "state for a function": (b"ctorch._utils\n_rebuild_tensor_v2\n}b", "gives state to a function"),
    "state for a type": (b"ctorch\nFloatStorage\n(N}" + text("x") + number(1) + b"stb", ""),
    "other types": (tensor("1", 24, (1,), (1,), kind=b"ctorch\nHalfStorage\n"), "names torch.HalfStorage"),
    "a reference by text": (text("storage") + b"Q", "refers to something that is not a storage"),
    "no tensor": (number(3), "'a': expected a tensor, found int"),
    "a dict with a start": (b"ccollections\nOrderedDict\n(}tR", ""),
    "too long": (tensor("1", 24, (25,), (1,)), r"a: \(25,\) numbers are not in a storage of 24"),
    "from behind": (tensor("1", 24, (3,), (1,), offset=22), "numbers are not in a storage"),
    "from before": (tensor("1", 24, (3,), (1,), offset=-1), "not made of a storage"),
    "backwards": (tensor("1", 24, (3,), (-1,), offset=5), "not made of a storage"),
    "repeated": (tensor("1", 24, (1 << 30, 1 << 30), (0, 0)), "numbers are not in a storage"),
    "sizes without strides": (tensor("1", 24, (3, 1), (1,)), "2 sizes and 1 strides"),
    "a storage of another length": (tensor("1", 23, (3,), (1,)), "storage 1: expected 23 numbers, found 24"),
    "a storage that is not there": (tensor("9", 24, (3,), (1,)), "a storage belongs to no tensor"),
    "a key that is hashed for years": (b"}" + DEEP + number(1) + b"s", "keys that are not texts"),
    "a value that is shown for years": (DEEP, "expected a tensor, found tuple"),
    "endless": (b"\x8b" + struct.pack("<i", (1 << 31) - 1), ""),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_files(what, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    entry, message = HOSTILE[what]
    (tmp_path / "w.pth").write_bytes(weights({"a": entry}, {"1": NUMBERS}))
    with pytest.raises(FormatError, match=r"w\.pth: not a readable file of torch's old format .*" + message):
        read_weights(tmp_path / "w.pth")
    assert os.listdir(tmp_path) == ["w.pth"]
    (tmp_path / "w.pth").write_bytes(GOOD)  # nothing that a file says outlives it
    assert len(read_weights(tmp_path / "w.pth")) == 5


def test_other_files(tmp_path):
    path = tmp_path / "w.pth"
    for content in (
        b"PK\x03\x04" + bytes(99),
        pickle.dumps(5, 2),
        b"\x80\x02" + DEEP + b".",
        pickle.dumps(MAGIC, 2) + pickle.dumps(7, 2),
        b".",
    ):
        path.write_bytes(content)
        with pytest.raises(FormatError, match="not a readable file of torch's old format"):
            read_weights(path)
    path.write_bytes(b"")
    with pytest.raises(FormatError):
        read_weights(path)
    with pytest.raises(FileNotFoundError):
        read_weights(tmp_path / "absent")


def test_cut_short(tmp_path):
    path = tmp_path / "w.pth"
    for length in range(1, len(GOOD), 3):
        path.write_bytes(GOOD[:length])
        with pytest.raises(FormatError):
            read_weights(path)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_damaged(tmp_path_factory, changes):
    content = bytearray(GOOD)
    for place, byte in changes:
        content[place] = byte
    path = tmp_path_factory.getbasetemp() / "damaged.pth"
    path.write_bytes(content)
    try:
        found = read_weights(path)
    except FormatError:
        return
    assert all(isinstance(value, np.ndarray) and value.size <= 24 for value in found.values())
