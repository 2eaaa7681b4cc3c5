"""COCO documents for tests: how they are made, and what the columns must be of what the json module finds."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import numpy as np

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
