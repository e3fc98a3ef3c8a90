"""Folders -> packs: the built-in ones, and those that a person brings with ``--packs DIR``.

Each pack is a folder with a ``provider.yaml`` and its request templates; the built-in schemas lie in ``schemas/``, that
of a brought pack beside its ``provider.yaml``. A pack that was brought can take neither a built-in name nor a built-in
key variable: it could send that credential to its own address. What a pack may say is ``language``'s business.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from renderer import data
from renderer.errors import InvalidError, Problem
from renderer.manifest.schema import load_schema
from renderer.provider.language import read_pack
from renderer.provider.pack import Pack, Packs


def load_packs(folders: Sequence[Path] = ()) -> Packs:
    """Return the built-in packs and those in ``folders``.

    A folder is a pack itself, or holds packs. Raises :class:`InvalidError` with every problem of every pack.
    """
    language = load_schema("pack")
    problems: list[Problem] = []
    packs: dict[str, Pack] = {}
    builtin = sorted(path.parent for path in data.templates().glob("*/provider.yaml"))
    brought = [pack for folder in folders for pack in _inside(folder, problems)]
    variables: dict[str, str] = {}
    """Environment variables that are taken, with whose they are."""
    for folder in [*builtin, *brought]:
        own = folder in builtin
        schemas = data.schemas() if own else folder
        try:
            pack = read_pack(folder, language, schema=schemas, shown=_shown(folder, own=own), trusted=own)
        except InvalidError as error:
            problems.extend(error.problems)
            continue
        taken = _taken(pack, packs, variables, shown=_shown(folder, own=own))
        problems.extend(taken)
        if not taken:
            packs[pack.provider] = pack
            variables |= dict.fromkeys(_variables(pack), pack.provider)
    if problems:
        raise InvalidError(sorted(problems))
    return Packs(packs)


def _inside(folder: Path, problems: list[Problem]) -> list[Path]:
    """Return the packs that a person's folder holds."""
    folder = folder.resolve()
    if (folder / "provider.yaml").is_file():
        return [folder]
    found = sorted(path.parent for path in folder.glob("*/provider.yaml"))
    if not found:
        problems.append(Problem(str(folder), 1, 1, "$", "packs", "there is no pack (<provider>/provider.yaml) in it"))
    return found


def _shown(folder: Path, *, own: bool) -> str:
    return f"templates/{folder.name}" if own else str(folder)


def _taken(pack: Pack, packs: Mapping[str, Pack], variables: Mapping[str, str], *, shown: str) -> list[Problem]:
    """Return why a pack cannot stand beside those that were read before it."""
    if pack.provider in packs:
        found = [f"there already is a provider {pack.provider!r}"]
    else:
        found = [
            f"{variable} belongs to {variables[variable]!r}; this pack needs its own"
            for variable in _variables(pack)
            if variable in variables
        ]
    return [Problem(f"{shown}/provider.yaml", 1, 1, "$", "taken", message) for message in found]


def _variables(pack: Pack) -> list[str]:
    return [pack.base_url_variable] if pack.key is None else [pack.base_url_variable, pack.key.variable]
