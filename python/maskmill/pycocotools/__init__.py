"""pycocotools, faster: the same modules, names, results, prints and exceptions.

Import from here instead of from pycocotools, or let code that you cannot change do so::

    import maskmill.pycocotools

    maskmill.pycocotools.install()  # from now on "pycocotools" is this

or run it with ``python -m maskmill.pycocotools script.py``. See docs/coco-users.md.
"""

from maskmill.pycocotools._install import install, installed, path, uninstall

__author__ = "tylin"
__all__ = ["install", "installed", "path", "uninstall"]
