"""References between the jobs of one manifest: they lead somewhere, to something that exists, and never in a circle.

Knows jobs and what their operations produce, not how either was declared.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from renderer.errors import Problem
from renderer.manifest.job import Job, Path
from renderer.manifest.offer import Operations
from renderer.manifest.spelling import suggest


def check_references(
    jobs: Sequence[Job],
    operations: Operations,
    *,
    families: Mapping[str, Sequence[str]],
    unmade: Callable[[str], bool],
) -> Iterator[Problem]:
    """Yield a problem for each reference that leads to nothing, and one for each circle.

    ``families`` are the ids that a ``for_each`` declaration became, by its own id; ``unmade`` answers whether an id may
    be that of a job which could not be made, for a reason that is reported.
    """
    by_id = {job.id: job for job in jobs}
    edges: dict[str, list[tuple[str, Path]]] = {}
    for job in jobs:
        for path, ref in job.refs():
            target = by_id.get(ref.job)
            if target is None and unmade(ref.job):
                continue
            if target is None:
                yield job.problem(
                    path, "reference", f"there is no job `{ref.job}`", hint=_hint(ref.job, by_id, families)
                )
                continue
            edges.setdefault(job.id, []).append((ref.job, path))
            produces = operations[target.provider].operations[target.operation].produces
            if ref.field not in produces:
                message = f"`{target.id}` ({target.provider} {target.operation}) does not produce `{ref.field}`"
                hint = suggest(ref.field, produces) or f"it produces: {', '.join(produces) or 'nothing'}"
                yield job.problem(path, "reference", message, hint=hint)
            elif ref.field == "file" and not operations[job.provider].uploads:
                message = f"{job.provider} takes no local files"
                hint = f"refer to `{target.id}.url`" if "url" in produces else "give a URL"
                yield job.problem(path, "upload", message, hint=hint)
    yield from _circles(by_id, edges)


def _hint(job: str, by_id: Mapping[str, Job], families: Mapping[str, Sequence[str]]) -> str:
    if members := families.get(job):
        few = ", ".join(members[:5])
        return f"`{job}` became {few}{', ...' if len(members) > 5 else ''}: name one"  # noqa: PLR2004 (a line of text)
    return suggest(job, by_id)


def _circles(by_id: Mapping[str, Job], edges: Mapping[str, Sequence[tuple[str, Path]]]) -> Iterator[Problem]:
    """Yield a problem for each circle, at the reference that closes it. Walks without recursion."""
    done: set[str] = set()
    for start in edges:
        if start in done:
            continue
        trail = [start]
        on_trail = {start}
        branches = [iter(edges[start])]
        while branches:
            step = next(branches[-1], None)
            if step is None:
                branches.pop()
                left = trail.pop()
                on_trail.discard(left)
                done.add(left)
                continue
            target, path = step
            if target in on_trail:
                circle = [*trail[trail.index(target) :], target]
                message = f"these jobs wait for each other: {' -> '.join(circle)}"
                yield by_id[trail[-1]].problem(path, "cycle", message, hint="remove one of these references")
            elif target not in done:
                trail.append(target)
                on_trail.add(target)
                branches.append(iter(edges.get(target, ())))
