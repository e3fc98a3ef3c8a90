"""A plan kept in a file: ``plan --out FILE`` writes it, ``apply FILE`` carries out just that, or refuses.

The format (version 1) is one JSON document: ``{"renderer-plan": 1, "manifests": [...], "jobs": [{"job", "action",
"paid", "fingerprint", "origin"}]}``; ``job`` is ``release/id``, manifests are relative to the project's root. It holds
no request and no secret: it says what a person has agreed to, by fingerprint.

A plan file is stale when a job in it now has another fingerprint or origin, is gone, or would cost where the file says
that it would not. What has been done since is no reason: it is skipped.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from renderer.errors import DiskError, InvalidError, Problem, StaleError
from renderer.plan.plan import Plan
from renderer.plan.standing import Wanted

VERSION = 1
_KEY = "renderer-plan"
_START = re.compile(rb'\s*\{\s*"renderer-plan"')
_WORDS = ("job", "action", "fingerprint")


@dataclass(frozen=True, slots=True)
class Agreed:
    """What a plan file says of one job."""

    job: str
    action: str
    paid: bool
    fingerprint: str
    origin: str | None


@dataclass(frozen=True, slots=True)
class PlanFile:
    """A plan that was written to a file."""

    name: str
    manifests: tuple[str, ...]
    jobs: tuple[Agreed, ...]


def write(path: Path, plan: Plan) -> None:
    """Write a plan to a file. Raises :class:`DiskError`."""
    manifests = sorted({action.manifest for action in plan.actions})
    jobs = [
        {
            "job": action.wanted.key,
            "action": action.act.value,
            "paid": action.paid,
            "fingerprint": action.fingerprint,
            "origin": action.wanted.origin,
        }
        for action in plan.actions
        if action.wanted is not None
    ]
    text = json.dumps({_KEY: VERSION, "manifests": manifests, "jobs": jobs}, ensure_ascii=False, indent=1)
    try:
        path.write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        raise DiskError(f"{path} cannot be written: {error.strerror}") from None


def is_planfile(path: Path) -> bool:
    """Return whether a file is meant to be a plan: by its first bytes, never by its name."""
    try:
        with path.open("rb") as stream:
            return _START.match(stream.read(4096)) is not None
    except OSError:
        return False


def read(path: Path) -> PlanFile:
    """Return the plan in a file. Raises :class:`InvalidError` where it is none, or of another version."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _no_plan(path, f"this is not a plan file: {error}") from None
    if not isinstance(data, dict) or data.get(_KEY) != VERSION:
        raise _no_plan(path, f"this is not a plan file of version {VERSION}")
    manifests, jobs = data.get("manifests"), data.get("jobs")
    if not isinstance(manifests, list) or not isinstance(jobs, list) or not all(map(_is_job, jobs)):
        raise _no_plan(path, "this plan file was damaged or edited")
    agreed = (
        Agreed(job["job"], job["action"], bool(job.get("paid")), job["fingerprint"], job.get("origin")) for job in jobs
    )
    return PlanFile(path.name, tuple(map(str, manifests)), tuple(agreed))


def _is_job(job: Any) -> bool:
    return isinstance(job, dict) and all(isinstance(job.get(word), str) for word in _WORDS)


def _no_plan(path: Path, message: str) -> InvalidError:
    return InvalidError(
        [Problem(path.name, 1, 1, "$", "plan-file", message, "write it again with renderer plan --out FILE")],
        message="the plan file cannot be used",
    )


def check(planfile: PlanFile, plan: Plan, jobs: Sequence[Wanted]) -> None:
    """Raise :class:`StaleError` with every reason why ``planfile`` no longer says what would happen now."""
    now: Mapping[str, Wanted] = {wanted.key: wanted for wanted in jobs}
    paid = {action.wanted.key: action.paid for action in plan.actions if action.wanted is not None}
    problems = []
    for agreed in planfile.jobs:
        wanted = now.get(agreed.job)
        if wanted is None:
            why = "is no longer in its manifest"
        elif wanted.fingerprint != agreed.fingerprint:
            why = "has changed since the plan was made"
        elif wanted.origin != agreed.origin:
            why = f"was planned for {agreed.origin}, but {wanted.origin} is configured"
        elif paid.get(agreed.job) and not agreed.paid:
            why = f"would cost now; the plan says {agreed.action}"
        else:
            continue
        problems.append(Problem(planfile.name, 1, 1, f"$.jobs.{agreed.job}", "stale", f"{agreed.job} {why}"))
    if problems:
        raise StaleError(problems, message="the plan file is stale", hint="plan again, look at it, and apply that")
