"""Sandboxed, strict templates over a tree: data in, data out.

A tree is maps, lists and scalars whose strings may hold expressions, so no value can break out of its place: a text
with quotes or braces stays that text. The whole tree is compiled once and renders in microseconds; every string that
is wrong is reported with its path. What an expression is, is the business of ``expression``. Templates are in
manifests and in packs; this module knows of neither.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from renderer.manifest.dialect import OMIT, Exhausted, Follows, Refusal
from renderer.manifest.evaluation import Run, Scope
from renderer.manifest.expression import Compiler, has_syntax
from renderer.manifest.position import Path, spell

__all__ = ["OMIT", "Finding", "Template", "TemplateError", "compile_parts", "compile_tree"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with one string of a tree: its path, and a sentence.

    ``follows``: it only rests on something that is wrong elsewhere, and is reported there.
    """

    path: Path
    message: str
    follows: bool = False


class TemplateError(Exception):
    """A tree cannot be compiled or rendered. ``findings`` holds every string that is wrong, in order."""

    def __init__(self, findings: list[Finding]) -> None:
        super().__init__("; ".join(f"{spell(finding.path)}: {finding.message}" for finding in findings))
        self.findings = tuple(findings)


_Node: TypeAlias = Callable[[Scope, list[Finding]], Any]
"""Renders one node of a tree; what goes wrong is added to the findings, so that the other strings have their turn."""


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled tree. ``names`` are the variables that it reads; ``constant``: it has no expressions at all."""

    names: frozenset[str]
    constant: bool
    _run: _Node = field(repr=False)

    def render(self, context: Mapping[str, Any]) -> Any:
        """Return the tree with its expressions worked out; parts without any are shared with the source.

        Raises :class:`TemplateError` with every string that failed. The whole tree as ``omit`` is such an error.
        """
        result, findings = self.attempt(context)
        if findings:
            raise TemplateError(findings)
        return result

    def attempt(self, context: Mapping[str, Any]) -> tuple[Any, list[Finding]]:
        """Return what :meth:`render` would, with every string that failed left out, and what was wrong with those."""
        findings: list[Finding] = []
        result = self._run(Scope(context), findings)
        if not findings and result is OMIT:
            findings.append(Finding((), "omit has nothing to be left out of here"))
        return result, findings


def compile_tree(tree: Any, *, omit: bool = True) -> Template:
    """Return a tree of maps, lists and scalars with its strings compiled; ``omit`` makes that word known.

    Other objects (an ``Upload``, a ``Ref``) stand for themselves. Raises :class:`TemplateError`.
    """
    template, findings = compile_parts(tree, omit=omit)
    if findings:
        raise TemplateError(findings)
    return template


def compile_parts(tree: Any, *, omit: bool = True) -> tuple[Template, list[Finding]]:
    """Return what :func:`compile_tree` would, with every string that is no template left out, and what is wrong."""
    findings: list[Finding] = []
    names: set[str] = set()
    run = _tree(tree, (), Compiler(names, omit=omit), findings)
    if run is None:
        return Template(frozenset(), True, lambda _scope, _findings: tree), findings
    return Template(frozenset(names), False, run), findings


def _tree(tree: Any, path: Path, compiler: Compiler, findings: list[Finding]) -> _Node | None:
    """Return how to render a tree, or None where it stands for itself."""
    match tree:
        case str() if has_syntax(tree):
            try:
                return _leaf(compiler.source(tree), path)
            except Refusal as error:
                findings.append(Finding(path, str(error)))
                return lambda _scope, _findings: OMIT
        case Mapping():
            fields = [(key, child, _tree(child, (*path, key), compiler, findings)) for key, child in tree.items()]
            return _map(fields) if any(run for _, _, run in fields) else None
        case list():
            entries = [(child, _tree(child, (*path, index), compiler, findings)) for index, child in enumerate(tree)]
            return _list(entries) if any(run for _, run in entries) else None
        case _:
            return None


def _leaf(run: Run, path: Path) -> _Node:
    def leaf(scope: Scope, findings: list[Finding]) -> Any:
        try:
            value = run(scope)
            if isinstance(value, list | dict):
                scope.meter.tree(value)
        except Exhausted as error:
            # What is left is shared by the whole tree: once it is low, who wants more is not surely to blame.
            if not scope.exhausted:
                findings.append(Finding(path, str(error)))
            scope.exhausted = scope.meter.low
            return OMIT
        except Refusal as error:
            findings.append(Finding(path, str(error), follows=isinstance(error, Follows)))
            return OMIT
        except RecursionError:
            findings.append(Finding(path, "the template is nested too deeply"))
            return OMIT
        return value

    return leaf


def _map(fields: list[tuple[Any, Any, _Node | None]]) -> _Node:
    def render(scope: Scope, findings: list[Finding]) -> Any:
        result = {}
        for key, child, run in fields:
            value = child if run is None else run(scope, findings)
            if value is not OMIT:
                result[key] = value
        return result

    return render


def _list(entries: list[tuple[Any, _Node | None]]) -> _Node:
    def render(scope: Scope, findings: list[Finding]) -> Any:
        values = (child if run is None else run(scope, findings) for child, run in entries)
        return [value for value in values if value is not OMIT]

    return render
