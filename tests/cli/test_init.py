import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from renderer import cli, data
from renderer.cli.main import group
from renderer.manifest.yamlfile import read_yaml

FILES = {
    ".gitattributes",
    ".gitignore",
    ".renderer/.gitignore",
    ".github/workflows/renderer.yaml",
    "Makefile",
    "schemas/manifest.schema.json",
    "specs/first.yaml",
}


def init(*arguments: str | Path) -> Result:
    """Run `renderer init`."""
    return CliRunner().invoke(group, ["init", *map(str, arguments)])


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_project_is_made_that_validates(tmp_path: Path) -> None:
    """The new project has every file, and its first manifest is valid as it stands."""
    made = init(tmp_path / "shop")
    assert made.exit_code == 0
    assert set(contents(tmp_path / "shop")) == FILES
    assert "renderer apply --sandbox --yes specs/first.yaml" in made.output
    checked = CliRunner().invoke(group, ["validate", str(tmp_path / "shop" / "specs")])
    assert (checked.exit_code, checked.stderr) == (0, "")


def test_the_editor_finds_the_schema(tmp_path: Path) -> None:
    """The manifest's first line names a schema file that is there, the one that ships."""
    init(tmp_path)
    first = (tmp_path / "specs" / "first.yaml").read_text("utf-8").splitlines()[0]
    named = (tmp_path / "specs" / first.partition("$schema=")[2]).resolve()
    assert named.read_bytes() == (data.schemas() / "manifest.schema.json").read_bytes()


def test_running_it_again_changes_nothing(tmp_path: Path) -> None:
    """The second time everything is kept, byte for byte."""
    init(tmp_path)
    before = contents(tmp_path)
    again = init(tmp_path)
    assert contents(tmp_path) == before
    assert "Nothing was missing." in again.output
    assert {line.split()[0] for line in again.output.splitlines()[:-1]} == {"kept"}


def test_what_exists_is_kept_and_said_so(tmp_path: Path) -> None:
    """A Makefile and a schema of one's own stay as they are, also where they are links to nowhere."""
    (tmp_path / "Makefile").write_text("all:\n")
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "manifest.schema.json").write_text("{}")
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "first.yaml").symlink_to(tmp_path / "Makefile")
    said = init(tmp_path).output
    assert (tmp_path / "Makefile").read_text() == "all:\n"
    assert "kept      Makefile  (it exists)" in said
    assert "kept      specs/first.yaml  (it exists)" in said
    assert "not this version's: renderer schema > schemas/manifest.schema.json" in said


def test_missing_lines_are_added_to_gits_files(tmp_path: Path) -> None:
    """Lines that are there stay, in their order; only what is missing comes behind them."""
    (tmp_path / ".gitattributes").write_text("*.png binary")
    (tmp_path / ".gitignore").write_text("node_modules\r\n/renders/\r\n")
    said = init(tmp_path).output
    assert (tmp_path / ".gitattributes").read_text() == "*.png binary\nspecs/*.lock merge=union text eol=lf\n"
    assert (tmp_path / ".gitignore").read_bytes() == b"node_modules\r\n/renders/\r\n.env\n"
    assert "added to  .gitattributes  (1 line)" in said


def test_git_sees_what_it_shall_see(tmp_path: Path) -> None:
    """In git, the lockfile merges by union, and of .renderer only its .gitignore is committed."""
    init(tmp_path)
    git = ["git", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    (tmp_path / ".renderer" / "ledger").mkdir()
    (tmp_path / ".renderer" / "ledger" / "first.jsonl").touch()
    seen = subprocess.run([*git, "status", "--short", "-uall"], capture_output=True, text=True, check=True).stdout
    assert {line.split()[1] for line in seen.splitlines()} == FILES
    attributes = [*git, "check-attr", "merge", "specs/first.lock", "uv.lock"]
    told = subprocess.run(attributes, capture_output=True, text=True, check=True).stdout
    assert told == "specs/first.lock: merge: union\nuv.lock: merge: unspecified\n"


def test_the_workflow_is_yaml_and_buys_only_on_main() -> None:
    """The CI workflow can be read, and its only job that applies does not run for pull requests."""
    path = Path(cli.__file__).parent / "starter" / "workflow.yaml"
    jobs = read_yaml(path.read_bytes(), file="workflow.yaml").data["jobs"]
    buying = {
        name for name, job in jobs.items() if any("renderer apply" in step.get("run", "") for step in job["steps"])
    }
    assert buying == {"apply"}
    assert "github.event_name != 'pull_request'" in jobs["apply"]["if"]


def test_a_repositorys_folder_is_told_where_workflows_belong(tmp_path: Path) -> None:
    """Inside a larger repository it is said that GitHub reads workflows from the root alone."""
    (tmp_path / ".git").mkdir()
    assert "move .github/workflows/renderer.yaml" in init(tmp_path / "videos").output


def test_a_file_in_the_way_is_a_clear_error(tmp_path: Path) -> None:
    """Where a folder is needed and a file stands, nothing breaks: exit 74 and its name."""
    (tmp_path / "specs").touch()
    result = init(tmp_path)
    assert result.exit_code == 74
    assert "specs" in result.stderr


def test_the_current_folder_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without DIR the project is made here, and nobody is sent to another folder."""
    monkeypatch.chdir(tmp_path)
    said = init().output
    assert (tmp_path / "specs" / "first.yaml").is_file()
    assert "cd " not in said
