"""A small set of providers for the tests of this floor: what expansion must know of them, and no more."""

from collections.abc import Callable
from pathlib import Path

import pytest

from renderer.manifest.document import manifest_schema, read_manifest
from renderer.manifest.expand import Expansion, expand
from renderer.manifest.offer import Offer, Operations, ProviderOffer
from renderer.manifest.schema import Schema
from renderer.project import Project, find_project

_FILM = ("task", "url", "file")


def _fields(words: str) -> frozenset[str]:
    return frozenset(words.split())


_ANYTHING = _fields(
    "title text prompt language aspect resolution duration seed model style voice avatar audio music images files "
    "captions watermark call_to_action draft source options"
)

OPERATIONS: Operations = {
    "fliz": ProviderOffer(
        operations={
            "video": Offer(
                fields=_fields(
                    "title text aspect language voice music images captions watermark call_to_action style options"
                ),
                produces=_FILM,
            ),
            "translate": Offer(fields=_fields("source language options"), produces=_FILM),
        }
    ),
    "hifly": ProviderOffer(
        operations={
            "video-by-text": Offer(fields=_fields("text voice avatar title"), produces=_FILM),
            "video-by-audio": Offer(fields=_fields("audio avatar title"), produces=_FILM),
            "audio-by-text": Offer(fields=_fields("text voice title"), produces=_FILM, makes="audio", extension="mp3"),
            "avatar-by-video": Offer(fields=_fields("source title"), produces=("avatar",), makes="value"),
            "voice": Offer(fields=_fields("audio title"), produces=("voice", "demo_url"), makes="value"),
        },
        uploads=True,
    ),
    "gen_video": ProviderOffer(operations={"export": Offer(fields=_fields("draft"), produces=("file",))}),
    "yzx": ProviderOffer(
        operations={"video": Offer(fields=_fields("model prompt duration resolution seed"), produces=_FILM)}
    ),
    "foxapi": ProviderOffer(
        operations={"video": Offer(fields=_fields("prompt avatar voice style aspect files options"), produces=_FILM)}
    ),
    "studio": ProviderOffer(
        operations={
            "video": Offer(fields=_ANYTHING, produces=("file",)),
            "draft": Offer(fields=_fields("draft"), produces=("file",)),
        },
        uploads=True,
    ),
}
"""Providers with the shapes of the real ones."""


@pytest.fixture(scope="session")
def operations() -> Operations:
    """The providers of these tests."""
    return OPERATIONS


@pytest.fixture(scope="session")
def schema() -> Schema:
    """The manifest's schema."""
    return manifest_schema()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project."""
    (tmp_path / ".renderer").mkdir()
    (tmp_path / "specs").mkdir()
    return find_project(tmp_path)


@pytest.fixture
def expanded(project: Project, schema: Schema, operations: Operations) -> Callable[..., Expansion]:
    """Expand the text of a manifest that stands at ``specs/<name>``, beside files given by their path from the root."""

    def run(text: str, *, name: str = "spring.yaml", files: dict[str, str | bytes] | None = None) -> Expansion:
        for path, content in (files or {}).items():
            target = project.root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)
        path = project.root / "specs" / name
        path.write_text(text, encoding="utf-8")
        return expand(read_manifest(path, project, schema=schema), project, operations)

    return run
