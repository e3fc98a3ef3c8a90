"""``renderer validate``: what it says offline, what it asks with ``--online``, and how it exits."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from pytest_httpserver import HTTPServer

from renderer.cli import main
from renderer.errors import Exit

GOOD = "version: 1\nvideos:\n  a: {provider: yzx, model: sora-2, prompt: A cat}\n"
MODELS = {"data": [{"id": "sora-2", "owned_by": "x"}, {"id": "veo", "owned_by": "y"}]}


@pytest.fixture
def manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A valid manifest of an empty project, with no variable of a provider in the environment."""
    for name in ("YZX", "FLIZ", "HIFLY", "FOXAPI", "GEN_VIDEO"):
        monkeypatch.delenv(f"{name}_API_KEY", raising=False)
        monkeypatch.delenv(f"{name}_BASE_URL", raising=False)
    (tmp_path / ".renderer").mkdir()
    path = tmp_path / "m.yaml"
    path.write_text(GOOD)
    return path


def validate(*arguments: object, **environment: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(main.group, ["validate", *map(str, arguments)], env=environment)


def test_a_valid_manifest(manifest: Path) -> None:
    """One line, exit 0, nothing written."""
    before = sorted(manifest.parent.rglob("*"))
    result = validate(manifest)
    assert (result.exit_code, result.stdout, result.stderr) == (Exit.DONE, "Valid: 1 job.\n", "")
    assert sorted(manifest.parent.rglob("*")) == before


def test_every_problem_is_shown_with_its_place(manifest: Path) -> None:
    """Problems go to stderr, one a line; exit 65."""
    manifest.write_text(GOOD + "  b: {provider: yzx, modle: x, prompt: '{{ x }}'}\n")
    result = validate(manifest)
    assert result.exit_code == Exit.INVALID
    assert "m.yaml:4:22: error: `b` has no key `modle` (did you mean `model`?)" in result.stderr
    assert "m.yaml:4:40: error: there is no variable `x`" in result.stderr
    assert result.stdout == ""


def test_as_json(manifest: Path) -> None:
    """One document with every problem; warnings alone are valid."""
    manifest.write_text(GOOD + "  b: {provider: yzx, model: sora-2, prompt: A cat}\n")
    result = validate("--json", manifest)
    (twin,) = json.loads(result.stdout)["problems"]
    assert (result.exit_code, twin["severity"], twin["code"], twin["line"]) == (Exit.DONE, "warning", "twin", 4)
    manifest.write_text("version: 2\n")
    result = validate("--json", manifest)
    assert (result.exit_code, len(json.loads(result.stdout)["problems"])) == (Exit.INVALID, 1)


def test_offline_it_needs_neither_keys_nor_what_reaches_providers(manifest: Path) -> None:
    """A plain validate loads no network library."""
    code = """
import sys
from renderer.cli.main import group
try:
    group.main(["validate", sys.argv[1]])
except SystemExit as end:
    print([name for name in ("aiohttp", "httpx", "rich") if name in sys.modules], end.code)
"""
    done = subprocess.run([sys.executable, "-c", code, str(manifest)], capture_output=True, text=True, check=False)
    assert done.stdout == "Valid: 1 job.\n[] 0\n", done.stderr


def test_online_asks_and_buys_nothing(manifest: Path, httpserver: HTTPServer) -> None:
    """The credential and the model are proved by free calls, with the key."""
    httpserver.expect_request("/v1/models", headers={"Authorization": "Bearer k"}).respond_with_json(MODELS)
    result = validate("--online", manifest, YZX_API_KEY="k", YZX_BASE_URL=httpserver.url_for(""))
    assert (result.exit_code, result.stdout) == (Exit.DONE, "Valid: 1 job.\n"), result.stderr
    assert {request.method for request, _ in httpserver.log} == {"GET"}


def test_online_an_unknown_model_is_an_error(manifest: Path, httpserver: HTTPServer) -> None:
    """It stands at the field's place, with what may have been meant; exit 65."""
    httpserver.expect_request("/v1/models").respond_with_json(MODELS)
    manifest.write_text(GOOD.replace("sora-2", "sora2"))
    result = validate("--online", manifest, YZX_API_KEY="k", YZX_BASE_URL=httpserver.url_for(""))
    assert result.exit_code == Exit.INVALID
    assert "m.yaml:3:29: error: yzx has no model `sora2` (did you mean `sora-2`?)" in result.stderr


def test_online_a_bad_key_is_an_error_that_names_the_variable(manifest: Path, httpserver: HTTPServer) -> None:
    """The key itself is never shown."""
    httpserver.expect_request("/v1/models").respond_with_json({"error": {"message": "Invalid token"}}, status=401)
    result = validate("--online", manifest, YZX_API_KEY="canary-key", YZX_BASE_URL=httpserver.url_for(""))
    assert result.exit_code == Exit.INVALID
    assert "YZX_API_KEY" in result.stderr
    assert "canary" not in result.output


def test_online_trouble_is_a_warning(manifest: Path, httpserver: HTTPServer) -> None:
    """A server error leaves the manifest valid, and says what was not asked."""
    httpserver.expect_request("/v1/models").respond_with_data("oops", status=502)
    result = validate("--online", manifest, YZX_API_KEY="k", YZX_BASE_URL=httpserver.url_for(""))
    assert result.exit_code == Exit.DONE
    assert "warning: whether yzx has the model `sora-2` could not be asked" in result.stderr


def test_online_every_missing_key_is_named_and_no_other(manifest: Path) -> None:
    """Exit 64 with the variables of the providers that would be asked."""
    manifest.write_text(GOOD + "  b: {provider: foxapi, prompt: x}\n")
    result = validate("--online", manifest)
    assert result.exit_code == Exit.USAGE
    assert [name in result.stderr for name in ("YZX_API_KEY", "FOXAPI_API_KEY", "FLIZ_API_KEY")] == [True, True, False]


def test_online_a_draft_is_asked_for_without_a_credential(manifest: Path, httpserver: HTTPServer) -> None:
    """The draft behind its id must be there; the server that renders it is not called."""
    httpserver.expect_request("/there.json").respond_with_json({})
    drafts = {
        name: f"{httpserver.url_for('/open')}#/x?drafId={httpserver.url_for(name)}"
        for name in ("/there.json", "/gone.json")
    }
    jobs = "".join(f"  d{n}: {{provider: gen_video, draft: '{url}'}}\n" for n, url in enumerate(drafts.values()))
    manifest.write_text(f"version: 1\nvideos:\n{jobs}")
    httpserver.expect_request("/gone.json").respond_with_data("", status=404)
    result = validate("--online", manifest, GEN_VIDEO_API_KEY="k", GEN_VIDEO_BASE_URL=httpserver.url_for(""))
    assert result.exit_code == Exit.INVALID
    assert "m.yaml:4:36: error: the draft cannot be reached" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert sorted(request.path for request, _ in httpserver.log) == ["/gone.json", "/there.json"]
    assert not any("Authorization" in request.headers for request, _ in httpserver.log)


def test_online_a_private_address_is_not_asked_for_a_public_server(manifest: Path, httpserver: HTTPServer) -> None:
    """What is said of links holds for drafts: a warning, and no request."""
    url = httpserver.url_for("/d.json")
    manifest.write_text(f"version: 1\nvideos:\n  d: {{provider: gen_video, draft: '{url}?draft_id=1'}}\n")
    result = validate("--online", manifest)
    assert result.exit_code == Exit.DONE
    assert "could not be asked" in result.stderr
    assert httpserver.log == []


def test_a_sandbox_is_about_who_is_asked(manifest: Path) -> None:
    """--sandbox without --online means nothing."""
    result = validate("--sandbox", manifest)
    assert result.exit_code == Exit.USAGE
    assert "--online" in result.stderr


def test_online_in_the_sandbox_needs_no_key(manifest: Path) -> None:
    """The sandbox's own lists decide, and no draft is fetched from elsewhere."""
    manifest.write_text(
        GOOD.replace("sora-2", "sora2") + "  d: {provider: gen_video, draft: 'https://x.example/?draft_id=1'}\n"
    )
    result = validate("--online", "--sandbox", manifest)
    assert result.exit_code == Exit.INVALID, result.stderr
    assert "yzx has no model `sora2` (did you mean `sora-2`?)" in result.stderr
    assert "draft" not in result.stderr
