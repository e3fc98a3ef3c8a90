from renderer.data import schemas, templates


def test_schemas_are_found() -> None:
    """The manifest's schema stands in the folder of schemas."""
    assert (schemas() / "manifest.schema.json").is_file()


def test_templates_stand_beside_schemas() -> None:
    """Packs and schemas come from the same place."""
    assert templates().parent == schemas().parent
