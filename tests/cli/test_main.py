import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from renderer.cli import main
from renderer.cli.crash import redacted
from renderer.cli.options import Context
from renderer.errors import DiskError, Exit, InvalidError, LockedError, Problem, RendererError, UsageError

NAMES = ("init", "validate", "plan", "apply", "collect", "status", "verify")
NAMES += ("retry", "resolve", "approve", "adopt", "forget", "rebuild")
NAMES += ("providers", "sandbox", "schema", "unlock", "clean")
HEAVY = ("httpx", "aiohttp", "jinja2", "yaml", "rich", "jsonschema", "msgspec", "jmespath", "starlette", "av", "numpy")


def python(code: str, *arguments: str, **keywords: object) -> subprocess.CompletedProcess[str]:
    """Run code in an interpreter of its own."""
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **keywords)


def raising(error: BaseException) -> click.Group:
    """Return a command line whose command ``go`` raises."""

    @click.command()
    def go() -> None:
        raise error

    return click.Group("test", commands={"go": go})


def test_help_lists_every_command_in_order() -> None:
    """`renderer --help` shows each command with one line, in the order of a project's life."""
    result = CliRunner().invoke(main.group, ["--help"])
    listed = result.output.partition("Commands:\n")[2].split("\n\n")[0]
    assert [line.split()[0] for line in listed.splitlines() if line.startswith("  ") and line[2] != " "] == list(NAMES)
    assert result.exit_code == 0


def test_help_needs_only_click() -> None:
    """`--help` imports none of the libraries that take time."""
    code = f"""
import sys
from renderer.cli.main import group
try:
    group.main(["--help"])
except SystemExit as end:
    print("LOADED", [name for name in {HEAVY!r} if name in sys.modules], end.code)
"""
    assert "LOADED [] 0" in python(code).stdout


@pytest.mark.parametrize("name", NAMES)
def test_each_command_has_help(name: str) -> None:
    """Each listed command can be loaded and says what it does."""
    result = CliRunner().invoke(main.group, [name, "--help"])
    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: renderer {name}")
    assert len(result.output.split("\n\n")[1].strip()) > 10


def test_the_version_is_printed() -> None:
    """`--version` prints the program's name and its version."""
    assert CliRunner().invoke(main.group, ["--version"]).output.startswith("renderer 0.")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["aply"], "Did you mean 'apply'?"),
        (["--projekt", "x"], "Did you mean '--project'?"),
        (["schema", "--lsit"], "Did you mean '--list'?"),
        (["--project", "/nowhere", "schema"], "does not exist"),
        (["zzz\x1b[31m"], "There is no command 'zzz\ufffd[31m'."),
        ([], "Commands:"),
    ],
)
def test_wrong_usage_is_64_and_helps(arguments: list[str], said: str) -> None:
    """Wrong words exit 64, on stderr, with what may have been meant."""
    result = CliRunner().invoke(main.group, arguments)
    assert result.exit_code == Exit.USAGE
    assert said in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("given", "ordered"),
    [
        (["apply", "x", "--project", "p"], ["--project", "p", "apply", "x"]),
        (["plan", "--packs=a", "x", "--packs", "b"], ["--packs=a", "--packs", "b", "plan", "x"]),
        (["plan", "--", "--project", "p"], ["plan", "--", "--project", "p"]),
        (["plan", "--env-file"], ["--env-file", "plan"]),
        (["providers", "list"], ["providers", "list"]),
    ],
)
def test_options_of_the_invocation_may_stand_anywhere(given: list[str], ordered: list[str]) -> None:
    """`--project`, `--packs` and `--env-file` count wherever they stand, but not behind `--`."""
    assert main.to_the_front(given) == ordered


def test_the_context_carries_what_was_said(tmp_path: Path) -> None:
    """A command gets the project, every folder of packs and the file of variables."""
    seen: list[Context] = []

    @click.command()
    @click.pass_obj
    def go(context: Context) -> None:
        seen.append(context)

    (tmp_path / "env").touch()
    group = main.group
    arguments = ["--packs", str(tmp_path), "--packs", str(tmp_path), "--project", str(tmp_path)]
    with group.make_context("renderer", [*arguments, "--env-file", str(tmp_path / "env"), "schema"]) as context:
        context.invoke(go)
    assert seen == [Context(project=tmp_path, packs=(tmp_path, tmp_path), env_file=tmp_path / "env")]
    assert seen[0].find().root == tmp_path.resolve()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("no key"), 64),
        (InvalidError([]), 65),
        (DiskError("torn"), 74),
        (LockedError("busy"), 75),
        (OSError(28, "No space left on device", "/x/y"), 74),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
    ],
)
def test_an_error_becomes_its_exit_code(error: BaseException, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Each kind of error has its own exit code, and no traceback."""
    assert main._run(raising(error), ["go"]) == code
    assert "Traceback" not in capsys.readouterr().err


def test_problems_stand_with_their_places(capsys: pytest.CaptureFixture[str]) -> None:
    """An invalid manifest is shown as message, one line per problem with its place, and what to do next."""
    problems = [
        Problem("specs/a.yaml", 3, 5, "$.x", "unknown", "`titel` is not a field", "did you mean `title`?"),
        Problem("specs/a.yaml", 9, 1, "$.y", "odd", "looks odd", severity="warning"),
    ]
    main._run(raising(InvalidError(problems, hint="see the schema")), ["go"])
    assert capsys.readouterr().err.splitlines() == [
        "Error: 1 problem",
        "specs/a.yaml:3:5: error: `titel` is not a field (did you mean `title`?)",
        "specs/a.yaml:9:1: warning: looks odd",
        "Next: see the schema",
    ]


def test_words_of_a_provider_are_inert(capsys: pytest.CaptureFixture[str]) -> None:
    """Terminal escapes and what reorders text do not reach the terminal."""
    main._run(raising(RendererError("bad \x1b]0;x\x07 \u202etxt", hint="\x9b31m")), ["go"])
    said = capsys.readouterr().err
    assert not set("\x1b\x07\x9b\u202e") & set(said)


def test_a_bug_goes_into_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug exits 70; its traceback is in the project's crash folder, without credentials or queries, for its owner."""
    (tmp_path / ".renderer").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HIFLY_API_KEY", "canary-123456")
    error = KeyError("canary-123456 at https://u:pw@cdn.example/a.mp4?sign=abc and Bearer tok.en")
    assert main._run(raising(error), ["go"]) == Exit.BUG
    said = capsys.readouterr().err
    (kept,) = (tmp_path / ".renderer" / "crash").iterdir()
    assert kept.name in said
    text = kept.read_text("utf-8")
    assert "Traceback" in text
    assert "Traceback" not in said
    for secret in ("canary", "sign=abc", "tok.en", "pw@"):
        assert secret not in text + said
    assert kept.stat().st_mode & 0o777 == 0o600


def test_a_bug_outside_a_project_goes_into_the_temporary_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no project no folder is made for a crash."""
    monkeypatch.chdir(tmp_path)
    main._run(raising(ValueError("x")), ["go"])
    said = capsys.readouterr().err
    kept = Path(said.partition("Its traceback is in ")[2].split(".txt")[0] + ".txt")
    assert "ValueError" in kept.read_text("utf-8")
    kept.unlink()
    assert list(tmp_path.iterdir()) == []


def test_longer_secrets_go_first() -> None:
    """A credential that begins like another one leaves no rest behind."""
    assert redacted("abcd abcdef", ["abcd", "abcdef"]) == "[secret] [secret]"


def test_a_reader_that_leaves_is_no_error() -> None:
    """`renderer schema | head -1` says nothing on stderr."""
    read, write = os.pipe()
    os.close(read)
    code = "from renderer.cli.main import main; main()"
    command = [sys.executable, "-c", code, "schema"]
    result = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(write)
    assert result.stderr == b""
    assert result.returncode == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_behind_stdout_is_told() -> None:
    """Output that could not be written is not taken for written."""
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        command = [sys.executable, "-c", "from renderer.cli.main import main; main()", "--help"]
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert result.returncode == Exit.DISK
    assert "No space left" in result.stderr


def test_an_extra_that_is_missing_is_named() -> None:
    """Without its extra a command exits 64 and says what to install."""
    code = "import sys; sys.modules['starlette'] = None; from renderer.cli.main import main; main()"
    result = python(code, "sandbox")
    assert result.returncode == Exit.USAGE
    assert "pip install '.[sandbox]'" in result.stderr
