import asyncio
import gzip
import logging
import ssl
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from renderer.errors import UsageError
from renderer.provider.wire import Request
from renderer.run.transport import Forbidden, Lost, Service, Transport, Unsent

CANARY = "canary-5f2c"
GET = Request("GET", "/status")
SUBMIT = Request("POST", "/v1/make", json={"prompt": "a \U0001f408, «quoted»", "n": 1})
PUBLIC = "https://8.8.8.8"  # an address that is public without a look at DNS; nothing is ever sent to it


def service(url: str) -> Service:
    """Return a service with the canary as its secret."""
    return Service(url, "Authorization: Bearer", CANARY)


async def _answers(exchange: Any) -> None:
    while True:
        await exchange.request()
        await exchange.answer(b'{"ok":true}')


async def _closes_unread(exchange: Any) -> None:
    pass


async def _resets_after_request(exchange: Any) -> None:
    await exchange.request()
    exchange.reset()


async def _closes_after_request(exchange: Any) -> None:
    await exchange.request()


async def _half_a_header(exchange: Any) -> None:
    await exchange.request()
    await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Le")


async def _not_http(exchange: Any) -> None:
    await exchange.request()
    await exchange.send(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")


async def _half_a_body(exchange: Any) -> None:
    await exchange.request()
    await exchange.send(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"id":')


async def _chunks_cut(exchange: Any) -> None:
    await exchange.request()
    await exchange.send(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n{"id":\r\n')


async def _silent_after_head(exchange: Any) -> None:
    await exchange.request()
    await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
    await asyncio.sleep(30)


async def _drips(exchange: Any) -> None:
    await exchange.request()
    await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n")
    for _ in range(200):
        await exchange.send(b"x")
        await asyncio.sleep(0.05)


async def _silent(exchange: Any) -> None:
    await exchange.reader.read()


async def _too_much(exchange: Any) -> None:
    await exchange.request()
    await exchange.answer(b"x" * 5000)


async def _bomb(exchange: Any) -> None:
    await exchange.request()
    await exchange.answer(gzip.compress(b"x" * 1_000_000), Content_Encoding="gzip")


async def _broken_gzip(exchange: Any) -> None:
    await exchange.request()
    await exchange.answer(gzip.compress(b"x" * 100)[:20], Content_Encoding="gzip")


@pytest.mark.parametrize(
    "handler",
    [
        _closes_unread,
        _resets_after_request,
        _closes_after_request,
        _half_a_header,
        _not_http,
        _half_a_body,
        _chunks_cut,
        _silent_after_head,
        _drips,
        _silent,
        _too_much,
        _bomb,
        _broken_gzip,
    ],
)
@pytest.mark.parametrize("fresh", [True, False])
def test_whatever_goes_wrong_once_connected_is_lost(run: Any, serve: Any, handler: Any, fresh: bool) -> None:
    """From the moment a connection stands, everything but a whole answer leaves a doubt."""

    async def main() -> None:
        async with serve(handler) as server, Transport({"p": service(server.url)}, body_cap=1000) as transport:
            with pytest.raises(Lost) as error:
                await transport.call("p", SUBMIT, timeout=0.4, fresh=fresh)
            assert CANARY not in str(error.value)

    run(main())


def test_a_refused_connection_sent_nothing(run: Any, serve: Any) -> None:
    """Nobody listens: unsent."""

    async def main() -> None:
        async with serve(_answers) as server:
            url = server.url
        async with Transport({"p": service(url)}) as transport:
            with pytest.raises(Unsent, match="refused") as error:
                await transport.call("p", SUBMIT, timeout=5, fresh=True)
            assert error.value.kind == "connect"

    run(main())


def test_a_name_that_does_not_resolve_sent_nothing(run: Any) -> None:
    """DNS fails: unsent, and the message names the host."""

    async def main() -> None:
        async with Transport({"p": service("https://no-such-host.invalid")}) as transport:
            with pytest.raises(Unsent, match=r"no-such-host\.invalid") as error:
                await transport.call("p", SUBMIT, timeout=10, fresh=True)
            assert error.value.kind == "connect"

    run(main())


@pytest.mark.parametrize(("connect", "timeout"), [(0.2, 10.0), (10.0, 0.2)])
def test_a_handshake_that_stalls_sent_nothing(run: Any, serve: Any, connect: float, timeout: float) -> None:
    """TLS is part of the connection: whichever deadline ends it, no request was sent."""

    async def main() -> None:
        async with serve(_silent) as server:
            url = server.url.replace("http:", "https:")
            async with Transport({"p": service(url)}, connect=connect) as transport:
                with pytest.raises(Unsent, match="in time") as error:
                    await transport.call("p", SUBMIT, timeout=timeout, fresh=True)
                assert error.value.kind == "connect"

    run(main())


def test_a_certificate_that_is_not_trusted_sent_nothing(run: Any, serve: Any, certificate: ssl.SSLContext) -> None:
    """The server sees no request, and the kind says that trying again is useless."""

    async def main() -> None:
        async with (
            serve(_answers, tls=certificate) as server,
            Transport({"p": service(server.url)}) as transport,
        ):
            with pytest.raises(Unsent, match="certificate") as error:
                await transport.call("p", SUBMIT, timeout=5, fresh=True)
            assert error.value.kind == "tls"
            assert server.heads == []

    run(main())


def test_a_certificate_of_another_host_sent_nothing(
    run: Any, serve: Any, certificate: ssl.SSLContext, authority: ssl.SSLContext
) -> None:
    """A trusted certificate for another name is as bad; for the right name the call goes through."""

    async def main() -> None:
        async with serve(_answers, tls=certificate) as server:
            urls = {"right": server.url, "wrong": f"https://127.0.0.2:{server.port}"}
            listener = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.2", 0, ssl=certificate)
            urls["wrong"] = f"https://127.0.0.2:{listener.sockets[0].getsockname()[1]}"
            async with Transport({name: service(url) for name, url in urls.items()}, tls=authority) as transport:
                with pytest.raises(Unsent) as error:
                    await transport.call("wrong", SUBMIT, timeout=5, fresh=True)
                assert error.value.kind == "tls"
                assert (await transport.call("right", SUBMIT, timeout=5, fresh=True)).status == 200
            listener.close()
            await listener.wait_closed()

    run(main())


def test_who_waits_for_a_socket_sent_nothing(run: Any, serve: Any) -> None:
    """A deadline that passes while all sockets are taken is no doubt."""

    async def main() -> None:
        async with serve(_silent) as server, Transport({"p": service(server.url)}, sockets=1) as transport:
            first = asyncio.create_task(transport.call("p", GET, timeout=1.0))
            await asyncio.sleep(0.1)
            with pytest.raises(Unsent, match="in time"):
                await transport.call("p", SUBMIT, timeout=0.2)
            with pytest.raises(Lost):
                await first

    run(main())


def test_a_request_goes_out_as_it_was_made(run: Any, serve: Any) -> None:
    """Path and query byte for byte, JSON compact and in UTF-8, one credential, nothing compressed, no cookies."""

    async def main() -> None:
        async def sets_cookie(exchange: Any) -> None:
            while True:
                await exchange.request()
                await exchange.answer(Set_Cookie="a=b")

        async with serve(sets_cookie) as server, Transport({"p": service(f"{server.url}/base/")}) as transport:
            request = Request("POST", "/v1/a%2Fb~%7E", query={"x": "a b+c=/&"}, json=SUBMIT.json)
            for _ in range(2):
                reply = await transport.call("p", request, timeout=5)
            assert reply.body == b"{}"
            assert reply.headers["set-cookie"] == "a=b"
            assert server.target() == "/base/v1/a%2Fb~%7E?x=a%20b%2Bc%3D%2F%26"
            assert server.bodies[-1].decode() == '{"prompt":"a \U0001f408, «quoted»","n":1}'
            assert server.header("authorization") == f"Bearer {CANARY}"
            assert server.header("accept-encoding") == "identity"
            assert server.header("content-type") == "application/json"
            assert server.header("host") == f"127.0.0.1:{server.port}"
            assert server.header("cookie") is None

    run(main())


def test_a_request_without_a_body_has_none(run: Any, serve: Any) -> None:
    """No JSON: no body, and nothing that speaks of one."""

    async def main() -> None:
        async with serve(_answers) as server, Transport({"p": Service(server.url)}) as transport:
            await transport.call("p", Request("POST", "/cancel"), timeout=5)
            assert (server.header("content-length"), server.header("content-type")) == ("0", None)
            assert server.header("authorization") is None

    run(main())


@pytest.mark.parametrize("status", ["302 Found", "307 Temporary Redirect", "308 Permanent Redirect"])
def test_31_a_redirect_is_an_answer(run: Any, serve: Any, status: str) -> None:
    """A submit is not repeated elsewhere: the other host sees no connection at all."""

    async def main() -> None:
        async with serve(_answers) as other:

            async def redirects(exchange: Any) -> None:
                await exchange.request()
                await exchange.answer(b"", status=status, Location=f"{other.url}/elsewhere")

            async with serve(redirects) as server, Transport({"p": service(server.url)}) as transport:
                reply = await transport.call("p", SUBMIT, timeout=5, fresh=True)
            assert reply.status == int(status[:3])
            assert other.connections == 0

    run(main())


def test_a_fresh_call_does_not_reuse_a_connection(run: Any, serve: Any) -> None:
    """Other calls share one; a submit never meets a connection that the server has given up."""

    async def main() -> None:
        async with serve(_answers) as server, Transport({"p": service(server.url)}) as transport:
            for _ in range(3):
                await transport.call("p", GET, timeout=5)
            assert server.connections == 1
            for _ in range(2):
                await transport.call("p", SUBMIT, timeout=5, fresh=True)
            assert server.connections == 3

    run(main())


def test_an_answer_that_was_compressed_all_the_same_is_read(run: Any, serve: Any) -> None:
    """An id must not be lost because a server ignores that nothing compressed was asked for."""

    async def main() -> None:
        packed = iter([("gzip", gzip.compress(b'{"id":7}')), ("deflate", zlib.compress(b'{"id":7}'))])

        async def compresses(exchange: Any) -> None:
            while True:
                await exchange.request()
                coding, body = next(packed)
                await exchange.answer(body, Content_Encoding=coding)

        async with serve(compresses) as server, Transport({"p": service(server.url)}) as transport:
            for _ in range(2):
                assert (await transport.call("p", GET, timeout=5)).body == b'{"id":7}'

    run(main())


def test_a_proxy_of_the_environment_is_not_used(run: Any, serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP_PROXY points to nobody; the call goes through all the same."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    async def main() -> None:
        async with serve(_answers) as server, Transport({"p": service(server.url)}) as transport:
            assert (await transport.call("p", GET, timeout=5)).status == 200

    run(main())


def test_32_an_upload_uses_its_address_byte_for_byte(run: Any, serve: Any, tmp_path: Path) -> None:
    """Signed address, exact type, known length, the file's bytes; no credential even on the provider's own origin."""
    file = tmp_path / "voice.wav"
    file.write_bytes(bytes(range(256)) * 10_000)

    async def main() -> None:
        async with serve(_answers) as server, Transport({"p": service(server.url)}) as transport:
            target = "/up%2Fload?Signature=a%2Bb%3D&Expires=1&OSSAccessKeyId='x|y'&z="
            url = f"{server.url}{target}"
            reply = await transport.put("p", url, path=file, content_type="audio/x-wav", timeout=5)
            assert reply.status == 200
            assert server.target() == target
            assert server.bodies == [file.read_bytes()]
            assert server.header("content-type") == "audio/x-wav"
            assert server.header("transfer-encoding") is None
            assert server.header("authorization") is None

    run(main())


def test_an_empty_upload_has_length_zero(run: Any, serve: Any, tmp_path: Path) -> None:
    """Also a file without bytes is sent with its length."""
    file = tmp_path / "empty"
    file.touch()

    async def main() -> None:
        async with serve(_answers) as server, Transport({"p": service(server.url)}) as transport:
            await transport.put("p", f"{server.url}/x", path=file, content_type="text/plain", timeout=5)
            assert (server.header("content-length"), server.header("content-type")) == ("0", "text/plain")

    run(main())


async def _fetch(transport: Transport, url: str) -> tuple[int, bytes]:
    async with transport.stream("p", url, headers={"Range": "bytes=0-"}, stall=2) as answer:
        return answer.status, b"".join([piece async for piece in answer.pieces])


def test_32_a_link_is_used_byte_for_byte(run: Any, serve: Any) -> None:
    """Escapes, their case, dots and the order of the query stay; only what HTTP cannot carry is encoded."""

    async def main() -> None:
        async with serve(_answers) as server, Transport({"p": service(server.url)}) as transport:
            target = "/a%2Fb/../c%7e~/%e4?z=%2B%3d&a=1&a='|+&sig=x%2Fy==&empty"
            assert await _fetch(transport, f"{server.url}{target}#fragment") == (200, b'{"ok":true}')
            assert server.target() == target
            await _fetch(transport, f"{server.url}/雪 1.mp4")
            assert server.target() == "/%E9%9B%AA%201.mp4"

    run(main())


def test_32_a_credential_stays_on_its_own_origin(run: Any, serve: Any) -> None:
    """With it at the provider's origin; without it elsewhere; without it once redirected, even back home."""

    async def main() -> None:
        async with serve(_answers) as other:

            async def home(exchange: Any) -> None:
                await exchange.request()
                match server.target():
                    case "/off":
                        await exchange.answer(b"", status="302 Found", Location=f"{other.url}/cdn?sig=%2B")
                    case "/back":
                        await exchange.answer(b"", status="307 Temporary Redirect", Location="/content")
                    case _:
                        await exchange.answer(b"file")

            async with serve(home) as server, Transport({"p": service(server.url)}) as transport:
                await _fetch(transport, f"{server.url}/content")
                assert server.header("authorization") == f"Bearer {CANARY}"
                await _fetch(transport, f"{other.url}/file")
                assert other.header("authorization") is None
                await _fetch(transport, f"{server.url}/off")
                assert (other.target(), other.header("authorization")) == ("/cdn?sig=%2B", None)
                assert other.header("range") == "bytes=0-"
                assert await _fetch(transport, f"{server.url}/back") == (200, b"file")
                assert (server.target(), server.header("authorization")) == ("/content", None)

    run(main())


def test_redirects_of_a_download_are_bounded(run: Any, serve: Any) -> None:
    """A loop ends."""

    async def main() -> None:
        async def loops(exchange: Any) -> None:
            await exchange.request()
            await exchange.answer(b"", status="302 Found", Location="/again?secret=1")

        async with serve(loops) as server, Transport({"p": service(server.url)}) as transport:
            with pytest.raises(Forbidden, match="5 times") as error:
                await _fetch(transport, f"{server.url}/start?secret=1")
            assert len(server.heads) == 6
            assert "secret" not in str(error.value)

    run(main())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"])
@pytest.mark.parametrize("way", ["stream", "put"])
def test_31_a_private_address_of_a_public_provider_is_refused(
    run: Any, serve: Any, tmp_path: Path, host: str, way: str
) -> None:
    """However it is written and whatever name leads to it: no connection is made."""
    file = tmp_path / "x"
    file.write_bytes(b"x")

    async def main() -> None:
        async with serve(_answers) as server, Transport({"p": service(PUBLIC)}) as transport:
            url = f"https://{host}:{server.port}/file?sig=secret"
            upload = transport.put("p", url, path=file, content_type="x/y", timeout=5)
            fetch = _fetch(transport, url)
            chosen, other = (fetch, upload) if way == "stream" else (upload, fetch)
            other.close()
            with pytest.raises((Forbidden, Unsent)) as error:
                await chosen
            # Old spellings of an address may be no address at all; then nobody is reached either.
            assert isinstance(error.value, Forbidden) or host in ("2130706433", "0x7f.1")
            assert server.connections == 0
            assert "secret" not in str(error.value)

    run(main())


def test_31_plain_http_is_refused_where_the_provider_has_https(
    run: Any, serve: Any, certificate: ssl.SSLContext, authority: ssl.SSLContext
) -> None:
    """Also as a redirect from a good link."""

    async def main() -> None:
        async with serve(_answers) as plain:

            async def redirects(exchange: Any) -> None:
                await exchange.request()
                await exchange.answer(b"", status="302 Found", Location=f"{plain.url}/x")

            async with (
                serve(redirects, tls=certificate) as server,
                Transport({"p": service(server.url)}, tls=authority) as transport,
            ):
                for url in (f"{plain.url}/x", f"{server.url}/x"):
                    with pytest.raises(Forbidden, match="plain http"):
                        await _fetch(transport, url)
            assert plain.connections == 0

    run(main())


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://h/x", "//h/x", "https://u:pw@h/x", "https://h\\@g/", "x"])
def test_a_link_that_is_no_web_address_is_refused(run: Any, url: str) -> None:
    """Other schemes, user names and tricks with backslashes lead nowhere, and show no password."""

    async def main() -> None:
        async with Transport({"p": service(PUBLIC)}) as transport:
            with pytest.raises(Forbidden) as error:
                await _fetch(transport, url)
            assert "pw" not in str(error.value)

    run(main())


@pytest.mark.parametrize("handler", [_half_a_body, _chunks_cut, _silent_after_head])
def test_a_download_that_breaks_off_is_lost(run: Any, serve: Any, handler: Any) -> None:
    """Cut or silent: the pieces end with an error, never quietly."""

    async def main() -> None:
        async with serve(handler) as server, Transport({"p": service(server.url)}) as transport:
            async with transport.stream("p", f"{server.url}/x?sig=secret", stall=0.2) as answer:
                with pytest.raises(Lost) as error:
                    async for _ in answer.pieces:
                        pass
            assert "secret" not in str(error.value)

    run(main())


def test_43_no_secret_and_no_query_in_an_error(run: Any, serve: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in messages nor in what an error came from, nor in a log."""
    caplog.set_level(logging.DEBUG)

    async def main() -> None:
        async with serve(_closes_after_request) as server, Transport({"p": service(server.url)}) as transport:
            with pytest.raises(Lost) as error:
                await transport.call("p", Request("GET", "/x", query={"sig": "q-canary"}), timeout=5)
            seen = f"{error.value!r} {error.value.__cause__!r} {transport!r} {caplog.text}"
            assert CANARY not in seen
            assert "q-canary" not in seen

    run(main())


def test_17_a_service_does_not_show_its_secret() -> None:
    """Neither as text nor in its repr."""
    assert CANARY not in f"{service(PUBLIC)} {service(PUBLIC)!r}"


@pytest.mark.parametrize("secret", ["", "two\nlines", "end\n", " lead", "tab\tbed", "naïve", "nul\x00"])
def test_17_a_credential_that_http_cannot_carry_is_refused(secret: str) -> None:
    """The message does not repeat it."""
    with pytest.raises(UsageError) as error:
        Service(PUBLIC, "Authorization: Bearer", secret)
    assert not secret.strip() or secret.strip() not in error.value.message


@pytest.mark.parametrize("header", ["", "Bad Name", "X\r\nY: z", "X-Key: a\nb"])
def test_a_header_that_http_cannot_carry_is_refused(header: str) -> None:
    """So that a pack cannot smuggle a second header in."""
    with pytest.raises(UsageError):
        Service(PUBLIC, header, CANARY)


@pytest.mark.parametrize(
    "url", ["", "api.example.com", "https://", "https://h:99999", "https://a:pw@h", "https://h?k=pw"]
)
def test_a_base_url_that_cannot_be_used_is_refused(url: str) -> None:
    """Without showing what may be a password."""
    with pytest.raises(UsageError) as error:
        Service(url)
    assert "pw" not in error.value.message


def test_a_scheme_is_optional_in_a_credentials_header() -> None:
    """``X-Key`` sends the bare secret, ``Authorization: Bearer`` puts its scheme in front."""
    assert Service(PUBLIC, "X-Key", "s").credential() == {"X-Key": "s"}
    assert Service(PUBLIC, "Authorization: Bearer", "s").credential() == {"Authorization": "Bearer s"}
    assert Service(PUBLIC, "X-Key", None).credential() == {}


def test_a_hundred_calls_at_once_all_come_back(run: Any, serve: Any) -> None:
    """Requests in flight do not get in each other's way."""

    async def main() -> None:
        async with serve(_answers) as server, Transport({"p": service(server.url)}) as transport:
            calls: list[Callable[[], Any]] = [lambda: transport.call("p", GET, timeout=15)] * 300
            replies = await asyncio.gather(*(call() for call in calls))
            assert {reply.status for reply in replies} == {200}
            assert server.connections <= 100

    run(main())
