import pytest

from renderer.errors import InvalidError, Problem
from renderer.manifest.decoding import MAX_BYTES
from renderer.manifest.position import Mark
from renderer.manifest.yamlfile import read_yaml


def problems(data: bytes | str) -> list[Problem]:
    """Return what is wrong with a file that must be refused."""
    with pytest.raises(InvalidError) as caught:
        read_yaml(data.encode() if isinstance(data, str) else data, file="m.yaml")
    return list(caught.value.problems)


def only(data: bytes | str) -> tuple[str, int, int]:
    """Return code, line and column of the one problem of a file."""
    (problem,) = problems(data)
    return problem.code, problem.line, problem.column


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("16:9", "16:9"), ("no", "no"), ("012", "012"), ("-012", "-012"), ("2026-01-02", "2026-01-02"), ("1e3x",
        "1e3x"),
        ("1_000", "1_000"), ("0", 0), ("0.5", 0.5), ("1e3", 1000.0), (".5", 0.5), ("+5", 5), ("-7", -7), ("0x1F", 31),
        ("0o17", 15), ("017.5", "017.5"), ("~", None), ("null", None), ("true", True), ("False", False), ("yes", "yes"),
        ("'1'", "1"), ('"\\u00e9"', "é"), ("|\n  a\n  b\n", "a\nb\n"), ("9007199254740991", 2**53 - 1), ("=", "="),
    ],
)  # fmt: skip
def test_fault_1_scalars_follow_the_core_schema(text: str, value: object) -> None:
    """Plain scalars mean what YAML 1.2 core says; digits with a leading zero, ratios and dates stay text."""
    found = read_yaml(f"v: {text}\n".encode(), file="m.yaml").data["v"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", ["title: {{ x }}", "title: {{ x }} and more", "{title: {{ x | default('a: b') }}}"])
def test_fault_1_an_unquoted_template_is_named(text: str) -> None:
    """A template that YAML takes for a map is told to be quoted, at its first brace."""
    (problem,) = problems(text)
    assert (problem.code, problem.line, problem.column) == ("unquoted-template", 1, text.index("{{") + 1)
    assert "quote it" in problem.message


def test_fault_2_duplicate_keys_name_both_lines() -> None:
    """A key that is given twice is an error at the second that names the line of the first."""
    (problem,) = problems("a: 1\nb: 2\na: 3\n")
    assert (problem.line, problem.column, problem.path) == (3, 1, "$.a")
    assert "line 1" in problem.message


def test_fault_3_an_alias_bomb_is_refused_before_it_is_built() -> None:
    """Aliases count as often as what they stand for."""
    bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
    bomb += "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30))
    assert only(bomb)[0] == "nodes"


def test_fault_3_aliases_do_not_hide_depth() -> None:
    """A chain of aliases is as deep as what it stands for."""
    chain = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 200))
    assert only(chain)[0] == "depth"


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: &a {b: {c: *a}}", "&a [*a]"])
def test_fault_3_an_anchor_that_holds_itself_is_refused(text: str) -> None:
    """A node cannot be inside itself."""
    assert only(text)[0] == "alias"


def test_an_alias_stands_for_its_anchor() -> None:
    """An alias gives the value of its anchor, and has the position of the alias."""
    document = read_yaml(b"a: &a {x: 1}\nb: *a\n", file="m.yaml")
    assert document.data == {"a": {"x": 1}, "b": {"x": 1}}
    assert document.locate(("b", "x")) == Mark(2, 4)


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, "? " * 100_000])
def test_fault_4_deep_nesting_is_a_clean_error(text: str) -> None:
    """100,000 open brackets end at the depth cap; the process lives on."""
    assert problems(text)


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system [x]", "!env X", "!!binary aGk=", "!!set {a}", "!!str 5"]
)
def test_fault_5_tags_are_refused_with_their_line(tag: str) -> None:
    """No tag is supported, and none runs anything."""
    assert only(f"a: 1\nb: {tag}\n") == ("tag", 2, 4)


@pytest.mark.parametrize("number", [".nan", ".inf", "-.INF", "9" * 5000, "9007199254740992", "1e999", "0x" + "f" * 20])
def test_fault_6_numbers_that_json_cannot_hold_are_refused(number: str) -> None:
    """A number that would be rounded, or is none, is a located error."""
    assert only(f"a: 1\nseed: {number}\n") == ("number", 2, 7)


def test_fault_7_a_bom_is_accepted() -> None:
    """A UTF-8 BOM is no part of the text, and moves no column."""
    document = read_yaml(b"\xef\xbb\xbfa: x\n", file="m.yaml")
    assert document.data == {"a": "x"}
    assert document.locate(("a",)) == Mark(1, 4)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("a: x\n".encode("utf-16"), ("encoding", 1, 1)),
        ("a: x\n".encode("utf-16-le"), ("character", 1, 2)),
        (b"a: 1\nb: x\0y\n", ("character", 2, 5)),
        (b"a: 1\nb: ol\xe9\n", ("encoding", 2, 6)),
        (b"a: 1\nb: \xed\xa0\x80\n", ("encoding", 2, 4)),
        (b'a: "\\ud800"\n', ("yaml", 1, 7)),
        (b"a:\n\tb: 1\n", ("yaml", 2, 1)),
        ("a: x\u2028y\n".encode(), ("character", 1, 5)),
        (b"", ("empty", 1, 1)),
        (b"# only\n# comments\n", ("empty", 1, 1)),
        (b"---\n", ("empty", 1, 1)),
        (b"a: 1\n---\nb: 2\n", ("documents", 2, 1)),
        (b"a" * (MAX_BYTES + 1), ("size", 1, 1)),
        (b"a: b: c\n", ("yaml", 1, 5)),
        (b"a: 'x\n", ("yaml", 2, 1)),
        (b"? [a]\n: b\n", ("key", 1, 3)),
        (b"a: {x: 1}\nb:\n  <<: 1\n", ("merge-key", 3, 3)),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_fault_7_what_is_not_one_yaml_text_is_a_located_error(data: bytes, expected: tuple[str, int, int]) -> None:
    """Encodings, stray characters, tabs, empty files and several documents each have their own message."""
    assert only(data) == expected


def test_every_problem_is_reported_at_once() -> None:
    """What can be read past is collected."""
    assert [problem.code for problem in problems("a: !x 1\nb: .nan\nb: 2\nc: {{ d }}\n")] == [
        "tag", "number", "duplicate-key", "unquoted-template",
    ]  # fmt: skip


def test_positions_of_nodes_and_keys() -> None:
    """Lines and columns count from 1, in characters; a path without a node has its parent's."""
    document = read_yaml("é: [ü, {x: 1}]\n".encode(), file="m.yaml")
    assert document.locate(("é",)) == Mark(1, 4)
    assert document.locate(("é", 1, "x")) == Mark(1, 12)
    assert document.locate(("é", 1, "x"), key=True) == Mark(1, 9)
    assert document.locate(("é", 1, "y")) == Mark(1, 8)
    assert document.problem(("é", 0), "c", "m").path == "$.é[0]"


def test_keys_are_text() -> None:
    """A key is its text, whatever it looks like."""
    assert read_yaml(b"2024: a\ntrue: b\n012: c\n", file="m.yaml").data == {"2024": "a", "true": "b", "012": "c"}


@pytest.mark.parametrize(
    "text", ["a:\n  color: #ff0000\n", "a: {color: #fff}\n", "a: {b: #FFF, c: 1}\nc: 2\n", "- #123abc\n"]
)
def test_a_color_that_became_a_comment_is_told(text: str) -> None:
    """An unquoted #rrggbb is a comment to YAML; the value must not be dropped in silence."""
    with pytest.raises(InvalidError) as caught:
        read_yaml(text.encode(), file="f")
    (problem,) = caught.value.problems
    assert 'write "#' in problem.hint


def test_other_comments_are_comments() -> None:
    """What follows an empty value and is no color is left alone."""
    text = b"a: # note\n  b: 1\nc: #TODO\nd: #decade of x\ne: x #fff\n#fff\n"
    assert read_yaml(text, file="f").data == {"a": {"b": 1}, "c": None, "d": None, "e": "x"}
