import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from renderer.errors import DiskError, Exit, LockedError
from renderer.project import Project
from renderer.state.runlock import RunLock, holder

ROOT = Path(__file__).parents[2]
# Says what happened, then holds the lock until its input ends.
HOLD = """
import sys
import threading
from pathlib import Path
from renderer.errors import LockedError
from renderer.project import Project
from renderer.state.runlock import RunLock
root = Path(sys.argv[1])
try:
    with RunLock(Project(root, root), command="renderer apply specs"):
        print("held", flush=True)
        sys.stdin.read()
except LockedError as error:
    print("locked", error.message, flush=True)
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Give an empty project."""
    return Project(tmp_path, tmp_path)


def start(project: Project) -> "subprocess.Popen[str]":
    """Start another process that wants the lock."""
    command = [sys.executable, "-c", HOLD, str(project.root)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def said(process: "subprocess.Popen[str]") -> str:
    """Return its next line."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def finish(process: "subprocess.Popen[str]") -> None:
    """End it and close its pipes."""
    process.communicate(timeout=10)


def test_nobody_holds_a_project_that_nobody_ran(project: Project) -> None:
    """To ask leaves no file behind."""
    assert holder(project) is None
    assert list(project.root.iterdir()) == []


def test_23_a_second_run_is_told_who_where_and_since_when(project: Project) -> None:
    """The exit code is 75, and the first run goes on."""
    with RunLock(project, command="renderer apply specs/spring.yaml"):
        with pytest.raises(LockedError) as error, RunLock(project):
            pass
        assert error.value.exit is Exit.LOCKED
        for word in (str(os.getpid()), os.uname().nodename, "specs/spring.yaml", "Z"):
            assert word in error.value.message
        found = holder(project)
        assert found is not None
        assert (found.pid, found.host) == (os.getpid(), os.uname().nodename)
    assert holder(project) is None


def test_a_lock_can_be_taken_again(project: Project) -> None:
    """The lock file stays, the holder's does not."""
    for _ in range(2):
        with RunLock(project):
            assert project.lock.exists()
    assert [path.name for path in project.lock.parent.iterdir()] == ["project"]


def test_the_lock_is_released_when_the_run_fails(project: Project) -> None:
    """An exception inside leaves nothing locked."""
    with pytest.raises(ZeroDivisionError), RunLock(project):
        _ = 1 / 0
    with RunLock(project):
        pass


def test_23_of_twenty_runs_at_once_exactly_one_works(project: Project) -> None:
    """Whoever wins, the other nineteen name it."""
    processes = [start(project) for _ in range(20)]
    try:
        lines = [said(process) for process in processes]
        assert sorted(line.split()[0] for line in lines) == ["held"] + ["locked"] * 19
        winner = processes[lines.index("held")]
        assert all(f"process {winner.pid} " in line for line in lines if line != "held")
    finally:
        for process in processes:
            finish(process)


def test_23_a_killed_holder_leaves_no_stale_lock(project: Project) -> None:
    """What it wrote about itself is still there, but nobody believes it."""
    process = start(project)
    assert said(process) == "held"
    assert holder(project) is not None
    process.send_signal(signal.SIGKILL)
    finish(process)
    assert project.lock.with_name("project.holder").exists()
    assert holder(project) is None
    with RunLock(project):
        found = holder(project)
        assert found is not None
        assert found.pid == os.getpid()


def test_asking_does_not_make_a_run_fail(project: Project) -> None:
    """Runs start while others ask all the time, and those who ask never see each other as a run."""
    asking = """
import sys
import threading
from pathlib import Path
from renderer.project import Project
from renderer.state.runlock import holder
root = Path(sys.argv[1])
print("go", flush=True)
while not (root / "stop").exists():
    found = holder(Project(root, root))
    assert found is None or found.pid in (0, int(sys.argv[2])), found
"""
    with RunLock(project):
        pass
    command = [sys.executable, "-c", asking, str(project.root), str(os.getpid())]
    askers = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [said(process) for process in askers] == ["go", "go"]
    for _ in range(20):
        with RunLock(project):
            pass
    (project.root / "stop").touch()
    for process in askers:
        finish(process)
        assert process.returncode == 0


def test_a_short_look_at_the_lock_is_waited_out(project: Project) -> None:
    """Somebody has the lock for a moment, as one who asks does: a run starts all the same, and nobody seems to run."""
    with RunLock(project):
        pass
    for use in (lambda: holder(project), lambda: RunLock(project).__enter__().__exit__()):
        with project.lock.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            release = threading.Timer(0.05, fcntl.flock, (file, fcntl.LOCK_UN))
            release.start()
            assert use() is None
            release.join()


def test_a_damaged_holder_file_is_no_obstacle(project: Project) -> None:
    """The lock decides; the text is only for people."""
    with RunLock(project):
        project.lock.with_name("project.holder").write_text("{nonsense")
        with pytest.raises(LockedError, match="another process"), RunLock(project):
            pass


def test_the_holder_is_written_as_specified(project: Project) -> None:
    """The keys are those of the module's docstring."""
    with RunLock(project, command="renderer apply"):
        said = json.loads(project.lock.with_name("project.holder").read_text())
    assert set(said) == {"command", "host", "pid", "since", "user"}


def test_22_a_lock_that_cannot_be_made_is_a_disk_problem(project: Project) -> None:
    """A file stands where the folder should be: exit 74, with the path."""
    project.state.write_text("in the way")
    with pytest.raises(DiskError, match=r"\.renderer") as error, RunLock(project):
        pass
    assert error.value.exit is Exit.DISK
