"""A person's word: retry, resolve, approve, adopt, forget, rebuild and --rerender, each safe to repeat."""

import hashlib
import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from renderer.run.sidecar import record_of
from renderer.state import lockfile
from renderer.state.history import History


def teaser(prompt: str, *, more: str = "") -> str:
    return f"videos:\n  teaser: {{provider: yzx, model: sora-2, prompt: {prompt}, duration: 1{more}}}\n"


@pytest.fixture
def prompt() -> str:
    """A prompt that no other test buys."""
    return f"A dog {uuid.uuid4().hex}"


def job(desk: Any, path: Path, code: int = 0) -> dict[str, Any]:
    (found,) = desk.json("status", path, code=code)["jobs"]
    return dict(found)


def rewrite(path: Path, change: Any) -> None:
    """Change what a lockfile and its ledger know, as if the past had been another one."""
    root = path.parents[1]
    for file in (path.with_suffix(".lock"), root / ".renderer" / "ledger" / f"{path.stem}.jsonl"):
        history = History()
        for record in lockfile.read(file, file=file.name).records:
            history.absorb(record)
        lockfile.rewrite(file, [change(dict(record)) for record in history.records()], file=file.name)


def only(*facts: str) -> Any:
    return lambda record: {name: fact for name, fact in record.items() if name in ("submission", *facts)}


def test_rerender_buys_once_more_and_keeps_the_old_video_until_then(desk: Any, prompt: str) -> None:
    """A saved job is bought again by --rerender alone; the new video replaces the old one; then all is kept."""
    path = desk.write(teaser(prompt))
    assert desk.run("apply", "--yes", path).exit_code == 0
    first = job(desk, path)
    sold = len(desk.shop.sold())
    assert desk.run("apply", "--yes", "--rerender", "teaser", path).exit_code == 0
    second = job(desk, path)
    assert len(desk.shop.sold()) == sold + 1
    assert second["task"] != first["task"]
    file = desk.root / second["output"]["path"]
    assert hashlib.sha256(file.read_bytes()).hexdigest() == second["output"]["sha256"]
    assert desk.run("apply", path).exit_code == 0
    assert len(desk.shop.sold()) == sold + 1


def test_a_rerender_that_was_cut_off_is_continued(desk: Any, prompt: str) -> None:
    """Its order is used up once it is on disk: repeating the command collects what is under way."""
    path = desk.write(teaser(prompt))
    assert desk.run("apply", "--yes", path).exit_code == 0
    assert desk.run("apply", "--yes", "--rerender", "teaser", path).exit_code == 0
    sold = len(desk.shop.sold())

    def cut(record: dict[str, Any]) -> dict[str, Any]:
        return only("intended", "accepted")(record) if "over" in record.get("intended", {}) else record

    rewrite(path, cut)
    assert desk.json("plan", path)["summary"]["collect"] == 1
    assert desk.run("apply", "--yes", "--rerender", "teaser", path).exit_code == 0
    assert (job(desk, path)["state"], len(desk.shop.sold())) == ("saved", sold)


def failed(desk: Any, path: Path) -> None:
    """Let a saved job have failed instead."""

    def fail(record: dict[str, Any]) -> dict[str, Any]:
        return {**only("intended", "accepted")(record), "failed": {"code": "x", "message": "no"}}

    rewrite(path, fail)


def test_only_retry_buys_after_a_verdict(desk: Any, prompt: str) -> None:
    """Apply reports a failure and buys nothing; retry buys it again, once."""
    path = desk.write(teaser(prompt))
    assert desk.run("apply", "--yes", path).exit_code == 0
    failed(desk, path)
    sold = len(desk.shop.sold())
    assert desk.run("apply", "--yes", path).exit_code == 1
    assert len(desk.shop.sold()) == sold
    assert desk.run("retry", "--yes", path).exit_code == 64, "whom?"
    assert desk.run("retry", "state:failed").exit_code == 64, "nobody said yes"
    assert desk.run("retry", "--yes", "state:failed").exit_code == 0
    assert (job(desk, path)["state"], len(desk.shop.sold())) == ("saved", sold + 1)
    assert desk.run("retry", "--yes", "teaser").exit_code == 0
    assert len(desk.shop.sold()) == sold + 1, "it has not failed any more"


@pytest.fixture
def held(desk: Any, prompt: str) -> tuple[Path, str]:
    """A job whose answer was lost, and the task that it really is."""
    path = desk.write(teaser(prompt))
    assert desk.run("apply", "--yes", path).exit_code == 0
    task = str(job(desk, path)["task"])
    rewrite(path, only("intended"))
    assert job(desk, path, code=3)["state"] == "held"
    return path, task


def test_resolve_shows_what_is_held(desk: Any, held: tuple[Path, str]) -> None:
    """When it was sent, what for, what it may have cost, and what can be done; exit 3 while something is held."""
    (row,) = desk.json("resolve", code=3)["held"]
    assert (row["id"], row["operation"], row["task"]) == ("teaser", "video", None)
    assert row["sent"]
    assert row["price"] is None
    shown = desk.run("resolve")
    assert shown.exit_code == 3
    assert "--task TASK | --discard | --resubmit" in shown.output


def test_resolve_task_attaches_and_collect_fetches(desk: Any, held: tuple[Path, str]) -> None:
    """Nothing is bought; repeating it changes nothing; a task of another job is refused."""
    path, task = held
    sold = len(desk.shop.sold())
    assert desk.run("resolve", "teaser", "--task", task).exit_code == 0
    assert desk.run("collect", path).exit_code == 0
    assert (job(desk, path)["state"], len(desk.shop.sold())) == ("saved", sold)
    assert desk.run("resolve").exit_code == 0


def test_resolve_discard_leaves_the_job_failed_until_retry(desk: Any, held: tuple[Path, str]) -> None:
    """A closed job is not bought again by apply."""
    path, _ = held
    sold = len(desk.shop.sold())
    assert desk.run("resolve", "teaser", "--discard").exit_code == 0
    assert desk.run("apply", "--yes", path).exit_code == 1
    assert len(desk.shop.sold()) == sold
    assert desk.run("retry", "--yes", "teaser").exit_code == 0
    assert len(desk.shop.sold()) == sold + 1


def test_resolve_resubmit_closes_and_buys_once(desk: Any, held: tuple[Path, str]) -> None:
    """Repeated, it finds the job saved and buys nothing."""
    path, _ = held
    sold = len(desk.shop.sold())
    assert desk.run("resolve", "teaser", "--resubmit", "--yes").exit_code == 0
    assert job(desk, path)["state"] == "saved"
    assert desk.run("resolve", "teaser", "--resubmit", "--yes").exit_code == 0
    assert len(desk.shop.sold()) == sold + 1


def test_late_evidence_outranks_a_discard(desk: Any, held: tuple[Path, str]) -> None:
    """A person closed what they saw; a merge that brings the answer wins again."""
    path, task = held
    assert desk.run("resolve", "teaser", "--discard").exit_code == 0
    rewrite(path, lambda record: {**record, "accepted": {"task": task, "at": "2026-01-01T00:00:00.000Z"}})
    assert desk.run("collect", path).exit_code == 0
    assert job(desk, path)["state"] == "saved"


def test_approve_lets_todays_video_count(desk: Any, prompt: str) -> None:
    """The text changed, the video stays: no purchase, and the plan keeps it."""
    path = desk.write(teaser(prompt))
    assert desk.run("apply", "--yes", path).exit_code == 0
    path.write_text(path.read_text().replace(prompt, f"{prompt} again"))
    assert desk.json("plan", path)["summary"]["paid"] == 1
    assert desk.run("approve", "teaser").exit_code == 0
    assert desk.json("plan", path)["summary"]["keep"] == 1


def test_approve_records_a_file_that_was_changed_by_hand(desk: Any, prompt: str) -> None:
    """The changed file becomes the recorded one: verify agrees, and it survives being lost."""
    path = desk.write(teaser(prompt) + f"  other: {{provider: yzx, model: sora-2, prompt: {prompt} b, duration: 1}}\n")
    assert desk.run("apply", "--yes", path).exit_code == 0
    one, other = (desk.root / "renders" / "spring" / f"{name}.mp4" for name in ("teaser", "other"))
    one.write_bytes(other.read_bytes())
    assert desk.run("verify", path).exit_code == 1
    assert desk.run("approve", "teaser").exit_code == 0
    assert desk.run("verify", path).exit_code == 0
    one.unlink()
    assert desk.run("apply", path).exit_code == 0
    assert one.read_bytes() == other.read_bytes()


def test_adopt_takes_a_file_and_a_task(desk: Any, prompt: str) -> None:
    """What exists already is attached; nothing is bought; what is no video is refused."""
    path = desk.write(teaser(prompt))
    assert desk.run("apply", "--yes", path).exit_code == 0
    task = job(desk, path)["task"]
    made = desk.root / "made.mp4"
    made.write_bytes((desk.root / "renders" / "spring" / "teaser.mp4").read_bytes())
    other = desk.write(teaser(f"{prompt} other"), name="other.yaml")
    sold = len(desk.shop.sold())
    (desk.root / "no.mp4").write_text("<html>")
    assert desk.run("adopt", other, "teaser", "--file", desk.root / "no.mp4").exit_code == 64
    assert desk.run("adopt", other, "teaser", "--file", made).exit_code == 0
    assert desk.json("plan", other)["summary"]["keep"] == 1
    third = desk.write(teaser(f"{prompt} third"), name="third.yaml")
    assert desk.run("adopt", third, "teaser", "--task", task).exit_code == 64, "it belongs to another job"
    assert len(desk.shop.sold()) == sold


def test_forget_hides_an_orphan(desk: Any, prompt: str) -> None:
    """A purchase whose job is gone is listed until somebody forgets it; its record stays."""
    path = desk.write(teaser(prompt) + f"  gone: {{provider: yzx, model: sora-2, prompt: {prompt} b, duration: 1}}\n")
    assert desk.run("apply", "--yes", path).exit_code == 0
    path.write_text("\n".join(line for line in path.read_text().splitlines() if "gone:" not in line) + "\n")
    assert desk.json("plan", path)["summary"]["orphan"] == 1
    assert desk.run("forget", "nobody").exit_code == 64
    assert desk.run("forget", "gone").exit_code == 0
    assert desk.json("plan", path)["summary"]["orphan"] == 0


def test_a_sidecar_says_where_a_video_came_from(desk: Any, prompt: str) -> None:
    """It stands beside each saved video, moves with it, and holds no prompt."""
    path = desk.write(teaser(prompt))
    assert desk.run("apply", "--yes", path).exit_code == 0
    sidecar = desk.root / "renders" / "spring" / "teaser.mp4.json"
    told = json.loads(sidecar.read_text())
    assert (told["source_type"], told["job"], told["task"]) == ("generated", "spring/teaser", job(desk, path)["task"])
    assert prompt not in sidecar.read_text()
    path.write_text(path.read_text().replace("  teaser:", "  opener:"))
    assert desk.run("apply", path).exit_code == 0
    assert not sidecar.exists()
    assert record_of((sidecar.parent / "opener.mp4.json").read_bytes()) is not None


def test_rebuild_restores_a_lockfile_from_ledger_and_from_sidecars(desk: Any, prompt: str) -> None:
    """A damaged line that the ledger knows costs nothing; without both, the sidecars know what was saved."""
    path = desk.write(teaser(prompt))
    assert desk.run("apply", "--yes", path).exit_code == 0
    lock = path.with_suffix(".lock")
    lock.write_bytes(lock.read_bytes().replace(b'"provider":"yzx"', b'"provider":"yxz"'))
    assert desk.run("plan", path).exit_code == 74
    assert desk.run("rebuild", path).exit_code == 0
    assert desk.json("plan", path)["summary"]["keep"] == 1
    assert list((desk.root / ".renderer" / "damaged").iterdir())
    lock.unlink()
    (desk.root / ".renderer" / "ledger" / "spring.jsonl").unlink()
    assert desk.json("plan", path)["summary"]["submit"] == 1
    assert desk.run("rebuild", path).exit_code == 0
    assert desk.json("plan", path)["summary"]["keep"] == 1


def test_rebuild_holds_what_it_cannot_account_for(desk: Any, prompt: str) -> None:
    """Where the lost line may have spoken of a purchase, nothing is bought until a person decides."""
    path = desk.write(teaser(prompt))
    assert desk.run("apply", "--yes", path).exit_code == 0
    (desk.root / "renders" / "spring" / "teaser.mp4.json").unlink()
    (desk.root / ".renderer" / "ledger" / "spring.jsonl").unlink()
    lock = path.with_suffix(".lock")
    lock.write_bytes(lock.read_bytes().replace(b'"provider":"yzx"', b'"provider":"yxz"'))
    assert desk.run("rebuild", path).exit_code == 3
    held = job(desk, path, code=3)
    assert held["state"] == "held"
    assert "damaged" in held["held"]["why"]
    sold = len(desk.shop.sold())
    assert desk.run("apply", "--yes", path).exit_code == 3
    assert len(desk.shop.sold()) == sold


def test_costs_are_summed_by_unit_and_limits_are_kept(desk: Any, prompt: str) -> None:
    """Plan says what the difference costs, unknown prices as unknown; a limit is reserved before each submit."""
    videos = "".join(f"  v{n}: {{provider: yzx, model: sora-2, prompt: {prompt} {n}, duration: 1}}\n" for n in range(3))
    path = desk.write(f"videos:\n{videos}  a: {{provider: foxapi, prompt: {prompt}}}\n")
    path.write_text(path.read_text().replace("  yzx: {", "  yzx: {price: 30 credits, "))
    plan = desk.json("plan", path)
    assert plan["cost"] == {"known": ["90 credits"], "unknown": 1}
    assert "4 paid submits for 90 credits + 1 submit of unknown price" in desk.run("plan", path).output
    sold = len(desk.shop.sold())
    done = desk.run("apply", "--yes", "--max-cost", "70 credits", path)
    assert done.exit_code == 4
    assert len(desk.shop.sold()) - sold == 2
    assert desk.run("apply", "--yes", "--max-cost", "lots", path).exit_code == 64


def test_resolve_buys_only_what_is_held_and_named(desk: Any, held: tuple[Path, str]) -> None:
    """A job that nobody asked about is not bought along, whether or not the one that was named is held."""
    path, task = held
    path.write_text(path.read_text() + "  unasked: {provider: foxapi, prompt: a house}\n")
    sold = len(desk.shop.sold())
    assert desk.run("resolve", "teaser", "--resubmit").exit_code == 64, "nobody said yes, and nothing is closed"
    assert desk.run("resolve", "teaser", "--resubmit", "--yes").exit_code == 0
    assert len(desk.shop.sold()) == sold + 1
    assert "Nothing of that is held" in desk.run("resolve", "teaser", "--resubmit", "--yes").output
    assert len(desk.shop.sold()) == sold + 1
    assert desk.run("resolve", "teaser", "--task", task).exit_code == 0


def test_adopt_looks_at_the_target_before_anything_is_recorded(desk: Any, prompt: str) -> None:
    """A file that stands at the output is not replaced, and the job is not saved by halves."""
    path = desk.write(teaser(prompt))
    assert desk.run("apply", "--yes", path).exit_code == 0
    made = desk.root / "made.mp4"
    made.write_bytes((desk.root / "renders" / "spring" / "teaser.mp4").read_bytes())
    other = desk.write(teaser(f"{prompt} other"), name="other.yaml")
    target = desk.root / "renders" / "other" / "teaser.mp4"
    target.parent.mkdir()
    target.write_bytes(b"precious")
    assert desk.run("adopt", other, "teaser", "--file", made).exit_code == 64
    assert target.read_bytes() == b"precious"
    assert job(desk, other, code=3)["state"] == "planned"
