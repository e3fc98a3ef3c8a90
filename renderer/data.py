"""Where the data that ships with Renderer lies: JSON Schemas and provider packs.

In a checkout both stand at the top of the repository, in an installed package inside it. This module knows the two
folders and nothing of what is in them.
"""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def schemas() -> Path:
    """Return the folder of the JSON Schemas (``*.schema.json``)."""
    return _folder("schemas")


def templates() -> Path:
    """Return the folder of the built-in provider packs, one folder each."""
    return _folder("templates")


def _folder(name: str) -> Path:
    shipped = _PACKAGE / "_data" / name
    return shipped if shipped.is_dir() else _PACKAGE.parent / name
