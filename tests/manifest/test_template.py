import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renderer.manifest.job import Ref, Upload
from renderer.manifest.template import TemplateError, compile_tree

CONTEXT: dict[str, Any] = {
    "vars": {"brand": "Aurora", "n": 5},
    "each": {"images": "a|b", "items": "cell", "name": "{{ 7*7 }}{% x %}"},
    "aspect": "16:9",
    "clip": Ref("host", "url"),
    "face": Ref("host", "avatar"),
    "sound": Upload("a.wav", "00", 1),
    "options": {},
}


def render(tree: Any, **more: Any) -> Any:
    """Render a tree with the context of these tests."""
    return compile_tree(tree).render({**CONTEXT, **more})


def refusal(tree: Any) -> str:
    """Return what is wrong with a tree."""
    with pytest.raises(TemplateError) as caught:
        render(tree)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ vars.brand }} launches", "Aurora launches"), ("{{ vars.n }}", 5), ("{{ vars.n }}s", "5s"),
        ("{{ each.images.split('|') }}", ["a", "b"]), ("{{ each.items }}", "cell"), ("{{ each.name }}",
        "{{ 7*7 }}{% x %}"),
        ("{{ {'16:9': 'wide'}[aspect] }}", "wide"), ("{{ none }}", None), ("{{ sound }}", CONTEXT["sound"]),
        ("{{ options.a.b | default('z') }}", "z"), ("{{ nothing is defined }}", False),
        ("{{ vars.n > 3 and 1 or 2 }}", 1),
        ("{{ 'a' ~ vars.n ~ true }}", "a5true"), ("{{ '%03d' % vars.n }}", "005"),
        ("{{ [3, 1] | sort | join('-') }}", "1-3"),
        ("{{ vars.brand[:3] | upper }}", "AUR"), ("{{ 7 // 2 }} {{ 7 % 2 }} {{ -vars.n }}", "3 1 -5"),
        ("{% for i in [1, 2] %}{{ loop.index0 }}{{ i }}{% else %}x{% endfor %}", "0112"),
        ("{% set a = 2 %}{% if a == 1 %}x{% elif a == 2 %}y{% else %}z{% endif %}", "y"),
        ("{% raw %}{{ x }}{% endraw %}", "{{ x }}"), ("{# no #}{{ vars.n }}", 5), ("plain } text {", "plain } text {"),
        ("{{ 2.5 | round | int }}", 2), ("{{ 'x' if vars.n is odd else 'y' }}", "x"), ("a\n{{ vars.n }}\n", "a\n5\n"),
    ],
)  # fmt: skip
def test_expressions(text: str, value: Any) -> None:
    """A string that is exactly one expression keeps its type; any other becomes text; data is never evaluated."""
    assert render(text) == value


def test_omit_leaves_out_keys_and_entries() -> None:
    """``omit`` as a value leaves a key or a list entry out, also inside an expression."""
    tree = {
        "a": "{{ voice | default(omit) }}",
        "b": ["{{ omit }}", 1],
        "c": "{{ {'d': omit, 'e': [omit, 2]} }}",
        "f": {},
    }
    assert render(tree) == {"b": [1], "c": {"e": [2]}, "f": {}}


@pytest.mark.parametrize(
    ("value", "url"),
    [("https://x/a", True), ("HTTP://x", True), ("ftp://x", False), (CONTEXT["clip"], True), (CONTEXT["face"], False)],
)
def test_url_test_knows_links_and_references_to_links(value: Any, url: bool) -> None:
    """A text that begins as an address, or a reference to a link, is a url."""
    assert render("{{ value is url }}", value=value) is url


def test_every_wrong_string_is_reported_with_its_path() -> None:
    """One rendering names all strings that fail, each with the nearest known name."""
    message = refusal({"a": "{{ vars.bran }}", "b": [1, "{{ brnd }}"], "c": {"d": "{{ aspec }}"}})
    assert "$.a: there is no `bran` here (did you mean `brand`?)" in message
    assert "$.b[1]: there is no variable `brnd`" in message
    assert "$.c.d: there is no variable `aspec` (did you mean `aspect`?)" in message


HOSTILE = [
    "{{ ''.__class__ }}", "{{ ''.__class__.__mro__ }}", "{{ ''['__class__'] }}", "{{ [].append }}", "{{ vars.keys }}",
    "{{ 'a' * 10**9 }}", "{{ 10**9 * 'a' }}", "{{ [0] * 10**9 }}", "{{ '%300000000d' % 1 }}",
    "{{ '%*d' % (10**9, 1) }}",
    "{{ '%s' % ('x' * 9000000) }}", "{{ ('%s' * 10000) | format(1) }}", "{{ '{0.__class__}'.format(1) }}",
    "{{ 9**9**9 }}", "{{ 2**64 * 2**64 }}", "{{ 1e308 * 10 }}", "{{ 1 / 0 }}", "{{ 0 ** -1 }}", "{{ (-1) ** 0.5 }}",
    "{{ range(10**9) }}", "{{ range(1, 2, 0) }}", "{{ 'x' | center(10**9) }}", "{{ 'x'.ljust(10**9) }}",
    "{{ 'a' | indent(10**9) }}", "{{ ('\\n' * 10**6) | indent(900) }}", "{{ ('a,' * 10**6).split(',') }}",
    "{{ ('a' * 10**6) | replace('', 'bbbbbbbbbb') }}", "{{ ('a' * 10**6) | list }}", "{{ ('a' * 10**6) | urlencode }}",
    "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
    "{% for a in range(9999) %}{{ 'x' * 9000 }}{% endfor %}", "{% for a in [1] recursive %}{% endfor %}",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "{% include 'x' %}", "{% import 'x' as y %}",
    "{% extends 'x' %}",
    "{% set a = 'x' * 1000 %}" + "{% set a = a ~ a %}" * 40 + "{{ a }}",
    "{% set a = [1, 1] %}" + "{% set a = [a, a] %}" * 60 + "{{ a }}",
    "{% set a = [1] %}{% set b = [1] %}" + "{% set a = [a, a] %}{% set b = [b, b] %}" * 30 + "{{ a == b }}",
    "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "{{ 1" + " + 1" * 20_000 + " }}", "{{ x }}" * 20_000,
    "{{ " + "not " * 20_000 + "1 }}", "{{ lipsum() }}", "{{ cycler }}", "{{ namespace() }}", "{{ self }}",
    "{{ joiner }}",
    "{{ 'a' | attr('b') }}", "{{ [1] | map('upper') }}", "{{ dict(a=1) }}", "{{ range.__class__ }}",
    "{{ vars(**each) }}", "{{ 'a'.join(*each) }}", "{{ [1] }} text", "{{ none }} text", "{{ clip }} text",
    "{{ sound ~ '' }}",
    "{{ x", "{% if %}", "{{ 1 2 }}", "{# open", "{{ 1 if vars.n }}", "{{ 'a' < 1 }}", "{{ not undefined_name }}",
    "{{ 'x' | int }}", "{{ ('9' * 4000) | int }}", "{{ '' is divisibleby(0) }}", "{{ 5 is divisibleby(0) }}",
    "{{ [1, 'a'] | sort }}", "{{ [[1]] | unique }}", "{{ [] | first }}", "{{ [] | max }}", "{{ vars | join }} {{ x }}",
    "{{ 'abc'[::0] }}", "{{ 'abc'[9] }}", "{{ clip | tojson }}", "{{ 'a'.encode() }}", "{{ (1).real }}",
    "{{ 1.5.hex() }}",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:40])
def test_fault_13_hostile_templates_end_soon_with_a_sentence(text: str) -> None:
    """What a template may not have, or has too much of, is a located error, in little time and memory."""
    tracemalloc.start()
    started = time.monotonic()
    message = refusal({"here": [text]})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert message.startswith("$.here[0]: ")
    assert peak < 200_000_000
    assert time.monotonic() - started < 30  # a guard against hanging


def test_who_wants_too_much_is_named_alone() -> None:
    """The strings beside one that used up everything are not blamed."""
    tree = {"a": "{% for a in range(9999) %}{% for b in range(99) %}{% endfor %}{% endfor %}", "b": "{{ [1] * 9 }}"}
    with pytest.raises(TemplateError) as caught:
        render(tree)
    assert [finding.path for finding in caught.value.findings] == [("a",)]


@given(st.text())
def test_fault_12_data_arrives_as_it_is(text: str) -> None:
    """Whatever a value holds, an expression that names it gives exactly that value."""
    assert compile_tree({"a": "{{ text }}", "b": ["{{ vars.text }}"]}).render(
        {"text": text, "vars": {"text": text}}
    ) == {
        "a": text,
        "b": [text],
    }


def test_a_large_text_passes_through() -> None:
    """A value of a megabyte is handed on, not counted."""
    text = "{{ x }}\n\u202e" * 150_000
    assert render("{{ text }}", text=text) is text


def test_names_are_known() -> None:
    """A template knows the variables that it reads."""
    assert compile_tree({"a": "{{ b.c }}", "d": "{% if e %}{{ f | default(omit) }}{% endif %}"}).names == {
        "b",
        "e",
        "f",
    }
