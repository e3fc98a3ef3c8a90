import json
from pathlib import Path as FilePath
from typing import Any

import pytest

from renderer.data import schemas
from renderer.errors import InvalidError
from renderer.manifest.position import Mark, Path
from renderer.manifest.schema import compile_schema, load_schema, validate


def messages(data: Any, tree: dict[str, Any]) -> list[str]:
    """Return what is said of ``data`` under a schema."""

    def locate(_path: Path, /, *, key: bool = False) -> Mark:
        return Mark(1, 1 if key else 2)

    found = validate(data, compile_schema(tree, name="s"), file="f", locate=locate)
    return [f"{problem.path}: {problem.message}{f' ({problem.hint})' if problem.hint else ''}" for problem in found]


@pytest.mark.parametrize(
    ("data", "tree", "expected"),
    [
        ({}, {"required": ["a", "b"]}, ["$: the file needs `a`", "$: the file needs `b`"]),
        ({"titel": 1}, {"properties": {"title": {}}, "additionalProperties": False},
         ["$.titel: the file has no key `titel` (did you mean `title`?)"]),
        ({"titel": 1}, {"properties": {"title": {}}, "unevaluatedProperties": False},
         ["$.titel: the file has no key `titel` (did you mean `title`?)"]),
        ({"a": [1]}, {"properties": {"a": {"type": "string"}}}, ["$.a: `a` must be text, not a list"]),
        ({"a": 5}, {"properties": {"a": {"type": ["string", "null"]}}},
         ["$.a: `a` must be text, not the number 5 (put it in quotes)"]),
        ({"a": "16:8"}, {"properties": {"a": {"enum": ["16:9", "1:1"]}}},
         ['$.a: `a` is "16:8"; it must be "16:9" or "1:1" (did you mean `16:9`?)']),
        ({"a": "x" * 21}, {"properties": {"a": {"maxLength": 20}}}, ["$.a: `a` has 21 characters; the limit is 20"]),
        ({"a": []}, {"properties": {"a": {"minItems": 3}}}, ["$.a: `a` has 0 entries; it needs at least 3"]),
        ({"a": [1, "x"]}, {"properties": {"a": {"items": {"type": "integer"}}}},
         ['$.a[1]: entry 2 of `a` must be a whole number, not the text "x"']),
        ({"a": 9}, {"properties": {"a": {"maximum": 2}}}, ["$.a: `a` is 9; the most is 2"]),
        ({"a b": 1}, {"propertyNames": {"pattern": "^\\w+$"}},
         ["$['a b']: the key \"a b\" is not a name that may stand here"]),
        ({"a": {"ref": "x.y"}}, {"properties": {"a": {"type": "string"}}}, ["$.a: `a` must be text, not {ref: ...}"]),
        ({"a": "<b>"}, {"properties": {"a": {"not": {"pattern": "<"}, "x-message": "no tags", "x-hint": "plain text"}}},
         ["$.a: no tags (plain text)"]),
        ({"a": 1}, {"dependentRequired": {"a": ["b"]}}, ["$: the file with `a` needs `b`"]),
    ],
)  # fmt: skip
def test_each_keyword_speaks_to_people(data: Any, tree: dict[str, Any], expected: list[str]) -> None:
    """A failed keyword becomes a sentence that names the field, what it is and what it must be."""
    assert messages(data, tree) == expected


_MUSIC = {
    "properties": {
        "music": {
            "anyOf": [
                {"type": "string"},
                {"type": "object", "properties": {"id": {}, "volume": {"maximum": 10}}, "additionalProperties": False},
            ]
        }
    }
}


@pytest.mark.parametrize(
    ("music", "expected"),
    [
        ("x", []),
        ({"volume": 11}, ["$.music.volume: `volume` is 11; the most is 10"]),
        ({"volum": 1}, ["$.music.volum: `music` has no key `volum` (did you mean `volume`?)"]),
        (7, ["$.music: `music` must be text or a map, not the number 7"]),
    ],
)
def test_of_several_shapes_the_nearest_is_explained(music: Any, expected: list[str]) -> None:
    """No message says "not valid under any of the given schemas"."""
    assert messages({"music": music}, _MUSIC) == expected


def test_a_schema_can_warn() -> None:
    """``x-severity`` makes a failed keyword a warning."""
    schema = compile_schema({"properties": {"a": {"enum": ["x"], "x-severity": "warning"}}}, name="s")
    (problem,) = validate({"a": "y"}, schema, file="f", locate=lambda _path, **_: Mark(1, 1))
    assert problem.severity == "warning"


@pytest.mark.parametrize("reference", ["http://127.0.0.1:9/x.json", "file:///etc/passwd", "#/nope", "../x.schema.json"])
def test_fault_16_a_reference_never_leaves_the_folder(reference: str) -> None:
    """A remote or missing reference is refused when the schema is compiled; nothing is fetched."""
    with pytest.raises(InvalidError) as caught:
        compile_schema({"properties": {"a": {"$ref": reference}}}, name="s", folder=schemas())
    assert [problem.code for problem in caught.value.problems] == ["schema-reference"]


def test_a_schema_may_use_another_of_its_folder() -> None:
    """A bare file name in ``$ref`` leads to a schema beside it."""
    tree = {"properties": {"c": {"$ref": "manifest.schema.json#/$defs/job/properties/captions"}}}
    schema = compile_schema(tree, name="s", folder=schemas())
    found = validate({"c": {"colour": 1}}, schema, file="f", locate=lambda _path, **_: Mark(1, 1))
    assert [problem.path for problem in found] == ["$.c.colour"]


def test_what_is_no_schema_is_refused() -> None:
    """A schema is itself checked."""
    with pytest.raises(InvalidError, match="1 problem"):
        compile_schema({"type": "text"}, name="s")


def test_every_node_of_the_manifest_schema_is_described() -> None:
    """Editors show a description for every key of a manifest."""
    tree: Any = load_schema("manifest").validator.schema
    todo, missing = [((), tree)], []
    while todo:
        path, node = todo.pop()
        for name, child in node.get("properties", {}).items():
            if "description" not in child and "$ref" not in child:
                missing.append((*path, name))
            todo.append(((*path, name), child))
        for name, child in node.get("$defs", {}).items():
            todo.append(((*path, name), child))
    assert missing == []


@pytest.mark.parametrize("path", sorted(schemas().glob("*.schema.json")), ids=lambda path: path.stem)
def test_what_ships_is_a_schema(path: FilePath) -> None:
    """Each shipped schema is JSON Schema 2020-12 and leads nowhere else; runs take that on trust."""
    tree = json.loads(path.read_bytes())
    assert tree["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert compile_schema(tree, name=path.name, folder=schemas()).name == path.name


@pytest.mark.parametrize(
    ("value", "rule", "hint"),
    [
        ("5", {"type": "integer"}, "write 5, without quotes or a unit; in a template: {{ ... | int }}"),
        ("5s", {"type": ["integer", "null"]}, "write 5, without quotes or a unit; in a template: {{ ... | int }}"),
        ("2.5", {"type": "integer"}, ""),
        ("2.5", {"type": "number"}, "write 2.5, without quotes or a unit; in a template: {{ ... | float }}"),
        ("five", {"type": "integer"}, ""),
        ("yes", {"type": "boolean"}, "write true, without quotes; in a template: {{ ... == 'yes' }}"),
        ("False", {"type": "boolean"}, "write false, without quotes; in a template: {{ ... != 'False' }}"),
        ("maybe", {"type": "boolean"}, ""),
        (5, {"type": "string"}, "put it in quotes"),
        (True, {"type": "string"}, "put it in quotes"),
        ("2", {"enum": [1, 2]}, "write 2, without quotes or a unit; in a template: {{ ... | int }}"),
        (2, {"enum": ["1", "2"]}, "put it in quotes"),
    ],
)
def test_text_and_numbers_are_never_converted_but_explained(value: Any, rule: dict[str, Any], hint: str) -> None:
    """A number in quotes, a text without them, yes for true: refused, with what to write."""
    schema = compile_schema({"properties": {"a": rule}}, name="s")
    (problem,) = validate({"a": value}, schema, file="f", locate=lambda _path, **_: Mark(1, 1))
    assert problem.hint == hint
