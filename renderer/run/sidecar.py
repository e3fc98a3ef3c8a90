"""Sidecars: beside each saved video a JSON file that says where it came from, ``<name>.mp4.json``.

The format (version 1) is one object: ``renderer-sidecar`` (the version), ``source_type`` (always ``generated``),
``submission``, ``job``, ``kind``, ``provider``, ``operation``, ``task``, ``origin``, ``pack``, ``fingerprint``,
``declared``, ``price``, ``intended`` and ``saved`` (times), ``sha256``, ``bytes``, ``duration`` (seconds), ``path``.
What is not known is left out. It holds no prompt, no link and no credential, so it may go wherever the video goes; a
lockfile can be rebuilt from it.
"""

import json
from collections.abc import Mapping
from typing import Any

from renderer.state.history import Record, Submission
from renderer.state.lifecycle import Fact

VERSION = 1
_KEY = "renderer-sidecar"
_INTENDED = ("job", "kind", "provider", "operation", "origin", "pack", "fingerprint", "declared", "price")
_SAVED = ("sha256", "bytes", "duration", "path")


def sidecar(submission: Submission) -> bytes:
    """Return the sidecar of a saved submission."""
    intended, saved = submission.intended, submission.fact(Fact.SAVED)
    found: dict[str, Any] = {
        _KEY: VERSION,
        "source_type": "generated",
        "submission": submission.id,
        **{name: intended.get(name) for name in _INTENDED},
        "task": submission.task,
        "intended": intended.get("at"),
        "saved": saved.get("at"),
        **{name: saved.get(name) for name in _SAVED},
    }
    told = {name: value for name, value in found.items() if value is not None}
    return json.dumps(told, ensure_ascii=False, indent=1).encode() + b"\n"


def is_sidecar(data: bytes) -> bool:
    """Return whether a file is a sidecar of ours."""
    return _load(data) is not None


def record_of(data: bytes) -> Record | None:
    """Return what a sidecar says as a record, or None where it is none, or not whole."""
    found = _load(data)
    if found is None or not all(isinstance(found.get(name), str) for name in ("submission", "job", "fingerprint")):
        return None
    at, saved_at = found.get("intended", ""), found.get("saved", "")
    record: Record = {
        "submission": found["submission"],
        "intended": {**{name: found[name] for name in _INTENDED if name in found}, "at": at},
        "saved": {**{name: found[name] for name in _SAVED if name in found}, "at": saved_at},
    }
    if isinstance(found.get("task"), str):
        record["accepted"] = {"task": found["task"], "at": at}
    return record


def _load(data: bytes) -> Mapping[str, Any] | None:
    try:
        found = json.loads(data)
    except ValueError:
        return None
    return found if isinstance(found, dict) and found.get(_KEY) == VERSION else None
