"""Readers and writers, one file per format. They raise `FormatError`, which names the file and what was expected.

`read`, `write` and `formats` are for annotations; images, volumes and videos have modules of their own (`images`,
`volumes`, `video`).
"""

from maskmill.io.formats import Format, formats, read, sniff, write

__all__ = ["Format", "formats", "read", "sniff", "write"]
