"""The faults file: what it may say, and how it says what is wrong with it."""

from pathlib import Path
from typing import Any

import pytest

from renderer.sandbox import faults, faultsfile
from renderer.sandbox.faultsfile import FaultsError, read_faults

EXAMPLE = Path(faultsfile.__file__).with_name("faults.example.yaml")


def read(tmp_path: Path, text: str) -> faults.FaultsFile:
    file = tmp_path / "faults.yaml"
    file.write_text(text, encoding="utf-8")
    return read_faults(file)


def test_the_example_is_valid_and_shows_every_fault() -> None:
    """The shipped example can be read and has each kind of fault at least once."""
    kinds = {type(rule.fault) for rule in read_faults(EXAMPLE).rules}
    assert kinds == set(faultsfile.KINDS.values())


def test_a_list_is_rules_and_a_mapping_has_limits_too(tmp_path: Path) -> None:
    """A bare list is the rules; a mapping has rules and limits; nothing is no faults."""
    rule = faults.Rule(fault=faults.Drop(when="after"), provider="fliz", nth=(1,))
    assert read(tmp_path, "- {fault: drop, when: after, provider: fliz, nth: 1}").rules == (rule,)
    assert read(tmp_path, "limits: {link_lifetime: 5}").limits.link_lifetime == 5
    assert read(tmp_path, "") == faults.FaultsFile()


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ("rules: [", ":1:9", "not YAML"),
        ("5", "the file", "must be a mapping"),
        ("rules: 5", "rules", "must be a list"),
        ("ruels: []", "the file", "unknown key 'ruels'"),
        ("- {provider: fliz}", "rules[0]", "needs `fault`"),
        ("- {fault: explode}", "rules[0]", "unknown fault 'explode'"),
        ("- {fault: drop}\n- {fault: drop, seconds: 5}", "rules[1]", "unknown key 'seconds'"),
        ("- {fault: delay}", "rules[0]", "needs `seconds`"),
        ("- {fault: delay, seconds: soon}", "rules[0].seconds", "must be a number"),
        ("- {fault: drop, when: later}", "rules[0].when", "must be one of before, after"),
        ("- {fault: drop, provider: flix}", "rules[0].provider", "must be one of fliz"),
        ("- {fault: drop, nth: 0}", "rules[0].nth", "must be a number from 1"),
        ("- {fault: link}", "rules[0]", "needs either"),
        ("limits: {hifly_credits: -1}", "limits.hifly_credits", "must be a whole number"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place(tmp_path: Path, text: str, place: str, problem: str) -> None:
    """Every error names the file, the place in it, and what would be right."""
    with pytest.raises(FaultsError) as caught:
        read(tmp_path, text)
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "faults.yaml"))
    assert place in message
    assert problem in message


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A missing file is a `FaultsError` too."""
    with pytest.raises(FaultsError, match=r"none\.yaml"):
        read_faults(tmp_path / "none.yaml")


def struck(count: int = 12, seed: int = 0, task: str = "t", **rule: Any) -> list[int]:
    """Say which of so many equal requests suffer."""
    planned = faults.Faults([faults.Rule(fault=faults.Drop(), **rule)], seed=seed)
    call = {"provider": "fliz", "operation": "video", "method": "POST", "path": "/fliz/api/rest/video"}
    return [number for number in range(1, count + 1) if planned.strike(**call, task=task)]


def test_rules_count_the_requests_that_fit() -> None:
    """The keys nth, every and times choose among the fitting requests, and combine."""
    assert struck(nth=(2, 5)) == [2, 5]
    assert struck(every=4) == [4, 8, 12]
    assert struck(every=4, times=2) == [4, 8]
    assert struck(times=3) == [1, 2, 3]


def test_chance_is_decided_by_the_seed() -> None:
    """Probability strikes about so many, the same ones for the same seed."""
    first = struck(count=1000, probability=0.2, seed=1)
    assert first == struck(count=1000, probability=0.2, seed=1)
    assert first != struck(count=1000, probability=0.2, seed=2)
    assert 120 < len(first) < 280


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        ({"provider": "fliz"}, True),
        ({"provider": "yzx"}, False),
        ({"operation": "translate"}, False),
        ({"method": "GET"}, False),
        ({"path": "/fliz/**"}, True),
        ({"path": "/fliz/*"}, False),
        ({"path": "/*/api/rest/video"}, True),
        ({"path": "/fliz/api.rest/video"}, False),
    ],
)
def test_a_rule_is_for_the_requests_that_it_describes(rule: dict[str, Any], fits: bool) -> None:
    """The provider, operation, method and a path's glob must all fit."""
    assert bool(struck(count=1, **rule)) == fits


def test_tasks_can_be_counted_by_themselves() -> None:
    """With per: task each task has its own first request."""
    planned = faults.Faults([faults.Rule(fault=faults.Drop(), nth=(1,), per="task")], seed=0)
    call = {"provider": "fliz", "operation": "status", "method": "GET", "path": "/fliz/x"}
    assert [bool(planned.strike(**call, task=task)) for task in "aabba"] == [True, False, True, False, False]


def test_the_first_rule_that_is_due_wins_and_all_count() -> None:
    """A request suffers one fault; a rule that had to stand back has counted the request all the same."""
    rules = [faults.Rule(fault=faults.Drop(), nth=(1,)), faults.Rule(fault=faults.Reset(), nth=(1, 2))]
    planned = faults.Faults(rules, seed=0)
    call = {"provider": "fliz", "operation": "status", "method": "GET", "path": "/fliz/x", "task": "t"}
    assert [planned.strike(**call) for _ in range(3)] == [faults.Drop(), faults.Reset(), None]
