"""No module needs itself: no circle of imports, lazy, for types only and by a string included."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import safebasin
from safebasin.run.kinds import STUDY_FILES

ROOT = Path(safebasin.__file__).parent

COMPUTED = {
    "safebasin": {f"safebasin.{home}" for home in safebasin._HOMES},
    "safebasin.evidence.recount": {
        f"safebasin.evidence.{k.replace('-', '_')}" for k in STUDY_FILES
    },
}
"""What is imported by names that are put together: a file that does so has to stand here."""


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in ROOT.rglob("*.py")}


def named(node: ast.AST) -> Iterator[str]:
    """The modules that one node of a file may import, and names that may be none."""
    match node:
        case ast.ImportFrom(module=str(module), names=names, level=0):
            for alias in names:
                full = f"{module}.{alias.name}"
                yield full if full in MODULES else module
        case ast.Import(names=names):
            yield from (alias.name for alias in names)
        case ast.Constant(value=str(text)) if text != "safebasin":  # its name, for its metadata
            yield text


def computes(tree: ast.AST) -> bool:
    """Whether a file imports modules whose names it puts together."""
    return any(
        isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith("import_module")
        and isinstance(node.args[0], ast.JoinedStr)
        for node in ast.walk(tree)
    )


def imports_of(module: str) -> set[str]:
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    # The package of which other packages' entry points speak is not imported by them.
    groups = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg == "group"
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) not in groups:
            found |= set(named(node))
    if computes(tree):
        found |= COMPUTED[module]
    return (found & MODULES.keys()) - {module}


def circle_in(graph: Mapping[str, set[str]]) -> Sequence[str]:
    """Modules each of which imports the one before; empty where there is no circle."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found: Sequence[str] = error.args[1]
        return found
    return ()


def room_of(module: str) -> str:
    return ".".join(module.split(".")[1:2])


GRAPH = {module: imports_of(module) for module in MODULES}
ROOMS = sorted({room_of(module) for module in MODULES} - {""})


@pytest.mark.parametrize("room", ROOMS)
def test_no_module_of_a_room_imports_itself(room: str) -> None:
    own = {m: used for m, used in GRAPH.items() if room_of(m) == room}
    assert not circle_in({module: used & own.keys() for module, used in own.items()})


def test_no_module_imports_itself_by_way_of_another_room() -> None:
    assert not circle_in(GRAPH)


def test_every_kind_of_circle_is_found() -> None:
    kinds = {
        "from safebasin.weights import displacement": "safebasin.weights.displacement",
        "def f():\n    from safebasin.weights import Weights": "safebasin.weights",
        "if TYPE_CHECKING:\n    import safebasin.plane": "safebasin.plane",
        'import_module("safebasin.guard_models").parse': "safebasin.guard_models",
    }
    for text, module in kinds.items():
        assert module in {name for node in ast.walk(ast.parse(text)) for name in named(node)}
    assert computes(ast.parse('importlib.import_module(f"{__name__}.{kind}")'))
    assert "safebasin.evidence.comparison" in GRAPH["safebasin.evidence.recount"]
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": {"a"}})
    assert not circle_in({"a": {"b", "c"}, "b": {"c"}})
