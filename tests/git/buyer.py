"""Runs without a network: what a machine that knows a history would record next, by the lifecycle's own table.

A buyer buys what its history does not bind, takes purchases further, and repeats a purchase by a person's word. Every
fact of its own is one that :func:`~renderer.state.lifecycle.check` allows. Values vary, so that two branches that
took the same purchase further disagree in them.
"""

import json
import random
import zlib
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

from renderer.state import lockfile
from renderer.state.history import History, Record
from renderer.state.lifecycle import TABLE, Fact, State, check

FINGERPRINTS = tuple(f"{letter}" * 64 for letter in "abcde")
_OPEN = frozenset({None, State.REFUSED, State.CLOSED})
_ENDED = frozenset({State.FAILED, State.CLOSED, State.SAVED})


class Buyer:
    """A machine's runs. ``written`` is every record that any of its runs made durable, of all branches."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.written: list[Record] = []
        self.orders: list[str] = []
        """The fingerprint of each submission that was sent without a person's word."""
        self._numbers = count(1)

    def run(self, known: History) -> list[Record]:
        """Return the records of one run over what is known; ``known`` has absorbed them."""
        records = []
        for _ in range(self.chance.randint(1, 6)):
            record = self._step(known)
            known.absorb(record)
            records.append(record)
        self.written += records
        return records

    def _step(self, known: History) -> Record:
        chosen = self.chance.random()
        if chosen < 0.1:
            return self._other(known)
        if chosen < 0.4:
            fingerprint = self.chance.choice(FINGERPRINTS)
            best = known.best(known.of_fingerprint(fingerprint))
            if best is None or best.state in _OPEN:
                self.orders.append(fingerprint)
                return self._intended(fingerprint)
            if best.state in _ENDED and self.chance.random() < 0.5:
                return self._intended(fingerprint, over=best.id)
        going = [s for s in known.submissions.values() if s.intended and s.state is not State.REFUSED]
        if not going:
            return self._intended(self.chance.choice(FINGERPRINTS))
        submission = self.chance.choice(sorted(going, key=lambda s: s.id))
        fact = self.chance.choice(sorted(TABLE[submission.state][0]))
        new = {fact.value: self._content(fact, submission.id, submission.facts)}
        check(submission.facts, new)
        return {"submission": submission.id, **new}

    def _intended(self, fingerprint: str, **more: Any) -> Record:
        number = next(self._numbers)
        intended = {
            "job": f"spring/{fingerprint[0]}",
            "kind": "video",
            "provider": "yzx",
            "operation": "video",
            "fingerprint": fingerprint,
            "declared": f"declared {fingerprint[0]}",
            "pack": 1,
            "at": self._at(number),
            "origin": "https://yzx.example",
        }
        return {"submission": f"{number:012x}{self.chance.getrandbits(64):016x}", "intended": {**intended, **more}}

    def _content(self, fact: Fact, id_: str, facts: Any) -> dict[str, Any]:
        at = self._at(next(self._numbers))
        match fact:
            case Fact.ACCEPTED:
                return {"task": f"task-{id_}", "at": at}
            case Fact.REFUSED:
                return {"class": self.chance.choice(["busy", "input"]), "code": "", "message": "no", "at": at}
            case Fact.FAILED:
                return {"code": "x", "message": "moderation: \u201cno\u201d", "at": at}
            case Fact.RENDERED:
                return {"produced": {"url": f"https://cdn.example/{id_}.mp4"}, "at": at}
            case Fact.SAVED:
                return {"sha256": f"{self.chance.getrandbits(256):064x}", "bytes": 1, "at": at}
            case Fact.CLOSED:
                return {"state": self.chance.choice(["doubtful", "accepted", "failed"]), "at": at}
            case _:
                return {"n": int(facts.get("note", {}).get("n", 0)) + 1, "kind": "doubt", "message": at, "at": at}

    def _other(self, known: History) -> Record:
        """Return an upload, or a person's approval."""
        number = next(self._numbers)
        if known.submissions and self.chance.random() < 0.5:
            id_ = self.chance.choice(sorted(known.submissions))
            return {"approved": {"fingerprint": "f" * 64, "submission": id_, "at": self._at(number)}}
        sha256, file_id = f"{number % 3:064x}", f"file-{number % 5}"
        upload = {"provider": "hifly", "origin": "https://h", "sha256": sha256, "file_id": file_id}
        return {"upload": {**upload, "at": self._at(number)}}

    def _at(self, number: int) -> str:
        return f"2026-01-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}.000Z"


def line(record: Mapping[str, Any]) -> bytes:
    """Return a record as a line of a lockfile (DESIGN 3), written by nobody else's code."""
    body = json.dumps(record, ensure_ascii=False, separators=(",", ":")).removesuffix("}").encode()
    return b'%b,"crc":"%08x"}\n' % (body, zlib.crc32(body))


def read(data: bytes, place: Path) -> list[Record]:
    """Return the records of a lockfile that holds ``data``; it stands at ``place`` for that long."""
    place.write_bytes(data)
    return list(lockfile.read(place, file="spring.lock").records)


def history(*sources: Any) -> History:
    """Return what records (of several sources) amount to."""
    known = History()
    for source in sources:
        for record in source:
            known.absorb(record)
    return known


def facts(known: History, *, refusals: bool = True) -> dict[str, Any]:
    """Return everything that a history knows; without ``refusals`` only what may never be lost."""
    submissions = {
        id_: {str(name): dict(fact) for name, fact in s.facts.items()}
        for id_, s in known.submissions.items()
        if refusals or s.state is not State.REFUSED
    }
    others = sorted(repr(record) for record in known.records() if "submission" not in record)
    return {"submissions": submissions, "others": others}


def counting(known: History) -> dict[str, str | None]:
    """Return the submission that counts for each fingerprint, but for refusals."""
    best = {f: known.best(known.of_fingerprint(f)) for f in (*FINGERPRINTS, "f" * 64)}
    return {f: None if s is None or s.state is State.REFUSED else s.id for f, s in best.items()}
