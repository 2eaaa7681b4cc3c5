"""XML that may be hostile: no entities, bounded depth and size; and XML as it is written."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.parsers import expat

from maskmill._files import FormatError, written_whole

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["child_text", "from_text", "load_xml", "save_xml", "to_text"]

MAX_DEPTH = 64
MAX_BYTES = 1 << 31


def load_xml(path: Path, root: str) -> Element:
    """The root element of an XML file, which must be called `root`.

    Raises
    ------
    FormatError
        If it is not well-formed, declares entities (a few lines of which can unfold to gigabytes, or name other
        files), is nested deeper than 64 elements, or has another root.
    """
    from xml.etree.ElementTree import TreeBuilder

    if path.stat().st_size > MAX_BYTES:
        raise FormatError(f"{path}: expected at most 2 GiB of XML, found {path.stat().st_size} bytes")
    builder = TreeBuilder()
    depth = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise FormatError(f"{path}: expected at most {MAX_DEPTH} nested elements, found more at <{tag}>")
        if depth == 1 and tag != root:
            raise FormatError(f"{path}: expected the element <{root}>, found <{tag[:60]}>")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    def declares(*what: Any) -> Any:
        raise FormatError(f"{path}: expected XML without declared entities, found {what[0]!r}")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    parser.EntityDeclHandler = parser.UnparsedEntityDeclHandler = declares
    parser.ExternalEntityRefHandler = declares
    try:
        with open(path, "rb") as file:
            parser.ParseFile(file)
    except expat.ExpatError as error:
        raise FormatError(f"{path}: expected XML ({error})") from None
    except FormatError:
        raise
    except (LookupError, ValueError) as error:  # the encoding that it names
        raise FormatError(f"{path}: expected XML in a known encoding ({error})") from None
    return builder.close()


def child_text(element: Element, name: str, default: str = "") -> str:
    """The text of a child, without the line breaks and blanks of an indented one; `default` where there is none."""
    found = element.findtext(name)
    if found is None:
        return default
    return found.strip() if "\n" in found else found


# What XML 1.0 cannot hold, not even escaped.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def save_xml(path: Path, root: Element, *, declaration: bool = True) -> None:
    """Write a tree, indented.

    Raises
    ------
    ValueError
        If a text has characters that XML cannot hold; names it.
    """
    from xml.etree import ElementTree

    for element in root.iter():
        for text in (element.text, *element.attrib.values()):
            if text is not None and _FORBIDDEN.search(text):
                raise ValueError(f"<{element.tag}>: must be text that XML can hold, not {text[:60]!r}")
    ElementTree.indent(root)
    with written_whole(path) as file:
        ElementTree.ElementTree(root).write(file, encoding="utf-8", xml_declaration=declaration)


# Values of attributes. XML knows text alone: numbers and truth are written as JSON has them, and text that would be
# taken for such in quotes.


def to_text(value: Any) -> str:
    """Any value as text that `from_text` gives back."""
    if isinstance(value, str) and from_text(value) == value:
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def from_text(text: str) -> Any:
    """What a text says: a number, true, false, a list ... or itself."""
    import orjson

    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
