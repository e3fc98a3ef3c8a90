"""What was asked of the sandbox, on disk: every purchase, every upload and what became of them.

``tasks.jsonl`` is append-only, one JSON object a line, written before the answer that it belongs to
leaves; its last line may be torn and is then dropped. Two kinds of line::

    {"task": {"id": ..., "provider": ..., "operation": ..., "paid": true, "hash": ..., ...}}
    {"note": {"provider": ..., "id": ..., "delivered": 1714000000.0}}

A note's keys are joined to its task, later ones over earlier ones. How far a task has come is never
written: it follows from when it began, so a sandbox that was killed goes on as if nothing happened.
Lines are not fsynced: the death of this process loses nothing, and a power cut costs a rehearsal at
most its last seconds. This knows nothing of what the providers' answers look like.
"""

import hashlib
import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Reel:
    """What a task will have made: its words, its seconds and, for pictures, its pixels."""

    kind: Literal["video", "audio"]
    text: str
    duration: float
    width: int = 0
    height: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """A request as its hash sees it: the provider's own path, no credentials."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON (sorted keys, no spaces, UTF-8) of all four."""
        plain = {"method": self.method, "path": self.path, "query": dict(self.query), "body": self.body}
        text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Task:
    """One accepted request.

    ``seconds`` is how long it takes at speed 1, ``pause`` the share of it at which it waits for a
    person, and ``luck`` a number from the seed and the request that decides whatever the documents
    leave open. ``facts`` belong to the provider that made it.
    """

    id: str
    provider: str
    operation: str
    paid: bool
    hash: str
    body: Any
    created: float
    speed: float
    seconds: float
    luck: int
    reel: Reel | None = None
    pause: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    def pick(self, *choices: Any) -> Any:
        """Choose by luck; the same for the same request and seed."""
        return choices[self.luck // 7 % len(choices)]


class Tasks:
    """Every task of one home folder; ``clock`` gives Unix seconds."""

    def __init__(self, path: Path, *, speed: float, seed: int, clock: Callable[[], float]) -> None:
        self._speed = speed
        self._seed = seed
        self._clock = clock
        self._tasks: defaultdict[str, dict[str, Task]] = defaultdict(dict)  # by provider, then id
        self._aliases: dict[tuple[str, str], str] = {}
        self._seen: Counter[str] = Counter()
        self._load(path)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    @property
    def speed(self) -> float:
        """How many provider seconds pass in one of ours."""
        return self._speed

    def now(self) -> float:
        """Return Unix seconds."""
        return self._clock()

    def close(self) -> None:
        """Let the file go."""
        os.close(self._file)

    def add(
        self,
        *,
        id: str,  # noqa: A002 - it is the task's id, as in Task
        provider: str,
        operation: str,
        request: Request,
        seconds: tuple[float, float],
        paid: bool = True,
        reel: Callable[[int], Reel] | None = None,
        pause: float | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Task:
        """Write a task down and return it; ``seconds`` is the range of how long it takes."""
        digest = request.hash
        luck = int(hashlib.sha256(f"{self._seed}:{digest}:{self._seen[digest]}".encode()).hexdigest()[:12], 16)
        shortest, longest = seconds
        task = Task(
            id=id,
            provider=provider,
            operation=operation,
            paid=paid,
            hash=digest,
            body=request.body,
            created=self._clock(),
            speed=self._speed,
            seconds=shortest + (longest - shortest) * (luck % 1000) / 1000,
            luck=luck,
            reel=reel(luck) if reel else None,
            pause=pause,
            facts=facts or {},
        )
        plain = {spot.name: getattr(task, spot.name) for spot in fields(task) if spot.name != "notes"}
        self._append({"task": {**plain, "reel": asdict(task.reel) if task.reel else None}})
        self._keep(task)
        return task

    def note(self, task: Task, **notes: Any) -> Task:
        """Write down what became of a task; return it as it now is."""
        self._append({"note": {"provider": task.provider, "id": task.id, **notes}})
        return self._join(task, notes)

    def find(self, provider: str, id: str) -> Task | None:  # noqa: A002 - as above
        """Find a task by its id or by the other name that a note ``alias`` gave it."""
        return self._tasks[provider].get(self._aliases.get((provider, id), id))

    def newest(self, provider: str) -> Iterator[Task]:
        """Go through a provider's tasks, the last accepted first."""
        return reversed(self._tasks[provider].values())

    def purchases(self) -> list[Task]:
        """Return everything that was bought, the first first."""
        bought = (task for tasks in self._tasks.values() for task in tasks.values() if task.paid)
        return sorted(bought, key=lambda task: task.created)

    def progress(self, task: Task) -> float:
        """Tell how far a task has come, from 0.0 to 1.0, which is done."""
        speed = max(task.speed, self._speed)  # a slower restart must not undo what was done
        done = (self._clock() - task.created) * speed / task.seconds
        if task.pause is not None and done > task.pause:
            go_on = task.notes.get("continued")
            done = task.pause if go_on is None else task.pause + (self._clock() - go_on) * speed / task.seconds
        return min(1.0, max(0.0, done))

    def remaining(self, task: Task) -> float:
        """Return the (real) seconds until a task is done, were it not paused."""
        return (1.0 - self.progress(task)) * task.seconds / max(task.speed, self._speed)

    def _keep(self, task: Task) -> None:
        self._tasks[task.provider][task.id] = task
        self._seen[task.hash] += 1

    def _join(self, task: Task, notes: Mapping[str, Any]) -> Task:
        latest = self._tasks[task.provider][task.id]
        joined = replace(latest, notes={**latest.notes, **notes})
        self._tasks[task.provider][task.id] = joined
        if "alias" in notes:
            self._aliases[task.provider, notes["alias"]] = task.id
        return joined

    def _append(self, record: Mapping[str, Any]) -> None:
        line = json.dumps(record, separators=(",", ":")) + "\n"  # escaped, so that any text survives
        os.write(self._file, line.encode())

    def _load(self, path: Path) -> None:
        if not path.exists():
            return
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        for number, line in enumerate(data[:whole].splitlines(), start=1):
            try:
                self._replay(json.loads(line))
            except (ValueError, TypeError, KeyError) as error:
                raise ValueError(f"{path}:{number}: not a record of this sandbox ({error})") from error
        if whole < len(data):
            with path.open("r+b") as file:
                file.truncate(whole)

    def _replay(self, record: Mapping[str, Any]) -> None:
        if "task" in record:
            plain = dict(record["task"])
            reel = plain.pop("reel", None)
            self._keep(Task(**plain, reel=Reel(**reel) if reel else None))
            return
        notes = dict(record["note"])
        task = self._tasks[notes.pop("provider")][notes.pop("id")]
        self._join(task, notes)
