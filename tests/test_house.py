"""The house of DESIGN 7, held against the real imports.

FLOORS and OWNERS are the table; CONTRIBUTING explains it. Whoever changes the house changes them here.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "renderer"

# From the ground up. A room uses the floors below its own, and itself.
FLOORS = (
    ("__init__", "errors", "canonical", "project", "data"),
    ("manifest", "state"),
    ("provider",),
    ("plan",),
    ("run",),
    ("cli",),
    ("__main__",),
)
# Wings may use the house; of the house only ``cli`` knows them.
WINGS = ("sandbox", "studio", "report")
# A library is imported where its surprises are known: by these modules, or by these rooms (ending in "/").
OWNERS = {
    "aiohttp": ("run/transport",),
    "av": ("sandbox/", "studio/"),
    "click": ("cli/",),
    "dotenv": ("cli/",),
    "filelock": ("state/runlock",),
    "httpx": ("run/transport",),
    "httpx_aiohttp": ("run/transport",),
    "jinja2": ("manifest/expression",),
    "jmespath": ("provider/",),
    "jsonschema": ("manifest/schema",),
    "msgspec": ("state/lines",),
    "mutagen": ("manifest/localfile",),
    "numpy": ("sandbox/", "studio/"),
    "PIL": ("sandbox/", "studio/"),
    "referencing": ("manifest/schema",),
    "rfc8785": ("canonical",),
    "rich": ("cli/",),
    "starlette": ("sandbox/", "cli/"),
    "uvicorn": ("sandbox/", "cli/"),
    "yaml": ("manifest/yamlfile", "sandbox/faultsfile"),
    "yarl": ("run/transport",),
}
LAZY = "cli/main"  # loads each command when it is called
PROVIDERS = ("fliz", "hifly", "gen_video", "yzx", "yuzhixiaolongxia", "foxapi", "heygen")
MAX_LINES = 400

_CHANGES = {"add", "append", "appendleft", "clear", "discard", "extend", "insert", "pop", "popitem", "remove"}
_CHANGES |= {"setdefault", "update"}
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


@dataclass(frozen=True, slots=True)
class Module:
    """A module: its name below the package with slashes (``run/transport``), and its text."""

    name: str
    text: str

    @property
    def tree(self) -> ast.Module:
        """Its syntax tree."""
        return ast.parse(self.text)

    @property
    def room(self) -> str:
        """The floor's word for it: the folder, or the module of the ground itself."""
        return self.name.split("/")[0]


@dataclass(frozen=True, slots=True)
class Import:
    """An import of a dotted name, and whether it stands inside a function."""

    name: str
    local: bool
    line: int


def modules() -> list[Module]:
    """Return every module of the package."""
    found = []
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        name = path.relative_to(ROOT / PACKAGE).with_suffix("").as_posix()
        found.append(Module(name, path.read_text("utf-8")))
    return found


def imports(module: Module) -> Iterator[Import]:
    """Yield what a module imports, by absolute dotted names, also inside functions and through importlib."""
    tree = module.tree
    inside = {id(inner) for node in ast.walk(tree) if isinstance(node, _FUNCTIONS) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                for alias in node.names:
                    yield Import(alias.name, id(node) in inside, node.lineno)
            case ast.ImportFrom(level=level, module=source):
                above = [PACKAGE, *module.name.split("/")][:-level] if level else []
                base = ".".join([*above, *filter(None, [source])])
                for alias in node.names:
                    yield Import(f"{base}.{alias.name}", id(node) in inside, node.lineno)
            case ast.Call(func=ast.Name(id="__import__") | ast.Attribute(attr="import_module")):
                yield Import(f"{PACKAGE}.__dynamic__", local=True, line=node.lineno)


def floor(room: str) -> int | None:
    """Return a room's floor, or None for a wing. Raises ``KeyError`` for a room that is not in the table."""
    if room in WINGS:
        return None
    for height, rooms in enumerate(FLOORS):
        if room in rooms:
            return height
    raise KeyError(room)


def upward(module: Module) -> list[str]:
    """Return the imports of our own that do not lead down."""
    wrong = []
    try:
        here = floor(module.room)
    except KeyError:
        return [f"{module.name}: no floor is named for it"]
    for found in imports(module):
        package, _, rest = found.name.partition(".")
        if package != PACKAGE:
            continue
        room = rest.split(".")[0]
        if not room or room == module.room or room.startswith("__"):
            continue
        there = floor(room)
        if here is None:  # a wing may use the house, and other wings
            continue
        if there is None and module.room != "cli":
            wrong.append(f"{module.name}:{found.line} imports the wing {room}")
        elif there is not None and (there > here or (there == here != 0)):
            wrong.append(f"{module.name}:{found.line} imports {room}, which is not below it")
    return wrong


def unowned(module: Module) -> list[str]:
    """Return the imports of libraries that another module owns."""
    return [
        f"{module.name}:{found.line} imports {library}, which belongs to {', '.join(owners)}"
        for found in imports(module)
        if (owners := OWNERS.get(library := found.name.split(".")[0])) is not None
        and not any(module.name.startswith(owner) if owner.endswith("/") else module.name == owner for owner in owners)
    ]


def hidden(module: Module) -> list[str]:
    """Return the imports of our own that stand inside functions or are made by name."""
    return [
        f"{module.name}:{found.line} imports {found.name} where the import graph cannot be read"
        for found in imports(module)
        if found.name.split(".")[0] == PACKAGE and (found.local or found.name.endswith(">")) and module.name != LAZY
    ]


def named_providers(module: Module) -> list[str]:
    """Return the providers that a module's code names (not its comments and docstrings)."""
    tree = module.tree
    for node in ast.walk(tree):
        if isinstance(body := getattr(node, "body", None), list):
            node.body = [child for child in body if not _is_text(child)] or [ast.Pass()]
    code = ast.unparse(tree).lower()
    return [f"{module.name} names {provider}" for provider in PROVIDERS if provider in code]


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def mutable(module: Module) -> list[str]:
    """Return what looks like state of a module: ``global``, a variable that holds a container, a changed constant."""
    tree = module.tree
    wrong, constants = [], set()
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for name in (target.id for target in targets if isinstance(target, ast.Name)):
            constants.add(name)
            if _is_container(getattr(node, "value", None)) and not name.isupper() and name != "__all__":
                wrong.append(f"{module.name}:{node.lineno} {name} is a variable of the module")
    for function in (node for node in ast.walk(tree) if isinstance(node, _FUNCTIONS)):
        nodes = list(ast.walk(function))
        own = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        own |= {node.arg for node in nodes if isinstance(node, ast.arg)}
        for node in nodes:
            match node:
                case ast.Global(names=names):
                    wrong.append(f"{module.name}:{node.lineno} changes {', '.join(names)}")
                case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=attr)) if attr in _CHANGES:
                    if name in constants - own:
                        wrong.append(f"{module.name}:{node.lineno} changes {name}")
                case ast.Subscript(value=ast.Name(id=name), ctx=ast.Store() | ast.Del()) if name in constants - own:
                    wrong.append(f"{module.name}:{node.lineno} changes {name}")
    return wrong


def _is_container(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        return value.func.id in ("list", "dict", "set", "defaultdict", "deque", "Counter", "bytearray")
    return isinstance(value, (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp))


MODULES = modules()
each_module = pytest.mark.parametrize("module", MODULES, ids=[module.name for module in MODULES])


@each_module
def test_a_floor_uses_only_those_below_it(module: Module) -> None:
    """Imports of our own lead down, and no room of the house but ``cli`` imports a wing."""
    assert upward(module) == []


@each_module
def test_each_library_is_imported_by_its_owner_alone(module: Module) -> None:
    """A third-party library has one module, or room, that imports it."""
    assert unowned(module) == []


@each_module
def test_the_import_graph_can_be_read_at_the_top_of_files(module: Module) -> None:
    """No import of our own stands in a function or is made by name, but for the lazy group of commands."""
    assert hidden(module) == []


@each_module
def test_a_provider_is_data(module: Module) -> None:
    """No code outside the sandbox names a provider."""
    assert module.room == "sandbox" or named_providers(module) == []


@each_module
def test_a_room_is_small_and_says_what_it_is_for(module: Module) -> None:
    """A module opens with a docstring and has at most 400 lines."""
    assert ast.get_docstring(module.tree)
    assert len(module.text.splitlines()) <= MAX_LINES


@each_module
def test_a_module_keeps_no_state(module: Module) -> None:
    """No module changes, or invites to change, what stands at its top."""
    assert mutable(module) == []


@pytest.mark.parametrize(
    ("name", "text", "check", "found"),
    [
        ("state/x", "from renderer.run import transport", upward, 1),
        ("state/x", "from renderer.manifest import job", upward, 1),
        ("manifest/x", "import renderer.plan.plan", upward, 1),
        ("run/x", "from renderer import sandbox", upward, 1),
        ("attic/x", "", upward, 1),
        ("cli/x", "from renderer.sandbox import server", upward, 0),
        ("plan/x", "from renderer import project", upward, 0),
        ("run/download", "import httpx", unowned, 1),
        ("run/transport", "import httpx", unowned, 0),
        ("manifest/x", "from yaml.nodes import Node", unowned, 1),
        ("cli/apply", "import click", unowned, 0),
        ("run/x", "def f():\n    from renderer.run import y", hidden, 1),
        ("state/x", "from ..plan import plan", upward, 1),
        ("run/__init__", "from . import y", upward, 0),
        ("run/x", "import importlib\nimportlib.import_module('renderer.run.y')", hidden, 1),
        ("cli/main", "def f():\n    from renderer.cli import apply", hidden, 0),
        ("run/x", "def f():\n    import json", hidden, 0),
        ("run/x", "if provider == 'fliz': pass", named_providers, 1),
        ("run/x", '"""Fliz."""\n# yzx', named_providers, 0),
        ("run/x", "seen = {}", mutable, 1),
        ("run/x", "SEEN = {}\ndef f():\n    SEEN['a'] = 1", mutable, 1),
        ("run/x", "SEEN = set()\ndef f():\n    SEEN.add(1)", mutable, 1),
        ("run/x", "n = 0\ndef f():\n    global n\n    n = 1", mutable, 1),
        ("run/x", "PORTS = {'http': 80}\ndef f():\n    found = {}\n    found['a'] = PORTS['http']", mutable, 0),
    ],
)
def test_the_house_test_finds_what_it_looks_for(name: str, text: str, check: object, found: int) -> None:
    """Each rule finds a module that breaks it, and leaves one alone that does not."""
    assert callable(check)
    assert len(check(Module(name, text))) == found
