"""YAML text -> plain data plus a position for every node, with limits.

The only importer of ``yaml``. The C scanner gives events; the data is built from them here, in one loop without
recursion, so that hostile text (100,000 open brackets, aliases of aliases) meets a limit before anything grows.
Scalars follow the YAML 1.2 core schema, with one deviation: digits with a leading zero stay text (``012`` is an
article number). What people mean is kept: ``16:9``, ``no`` and dates are text. Tags, merge keys and anything that
JSON cannot say are refused with their place. This module knows nothing of manifests or packs; both are read by it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import yaml

from renderer.errors import InvalidError, Problem
from renderer.manifest.decoding import decode, lines
from renderer.manifest.position import Mark, Path, nearest, spell

MAX_DEPTH = 60
MAX_NODES = 2_000_000
MAX_ALIASES = 100_000
MAX_PROBLEMS = 100
"""More than this many problems in one file are not collected: the file is something else."""

_MAX_EXACT = 2**53 - 1
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NUMBER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_RADIX = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_NEAR = 500
_COLOR = re.compile(r"[ \t]+(#(?:[0-9A-Fa-f]{3}|[0-9A-Fa-f]{6}|[0-9A-Fa-f]{8}))(?=[ \t]*(?:[,}\]].*)?(?:[\r\n]|$))")
_WORDS: Mapping[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
Data: TypeAlias = Any
"""What YAML's core schema can say: None, bool, int, float, str, lists and maps with string keys."""


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file: ``data``, and by path the position of every node (``marks``) and key (``key_marks``).

    Inside a node that an alias repeats, positions are those of the alias.
    """

    file: str
    data: Data
    marks: Mapping[Path, Mark] = field(repr=False)
    key_marks: Mapping[Path, Mark] = field(repr=False)

    def locate(self, path: Path, /, *, key: bool = False) -> Mark:
        """Return the position of ``path`` (or of its key), or of the nearest node around it."""
        if key and (found := self.key_marks.get(path)) is not None:
            return found
        return nearest(self.marks, path)

    def problem(self, path: Path, code: str, message: str, *, hint: str = "", key: bool = False) -> Problem:
        """Return a problem at ``path``, or at its key."""
        mark = self.locate(path, key=key)
        return Problem(self.file, mark.line, mark.column, spell(path), code, message, hint)


def read_yaml(data: bytes, *, file: str) -> Document:
    """Return the one document that ``data`` holds; ``file`` is how messages name it.

    Raises :class:`InvalidError` with every problem that could be found.
    """
    text = decode(data, file)
    builder = _Builder(file, text)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except _StopReading:
        pass
    except yaml.MarkedYAMLError as error:
        builder.syntax(error)
    except yaml.YAMLError as error:
        # Only the reader's own errors have no mark, and ``decode`` has refused what it would.
        builder.problem(Mark(1, 1), (), "yaml", f"this is not YAML: {error}")
    return builder.finish()


class _StopReading(Exception):
    """Nothing after this point can be read with meaning."""


@dataclass(slots=True)
class _Open:
    """A map or list whose end has not come yet."""

    value: Any
    path: Path
    start: Any
    key: str | None = None
    """The key whose value comes next, in a map."""
    nodes: int = 1
    height: int = 1


@dataclass(frozen=True, slots=True)
class _Anchored:
    """A finished node with an anchor: what it is, how many nodes an alias of it stands for, and how deep it is."""

    value: Any
    nodes: int
    height: int


class _Builder:
    """Takes events in order and builds data, marks and problems. Mutable, and lives for one file."""

    def __init__(self, file: str, text: str) -> None:
        self._file = file
        self._text = text
        self._stack: list[_Open] = []
        self._root: Any = None
        self._documents = 0
        self._marks: dict[Path, Mark] = {}
        self._key_marks: dict[Path, Mark] = {}
        self._anchors: dict[str, _Anchored | None] = {}
        self._aliases = 0
        self._nodes = 0
        self._problems: list[Problem] = []
        self._skip = 0
        """How many maps and lists are open inside a key that cannot be one; 0 outside."""

    def finish(self) -> Document:
        if self._root is None and not self._problems:
            self.problem(Mark(1, 1), (), "empty", "the file is empty")
        if self._problems:
            raise InvalidError(self._problems)
        return Document(self._file, self._root, self._marks, self._key_marks)

    def problem(self, mark: Mark, path: Path, code: str, message: str, hint: str = "") -> None:
        self._problems.append(Problem(self._file, mark.line, mark.column, spell(path), code, message, hint))
        if len(self._problems) >= MAX_PROBLEMS:
            raise _StopReading

    def take(self, event: Any) -> None:
        """Take the next event."""
        kind = type(event)
        if self._skip:
            self._skip += (kind in _STARTS) - (kind in _ENDS)
            return
        if kind is yaml.ScalarEvent:
            self._scalar(event)
        elif kind is yaml.MappingStartEvent:
            self._start(event, {})
        elif kind is yaml.SequenceStartEvent:
            self._start(event, [])
        elif kind in _ENDS:
            self._end()
        elif kind is yaml.AliasEvent:
            self._alias(event)
        elif kind is yaml.DocumentStartEvent:
            self._documents += 1
            if self._documents > 1:
                self.problem(_mark(event), (), "documents", "a second document begins here", "keep one per file")
                raise _StopReading

    def _scalar(self, event: Any) -> None:
        if self._stack and self._stack[-1].key is None and type(self._stack[-1].value) is dict:
            self._key(event)
            return
        path = self._path()
        if event.tag is not None:
            self._refuse_tag(event, path)
            value: Any = event.value
        elif event.implicit[0]:
            value = self._resolve(event, path)
        else:
            value = event.value
        self._place(value, path, _mark(event), anchor=event.anchor)

    def _key(self, event: Any) -> None:
        top = self._stack[-1]
        key, mark = event.value, _mark(event)
        path = (*top.path, key)
        plain = event.implicit[0]
        if event.tag is not None:
            self._refuse_tag(event, path)
        elif plain and key == "<<":
            self.problem(mark, path, "merge-key", "merge keys (`<<`) are not supported", "use defaults or a profile")
        elif plain and key in ("", "~"):
            self.problem(mark, top.path, "key", "a key is empty")
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchored(key, 1, 1)
        if key in top.value and (first := self._key_marks.get(path)) is not None:
            message = f"the key {key!r} is already given in line {first.line}; both cannot hold"
            self.problem(mark, path, "duplicate-key", message, f"remove it here, or in line {first.line}")
        else:
            self._key_marks[path] = mark
        self._count(1)
        top.key = key

    def _start(self, event: Any, value: Any) -> None:
        top = self._stack[-1] if self._stack else None
        if top is not None and top.key is None and type(top.value) is dict:
            self._odd_key(event, top)
            return
        path = self._path()
        if event.tag is not None:
            self._refuse_tag(event, path)
        if len(self._stack) >= MAX_DEPTH:
            self.problem(_mark(event), (), "depth", f"this is nested more than {MAX_DEPTH} levels deep")
            raise _StopReading
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._count(1)
        self._marks[path] = _mark(event)
        self._stack.append(_Open(value, path, event))

    def _odd_key(self, event: Any, top: _Open) -> None:
        """A list or map as a key: nearly always a template that is not in quotes."""
        outer, inner = top.start.start_mark, event.start_mark
        if top.start.flow_style and event.flow_style and inner.index == outer.index + 1:
            line = self._line(outer.line)[outer.column :]
            shown = line[: line.find("}}") + 2] if "}}" in line else "{{ ... }}"
            mark, hint = Mark(outer.line + 1, outer.column + 1), f'write "{shown}"'
            self.problem(mark, top.path, "unquoted-template", "a template must stand in quotes: quote it", hint)
        else:
            self.problem(_mark(event), top.path, "key", "a key must be text, not a list or a map")
        self._skip = 1
        top.key = ""

    def _end(self) -> None:
        done = self._stack.pop()
        anchor = done.start.anchor
        if anchor is not None:
            self._anchors[anchor] = _Anchored(done.value, done.nodes, done.height)
        self._attach(done.value, done.nodes, done.height)

    def _alias(self, event: Any) -> None:
        mark, path = _mark(event), self._path()
        self._aliases += 1
        if self._aliases > MAX_ALIASES:
            self.problem(mark, path, "aliases", f"there are more than {MAX_ALIASES} aliases")
            raise _StopReading
        if event.anchor not in self._anchors:
            self.problem(mark, path, "alias", f"no anchor &{event.anchor} stands before this alias")
            target = None
        elif (target := self._anchors[event.anchor]) is None:
            self.problem(mark, path, "alias", f"the anchor &{event.anchor} holds itself")
        if self._stack and self._stack[-1].key is None and type(self._stack[-1].value) is dict:
            self.problem(mark, path, "key", "an alias cannot be a key")
            self._stack[-1].key = ""
            return
        if target is None:
            target = _Anchored(None, 1, 1)
        if len(self._stack) + target.height > MAX_DEPTH:
            self.problem(mark, path, "depth", f"with its aliases this is nested more than {MAX_DEPTH} levels deep")
            raise _StopReading
        self._marks[path] = mark
        self._count(target.nodes)
        self._attach(target.value, target.nodes, target.height)

    def _place(self, value: Any, path: Path, mark: Mark, *, anchor: str | None) -> None:
        self._marks[path] = mark
        self._count(1)
        if anchor is not None:
            self._anchors[anchor] = _Anchored(value, 1, 1)
        self._attach(value, 1, 1)

    def _attach(self, value: Any, nodes: int, height: int) -> None:
        if not self._stack:
            self._root = value
            return
        top = self._stack[-1]
        if type(top.value) is list:
            top.value.append(value)
        else:
            top.value[top.key] = value
            top.key = None
        top.nodes += nodes
        if height >= top.height:
            top.height = height + 1

    def _path(self) -> Path:
        if not self._stack:
            return ()
        top = self._stack[-1]
        if type(top.value) is list:
            return (*top.path, len(top.value))
        return top.path if top.key is None else (*top.path, top.key)

    def _count(self, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            last = self._stack[-1].path if self._stack else ()
            mark = nearest(self._marks, last)
            self.problem(mark, last, "nodes", f"the file (with its aliases) has more than {MAX_NODES} values")
            raise _StopReading

    def _resolve(self, event: Any, path: Path) -> Any:
        """Return what a plain scalar means under the core schema."""
        text: str = event.value
        if text in _WORDS:
            if not text:
                self._eaten(event, path)
            return _WORDS[text]
        if text[0] not in "0123456789.-+":
            return text
        if _NUMBER.fullmatch(text) or _RADIX.fullmatch(text):
            digits = len(text)
            number = int(text, 0) if digits < 64 else _MAX_EXACT + 1  # noqa: PLR2004 (longer is too large anyway)
            if abs(number) <= _MAX_EXACT:
                return number
            message = f"the number {_short(text)} is too large to be kept exactly"
            self.problem(_mark(event), path, "number", message, "put it in quotes if it is an id")
        elif _NOT_FINITE.fullmatch(text):
            self.problem(_mark(event), path, "number", f"{text} is not a number that a request can hold")
        elif _FLOAT.fullmatch(text):
            value = float(text)
            if abs(value) != float("inf"):
                return value
            self.problem(_mark(event), path, "number", f"the number {_short(text)} is too large")
        return text

    def _eaten(self, event: Any, path: Path) -> None:
        """Find a value that is none because a ``#`` made a comment of it: ``color: #ff0000``."""
        if (found := _COLOR.match(self._text, event.start_mark.index)) is not None:
            message = f"this is empty: the # makes a comment of {found[1]}"
            self.problem(_mark(event), path, "comment", message, f'write "{found[1]}"')

    def _refuse_tag(self, event: Any, path: Path) -> None:
        tag = event.tag.replace("tag:yaml.org,2002:", "!!")
        hint = "put the value in quotes to make it text" if tag == "!!str" else "write plain YAML"
        self.problem(_mark(event), path, "tag", f"the tag {_short(tag)} is not supported", hint)

    def syntax(self, error: yaml.MarkedYAMLError) -> None:
        """Write down what the scanner or parser could not read."""
        where = error.problem_mark or error.context_mark
        mark = Mark(where.line + 1, where.column + 1) if where is not None else Mark(1, 1)
        if any(known.code == "unquoted-template" and known.line == mark.line for known in self._problems):
            return
        line = self._line(mark.line - 1)
        what, hint = error.problem or "the text cannot be read", ""
        before = line[: mark.column - 1]
        if "\t" in line[: mark.column] and not before.strip():
            what, hint = "a tab stands where only spaces may", "indent with spaces"
        elif "{{" in line or "{%" in line:
            hint = "text that holds {{ }} or {% %} must stand in quotes"
        elif (eaten := self._eaten_by(error)) is not None:
            hint = f'perhaps because # begins a comment: write "{eaten}"'
        elif what.startswith("mapping values are not allowed"):
            what, hint = "a colon stands where none may", "put text that holds ': ' in quotes, or check the indentation"
        elif "Unicode character escape" in what:
            what, hint = "a lone surrogate is not a character", "write the character itself"
        elif error.context and error.context_mark is not None and error.context_mark.line != mark.line - 1:
            what = f"{what} ({error.context} that begins in line {error.context_mark.line + 1})"
        try:
            self.problem(mark, (), "yaml", f"this is not YAML: {what}", hint)
        except _StopReading:
            return

    def _eaten_by(self, error: yaml.MarkedYAMLError) -> str | None:
        """Return the color that became a comment shortly before the text could not be read any more."""
        if (last := error.problem_mark) is None:
            return None
        found = _COLOR.findall(self._text, max(0, last.index - _NEAR), last.index)
        return found[-1] if found else None

    def _line(self, number: int) -> str:
        for index, line in enumerate(lines(self._text)):
            if index == number:
                return line
        return ""


_STARTS = frozenset({yaml.MappingStartEvent, yaml.SequenceStartEvent})
_ENDS = frozenset({yaml.MappingEndEvent, yaml.SequenceEndEvent})


def _mark(event: Any) -> Mark:
    mark = event.start_mark
    return Mark(mark.line + 1, mark.column + 1)


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."  # noqa: PLR2004 (enough to recognise it)
