"""``renderer validate --online``: what only the providers can tell, asked for nothing and with nothing bought.

A command of its own, though a hidden one: what it takes to reach a provider is loaded only by who reaches one, and a
plain ``validate`` stays quick. ``validate`` has read and checked the batch already.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import click

from renderer.cli.environment import base_url, sandbox_services, services
from renderer.cli.progress import step
from renderer.cli.rehearsal import SandboxOptions, rehearse
from renderer.cli.session import Batch
from renderer.errors import Problem
from renderer.provider.online import Inquiry, inquiries
from renderer.run.proving import prove
from renderer.run.service import Service
from renderer.run.transport import Transport
from renderer.state.runlock import RunLock

_NOWHERE = "https://provider.invalid"
"""Stands for the base URL of a provider that is not asked itself (RFC 2606): its links must be public ones."""


@click.command(hidden=True)
def command(batch: Batch, environment: Mapping[str, str], *, sandboxed: bool) -> list[Problem]:
    """Ask the providers of a checked batch; return what they say against its jobs.

    Raises :class:`~renderer.errors.UsageError` naming every variable that is missing, and
    :class:`~renderer.errors.LockedError` where a rehearsal is under way.
    """
    asked = inquiries([wanted.job for wanted in batch.wanted], batch.packs)
    if sandboxed:
        # The sandbox's drafts are only names, and a rehearsal leaves this machine for nothing.
        asked = [replace(inquiry, reachable=()) for inquiry in asked if inquiry.needs_key]
    if not asked:
        return []
    with _reaching(batch, asked, environment, sandboxed=sandboxed) as keyed:
        open_to_all = {
            inquiry.pack.provider: Service(base_url(inquiry.pack, environment) or _NOWHERE)
            for inquiry in asked
            if inquiry.reachable
        }
        with step(f"asking {', '.join(inquiry.pack.provider for inquiry in asked)}"):
            return asyncio.run(_prove(asked, keyed, open_to_all))


async def _prove(
    asked: Sequence[Inquiry], keyed: Mapping[str, Service], open_to_all: Mapping[str, Service]
) -> list[Problem]:
    async with Transport(keyed) as api, Transport(open_to_all) as web:
        return await prove(asked, api, web, now=time.time())


@contextmanager
def _reaching(
    batch: Batch, asked: Sequence[Inquiry], environment: Mapping[str, str], *, sandboxed: bool
) -> Iterator[dict[str, Service]]:
    packs = [inquiry.pack for inquiry in asked if inquiry.needs_key]
    if not sandboxed:
        yield services(packs, environment)
        return
    # Two sandboxes on one folder would not know what the other sold.
    with RunLock(batch.project), rehearse(batch.project, SandboxOptions()) as url:
        yield sandbox_services(packs, url)
