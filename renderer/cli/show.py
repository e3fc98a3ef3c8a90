"""Plans, states and problems as text, Markdown and JSON documents.

Pure: values in, text out. What comes from elsewhere (a provider's words, names from data files) is made inert before
it reaches a terminal. The JSON documents are DESIGN 5's; scripts rely on every key.
"""

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from renderer.cli.text import count, inert, one_line
from renderer.plan.plan import Act, Action, Plan
from renderer.plan.standing import JobState, Standing, Wanted
from renderer.provider.request import shown
from renderer.provider.wire import Request
from renderer.run.bench import Remote, Trouble
from renderer.state.lifecycle import Fact, State

_SYMBOLS: Mapping[Act, str] = {
    Act.SUBMIT: "+",
    Act.COLLECT: "~",
    Act.DOWNLOAD: "v",
    Act.RESTORE: "<",
    Act.RENAME: ">",
    Act.KEEP: "=",
    Act.HOLD: "!",
    Act.FAILED: "x",
    Act.WAIT: ".",
    Act.ORPHAN: "?",
}


# --- plans -----------------------------------------------------------------------------------------------------------


def plan_json(plan: Plan, base_urls: Mapping[str, str | None]) -> dict[str, Any]:
    """Return a plan's document, without its version."""
    return {
        "summary": plan.summary,
        "cost": {"known": [str(amount) for amount in plan.cost.known], "unknown": plan.cost.unknown},
        "actions": [_action_json(action, base_urls) for action in plan.actions],
    }


def _action_json(action: Action, base_urls: Mapping[str, str | None]) -> dict[str, Any]:
    request = None
    if action.act is Act.SUBMIT and action.wanted is not None and not action.wanted.pack.embedded:
        open_request = shown(action.wanted.request)
        url = url_of(action.wanted, open_request, base_urls)
        request = {"method": open_request.method, "url": url, "json": open_request.json}
    return {
        "id": action.id,
        "manifest": action.manifest,
        "kind": action.kind,
        "provider": action.provider,
        "operation": action.operation,
        "action": action.act.value,
        "reason": action.reason,
        "paid": action.paid,
        "fingerprint": action.fingerprint,
        "request": request,
    }


def url_of(wanted: Wanted, request: Request, base_urls: Mapping[str, str | None]) -> str:
    """Return a request's URL; an unset base URL is shown by its variable."""
    base = base_urls.get(wanted.job.provider) or f"${wanted.pack.base_url_variable}"
    query = "&".join(f"{name}={value}" for name, value in request.query.items())
    return f"{base.rstrip('/')}{request.path}{f'?{query}' if query else ''}"


def plan_text(plan: Plan, *, several: bool) -> str:
    """Return a plan for people: a line per action that does something, then the sums. Kept jobs are only counted."""
    lines = []
    listed = [action for action in plan.actions if action.act is not Act.KEEP or action.reason != "done"]
    width = max((len(_name(action, several=several)) for action in listed), default=0)
    where = max((len(f"{a.provider} {a.operation}") for a in listed), default=0)
    for action in listed:
        name = _name(action, several=several)
        paid = "paid" if action.paid else ""
        lines.append(
            f"  {_SYMBOLS[action.act]} {action.act.value:8} {name:{width}}  "
            f"{f'{action.provider} {action.operation}':{where}}  {paid:4}  {one_line(action.reason)}".rstrip()
        )
    return "\n".join([*lines, *([""] if lines else []), plan_sums(plan)])


def plan_sums(plan: Plan) -> str:
    """Return what a plan amounts to, in one line."""
    summary = plan.summary
    parts = [f"{summary[act.value]} to {act.value}" for act in Act if act in _DOING and summary[act.value]]
    parts += [f"{summary[act.value]} {word}" for act, word in _BEING.items() if summary[act.value]]
    if not plan.changes:
        return f"Nothing to do{f': {found}' if (found := ', '.join(parts)) else ''}."
    cost = f" for {plan.cost}" if plan.cost.known else ""
    return f"Plan: {', '.join(parts)}; {count(summary['paid'], 'paid submit')}{cost}."


_DOING = (Act.SUBMIT, Act.COLLECT, Act.DOWNLOAD, Act.RESTORE, Act.RENAME)
_BEING = {Act.KEEP: "kept", Act.HOLD: "held", Act.FAILED: "failed", Act.WAIT: "waiting", Act.ORPHAN: "without a job"}


def _name(action: Action, *, several: bool) -> str:
    return f"{action.manifest}: {action.id}" if several else action.id


def requests_text(plan: Plan, base_urls: Mapping[str, str | None], *, curl: bool) -> str:
    """Return the exact requests of a plan, as HTTP or as curl commands; the key stands as its variable."""
    parts = []
    for action in plan.actions:
        wanted = action.wanted
        if action.act is not Act.SUBMIT or wanted is None or wanted.pack.embedded:
            continue
        request = shown(wanted.request)
        url = url_of(wanted, request, base_urls)
        parts.append(_curl(wanted, request, url) if curl else _http(action, request, url))
    return "\n\n".join(parts)


def _http(action: Action, request: Request, url: str) -> str:
    body = "" if request.json is None else "\n" + json.dumps(request.json, ensure_ascii=False, indent=2)
    return inert(f"# {action.id}\n{request.method} {url}{body}")


def _curl(wanted: Wanted, request: Request, url: str) -> str:
    parts = [f"# {wanted.job.id}\ncurl -X {request.method} {_quoted(url)}"]
    if (key := wanted.pack.key) is not None:
        prefix = f"{key.prefix} " if key.prefix else ""
        parts.append(f'-H "{key.header}: {prefix}${key.variable}"')
    if request.json is not None:
        parts.append("-H 'Content-Type: application/json'")
        # Single quotes keep every byte but the quote itself, also a line break.
        parts.append(f"--data-raw {shlex.quote(json.dumps(request.json, ensure_ascii=False))}")
    return inert(" \\\n  ".join(parts))


def _quoted(url: str) -> str:
    """Return a URL for a shell; an unset base URL stays a variable that the shell fills in."""
    if url.startswith("$"):
        variable, slash, rest = url.partition("/")
        return f'"{variable}"{shlex.quote(slash + rest)}'
    return shlex.quote(url)


def plan_markdown(plan: Plan, *, several: bool) -> str:
    """Return a plan as Markdown, for a pull request's comment."""
    rows = [
        f"| {action.act.value} | {_cell(_name(action, several=several))} | {action.provider} {action.operation} "
        f"| {'yes' if action.paid else ''} | {_cell(action.reason)} |"
        for action in plan.actions
        if action.act is not Act.KEEP or action.reason != "done"
    ]
    table = ["", "| action | job | operation | paid | why |", "| --- | --- | --- | --- | --- |", *rows] if rows else []
    return "\n".join([f"**{plan_sums(plan)}**", *table])


def _cell(text: str) -> str:
    """Return text that Markdown shows as it is, on one line of a table."""
    escaped = one_line(text)
    for character in "\\`*_{}[]<>()#+!|~@":
        escaped = escaped.replace(character, f"\\{character}")
    return escaped


# --- states ----------------------------------------------------------------------------------------------------------


def jobs_json(
    jobs: Iterable[Wanted],
    standings: Mapping[str, Standing],
    *,
    remotes: Mapping[str, Remote],
    troubles: Mapping[str, Trouble],
) -> list[dict[str, Any]]:
    """Return each job's state as scripts read it."""
    return [_job_json(wanted, standings[wanted.key], remotes, troubles.get(wanted.key)) for wanted in jobs]


def _job_json(
    wanted: Wanted, known: Standing, remotes: Mapping[str, Remote], trouble: Trouble | None
) -> dict[str, Any]:
    found = known.submission
    remote = remotes.get(found.id) if found is not None and found.state is State.ACCEPTED else None
    return {
        "id": wanted.job.id,
        "manifest": wanted.job.manifest,
        "kind": wanted.job.kind,
        "provider": wanted.job.provider,
        "operation": wanted.job.operation,
        "state": known.state.value,
        "fingerprint": wanted.fingerprint,
        "submission": found.id if found is not None else None,
        "task": found.task if found is not None else None,
        "remote": (
            {"state": remote.state, "progress": remote.progress, "seen": remote.seen} if remote is not None else None
        ),
        "produced": dict(found.produced) if found is not None else {},
        "output": _output_json(wanted, known),
        "error": error_of(known, trouble),
        "held": (
            {"why": known.held.why, "since": known.held.since, "next": known.held.next}
            if known.held is not None
            else None
        ),
    }


def _output_json(wanted: Wanted, known: Standing) -> dict[str, Any] | None:
    if known.submission is None or known.state is not JobState.SAVED or known.submission.sha256 is None:
        return None
    saved = known.submission.fact(Fact.SAVED)
    return {
        "path": wanted.output,
        "sha256": saved.get("sha256"),
        "bytes": saved.get("bytes"),
        "duration": saved.get("duration"),
    }


def error_of(known: Standing, trouble: Trouble | None) -> dict[str, str] | None:
    """Return what went wrong with a job last: in this run, else as it is recorded."""
    if trouble is not None:
        return {"code": trouble.code, "message": trouble.message, "remedy": trouble.remedy}
    if (error := known.error) is None:
        return None
    return {
        "code": str(error.get("code") or error.get("class", "")),
        "message": str(error.get("message", "")),
        "remedy": str(error.get("remedy", "")),
    }


def states(jobs: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Return how many jobs there are in each state."""
    found = [job["state"] for job in jobs]
    return {state.value: found.count(state.value) for state in JobState}


def jobs_text(jobs: Sequence[Mapping[str, Any]], *, several: bool) -> str:
    """Return a table of jobs and their states for people."""
    names = [f"{job['manifest']}: {job['id']}" if several else str(job["id"]) for job in jobs]
    width = max(map(len, names), default=0)
    where = max((len(f"{job['provider']} {job['operation']}") for job in jobs), default=0)
    lines = []
    for name, job in zip(names, jobs, strict=True):
        operation = f"{job['provider']} {job['operation']}"
        lines.append(f"  {job['state']:9} {name:{width}}  {operation:{where}}  {_said(job)}".rstrip())
        if job["held"] is not None and job["held"]["next"]:
            lines.append(f"  {'':9} {'':{width}}  {'':{where}}  -> {one_line(job['held']['next'])}")
        elif job["error"] is not None and job["error"]["remedy"]:
            lines.append(f"  {'':9} {'':{width}}  {'':{where}}  -> {one_line(job['error']['remedy'])}")
    return "\n".join([*lines, "", f"{states_text(jobs)}."])


def outcome_text(jobs: Sequence[Mapping[str, Any]], *, several: bool) -> str:
    """Return how a run ended: a line for each job that is not done, and the sums of all."""
    open_ = [job for job in jobs if job["state"] != "saved" or job["error"] is not None]
    table = jobs_text(open_, several=several).rpartition("\n\n")[0] if open_ else ""
    return "\n\n".join(filter(None, [table, f"{states_text(jobs)}."]))


def states_text(jobs: Sequence[Mapping[str, Any]]) -> str:
    """Return how many jobs there are in each state, for people."""
    counted = [f"{number} {state}" for state, number in states(jobs).items() if number]
    return f"{count(len(jobs), 'job')}: {', '.join(counted) or 'none'}"


def _said(job: Mapping[str, Any]) -> str:
    if job["held"] is not None:
        return one_line(job["held"]["why"])
    if job["error"] is not None:
        code = f"{job['error']['code']}: " if job["error"]["code"] else ""
        return one_line(f"{code}{job['error']['message']}")
    if job["remote"] is not None:
        progress = f" {job['remote']['progress']:g}%" if job["remote"]["progress"] is not None else ""
        return one_line(f"{job['remote']['state']}{progress}, seen {job['remote']['seen']}")
    if job["output"] is not None:
        return one_line(job["output"]["path"] or "in the cache")
    return one_line(", ".join(f"{name} {value}" for name, value in job["produced"].items()))
