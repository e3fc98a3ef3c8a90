"""Where a URL leads, without changing a byte of it; and what of it may be shown.

Signed links break when anybody "normalises" them, so an :class:`Address` keeps the request target as it was written.
Only what HTTP cannot carry at all (a space, a non-ASCII letter) is percent-encoded. This module is pure: it
resolves no name and opens no socket.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Literal

_URL = re.compile(
    r"(?P<scheme>https?)://(?:\[(?P<six>[0-9a-f:.]+)\]|(?P<name>[^:/?#@\\\[\]\s]+))(?::(?P<port>\d{1,5}))?"
    r"(?P<target>[/?][^#]*)?(?:#.*)?",
    re.IGNORECASE | re.DOTALL,
)
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9a-f:.]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_UNSENDABLE = re.compile(r"[^\x21-\x7e]")
_QUERY = re.compile(r"[?#].*", re.DOTALL)
_USERINFO = re.compile(r"^([a-z][a-z0-9+.-]*:)?//[^/?#]*@", re.IGNORECASE)
_PORTS = {"http": 80, "https": 443}
_MAX_PORT = 65535
# RFC 6052: the last four bytes of such an address are an IPv4 address that a gateway will reach.
_NAT64 = ip_network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Address:
    """An http or https URL. ``host`` is ASCII, lower-case and without brackets; ``target`` is path and query as they
    were written (it starts with ``/``); the fragment, which is never sent, is gone."""

    scheme: Literal["http", "https"]
    host: str
    port: int
    target: str

    @property
    def origin(self) -> str:
        """``scheme://host:port``, the port always written."""
        return f"{self.scheme}://{self.bracketed}:{self.port}"

    @property
    def authority(self) -> str:
        """Return what the ``Host`` header says: the port only where it is not the scheme's own."""
        return self.bracketed if self.port == _PORTS[self.scheme] else f"{self.bracketed}:{self.port}"

    @property
    def bracketed(self) -> str:
        """The host as it stands in a URL: an IPv6 address in brackets."""
        return f"[{self.host}]" if ":" in self.host else self.host


def parse(url: str) -> Address:
    """Return the address that ``url`` names.

    Raises ``ValueError`` (its message shows neither query nor userinfo) for anything but an absolute http(s) URL: user
    names in it, backslashes or control characters before the path, line breaks anywhere.
    """
    found = None if _CONTROL.search(url) else _URL.fullmatch(url)
    if found is None:
        raise ValueError(f"{shown(url)!r} is not an http(s) address that can be used")
    scheme: Literal["http", "https"] = "https" if found["scheme"].lower() == "https" else "http"
    port = int(found["port"] or _PORTS[scheme])
    try:
        host = found["name"].encode("idna").decode("ascii") if found["name"] else str(IPv6Address(found["six"]))
    except ValueError:
        host = ""
    if not _HOST.fullmatch(host):
        raise ValueError(f"{shown(url)!r} has a host name that cannot be used")
    if not 0 < port <= _MAX_PORT:
        raise ValueError(f"{shown(url)!r} has a port that does not exist")
    target = _UNSENDABLE.sub(_encoded, found["target"] or "/")
    return Address(scheme, host.lower(), port, target if target.startswith("/") else f"/{target}")


def shown(url: str) -> str:
    """Return ``url`` without query, fragment and user name: what messages and records may hold of it."""
    return _QUERY.sub("", _USERINFO.sub(r"\1//", url))


def is_public(host: str) -> bool:
    """Whether an IP address (text, perhaps with a zone) is one of the public internet.

    IPv4 addresses inside IPv6 ones (mapped, 6to4, NAT64) count as what they lead to. Raises ``ValueError`` for a name.
    """
    address = ip_address(host)
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ip_address(address.packed[-4:])  # type: ignore[assignment]  # four bytes give an IPv4Address
        if inner is not None:
            return is_public(str(inner))
    return address.is_global and not address.is_multicast


def _encoded(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "replace"))
