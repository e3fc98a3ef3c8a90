"""Examples are tests: every manifest under ``tests/manifests`` with what it must become.

``valid/<name>.yaml`` is read and expanded; the jobs, one a line, must be those in ``valid/<name>.txt``.
``invalid/<name>.yaml`` must be refused with the problems in ``invalid/<name>.txt``. Data files beside them are theirs.
After a change that is meant, refresh the texts with ``.venv/bin/python tests/manifest/test_examples.py --refresh``
at the top of the checkout, and read the difference.
"""

import json
import sys
from pathlib import Path

import pytest

from renderer.errors import InvalidError, Problem
from renderer.manifest.document import manifest_schema, read_manifest
from renderer.manifest.expand import check_batch, expand
from renderer.manifest.job import Job, plain
from renderer.manifest.offer import Operations
from renderer.project import Project

FOLDER = Path(__file__).resolve().parent.parent / "manifests"
EXAMPLES = sorted(path for kind in ("valid", "invalid") for path in (FOLDER / kind).glob("*.yaml"))


def outcome(path: Path, operations: Operations) -> str:
    """Return what a manifest becomes, as text: its problems, then its jobs where it is valid."""
    project = Project(FOLDER, FOLDER)
    try:
        expansion = expand(read_manifest(path, project, schema=manifest_schema()), project, operations)
    except InvalidError as error:
        return "".join(map(_problem, error.problems))
    problems = [*expansion.problems, *check_batch([expansion])]
    shown = "".join(map(_problem, problems))
    if any(problem.severity == "error" for problem in problems):
        return shown
    return shown + "".join(map(_job, expansion.jobs))


def _problem(problem: Problem) -> str:
    name = problem.file.rpartition("/")[2]
    hint = f"\n  {problem.hint}" if problem.hint else ""
    return f"{name}:{problem.line}:{problem.column} {problem.severity} [{problem.code}] {problem.message}{hint}\n"


def _job(job: Job) -> str:
    facts = {"take": job.take, "output": job.output, "tags": list(job.tags), "priority": job.priority}
    values = json.dumps(plain(job.values), ensure_ascii=False, sort_keys=True)
    return f"{job.key} {job.kind} {job.provider} {job.operation} {json.dumps(facts)}\n  {values}\n"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_manifest_becomes_what_stands_beside_it(path: Path, operations: Operations) -> None:
    """Each example gives exactly the text beside it: jobs, or problems with places, words and hints."""
    assert outcome(path, operations) == path.with_suffix(".txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_only_invalid_examples_have_errors(path: Path) -> None:
    """An example stands in the folder that says what it is."""
    lines = path.with_suffix(".txt").read_text(encoding="utf-8").splitlines()
    assert any(" error [" in line for line in lines) is (path.parent.name == "invalid")


def _refresh() -> None:
    from conftest import OPERATIONS

    for path in EXAMPLES:
        path.with_suffix(".txt").write_text(outcome(path, OPERATIONS), encoding="utf-8")


if __name__ == "__main__" and "--refresh" in sys.argv:
    _refresh()
