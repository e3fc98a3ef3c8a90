"""Options and fixtures of the provider floor's tests."""

import pytest

from renderer.provider.pack import Packs
from renderer.provider.packfile import load_packs


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
