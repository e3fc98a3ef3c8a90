"""``renderer providers``: what the packs say of each provider, and what a provider says itself (lists, a key's proof).

Everything here comes from pack data: the options of ``show NAME`` are its pack's lists. Calls are free ones only.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from renderer.cli import options
from renderer.cli.documents import document
from renderer.cli.environment import read_environment
from renderer.cli.inquiry import Checked, check, fetch, reaching
from renderer.cli.options import Context, pass_context
from renderer.cli.portrait import pack_json, pack_text, where
from renderer.cli.progress import step
from renderer.cli.text import columns, inert
from renderer.errors import Exit, UsageError
from renderer.provider.pack import Listing, Pack, Packs
from renderer.provider.packfile import load_packs


class _Shows(click.Group):
    """``show``: one command per provider, with the lists of its pack as options."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_packs(ctx))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        return _show(_packs(ctx).named(cmd_name))


@click.group(invoke_without_command=True)
@options.as_json
@click.pass_context
def command(click_context: click.Context, *, as_json: bool) -> None:
    """Show the providers, what one of them can do, or whether a credential is good.

    Without a command: list.
    """
    if click_context.invoked_subcommand is None:
        _list(click_context.ensure_object(Context), as_json=as_json)
    else:
        click_context.meta["as_json"] = as_json


@command.command("list")
@options.as_json
@pass_context
def list_(context: Context, *, as_json: bool) -> None:
    """List the providers: operations, where they are, and whether their key is set."""
    _list(context, as_json=as_json or _outer())


@command.group("show", cls=_Shows)
def show() -> None:
    """Show what a provider can do: operations, fields, pacing, errors; or ask it for its lists."""


@command.command("check")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@options.sandbox
@options.as_json
@pass_context
def check_(context: Context, names: tuple[str, ...], *, sandbox: bool, as_json: bool) -> Exit:
    """Prove the credentials of the providers NAME, or of all whose key is set, by a free call each."""
    environment = read_environment(context.env_file)
    packs = load_packs(context.packs)
    chosen = [packs.named(name) for name in dict.fromkeys(names)] or _with_keys(packs, environment, sandbox=sandbox)
    with reaching(context, chosen, environment, sandboxed=sandbox) as services, step("asking the providers"):
        found = check(chosen, services)
    if as_json or _outer():
        click.echo(document(checks=[{"provider": c.provider, "ok": c.ok, "message": c.message} for c in found]))
    else:
        rows = [(c.provider, _verdict(c), c.message) for c in found]
        click.echo(inert(columns(("provider", "credential", ""), rows)))
    return Exit.FAILED if any(c.ok is False for c in found) else Exit.DONE


def _list(context: Context, *, as_json: bool) -> None:
    environment = read_environment(context.env_file)
    packs = load_packs(context.packs).values()
    if as_json:
        click.echo(document(providers=[pack_json(pack, environment) for pack in packs]))
        return
    rows = [(p.provider, _where(p, environment), _key(p, environment), ", ".join(_operations(p))) for p in packs]
    click.echo(inert(columns(("provider", "base URL", "key", "operations"), rows)))
    click.echo("\nThe first operation is the default; * may cost. More: renderer providers show NAME")


def _show(pack: Pack) -> click.Command:
    """Return ``show NAME`` for one provider, whose options are what its pack can list."""
    choices = {name: tuple(words) for listing in pack.lists.values() for name, words in listing.choices.items()}

    @pass_context
    def run(context: Context, /, *, sandbox: bool, as_json: bool, **given: Any) -> Exit:
        environment = read_environment(context.env_file)
        data = as_json or _outer()
        wanted = [listing for listing in pack.lists.values() if given[_parameter(listing.name)]]
        chosen = {name: str(given[_parameter(name)]) for name in choices if given[_parameter(name)] is not None}
        if not wanted:
            if chosen:
                lists = ", ".join(
                    f"--{name}" for name, listing in pack.lists.items() if set(chosen) & set(listing.choices)
                )
                raise UsageError(f"--{next(iter(chosen))} says which entries of a list are meant", hint=f"add {lists}")
            click.echo(
                document(**pack_json(pack, environment, whole=True)) if data else inert(pack_text(pack, environment))
            )
            return Exit.DONE
        with reaching(context, [pack], environment, sandboxed=sandbox) as services, step(f"asking {pack.provider}"):
            found = fetch(pack, wanted, services, chosen=chosen)
        if data:
            click.echo(document(provider=pack.provider, lists=found))
        else:
            click.echo(inert("\n\n".join(_tables(wanted, found))))
        return Exit.DONE

    parameters: list[click.Parameter] = []
    for name, listing in pack.lists.items():
        text = f"Ask for its {name}: {', '.join(listing.columns)}."
        parameters.append(click.Option([f"--{name}", _parameter(name)], is_flag=True, help=text))
    for name, words in choices.items():
        which = ", ".join(f"--{n}" for n, listing in pack.lists.items() if name in listing.choices)
        kind = click.Choice(words)
        text = f"With {which}; {words[0]} if not given."
        parameters.append(click.Option([f"--{name}", _parameter(name)], type=kind, help=text))
    shown = click.Command(pack.provider, callback=run, params=parameters, help=f"Show what {pack.provider} can do.")
    return options.sandbox(options.as_json(shown))


def _parameter(name: str) -> str:
    """Return a Python name for a word of a pack, apart from our own options."""
    return f"of_{name.replace('-', '_')}"


def _tables(wanted: Sequence[Listing], found: Mapping[str, Sequence[Mapping[str, str]]]) -> Iterator[str]:
    for listing in wanted:
        rows = [tuple(row[name] for name in listing.columns) for row in found[listing.name]]
        yield columns(tuple(listing.columns), rows) if rows else f"{listing.name}: none"


def _packs(context: click.Context) -> Packs:
    return load_packs(context.ensure_object(Context).packs)


def _outer() -> bool:
    """Return whether ``--json`` stood before the command's own name."""
    return bool(click.get_current_context().meta.get("as_json"))


def _with_keys(packs: Packs, environment: Mapping[str, str], *, sandbox: bool) -> list[Pack]:
    able = [pack for pack in packs.values() if not pack.embedded and pack.key is not None]
    found = [pack for pack in able if sandbox or (pack.key and environment.get(pack.key.variable, "").strip())]
    if not found:
        names = ", ".join(pack.key.variable for pack in able if pack.key is not None)
        raise UsageError(f"no credential is set: {names}", hint="set one, give --env-file, or rehearse with --sandbox")
    return found


def _verdict(checked: Checked) -> str:
    return {True: "good", False: "not good", None: "unproven"}[checked.ok]


def _operations(pack: Pack) -> list[str]:
    order = sorted(pack.operations.values(), key=lambda operation: operation.name != pack.default)
    return [f"{operation.name}{'*' if operation.paid else ''}" for operation in order]


def _where(pack: Pack, environment: Mapping[str, str]) -> str:
    if pack.embedded:
        return "on this machine"
    return where(pack, environment) or f"{pack.base_url_variable} (not set)"


def _key(pack: Pack, environment: Mapping[str, str]) -> str:
    if pack.unavailable:
        return pack.unavailable
    if pack.key is None:
        return "needs none"
    is_set = bool(environment.get(pack.key.variable, "").strip())
    return f"{pack.key.variable} ({'set' if is_set else 'not set, optional' if pack.key.optional else 'not set'})"
