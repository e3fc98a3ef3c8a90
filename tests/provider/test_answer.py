"""Answers that no pack's examples can show: what must hold for every pack, and for anything that arrives."""

import json
from dataclasses import fields
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renderer.provider import answer
from renderer.provider.outcome import (
    Accepted,
    Failed,
    Gone,
    Made,
    Refused,
    Rendered,
    Running,
    StatusOutcome,
    SubmitOutcome,
    Unclear,
)
from renderer.provider.pack import Packs
from renderer.provider.packfile import load_packs
from renderer.provider.wire import Reply, Request

PACKS = load_packs()
OPERATIONS = [
    (pack, operation)
    for pack in PACKS.values()
    for operation in pack.operations.values()
    if operation.submit is not None
]
SENT = Request("POST", "/", json={"voice": "v"})
NOW = 1_700_000_000.0


def reply(status: int, body: Any = "", **headers: str) -> Reply:
    """Return an answer; what is not text becomes JSON."""
    return Reply(status, headers, (body if isinstance(body, str) else json.dumps(body)).encode())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(
                [
                    "id",
                    "task_id",
                    "status",
                    "code",
                    "message",
                    "data",
                    "error",
                    "url",
                    "fliz_video_by_pk",
                    "step",
                    "results",
                ]
            ),
            inner,
        )
    ),
)


@given(st.sampled_from(OPERATIONS), st.integers(100, 599), st.binary() | JSON.map(lambda v: json.dumps(v).encode()))
def test_29_no_answer_raises(subject: Any, status: int, body: bytes) -> None:
    """Whatever arrives is read as one of the outcomes, and a submit is never accepted without a usable task."""
    pack, operation = subject
    got = Reply(status, {"retry-after": "x"}, body)
    outcome = answer.read_submit(pack, operation, got, sent=SENT, now=NOW)
    assert isinstance(outcome, get_args(SubmitOutcome))
    if isinstance(outcome, Accepted):
        assert outcome.task.strip()
        assert 200 <= status < 300
    if operation.status is not None:
        assert isinstance(answer.read_status(pack, operation, got, now=NOW), get_args(StatusOutcome))


@pytest.mark.parametrize(("pack", "operation"), [s for s in OPERATIONS if not s[1].keyed and s[1].submit.task])
@pytest.mark.parametrize("status", [100, 301, 302, 307, 308, 408, 409, 425, 500, 501, 502, 503, 504, 520])
def test_what_proves_nothing_is_a_doubt(pack: Any, operation: Any, status: int) -> None:
    """DESIGN 4: 3xx, 408, 409, 425 and 5xx that are not listed leave open whether something was bought."""
    outcome = answer.read_submit(pack, operation, reply(status, {"id": "x", "task_id": "x"}), sent=SENT, now=NOW)
    assert isinstance(outcome, Unclear)


@pytest.mark.parametrize(("pack", "operation"), [s for s in OPERATIONS if not s[1].keyed])
@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, "input"), (401, "auth"), (402, "credits"), (404, "missing"), (418, "input"), (429, "busy")],
)
def test_a_4xx_means_that_nothing_was_bought(pack: Any, operation: Any, status: int, kind: str) -> None:
    """DESIGN 4: any other 4xx is refused, with a class that every pack agrees on."""
    outcome = answer.read_submit(pack, operation, reply(status), sent=SENT, now=NOW)
    assert isinstance(outcome, Refused)
    assert outcome.fault.kind == kind


@pytest.mark.parametrize("task", [None, "", 0, True, " ", "a b", "..", "a\nb", [], {}, "x" * 301, "\ud800"])
def test_what_cannot_be_a_task_is_none(packs: Packs, task: object) -> None:
    """A 200 without a usable task is a doubt: it may have been bought."""
    pack = packs["foxapi"]
    outcome = answer.read_submit(pack, pack.operations["video"], reply(200, {"id": task}), sent=SENT, now=NOW)
    assert isinstance(outcome, Unclear)


def test_a_task_beside_an_error_code_is_not_lost(packs: Packs) -> None:
    """An answer that says failed and still names a task is collected: its status will tell."""
    pack = packs["hifly"]
    got = reply(200, {"code": 11, "task_id": "7"})
    outcome = answer.read_submit(pack, pack.operations["video-by-text"], got, sent=SENT, now=NOW)
    assert outcome == Accepted("7")


def test_a_voice_that_was_tuned_is_the_voice_that_was_sent(packs: Packs) -> None:
    """An operation without a task produces what its request named."""
    pack = packs["hifly"]
    outcome = answer.read_submit(pack, pack.operations["voice-tuning"], reply(200, {"code": 0}), sent=SENT, now=NOW)
    assert outcome == Made({"voice": "v"})


@pytest.mark.parametrize("status", [408, 409, 425, 429, 302, 502, 503, 504, 520])
def test_41_a_keyed_call_is_never_a_doubt(packs: Packs, status: int) -> None:
    """GEN_VIDEO: what is no verdict means "call again"."""
    pack = packs["gen_video"]
    outcome = answer.read_submit(pack, pack.operations["export"], reply(status), sent=SENT, now=NOW)
    assert isinstance(outcome, Running)


def test_41_a_delivered_link_wins_over_a_code(packs: Packs) -> None:
    """GEN_VIDEO: an answer with a link has delivered, whatever else it says."""
    pack = packs["gen_video"]
    got = reply(200, {"code": 9999, "video_url": "https://x.example/v.mp4"})
    outcome = answer.read_submit(pack, pack.operations["export"], got, sent=SENT, now=NOW)
    assert isinstance(outcome, Rendered)


def test_32_links_are_kept_byte_for_byte(packs: Packs) -> None:
    """%2F, %2B and the order of a query survive; what is no http address is no link."""
    pack = packs["foxapi"]
    link = "https://x.example/a%2Fb%2B.mp4?z=1&a=%3D"
    done = answer.read_status(
        pack, pack.operations["video"], reply(200, {"status": "completed", "results": [link]}), now=NOW
    )
    assert isinstance(done, Rendered)
    assert done.link == link
    odd = {"status": "completed", "results": ["file:///etc/passwd"]}
    assert isinstance(answer.read_status(pack, pack.operations["video"], reply(200, odd), now=NOW), Running)


def test_38_a_forgotten_task_is_gone(packs: Packs) -> None:
    """404, code 14, task_not_exist and null all say that the provider does not know the task."""
    cases = [
        ("fliz", "video", reply(404)),
        ("fliz", "video", reply(200, {"fliz_video_by_pk": None})),
        ("hifly", "voice", reply(200, {"code": 14})),
        ("yzx", "video", reply(400, {"code": "task_not_exist"})),
        ("foxapi", "video", reply(410)),
    ]
    for provider, operation, got in cases:
        pack = packs[provider]
        assert isinstance(answer.read_status(pack, pack.operations[operation], got, now=NOW), Gone)


def test_a_state_outranks_an_error_code(packs: Packs) -> None:
    """A running task with a leftover code is running; a failed one explains itself with the code."""
    pack = packs["hifly"]
    voice = pack.operations["voice"]
    assert isinstance(answer.read_status(pack, voice, reply(200, {"code": 11, "status": 2}), now=NOW), Running)
    failed = answer.read_status(pack, voice, reply(200, {"code": 1011, "status": 4, "message": "like"}), now=NOW)
    assert isinstance(failed, Failed)
    assert (failed.fault.kind, failed.fault.code) == ("input", "1011")
    assert "celebrity" in failed.fault.remedy


def test_a_value_without_its_value_is_not_done(packs: Packs) -> None:
    """A finished avatar without its id is asked for again, as a finished video without its link is."""
    pack = packs["hifly"]
    got = reply(200, {"code": 0, "status": 3, "avatar": ""})
    assert isinstance(answer.read_status(pack, pack.operations["avatar-by-video"], got, now=NOW), Running)


def test_43_a_signed_query_does_not_get_into_a_fault(packs: Packs) -> None:
    """What a provider echoes of a signed address does not reach records and terminals."""
    pack = packs["hifly"]
    got = reply(
        200, {"code": 2014, "message": "cannot fetch https://x.example/a.mp4?Signature=CANARY", "request_id": "r"}
    )
    outcome = answer.read_submit(pack, pack.operations["avatar-by-video"], got, sent=SENT, now=NOW)
    assert isinstance(outcome, Refused)
    assert all("CANARY" not in str(getattr(outcome.fault, field.name)) for field in fields(outcome.fault))


@pytest.mark.parametrize("body", ["<html>", {"fliz_video": None}, {"error": "x"}, ""])
def test_a_lookup_that_cannot_be_read_shows_nothing(packs: Packs, body: object) -> None:
    """No list is not an empty list: a lookup never shows that nothing was bought."""
    pack = packs["fliz"]
    assert isinstance(answer.read_lookup(pack, pack.operations["video"], reply(200, body), now=NOW), Unclear)


@pytest.mark.parametrize(
    ("written", "at"),
    [
        ("2023-11-14T22:13:20Z", NOW),
        ("2023-11-14T22:13:20", NOW),
        ("2023-11-15T00:13:20+02:00", NOW),
        (1_700_000_000, NOW),
        (1_700_000_000_000, NOW),
        ("yesterday", None),
        (None, None),
        (True, None),
    ],
)
def test_times_of_a_list_are_read_as_utc(packs: Packs, written: object, at: float | None) -> None:
    """A time with a zone, without one (UTC), in seconds or milliseconds; anything else is unknown."""
    pack = packs["fliz"]
    got = reply(200, {"fliz_video": [{"id": "a", "created_at": written}]})
    found = answer.read_lookup(pack, pack.operations["video"], got, now=NOW)
    assert isinstance(found, list)
    assert found[0].at == at
