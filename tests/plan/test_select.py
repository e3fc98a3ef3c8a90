"""One grammar for choosing jobs, errors included."""

from collections.abc import Callable
from pathlib import Path

import pytest

from renderer.errors import UsageError
from renderer.plan.select import choose
from renderer.plan.standing import stand
from tests.run.scripted import Scene, ref
from tests.run.scripted_market import reply

Choose = Callable[..., list[str]]


@pytest.fixture
def chosen(tmp_path: Path) -> Choose:
    """Choose among some jobs of two manifests; ``bad`` has failed, ``launch`` is saved, the rest is new."""
    scene = Scene(tmp_path)
    scene.market.says("foxapi", "status", reply(200, {"status": "failed"}))
    scene.live([scene.film("bad", "foxapi"), scene.film("launch", "fliz")])
    jobs = [
        scene.film("launch", "fliz"),
        scene.job("launch-fr", "fliz", "translate", source=ref("launch.task"), language="fr"),
        scene.film("teaser", tags=("short", "social")),
        scene.film("bad", "foxapi"),
        scene.job("v", "hifly", "voice", title="V", audio="https://example.com/v.mp3"),
        scene.job("spoken", "hifly", "audio-by-text", text="Hi.", voice=ref("v.voice")),
        scene.job("talk", "hifly", "video-by-audio", audio=ref("spoken.file"), avatar="a"),
        scene.film("teaser", release="autumn", tags=("long",), prompt="other"),
    ]
    wanted = scene.wanted(jobs)
    standings = {w.key: stand(w, scene.history(), alive=False) for w in wanted}

    def run(*select: str, exclude: tuple[str, ...] = ()) -> list[str]:
        return [w.key for w in choose(wanted, standings, select=select, exclude=exclude)]

    return run


@pytest.mark.parametrize(
    ("select", "keys"),
    [
        (["launch"], ["spring/launch"]),
        (["launch*"], ["spring/launch", "spring/launch-fr"]),
        (["lau?ch"], ["spring/launch"]),
        (["spring/teaser"], ["spring/teaser"]),
        (["*/teaser"], ["spring/teaser", "autumn/teaser"]),
        (["teaser*"], ["spring/teaser", "autumn/teaser"]),
        (["autumn/*"], ["autumn/teaser"]),
        (["tag:short"], ["spring/teaser"]),
        (["tag:*o*"], ["spring/teaser", "autumn/teaser"]),
        (["provider:foxapi"], ["spring/bad"]),
        (["state:failed"], ["spring/bad"]),
        (["state:saved"], ["spring/launch"]),
        (["bad", "launch"], ["spring/launch", "spring/bad"]),
        (["launch", "launch"], ["spring/launch"]),
    ],
)
def test_a_selector_names_jobs_in_the_order_of_the_manifests(
    chosen: Choose, select: list[str], keys: list[str]
) -> None:
    """Ids, globs, release/id, tags, providers, states; several are a union."""
    assert chosen(*select) == keys


def test_unsaved_references_come_along(chosen: Choose) -> None:
    """Through any number of jobs; saved ones need not."""
    assert chosen("talk") == ["spring/v", "spring/spoken", "spring/talk"]
    assert chosen("launch-fr") == ["spring/launch-fr"]


def test_exclude_takes_out(chosen: Choose) -> None:
    """Of all, or of what was selected; what a chosen job needs comes along all the same."""
    assert "spring/teaser" not in chosen(exclude=("tag:short",))
    assert chosen("provider:hifly", exclude=("v",)) == ["spring/v", "spring/spoken", "spring/talk"]
    assert chosen("launch*", exclude=("launch-fr",)) == ["spring/launch"]


def test_without_selectors_everything_is_meant(chosen: Choose) -> None:
    """In order."""
    assert len(chosen()) == 8


@pytest.mark.parametrize(
    ("selector", "message", "hint"),
    [
        ("nothing", "nothing matches 'nothing'", "status"),
        ("LAUNCH", "nothing matches", "status"),
        ("tag:none", "nothing matches", "status"),
        ("spring/none", "nothing matches", "status"),
        ("state:odd", "no such state", "planned"),
        ("colour:red", "is not a selector", "tag:x"),
        ("teaser", "job of several manifests", "autumn/teaser or spring/teaser"),
        ("", "nothing matches", "status"),
    ],
)
@pytest.mark.parametrize("excluding", [False, True])
def test_what_matches_nothing_is_an_error(
    chosen: Choose, selector: str, message: str, hint: str, *, excluding: bool
) -> None:
    """With what to do; the same for ``--exclude``, where a typo would buy too much."""
    with pytest.raises(UsageError, match=message) as raised:
        chosen(exclude=(selector,)) if excluding else chosen(selector)
    assert hint in raised.value.hint
