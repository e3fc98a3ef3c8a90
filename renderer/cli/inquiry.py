"""Free questions to providers from the command line: is this credential good, what voices are there.

Opens a transport for one question and closes it. Nothing here can buy: only the calls that a pack names as its check
and its lists are made.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from renderer.cli.environment import sandbox_services, services
from renderer.cli.options import Context
from renderer.cli.rehearsal import SandboxOptions, rehearse
from renderer.errors import Exit, RendererError, UsageError
from renderer.provider.answer import read_check, read_list
from renderer.provider.outcome import Denied
from renderer.provider.pack import Listing, Pack
from renderer.provider.request import check_request, list_request
from renderer.run.service import Service
from renderer.run.transport import Transport, TransportError
from renderer.state.runlock import RunLock

_PAGES = 100


class NotAnswered(RendererError):
    """A provider did not give what it was asked for."""

    exit = Exit.FAILED


@dataclass(frozen=True, slots=True)
class Checked:
    """Whether a provider took a credential; ``ok`` None where no free call could prove it."""

    provider: str
    ok: bool | None
    message: str


@contextlib.contextmanager
def reaching(
    context: Context, packs: Sequence[Pack], environment: Mapping[str, str], *, sandboxed: bool
) -> Iterator[dict[str, Service]]:
    """Give where the providers are and who asks; a sandbox runs as long as the block does.

    Raises :class:`UsageError` naming every variable that is missing, and
    :class:`~renderer.errors.LockedError` where a rehearsal is under way.
    """
    if not sandboxed:
        yield services(packs, environment)
        return
    project = context.find().sandbox()
    # Two sandboxes on one folder would not know what the other sold.
    with RunLock(project), rehearse(project, SandboxOptions()) as url:
        yield sandbox_services(packs, url)


def check(packs: Sequence[Pack], services: Mapping[str, Service]) -> list[Checked]:
    """Prove the credential of each provider, all at the same time."""

    async def all_of_them() -> list[Checked]:
        async with Transport(services) as transport:
            return await asyncio.gather(*(_check(transport, pack) for pack in packs))

    return asyncio.run(all_of_them())


def fetch(
    pack: Pack, listings: Sequence[Listing], services: Mapping[str, Service], *, chosen: Mapping[str, str]
) -> dict[str, list[dict[str, str]]]:
    """Return every row of each list, by the list's name; ``chosen`` holds a word per choice.

    Raises :class:`NotAnswered`, and :class:`UsageError` for a choice that none of the lists has.
    """
    for name in chosen:
        if not any(name in listing.choices for listing in listings):
            raise UsageError(f"--{name} does not go with {', '.join(f'--{one.name}' for one in listings)}")

    async def all_of_them() -> dict[str, list[dict[str, str]]]:
        async with Transport(services) as transport:
            return {listing.name: await _rows(transport, pack, listing, chosen) for listing in listings}

    return asyncio.run(all_of_them())


async def _check(transport: Transport, pack: Pack) -> Checked:
    request = check_request(pack)
    if request is None:
        why = "it runs on this machine" if pack.embedded else "it has no free call that would prove a credential"
        return Checked(pack.provider, None, why)
    try:
        reply = await transport.call(pack.provider, request, timeout=pack.pacing.call)
    except TransportError as error:
        return Checked(pack.provider, False, error.message)
    match read_check(pack, reply, now=time.time()):
        case None:
            return Checked(pack.provider, True, "")
        case Denied(fault=fault):
            return Checked(pack.provider, False, f"{fault.message} {fault.remedy}".strip())
        case unclear:
            return Checked(pack.provider, False, unclear.why)


async def _rows(transport: Transport, pack: Pack, listing: Listing, chosen: Mapping[str, str]) -> list[dict[str, str]]:
    own = {name: word for name, word in chosen.items() if name in listing.choices}
    rows: list[dict[str, str]] = []
    for page in range(_PAGES):
        request = list_request(listing, chosen=own, page=page)
        try:
            reply = await transport.call(pack.provider, request, timeout=pack.pacing.call)
        except TransportError as error:
            raise NotAnswered(f"{pack.provider} was asked for its {listing.name}: {error.message}") from None
        match read_list(pack, listing, reply, now=time.time()):
            case Denied(fault=fault):
                raise NotAnswered(f"{pack.provider} refused its {listing.name}: {fault.message}", hint=fault.remedy)
            case [*found]:
                new = [row for row in found if row not in rows]
                rows += new
                # A provider that ignores the page would give the same one for ever.
                if not listing.size or len(found) < listing.size or not new:
                    break
            case unclear:
                raise NotAnswered(f"{pack.provider} was asked for its {listing.name}: {unclear.why}")
    return rows
