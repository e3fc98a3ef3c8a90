"""A bug's traceback, kept in a file without the secrets that it may quote.

The file lies in the project's ``.renderer/crash/``, or in the system's temporary folder where there is no project or
it cannot be written. What counts as secret is decided by name, not by asking the packs: after a bug nothing of ours
is trusted to work. So the values of all variables that are named like credentials are taken out, and everything
behind the ``?`` of a URL.
"""

import os
import platform
import re
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import dotenv

import renderer
from renderer.cli.options import Context
from renderer.errors import RendererError

_CREDENTIAL = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|AUTH", re.IGNORECASE)
_QUERY = re.compile(r"(https?:(?:\\?/){2}[^\s\"'<>?#]*)[?#][^\s\"'<>]*", re.IGNORECASE)
_USER = re.compile(r"(https?:(?:\\?/){2})[^\s\"'<>/@]*@", re.IGNORECASE)
_BEARER = re.compile(r"(?i)\b(bearer)\s+[^\s\"',]+")
_SHORTEST = 4  # characters; taking out shorter values would leave no text


def keep(error: BaseException, context: Context, arguments: Sequence[str]) -> Path | None:
    """Write an error's traceback to a new file of mode 0600; return its path, or None where none could be written."""
    now = datetime.now(UTC)
    head = (
        f"renderer {renderer.__version__}, Python {platform.python_version()}, {platform.platform()}",
        f"{now:%Y-%m-%dT%H:%M:%SZ} in {Path.cwd()}",
        f"renderer {' '.join(arguments)}",
    )
    text = "\n".join([*head, "", "".join(traceback.format_exception(error))])
    name = f"renderer-{now:%Y%m%dT%H%M%SZ}-{os.getpid()}.txt"
    for folder in _folders(context):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(redacted(text, _secrets(context)))
        except OSError:
            continue
        return folder / name
    return None


def redacted(text: str, secrets: Sequence[str]) -> str:
    """Return text without ``secrets``, bearer tokens and the queries of URLs."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "[secret]")
    return _BEARER.sub(r"\1 [secret]", _QUERY.sub(r"\1?[query]", _USER.sub(r"\1", text)))


def _folders(context: Context) -> Iterator[Path]:
    try:
        state = context.find().state
    except (RendererError, OSError):
        state = None
    if state is not None and state.is_dir():
        yield state / "crash"
    yield Path(tempfile.gettempdir())


def _secrets(context: Context) -> list[str]:
    known = dict(os.environ)
    if context.env_file is not None:
        try:
            given = dotenv.dotenv_values(context.env_file, interpolate=False)
        except (OSError, UnicodeDecodeError):
            given = {}
        known |= {f"file:{name}:KEY": value for name, value in given.items() if value is not None}
    # Whole files of variables are secret, whatever their names.
    values = {value.strip() for name, value in known.items() if _CREDENTIAL.search(name)}
    return [value for value in values if len(value) >= _SHORTEST]
