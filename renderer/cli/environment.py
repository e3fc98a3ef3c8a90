"""What the environment says: credentials and base URLs, and nothing else.

A key is read from its variable (or from ``--env-file``, which leaves the environment alone), goes into a
:class:`~renderer.run.service.Service`, and nowhere else. Missing ones are named all at once, never their values.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import dotenv

from renderer.errors import UsageError
from renderer.plan.standing import SANDBOX_ORIGIN
from renderer.provider.pack import Pack
from renderer.run.address import parse
from renderer.run.service import Service

SANDBOX_KEY = "sandbox"


def read_environment(env_file: Path | None) -> Mapping[str, str]:
    """Return the environment, with the variables of ``env_file`` over it. Raises :class:`UsageError`."""
    if env_file is None:
        return dict(os.environ)
    try:
        given = dotenv.dotenv_values(env_file, interpolate=False, encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--env-file {env_file} cannot be read: {error}") from None
    if not env_file.is_file():
        raise UsageError(f"--env-file {env_file}: there is no such file")
    return {**os.environ, **{name: value for name, value in given.items() if value is not None}}


def base_url(pack: Pack, environment: Mapping[str, str]) -> str | None:
    """Return where a provider is: its variable, else the pack's default, else None."""
    return environment.get(pack.base_url_variable) or pack.base_url


def origin(pack: Pack, environment: Mapping[str, str], *, sandboxed: bool) -> str | None:
    """Return the origin that records name: scheme, host and port; in a rehearsal the word ``sandbox``."""
    if sandboxed:
        return SANDBOX_ORIGIN
    if pack.embedded:
        return "local"
    url = base_url(pack, environment)
    if url is None:
        return None
    try:
        return parse(url).origin
    except ValueError as error:
        raise UsageError(f"{pack.base_url_variable} cannot be used: {error}") from None


def services(packs: Iterable[Pack], environment: Mapping[str, str]) -> dict[str, Service]:
    """Return the services of providers to which something will be sent.

    Raises :class:`UsageError` that names every variable that is missing or cannot be used.
    """
    found: dict[str, Service] = {}
    missing: list[str] = []
    for pack in packs:
        if pack.embedded:
            continue
        url = base_url(pack, environment)
        secret = environment.get(pack.key.variable, "").strip(" ") if pack.key is not None else ""
        if url is None:
            missing.append(f"{pack.base_url_variable} (the base URL of {pack.provider}, which has no public one)")
        if pack.key is not None and not pack.key.optional and not secret:
            missing.append(f"{pack.key.variable} (get one: {pack.key.where})")
            continue
        if url is None:
            continue
        try:
            found[pack.provider] = Service(url, _header(pack), secret or None)
        except UsageError as error:
            variable = pack.key.variable if pack.key is not None else pack.base_url_variable
            missing.append(f"{variable} or {pack.base_url_variable}: {error.message}")
    if missing:
        names = "".join(f"\n  {name}" for name in missing)
        raise UsageError(
            f"these variables are missing, empty or cannot be used:{names}",
            hint="set them in the environment or in a file for --env-file, or rehearse with --sandbox",
        )
    return found


def secrets(packs: Iterable[Pack], environment: Mapping[str, str]) -> list[str]:
    """Return every credential that is set, to be taken out of whatever is kept or shown."""
    return [value for pack in packs if pack.key is not None and (value := environment.get(pack.key.variable))]


def sandbox_services(packs: Iterable[Pack], url: str) -> dict[str, Service]:
    """Return every provider's service in the sandbox at ``url``; no real key is read."""
    return {
        pack.provider: Service(f"{url}/{pack.provider}", _header(pack), SANDBOX_KEY if pack.key is not None else None)
        for pack in packs
        if not pack.embedded
    }


def _header(pack: Pack) -> str | None:
    return None if pack.key is None else f"{pack.key.header}: {pack.key.prefix}".rstrip(": ")
