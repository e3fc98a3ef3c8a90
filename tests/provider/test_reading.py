"""What a stranger sends is read carefully."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renderer.provider.expression import compile_expression
from renderer.provider.reading import LONGEST_MESSAGE, LONGEST_WAIT, clean, number, phrase, read_json, retry_after, word

NOW = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"{", b"NaN", b'{"a": Infinity}', b"1e999", b"[" * 100_000, b"9" * 5000, b"\xff\xfe{\x00}\x00"],
    ids=["empty", "page", "torn", "nan", "infinity", "overflow", "deep", "digits", "utf-16"],
)
def test_what_is_not_json_is_refused(body: bytes) -> None:
    """A body that is no JSON value raises ValueError and nothing else."""
    with pytest.raises(ValueError, match=r".*"):
        read_json(body)


def test_29_ids_keep_every_digit() -> None:
    """An integer beyond 2^53 is read exactly, and becomes its digits."""
    assert word(read_json(b'{"id": 12345678901234567890}')["id"]) == "12345678901234567890"


def test_a_byte_order_mark_and_duplicates_are_tolerated() -> None:
    """A BOM is dropped, and of duplicate keys the last counts."""
    assert read_json(b'\xef\xbb\xbf{"a": 1, "a": 2}') == {"a": 2}


@pytest.mark.parametrize(("value", "text"), [(True, ""), (None, ""), ([1], ""), ({}, ""), (0, "0"), ("x", "x")])
def test_only_text_and_numbers_are_words(value: object, text: str) -> None:
    """A state, code or id is text or a number; anything else is none."""
    assert word(value) == text


def test_messages_lose_what_could_hurt() -> None:
    """Control characters, reordering marks, signed queries and bearer tokens do not reach a terminal or a record."""
    said = clean("a\x1b[31m b\u202e\nc https://x.example/y?sig=SECRET&e=1 Bearer abc.SECRET d\ud800")
    assert "SECRET" not in said
    assert said == "a [31m b c https://x.example/y Bearer *** d"
    assert len(clean("x" * 10_000)) == LONGEST_MESSAGE


@given(st.text())
def test_clean_text_is_one_printable_line(text: str) -> None:
    """Whatever a provider says, it becomes one line that UTF-8 can hold."""
    said = clean(text)
    assert said.encode().decode() == said
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in said)


def test_a_structured_message_is_shown_as_json() -> None:
    """A message that is a map or a list is shown, not lost."""
    assert phrase([{"msg": "field required"}]) == '[{"msg": "field required"}]'


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        ("1.5", 1.5),
        ("-3", 0.0),
        ("86400", LONGEST_WAIT),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("Sun, 06 Nov 1994 08:49:47 GMT", 10.0),
        ("Sun, 06 Nov 1994 08:49:47 -0000", 10.0),
        ("Sun, 06 Nov 1994 08:00:00 GMT", 0.0),
        ("Sun, 06 Nov 1999 08:00:00 GMT", LONGEST_WAIT),
    ],
)
def test_30_retry_after_is_bounded(header: str | None, seconds: float | None) -> None:
    """Retry-After as seconds, as a date, negative, huge or absurd: a wait within bounds, or none."""
    assert retry_after(header, NOW) == seconds


@pytest.mark.parametrize(
    ("found", "value"), [("40%", 40.0), (" 7 ", 7.0), (250, 100.0), (-1, 0.0), (True, None), ("x", None), ([], None)]
)
def test_progress_is_a_number_within_bounds(found: object, value: float | None) -> None:
    """Progress may be text with a percent sign; what is no number is none."""
    assert number(compile_expression("p"), {"p": found}, most=100.0) == value


@pytest.mark.parametrize("data", [None, 1, "x", [], [1], {"a": 1}, {"a": []}])
def test_an_expression_never_raises(data: object) -> None:
    """An answer of another shape than expected gives None."""
    assert compile_expression("keys(a)[0].b || join('', a)").find(data) is None
