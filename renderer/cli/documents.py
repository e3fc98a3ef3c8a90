"""The JSON documents that scripts read: their version, and what every one of them says of a problem.

Light on purpose: the error boundary needs it where nothing else could be loaded.
"""

import json
from typing import Any

from renderer.errors import InvalidError, Problem, RendererError

FORMAT_VERSION = 1


def document(**content: Any) -> str:
    """Return one JSON document with its version."""
    return json.dumps({"format_version": FORMAT_VERSION, **content}, ensure_ascii=False, indent=2)


def problem_json(problem: Problem) -> dict[str, Any]:
    """Return a problem as scripts read it."""
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "path": problem.path,
        "code": problem.code,
        "severity": problem.severity,
        "message": problem.message,
        "hint": problem.hint,
    }


def error_document(error: RendererError) -> str:
    """Return the document of a command that could not do what it was asked to."""
    problems = error.problems if isinstance(error, InvalidError) else ()
    said = {"exit": int(error.exit), "message": error.message, "hint": error.hint}
    return document(error=said, problems=[problem_json(problem) for problem in problems])
