"""A batch is read as a whole: every problem of every file at once, each once, at its place."""

from pathlib import Path

import pytest

from renderer.cli.options import Context
from renderer.cli.session import Batch, load
from renderer.errors import InvalidError, Problem, UsageError
from renderer.plan.plan import Files, Found, Look, Options, make_plan
from renderer.plan.standing import Wanted
from renderer.state.history import History

YZX = "provider: yzx, model: sora-2, prompt: A cat"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of manifests of an empty project."""
    (tmp_path / ".renderer").mkdir()
    (tmp_path / "specs").mkdir()
    return tmp_path / "specs"


def read(folder: Path, *names: str) -> Batch:
    """Load a whole folder, or some of its files."""
    return load(Context(), [folder / name for name in names] or [folder], environment={})


def problems(folder: Path, *names: str) -> list[Problem]:
    """Return why a batch is refused."""
    with pytest.raises(InvalidError) as caught:
        read(folder, *names)
    return list(caught.value.problems)


def places(found: list[Problem]) -> list[tuple[str, int]]:
    """Return file and line of each problem."""
    return [(problem.file, problem.line) for problem in found]


def test_fault_8_a_file_that_is_no_yaml_hides_nothing(folder: Path) -> None:
    """The other files of the batch are checked down to their providers' limits."""
    (folder / "a.yaml").write_text("version: 1\nvideos: [\n")
    (folder / "b.yaml").write_bytes(b"version: 1\nvideos: {x: {provider: yzx, model: m, prompt: \xff}}\n")
    (folder / "c.yaml").write_text(f"version: 1\nvideos:\n  x: {{{YZX}, duration: 2.5}}\n")
    assert places(problems(folder)) == [("specs/a.yaml", 3), ("specs/b.yaml", 2), ("specs/c.yaml", 3)]


def test_fault_8_every_layer_speaks_at_once(folder: Path) -> None:
    """Shape, template, file, reference, provider and request: each has its say, in one manifest and in one job."""
    (folder / "m.yaml").write_text(
        "version: 1\n"
        "videos:\n"
        f"  shape: {{{YZX}, sed: 1, duration: 2.5}}\n"
        "  template:\n"
        "    {provider: fliz, title: '{{ x }}', text: T, aspect: 4:3, language: en}\n"
        "  file: {provider: yzx, model: m, prompt: {file: no.txt}, resolution: big}\n"
        "  ref: {provider: fliz, operation: translate, source: {ref: no.task}, language: french}\n"
        "  lists: {provider: fliz, title: T, text: T, aspect: 1:1, language: en, options: {category: ad}}\n"
    )
    found = problems(folder)
    assert places(found) == [("specs/m.yaml", line) for line in (3, 3, 5, 5, 6, 6, 7, 7, 8)]
    assert found == sorted(set(found))


def test_fault_8_what_a_wrong_value_leaves_out_is_not_missing(folder: Path) -> None:
    """A field that is misspelt, of another type or not to be made is one problem, not also a missing field."""
    (folder / "m.yaml").write_text(
        "version: 1\n"
        "videos:\n"
        "  a: {provider: yzx, model: m, promt: A cat}\n"
        "  b: {provider: yzx, model: m, prompt: [A cat]}\n"
        "  c: {provider: yzx, model: m, prompt: '{{ x }}'}\n"
        "  d: {provider: fliz, title: T, text: T, aspect: 1:1, language: en, options: {category: ad}, images: {a: b}}\n"
    )
    assert places(problems(folder)) == [("specs/m.yaml", line) for line in (3, 4, 5, 6)]


def test_a_request_that_cannot_be_made_is_told_beside_other_problems(folder: Path, tmp_path: Path) -> None:
    """What only a pack's request template finds is reported although another job is wrong too."""
    pack = tmp_path / "packs" / "acme"
    pack.mkdir(parents=True)
    (pack / "provider.yaml").write_text(
        "provider: acme\nrevision: 1\nbase_url: https://acme.example\noperations:\n  clip:\n    default: true\n"
        "    makes: video\n    produces: [task, url, file]\n"
        "    submit: {post: /clips, json: {style: '{{ {1: 2}[seed] }}'}, task: id}\n"
        "    status: {get: '/clips/{task}', state: s, states: {done: [ok], failed: [bad]}, link: url}\n"
    )
    (pack / "acme.schema.json").write_text('{"$defs": {"clip": {"properties": {"seed": {"type": "integer"}}}}}')
    (folder / "m.yaml").write_text("version: 1\nvideos:\n  a: {provider: acme, seed: 3}\n  b: {provider: fliz}\n")
    with pytest.raises(InvalidError) as caught:
        load(Context(packs=(pack,)), [folder], environment={})
    assert [problem.code for problem in caught.value.problems] == ["template", *["required"] * 4]


def test_a_folders_other_yaml_is_skipped_with_a_warning(folder: Path) -> None:
    """YAML without a version is no manifest in a folder, but one that is named must be one."""
    (folder / "m.yaml").write_text(f"version: 1\nvideos:\n  a: {{{YZX}}}\n")
    (folder / "other.yml").write_text("services: {}\n")
    batch = read(folder)
    assert [wanted.key for wanted in batch.wanted] == ["m/a"]
    assert [(problem.file, problem.severity) for problem in batch.warnings] == [("specs/other.yml", "warning")]
    assert places(problems(folder, "other.yml")) == [("specs/other.yml", 1)] * 2


def test_a_folder_without_a_manifest_is_wrong_usage(folder: Path) -> None:
    """An empty folder is not valid work."""
    with pytest.raises(UsageError, match="no YAML file"):
        read(folder)


def test_what_is_outside_the_project_is_wrong_usage(folder: Path, tmp_path: Path) -> None:
    """Manifests of two projects are not one batch."""
    other = tmp_path / "other"
    (other / ".renderer").mkdir(parents=True)
    for place in (folder, other):
        (place / "m.yaml").write_text("version: 1\n")
    with pytest.raises(UsageError, match="several projects"):
        load(Context(), [folder, other], environment={})


def test_a_price_arrives_as_it_was_written(folder: Path) -> None:
    """A number or a number with a unit, for all operations or by name; an operation without one has none."""
    (folder / "m.yaml").write_text(
        "version: 1\n"
        "providers:\n"
        "  yzx: {price: 0.5}\n"
        "  foxapi: {price: 2 credits}\n"
        "  hifly: {price: {video-by-text: 30 credits, voice: 1}}\n"
        "videos:\n"
        f"  a: {{{YZX}}}\n"
        "  b: {provider: foxapi, prompt: A cat}\n"
        "  c: {provider: hifly, text: T, voice: v, avatar: a}\n"
        "  d: {provider: hifly, operation: video-by-audio, audio: 'https://x.example/a.mp3', avatar: a}\n"
    )
    assert [wanted.price for wanted in read(folder).wanted] == [0.5, "2 credits", "30 credits", None]


@pytest.mark.parametrize("price", ["-1", "cheap", "30credits", "'30 '", "{voice: free}", "{voice: -1}", "[1]"])
def test_a_price_that_is_none_is_refused(folder: Path, price: str) -> None:
    """A price begins with a number."""
    (folder / "m.yaml").write_text(f"version: 1\nproviders: {{hifly: {{price: {price}}}}}\n")
    assert places(problems(folder)) == [("specs/m.yaml", 2)]


ACME = """\
provider: acme
revision: {revision}
base_url: https://acme.example
operations:
  clip:
    default: true
    makes: video
    produces: [task, url, file]
    submit:
      post: /clips
      json: {{{name}: "{{{{ prompt }}}}", hook: "{{{{ options.hook | default(omit) }}}}"}}
      task: id
    volatile: [json.hook]
    status: {{get: "/clips/{{task}}", state: s, states: {{done: [ok], failed: [bad]}}, link: url}}
webhook: {{field: options.hook, task: id}}
"""
SCHEMA = '{"$defs": {"clip": {"properties": {"prompt": {}, "options": {}}}}}'


def bought(batch: Batch) -> History:
    """Return a history in which every job of a batch was bought and saved."""
    history = History()
    for wanted in batch.wanted:
        facts = {"job": wanted.key, "fingerprint": wanted.fingerprint, "declared": wanted.declared}
        facts |= {"provider": wanted.job.provider, "operation": wanted.job.operation}
        intended = {**facts, "pack": wanted.pack.revision, "origin": wanted.origin, "at": "2026-01-01T00:00:00Z"}
        saved = {"sha256": f"hash of {wanted.key}", "path": wanted.output}
        history.absorb({"submission": wanted.key, "intended": intended, "saved": saved})
    return history


def submits(wanted: tuple[Wanted, ...], history: History) -> list[str]:
    """Return the jobs that a plan would buy, with every file where it belongs."""
    files = Files(lambda output: Found(Look.OURS, f"hash of m/{Path(output).stem}"), lambda _sha256: True)
    plan = make_plan(wanted, history, files, options=Options())
    return [action.id for action in plan.actions if action.act.value == "submit"]


def test_the_address_of_a_callback_buys_nothing(folder: Path) -> None:
    """Setting, changing and removing a webhook plans no submit, neither of the job nor of what is made from it."""
    text = (
        "version: 1\nvideos:\n"
        "  launch: {provider: fliz, title: T, text: Some text, aspect: 16:9, language: en%s}\n"
        "  french: {provider: fliz, operation: translate, source: {ref: launch.task}, language: fr}\n"
    )
    (folder / "m.yaml").write_text(text % "")
    history = bought(read(folder))
    assert submits(read(folder).wanted, history) == []
    for options in ("{webhook_url: 'https://one.example/'}", "{webhook_url: 'https://two.example/'}"):
        (folder / "m.yaml").write_text(text % f", options: {options}")
        assert submits(read(folder).wanted, history) == []
    (folder / "m.yaml").write_text(text % ", options: {category: article}")
    assert submits(read(folder).wanted, history) == ["launch", "french"]


def test_a_new_pack_and_another_callback_buy_nothing(folder: Path, tmp_path: Path) -> None:
    """A pack that words requests anew plans no submit, not even where the webhook has changed too."""
    pack = tmp_path / "packs" / "acme"
    pack.mkdir(parents=True)
    (pack / "acme.schema.json").write_text(SCHEMA)

    def load_with(revision: int, name: str, hook: str, prompt: str = "A cat") -> Batch:
        (pack / "provider.yaml").write_text(ACME.format(revision=revision, name=name))
        (folder / "m.yaml").write_text(f"version: 1\nvideos:\n  a: {{provider: acme, prompt: {prompt}{hook}}}\n")
        return load(Context(packs=(pack,)), [folder], environment={})

    history = bought(load_with(1, "prompt", ", options: {hook: 'https://one.example/'}"))
    changed = load_with(2, "text", ", options: {hook: 'https://two.example/'}")
    assert changed.wanted[0].fingerprint not in {found.fingerprint for found in history.submissions.values()}
    assert submits(changed.wanted, history) == []
    assert submits(load_with(2, "text", "").wanted, history) == []
    assert submits(load_with(2, "text", "", "A dog").wanted, history) == ["a"]
