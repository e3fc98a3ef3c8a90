"""One seeded schedule: jobs over all five packs, trouble at any call, crashes at any effect; and what must hold.

``run(seed)`` is the whole story of a project: some lives in which anything can go wrong (each may crash, be stopped,
have a disk that refuses), then quiet ones. The judge is the market's list of what it sold. The same seed is the same
story, so a failing one can be looked at alone.
"""

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from renderer.errors import DiskError
from renderer.manifest.job import Job
from renderer.plan.standing import JobState
from renderer.provider.request import substitute
from renderer.run.download import Incomplete, LinkRefused, NotMedia
from renderer.run.executor import Executor
from renderer.state.history import Submission
from renderer.state.lifecycle import Fact, State
from tests.run.scripted import Life, Scene, ref
from tests.run.scripted_market import Sale, Says, lost, reply, unsent

_QUIET_LIVES = 4
_ENDED = frozenset({JobState.SAVED, JobState.FAILED, JobState.HELD})
_STUCK = frozenset({JobState.FAILED, JobState.HELD, JobState.PLANNED})


def run(seed: int, root: Path) -> Scene:
    """Live one story and judge it. Raises ``AssertionError``."""
    chance = random.Random(seed)
    scene = Scene(root, seed=seed)
    jobs = _jobs(scene, chance)
    scene.market.polls = lambda: chance.randrange(4)
    scene.market.fails = lambda: chance.random() < 0.08
    for name in scene.packs:
        scene.pacing[name] = {"in_flight": chance.randint(1, 4)}
    level = chance.choice((0.05, 0.2, 0.5))
    words: Counter[str] = Counter()
    for _ in range(chance.randint(1, 4)):
        _troubled(scene, jobs, chance, level, _words(scene, jobs, chance, words))
    scene.market.chooser = None
    scene.disk.refuses = lambda _: False
    for sale in scene.market.sold:
        sale.person = False
    for _ in range(_QUIET_LIVES):
        life = scene.live(jobs)
        assert life.error is None, life.error
    _judge(scene, jobs, life, words)
    idle = scene.live(jobs)
    assert "before submit" not in idle.fate.effects, "a quiet run sends something again and again"
    return scene


# --- what is wanted ----------------------------------------------------------------------------------------------


def _jobs(scene: Scene, chance: random.Random) -> list[Job]:
    """Return some of everything; what refers to something comes with it, in any order."""
    voice = scene.upload("media/voice.wav")
    host = scene.upload("media/host.mp4", b"host")
    families: list[list[Job]] = [
        [
            scene.film("launch", "fliz"),
            scene.job("fr", "fliz", "translate", source=ref("launch.task"), language="fr"),
            scene.job("copy", "fliz", "duplicate", source=ref("fr.task")),
        ],
        [
            scene.job("narrator", "hifly", "voice", title="Narrator", audio=voice),
            scene.job("host", "hifly", "avatar-by-video", title="Host", source=host),
            scene.job("tuned", "hifly", "voice-tuning", voice=ref("narrator.voice"), options=_TUNING),
            scene.job("hello", "hifly", text="Hello.", voice=ref("tuned.voice"), avatar=ref("host.avatar")),
            scene.job("spoken", "hifly", "audio-by-text", text="Spoken.", voice=ref("narrator.voice")),
            scene.job("by-file", "hifly", "video-by-audio", audio=ref("spoken.file"), avatar=ref("host.avatar")),
            scene.job("by-url", "hifly", "video-by-audio", audio=ref("spoken.url"), avatar="a2"),
        ],
        [scene.film(f"cut{n}", "gen_video") for n in range(2)],
        [scene.film("clip", "yzx"), scene.film("twin", "yzx", prompt="clip"), scene.film("other", "yzx", priority=3)],
        [scene.film("agent", "foxapi"), scene.film("again", "foxapi", release="autumn", prompt="agent")],
        [scene.film("second", "fliz"), scene.film("third", "fliz", title="second", text="A clock.")],
    ]
    chosen = [job for family in chance.sample(families, chance.randint(1, 3)) for job in family]
    chance.shuffle(chosen)
    return chosen


_TUNING = {"rate": 1.1, "volume": 1.0, "pitch": 1.0}


# --- what goes wrong ---------------------------------------------------------------------------------------------


def _words(scene: Scene, jobs: Sequence[Job], chance: random.Random, words: Counter[str]) -> set[str]:
    """Return whom a person wants bought once more in the next life, and note what may be sold once more for it."""
    if chance.random() > 0.3:
        return set()
    plain = [w for w in scene.wanted(jobs) if not w.needs and not w.operation.keyed and not list(w.job.uploads())]
    if not plain:
        return set()
    wanted = chance.choice(plain)
    words[scene.market.identity(wanted.job.provider, substitute(wanted.request, str))] += 1
    return {wanted.key}


def _troubled(scene: Scene, jobs: Sequence[Job], chance: random.Random, level: float, again: set[str]) -> None:
    """Live one life in which anything can happen, and look at what must hold at any time."""
    scene.market.chooser = lambda provider, kind, _: _trouble(provider, kind, chance, level)
    for sale in scene.market.sold:
        if sale.provider == "fliz" and not sale.finished:
            sale.person = chance.random() < 0.2
    count, last = 0, chance.choice([10**9, 10**9, chance.randrange(1, 40)])

    def refuses(_: str) -> bool:
        nonlocal count
        count += 1
        return count >= last

    scene.disk.refuses = refuses
    stop_at = chance.choice([0, 0, chance.randrange(1, 120)])

    def watch(_: str, executor: Executor) -> None:
        nonlocal stop_at
        stop_at -= 1
        if stop_at == 0:
            executor.stop()

    life = scene.live(
        jobs,
        crash_at=chance.choice([None, chance.randrange(1, 20), chance.randrange(1, 250)]),
        watch=watch,
        again=again,
        buying=chance.random() < 0.9,
        waiting=chance.random() < 0.5,
        fail_fast=chance.random() < 0.1,
        max_submits=chance.choice([None, None, chance.randrange(4)]),
    )
    assert life.error is None or (isinstance(life.error, DiskError) and last < 10**9), repr(life.error)
    assert not any(sent.after_refusal for sent in scene.market.asked("submit")), "sent after the disk refused"


def _trouble(provider: str, kind: str, chance: random.Random, level: float) -> Says | None:
    """Return what is said to a call: mostly the usual, after any time."""
    seconds = chance.choice((0.01, 0.2, 3.0))
    if chance.random() > level:
        return Says(seconds=seconds)
    match kind:
        case "submit" if provider == "gen_video":
            return chance.choice(
                [lost(sells=True), lost(sells=False), unsent(), reply(504, sells=True), reply(503), reply(400)]
            )
        case "submit":
            return chance.choice(
                [
                    unsent(),
                    lost(sells=True),
                    lost(sells=False),
                    reply(500, sells=True),
                    reply(502),
                    reply(200, b"<html>", sells=True),
                    reply(429, retry_after="2"),
                    reply(400),
                    reply(302, sells=True),
                    reply(401),
                ]
            )
        case "fetch":
            errors = (LinkRefused(403), Incomplete("cut short"), NotMedia("a page"))
            return Says(error=chance.choice(errors), seconds=seconds)
        case "status":
            return chance.choice([reply(502), reply(404), reply(429), lost(sells=False), unsent(), reply(200, b"<")])
        case _:
            return chance.choice([reply(500), reply(429), lost(sells=False), unsent()])


# --- what must hold ----------------------------------------------------------------------------------------------


def _judge(scene: Scene, jobs: Sequence[Job], life: Life, words: Counter[str]) -> None:
    submissions = scene.submissions()
    # A keyed call whose verdict nobody heard is made again: what failed does not count there.
    bought = Counter(s.identity for s in scene.market.sold if not (s.operation.keyed and s.fails))
    twice = [identity for identity, times in bought.items() if times > 1 + words[identity]]
    assert not twice, f"bought more often than a person said: {twice}"
    assert not scene.market.called_again, "called again after its delivery"
    _all_accounted_for(scene, submissions)
    _attached_to_their_own(scene, jobs, submissions)
    for job in jobs:
        state = life.state(job.key)
        needed = {life.state(f"{job.release}/{found.job}") for _, found in job.refs()}
        assert state in _ENDED or (state is JobState.PLANNED and needed & _STUCK), (job.id, state, needed)
        if state is JobState.SAVED and job.output is not None:
            (submission,) = [s for s in submissions if s == life.standing(job.key).submission]
            content = scene.disk.outputs[job.output].decode()
            assert submission.intended.get("keyed") or f"/{submission.task}." in content, (job.id, content)


def _all_accounted_for(scene: Scene, submissions: Sequence[Submission]) -> None:
    """Everything that was sold is saved, failed, or held: claimed by its task, or covered by a doubt of its own."""
    claims = Counter((s.provider, s.task) for s in submissions if s.task is not None)
    assert all(times == 1 for times in claims.values()), f"a task is claimed twice: {claims.most_common(1)}"
    # What a person has given up for another purchase stays on record as closed.
    doubts = [s for s in submissions if s.state in (State.DOUBTFUL, State.CLOSED) and s.task is None]
    for sale in scene.market.sold:
        if sale.operation.keyed is not None:
            continue
        owner = next((s for s in submissions if (s.provider, s.task) == (sale.provider, sale.task)), None)
        if owner is None:
            doubt = next((s for s in doubts if _could_be(s, sale)), None)
            assert doubt is not None, f"nobody knows of {sale.task} ({sale.operation.name})"
            doubts.remove(doubt)
        else:
            assert owner.state is (State.FAILED if sale.fails else State.SAVED), (sale.task, owner.state)
            assert owner.intended["operation"] == sale.operation.name


def _attached_to_their_own(scene: Scene, jobs: Sequence[Job], submissions: Sequence[Submission]) -> None:
    """What a lookup attached is what that job asked for."""
    asked = {w.key: substitute(w.request, str) for w in scene.wanted(jobs)}
    for submission in submissions:
        if submission.fact(Fact.ACCEPTED).get("found"):
            sale = scene.market.of_task(submission.provider, submission.task or "")
            assert sale is not None
            assert sale.request == asked[submission.job], f"{submission.job} has another's video"


def _could_be(doubt: Submission, sale: Sale) -> bool:
    return (doubt.provider, doubt.intended["operation"]) == (sale.provider, sale.operation.name)
