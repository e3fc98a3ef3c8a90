"""The most similar known word, for "did you mean". Knows nothing of where words come from."""

import difflib
from collections.abc import Iterable

_COMPARED = 60


def suggest(word: str, known: Iterable[str]) -> str:
    """Return ``did you mean `x`?`` for the known word most like ``word``, or an empty string."""
    folded = {name.casefold(): name for name in sorted(known)}
    near = difflib.get_close_matches(word.casefold()[:_COMPARED], folded, n=1, cutoff=0.6)
    return f"did you mean `{folded[near[0]]}`?" if near else ""
