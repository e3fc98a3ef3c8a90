import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from renderer import data
from renderer.cli.main import group

SHIPPED = sorted(path.name.removesuffix(".schema.json") for path in data.schemas().glob("*.schema.json"))


def schema(*arguments: str) -> Result:
    """Run `renderer schema`."""
    return CliRunner().invoke(group, ["schema", *arguments])


def test_manifests_are_the_default() -> None:
    """Without a name the manifest's schema is printed, byte for byte."""
    assert schema().stdout_bytes == (data.schemas() / "manifest.schema.json").read_bytes()


@pytest.mark.parametrize("name", SHIPPED)
def test_each_schema_is_json(name: str) -> None:
    """Every schema that ships can be asked for by name."""
    assert "$schema" in json.loads(schema(name).stdout)


def test_the_list_names_them_all() -> None:
    """`--list` prints every name."""
    assert schema("--list").output.split() == SHIPPED


def test_an_unknown_name_is_answered_with_those_there_are() -> None:
    """A wrong name exits 64, with what was probably meant."""
    result = schema("manifst")
    assert (result.exit_code, result.stdout) == (64, "")
    assert "did you mean 'manifest'?" in result.stderr


def test_schemas_of_brought_packs_are_there_too(tmp_path: Path) -> None:
    """A pack from --packs has its schema; it cannot replace one of ours."""
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "acme.schema.json").write_text('{"title": "Acme"}')
    (tmp_path / "acme" / "manifest.schema.json").write_text("{}")
    assert schema("acme", "--packs", str(tmp_path)).stdout == '{"title": "Acme"}'
    assert "Renderer manifest" in schema("--packs", str(tmp_path)).stdout
