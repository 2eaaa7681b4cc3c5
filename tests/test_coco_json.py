"""Kernel coco_json: COCO files as columns, against the json module."""

from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import maskmill
from maskmill import FormatError, Masks, Polygons, _backend, coco_json, use_backend

FIELDS = {
    "id": 1 << 0,
    "image_id": 1 << 1,
    "category_id": 1 << 2,
    "area": 1 << 3,
    "bbox": 1 << 4,
    "score": 1 << 5,
    "iscrowd": 1 << 6,
    "segmentation": 1 << 7,
    "keypoints": 1 << 8,
    "num_keypoints": 1 << 9,
    "caption": 1 << 10,
    "height": 1 << 11,
    "width": 1 << 12,
    "ignore": 1 << 15,
}
SCORE_IS_INTEGER, NOT_OBJECTS = 1 << 16, 1 << 17
EXACT = 2**53


def bytes_of(text: str | bytes) -> np.ndarray:
    return np.frombuffer(text.encode() if isinstance(text, str) else text, np.uint8)


def read(kernels: Any, text: str | bytes) -> Any:
    return kernels.coco_json_read(bytes_of(text))


# What the columns must be, of what the json module finds. Numbers stay as they are written.


class Int(str):
    """An integer as it is written."""


class Float(str):
    """Any other number."""


def expected_integer(value: Any) -> int | None:
    return int(value) if isinstance(value, Int) and abs(int(value)) <= EXACT else None


def expected_number(value: Any) -> float | None:
    if isinstance(value, Int) and EXACT < abs(int(value)) < 2**63:
        return None
    if not isinstance(value, Int | Float) or not math.isfinite(float(value)):
        return None
    return float(int(value)) if isinstance(value, Int) else float(value)


def expected_numbers(value: Any, count: int) -> list[float] | None:
    if not isinstance(value, list) or len(value) != count:
        return None
    numbers = [expected_number(v) for v in value]
    return None if None in numbers else numbers  # type: ignore[return-value]


def expected_flag(value: Any) -> int | None:
    if isinstance(value, bool):
        return int(value)
    number = expected_integer(value)
    return number if number in (0, 1) else None


def expected_side(value: Any) -> int | None:
    number = expected_integer(value)
    return number if number is not None and 0 <= number < 2**31 else None


def expected_segmentation(value: Any) -> tuple[int, Any, list[int]] | None:
    """Kind, what its text means, size."""
    if isinstance(value, list):
        short = all(
            isinstance(ring, list)
            and all(
                isinstance(v, Int | Float) and re.fullmatch(r"-?\d{1,8}(\.\d+)?", v) is not None for v in ring
            )
            for ring in value
        )
        return (1, value, [0, 0]) if short and value and len(value[0]) > 4 else None
    if not isinstance(value, dict) or "counts" not in value:
        return None
    size, counts = expected_numbers(value.get("size"), 2), value["counts"]
    if size is None or not all(0 <= side < 2**31 and side == int(side) for side in size):
        return None
    if isinstance(counts, list):
        numbers = [expected_integer(v) for v in counts]
        good = all(n is not None and 0 <= n < 2**32 for n in numbers)
        return (3, counts, [int(side) for side in size]) if good else None
    if isinstance(counts, str) and not isinstance(counts, Int | Float):
        return (2, counts, [int(side) for side in size])
    return None


EXPECTED: dict[str, Any] = {
    "id": expected_integer,
    "image_id": expected_integer,
    "category_id": expected_integer,
    "num_keypoints": expected_integer,
    "area": expected_number,
    "score": expected_number,
    "bbox": lambda value: expected_numbers(value, 4),
    "iscrowd": expected_flag,
}
EMPTY: dict[str, Any] = {"bbox": [0.0] * 4}


def check_rows(text: bytes, got: dict[str, Any], rows: Any, known: dict[str, Any]) -> None:
    """got are the columns of a section, rows what the json module has there."""
    odd = 0
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        odd |= FIELDS["id"] | NOT_OBJECTS
        rows = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    assert got["n"] == len(rows)
    fields = np.zeros(len(rows), np.uint32)
    columns: dict[str, list[Any]] = {name: [] for name in known}
    for i, row in enumerate(rows):
        inside = text[int(got["begin"][i]) : int(got["end"][i])]
        assert json.loads(inside, parse_int=Int, parse_float=Float) == row
        for name, expect in known.items():
            value = expect(row[name]) if name in row else None
            if value is not None:
                fields[i] |= FIELDS[name]
            elif name in row:
                odd |= FIELDS[name]
            columns[name].append(value)
        score = columns["score"][-1] if "score" in known else None
        if score is not None and isinstance(row["score"], Int) and abs(int(row["score"])) < 2**63:
            fields[i] |= SCORE_IS_INTEGER
    assert got["odd"] == odd
    np.testing.assert_array_equal(got["fields"], fields)
    for name, values in columns.items():
        if name == "segmentation":
            check_segmentations(text, got, values)
        elif name in ("caption", "ignore"):
            assert name not in got
        elif name == "keypoints":
            for i, value in enumerate(values):
                if value is not None:
                    inside = text[int(got["keypoints_begin"][i]) : int(got["keypoints_end"][i])]
                    assert json.loads(inside, parse_int=Int, parse_float=Float) == value
        elif "score" in known and all(value is None for value in values):
            assert name not in got
        else:
            wanted = [EMPTY.get(name, 0) if value is None else value for value in values]
            assert got[name].tolist() == wanted
            signs = np.signbit(np.array(wanted, np.float64))
            np.testing.assert_array_equal(np.signbit(got[name].astype(np.float64)).ravel(), signs.ravel())


def check_segmentations(text: bytes, got: dict[str, Any], values: list[Any]) -> None:
    if all(value is None for value in values):
        assert "segmentation_kind" not in got
        return
    for i, value in enumerate(values):
        kind, begin, end = (int(got[f"segmentation_{part}"][i]) for part in ("kind", "begin", "end"))
        size, inside = got["segmentation_size"][i].tolist(), text[begin:end]
        if value is None:
            assert (kind, begin, end, size) == (0, 0, 0, [0, 0])
        elif value[0] == 2:
            assert kind == (4 if b"\\" in inside else 2)
            assert json.loads(b'"' + inside + b'"') == value[1]
            assert size == value[2]
        else:
            assert kind == value[0]
            assert json.loads(inside, parse_int=Int, parse_float=Float) == value[1]
            assert size == value[2]


ROWS = EXPECTED | {
    "segmentation": expected_segmentation,
    "keypoints": lambda value: value if isinstance(value, list) else None,
    "caption": lambda value: True,
    "ignore": lambda value: True,
}


def check(text: bytes, got: Any) -> None:
    integers: list[str] = []

    def parse_int(token: str) -> Int:
        integers.append(token)
        return Int(token)

    document = json.loads(text, parse_int=parse_int, parse_float=Float)
    assert isinstance(got, dict), got
    assert got["is_results"] is isinstance(document, list)
    assert got["long_integers"] is any(len(token.lstrip("-")) > 18 for token in integers)
    if isinstance(document, list):
        check_rows(text, got["annotations"], document, ROWS)
        assert got["sections"] == []
        return
    check_rows(text, got["annotations"], document.get("annotations", []), ROWS)
    images = {"id": expected_integer, "height": expected_side, "width": expected_side}
    check_rows(text, got["images"], document.get("images", []), images)
    check_rows(text, got["categories"], document.get("categories", []), {"id": expected_integer})
    pairs = json.loads(text, object_pairs_hook=list)
    assert len(got["sections"]) == len(pairs)
    for (key_begin, key_end, begin, end), (key, value) in zip(got["sections"], pairs, strict=True):
        if (key_begin, key_end) != (0, 0):  # written without escapes
            assert text[key_begin:key_end].decode() == key
        assert json.loads(text[begin:end], object_pairs_hook=list) == value


# Documents


BOUNDS = (EXACT, EXACT + 1, -EXACT - 1, 2**63 - 1, 2**63, -(2**63), 10**18 - 1, 10**18, 10**29 + 1)
ODD_INTEGERS = ["0", "-0", "-1", "1.0", "1e2", "true", '"7"', "null", *map(str, BOUNDS)]
ODD_NUMBERS = f"""
    -0.0 -0 1e3 1E-3 0.1e+1 1e400 -1e400 1e-400 [] null 12345678.25 123456789.25 123456789 4e-324 12345678901234567890
    0.12345678901234567890123 2.2250738585072014e-308 9007199254740993.0 9007199254740993 0.3000000000000000166
    123456789012345678 1234567.1234567 12345678.12345678 0.00000001 100000000.5 7.2057594037927933e16 1{"0" * 320}
""".split()


class Speller:
    """Writes values as JSON in one of the many ways that mean the same."""

    def __init__(self, rng: np.random.Generator, odd: float = 0.1) -> None:
        self.rng = rng
        self.odd = odd

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def pick(self, *choices: Any) -> Any:
        return choices[self.rng.integers(len(choices))]

    def space(self) -> str:
        return self.pick("", "", "", " ", "\n", "\t", " \r\n  ")

    def string(self, value: str) -> str:
        if self.chance(0.1):  # with escapes where none are needed
            return '"' + "".join(f"\\u{ord(c):04X}" if ord(c) < 65536 else c for c in value) + '"'
        return json.dumps(value, ensure_ascii=self.chance(0.5))

    def integer(self) -> str:
        if self.chance(self.odd):
            return self.pick(*ODD_INTEGERS)
        return str(self.rng.integers(0, 10 ** int(self.rng.integers(1, 16))))

    def number(self) -> str:
        if self.chance(self.odd):
            return self.pick(*ODD_NUMBERS)
        tiny_or_huge = float(self.rng.normal() * 10.0 ** int(self.rng.integers(-9, 9)))
        return self.pick(f"{self.rng.random() * 600:.2f}", str(self.rng.integers(0, 600)), repr(tiny_or_huge))

    def plain(self) -> str:
        return self.pick("7", "12.5", "-3.25", "0", "640", "12345678")

    def list(self, items: list[str]) -> str:
        comma = f"{self.space()},{self.space()}"
        return f"[{self.space()}{comma.join(items)}{self.space()}]"

    def object(self, items: list[tuple[str, str]]) -> str:
        members = [f"{self.string(key)}{self.space()}:{self.space()}{value}" for key, value in items]
        comma = f"{self.space()},{self.space()}"
        return f"{{{self.space()}{comma.join(members)}{self.space()}}}"

    def anything(self, depth: int = 0) -> str:
        if depth > 3 or self.chance(0.6):
            return self.pick(
                "null", "true", "false", self.number(), self.string('a\u00e9\u4e2d\U0001f600"\\/\b},{')
            )
        items = [self.anything(depth + 1) for _ in range(self.rng.integers(0, 3))]
        if self.chance(0.5):
            return self.list(items)
        return self.object([(self.pick("id", "annotations", "\u00fc", ""), item) for item in items])

    def segmentation(self) -> str:
        size = self.pick(
            "[480, 640]", "[480, 640]", "[4.0, 3]", "[1.5, 2]", "[-1, 2]", "[2]", "[2147483648, 1]", "3"
        )
        counts = self.pick(
            self.string("`01o\\1"),
            '"04L4"',
            '""',
            '"\\u0030\\\\"',
            "[1, 2, 3]",
            "[]",
            "[4294967296]",
            "[1.0]",
            "null",
        )
        rle = [("size", size), ("counts", counts)]
        if self.chance(0.5):
            rle.reverse()
        rings = [
            self.list([self.plain() for _ in range(self.pick(6, 8, 7))]) for _ in range(self.pick(1, 1, 2))
        ]
        odd = [
            "[]",
            "[[]]",
            "[[1, 2, 3, 4]]",
            '[[1, 2, 3, 4, 5, "x"]]',
            "[1, 2, 3, 4, 5]",
            "[[1, 2, 3, 4, 5, 1e2]]",
        ]
        odd += [
            "null",
            "{}",
            self.object(rle[:1]),
            "[[1, 2, 3, 4, 5, 123456789]]",
            "[[1,2,3,4,5,6],[1],[],{}]",
        ]
        kind = self.rng.random()
        return self.object(rle) if kind < 0.4 else self.pick(*odd) if kind < 0.5 else self.list(rings)

    def annotation(self) -> str:
        if self.chance(0.02 * (self.odd > 0)):
            return self.pick("3", "null", "[]", '"},{"')
        boxes = [self.list([self.number() for _ in range(4)]), "[1, 2, 3]", '[1, 2, 3, "4"]', "[]", "{}"]
        members = [
            ("id", self.integer()),
            ("image_id", self.integer()),
            ("category_id", self.integer()),
            ("area", self.number()),
            ("bbox", boxes[0] if not self.chance(self.odd) else self.pick(*boxes)),
            ("score", self.number()),
            ("iscrowd", self.pick("0", "1", "true", "false", "2", "0.0", "null")),
            ("segmentation", self.segmentation()),
            ("keypoints", self.pick("[1, 2, 2]", "[]", "[1.5, 2e1, 0]", "{}", "7")),
            ("num_keypoints", self.integer()),
            ("caption", self.anything()),
            ("ignore", self.anything()),
            ("\u00fcnknown", self.anything()),
        ]
        if self.chance(self.odd):
            members = [member for member in members if self.chance(0.7)]
        if self.chance(self.odd):
            self.rng.shuffle(members)  # type: ignore[arg-type]
        if self.chance(self.odd) and members:
            members.append(self.pick(*members))
            members.append((members[0][0], self.anything()))
        return self.object(members)

    def results(self, n: int) -> str:
        return self.space() + self.list([self.annotation() for _ in range(n)]) + self.space()

    def ground_truth(self, n: int) -> str:
        images = [
            self.object(
                [("id", self.integer()), ("height", self.integer()), ("width", self.pick("7", "-1", "1e1"))]
            )
            for _ in range(3)
        ]
        categories = [
            self.object([("id", self.integer()), ("name", self.string("\u732b"))]) for _ in range(2)
        ]
        sections = [
            ("info", self.anything()),
            ("images", self.list(images)),
            ("annotations", self.list([self.annotation() for _ in range(n)])),
            ("categories", self.list(categories)),
            ("licenses", self.anything()),
        ]
        if self.chance(0.3):
            sections = [section for section in sections if self.chance(0.8)]
        if self.chance(0.2):
            sections.append(
                self.pick(("annotations", "[]"), ("images", "3"), ("annotations", "[[]]"), ("", "{}"))
            )
        return self.object(sections)


@pytest.mark.parametrize("odd", [0, 0.1, 0.5])
@pytest.mark.parametrize("kind", ["results", "ground_truth"])
def test_columns(kernels: Any, rng: np.random.Generator, kind: str, odd: float) -> None:
    speller = Speller(rng, odd)
    for _ in range(60):
        text = getattr(speller, kind)(int(rng.integers(0, 9))).encode("utf-8", "surrogatepass")
        check(text, read(kernels, text))


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        " [ ] ",
        "[{}]",
        '{"annotations": [], "images": [], "categories": []}',
        '{"annotations": [{}], "images": [{}], "categories": [{}]}',
        '[{"id": 1}, {"id": "x"}, {"id": 1.5}, {"id": 2, "id": null}]',
        '[{"score": 1}, {"score": 9007199254740993}, {"score": 1.0}, {"score": "1"}]',
        '[{"\\u0069d": 4, "bbox": [1, 2, 3, 4]}, {"id" :5, "bbox":[1,2,3,4]}]',
        '[{"caption": "\\ud83d\\ude00 \\ud800 \\u0000"}]',
        "[" + ", ".join(f'{{"id": {i}, "bbox": [{i}, 1, 2, 3.5]}}' for i in range(50)) + "]",
    ],
)
def test_columns_of(kernels: Any, text: str) -> None:
    check(text.encode(), read(kernels, text))


def test_rows_with_more_keys_than_are_remembered(kernels: Any) -> None:
    rows = [{f"k{i}": i for i in range(n)} | {"id": n, "score": 0.5} for n in (40, 0, 39, 50, 31, 40)]
    text = json.dumps(rows).encode()
    check(text, read(kernels, text))


# Malformed text


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


# Threads


def same_columns(a: Any, b: Any) -> None:
    assert a.keys() == b.keys()
    for key, value in a.items():
        if isinstance(value, dict):
            same_columns(value, b[key])
        else:
            np.testing.assert_array_equal(value, b[key], err_msg=key)


@pytest.fixture
def core() -> Any:
    reason = _backend.why_missing("cpp")
    if reason is not None:
        pytest.skip(reason)
    kernels = _backend.kernels("cpp")
    before = kernels.thread_count()
    yield kernels
    kernels.set_thread_count(before)


def big_document(rng: np.random.Generator) -> str:
    """Some megabytes, in which much looks like the start of an annotation but is none."""
    speller = Speller(rng, 0.05)
    kinds = [speller.annotation() for _ in range(300)]
    decoys = (
        '{"id": 5, "x": "' + '}, {\\"id\\": 1}, {' * 20_000 + '", "y": [' + '{"id": 1}, ' * 30_000 + "{}]}"
    )
    rows = [kinds[i] for i in rng.integers(0, len(kinds), 9000)]
    rows[2000] = rows[5000] = decoys
    return '{"images": [], "annotations": [' + ",\n".join(rows) + '], "categories": [{"id": 3}]}'


def test_threads_change_nothing(core: Any, rng: np.random.Generator) -> None:
    text = big_document(rng).encode()
    assert len(text) > 4 << 20
    core.set_thread_count(1)
    alone = read(core, text)
    assert alone["annotations"]["n"] > 8000
    for threads in (2, 5):
        core.set_thread_count(threads)
        same_columns(alone, read(core, text))
    for at in (len(text) // 5, len(text) // 2, len(text) - 40):
        at = text.index(b'"bbox"', at - 4000)
        bad = text[:at] + b"?" + text[at + 1 :]
        faults = []
        for threads in (1, 4):
            core.set_thread_count(threads)
            faults.append(read(core, bad))
        assert faults[0] == faults[1]
        assert faults[0][3] == at


# Boxes, read piece by piece


def box_rows(rng: np.random.Generator, n: int) -> list[dict[str, Any]]:
    numbers = rng.random((n, 5)) * 600
    return [
        {
            "image_id": int(rng.integers(0, 10**6)),
            "bbox": [round(v, 2) if i % 3 else int(v) for v in row[:4]],
            "score": round(row[4], 3) if i % 5 else 1,
            "category_id": int(i % 80),
        }
        for i, row in enumerate(numbers.tolist())
    ]


def read_boxes(core: Any, path: Path) -> Any:
    with open(path, "rb", buffering=0) as file:
        return core.coco_json_read_boxes(file.fileno(), path.stat().st_size)


@pytest.mark.skipif(sys.platform == "win32", reason="files are read as a whole there")
@pytest.mark.parametrize("n", [0, 1, 7, 60_000])
@pytest.mark.parametrize("indent", [None, 1])
def test_boxes(core: Any, rng: np.random.Generator, tmp_path: Path, n: int, indent: int | None) -> None:
    rows = box_rows(rng, n)
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps(rows, indent=indent))
    found = read_boxes(core, path)
    if n == 0 and found is None:
        return
    assert found["n"] == n
    whole = read(core, path.read_bytes())["annotations"]
    for name in ("image_id", "category_id", "bbox", "score") if n else ():
        np.testing.assert_array_equal(found[name], whole[name])
    expected = [
        sum((type(v) is int) << k for k, v in enumerate([*row["bbox"], row["score"]])) for row in rows
    ]
    assert found["integers"].tolist() == expected
    if n:
        assert [{v: k for k, v in FIELDS.items()}[key] for key in found["keys"]] == list(rows[0])


@pytest.mark.skipif(sys.platform == "win32", reason="files are read as a whole there")
@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-1],
        lambda text: text + "x",
        lambda text: text.replace('"score"', '"id"', 1),
        lambda text: text.replace('"score"', '"sc\\u006fre"', 1),
        lambda text: text.replace("}]", ', "x": 1}]'),
        lambda text: text.replace("}]", "},]"),
        lambda text: re.sub(r'"image_id": (\d+)', r'"image_id": "\1"', text, count=1),
        lambda text: '{"annotations": ' + text + "}",
    ],
)
def test_what_is_not_plain_boxes(core: Any, rng: np.random.Generator, tmp_path: Path, change: Any) -> None:
    path = tmp_path / "boxes.json"
    path.write_text(change(json.dumps(box_rows(rng, 50))))
    assert read_boxes(core, path) is None


# Values of rows


def columns_of(kernels: Any, values: list[str], field: str) -> tuple[np.ndarray, dict[str, Any]]:
    text = bytes_of("[" + ", ".join(f'{{"{field}": {value}}}' for value in values) + "]")
    return text, kernels.coco_json_read(text)["annotations"]


def test_masks(kernels: Any) -> None:
    text, rows = columns_of(
        kernels,
        [
            "[[2, 2, 7, 2, 7, 6, 2, 6]]",
            '{"size": [10, 10], "counts": [22, 4, 6, 4, 64]}',
            '{"size": [10, 10], "counts": "f064d1"}',
            '{"counts": "f0\\u00364d1", "size": [10.0, 10]}',
            "[[2, 2, 7, 2, 7, 6, 2, 6], [0, 0, 3, 0, 3, 3, 0, 3, 9], [5, 5]]",
            '{"size": [10, 10], "counts": ""}',
        ],
        "segmentation",
    )
    parts = [rows[f"segmentation_{name}"] for name in ("kind", "begin", "end")]
    chosen = np.array([4, 0, 1, 2, 3, 5, 0])
    counts, offsets = kernels.coco_json_masks(text, chosen, *parts, np.full((7, 2), 10))
    got = [counts[a:b].tolist() for a, b in zip(offsets, offsets[1:], strict=False)]
    square = [22, 4, 6, 4, 6, 4, 6, 4, 6, 4, 34]
    assert got[1] == got[6] == square
    assert got[2] == [22, 4, 6, 4, 64]
    assert got[3] == got[4] == maskmill.rle.from_strings(["f064d1"])[0].tolist()
    assert got[5] == []
    image = maskmill.rle.decode(got[0], [0, len(got[0])], [[10, 10]])[0]
    expected = np.zeros((10, 10), np.uint8)
    expected[2:6, 2:7] = expected[:3, :3] = 1
    np.testing.assert_array_equal(image, expected)
    areas = kernels.coco_json_areas(text, chosen[2:6], *parts)
    assert areas.dtype == np.float64
    assert areas[0] == 8
    assert areas.tolist()[1:3] == [sum(got[3][1::2])] * 2
    assert areas[3] == 0


def test_masks_name_the_annotation(kernels: Any) -> None:
    text = bytes_of("[[1, 2, 3, 4]][][[0,0,5,0,5,1e9]]")
    begin, end = np.array([0, 14, 16, 0], np.uint64), np.array([14, 16, 33, 0], np.uint64)
    kind = np.array([1, 1, 1, 0], np.uint8)
    for row, what in enumerate(
        [
            "its first polygon has 4 numbers, not 6 or more",
            "its segmentation is an empty list",
            "a polygon has a coordinate that is not finite and at most 4e8",
            "it has no segmentation",
        ]
    ):
        with pytest.raises(ValueError) as caught:
            kernels.coco_json_masks(text, np.array([row]), kind, begin, end, np.array([[9, 9]]))
        assert str(caught.value) == f"annotation {row}: {what}"
    with pytest.raises(ValueError, match="a row does not exist"):
        kernels.coco_json_masks(text, np.array([4]), kind, begin, end, np.array([[9, 9]]))
    with pytest.raises(ValueError, match="a slice lies outside of the text"):
        kernels.coco_json_masks(text, np.array([0]), kind, begin, end + np.uint64(99), np.array([[9, 9]]))


def test_keypoints(kernels: Any) -> None:
    text, rows = columns_of(kernels, ["[1, 2.5, 2, -3, 4e1, 0]", "[]", "[1, 2, true]"], "keypoints")
    parts = rows["keypoints_begin"], rows["keypoints_end"]
    got = kernels.coco_json_keypoints(text, np.array([0, 0]), *parts, 2)
    assert got.tolist() == [[[1, 2.5, 2], [-3, 40, 0]]] * 2
    with pytest.raises(ValueError, match="annotation 1: 0 numbers in keypoints, not 6"):
        kernels.coco_json_keypoints(text, np.array([1]), *parts, 2)
    with pytest.raises(ValueError, match="annotation 2: keypoints must be numbers"):
        kernels.coco_json_keypoints(text, np.array([2]), *parts, 1)


def test_file_of_all_kinds(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "gt.json"
    path.write_text(
        json.dumps(
            {
                "images": [{"id": 7, "height": 10, "width": 10}],
                "categories": [{"id": 2}],
                "annotations": [
                    {"id": 1, "image_id": 7, "segmentation": [[2, 2, 7, 2, 7, 6, 2, 6]], "name": "\u00fc"},
                    {"id": 2, "image_id": 8, "segmentation": [[2, 2, 7, 2, 7, 6, 2, 6]]},
                    {"id": 3, "image_id": 7},
                    {"id": "4", "segmentation": {"size": [2, 2], "counts": [1, 3]}},
                ],
            }
        )
    )
    with use_backend(backend):
        file = coco_json.read(path)
        assert len(file) == 4
        assert file.columns["id"].tolist() == [1, 2, 3, 0]
        assert file.has("id").tolist() == [True, True, True, False]
        assert file.segmentation_kinds() == ["polygons", "polygons", "none", "counts"]
        assert file.dict(0)["name"] == "\u00fc"
        assert file.masks([0, 3]).area.tolist() == [20, 3]
        with pytest.raises(ValueError, match="the size of annotation 1's image is not in the file"):
            file.masks([1])
        with pytest.raises(ValueError, match="annotation 2 has no segmentation"):
            file.masks()


# Writing

COLUMNS = {
    "id": np.array([1, 2, -(2**63)]),
    "image_id": np.array([3, 2**63 - 1, 0]),
    "category_id": np.array([1, 1, 2]),
    "bbox": np.array(
        [[0, 1.5, 1e-7, 3], [-0.0, 1e16, 123456.789, 2], [5e-324, 1.7976931348623157e308, 0.1, 1e22]]
    ),
    "area": np.array([0.1 + 0.2, 1e15, 1e-5]),
    "iscrowd": np.array([0, 1, 1], np.uint8),
    "score": np.array([1.0, 0.5, 1 / 3]),
}


def masks_to_write(rng: np.random.Generator) -> Masks:
    return Masks.encode(rng.random((3, 40, 30)) < 0.5)


def test_written_as_json_writes(kernels: Any, rng: np.random.Generator) -> None:
    masks = masks_to_write(rng)
    runs = {"counts": masks.counts, "offsets": masks.offsets, "sizes": masks.sizes}
    strings = maskmill.rle.to_strings(masks.counts, masks.offsets)
    for chosen in (list(COLUMNS), ["id"], ["score", "image_id"], []):
        columns = {name: COLUMNS[name] for name in chosen}
        got = kernels.coco_json_write(columns | runs, 3)
        order = ["id", "image_id", "category_id", "bbox", "area", "segmentation", "iscrowd", "score"]
        rows = []
        for i in range(3):
            values = {name: column[i].tolist() for name, column in columns.items()}
            values["segmentation"] = {"size": [40, 30], "counts": strings[i].decode()}
            rows.append({name: values[name] for name in order if name in values})
        assert got.decode() == "[" + ",\n".join(map(json.dumps, rows)) + "]"


def test_doubles_are_written_as_json_writes_them(kernels: Any, rng: np.random.Generator) -> None:
    bits = rng.integers(0, 2**63, 3000, dtype=np.int64).view(np.float64)
    short = [np.round(rng.uniform(-2000, 2000, 300), decimals) for decimals in range(9)]
    edges = np.array([0.0, -0.0, 1e-4, 9.9e-5, 1.01e-4, 1e9, 999999999.999999, np.nextafter(0.5, 1), 2.675])
    numbers = np.concatenate(
        [bits[np.isfinite(bits)], 10.0 ** np.arange(-30, 30), rng.random(500) * 1000, *short, edges]
    )
    got = kernels.coco_json_write({"score": numbers}, len(numbers))
    assert got.decode() == "[" + ",\n".join(json.dumps({"score": v}) for v in numbers.tolist()) + "]"
    assert kernels.coco_json_write({}, 2) == b"[{},\n{}]"
    assert kernels.coco_json_write({}, 0) == b"[]"


def test_writing_refuses(kernels: Any) -> None:
    with pytest.raises(ValueError, match="annotation 1: its bbox is not finite"):
        kernels.coco_json_write({"bbox": np.array([[1.0, 2, 3, 4], [1, 2, np.nan, 4]])}, 2)
    with pytest.raises(ValueError, match="annotation 0: its score is not finite"):
        kernels.coco_json_write({"score": np.array([np.inf])}, 1)
    with pytest.raises(ValueError, match="column 'id' must have 2 elements, not 1"):
        kernels.coco_json_write({"id": np.array([1])}, 2)
    with pytest.raises(TypeError):
        kernels.coco_json_write({"id": np.array([1.0])}, 1)


@pytest.mark.parametrize("results", [True, False])
@pytest.mark.parametrize("kind", ["masks", "polygons", None])
def test_written_and_read(
    backend: str, rng: np.random.Generator, tmp_path: Path, kind: str | None, results: bool
) -> None:
    masks = masks_to_write(rng)
    rings = [[[1, 2, 3, 2.5, 4, 9]], [], [[0, 0, 9, 0, 9, 9]] * 2]
    shapes = {"masks": masks, "polygons": Polygons.from_lists(rings), None: None}
    path = tmp_path / "file.json"
    extra: dict[str, Any] = (
        {} if results else {"images": [{"id": 3, "height": 40, "width": 30, "file_name": "\u00fc"}]}
    )
    with use_backend(backend):
        coco_json.write(
            path,
            COLUMNS | {"id": np.array([1, 2, 3]), "image_id": np.array([3, 3, 3])},
            shapes[kind],
            **extra,
        )
        file = coco_json.read(path)
        assert file.is_results is results
        for name in ("category_id", "bbox", "area", "iscrowd", "score"):
            assert file.columns[name].tobytes() == COLUMNS[name].tobytes()
        if kind == "masks":
            assert file.masks() == masks
    assert [p.name for p in tmp_path.iterdir()] == ["file.json"]
    document = json.loads(path.read_text(encoding="utf-8"))
    rows = document if results else document["annotations"]
    assert [row["area"] for row in rows] == COLUMNS["area"].tolist()
    if kind == "polygons":
        assert [row["segmentation"] for row in rows] == rings
    if not results:
        assert document["images"] == extra["images"]


def test_writing_leaves_nothing_half_written(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text("old")
    with use_backend(backend):
        with pytest.raises(ValueError, match="not finite"):
            coco_json.write(path, {"score": [1.0, np.nan]})
        with pytest.raises(TypeError):
            coco_json.write(path, {"id": [1]}, images=[{"id": object()}])
        with pytest.raises(ValueError, match="columns must have one length"):
            coco_json.write(path, {"id": [1], "score": [0.5, 1]})
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.json"]
