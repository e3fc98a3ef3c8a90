"""What expansion must know of providers, as values: names, fields, and what comes out.

Declared here because this floor may not look up to the packs; the provider floor fills it in. It says nothing of
requests, limits or money.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

Makes: TypeAlias = Literal["video", "audio", "value"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One operation: the vocabulary's ``fields`` that it takes (with ``options`` where it has any), the names of what
    it ``produces`` (``task``, ``url``, ``file``, ``avatar``...), what it ``makes``, and the ending of its file."""

    fields: frozenset[str]
    produces: tuple[str, ...]
    makes: Makes = "video"
    extension: str = "mp4"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderOffer:
    """One provider: its operations, the default first, and whether it can receive local files."""

    operations: Mapping[str, Offer]
    uploads: bool = False

    @property
    def default(self) -> str:
        """The operation that a job has where it names none."""
        return next(iter(self.operations))


Operations: TypeAlias = Mapping[str, ProviderOffer]
"""Every known provider by name."""
