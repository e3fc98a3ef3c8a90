"""Asking providers what only they can tell before anything is bought: ``validate --online``.

Free calls only: a pack's check, its lists, the status of tasks that jobs name, and a GET without a credential of
addresses that must be reachable. Nothing is asked twice here: what did not answer is a warning, and a person tries
again. What is asked and what an answer means is ``provider/online``'s business.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from renderer.errors import Problem
from renderer.provider import online
from renderer.provider.answer import read_check, read_list, read_status
from renderer.provider.online import Inquiry, Known, Listed, Reachable
from renderer.provider.outcome import Denied, StatusOutcome, Unclear
from renderer.provider.pack import Listing, Pack
from renderer.provider.request import check_request, list_request, status_request
from renderer.provider.wire import Reply, Request
from renderer.run.transport import Incoming, TransportError, shown

_PAGES = 100
_AT_ONCE = 4
_WITHIN = 30.0


class Api(Protocol):
    """Calls with the provider's credential; see ``run/transport``."""

    async def call(self, provider: str, request: Request, *, timeout: float) -> Reply:  # noqa: ASYNC109 - a deadline of all of it
        """Make one call and return its whole answer. Raises :class:`TransportError`."""


class Web(Protocol):
    """Addresses, asked without any credential; see ``run/transport``."""

    def stream(self, provider: str, url: str, *, stall: float) -> AbstractAsyncContextManager[Incoming]:
        """GET an address under the rules for this provider's links. Raises :class:`TransportError`."""


async def prove(inquiries: Sequence[Inquiry], api: Api, web: Web, *, now: float) -> list[Problem]:
    """Return what providers say against jobs, in the order of their files; ``now`` is in seconds since the epoch."""
    found = await asyncio.gather(*(_Asking(inquiry, api, web, now).all() for inquiry in inquiries))
    return sorted({problem for problems in found for problem in problems})


class _Asking:
    """One provider's inquiry. Lives for one inquiry."""

    def __init__(self, inquiry: Inquiry, api: Api, web: Web, now: float) -> None:
        self._inquiry = inquiry
        self._pack: Pack = inquiry.pack
        self._api = api
        self._web = web
        self._now = now
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def all(self) -> list[Problem]:
        """Return everything that is said against the inquiry's jobs."""
        problems, reachable = await asyncio.gather(
            self._provider(), asyncio.gather(*map(self._address, self._inquiry.reachable))
        )
        return [*problems, *(problem for found in reachable for problem in found)]

    async def _provider(self) -> list[Problem]:
        outcome = await self._credential()
        problems = online.on_credential(self._inquiry, outcome)
        if isinstance(outcome, Denied):
            return problems  # all else would be denied, too
        for listed in self._inquiry.listed:
            problems += await self._list(listed)
        for found in await asyncio.gather(*map(self._task, self._inquiry.known)):
            problems += found
        return problems

    async def _credential(self) -> Denied | Unclear | None:
        request = check_request(self._pack)
        if request is None:
            return None
        reply = await self._call(request)
        return Unclear(reply) if isinstance(reply, str) else read_check(self._pack, reply, now=self._now)

    async def _list(self, listed: Listed) -> list[Problem]:
        """Read lists until every id is found, or to their end."""
        rows: dict[str, list[dict[str, str]]] = {}
        missing, whys = set(listed.ids), list[str]()
        for listing in listed.listings:
            for chosen in online.choices(listing):
                read, why = await self._rows(listed, listing, chosen, missing)
                rows.setdefault(listing.name, []).extend(read)
                missing -= online.proven(listed, listing, read)
                whys += [why] if why else []
                if not missing:
                    return []
        return list(online.on_list(self._inquiry, listed, rows, "; ".join(dict.fromkeys(whys))))

    async def _rows(
        self, listed: Listed, listing: Listing, chosen: Mapping[str, str], missing: set[str]
    ) -> tuple[list[dict[str, str]], str]:
        """Return the rows of a list, and why it could not be read to its end."""
        rows: list[dict[str, str]] = []
        for page in range(_PAGES):
            reply = await self._call(list_request(listing, chosen=chosen, page=page))
            if isinstance(reply, str):
                return rows, reply
            match read_list(self._pack, listing, reply, now=self._now):
                case Denied(fault=fault):
                    return rows, fault.message or fault.code
                case Unclear(why=why):
                    return rows, why
                case found:
                    new = [row for row in found if row not in rows]
                    rows += new
                    # A provider that ignores the page would give the same one for ever.
                    if not listing.size or len(found) < listing.size or not new:
                        return rows, ""
                    if missing <= online.proven(listed, listing, rows):
                        return rows, ""
        return rows, f"its list of {listing.name} has more than {_PAGES} pages"

    async def _task(self, known: Known) -> list[Problem]:
        reply = await self._call(status_request(known.operation, known.task))
        outcome: StatusOutcome | str = reply if isinstance(reply, str) else self._status(known, reply)
        return online.on_task(self._inquiry, known, outcome)

    def _status(self, known: Known, reply: Reply) -> StatusOutcome:
        return read_status(self._pack, known.operation, reply, now=self._now)

    async def _address(self, asked: Reachable) -> list[Problem]:
        try:
            async with (
                self._turns,
                asyncio.timeout(_WITHIN),
                self._web.stream(self._pack.provider, asked.url, stall=_WITHIN) as incoming,
            ):
                outcome: int | str = incoming.status
        except TimeoutError:
            outcome = f"{shown(asked.url)} gave no answer in time"
        except TransportError as error:
            outcome = error.message
        return online.on_address(asked, outcome, shown=shown(asked.url))

    async def _call(self, request: Request) -> Reply | str:
        """Return an answer, or why there is none."""
        try:
            async with self._turns:
                return await self._api.call(self._pack.provider, request, timeout=self._pack.pacing.call)
        except TransportError as error:
            return error.message
