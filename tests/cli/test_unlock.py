from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from renderer.cli.main import group
from renderer.project import Project
from renderer.state.runlock import RunLock


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return an empty project."""
    (tmp_path / ".renderer").mkdir()
    return Project(tmp_path.resolve(), tmp_path.resolve())


def unlock(project: Project) -> Result:
    """Run `renderer unlock`."""
    return CliRunner().invoke(group, ["unlock", "--project", str(project.root)])


def test_a_free_project_is_free(project: Project) -> None:
    """Where nobody works this is said, and nothing is made."""
    result = unlock(project)
    assert result.exit_code == 0
    assert "nothing to unlock" in result.output
    assert list(project.state.iterdir()) == []


def test_who_works_is_named_and_left_alone(project: Project) -> None:
    """Who holds the lock, with what command and since when; the lock and its file stay."""
    with RunLock(project, command="renderer apply \x1b[31mspecs"):
        before = sorted(path.name for path in project.lock.parent.iterdir())
        result = unlock(project)
        assert result.exit_code == 75
        assert "(renderer apply \ufffd[31mspecs) since 2" in result.output
        assert sorted(path.name for path in project.lock.parent.iterdir()) == before
    assert unlock(project).exit_code == 0


def test_a_rehearsal_is_told_apart(project: Project) -> None:
    """A rehearsal does not hold the project itself."""
    with RunLock(project.sandbox(), command="renderer sandbox"):
        result = unlock(project)
    assert result.exit_code == 0
    assert "A rehearsal (--sandbox) is under way: process" in result.output
