"""A file's bytes -> its text, or the place of what is not text.

What YAML cannot hold is refused here, before a scanner sees it: another encoding than UTF-8, control characters, and
characters that a scanner would alter silently. Knows nothing of what the text says.
"""

import re
from collections.abc import Iterator
from typing import NoReturn

from renderer.errors import InvalidError, Problem
from renderer.manifest.position import Mark

MAX_BYTES = 20_000_000

# What YAML forbids, and three characters that YAML 1.1 scanners take for line breaks and would alter silently.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


def decode(data: bytes, file: str) -> str:
    """Return the text of a file, or raise :class:`InvalidError` with the place of what is not text."""
    if len(data) > MAX_BYTES:
        _refuse(file, Mark(1, 1), "size", f"the file has {len(data):,} bytes; the limit is {MAX_BYTES:,}")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        _refuse(file, Mark(1, 1), "encoding", "the file is UTF-16", "save it as UTF-8")
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        mark = _place(data[: error.start].decode(errors="replace"))
        _refuse(file, mark, "encoding", f"the byte 0x{data[error.start]:02x} is not UTF-8 here", "save it as UTF-8")
    if (found := _FORBIDDEN.search(text)) is not None:
        code = ord(found[0])
        hint = 'write "\\0" in double quotes' if code == 0 else f'write "\\u{code:04x}" in double quotes'
        if data[1::2].count(0) * 3 > len(data):
            hint = "the file looks like UTF-16: save it as UTF-8"
        _refuse(file, _place(text[: found.start()]), "character", f"the character U+{code:04X} is not allowed", hint)
    return text


def lines(text: str) -> Iterator[str]:
    """Yield lines as YAML counts them: they end at LF, CR LF and CR only."""
    yield from re.split(r"\r\n|\r|\n", text)


def _refuse(file: str, mark: Mark, code: str, message: str, hint: str = "") -> NoReturn:
    raise InvalidError([Problem(file, mark.line, mark.column, "$", code, message, hint)])


def _place(before: str) -> Mark:
    """Return the position just after ``before``."""
    last = max(before.rfind("\n"), before.rfind("\r"))
    return Mark(sum(1 for _ in lines(before)), len(before) - last)
