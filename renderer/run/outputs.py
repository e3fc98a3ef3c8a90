"""``.renderer/outputs.json``: where each output stands now, so that most questions about it need one ``stat``.

The file is a convenience, never a truth. Format::

    {"outputs": {"renders/spring/a.mp4": {"mtime_ns": 1, "sha256": "...", "size": 2, "submission": "..."}},
     "version": 1}

Paths are relative to the home, with ``/``; keys are sorted; ``submission`` may be missing. It is replaced whole. One
that is lost, damaged or newer counts as empty: then files are hashed and recognised by their content. It is not written
after each output (for ten thousand outputs that would be gigabytes) but when a 32nd of it has changed, and at the end
of a run; a run that is killed in between costs some hashing later.
"""

import json
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from renderer.run.disk import write_whole

_VERSION = 1
_SHARE = 32


@dataclass(frozen=True, slots=True)
class Placed:
    """A file of ours: its SHA-256 (hex), size in bytes, modification time in nanoseconds, and whose it is."""

    sha256: str
    size: int
    mtime_ns: int
    submission: str | None = None


class Outputs:
    """What stands where. Threads may share one; nothing is read before it is needed."""

    def __init__(self, path: Path) -> None:
        """Take the path of ``outputs.json``."""
        self._path = path
        self._lock = threading.Lock()
        self._read: dict[str, Placed] | None = None
        self._unsaved = 0

    def all(self) -> Mapping[str, Placed]:
        """Return every output as it is known now (a copy)."""
        with self._lock:
            return dict(self._entries)

    def get(self, output: str) -> Placed | None:
        """Return what is known of one output."""
        with self._lock:
            return self._entries.get(output)

    def put(self, output: str, placed: Placed) -> None:
        """Note where an output stands. Raises :class:`DiskError` where it is time to save and that fails."""
        with self._lock:
            self._entries[output] = placed
            self._changed()

    def drop(self, output: str) -> None:
        """Forget an output; its file is not touched."""
        with self._lock:
            if self._entries.pop(output, None) is not None:
                self._changed()

    def save(self) -> None:
        """Write what has changed. Raises :class:`DiskError`."""
        with self._lock:
            self._save()

    @property
    def _entries(self) -> dict[str, Placed]:
        if self._read is None:
            self._read = _load(self._path)
        return self._read

    def _changed(self) -> None:
        self._unsaved += 1
        if self._unsaved * _SHARE > len(self._entries):
            self._save()

    def _save(self) -> None:
        if self._unsaved:
            entries = {
                path: {key: value for key, value in asdict(placed).items() if value is not None}
                for path, placed in self._entries.items()
            }
            text = json.dumps({"version": _VERSION, "outputs": entries}, ensure_ascii=False, indent=0, sort_keys=True)
            write_whole(self._path, text.encode("utf-8", "surrogatepass"))
            self._unsaved = 0


def _load(path: Path) -> dict[str, Placed]:
    try:
        document: Any = json.loads(path.read_bytes())
        if document["version"] != _VERSION:
            return {}
        return {str(output): _placed(entry) for output, entry in document["outputs"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _placed(entry: Any) -> Placed:
    sha256, size, mtime_ns = entry["sha256"], entry["size"], entry["mtime_ns"]
    if not (isinstance(sha256, str) and isinstance(size, int) and isinstance(mtime_ns, int)):
        raise TypeError("not an entry")
    return Placed(sha256, size, mtime_ns, entry.get("submission"))
