"""XML that may be hostile: no entities, bounded depth and size; and XML as it is written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.parsers import expat

from maskmill._files import FormatError, written_whole

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["child_text", "load_xml", "save_xml"]

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
    """The text of a child, stripped; `default` where there is none."""
    found = element.findtext(name)
    return default if found is None else found.strip()


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
