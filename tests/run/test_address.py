import pytest

from renderer.run.address import is_public, parse, shown


@pytest.mark.parametrize(
    ("url", "origin", "target"),
    [
        ("https://Example.com", "https://example.com:443", "/"),
        ("HTTP://example.com:8080/a%2fb?x=%2B#f", "http://example.com:8080", "/a%2fb?x=%2B"),
        ("https://h?sig=1", "https://h:443", "/?sig=1"),
        ("https://[2001:DB8::1]:444/x", "https://[2001:db8::1]:444", "/x"),
        ("https://münchen.example/ü b", "https://xn--mnchen-3ya.example:443", "/%C3%BC%20b"),
    ],
)
def test_an_address_keeps_the_target_as_it_was_written(url: str, origin: str, target: str) -> None:
    """Scheme and host are folded; path and query are not touched."""
    address = parse(url)
    assert (address.origin, address.target) == (origin, target)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "ftp://h/",
        "https:///x",
        "https://u:p@h/",
        "https://h\\@g/",
        "https://h/a\r\nX: y",
        "https://h:0/",
        "https://h:65536/",
        "https://[::1::2]/",
        "https://a b/",
        "https://h|g/",
        "https://..example/",
    ],
)
def test_what_is_no_web_address_is_refused(url: str) -> None:
    """The message shows neither a password nor a line break."""
    with pytest.raises(ValueError, match=r"address|host|port") as error:
        parse(url)
    assert "u:p@" not in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://h/a?sig=1#f", "https://h/a"),
        ("https://u:p@h/a", "https://h/a"),
        ("https://h?x=a@b", "https://h"),
        ("no url?x=1", "no url"),
    ],
)
def test_what_is_shown_of_a_url_has_no_query(url: str, text: str) -> None:
    """What may be a signature or a password does not get into messages."""
    assert shown(url) == text


@pytest.mark.parametrize(
    ("host", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("198.18.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::808:808", True),
        ("2002:7f00:1::", False),
    ],
)
def test_31_an_address_is_public_or_not(host: str, public: bool) -> None:
    """Loopback, private, link-local and shared ones are not, also where IPv6 wraps them."""
    assert is_public(host) is public
