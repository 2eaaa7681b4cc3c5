"""Readers and writers, one file per format. They raise `FormatError`, which names the file and what was expected."""
