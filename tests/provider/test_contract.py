"""The contract suite: example jobs, requests and answers drive each operation of each pack through its whole life.

It runs whatever lies in ``tests/packs/<provider>/``: ``pack.yaml`` (check, upload, lists, errors, webhook) and one file
per operation (jobs with the requests that they must become, answers with what they mean). A pack of one's own is
tested with ``pytest tests/provider/test_contract.py --pack DIR``; its examples lie in ``DIR/examples/``. Example
answers say only what they care about: ``means: {is: refused, kind: busy}``.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from renderer.manifest.job import Job, Ref, Upload
from renderer.manifest.yamlfile import read_yaml
from renderer.provider import answer, request
from renderer.provider.check import check
from renderer.provider.outcome import Failed, Fault, NeedsPerson, Rendered, Running
from renderer.provider.pack import Operation, Pack, Packs, Phase
from renderer.provider.packfile import load_packs
from renderer.provider.wire import Reply, Request

NOW = 1_767_323_045.0
EXAMPLES = Path(__file__).parent.parent / "packs"
NO_REQUEST = Request("POST", "/")


@dataclass(frozen=True)
class Subject:
    """A pack with its example files by stem."""

    packs: Packs
    pack: Pack
    examples: Mapping[str, Any]

    def operations(self) -> Iterator[tuple[Operation, Any]]:
        """Yield each operation that has examples."""
        for name, example in self.examples.items():
            if name != "pack":
                yield self.pack.operations[example["operation"]], example


def subjects(own: str | None) -> Iterator[Subject]:
    """Yield the packs to test: the built-in ones, or the one that a person names."""
    if own is not None:
        folder = Path(own).resolve()
        packs = load_packs([folder])
        yield Subject(packs, packs[folder.name], load(folder / "examples"))
        return
    packs = load_packs()
    for pack in packs.values():
        if not pack.unavailable:
            yield Subject(packs, pack, load(EXAMPLES / pack.provider))


def load(folder: Path) -> dict[str, Any]:
    """Return the example files of a folder by stem."""
    return {path.stem: read_yaml(path.read_bytes(), file=str(path)).data for path in sorted(folder.glob("*.yaml"))}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test per pack, job, answer or error."""
    found = list(subjects(metafunc.config.getoption("--pack", default=None)))
    wanted = metafunc.fixturenames
    if "example_job" in wanted:
        cases = [
            pytest.param(subject, operation, (name, body), id=f"{subject.pack.provider}-{operation.name}-{name}")
            for subject in found
            for operation, example in subject.operations()
            for name, body in example["jobs"].items()
        ]
        metafunc.parametrize(("subject", "operation", "example_job"), cases)
    elif "example_answer" in wanted:
        cases = [
            pytest.param(
                subject, operation, (kind, case), id=f"{subject.pack.provider}-{operation.name}-{kind}-{index}"
            )
            for subject in found
            for operation, example in subject.operations()
            for kind, answers in (
                ("submit", example["submit"]),
                ("status", example.get("status", {}).get("answers", ())),
            )
            for index, case in enumerate(answers)
        ]
        metafunc.parametrize(("subject", "operation", "example_answer"), cases)
    elif "example" in wanted:
        cases = [
            pytest.param(subject, operation, example, id=f"{subject.pack.provider}-{operation.name}")
            for subject in found
            for operation, example in subject.operations()
        ]
        metafunc.parametrize(("subject", "operation", "example"), cases)
    elif "subject" in wanted:
        metafunc.parametrize("subject", [pytest.param(subject, id=subject.pack.provider) for subject in found])


def reply(tree: Mapping[str, Any]) -> Reply:
    """Return an example answer as it would arrive."""
    body = tree["text"] if "text" in tree else json.dumps(tree["json"]) if "json" in tree else ""
    return Reply(tree.get("status", 200), tree.get("headers", {}), body.encode())


def value(tree: Any) -> Any:
    """Return an example value as expansion would give it."""
    match tree:
        case {"upload": path}:
            return Upload(path, "ab" * 32, 1_000_000, 60.0)
        case {"ref": name}:
            return Ref(*name.split("."))
        case dict():
            return {key: value(child) for key, child in tree.items()}
        case list():
            return [value(child) for child in tree]
        case _:
            return tree


def job(pack: Pack, operation: Operation, name: str, body: Mapping[str, Any]) -> Job:
    """Return an example job."""
    return Job(
        id=name,
        kind=body.get("kind", "video"),
        manifest="specs/example.yaml",
        release="example",
        provider=pack.provider,
        operation=operation.name,
        values=value(body["values"]),
    )


def expected(tree: Mapping[str, Any]) -> Request:
    """Return the request that an example writes down."""
    method = "POST" if "post" in tree else "GET"
    return Request(method, tree.get("post") or tree["get"], tree.get("query", {}), tree.get("json"))


def meaning(outcome: Any) -> dict[str, Any]:
    """Return an outcome as examples write it; a fault's fields stand beside the outcome's own."""
    if outcome is None:
        return {"is": "proven"}
    found: dict[str, Any] = {"is": type(outcome).__name__.lower()}
    for field in fields(outcome):
        inner = getattr(outcome, field.name)
        found |= meaning(inner) | {"is": found["is"]} if isinstance(inner, Fault) else {field.name: inner}
    return found


def assert_means(outcome: Any, means: Mapping[str, Any]) -> None:
    """Compare what an example says of an outcome."""
    assert outcome is None or is_dataclass(outcome)
    found = meaning(outcome)
    assert {name: found.get(name, "absent") for name in means} == dict(means)


def test_every_operation_has_examples(subject: Subject) -> None:
    """A pack is complete when each of its operations has examples, of a job and of success."""
    covered = {operation.name: example for operation, example in subject.operations()}
    assert set(covered) == set(subject.pack.operations)
    for example in covered.values():
        assert example["jobs"]
        assert any(case["means"]["is"] in ("accepted", "made", "rendered") for case in example["submit"])


def test_a_job_becomes_its_request(subject: Subject, operation: Operation, example_job: Any) -> None:
    """A valid example job has no problem and becomes exactly the request beside it."""
    name, body = example_job
    example = job(subject.pack, operation, name, body)
    problems = check([example], subject.packs)
    assert [found for found in problems if found.severity == "error"] == []
    built = request.shown(request.build(example, subject.pack))
    assert built == expected(body["request"])
    if "marks" in body:
        assert request.marks(built, operation) == body["marks"]


def test_an_answer_means_what_it_says(subject: Subject, operation: Operation, example_answer: Any) -> None:
    """Each example answer is read as the outcome beside it."""
    kind, case = example_answer
    if kind == "submit":
        sent = NO_REQUEST
        if operation.submit is not None and operation.submit.echo:
            name, body = next(iter(next(e for o, e in subject.operations() if o is operation)["jobs"].items()))
            sent = request.shown(request.build(job(subject.pack, operation, name, body), subject.pack))
        outcome: Any = answer.read_submit(subject.pack, operation, reply(case["answer"]), sent=sent, now=NOW)
    else:
        outcome = answer.read_status(subject.pack, operation, reply(case["answer"]), now=NOW)
    assert_means(outcome, case["means"])


def test_a_task_is_asked_for_as_documented(subject: Subject, operation: Operation, example: Any) -> None:
    """The status call, and the call for the content where there is one, have their documented shape."""
    if operation.status is None:
        assert "status" not in example
        return
    status = example["status"]
    assert request.status_request(operation, status["task"]) == expected(status["request"])
    otherwise = request.content_request(operation, status["task"])
    assert otherwise == (expected(status["otherwise"]) if "otherwise" in status else None)


def test_every_state_word_is_understood(subject: Subject, operation: Operation, example: Any) -> None:
    """Each word that the pack lists is read as its phase, in any case."""
    for known in operation.status.states if operation.status is not None else ():
        for spelled in {known.word, known.word.upper()}:
            text = json.dumps(example["status"]["every"]).replace("<state>", spelled.replace("*", "x"))
            outcome = answer.read_status(subject.pack, operation, Reply(200, {}, text.encode()), now=NOW)
            match known.phase:
                case Phase.FAILED:
                    assert isinstance(outcome, Failed)
                case Phase.PERSON:
                    assert isinstance(outcome, NeedsPerson)
                    assert outcome.remedy
                case Phase.DONE if operation.otherwise is not None:
                    assert isinstance(outcome, Rendered)
                case _:
                    assert isinstance(outcome, Running)
                    assert outcome.listed


def test_every_lookup_finds_what_it_lists(subject: Subject, operation: Operation, example: Any) -> None:
    """A lookup asks as documented and gives each entry that has an id."""
    if operation.lookup is None:
        assert "lookup" not in example
        return
    lookup = example["lookup"]
    assert request.lookup_request(operation) == expected(lookup["request"])
    found = answer.read_lookup(subject.pack, operation, reply(lookup["answer"]), now=NOW)
    assert isinstance(found, list)
    for candidate, means in zip(found, lookup["candidates"], strict=True):
        assert_means(candidate, means)


def test_every_documented_error_has_its_class_and_a_remedy(subject: Subject) -> None:
    """Each documented error is one of the pack's rules, with its class and a line on what to do."""
    documented = subject.examples["pack"]["errors"]
    listed = {
        (status, code) for rule in subject.pack.errors for status in rule.statuses or {0} for code in rule.codes or {""}
    }
    assert {(error.get("status", 0), str(error.get("code", ""))) for error in documented} == listed
    for error in documented:
        fitting = [
            rule
            for rule in subject.pack.errors
            if (error.get("status") in rule.statuses or str(error.get("code", "")) in rule.codes)
        ]
        assert [rule.kind for rule in fitting] == [error["class"]]
        assert fitting[0].remedy
        assert "\n" not in fitting[0].remedy


def test_the_credential_check(subject: Subject) -> None:
    """The check asks for something free, and only a real answer proves a credential."""
    asked = request.check_request(subject.pack)
    if asked is None:
        assert "check" not in subject.examples["pack"]
        return
    example = subject.examples["pack"]["check"]
    assert asked == expected(example["request"])
    for case in example["answers"]:
        assert_means(answer.read_check(subject.pack, reply(case["answer"]), now=NOW), case["means"])


def test_the_upload(subject: Subject) -> None:
    """An upload asks for an address as documented and uses the answer byte for byte."""
    if subject.pack.upload is None:
        assert "upload" not in subject.examples["pack"]
        return
    example = subject.examples["pack"]["upload"]
    assert request.upload_request(subject.pack, example["extension"]) == expected(example["request"])
    for case in example["answers"]:
        assert_means(answer.read_ticket(subject.pack, reply(case["answer"]), now=NOW), case["means"])


def test_every_list(subject: Subject) -> None:
    """Each list asks as documented and shows its rows; each word of a choice is sent as documented."""
    examples = subject.examples["pack"].get("lists", {})
    assert set(examples) == set(subject.pack.lists)
    for name, example in examples.items():
        listing = subject.pack.lists[name]
        assert request.list_request(listing) == expected(example["request"])
        for option, words in example.get("chosen", {}).items():
            for chosen, sent in words.items():
                assert request.list_request(listing, chosen={option: chosen}).query[option] == sent
        assert answer.read_list(subject.pack, listing, reply(example["answer"]), now=NOW) == example["rows"]
        if "empty" in example:
            assert answer.read_list(subject.pack, listing, reply(example["empty"]), now=NOW) == []


def test_the_webhook(subject: Subject) -> None:
    """What a callback says is found where the pack says."""
    webhook = subject.pack.webhook
    if webhook is None:
        assert "webhook" not in subject.examples["pack"]
        return
    example = subject.examples["pack"]["webhook"]
    assert str(webhook.task.find(example["json"])) == example["task"]
    assert webhook.state is not None
    assert str(webhook.state.find(example["json"])) == example["state"]
    assert webhook.field or webhook.where
