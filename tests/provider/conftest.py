"""Options and fixtures of the provider floor's tests."""

from collections.abc import Callable
from typing import Any

import pytest

from renderer.manifest.job import Job, Mark
from renderer.provider.pack import Packs
from renderer.provider.packfile import load_packs

MakeJob = Callable[..., Job]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a pack of one's own go through the contract suite."""
    parser.addoption(
        "--pack",
        metavar="DIR",
        help="a pack folder (provider.yaml, request templates, <provider>.schema.json, examples/*.yaml) to test",
    )


@pytest.fixture(scope="session")
def packs() -> Packs:
    """The built-in packs."""
    return load_packs()


@pytest.fixture(scope="session")
def make_job() -> MakeJob:
    """A job with the given values, each field of which stands in a line of its own."""

    def make(id: str, provider: str, operation: str, /, *, take: int = 1, kind: Any = "video", **values: Any) -> Job:  # noqa: A002 (a job's word)
        marks = {(): Mark(1, 1)} | {(name,): Mark(2 + line, 5) for line, name in enumerate(values)}
        return Job(
            id=id,
            kind=kind,
            manifest="specs/spring.yaml",
            release="spring",
            provider=provider,
            operation=operation,
            values=values,
            take=take,
            marks=marks,
        )

    return make
