"""Result links and ranges, and the sandbox's own pages."""

import re
from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture(scope="module")
def link(sandbox: Any) -> str:
    """A good link to a finished video."""
    return sandbox.fliz_link()


def test_a_link_needs_escapes_to_survive(link: str) -> None:
    """Every link has %2F, %2B and %3D in it, so that a client that re-encodes cannot pass."""
    assert {"%2F", "%2B", "%3D"} <= set(re.findall(r"%..", link))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda link: link.replace("%2F", "/", 1),
        lambda link: link.replace("%2B", "+", 1),
        lambda link: link.replace("%3D", "="),
        lambda link: link.replace("%3D", "%3d"),
        lambda link: link.partition("?")[0],
        lambda link: link + "&a=b",
        lambda link: re.sub(r"\?(Expires=\d+)&(.*?)&", r"?\2&\1&", link),
        lambda link: re.sub(r"Expires=\d", "Expires=9", link),
    ],
)
def test_a_link_is_good_only_byte_for_byte(sandbox: Any, link: str, spoil: Callable[[str], str]) -> None:
    """An escape undone, another case or order, a query dropped or added: 403."""
    assert spoil(link) != link
    assert sandbox.api().get(spoil(link)).status_code == 403


def test_an_expired_link_is_refused_and_a_new_one_is_given(start: Any) -> None:
    """After its lifetime a link is 403, and the status has a fresh one."""
    sandbox = start(faults={"limits": {"link_lifetime": 1}})
    video = sandbox.fliz_video()
    link = sandbox.fliz_link(video)
    sandbox.until(lambda: sandbox.api().get(link).status_code, lambda status: status == 403)
    assert sandbox.api().get(sandbox.fliz_link(video)).status_code == 200


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("bytes=0-9", slice(0, 10)),
        ("bytes=100-", slice(100, None)),
        ("bytes=-5", slice(-5, None)),
        ("bytes=5-999999999", slice(5, None)),
    ],
)
def test_a_range_is_that_part_of_the_file(sandbox: Any, link: str, asked: str, part: slice) -> None:
    """A single range is a 206 with its Content-Range and exactly those bytes."""
    whole = sandbox.api().get(link).content
    answer = sandbox.api().get(link, headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.content == whole[part]
    start, end, size = map(int, re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.headers["content-range"]).groups())
    assert (whole[start : end + 1], size) == (answer.content, len(whole))


@pytest.mark.parametrize("asked", ["bytes=99999999-", "bytes=-0"])
def test_a_range_outside_the_file_is_a_416(sandbox: Any, link: str, asked: str) -> None:
    """A range that starts behind the end is refused with the file's size."""
    answer = sandbox.api().get(link, headers={"Range": asked})
    assert answer.status_code == 416
    assert answer.headers["content-range"].startswith("bytes */")


@pytest.mark.parametrize("asked", ["bytes=5-2", "bytes=-", "lines=1-2", "bytes=0-1,3-4"])
def test_a_range_that_is_none_is_ignored(sandbox: Any, link: str, asked: str) -> None:
    """What is no valid single range gets the whole file."""
    assert sandbox.api().get(link, headers={"Range": asked}).status_code == 200


def test_if_range_compares_the_etag(sandbox: Any, link: str) -> None:
    """A range holds only while If-Range names the file's own strong ETag."""
    tag = sandbox.api().get(link).headers["etag"]
    assert not tag.startswith("W/")
    statuses = [
        sandbox.api().get(link, headers={"Range": "bytes=1-", "If-Range": known}).status_code
        for known in (tag, '"other"')
    ]
    assert statuses == [206, 200]


def test_head_tells_the_length_without_the_file(sandbox: Any, link: str) -> None:
    """HEAD has the headers of GET and no body."""
    head, got = sandbox.api().head(link), sandbox.api().get(link)
    assert head.headers["content-length"] == str(len(got.content))
    assert head.headers["etag"] == got.headers["etag"]
    assert head.content == b""


def test_the_landing_page_can_be_pasted_into_a_shell(sandbox: Any) -> None:
    """GET / names each provider's base URL variable."""
    text = sandbox.api().get("/").text
    for provider in ("fliz", "hifly", "gen_video", "yzx", "foxapi"):
        assert f"export {provider.upper()}_BASE_URL={sandbox.origin}/{provider}\n" in text


def test_an_unknown_path_is_the_providers_own_404(sandbox: Any) -> None:
    """A path or a method that an API does not have is refused in its shape."""
    assert sandbox.api("yzx").get("/v1/nothing").json()["error"]["message"]
    assert sandbox.api("gen_video").get("/v1/gen_video").status_code == 404


def test_the_request_log_has_no_credentials(sandbox: Any, link: str) -> None:
    """Requests are logged with path and status, never with a token or a signed query."""
    text = str(sandbox.requests())
    assert "/api/rest/video" in text
    assert "Bearer" not in text
    assert "Signature" not in text
