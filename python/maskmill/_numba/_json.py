"""Walking JSON text from value to value, with the position of whatever is malformed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NamedTuple, NoReturn

MOST_NESTING = 512


class Malformed(Exception):
    """What was expected and what was found, and where."""

    def __init__(self, what: str, at: int) -> None:
        super().__init__(what)
        self.at = at


class Slice(NamedTuple):
    """A value's text, or the inside of a string's quotes."""

    begin: int = 0
    end: int = 0


class Number(NamedTuple):
    value: float
    integer: int | None
    """None if written with point or exponent, or beyond 64 bits."""


class Cursor:
    """A place in JSON text, which is read strictly (RFC 8259)."""

    SPACE = re.compile(r"[ \n\r\t]*")
    DIGITS = re.compile(r"[0-9]*")
    PLAIN_CHARACTERS = re.compile(r'[^"\\\x00-\x1f]*')
    ESCAPE = re.compile(r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})')

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.met_long_integer = False
        """Whether an integer of more than 18 digits was met: readers disagree on what those are."""

    def fail(self, expected: str) -> NoReturn:
        found = "the end of the text"
        if self.at < len(self.text):
            c = self.text[self.at]
            found = f"'{c}'" if " " <= c <= "~" else f"the byte 0x{ord(c):02x}"
        raise Malformed(f"expected {expected}, found {found}", self.at)

    def _match(self, pattern: re.Pattern[str]) -> str:
        """Take what matches."""
        match = pattern.match(self.text, self.at)
        if match is None:
            return ""
        self.at = match.end()
        return match[0]

    def peek(self) -> str:
        """The next character that is no space; nothing at the end."""
        self._match(self.SPACE)
        return self.text[self.at : self.at + 1]

    def take(self, c: str) -> bool:
        if self.peek() != c:
            return False
        self.at += 1
        return True

    def expect(self, c: str, expected: str) -> None:
        if not self.take(c):
            self.fail(expected)

    def string(self) -> Slice:
        self.expect('"', "a string")
        begin = self.at
        while True:
            self._match(self.PLAIN_CHARACTERS)
            c = self.text[self.at : self.at + 1]
            if c == '"':
                self.at += 1
                return Slice(begin, self.at - 1)
            if c == "":
                self.fail("'\"' at the end of a string")
            if c != "\\":
                self.fail("no control character in a string")
            if not self._match(self.ESCAPE):
                self._fail_escape()

    def _fail_escape(self) -> NoReturn:
        self.at += 1
        if self.at == len(self.text):
            self.fail("a character after '\\'")
        if self.text[self.at] != "u":
            self.fail('an escape: one of "\\/bfnrtu')
        self.at += 1
        self._match(re.compile("[0-9a-fA-F]*"))
        self.fail("four hex digits")

    def key(self) -> tuple[Slice, str]:
        """A key with its colon; its text, and what it means."""
        if self.peek() != '"':
            self.fail("a key in double quotes")
        slice_ = self.string()
        self.expect(":", "':' after a key")
        inside = self.text[slice_.begin : slice_.end]
        return slice_, json.loads(f'"{inside}"') if "\\" in inside else inside

    def number(self) -> Number:
        begin = self.at
        negative = self.take("-")
        whole_begin = self.at
        whole = self._match(self.DIGITS)
        if not whole:
            self.fail("a digit after '-'" if negative else "a value")
        if len(whole) > 1 and whole[0] == "0":
            self.at = whole_begin
            self.fail("a number without leading zero")
        is_integer = True
        if self.text.startswith(".", self.at):
            is_integer = False
            self.at += 1
            if not self._match(self.DIGITS):
                self.fail("a digit after '.'")
        if self.text[self.at : self.at + 1] in ("e", "E"):
            is_integer = False
            self.at += 1
            if self.text[self.at : self.at + 1] in ("+", "-"):
                self.at += 1
            if not self._match(self.DIGITS):
                self.fail("a digit in the exponent")
        text = self.text[begin : self.at]
        if not is_integer:
            return Number(float(text), None)
        self.met_long_integer |= len(whole) > 18
        if len(whole) > 19 or int(whole) >= 2**63:
            return Number(float(text), None)
        return Number(float(int(text)), int(text))

    def begins_number(self) -> bool:
        return self.peek() in tuple("-0123456789")

    def skip(self) -> Slice:
        """One value of any kind."""
        self.peek()
        begin = self.at
        closing: list[str] = []  # the brackets to come
        while True:
            c = self.peek()
            if c in ("[", "{"):
                if len(closing) == MOST_NESTING:
                    self.fail(f"at most {MOST_NESTING} nested brackets")
                self.at += 1
                closing.append("]" if c == "[" else "}")
                if not self.take(closing[-1]):
                    if c == "{":
                        self.key()
                    continue
                closing.pop()
            elif c == '"':
                self.string()
            else:
                for word in ("true", "false", "null"):
                    if c == word[0]:
                        if not self.text.startswith(word, self.at):
                            self.fail("a value")
                        self.at += len(word)
                        break
                else:
                    self.number()
            # A value has ended: close what it closes.
            while closing and not self.take(","):
                if not self.take(closing[-1]):
                    self.fail(f"',' or '{closing[-1]}'")
                closing.pop()
            if not closing:
                return Slice(begin, self.at)
            if closing[-1] == "}":
                self.key()

    def members(self) -> Iterator[tuple[Slice, str]]:
        """The keys of an object. Whoever gets one must read its value before the next."""
        self.expect("{", "an object")
        if self.take("}"):
            return
        while True:
            yield self.key()
            if not self.take(","):
                break
        self.expect("}", "',' or '}'")

    def elements(self) -> Iterator[None]:
        """As many as an array has. Whoever gets one must read the element before the next."""
        self.expect("[", "an array")
        if self.take("]"):
            return
        while True:
            yield
            if not self.take(","):
                break
        self.expect("]", "',' or ']'")
