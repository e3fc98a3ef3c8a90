"""The pack language: a validated ``provider.yaml`` -> a pack, its templates and expressions compiled.

``schemas/pack.schema.json`` says which words there are; what only makes sense together is checked here. Every problem
is collected with its place, in the pack's own files. Where packs lie, and which may stand side by side, is
``packfile``'s business.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from renderer.errors import InvalidError, Problem
from renderer.manifest.document import seconds
from renderer.manifest.position import Path as Place
from renderer.manifest.schema import Schema, compile_schema, validate
from renderer.manifest.template import Template, TemplateError, compile_tree
from renderer.manifest.yamlfile import Document, read_yaml
from renderer.provider import parts
from renderer.provider.expression import Expression, ExpressionError, compile_expression
from renderer.provider.pack import (
    ErrorPlaces,
    Expressions,
    Listing,
    Lookup,
    LookupMark,
    Operation,
    Pack,
    Phase,
    StateWord,
    Status,
    Submit,
    UploadCall,
    Webhook,
)

_TEMPLATE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*\.yaml")
_GRACE = 60.0
_EXTENSIONS: Mapping[str, str] = {"video": "mp4", "audio": "mp3", "value": ""}


def read_pack(folder: Path, language: Schema, *, schema: Path, shown: str, trusted: bool = False) -> Pack:
    """Return the pack in ``folder``; ``schema`` is where its schema lies, ``shown`` how messages name the folder.

    The schema of a ``trusted`` pack is known to be one: it ships, and tests check it. Raises :class:`InvalidError`.
    """
    name = f"{shown}/provider.yaml"
    document = _read(folder / "provider.yaml", name)
    problems = validate(document.data, language, file=name, locate=document.locate)
    if problems:
        raise InvalidError(problems)
    reader = _Reader(folder, document, shown, schema, trusted=trusted)
    pack = reader.pack()
    if reader.problems:
        raise InvalidError(sorted(reader.problems))
    return pack


class _Reader:
    """Turns one validated document into a pack, and collects what is wrong. Lives for one pack."""

    def __init__(self, folder: Path, document: Document, shown: str, schema: Path, *, trusted: bool) -> None:
        self.problems: list[Problem] = []
        self._folder = folder
        self._document = document
        self._shown = shown
        self._schema_folder = schema
        self._trusted = trusted

    def pack(self) -> Pack:
        tree = self._document.data
        provider = tree["provider"]
        if provider != self._folder.name:
            self._problem(
                ("provider",), "name", f"the pack in the folder {self._folder.name!r} says it is {provider!r}"
            )
        embedded = tree.get("engine") == "embedded"
        schema = self._schema(provider)
        error = self._error_places(tree.get("error", {}), ("error",))
        operations = {
            name: self._operation(name, provider, body, error, schema) for name, body in tree["operations"].items()
        }
        for name, body in tree["operations"].items():
            self._sense(name, body, embedded=embedded)
        defaults = [name for name, body in tree["operations"].items() if body.get("default")]
        if len(defaults) != 1:
            self._problem(("operations",), "default", f"one operation must be the default, not {len(defaults)}")
        return Pack(
            provider=provider,
            revision=tree["revision"],
            embedded=embedded,
            unavailable=tree.get("unavailable", ""),
            base_url=tree.get("base_url"),
            key=parts.key(tree["key"]) if "key" in tree else None,
            check=parts.check(tree["check"]) if "check" in tree else None,
            pacing=parts.pacing(tree.get("pacing", {})),
            error=error,
            errors=tuple(parts.rule(rule) for rule in tree.get("errors", ())),
            operations=operations,
            default=next(iter(defaults), ""),
            upload=self._upload(tree["upload"]) if "upload" in tree else None,
            lists={name: self._listing(name, body) for name, body in tree.get("lists", {}).items()},
            webhook=self._webhook(tree["webhook"]) if "webhook" in tree else None,
            schema=schema,
        )

    def _operation(
        self, name: str, provider: str, tree: Mapping[str, Any], error: ErrorPlaces, schema: Mapping[str, Any]
    ) -> Operation:
        at: Place = ("operations", name)
        definition = schema.get("$defs", {}).get(name, {})
        return Operation(
            name=name,
            provider=provider,
            makes=tree["makes"],
            extension=tree.get("extension", _EXTENSIONS[tree["makes"]]),
            produces=tuple(tree["produces"]),
            paid=tree.get("paid", True),
            keyed=tree.get("keyed"),
            repeat=tree.get("repeat", False),
            edits=tree.get("edits"),
            volatile=tuple(tuple(place.split(".")) for place in tree.get("volatile", ())),
            fields=frozenset(definition.get("properties", ())),
            submit=self._submit(tree["submit"], (*at, "submit")) if "submit" in tree else None,
            status=self._status(tree["status"], (*at, "status"), error) if "status" in tree else None,
            otherwise=tree.get("download", {}).get("otherwise"),
            lookup=self._lookup(tree["lookup"], (*at, "lookup")) if "lookup" in tree else None,
            tasks=tuple(tree.get("tasks", ())),
            reaches={
                field: self._regex(text, (*at, "reaches", field)) for field, text in tree.get("reaches", {}).items()
            },
        )

    def _sense(self, name: str, tree: Mapping[str, Any], *, embedded: bool) -> None:
        """Find what the schema cannot: words of an operation that only mean something together."""
        at: Place = ("operations", name)
        if embedded:
            if "submit" in tree or "status" in tree:
                self._problem(at, "operation", f"`{name}` is embedded: it has no calls")
            return
        if "submit" not in tree:
            self._problem(at, "operation", f"`{name}` has no submit")
            return
        submit = tree["submit"]
        if "keyed" in tree and "link" not in submit:
            self._problem((*at, "submit"), "operation", f"`{name}` is keyed, so its submit needs a link")
        if "keyed" not in tree and "task" in submit and "status" not in tree:
            self._problem(at, "operation", f"`{name}` gives a task, so it needs a status")
        if "keyed" not in tree and "task" not in submit:
            known = {**submit.get("echo", {}), **submit.get("produced", {})}
            for field in tree["produces"]:
                if field not in known:
                    self._problem((*at, "submit"), "operation", f"nothing says where `{field}` of `{name}` comes from")
        if "tasks" in tree and "status" not in tree:
            self._problem((*at, "tasks"), "operation", f"`{name}` has no status, which would know these tasks")
        if "status" in tree:
            produced = {"task", "url", "file", *tree["status"].get("produced", ())}
            for index, field in enumerate(tree["produces"]):
                if field not in produced:
                    self._problem((*at, "produces", index), "operation", f"the status does not say where `{field}` is")
            if tree["makes"] != "value" and "link" not in tree["status"] and "download" not in tree:
                self._problem((*at, "status"), "operation", f"nothing says where the file of `{name}` is")

    def _submit(self, tree: Mapping[str, Any], at: Place) -> Submit:
        return Submit(
            path=tree["post"],
            query=self._template(tree["query"], (*at, "query")) if "query" in tree else None,
            json=self._template(tree["json"], (*at, "json")) if "json" in tree else None,
            task=self._maybe(tree, "task", at),
            echo=self._expressions(tree, "echo", at),
            produced=self._expressions(tree, "produced", at),
            state=self._maybe(tree, "state", at),
            progress=self._maybe(tree, "progress", at),
            link=self._maybe(tree, "link", at),
            duration=self._maybe(tree, "duration", at),
        )

    def _status(self, tree: Mapping[str, Any], at: Place, error: ErrorPlaces) -> Status:
        own = self._error_places(tree.get("error", {}), (*at, "error"))
        return Status(
            path=tree["get"],
            query=parts.query(tree),
            within=tree.get("within"),
            state=self._expression(tree["state"], (*at, "state")),
            states=tuple(self._states(tree["states"], (*at, "states"))),
            link=self._maybe(tree, "link", at),
            produced=self._expressions(tree, "produced", at),
            progress=self._maybe(tree, "progress", at),
            duration=self._maybe(tree, "duration", at),
            error=ErrorPlaces(
                ok=own.ok or error.ok,
                code=own.code or error.code,
                message=own.message or error.message,
                request_id=own.request_id or error.request_id,
            ),
            grace=seconds(tree["grace"]) if "grace" in tree else _GRACE,
        )

    def _states(self, tree: Mapping[str, Any], at: Place) -> Iterator[StateWord]:
        seen: set[str] = set()
        for phase, words in tree.items():
            for key, word in enumerate(words):
                text = str(word).casefold()
                if text in seen:
                    self._problem(
                        (*at, phase, key if isinstance(words, list) else word), "state", f"{word!r} stands twice"
                    )
                seen.add(text)
                remedy = words[word] if isinstance(words, Mapping) else ""
                yield StateWord(word=text, phase=Phase(phase), remedy=remedy)

    def _lookup(self, tree: Mapping[str, Any], at: Place) -> Lookup:
        return Lookup(
            path=tree["get"],
            query=parts.query(tree),
            size=tree.get("size", 1),
            pages=tree.get("pages", 1),
            items=self._expression(tree["items"], (*at, "items")),
            task=self._expression(tree["task"], (*at, "task")),
            title=self._maybe(tree, "title", at),
            at=self._expression(tree["at"], (*at, "at")),
            window=seconds(tree.get("window", _GRACE)),
            marks={
                name: LookupMark(
                    sent=self._expression(mark["sent"], (*at, "marks", name, "sent")),
                    listed=self._expression(mark["listed"], (*at, "marks", name, "listed")),
                )
                for name, mark in tree["marks"].items()
            },
        )

    def _upload(self, tree: Mapping[str, Any]) -> UploadCall:
        at: Place = ("upload",)
        return UploadCall(
            path=tree["post"],
            json=self._template(tree["json"], (*at, "json")) if "json" in tree else None,
            url=self._expression(tree["url"], (*at, "url")),
            content_type=self._maybe(tree, "content_type", at),
            file_id=self._expression(tree["file_id"], (*at, "file_id")),
            lifetime=seconds(tree.get("lifetime", "1h")),
        )

    def _listing(self, name: str, tree: Mapping[str, Any]) -> Listing:
        at: Place = ("lists", name)
        choices = {
            option: {word: str(sent) for word, sent in words.items()}
            for option, words in tree.get("choices", {}).items()
        }
        for key, text in tree.get("query", {}).items():
            for slot in re.findall(r"\{([a-z_]+)\}", str(text)):
                if slot not in ("page", "offset", *choices):
                    self._problem((*at, "query", key), "slot", f"{{{slot}}} is neither page nor offset nor a choice")
        proves: Mapping[str, str] = tree.get("proves", {})
        for field, column in proves.items():
            if column not in tree["columns"]:
                self._problem((*at, "proves", field), "proves", f"the list has no column `{column}`")
        return Listing(
            name=name,
            path=tree["get"],
            query=parts.query(tree),
            size=tree.get("size", 0),
            choices=choices,
            items=self._expression(tree["items"], (*at, "items")),
            columns=self._expressions(tree, "columns", at),
            proves={tuple(field.split(".")): column for field, column in proves.items()},
        )

    def _webhook(self, tree: Mapping[str, Any]) -> Webhook:
        return Webhook(
            field=tree.get("field", ""),
            where=tree.get("where", ""),
            task=self._expression(tree["task"], ("webhook", "task")),
            state=self._maybe(tree, "state", ("webhook",)),
        )

    def _error_places(self, tree: Mapping[str, Any], at: Place) -> ErrorPlaces:
        return ErrorPlaces(
            ok=frozenset(str(code) for code in tree.get("ok", ())),
            code=self._maybe(tree, "code", at),
            message=self._maybe(tree, "message", at),
            request_id=self._maybe(tree, "request_id", at),
        )

    def _expressions(self, tree: Mapping[str, Any], name: str, at: Place) -> Expressions:
        return {key: self._expression(text, (*at, name, key)) for key, text in tree.get(name, {}).items()}

    def _maybe(self, tree: Mapping[str, Any], name: str, at: Place) -> Expression | None:
        return self._expression(tree[name], (*at, name)) if name in tree else None

    def _expression(self, text: str, at: Place) -> Expression:
        try:
            return compile_expression(text)
        except ExpressionError as error:
            self._problem(at, "expression", f"this is not JMESPath: {error}")
            return compile_expression("@")

    def _regex(self, text: str, at: Place) -> re.Pattern[str]:
        try:
            found = re.compile(text)
        except re.error as error:
            self._problem(at, "expression", f"this is no regular expression: {error}")
            return re.compile("()")
        if not found.groups:
            self._problem(at, "expression", "the address that is meant must stand in a group")
        return found

    def _template(self, tree: Any, at: Place) -> Template:
        """Return a request template: the tree itself, or the file beside ``provider.yaml`` that it names."""
        document, prefix = self._document, at
        if isinstance(tree, str):
            if not _TEMPLATE_NAME.fullmatch(tree):
                self._problem(at, "template", f"{tree!r} is not the name of a template beside provider.yaml")
                return compile_tree({})
            try:
                document, prefix = _read(self._folder / tree, f"{self._shown}/{tree}"), ()
            except InvalidError as error:
                self.problems.extend(error.problems)
                return compile_tree({})
            tree = document.data
        try:
            return compile_tree(tree)
        except TemplateError as error:
            self.problems.extend(
                document.problem((*prefix, *finding.path), "template", finding.message) for finding in error.findings
            )
            return compile_tree({})

    def _schema(self, provider: str) -> Mapping[str, Any]:
        name = f"{provider}.schema.json"
        try:
            schema = json.loads((self._schema_folder / name).read_bytes())
        except OSError:
            self._problem((), "schema", f"the pack's {name} cannot be read")
            return {}
        except ValueError as error:
            self.problems.append(Problem(name, 1, 1, "$", "schema", f"this is not JSON: {error}"))
            return {}
        if not self._trusted:
            try:
                compile_schema(schema, name=name)
            except InvalidError as error:
                self.problems.extend(error.problems)
                return {}
        for operation in self._document.data["operations"]:
            if operation not in schema.get("$defs", {}):
                self._problem(("operations", operation), "schema", f"{name} has no $defs.{operation}")
        return dict(schema)

    def _problem(self, at: Place, code: str, message: str) -> None:
        self.problems.append(self._document.problem(at, code, message))


def _read(path: Path, shown: str) -> Document:
    try:
        text = path.read_bytes()
    except OSError as error:
        why = error.strerror or "it cannot be read"
        raise InvalidError([Problem(shown, 1, 1, "$", "file", f"the file cannot be read: {why}")]) from None
    return read_yaml(text, file=shown)
