"""``renderer schema``: a JSON Schema on stdout, byte for byte as it ships. For editors and other programs."""

import difflib
from pathlib import Path

import click

from renderer import data
from renderer.cli.options import Context, pass_context
from renderer.errors import UsageError

_ENDING = ".schema.json"


@click.command()
@click.argument("name", default="manifest")
@click.option("--list", "names", is_flag=True, help="Print the names that there are.")
@pass_context
def command(context: Context, name: str, *, names: bool) -> None:
    """Print the JSON Schema of manifests, or the one called NAME: pack, or a provider's."""
    found = schemas(context.packs)
    if names:
        click.echo("\n".join(sorted(found)))
        return
    if name not in found:
        near = difflib.get_close_matches(name, found, n=1)
        raise UsageError(
            f"there is no schema {name!r}{f'; did you mean {near[0]!r}?' if near else ''}",
            hint=f"there are {', '.join(sorted(found))}",
        )
    click.echo(found[name].read_bytes(), nl=False)


def schemas(packs: tuple[Path, ...]) -> dict[str, Path]:
    """Return every schema by name: those that ship, and those beside the packs in ``packs``, which replace none."""
    brought = [path for folder in packs for pattern in ("*", "*/*") for path in folder.glob(f"{pattern}{_ENDING}")]
    shipped = data.schemas().glob(f"*{_ENDING}")
    return {path.name.removesuffix(_ENDING): path for path in (*brought, *shipped)}
