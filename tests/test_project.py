import os
from pathlib import Path

import pytest

from renderer.errors import UsageError
from renderer.project import PathError, Project, find_project, unportable


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with a manifest's folder and a file to read."""
    root = tmp_path / "project"
    (root / ".git").mkdir(parents=True)
    (root / "specs").mkdir()
    (root / "copy").mkdir()
    (root / "copy" / "a.txt").write_text("a")
    return find_project(root / "specs")


def test_the_root_is_the_nearest_marked_folder(project: Project) -> None:
    """A folder with ``.git`` or ``.renderer`` upward is the root; without one it is the manifest's own."""
    assert project.root.name == "project"
    (project.root / "specs" / ".renderer").mkdir()
    assert find_project(project.root / "specs").root.name == "specs"


def test_a_given_root_must_be_a_folder(tmp_path: Path) -> None:
    """``--project`` names a folder, or the command is refused."""
    assert find_project(tmp_path, given=tmp_path).root == tmp_path.resolve()
    with pytest.raises(UsageError):
        find_project(tmp_path, given=tmp_path / "none")


def test_a_rehearsal_writes_elsewhere_and_reads_the_same(project: Project) -> None:
    """The sandbox's home lies under ``.renderer/sandbox``; sources are the project's."""
    sandbox = project.sandbox()
    assert sandbox.sandboxed
    assert not project.sandboxed
    assert sandbox.output("renders/a.mp4") == project.root / ".renderer/sandbox/renders/a.mp4"
    assert sandbox.source("specs/m.yaml", "../copy/a.txt") == project.root / "copy/a.txt"
    assert sandbox.lockfile("specs/m.yaml") == project.root / ".renderer/sandbox/specs/m.lock"


def test_a_source_is_found_from_the_manifests_folder(project: Project) -> None:
    """A path is relative to the manifest that names it."""
    assert project.source("specs/m.yaml", "../copy/a.txt") == project.root / "copy/a.txt"


@pytest.mark.parametrize(
    "text",
    ["/etc/passwd", "../../outside.txt", "../copy", "../copy/none.txt", "~/x", "", "..\\copy\\a.txt", "/dev/zero",
     "../copy/a\n.txt", "../copy/\x1b[31m.txt", "../copy/\udc80.txt", "../.git/config", "../copy/loop"],
)  # fmt: skip
def test_fault_11_only_regular_files_inside_the_project_are_read(project: Project, text: str) -> None:
    """Absolute paths, paths outward, folders, devices, loops and git's own files are refused."""
    (project.root.parent / "outside.txt").write_text("secret")
    (project.root / ".git" / "config").write_text("token")
    (project.root / "copy" / "loop").symlink_to("loop")
    with pytest.raises(PathError):
        project.source("specs/m.yaml", text)


def test_fault_11_a_fifo_is_refused_without_waiting(project: Project) -> None:
    """A pipe is no regular file."""
    os.mkfifo(project.root / "copy" / "pipe")
    with pytest.raises(PathError, match="regular file"):
        project.source("specs/m.yaml", "../copy/pipe")


@pytest.mark.parametrize("target", ["../../outside.txt", "../.git/config"])
def test_fault_11_a_symlink_does_not_lead_out(project: Project, target: str) -> None:
    """A link is judged by where it ends."""
    (project.root.parent / "outside.txt").write_text("secret")
    (project.root / ".git" / "config").write_text("token")
    (project.root / "copy" / "link.txt").symlink_to(target)
    with pytest.raises(PathError):
        project.source("specs/m.yaml", "../copy/link.txt")


def test_a_target_is_relative_to_the_root(project: Project) -> None:
    """Recorded paths are relative to the root with ``/``."""
    assert project.target("specs/m.yaml", "../out/./x/../a.mp4") == "out/a.mp4"


@pytest.mark.parametrize(
    "text",
    ["../../x.mp4", "/etc/x.mp4", "a\\..\\b.mp4", "a\nb.mp4", "\x1b[31m.mp4", "a\u202eb.mp4", "..", ".", "../out/",
     "../copy",
     "../.git/x.mp4", "../.GIT/x.mp4", "../.renderer/x.mp4", "con.mp4", "LPT1", "a./b.mp4", "a .mp4 ", "e\u0301.mp4",
     "x" * 256, "ä" * 128, "/".join(["x" * 200] * 30), "a:b.mp4", "a?.mp4", "\udc80.mp4"],
)  # fmt: skip
def test_fault_10_unfit_targets_are_refused(project: Project, text: str) -> None:
    """An output stays inside the project, has a name for every system, and is no folder."""
    with pytest.raises(PathError):
        project.target("specs/m.yaml", text)


@pytest.mark.parametrize("text", ["../out/link.mp4", "../linked/a.mp4"])
def test_fault_10_a_symlinked_target_or_folder_is_refused(project: Project, text: str) -> None:
    """Nothing is written through a link."""
    (project.root / "out").mkdir()
    (project.root / "out" / "link.mp4").symlink_to("elsewhere.mp4")
    (project.root / "linked").symlink_to("out")
    with pytest.raises(PathError, match="symbolic link"):
        project.target("specs/m.yaml", text)


@pytest.mark.parametrize("name", ["a.mp4", "été.mp4", "con-1.mp4", "console", "a b", ".hidden", "文件.mp4"])
def test_fault_9_ordinary_names_are_portable(name: str) -> None:
    """Names of any script are fine."""
    assert unportable(name) is None
