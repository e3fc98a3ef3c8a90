"""Plan, apply, status, verify as a user meets them: against the sandbox, over real sockets, into real files."""

import hashlib
import json
import signal
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from renderer.project import Project
from renderer.state.runlock import RunLock


def teaser(prompt: str, *, id_: str = "teaser", more: str = "") -> str:
    return f"videos:\n  {id_}: {{provider: yzx, model: sora-2, prompt: {prompt}, duration: 1{more}}}\n"


@pytest.fixture
def prompt() -> str:
    """A prompt that no other test buys."""
    return f"A cat {uuid.uuid4().hex}"


def one_job(document: dict[str, Any]) -> dict[str, Any]:
    (job,) = document["jobs"]
    return dict(job)


def summary(desk: Any, *arguments: str | Path) -> dict[str, int]:
    found: dict[str, int] = desk.json("plan", *arguments)["summary"]
    return {name: number for name, number in found.items() if number}


def test_a_manifest_becomes_files_and_a_second_run_sends_nothing(desk: Any, prompt: str) -> None:
    """Every job ends saved with the bytes that its record names; the next apply makes no request at all."""
    path = desk.write(
        f"""
defaults: {{language: en, aspect: 16:9}}
videos:
  launch: {{provider: fliz, title: "{prompt}", text: A lamp.}}
  launch-fr: {{provider: fliz, operation: translate, source: {{ref: launch.task}}, language: fr}}
  welcome: {{provider: hifly, avatar: av_public_01, voice: voice_public_01, text: "{prompt}"}}
  cut: {{provider: gen_video, draft: "https://example.com/#/x?drafId=https://example.com/{uuid.uuid4().hex}.json"}}
  teaser: {{provider: yzx, model: sora-2, prompt: "{prompt}", duration: 1}}
  agent: {{provider: foxapi, prompt: "{prompt}"}}
"""
    )
    before = len(desk.shop.sold())
    document = desk.json("apply", "--yes", path)
    assert document["summary"]["saved"] == 6
    assert len(desk.shop.sold()) - before == 6
    for job in document["jobs"]:
        file = desk.root / job["output"]["path"]
        assert file == desk.root / "renders" / "spring" / f"{job['id']}.mp4"
        assert hashlib.sha256(file.read_bytes()).hexdigest() == job["output"]["sha256"]
    heard = len(desk.shop.heard())
    again = desk.run("apply", "--yes", path)
    assert again.exit_code == 0
    assert "Nothing was sent" in again.output
    assert len(desk.shop.heard()) == heard
    assert "canary" not in "".join(p.read_text(errors="replace") for p in desk.root.rglob("*") if p.is_file())


def test_only_what_changes_the_request_is_bought(desk: Any, prompt: str) -> None:
    """A new prompt plans one paid submit; a new name, order, comment, pacing or output plans none."""
    path = desk.write(teaser(prompt))
    assert desk.run("apply", "--yes", path).exit_code == 0
    text = path.read_text()
    path.write_text(text.replace(prompt, f"{prompt} again"))
    assert summary(desk, path) == {"submit": 1, "paid": 1}
    path.write_text("# a comment\n" + text.replace("timeout: 60s", "timeout: 61s"))
    assert summary(desk, path) == {"keep": 1}
    path.write_text(text.replace("provider: yzx, model: sora-2", "model: sora-2, provider: yzx"))
    assert summary(desk, path) == {"keep": 1}
    path.write_text(text.replace("teaser:", "opener:"))
    assert summary(desk, path) == {"rename": 1}
    path.write_text(text.replace("duration: 1}", "duration: 1, output: ../film/one.mp4}"))
    assert summary(desk, path) == {"rename": 1}
    assert desk.run("apply", path).exit_code == 0, "nothing is submitted, so nobody is asked"
    assert (desk.root / "film" / "one.mp4").is_file()
    assert not (desk.root / "renders" / "spring" / "teaser.mp4").exists()


def test_going_back_to_an_old_text_restores_its_video(desk: Any, prompt: str) -> None:
    """The cache has it: nothing is bought again."""
    path = desk.write(teaser(prompt))
    first = one_job(desk.json("apply", "--yes", path))
    path.write_text(path.read_text().replace(prompt, f"{prompt} two"))
    second = one_job(desk.json("apply", "--yes", path))
    assert second["output"]["sha256"] != first["output"]["sha256"]
    sold = len(desk.shop.sold())
    path.write_text(path.read_text().replace(f"{prompt} two", prompt))
    assert summary(desk, path) == {"restore": 1}
    third = one_job(desk.json("apply", path))
    assert third["output"]["sha256"] == first["output"]["sha256"]
    file = desk.root / third["output"]["path"]
    assert hashlib.sha256(file.read_bytes()).hexdigest() == first["output"]["sha256"]
    assert len(desk.shop.sold()) == sold


def test_a_missing_file_comes_back_from_the_cache_or_the_provider(desk: Any, prompt: str) -> None:
    """A saved file that is gone is restored, or downloaded again where the cache is gone too."""
    path = desk.write(teaser(prompt))
    job = one_job(desk.json("apply", "--yes", path))
    file = desk.root / job["output"]["path"]
    file.unlink()
    assert summary(desk, path) == {"restore": 1}
    assert desk.run("apply", path).exit_code == 0
    assert file.is_file()
    file.unlink()
    for cached in (desk.root / ".renderer" / "cache").rglob("*"):
        if cached.is_file():
            cached.unlink()
    assert summary(desk, path) == {"download": 1}
    assert summary(desk, path, "--only-new") == {"keep": 1}
    assert desk.run("apply", path).exit_code == 0
    assert hashlib.sha256(file.read_bytes()).hexdigest() == job["output"]["sha256"]


def test_a_changed_output_is_left_alone_and_verify_says_so(desk: Any, prompt: str) -> None:
    """A person's edit is kept, and never overwritten by a new purchase."""
    path = desk.write(teaser(prompt))
    job = one_job(desk.json("apply", "--yes", path))
    file = desk.root / job["output"]["path"]
    assert desk.json("verify", path)["files"][0]["ok"]
    file.write_bytes(b"edited by hand")
    assert summary(desk, path) == {"keep": 1}
    (bad,) = desk.json("verify", path, code=1)["files"]
    assert bad == {"id": "teaser", "path": job["output"]["path"], "ok": False, "problem": bad["problem"]}
    path.write_text(path.read_text().replace(prompt, f"{prompt} two"))
    sold = len(desk.shop.sold())
    refused = desk.run("apply", "--yes", path)
    assert refused.exit_code == 65
    assert "changed on disk" in refused.output
    assert len(desk.shop.sold()) == sold
    assert file.read_bytes() == b"edited by hand"


def test_a_foreign_file_at_a_target_is_refused_before_anything_is_sent(desk: Any, prompt: str) -> None:
    """Somebody else's file is not ours to replace."""
    path = desk.write(teaser(prompt))
    file = desk.root / "renders" / "spring" / "teaser.mp4"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"precious")
    sold = len(desk.shop.sold())
    refused = desk.run("apply", "--yes", path)
    assert refused.exit_code == 65
    assert "specs/spring.yaml:9:3:" in refused.output
    assert (file.read_bytes(), len(desk.shop.sold())) == (b"precious", sold)


def test_without_a_terminal_yes_is_needed_before_anything_is_submitted(desk: Any, prompt: str) -> None:
    """Exit 64, and nothing is sent."""
    sold = len(desk.shop.sold())
    refused = desk.run("apply", desk.write(teaser(prompt)))
    assert refused.exit_code == 64
    assert "--yes" in refused.output
    assert len(desk.shop.sold()) == sold


def test_every_missing_variable_is_named_before_anything_is_sent(desk: Any, prompt: str) -> None:
    """Keys and base URLs of providers that will be asked, all at once; plan and status need none."""
    path = desk.write(
        teaser(prompt) + '  cut: {provider: gen_video, draft: "https://a.example/#/x?drafId=https://a.example/1"}\n'
    )
    gone = {"YZX_API_KEY": None, "GEN_VIDEO_BASE_URL": "", "FLIZ_API_KEY": None}
    refused = desk.run("apply", "--yes", path, env=gone)
    assert refused.exit_code == 64
    assert "YZX_API_KEY" in refused.output
    assert "GEN_VIDEO_BASE_URL" in refused.output
    assert "FLIZ" not in refused.output
    plan = desk.run("plan", "--json", path, env=gone)
    assert plan.exit_code == 0
    urls = [action["request"]["url"] for action in json.loads(plan.stdout)["actions"]]
    assert urls[1] == "$GEN_VIDEO_BASE_URL/v1/gen_video"


def test_an_env_file_gives_the_keys(desk: Any, prompt: str) -> None:
    """Its variables count over the environment, which stays as it is."""
    env_file = desk.root / "keys.env"
    env_file.write_text("YZX_API_KEY='from the file'\n")
    done = desk.run("apply", "--yes", "--env-file", env_file, desk.write(teaser(prompt)), env={"YZX_API_KEY": None})
    assert done.exit_code == 0, done.output


def test_budgets_end_a_run_with_exit_4(desk: Any, prompt: str) -> None:
    """The manifest's budget and --max-submits count paid submits, reserved before each is sent."""
    videos = "".join(
        f"  v{n}: {{provider: yzx, model: sora-2, prompt: {prompt} {n}, duration: 1, priority: {n}}}\n"
        for n in range(4)
    )
    path = desk.write(f"budget: {{submits: 3}}\nvideos:\n{videos}")
    sold = len(desk.shop.sold())
    first = desk.run("apply", "--yes", "--max-submits", "1", path, "--json")
    assert first.exit_code == 4
    states = {job["id"]: job["state"] for job in json.loads(first.stdout)["jobs"]}
    assert states == {"v0": "planned", "v1": "planned", "v2": "planned", "v3": "saved"}, "priorities decide"
    assert len(desk.shop.sold()) - sold == 1
    assert desk.run("apply", "--yes", path).exit_code == 0
    assert len(desk.shop.sold()) - sold == 4


def test_a_plan_file_is_applied_as_it_was_agreed_or_not_at_all(desk: Any, prompt: str) -> None:
    """Just its jobs; stale when one of them has changed; skipped when it is done."""
    path = desk.write(teaser(prompt))
    out = desk.root / "agreed"
    assert desk.run("plan", "--out", out, path).exit_code == 0
    path.write_text(path.read_text() + f"  more: {{provider: yzx, model: sora-2, prompt: {prompt} more}}\n")
    sold = len(desk.shop.sold())
    assert [job["id"] for job in desk.json("apply", "--yes", out)["jobs"]] == ["teaser"]
    assert len(desk.shop.sold()) - sold == 1
    assert desk.run("apply", out).exit_code == 0, "done: nothing is submitted, so nobody is asked"
    path.write_text(path.read_text().replace(f"{prompt},", f"{prompt} changed,"))
    stale = desk.run("apply", "--yes", out)
    assert stale.exit_code == 65
    assert "spring/teaser has changed since the plan was made" in stale.output
    assert len(desk.shop.sold()) - sold == 1


def test_collect_never_buys(desk: Any, prompt: str) -> None:
    """What is planned stays planned, and says so by exit 3."""
    sold = len(desk.shop.sold())
    job = one_job(desk.json("collect", desk.write(teaser(prompt)), code=3))
    assert (job["state"], len(desk.shop.sold())) == ("planned", sold)


def test_a_second_run_exits_75_at_once(desk: Any, prompt: str) -> None:
    """It names the holder and has sent nothing."""
    path = desk.write(teaser(prompt))
    heard = len(desk.shop.heard())
    with RunLock(Project(desk.root, desk.root), command="renderer apply elsewhere"):
        refused = desk.run("apply", "--yes", path)
    assert refused.exit_code == 75
    assert "renderer apply elsewhere" in refused.output
    assert len(desk.shop.heard()) == heard


def test_an_interrupt_keeps_what_was_bought(desk: Any, prompt: str) -> None:
    """SIGINT ends the run with 130 without waiting for the render; the next one collects it and buys nothing."""
    path = desk.write(teaser(prompt))
    path.write_text(path.read_text().replace("first: 0.05s", "first: 50s"))
    sold = len(desk.shop.sold())
    process = desk.spawn("apply", "--yes", path)
    end = time.monotonic() + 60
    while len(desk.shop.sold()) == sold:
        assert time.monotonic() < end, "it never submitted"
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=40)
    assert process.returncode == 130
    assert one_job(desk.json("status", path, code=3))["state"] == "accepted"
    path.write_text(path.read_text().replace("first: 50s", "first: 0.05s"))
    assert summary(desk, path) == {"collect": 1}
    assert one_job(desk.json("apply", path))["state"] == "saved"
    assert len(desk.shop.sold()) - sold == 1


def test_a_refusal_is_shown_in_the_providers_words_and_sent_again(desk: Any, prompt: str) -> None:
    """State refused, exit 1; plan repeats what was said; the next apply sends it again."""
    path = desk.write(
        f"videos:\n  hello: {{provider: hifly, avatar: no-such, voice: voice_public_01, text: {prompt}}}\n"
    )
    sold = len(desk.shop.sold())
    job = one_job(desk.json("apply", "--yes", path, code=1))
    assert job["state"] == "refused"
    assert job["error"]["code"] == "14"
    assert job["error"]["remedy"]
    (action,) = desk.json("plan", path)["actions"]
    assert (action["action"], action["paid"]) == ("submit", True)
    assert "14" in action["reason"]
    path.write_text(path.read_text().replace("no-such", "av_public_01"))
    assert one_job(desk.json("apply", "--yes", path))["state"] == "saved"
    assert len(desk.shop.sold()) - sold == 1


def test_events_are_json_lines(desk: Any, prompt: str) -> None:
    """One object a line with every key of the contract."""
    events = desk.root / "events.jsonl"
    assert desk.run("apply", "--yes", "--events", events, desk.write(teaser(prompt))).exit_code == 0
    rows = [json.loads(line) for line in events.read_text().splitlines()]
    keys = {"t", "event", "id", "manifest", "provider", "attempt", "progress", "message", "error"}
    assert all(set(row) == keys for row in rows)
    assert [row["event"] for row in rows if row["event"] in ("submitting", "accepted", "rendered", "saved")] == [
        "submitting", "accepted", "rendered", "saved",
    ]  # fmt: skip


def test_two_manifests_are_one_batch(desk: Any, prompt: str) -> None:
    """Each has its lockfile; an equal job is bought once and each gets the file; ids are told apart by release."""
    one = desk.write(teaser(prompt))
    other = desk.write(teaser(prompt), name="summer.yaml")
    sold = len(desk.shop.sold())
    document = desk.json("apply", "--yes", one.parent)
    assert [job["state"] for job in document["jobs"]] == ["saved", "saved"]
    assert len(desk.shop.sold()) - sold == 1
    assert {p.name for p in one.parent.glob("*.lock")} == {"spring.lock", "summer.lock"}
    assert (desk.root / "renders" / "summer" / "teaser.mp4").is_file()
    assert desk.run("status", "--select", "teaser", one, other).exit_code == 64
    assert desk.run("status", "--select", "summer/teaser", one, other).exit_code == 0


def test_a_file_that_another_job_made_is_uploaded(desk: Any, prompt: str) -> None:
    """``{ref: x.file}`` waits for the file, sends it once, and the job that needs it is bought in the same run."""
    words = " ".join([prompt] * 20)
    path = desk.write(
        f"""
assets:
  say: {{provider: hifly, operation: audio-by-text, voice: voice_public_01, text: "{words}"}}
videos:
  talk: {{provider: hifly, operation: video-by-audio, avatar: av_public_01, audio: {{ref: say.file}}}}
"""
    )
    document = desk.json("apply", "--yes", path)
    assert {job["id"]: job["state"] for job in document["jobs"]} == {"say": "saved", "talk": "saved"}


def test_what_came_with_a_merge_survives_its_revert(desk: Any, prompt: str) -> None:
    """Purchases that only a lockfile knew are copied to the ledger by the next run, so that git can forget nothing."""
    path = desk.write(teaser(prompt))
    assert desk.run("apply", "--yes", path).exit_code == 0
    ledger = desk.root / ".renderer" / "ledger" / "spring.jsonl"
    ledger.unlink()
    assert desk.run("apply", path).exit_code == 0
    path.with_suffix(".lock").unlink()
    assert summary(desk, path) == {"keep": 1}
    assert "of another branch" in desk.run("plan", path).output


def test_a_damaged_lockfile_is_refused_by_every_command(desk: Any, prompt: str) -> None:
    """Also where the damage is in its first line: nothing is planned on half the truth."""
    path = desk.write(teaser(prompt))
    assert desk.run("apply", "--yes", path).exit_code == 0
    lock = path.with_suffix(".lock")
    lock.write_bytes(b"{" + lock.read_bytes())
    for command in (("plan", path), ("status", path), ("apply", "--yes", path)):
        refused = desk.run(*command)
        assert refused.exit_code == 74, refused.output
        assert "specs/spring.lock:1:1" in refused.output


def test_a_renamed_job_that_says_its_own_name_is_not_bought_again(desk: Any, prompt: str) -> None:
    """``moved`` tells that a job is the former one where its text changed with its name; its file moves along."""
    path = desk.write(teaser(f'"{prompt} {{{{ id }}}}"'))
    assert desk.run("apply", "--yes", path).exit_code == 0
    path.write_text(path.read_text().replace("  teaser:", "  opener:"))
    assert summary(desk, path)["paid"] == 1
    path.write_text(path.read_text() + "moved: [{from: teaser, to: opener}]\n")
    assert summary(desk, path) == {"rename": 1}
    assert desk.run("apply", path).exit_code == 0
    assert summary(desk, path) == {"keep": 1}


def test_a_refused_command_says_so_in_json(desk: Any, prompt: str) -> None:
    """Where scripts look there is a document, also for what could not be done."""
    path = desk.write(teaser(prompt, more=", prommpt: x"))
    document = desk.json("plan", path, code=65)
    assert document["error"]["exit"] == 65
    assert [problem["code"] for problem in document["problems"]] == ["unknown-key"]
