"""Ids and outputs that would be one file on some system: equal, or different only by case or Unicode form.

Knows jobs of one manifest or of several; what is in them does not matter here.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator

from renderer.errors import Problem
from renderer.manifest.job import Job

_ID = re.compile(r"\w[\w.-]{0,99}")


def folded(name: str) -> str:
    """Return what file systems that ignore case and Unicode form make of a name."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def bad_id(name: str) -> str:
    """Return why a name cannot be an id, as the end of a sentence, or an empty string."""
    if not name:
        return "is empty"
    if len(name) > 100:  # noqa: PLR2004 (DESIGN 2)
        return f"has {len(name)} characters; the limit is 100"
    if not _ID.fullmatch(name):
        odd = next((letter for letter in name if not re.match(r"[\w.-]", letter)), name[0])
        return f"cannot have {odd!r}" if odd != name[0] or odd not in ".-" else f"cannot begin with {odd!r}"
    if name != unicodedata.normalize("NFC", name):
        return "is not in Unicode form NFC"
    return ""


def check_ids(jobs: Iterable[Job]) -> Iterator[Problem]:
    """Yield a problem for each job whose id another job has, or would have on some systems."""
    first: dict[str, Job] = {}
    for job in jobs:
        other = first.setdefault(folded(job.id), job)
        if other is job:
            continue
        line = other.mark().line
        if other.id == job.id:
            message = f"the id `{job.id}` is already that of the {other.kind} in line {line}"
        else:
            message = f"the ids `{job.id}` and `{other.id}` (line {line}) differ only by case or Unicode form"
        yield job.problem((), "duplicate-id", message, hint="ids are unique over assets and videos together")


def check_outputs(jobs: Iterable[Job], *, between: Callable[[Job, Job], bool]) -> Iterator[Problem]:
    """Yield a problem for each output that another job has too, or that lies inside it.

    ``between`` says whether a pair is to be reported.
    """
    first: dict[str, Job] = {}
    folders: dict[str, Job] = {}
    for job in jobs:
        if job.output is None:
            continue
        name = folded(job.output)
        other = first.setdefault(name, job)
        if other is not job and between(other, job):
            same = "write to" if other.output == job.output else "differ only by case or Unicode form in"
            message = f"`{other.key}` and `{job.key}` {same} {job.output!r}"
            yield job.problem(("output",), "duplicate-output", message, hint="give one of them another `output`")
        parts = name.split("/")
        for end in range(1, len(parts)):
            folders.setdefault("/".join(parts[:end]), job)
    for name, inner in folders.items():
        if (outer := first.get(name)) is not None and between(outer, inner):
            message = f"`{inner.key}` writes into {outer.output!r}, which is the file of `{outer.key}`"
            yield inner.problem(("output",), "duplicate-output", message)
