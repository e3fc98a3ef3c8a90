"""A crash at every single effect of a run, over each pack: nothing is bought twice, and only doubts are held."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from renderer.manifest.job import Job
from renderer.plan.standing import JobState
from renderer.state.lifecycle import State
from tests.run.scripted import Scene, ref

_TUNING = {"rate": 1.1, "volume": 1.0, "pitch": 1.0}


def _fliz(scene: Scene) -> list[Job]:
    fr = scene.job("fr", "fliz", "translate", source=ref("launch.task"), language="fr")
    return [fr, scene.film("launch", "fliz"), scene.film("second", "fliz")]


def _hifly(scene: Scene) -> list[Job]:
    return [
        scene.job("talk", "hifly", "video-by-audio", audio=ref("spoken.file"), avatar="a"),
        scene.job("spoken", "hifly", "audio-by-text", text="Hi.", voice=ref("tuned.voice")),
        scene.job("tuned", "hifly", "voice-tuning", voice=ref("voice.voice"), options=_TUNING),
        scene.job("voice", "hifly", "voice", title="V", audio=scene.upload("media/voice.wav")),
    ]


def _pair(provider: str) -> Callable[[Scene], list[Job]]:
    return lambda scene: [scene.film("a", provider), scene.film("b", provider)]


PACKS = {"fliz": _fliz, "hifly": _hifly} | {name: _pair(name) for name in ("gen_video", "yzx", "foxapi")}


@pytest.mark.parametrize("provider", PACKS)
def test_a_crash_at_every_effect(provider: str, tmp_path: Path) -> None:
    """Restarted twice: each request is sold once; what is not saved is a doubt, or stands behind one."""
    trial = Scene(tmp_path)
    count = len(trial.live(PACKS[provider](trial)).fate.effects)
    assert count > 20
    for crash_at in range(1, count + 1):
        scene = Scene(tmp_path)
        jobs = PACKS[provider](scene)
        life = scene.live(jobs, crash_at=crash_at)
        where = (crash_at, life.fate.effects[-1])
        assert life.crashed, where
        for _ in range(2):
            life = scene.live(jobs)
            assert life.error is None, where
        assert all(times == 1 for times in Counter(sale.identity for sale in scene.market.sold).values()), where
        doubts = [s for s in scene.submissions() if s.state is State.DOUBTFUL]
        assert len(doubts) <= len(jobs)
        assert provider != "gen_video" or not doubts, where
        open_ = [job.id for job in jobs if life.state(job.id) is not JobState.SAVED]
        assert bool(open_) == bool(doubts), where
        for id_ in open_:
            assert life.state(id_) in (JobState.HELD, JobState.PLANNED), (where, id_)
