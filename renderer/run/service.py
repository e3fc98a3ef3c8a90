"""Where a provider's API is, and how it is told who calls.

The one value that holds a secret. It never shows it: not in its ``repr``, not in an error. It opens no socket; the
credential leaves it only in ``run/transport``, just before a request is written.
"""

import re
from dataclasses import dataclass, field

from renderer.errors import UsageError
from renderer.run.address import Address, parse

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+(:[\x20-\x7e]*)?")  # RFC 9110: a token; here perhaps ": scheme"
_SECRET = re.compile(r"[\x21-\x7e]+( [\x21-\x7e]+)*")


@dataclass(frozen=True, slots=True)
class Service:
    """A provider's base URL and credential.

    ``header`` is the header's name, or name and scheme (``Authorization: Bearer``); without a ``secret`` none is sent.
    Raises :class:`UsageError`, naming no value, for a base URL or a secret that cannot be used.
    """

    base_url: str
    header: str | None = None
    secret: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Refuse what would break a request, or smuggle a second one into it."""
        try:
            address = parse(self.base_url)
        except ValueError as error:
            raise UsageError(f"a provider's base URL cannot be used: {error}") from None
        if "?" in self.base_url or "#" in self.base_url:
            raise UsageError(f"a provider's base URL cannot have a query: {address.origin}")
        if self.header is not None and not _HEADER.fullmatch(self.header):
            raise UsageError("the name of a credential's header cannot be used in HTTP")
        if self.secret is not None and not _SECRET.fullmatch(self.secret):
            raise UsageError("a credential is empty or has a character that HTTP cannot carry, such as a line break")

    @property
    def address(self) -> Address:
        """The base URL's address."""
        return parse(self.base_url)

    def credential(self) -> dict[str, str]:
        """Return the header that proves who calls, or nothing."""
        if self.header is None or self.secret is None:
            return {}
        name, _, scheme = self.header.partition(":")
        return {name: f"{scheme.strip()} {self.secret}".strip()}
