import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from renderer.errors import InvalidError
from renderer.manifest.document import is_manifest, read_manifest, seconds
from renderer.manifest.expand import Expansion, check_batch
from renderer.manifest.job import Mark, Ref, Upload
from renderer.manifest.schema import Schema
from renderer.manifest.yamlfile import read_yaml
from renderer.project import Project

Expanded = Callable[..., Expansion]


def test_marks_point_at_what_gave_the_value(expanded: Expanded) -> None:
    """A value from defaults or a profile has its position there; the job itself that of its key."""
    text = (
        "version: 1\n"
        "defaults: {language: en, captions: {style: bold, color: red}}\n"
        "profiles:\n"
        "  short: {captions: {style: thin}}\n"
        "videos:\n"
        "  a: {provider: studio, profile: short, title: A, images: [x, y]}\n"
    )

    def at(line: int, word: str) -> Mark:
        return Mark(line, text.splitlines()[line - 1].index(word) + 1)

    (job,) = expanded(text).jobs
    assert job.values["captions"] == {"style": "thin", "color": "red"}
    assert job.mark() == at(6, "a:")
    assert job.mark("title") == at(6, "A,")
    assert job.mark("images", 1) == at(6, "y]")
    assert job.mark("language") == at(2, "en")
    assert job.mark("captions", "style") == at(4, "thin")
    assert job.mark("captions", "color") == at(2, "red")
    assert job.problem(("language",), "c", "m").path == "$.videos.a.language"


def test_references_and_uploads_are_values(expanded: Expanded) -> None:
    """What is not known yet stays in the job as a value of its own."""
    expansion = expanded(
        "version: 1\n"
        "assets:\n  v: {provider: hifly, operation: voice, title: x, audio: {upload: ../media/a.bin}}\n"
        "videos:\n  a: {provider: hifly, operation: video-by-text, text: x, avatar: '1', voice: {ref: v.voice}}\n",
        files={"media/a.bin": b"sound"},
    )
    assert expansion.problems == ()
    asset, video = expansion.jobs
    assert [upload.path for _, upload in asset.uploads()] == ["media/a.bin"]
    assert isinstance(asset.values["audio"], Upload)
    assert list(video.refs()) == [(("voice",), Ref("v", "voice"))]


def test_fault_12_cells_are_never_evaluated(expanded: Expanded) -> None:
    """Template syntax, special maps and anything else in data arrive as they are."""
    rows = [{"k": "a", "t": "{{ vars.x }}{% if %}", "m": {"file": "/etc/passwd"}, "n": None}]
    (job,) = expanded(
        "version: 1\nvars: {x: y}\nvideos:\n  v:\n    for_each: {json: ../r.json, key: k}\n    provider: studio\n"
        "    text: '{{ each.t }}'\n    options: {m: '{{ each.m }}', n: '{{ each.n }}'}\n",
        files={"r.json": json.dumps(rows)},
    ).jobs
    assert job.values == {"text": "{{ vars.x }}{% if %}", "options": {"m": {"file": "/etc/passwd"}}}


def test_fault_12_a_prompt_file_arrives_byte_for_byte(expanded: Expanded) -> None:
    """A megabyte of quotes, braces, emoji and right-to-left text is the value."""
    text = "\"'{{ x }}{% y %}{# z\u202e\U0001f600\\\n" * 40_000
    (job,) = expanded(
        "version: 1\nvideos:\n  v: {provider: studio, prompt: {file: ../p.txt}}\n", files={"p.txt": text}
    ).jobs
    assert job.values["prompt"] == text


def test_fault_15_a_hundred_thousand_rows(expanded: Expanded) -> None:
    """A large table becomes as many jobs, in order, and a mistake in all of them is one problem."""
    table = io.StringIO()
    csv.writer(table).writerows([["sku", "name"], *([f"s{n}", f'Name "{n}",\nsecond line'] for n in range(100_000))])
    text = "version: 1\nvideos:\n  p: {for_each: {csv: ../p.csv, key: sku}, provider: studio, title: '{{ each.%s }}'}\n"
    expansion = expanded(text % "name", files={"p.csv": table.getvalue()})
    assert expansion.problems == ()
    assert len(expansion.jobs) == 100_000
    assert expansion.jobs[-1].values == {"title": 'Name "99999",\nsecond line'}
    (problem,) = expanded(text % "nam").problems
    assert "99,999 times more" in problem.message


def test_defaults_of_one_provider_do_not_bind_another(expanded: Expanded) -> None:
    """An operation in the defaults counts where the provider has it."""
    one, other = expanded(
        "version: 1\ndefaults: {provider: fliz, operation: translate}\nvideos:\n"
        "  a: {source: t, language: fr}\n  b: {provider: yzx, model: m, prompt: p}\n"
    ).jobs
    assert (one.provider, one.operation) == ("fliz", "translate")
    assert (other.provider, other.operation) == ("yzx", "video")


def test_jobs_that_could_be_made_stand_beside_problems(expanded: Expanded) -> None:
    """One wrong value hides nothing, so that later checks can say more; a job that lacks one is marked."""
    expansion = expanded(
        "version: 1\nvideos:\n  a: {provider: studio, text: '{{ x }}', title: T}\n  b: {provider: studio}\n"
    )
    assert [(job.id, dict(job.values)) for job in expansion.jobs] == [("a", {"title": "T"}), ("b", {})]
    assert expansion.partial == {"spring/a"}
    assert [problem.code for problem in expansion.problems] == ["template"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("vars: {a: '{{ no }}', b: '{{ vars.a }}'}\nvideos: {v: {provider: studio, text: 'x {{ vars.b }}'}}", "no"),
        ("vars: [x]\nvideos: {v: {provider: studio, text: '{{ vars.a }}', id: 'v-{{ vars.a }}'}}", "`vars` must"),
        ("vras: {a: x}\nvideos: {v: {provider: studio, text: '{{ vars.a }}'}}", "no key `vras`"),
        ("asets: {a: {provider: studio}}\nvideos: {v: {provider: studio, source: {ref: a.file}}}", "no key `asets`"),
        ("default: {provider: studio}\nvideos: {v: {title: T}}", "no key `default`"),
        ("defaults: {operation: [x]}\nvideos: {v: {provider: fliz, draft: T}}", "`operation` must"),
        ("profiles: {p: {provider: 1}}\nvideos: {v: {profile: p, source: {ref: v.no}}}", "`provider` must"),
        ("profiles: [p]\nvideos: {v: {profile: p}}", "`profiles` must"),
        ("videos:\n  a: [x]\n  b: {provider: studio, source: {ref: a.file}}", "`a` must"),
        (
            "videos:\n  a: {for_each: {rws: []}, provider: studio}\n  b: {provider: studio, source: {ref: a-1.file}}",
            "rws",
        ),
        (
            """videos: {a: {for_each: {rows: [{k: 1}]}, id: '{{ no }}'}, b: {provider: studio, source: {ref: any.file}}}
moved: [{from: old, to: other}]""",
            "no",
        ),
        ("videos:\n  a: {for_each: {csv: no.csv, key: k}, provider: studio}\nmoved: [{from: x, to: a-1}]", "no.csv"),
        ("assets: 5\nvideos: {v: {provider: studio, source: {ref: a.file}}}", "`assets` must"),
        ("release: a b\nvideos: {v: {provider: studio, title: '{{ release }}'}}", "`release` must"),
    ],
)
def test_fault_8_what_follows_from_a_problem_is_none(expanded: Expanded, text: str, said: str) -> None:
    """What is wrong is reported once, where it stands, and nothing that rests on it."""
    (problem,) = expanded(f"version: 1\n{text}\n").problems
    assert said in problem.message


def test_releases_stems_and_outputs_are_unique_in_a_batch(expanded: Expanded) -> None:
    """Two manifests of one project share neither release nor stem nor output."""
    one = expanded("version: 1\nvideos:\n  a: {provider: studio, output: ../a.mp4}\n", name="one.yaml")
    two = expanded("version: 1\nrelease: ONE\nvideos:\n  b: {provider: studio, output: ../A.mp4}\n", name="two.yaml")
    stem = expanded("version: 1\nrelease: other\n", name="one.yml")
    assert check_batch([one]) == []
    assert [(problem.file, problem.code) for problem in check_batch([one, two, stem])] == [
        ("specs/one.yml", "release"),
        ("specs/two.yaml", "release"),
        ("specs/two.yaml", "duplicate-output"),
    ]


def test_a_moved_job_is_also_made_under_its_old_name(expanded: Expanded) -> None:
    """What a renamed job would say under its old id is kept beside it, for whoever looks for its purchase."""
    expansion = expanded(
        "version: 1\nvideos:\n  new: {provider: studio, text: '{{ id }}!'}\nmoved: [{from: old, to: new}]\n"
    )
    assert [job.values["text"] for job in expansion.jobs] == ["new!"]
    assert {key: (job.id, job.values["text"]) for key, job in expansion.former.items()} == {"new": ("new", "old!")}


def test_a_long_chain_of_references_is_walked(expanded: Expanded) -> None:
    """References may be as deep as there are jobs."""
    jobs = "".join(f"  v{n}: {{provider: studio, source: {{ref: v{n + 1}.file}}}}\n" for n in range(3000))
    assert expanded(f"version: 1\nvideos:\n{jobs}  v3000: {{provider: studio}}\n").problems == ()


def test_settings_are_read(expanded: Expanded) -> None:
    """Durations become seconds, a price counts for every operation or for the one it names."""
    settings = expanded(
        "version: 1\nbudget: {submits: 4}\nproviders:\n"
        "  yzx: {in_flight: 2, apart: 100ms, poll: {first: 9s, every: [8s, 15], timeout: 1.5m}, price: 0.5}\n"
        "  fliz: {poll: {every: 1h}, price: {translate: 2}}\n"
    ).manifest
    yzx, fliz = settings.providers["yzx"], settings.providers["fliz"]
    assert (yzx.in_flight, yzx.apart, yzx.first, yzx.every, yzx.timeout) == (2, 0.1, 9.0, (8.0, 15.0), 90.0)
    assert (yzx.price, fliz.price, fliz.every, settings.submits) == ({"": 0.5}, {"translate": 2}, (3600.0, 3600.0), 4)
    assert seconds("0.1s") == pytest.approx(0.1)


def test_fault_17_a_credential_is_refused_and_never_shown(project: Project, schema: Schema) -> None:
    """The problem says where it stands, not what it is."""
    path = project.root / "specs" / "m.yaml"
    path.write_text("version: 1\nvars: {token: canary-canary, a: 'Bearer canary.canary.canary.canary'}\n")
    problems = read_manifest(path, project, schema=schema).problems
    assert [problem.code for problem in problems] == ["credential", "credential"]
    assert "canary" not in repr(problems)


def test_other_yaml_is_no_manifest() -> None:
    """A manifest says so by its version."""
    assert is_manifest(read_yaml(b"version: 1\n", file="m"))
    assert not is_manifest(read_yaml(b"- version\n", file="m"))


def test_an_unreadable_manifest_is_a_problem(project: Project, schema: Schema) -> None:
    """A missing file is reported like any other problem."""
    with pytest.raises(InvalidError) as caught:
        read_manifest(Path(project.root / "none.yaml"), project, schema=schema)
    assert caught.value.problems[0].code == "unreadable"


def test_a_number_without_a_fraction_is_a_whole_number(expanded: Expanded) -> None:
    """5.0 is sent as 5, however it came about; inside a text it stays what it looks like."""
    (job,) = expanded(
        "version: 1\nvars: {version: 1.0}\nvideos:\n"
        "  v: {provider: studio, duration: 5.0, seed: '{{ 10 / 2 }}', take: 2.0, title: 'v{{ vars.version }}',"
        " options: {a: [1e3, -0.0, 2.5], b: '{{ vars.version }}'}}\n"
    ).jobs
    assert job.values == {"duration": 5, "seed": 5, "title": "v1.0", "options": {"a": [1000, 0, 2.5], "b": 1}}
    assert [type(value) for value in (job.values["duration"], job.values["seed"], job.take)] == [int, int, int]


def test_fault_6_a_large_number_is_never_rounded(expanded: Expanded) -> None:
    """An integer beyond 2**53 is refused in the form of a float too."""
    (problem,) = expanded("version: 1\nvideos:\n  v: {provider: studio, seed: 9007199254740993.0}\n").problems
    assert (problem.line, problem.code) == (3, "number")
