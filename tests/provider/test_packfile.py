"""Packs as files: what a person may bring, and what is said where a pack is wrong."""

import json
from pathlib import Path

import pytest

from renderer.errors import InvalidError, Problem
from renderer.manifest.document import Settings
from renderer.provider.pack import paced
from renderer.provider.packfile import load_packs

PACK = """\
provider: acme
revision: 3
base_url: https://acme.example
key: {variable: ACME_API_KEY, send: "X-Api-Key:"}
pacing: {in_flight: 2, poll: {first: 2s, every: [1s, 500ms], timeout: 1m}}
operations:
  clip:
    default: true
    makes: video
    produces: [task, url, file]
    submit: {post: /clips, json: clip.yaml, task: id}
    status:
      get: /clips/{task}
      state: state
      states: {done: [ok], failed: [bad]}
      link: url
"""


def write(folder: Path, pack: str = PACK, template: str = 'prompt: "{{ prompt }}"\n', schema: str = "") -> Path:
    """Write a pack into a folder and return that folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "provider.yaml").write_text(pack)
    (folder / "clip.yaml").write_text(template)
    definition = {"type": "object", "required": ["prompt"], "properties": {"prompt": {"type": "string"}}}
    (folder / "acme.schema.json").write_text(schema or json.dumps({"$defs": {"clip": definition}}))
    return folder


def refused(*folders: Path) -> list[Problem]:
    """Return why packs are refused."""
    with pytest.raises(InvalidError) as caught:
        load_packs(folders)
    return list(caught.value.problems)


def test_the_built_in_packs(tmp_path: Path) -> None:
    """Five remote providers and the studio; each has one default, listed first, and a file for what it makes."""
    packs = load_packs()
    assert list(packs) == ["fliz", "foxapi", "gen_video", "hifly", "studio", "yzx"]
    assert {name: pack.base_url for name, pack in packs.items() if not pack.embedded} == {
        "fliz": "https://app.fliz.ai",
        "foxapi": "https://api.foxapi.cc",
        "gen_video": None,
        "hifly": "https://hfw-api.hifly.cc",
        "yzx": "https://www.yuzhixiaolongxia.com",
    }
    assert [pack.key.variable for pack in packs.values() if pack.key] == [
        "FLIZ_API_KEY",
        "FOXAPI_API_KEY",
        "GEN_VIDEO_API_KEY",
        "HIFLY_API_KEY",
        "YZX_API_KEY",
    ]
    assert packs["gen_video"].base_url_variable == "GEN_VIDEO_BASE_URL"
    assert {name: offer.default for name, offer in packs.offers().items()} == {
        "fliz": "video",
        "foxapi": "video",
        "gen_video": "export",
        "hifly": "video-by-text",
        "studio": "video",
        "yzx": "video",
    }


def test_only_what_is_documented_to_be_free_is_free() -> None:
    """Every operation may cost but the studio's and the tuning of a voice."""
    free = {
        (name, operation.name)
        for name, pack in load_packs().items()
        for operation in pack.operations.values()
        if not operation.paid
    }
    assert free == {("hifly", "voice-tuning"), ("studio", "video"), ("studio", "draft")}


def test_a_pack_of_ones_own(tmp_path: Path) -> None:
    """A folder that is a pack, and a folder that holds packs, both work."""
    for given in (write(tmp_path / "one" / "acme"), write(tmp_path / "many" / "acme").parent):
        pack = load_packs([given])["acme"]
        assert (pack.revision, pack.default, pack.operations["clip"].extension) == (3, "clip", "mp4")
        assert pack.key is not None
        assert (pack.key.header, pack.key.prefix) == ("X-Api-Key", "")
        assert pack.operations["clip"].fields == {"prompt"}
        assert pack.pacing.every == (0.5, 1.0)


def test_a_manifests_pacing_replaces_a_packs(tmp_path: Path) -> None:
    """What a manifest says counts, downward too; the rest stays the pack's."""
    pack = load_packs([write(tmp_path / "acme")])["acme"]
    told = paced(pack, Settings(in_flight=1, timeout=5.0))
    assert (told.in_flight, told.timeout, told.first) == (1, 5.0, 2.0)
    assert paced(pack, None) == pack.pacing


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("provider: acme", "provider: fliz", "already is a provider"),
        ("ACME_API_KEY", "HIFLY_API_KEY", "belongs to 'hifly'"),
    ],
)
def test_17_a_pack_cannot_take_what_is_built_in(tmp_path: Path, old: str, new: str, message: str) -> None:
    """A pack that was brought has neither a built-in name nor a built-in key variable."""
    name = "fliz" if "fliz" in new else "acme"
    folder = write(tmp_path / name, PACK.replace(old, new))
    (folder / "fliz.schema.json").write_text((folder / "acme.schema.json").read_text())
    assert message in refused(folder)[0].message


def test_17_a_base_url_belongs_to_one_provider(tmp_path: Path) -> None:
    """A name that differs only in its spelling would share an environment variable."""
    folder = write(tmp_path / "gen-video", PACK.replace("provider: acme", "provider: gen-video"))
    (folder / "gen-video.schema.json").write_text((folder / "acme.schema.json").read_text())
    assert "GEN_VIDEO_BASE_URL" in refused(folder)[0].message


@pytest.mark.parametrize(
    ("old", "new", "place", "message"),
    [
        ("makes: video", "makes: movie", (9, 12), "`makes` is"),
        ("task: id}", 'task: "id ||"}', (11, 51), "not JMESPath"),
        ("json: clip.yaml", "json: ../clip.yaml", (11, 34), "not the name of a template"),
        ("json: clip.yaml", "json: other.yaml", (1, 1), "cannot be read"),
        ("failed: [bad]", "failed: [OK]", (15, 37), "stands twice"),
        ("state: state", "stat: state", (14, 7), "no key `stat`"),
        ("default: true", "default: false", (7, 3), "must be the default"),
        ("      link: url\n", "", (13, 7), "where the file"),
        ("produces: [task", "produces: [avatar, task", (10, 16), "where `avatar` is"),
        ("provider: acme", "provider: other", (1, 11), "says it is 'other'"),
        ("/clips/{task}", "clips", (13, 12), "`get`"),
        ("pacing: {in_flight: 2", "pacing: {in_flight: 0", (5, 21), "`in_flight` is 0"),
    ],
)
def test_what_is_wrong_with_a_pack_is_located(
    tmp_path: Path, old: str, new: str, place: tuple[int, int], message: str
) -> None:
    """Each fault of a pack has its line and column in the pack's own file."""
    assert old in PACK
    problems = refused(write(tmp_path / "acme", PACK.replace(old, new)))
    assert any(message in problem.message for problem in problems), problems
    assert (problems[-1].line, problems[-1].column) == place


def test_what_is_wrong_with_a_request_template_is_located(tmp_path: Path) -> None:
    """A template that does not compile is reported at its own place."""
    (problem,) = refused(write(tmp_path / "acme", template='a: 1\nprompt: "{{ prompt"\n'))
    assert problem.file.endswith("acme/clip.yaml")
    assert problem.line == 2


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ("{", "not JSON"),
        ('{"$defs": {}}', "no $defs.clip"),
        ('{"$defs": {"clip": {"type": "text"}}}', "not a JSON Schema"),
        ('{"$defs": {"clip": {"$ref": "https://x.example/s.json"}}}', "leads to nothing"),
    ],
)
def test_a_pack_needs_its_schema(tmp_path: Path, schema: str, message: str) -> None:
    """A pack needs a schema that is one, with a definition for each operation, to refuse things before money moves."""
    assert any(message in problem.message for problem in refused(write(tmp_path / "acme", schema=schema)))


def test_every_problem_of_every_pack_at_once(tmp_path: Path) -> None:
    """Two broken packs are both reported."""
    one = write(
        tmp_path / "a" / "acme", PACK.replace("task: id", 'task: "id ||"').replace("state: state", 'state: "("')
    )
    two = write(tmp_path / "b" / "acme", PACK.replace("makes: video", "makes: movie"))
    assert len(refused(one, two)) == 3


def test_a_folder_without_a_pack(tmp_path: Path) -> None:
    """A folder that holds no pack is named."""
    assert "there is no pack" in refused(tmp_path)[0].message


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("lists: {clips: {get: /clips, items: c, columns: {id: id}, proves: {voice: name}}}\n", "no column `name`"),
        ("    tasks: [source]\n", ""),
        ('    reaches: {draft: "id=("}\n', "no regular expression"),
        ('    reaches: {draft: "id=.*"}\n', "must stand in a group"),
        (
            "  plain:\n    makes: value\n    produces: [x]\n    submit: {post: /x, produced: {x: x}}\n    tasks: [a]\n",
            "no status",
        ),
    ],
)
def test_what_can_be_asked_before_buying_is_checked(tmp_path: Path, line: str, message: str) -> None:
    """Lists prove fields by a column that they have, tasks need a status, an address behind a URL needs a group."""
    folder = write(tmp_path / "acme", PACK + line)
    definition = {"type": "object"}
    (folder / "acme.schema.json").write_text(json.dumps({"$defs": {"clip": definition, "plain": definition}}))
    if not message:
        assert load_packs([folder])["acme"].operations["clip"].tasks == ("source",)
        return
    (problem,) = refused(folder)
    assert message in problem.message
