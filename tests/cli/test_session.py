"""A batch is read as a whole: every problem of every file at once, each once, at its place."""

from pathlib import Path

import pytest

from renderer.cli.options import Context
from renderer.cli.session import Batch, load
from renderer.errors import InvalidError, Problem, UsageError

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
