"""The version, from the installed package's metadata (pyproject.toml is where it is written)."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("maskmill")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
