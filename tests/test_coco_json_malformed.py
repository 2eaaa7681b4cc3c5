"""Kernel coco_json: text that is no JSON, or no COCO."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coco_documents import Speller, check, read
from maskmill import FormatError, _backend, coco_json, use_backend


def json_fault(text: str) -> json.JSONDecodeError | None:
    """What the json module has against a text, when it is strict."""

    def refuse(constant: str) -> Any:
        raise json.JSONDecodeError("Constant", text, text.find(constant))

    try:
        json.loads(text, parse_constant=refuse)
    except json.JSONDecodeError as error:
        return error
    return None


def check_fault(text: str, got: Any) -> None:
    """Refused if and only if json does so, and at the same place, or within the same token."""
    fault = json_fault(text)
    if fault is None:
        if text.strip(" \t\r\n")[:1] in ("{", "["):
            assert isinstance(got, dict), (text, got)
        else:
            assert got[0].startswith("expected an object or an array")
        return
    assert isinstance(got, tuple), (text, fault)
    what, line, column, position = got
    characters = len(text.encode()[:position].decode())
    assert (line, column) == (
        text.count("\n", 0, characters) + 1,
        characters - text.rfind("\n", 0, characters),
    )
    assert what.startswith("expected ")
    if characters == fault.pos or "trailing comma" in fault.msg or fault.msg == "Constant":
        return
    if not text.strip(" \t\r\n").startswith(("{", "[")):
        assert what.startswith("expected an object or an array")
        return
    first, last = sorted((characters, fault.pos))
    between = text[first:last]
    if fault.msg.startswith(("Unterminated string", "Invalid \\", "Invalid control")):
        # We say where a string goes wrong, the json module where it, or its escape, begins.
        assert first == fault.pos, (text, fault, got)
        assert "\n" not in between
    else:
        assert re.fullmatch(r"[-+0-9.eE]+", between), (text, fault, got)


DOCUMENT = """{"images": [{"id": 1, "height": 10, "width": 2e1}],
 "annotations": [{"id": 1, "bbox": [0, -1.5, 2, 3], "segmentation": {"size": [4, 5], "counts": "0\\u0034\\\\"}},
  {"id": 2, "segmentation": [[1, 2, 3, 4, 5.5, 6]], "iscrowd": true, "x\u00fc": {"a": [null, "\u4e2d"]}}]}"""


def test_cut_off_anywhere(kernels: Any) -> None:
    check(DOCUMENT.encode(), read(kernels, DOCUMENT))
    for end in range(len(DOCUMENT)):
        got = read(kernels, DOCUMENT[:end])
        assert isinstance(got, tuple)
        check_fault(DOCUMENT[:end], got)
    data = DOCUMENT.encode()
    for end in range(len(data)):  # also within a character
        assert isinstance(read(kernels, data[:end]), tuple)


def test_changed_anywhere(kernels: Any, rng: np.random.Generator) -> None:
    for at in range(len(DOCUMENT)):
        for c in rng.choice(list('{}[],:"\\ \n\t019.-+eEtfnu/xNI\u00e9\x00\x1f\x7f'), 3):
            for text in (
                DOCUMENT[:at] + c + DOCUMENT[at + 1 :],
                DOCUMENT[:at] + c + DOCUMENT[at:],
                DOCUMENT[:at] + DOCUMENT[at + 1 :],
            ):
                check_fault(text, read(kernels, text))


def test_both_backends_say_the_same(rng: np.random.Generator) -> None:
    if any(_backend.why_missing(name) for name in ("cpp", "numba")):
        pytest.skip("there is one backend only")
    both = [_backend.kernels(name) for name in ("cpp", "numba")]
    speller = Speller(rng, 0.3)
    for _ in range(100):
        data = bytearray((speller.results(2) + speller.ground_truth(1)).encode())[: int(rng.integers(400))]
        data = data or bytearray(b"\x00")
        for _ in range(rng.integers(1, 4)):
            data[rng.integers(len(data))] = rng.choice([*b'{}[],:"\\ \n019.-eu', 0xC3, 0xFF, 0])
        cpp, numba = (read(kernels, bytes(data)) for kernels in both)
        assert type(cpp) is type(numba), bytes(data)
        if isinstance(cpp, tuple):
            assert cpp == numba, bytes(data)


FAULTS = {
    "": "line 1, column 1: expected an object or an array, found the end of the text",
    "3": "line 1, column 1: expected an object or an array, found '3'",
    "[1, 2": "line 1, column 6: expected ',' or ']', found the end of the text",
    '{"annotations": [\n{"id": 1,}]}': "line 2, column 10: expected a key in double quotes, found '}'",
    '{"annotations": [\n{"id": 1}\n{"id": 2}]}': "line 3, column 1: expected ',' or ']', found '{'",
    "[{'id': 1}]": "line 1, column 3: expected a key in double quotes, found '''",
    '[{"id" 1}]': "line 1, column 8: expected ':' after a key, found '1'",
    '[{"id": 01}]': "line 1, column 9: expected a number without leading zero, found '0'",
    '[{"x": 01}]': "line 1, column 8: expected a number without leading zero, found '0'",
    '[{"id": -}]': "line 1, column 10: expected a digit after '-', found '}'",
    '[{"x": -}]': "line 1, column 9: expected a digit after '-', found '}'",
    '[{"id": 1.}]': "line 1, column 11: expected a digit after '.', found '}'",
    '[{"id": 1e}]': "line 1, column 11: expected a digit in the exponent, found '}'",
    '[{"score": NaN}]': "line 1, column 12: expected a value, found 'N'",
    '[{"score": -Infinity}]': "line 1, column 13: expected a digit after '-', found 'I'",
    '[{"x": tru}]': "line 1, column 8: expected a value, found 't'",
    '[{"\u00fc\u4e2d": "\\x"}]': "line 1, column 11: expected an escape: one of \"\\/bfnrtu, found 'x'",
    '[{"x": "\\u12g4"}]': "line 1, column 13: expected four hex digits, found 'g'",
    '[{"x": "a\nb"}]': "line 1, column 10: expected no control character in a string, found the byte 0x0a",
    '[{"x": "a': "line 1, column 10: expected '\"' at the end of a string, found the end of the text",
    "[] []": "line 1, column 4: expected nothing behind the outermost value, found '['",
    "[{}]\x00": "line 1, column 5: expected nothing behind the outermost value, found the byte 0x00",
    "\ufeff[]": "line 1, column 1: expected an object or an array, found the byte 0xef",
}


@pytest.mark.parametrize("text", FAULTS)
def test_faults_are_told(backend: str, tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(text.encode())
    with use_backend(backend), pytest.raises(FormatError) as caught:
        coco_json.read(path)
    assert str(caught.value) == f"{path}: {FAULTS[text]}"


@pytest.mark.parametrize(
    ("data", "position"),
    [
        (b"[\xff]", 1),
        (b'["\xc3"]', 2),
        (b'["\xc0\x80"]', 2),
        (b'["\xed\xa0\x80"]', 2),
        (b'["\xf4\x90\x80\x80"]', 2),
        (b'["\xe4\xb8\xad", "\xe4\xb8"]', 9),
        (b"[1" + b" " * 70 + b"\x80]", 72),
    ],
)
def test_not_utf8(kernels: Any, data: bytes, position: int) -> None:
    what, line, column, at = read(kernels, data)
    assert (what, line, at) == ("expected UTF-8", 1, position)
    assert column == len(data[:position].decode()) + 1


def test_nesting(kernels: Any) -> None:
    """Up to 512 brackets within a value, and no stack overflow beyond."""
    for brackets in ("[]", "{}"):
        opening = "[" if brackets == "[]" else '{"a":'

        def nested(depth: int, opening: str = opening, close: str = brackets[1]) -> str:
            inside = "" if opening == "[" else "0"
            return '[{"x": ' + opening * depth + inside + close * depth + "}]"

        assert isinstance(read(kernels, nested(512)), dict)
        what, _, column, _ = read(kernels, nested(513))
        assert what.startswith("expected at most 512 nested brackets")
        assert column == 8 + 512 * len(opening)
        assert read(kernels, nested(200_000))[0] == what
    for field in ("segmentation", "bbox", "counts", "keypoints", "id"):
        assert isinstance(read(kernels, f'[{{"{field}": {"[" * 100_000}'), tuple)
    assert isinstance(read(kernels, "[" * 100_000), tuple)


def test_sections_that_are_no_arrays_of_objects(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    with use_backend(backend):
        for text, what in (
            ('{"annotations": {}}', "'annotations'"),
            ('{"images": [1]}', "'images'"),
            ('{"categories": null}', "'categories'"),
            ("[[]]", "a file of results"),
        ):
            path.write_text(text)
            with pytest.raises(FormatError, match=f"{what} must be an array of objects, and nothing else"):
                coco_json.read(path)
