"""The layers of the package: what may import what, and what must stay light."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import safebasin

ROOT = Path(safebasin.__file__).parent

BASE = {
    "addresses", "blocks", "config", "errors", "exchange", "given_judges", "hub", "landscape",
    "plane", "prompts", "protocol", "run", "setting", "stopping", "system_message", "terminal",
    "thought",
}  # fmt: skip
LAYERS: list[set[str]] = [
    BASE,
    {"checkpoint", "weights", "directions"},
    {"engines", "judges"},
    {
        "attribution",
        "capability",
        "defences",
        "judging",
        "plan",
        "reference",
        "results",
        "spread",
        "study",
        "subject",
        "testbed",
        "thought_plan",
        "truncation",
    },
    {"scanning"},
    {"agreement", "certify", "compare", "guard_models"},
    {"evaluate", "conditions", "finetune", "trajectory", "worst_case"},
    {"defence_bench", "evidence", "prediction"},
    {"cli"},
    {"__main__"},
]
LIGHT = ["safebasin", "safebasin.landscape", "safebasin.run", "safebasin.prompts",
         "safebasin.judges", "safebasin.results", "safebasin.evidence.verification",
         "safebasin.evidence.export", "safebasin.evidence.card", "safebasin.report.figures",
         "safebasin.testbed", "safebasin.cli.application", "safebasin.cli.views.certify",
         "safebasin.cli.views.watch"]  # fmt: skip


@cache
def imports_of(path: Path) -> set[str]:
    """The first-level names inside the package that a file imports, lazily or not."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "safebasin":
            parts = (node.module or "").split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            found |= {parts[1] for parts in names if parts[0] == "safebasin" and len(parts) > 1}
    return found


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


FILES = [p for p in ROOT.rglob("*.py") if p != ROOT / "__init__.py"]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_layer_imports_only_the_layers_beneath(path: Path) -> None:
    room, used = room_of(path), imports_of(path)
    if room == "report":
        assert used <= BASE | {"report"}
        return
    level = next((i for i, layer in enumerate(LAYERS) if room in layer), None)
    assert level is not None, f"{room} has no place in the layers"
    allowed = set().union(*LAYERS[: level + 1])
    if room in ("engines", "judges"):
        # engines speak of prompts and weights, never of judges, and the other way round
        allowed -= {"engines", "judges"} - {room}
    if room == "prompts":
        allowed |= {"testbed"}
    if room == "checkpoint":
        allowed |= {"testbed"}
    if room in (
        "cli",
        "agreement",
        "compare",
        "evidence",
        "results",
        "trajectory",
        "conditions",
        "worst_case",
        "scanning",
        "defence_bench",
    ):
        allowed |= {"report"}
    assert used <= allowed, f"{room} imports {sorted(used - allowed)}"


STUDIES = {"compare", "conditions", "evaluate", "finetune", "trajectory", "worst_case"}


def test_studies_share_by_way_of_one_room() -> None:
    """What two of them need lies in `study/`, so that each can be read by itself."""
    assert {room_of(path) for path in FILES} > STUDIES
    found = [
        f"{path.relative_to(ROOT)} imports {sorted(others)}"
        for path in FILES
        if room_of(path) in STUDIES | {"study"}
        and (others := imports_of(path) & (STUDIES - {room_of(path)}))
    ]
    assert found == []


def test_only_engines_ask_which_engine_one_is() -> None:
    """Others ask what it does, such as `own_process`, so that one more engine changes none."""
    trees = {p: ast.parse(p.read_text(encoding="utf-8")) for p in FILES}
    engines = {
        node.name
        for path, tree in trees.items()
        if room_of(path) == "engines"
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    assert {"PlainEngine", "FastEngine", "VllmEngine"} <= engines
    kinds = {name for name in engines if name.endswith("Engine") and name != "Engine"}
    asked = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path, tree in trees.items()
        if room_of(path) != "engines"
        for node in ast.walk(tree)
        if (
            (isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("isinstance", "type"))
            or isinstance(node, ast.MatchClass)
        )
        and {one.id for one in ast.walk(node) if isinstance(one, ast.Name)} & kinds
    ]
    assert asked == []


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_load_no_torch(module: str) -> None:
    code = (
        f"import sys, {module}; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_settings_load_no_torch() -> None:
    modules = [
        ".".join(("safebasin", *path.relative_to(ROOT).with_suffix("").parts))
        for path in sorted(ROOT.rglob("settings.py"))
    ]
    assert len(modules) >= 6
    code = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    assert not {'torch', 'transformers'} & set(sys.modules), name\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *modules], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_settings_of_commands_load_nothing_that_takes_time() -> None:
    """The command line reads all of them before it can show any help."""
    paths = sorted(ROOT.glob("*/settings.py"))
    modules = ["safebasin.config", *(f"safebasin.{path.parent.name}.settings" for path in paths)]
    assert len(modules) >= 7
    code = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    assert not {'torch', 'transformers', 'numpy', 'pydantic'} & set(sys.modules), name\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *modules], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "path", sorted(ROOT.rglob("__init__.py")), ids=lambda p: str(p.relative_to(ROOT).parent)
)
def test_a_package_itself_holds_no_code(path: Path) -> None:
    """What a package offers lies in modules; importing one of them loads no other."""
    if path.parent == ROOT:  # the public names, which are imported when they are asked for
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    code = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    found = [f"line {node.lineno}" for node in ast.walk(tree) if isinstance(node, code)]
    assert not found, f"{path} defines something at {found}: give it a module of its own"
