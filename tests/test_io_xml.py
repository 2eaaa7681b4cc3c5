"""XML of strangers, and palettes of PNGs."""

from __future__ import annotations

import io

import numpy as np
import pytest

from maskmill import FormatError
from maskmill.io._palette import palette, read_indexed, write_indexed
from maskmill.io._xml import load_xml, save_xml

BOMB = (
    b'<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb">'
    + b"".join(b'<!ENTITY b%d "%s">' % (i, b"&b%d;" % (i - 1) * 10 if i else b"&b;" * 10) for i in range(9))
    + b"]><a>&b8;</a>"
)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (BOMB, "without declared entities"),
        (b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>', "without declared entities"),
        (b'<!DOCTYPE a [<!ENTITY % b SYSTEM "http://x/y">%b;]><a/>', "without declared entities"),
        (b"<a>" * 100_000, "at most 64 nested"),
        (b"<b/>", "the element <a>"),
        (b"<a>", "expected XML"),
        (b"", "expected XML"),
        (b"<a>\xff</a>", "expected XML"),
        (b'<?xml version="1.0" encoding="no-such"?><a/>', "expected XML"),
        (b'<?xml version="1.0" encoding="cp932"?><a/>', "expected XML"),
        (b"<a>&b;</a>", "expected XML"),
    ],
    ids=range(11),
)
def test_hostile_xml(tmp_path, data, said):
    (tmp_path / "a.xml").write_bytes(data)
    with pytest.raises(FormatError, match=rf"a\.xml: .*{said}"):
        load_xml(tmp_path / "a.xml", "a")


def test_xml_there_and_back(tmp_path):
    from xml.etree.ElementTree import Element

    root = Element("a", {"b": 'ü "<&>\n 😀'})
    root.text = " x\ty "
    save_xml(tmp_path / "a.xml", root)
    found = load_xml(tmp_path / "a.xml", "a")
    assert (found.attrib, found.text) == (root.attrib, root.text)
    root.text = "\0"
    with pytest.raises(ValueError, match="<a>: must be text that XML can hold"):
        save_xml(tmp_path / "b.xml", root)
    assert not (tmp_path / "b.xml").exists()


def test_palette_of_voc(data):
    from PIL import Image

    folder = data / "labelme" / "instance_segmentation" / "expected_voc"
    for path in folder.rglob("*.png"):
        with Image.open(path) as image:
            assert np.reshape(image.getpalette(), (-1, 3)).tolist() == palette().tolist()
            assert np.array_equal(read_indexed(path), np.asarray(image))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_indices_of_palette_pngs(tmp_path, bits, rng):
    image = pytest.importorskip("PIL.Image")
    numbers = rng.integers(0, 2**bits, (13, 29)).astype(np.uint8)
    made = image.fromarray(numbers, "P")
    made.putpalette([7] * 3 * 2**bits)  # one colour for all: only the numbers tell
    made.save(tmp_path / "a.png", bits=bits)
    assert np.array_equal(read_indexed(tmp_path / "a.png"), numbers)


def test_what_is_written_is_read(tmp_path, rng):
    image = pytest.importorskip("PIL.Image")
    numbers = rng.integers(0, 256, (13, 29)).astype(np.uint8)
    with open(tmp_path / "a.png", "wb") as file:
        write_indexed(file, numbers)
    assert np.array_equal(read_indexed(tmp_path / "a.png"), numbers)
    with image.open(tmp_path / "a.png") as found:
        assert np.array_equal(np.asarray(found), numbers)
        assert np.array_equal(np.asarray(found.convert("RGB")), palette()[numbers])


def test_damaged_palette_pngs(tmp_path, rng):
    file = io.BytesIO()
    write_indexed(file, rng.integers(0, 256, (13, 29)).astype(np.uint8))
    data = file.getvalue()
    for cut in range(1, len(data), 17):
        (tmp_path / "a.png").write_bytes(data[:cut])
        with pytest.raises(FormatError, match=r"a\.png"):
            read_indexed(tmp_path / "a.png")
    with pytest.raises(ValueError, match="must be a uint8 image"):
        write_indexed(file, np.zeros((3, 4)))
