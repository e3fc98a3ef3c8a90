import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from renderer.cli.main import group

KEYS = ("FLIZ_API_KEY", "HIFLY_API_KEY", "YZX_API_KEY", "FOXAPI_API_KEY", "GEN_VIDEO_API_KEY")
CANARY = "canary-4711"
PACK = """
provider: acme
revision: 7
base_url: https://acme.example
key: {variable: ACME_TOKEN, send: "X-Token:", where: "at the counter"}
pacing: {in_flight: 1}
operations:
  video:
    default: true
    makes: video
    produces: [file]
    submit: {post: /make, task: id}
    status:
      get: /made/{task}
      state: state
      states: {waiting: [new], running: [busy], done: [ok], failed: [bad]}
      link: url
lists:
  shapes:
    get: /shapes
    query: {page: "{page}", of: "{colour}"}
    size: 2
    choices: {colour: {red: r, green: g}}
    items: found
    columns: {name: name, note: note}
  sizes: {get: /sizes, items: found, columns: {name: name}}
"""


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Start without any key, in an empty folder."""
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.replace("API_KEY", "BASE_URL"), raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def acme(tmp_path: Path, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a pack of one's own whose provider is the test's server."""
    folder = tmp_path / "packs" / "acme"
    folder.mkdir(parents=True)
    (folder / "provider.yaml").write_text(PACK, encoding="utf-8")
    schema = {
        "$defs": {"video": {"type": "object", "required": ["title"], "properties": {"title": {"enum": ["A", "B"]}}}}
    }
    (folder / "acme.schema.json").write_text(json.dumps(schema), encoding="utf-8")
    monkeypatch.setenv("ACME_BASE_URL", httpserver.url_for("").rstrip("/"))
    monkeypatch.setenv("ACME_TOKEN", CANARY)
    return folder


def providers(*arguments: str | Path) -> Result:
    """Run `renderer providers`; whatever comes out, no credential is in it."""
    result = CliRunner().invoke(group, ["providers", *map(str, arguments)])
    assert CANARY not in result.output
    return result


def test_bare_providers_is_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each provider has a line: where it is, its key's variable and whether that is set, and what may cost."""
    monkeypatch.setenv("FLIZ_API_KEY", CANARY)
    monkeypatch.setenv("YZX_BASE_URL", "https://me:pw@yzx.example/v?token=1")
    result = providers()
    assert result.exit_code == 0
    assert result.output == providers("list").output
    lines = {line.split()[0]: line for line in result.output.splitlines() if line}
    assert "FLIZ_API_KEY (set)" in lines["fliz"]
    assert "https://app.fliz.ai" in lines["fliz"]
    assert "HIFLY_API_KEY (not set)" in lines["hifly"]
    assert " video-by-text*, " in lines["hifly"]
    assert "voice*, voice-tuning" in lines["hifly"]
    assert "GEN_VIDEO_BASE_URL (not set)" in lines["gen_video"]
    assert "https://yzx.example/v " in lines["yzx"]
    assert "pw" not in result.output


@pytest.mark.parametrize("arguments", [["--json"], ["list", "--json"], ["--json", "list"]])
def test_the_list_as_a_document(arguments: list[str]) -> None:
    """`--json` prints one document with its version, wherever it stands."""
    document = json.loads(providers(*arguments).stdout)
    assert document["format_version"] == 1
    fliz = next(one for one in document["providers"] if one["provider"] == "fliz")
    assert fliz["key"] == {
        "variable": "FLIZ_API_KEY",
        "set": False,
        "optional": False,
        "where": "https://app.fliz.ai/api-keys",
    }
    assert fliz["operations"][0] == {
        "name": "video",
        "makes": "video",
        "produces": ["task", "url", "file"],
        "paid": True,
    }


def test_show_tells_what_a_provider_takes_and_what_its_errors_mean() -> None:
    """Operations with their fields, required ones marked, options under their name; pacing; errors with remedies."""
    said = providers("show", "fliz").output
    for text in (
        "video: makes a video file (task, url, file); the default, may cost",
        "  title*  ",
        "  options.category  ",
        "4 at a time",
        "--voices",
        "HTTP 429  busy     Fliz asks for fewer requests",
    ):
        assert text in said


@pytest.mark.parametrize("name", ["fliz", "hifly", "gen_video", "yzx", "foxapi", "studio"])
def test_each_provider_can_be_shown(name: str) -> None:
    """Every pack can be shown as text and as a document, without a key."""
    assert providers("show", name).exit_code == 0
    document = json.loads(providers("show", name, "--json").stdout)
    assert (document["format_version"], document["provider"]) == (1, name)
    assert all("schema" in operation for operation in document["operations"])


def test_the_options_of_show_are_the_packs_lists() -> None:
    """`show NAME --help` offers what that provider can list, and no other's."""
    hifly, fliz = providers("show", "hifly", "--help").output, providers("show", "fliz", "--help").output
    assert "--kind [own|public]" in hifly
    assert "--musics" not in hifly
    assert "--musics" in fliz
    assert "--kind" not in fliz
    assert "--models" in providers("show", "yzx", "--help").output


def test_a_list_is_asked_for_page_by_page(acme: Path, httpserver: HTTPServer) -> None:
    """All pages are fetched, with the word for a choice as the provider wants it, and with the credential."""
    pages = {"1": ["one", "two"], "2": ["three", "four"], "3": ["five"]}

    def answer(request: Request) -> Response:
        assert request.headers["X-Token"] == CANARY
        assert request.args["of"] == "g"
        found = [{"name": name, "note": "\x1b[31m晓"} for name in pages[request.args["page"]]]
        return Response(json.dumps({"found": found}), content_type="application/json")

    httpserver.expect_request("/shapes", method="GET").respond_with_handler(answer)
    result = providers("--packs", acme, "show", "acme", "--shapes", "--colour", "green")
    assert [line.split()[0] for line in result.output.splitlines()] == ["name", "one", "two", "three", "four", "five"]
    assert "\x1b" not in result.output
    document = json.loads(providers("--packs", acme, "show", "acme", "--shapes", "--colour", "green", "--json").stdout)
    assert [row["name"] for row in document["lists"]["shapes"]] == ["one", "two", "three", "four", "five"]


def test_a_provider_that_ignores_pages_is_not_asked_for_ever(acme: Path, httpserver: HTTPServer) -> None:
    """The same page again is the end."""
    httpserver.expect_request("/shapes").respond_with_json({"found": [{"name": "one"}, {"name": "two"}]})
    assert providers("--packs", acme, "show", "acme", "--shapes").output.split() == ["name", "note", "one", "two"]
    assert len(httpserver.log) == 2


def test_a_refused_list_says_why(acme: Path, httpserver: HTTPServer) -> None:
    """What the provider said is shown, and the exit code is 1."""
    httpserver.expect_request("/sizes").respond_with_json({"message": "no"}, status=401)
    result = providers("--packs", acme, "show", "acme", "--sizes")
    assert result.exit_code == 1
    assert "acme refused its sizes" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "flizz"], "there is no provider 'flizz'"),
        (["check", "flizz"], "there is no provider 'flizz'"),
        (["show", "fliz", "--voice"], "--voices"),
        (["show", "hifly", "--kind", "own"], "add --voices, --avatars"),
        (["show", "hifly", "--voices", "--kind", "mine"], "'own', 'public'"),
        (["show", "fliz", "--voices"], "FLIZ_API_KEY (get one: https://app.fliz.ai/api-keys)"),
        (["check", "fliz", "hifly"], "HIFLY_API_KEY"),
        (["check"], "no credential is set: FLIZ_API_KEY"),
    ],
)
def test_wrong_usage_and_missing_keys_are_64(arguments: list[str], said: str) -> None:
    """A wrong name, option or choice, or a missing key: exit 64, with what to do, before anything is sent."""
    result = providers(*arguments)
    assert result.exit_code == 64
    assert said in result.stderr


@pytest.mark.parametrize(
    ("status", "body", "code", "verdict"),
    [
        (200, {"code": 0, "left": 5}, 0, "good"),
        (200, {"code": 2003, "message": "bad token"}, 1, "not good"),
        (500, {}, 1, "not good"),
    ],
)
def test_check_asks_the_provider(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, *, status: int, body: object, code: int, verdict: str
) -> None:
    """The free call of the pack proves a credential; a refusal comes with its remedy, and never with the key."""
    monkeypatch.setenv("HIFLY_BASE_URL", httpserver.url_for("").rstrip("/"))
    monkeypatch.setenv("HIFLY_API_KEY", CANARY)
    path = "/api/v2/hifly/account/credit"
    httpserver.expect_request(path, headers={"Authorization": f"Bearer {CANARY}"}).respond_with_json(
        body, status=status
    )
    result = providers("check")
    assert result.exit_code == code
    assert result.stdout.splitlines()[1].startswith(f"hifly     {verdict}")
    document = json.loads(providers("check", "hifly", "--json").stdout)
    assert (document["format_version"], document["checks"][0]["ok"]) == (1, code == 0)


def test_a_provider_that_cannot_be_reached_is_not_good(monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection is a reason, not a crash."""
    monkeypatch.setenv("YZX_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("YZX_API_KEY", CANARY)
    result = providers("check", "yzx")
    assert result.exit_code == 1
    assert "no connection to 127.0.0.1:9" in result.output


def test_a_brought_pack_is_listed_like_any_other(acme: Path) -> None:
    """`--packs` adds a provider to the list, with its words."""
    assert "ACME_TOKEN (set)" in providers("--packs", acme).output
    said = providers("--packs", acme, "show", "acme").output
    assert "title*  One of A, B." in said
    assert "--shapes --colour red|green" in said


def test_the_sandbox_answers_without_any_key() -> None:
    """`--sandbox` starts the local sandbox for the question; what one account has is shown."""
    result = providers("show", "hifly", "--voices", "--kind", "public", "--credit", "--sandbox")
    assert result.exit_code == 0, result.output
    assert "voice_public_01" in result.output
    assert "left\n1000000" in result.output
