"""Canonical JSON (RFC 8785) and its SHA-256: the one text that equal values have.

Fingerprints, the join of two versions of one fact and plan files all compare values through this module. It knows
nothing of what the values mean.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import rfc8785

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"


def canonical(value: Json) -> bytes:
    """Return the RFC 8785 text of ``value``.

    Raises ``rfc8785.CanonicalizationError`` (a ``ValueError``) for what that text cannot hold: NaN, infinities,
    lone surrogates and integers beyond 2**53.
    """
    return rfc8785.dumps(value)


def digest(value: Json) -> str:
    """Return the SHA-256 of the RFC 8785 text of ``value``, in hex."""
    return hashlib.sha256(canonical(value)).hexdigest()
