"""Killed for real at every record, over all five packs; the sandbox's own list of purchases is the judge."""

import json
import os
import signal
import subprocess
import sys
import wave
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import Shop

DRIVER = Path(__file__).with_name("driver.py")
PACING = "{apart: 0s, poll: {first: 0.05s, every: [0.02s, 0.05s], timeout: 60s}}"
PROVIDERS = ("fliz", "hifly", "gen_video", "yzx", "foxapi")
# What a manifest of each pack declares; {n} makes every kill point's jobs its own purchases.
DECLARED = {
    "fliz": """
videos:
  launch: {{provider: fliz, title: "Launch {n}", text: A lamp that wakes you., aspect: "16:9", language: en}}
  again: {{provider: fliz, operation: translate, source: {{ref: launch.task}}, language: fr}}
""",
    "hifly": """
assets:
  narrator: {{provider: hifly, operation: voice, title: "V{n}", audio: {{upload: voice.wav}}}}
  tuned: {{provider: hifly, operation: voice-tuning, voice: {{ref: narrator.voice}},
          options: {{rate: 1.1, volume: 1.0, pitch: 1.0}}}}
videos:
  spoken: {{provider: hifly, operation: audio-by-text, voice: {{ref: tuned.voice}}, text: "Number {n}."}}
""",
    "gen_video": """
videos:
  cut: {{provider: gen_video, draft: "https://example.com/#/x?drafId=https://example.com/{n}.json"}}
""",
    "yzx": """
videos:
  teaser: {{provider: yzx, model: sora-2, prompt: "A cat, take {n}", duration: 1}}
""",
    "foxapi": """
videos:
  agent: {{provider: foxapi, prompt: "A reporter, {n}"}}
""",
}
# Operations that no list shows: what is lost of them after a kill can only be held.
UNLISTED = {"translate", "voice", "audio-by-text"}
UNLISTED_PROVIDERS = {"yzx", "foxapi"}


def environment(shop: Shop) -> dict[str, str]:
    return {**os.environ, **shop.environment, "CI": "1"}


def run(arguments: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, check=False, env=env, capture_output=True, text=True, timeout=120)


def project(folder: Path, provider: str, number: int) -> Path:
    (folder / ".renderer").mkdir(parents=True)
    with wave.open(str(folder / "voice.wav"), "wb") as voice:
        voice.setnchannels(1)
        voice.setsampwidth(1)
        voice.setframerate(4000)
        # Its content is its identity: another sample for another kill point is another upload.
        voice.writeframes(bytes([128 + number % 100]) * 4000 * 6)
    pacing = f"providers: {{{provider}: {PACING}}}\n"
    path = folder / "kill.yaml"
    path.write_text(f"version: 1\n{pacing}{DECLARED[provider].format(n=f'{provider}-{number}')}")
    return path


@pytest.mark.parametrize("provider", PROVIDERS)
def test_killed_at_every_record_nothing_is_bought_twice_or_lost(shop: Shop, tmp_path: Path, provider: str) -> None:
    """Whatever append a run dies at, the next ones end with every job saved or held, each bought at most once."""
    env = environment(shop)
    killed = 0
    for number in range(1, 100):
        path = project(tmp_path / str(number), provider, number)
        before = len(shop.sold())
        command = [str(DRIVER), str(number), "apply", "--yes", str(path)]
        first = subprocess.run(
            [sys.executable, *command], check=False, env=env, capture_output=True, text=True, timeout=120
        )
        if first.returncode != -signal.SIGKILL:
            assert first.returncode == 0, first.stderr
            break
        killed += 1
        again = ["-m", "renderer", "apply", "--yes", "--json", str(path)]
        second = subprocess.run(
            [sys.executable, *again], check=False, env=env, capture_output=True, text=True, timeout=120
        )
        assert second.returncode in (0, 3), second.stderr
        jobs = json.loads(second.stdout)["jobs"]
        rows = shop.sold()[before:]
        assert all(times == 1 for times in Counter(row["hash"] for row in rows).values()), (number, rows)
        bought = {row["operation"] for row in rows}
        held = [job for job in jobs if job["state"] == "held"]
        assert all(job["state"] in ("saved", "held") or held for job in jobs), (number, jobs, second.stderr)
        for job in held:
            listed = job["operation"] not in UNLISTED and provider not in UNLISTED_PROVIDERS
            # What a list shows is attached; what is free or its own poll is never held at all.
            assert not listed or (provider == "fliz" and job["operation"] not in bought), (number, job)
            assert job["held"]["why"]
            assert job["held"]["next"]
    assert killed >= 4, "the driver did not reach the records"
