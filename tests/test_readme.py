"""README and CONTRIBUTING hold: commands and options exist, manifests are valid, and what is told happens.

In its console blocks a line ``$ ...`` is a command and what follows is its output; ``...`` there stands for anything,
alone on a line for any number of lines. The blocks under "Ten minutes" and "When something is held" are carried out, in
order, and so is the plan under "Money". Blocks of ``sh`` need keys, so only their words are looked up. CONTRIBUTING's
new provider is made and tested.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from renderer.cli.main import group
from renderer.cli.options import EVERYWHERE
from renderer.errors import Exit
from renderer.provider.packfile import load_packs

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
ENVIRONMENT = {
    **{name: text for name, text in os.environ.items() if not name.endswith(("_API_KEY", "_BASE_URL"))},
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "NO_COLOR": "1",
    "COLUMNS": "80",
}
# A rehearsal need not wait as long as the real providers ask for.
QUICK = "{apart: 0.1s, poll: {first: 0.3s, every: 0.3s, timeout: 1m}}"
PACING = f"\nproviders: {{fliz: {QUICK}, foxapi: {QUICK}}}\n"


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the heading that it stands under."""

    language: str
    text: str
    heading: str


@dataclass(frozen=True)
class Step:
    """A command of a console block, and the output that is told of it."""

    command: str
    output: str


def blocks() -> Iterator[Block]:
    """Yield the README's fenced blocks."""
    for section in re.split(r"^## ", README, flags=re.MULTILINE)[1:]:
        heading, _, body = section.partition("\n")
        for language, text in re.findall(r"^```(\w+)\n(.*?)^```$", body, flags=re.MULTILINE | re.DOTALL):
            yield Block(language, text, heading)


def steps(heading: str) -> list[Step]:
    """Return the commands of a section's console blocks."""
    texts = [block.text for block in blocks() if block.language == "console" and block.heading == heading]
    parts = re.split(r"^\$ ", "".join(texts), flags=re.MULTILINE)
    return [Step(*part.split("\n", 1)) for part in parts[1:]]


def said(output: str, told: str) -> bool:
    """Tell whether an output is as it is told."""
    parts = (
        r"(?:.*\n)*?" if line == "...\n" else re.escape(line).replace(r"\.\.\.", ".*")
        for line in told.splitlines(keepends=True)
    )
    return re.fullmatch("".join(parts), output) is not None


def shell(command: str, folder: Path) -> str:
    """Carry out a command line as a person would; return what it says."""
    done = subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout


def code() -> list[str]:
    """Return every command line of ``sh`` and ``console`` blocks, and what stands between backticks."""
    prose = re.sub(r"^```.*?^```$", "", README, flags=re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks() if block.language == "sh" for line in block.text.splitlines()]
    lines += [step.command for heading in dict.fromkeys(block.heading for block in blocks()) for step in steps(heading)]
    return [*lines, *re.findall(r"`([^`]+)`", prose)]


def test_every_command_of_renderer_exists() -> None:
    """After the word ``renderer`` comes a command that there is, with options that it takes."""
    uses = [use for line in code() for use in re.findall(r"\brenderer ([a-z-][^|>&;)#]*)", line)]
    assert len(uses) > 20
    for use in uses:
        words = re.sub(rf"({'|'.join(EVERYWHERE)}) \S+", "", use).split()
        command: click.Command = group
        # Lists are options of each provider's own; they exist where its pack says so.
        allowed = {"--help", *(f"--{name}" for pack in load_packs().values() for name in pack.lists)}
        for word in (word for word in words if not word.startswith("-")):
            if isinstance(command, click.Group):
                inner = command.get_command(click.Context(command), word)
                assert inner is not None, use
                command = inner
        allowed |= {option for parameter in command.params for option in parameter.opts}
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= allowed, use


def test_every_option_exists() -> None:
    """An option that is named alone is one of some command."""
    context = click.Context(group)
    commands = [command for name in group.list_commands(context) if (command := group.get_command(context, name))]
    known = {option for command in [group, *commands] for parameter in command.params for option in parameter.opts}
    named = {word for line in code() if line.startswith("--") for word in line.split() if word.startswith("--")}
    assert named
    assert named <= known


def test_every_target_of_make_exists() -> None:
    """After the word ``make`` comes a target of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = {target for line in code() for target in re.findall(r"^make ([a-z-]+)", line)}
    assert named >= {"demo", "test"}
    assert named <= targets


@pytest.mark.parametrize("block", [b for b in blocks() if b.language == "yaml"], ids=lambda block: block.heading)
def test_manifests_are_valid(block: Block, tmp_path: Path) -> None:
    """A manifest in the README is valid, beside the files of the specs."""
    shutil.copytree(ROOT / "specs", tmp_path / "specs", ignore=shutil.ignore_patterns("*.yaml", "*.lock"))
    (tmp_path / ".git").mkdir()
    (tmp_path / "specs" / "spring.yaml").write_text(block.text)
    command = [sys.executable, "-m", "renderer.cli.main", "validate", "--json", "specs/spring.yaml"]
    done = subprocess.run(
        command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False
    )
    assert json.loads(done.stdout)["problems"] == []


def test_the_tutorial_happens_as_told(tmp_path: Path) -> None:
    """Ten minutes, and then something is held: each command does and says what stands below it."""
    folder = tmp_path
    for step in [*steps("Ten minutes"), *steps("When something is held")]:
        if step.command.startswith("cd "):
            folder /= step.command.removeprefix("cd ")
            with (folder / "specs" / "first.yaml").open("a") as manifest:
                manifest.write(PACING)
            continue
        done = shell(step.command, folder)
        assert said(done, step.output), f"$ {step.command}\n{done}\n--- as told:\n{step.output}"


def test_the_plan_costs_what_is_told(tmp_path: Path) -> None:
    """Money: the manifest's prices add up to what the plan says below it."""
    (manifest,) = (block.text for block in blocks() if block.language == "yaml" and block.heading == "Money")
    (step,) = steps("Money")
    (tmp_path / ".git").mkdir()
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "spring.yaml").write_text(manifest)
    assert said(shell(step.command, tmp_path), step.output)


def test_the_help_is_the_programs() -> None:
    """The overview of commands is what the program prints."""
    (step,) = steps("Commands")
    command = [sys.executable, "-m", "renderer.cli.main", "--help"]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == step.output


def test_the_exit_codes_are_the_programs() -> None:
    """The table of exit codes has each of them, once."""
    assert [int(number) for number in re.findall(r"^\| (\d+) \|", README, flags=re.MULTILINE)] == sorted(Exit)


def test_the_table_of_providers_is_complete() -> None:
    """Each provider stands there with its operations, the default first, its key and its base URL."""
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \| (.*?) \|$", README, flags=re.MULTILINE)
    packs = {pack.provider: pack for pack in load_packs().values() if not pack.unavailable}
    assert {name for name, *_ in rows} == set(packs)
    for name, operations, key, base in rows:
        pack = packs[name]
        assert set(re.findall(r"`([^`]+)`", operations)) == set(pack.operations)
        assert re.findall(r"`([^`]+)`", operations)[0] == pack.default
        assert pack.key is not None
        assert key == f"`{pack.key.variable}`" + (", optional" if pack.key.optional else "")
        assert base == (f"`{pack.base_url}`" if pack.base_url else f"none: set `{name.upper()}_BASE_URL`")


def test_what_is_not_yet_is_not_there() -> None:
    """The list of what is missing names nothing that exists."""
    told = re.search(r"\*\*Not yet\*\*.*?: the commands (.*?), and\nthe provider `(\w+)`", README, flags=re.DOTALL)
    assert told is not None
    missing = [name for name in re.findall(r"`([^`]+)`", told[1]) if " " not in name]
    options = [name.split() for name in re.findall(r"`([^`]+)`", told[1]) if " " in name]
    assert missing
    for name, option in options:
        command = group.get_command(click.Context(group), name)
        assert command is not None
        assert option not in {word for parameter in command.params for word in parameter.opts}
    assert not set(missing) & set(group.list_commands(click.Context(group)))
    assert load_packs()[told[2]].unavailable


def test_links_lead_somewhere() -> None:
    """A link to a file of the repository leads to one."""
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_room_of_the_house_is_told() -> None:
    """CONTRIBUTING names each module of the floors in the table of its own floor, and none that is gone."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for floor in ("manifest", "state", "provider", "plan", "run"):
        table = re.search(rf"^\| `{floor}/` \| in one.*?\n\n", text, re.MULTILINE | re.DOTALL)
        assert table is not None
        rooms = re.findall(r"^\| (`.*?) \|", table[0].partition("---|\n")[2], re.MULTILINE)
        told = [name for room in rooms for name in re.findall(r"`([^`]+)`", room)]
        modules = {path.stem for path in (ROOT / "renderer" / floor).glob("*.py")} - {"__init__"}
        assert sorted(told) == sorted(modules)


def test_every_owner_of_a_library_is_told() -> None:
    """CONTRIBUTING's table of owners is the one that the house is held against."""
    house = ast.parse((ROOT / "tests" / "test_house.py").read_text())
    (owners,) = (
        ast.literal_eval(node.value)
        for node in house.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "OWNERS"
    )
    text = (ROOT / "CONTRIBUTING.md").read_text().partition("| library | its owner |")[2].partition("\n\n")[0]
    told = {
        library: tuple(re.findall(r"`([^`]+)`", whose))
        for libraries, whose in re.findall(r"^\| (`.*?) \| (.*?) \|$", text, re.MULTILINE)
        for library in re.findall(r"`([^`]+)`", libraries)
    }
    assert told == owners


def test_the_walkthrough_of_a_new_provider_works(tmp_path: Path) -> None:
    """The files that CONTRIBUTING shows make a pack that plans as told and passes the contract suite."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    part = text.partition("## A provider in ten minutes")[2]
    for path, content in re.findall(
        r"`(lumen/[\w./]+)`(?:(?!`lumen/).)*?^```\w+\n(.*?)^```$", part, re.MULTILINE | re.DOTALL
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)
    manifest = re.search(r"^```yaml\n(version: 1\n.*?)^```$", part, re.MULTILINE | re.DOTALL)
    assert manifest is not None
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "harbour.yaml").write_text(manifest[1])
    console = re.search(r"^```console\n(.*?)^```$", part, re.MULTILINE | re.DOTALL)
    assert console is not None
    for command, output in (step.split("\n", 1) for step in re.split(r"^\$ ", console[1], flags=re.MULTILINE)[1:]):
        done = shell(command, tmp_path)
        assert said(done, output), done
    suite = ROOT / "tests" / "provider" / "test_contract.py"
    told = shell(
        f"'{sys.executable}' -m pytest -c '{ROOT / 'pyproject.toml'}' '{suite}' --pack '{tmp_path / 'lumen'}'", tmp_path
    )
    assert re.search(r"\d+ passed", told), told
    assert "failed" not in told
