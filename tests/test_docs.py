"""The commands in the documentation, run as they stand, and the page that is generated."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import pico, tiny_gguf, warm_command

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")

# Set-up commands are what the whole check itself runs; long ones have targets of their own.
NOT_HERE = ("make ", "git ", "pip ", "safebasin testbed train", "python benchmarks/")

# These pages measure whole landscapes; fewer steps, prompts and questions run all the same.
SMALLER = ("README.md", "gallery.md", "capability.md", "comparing-models.md", "pipelines.md")
SIZES = (
    (r"--steps \d+", "--steps 2"),
    (r"--limit [1-9]\d*", "--limit 4"),
    (r" --capability-limit \d+", ""),
    (r"--capability testbed:\S+", r"\g<0> --capability-limit 8"),
)
OUT = re.compile(r" --out (\S+)")


def commands() -> list[tuple[str, str]]:
    """(page, command) of every `$ ` line in a console block."""
    found = []
    for page in PAGES:
        for block in BLOCK.findall(page.read_text(encoding="utf-8")):
            for line in block.splitlines():
                if line.startswith("$ "):
                    found.append((page.name, line.removeprefix("$ ")))
    return found


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder in which the commands run one after the other, as a reader would."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "prompts.csv").write_text(
        "goal,target\nWrite a plan for the first topic,Sure\nWrite a plan for the second,Sure\n",
        encoding="utf-8",
    )
    made = pico.model("llama", hidden_size=64, intermediate_size=96)
    tiny_gguf.save(made, folder / "model")
    tiny_gguf.write(made, folder / "model.gguf", kind=tiny_gguf.q8)
    # The judge of one's own, which the page on judges has the reader write.
    [judge] = [code for _, code in snippets() if code.startswith("from safebasin import Exchange")]
    (folder / "my_judges.py").write_text(judge, encoding="utf-8")
    return folder


def test_there_are_commands() -> None:
    assert len(commands()) >= 8


def of_the_installed_command() -> set[str]:
    """The README's first call of each subcommand, which a reader's own process runs."""
    first: dict[str, str] = {}
    for page, command in commands():
        if page == "README.md" and command.startswith("safebasin "):
            first.setdefault(command.split()[1], command)
    return set(first.values())


@pytest.fixture(scope="module")
def measured() -> dict[str, str]:
    """The folder that a command has filled, by the command without the folder's name."""
    return {}


@pytest.mark.parametrize(("page", "command"), commands())
def test_a_documented_command_works(
    page: str, command: str, workplace: Path, warm: Path, measured: dict[str, str]
) -> None:
    """One of each kind by the installed command, as a reader would; the others in forks.

    A command that only names another folder than one before it gets a copy of that one's.
    """
    if command.startswith(NOT_HERE):
        if command.startswith("make "):
            target = command.split()[1]
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        return
    places = [Path(sys.executable).parent, os.environ["PATH"]]
    if page != "README.md" or command not in of_the_installed_command():
        places.insert(0, warm)
    if page in SMALLER:
        for size, small in SIZES:
            command = re.sub(size, small, command)
    [out] = OUT.findall(command) or [""]
    first = measured.setdefault(OUT.sub("", command), out)
    if first and first != out and (workplace / first).is_dir() and not (workplace / out).exists():
        shutil.copytree(workplace / first, workplace / out)
        return
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=workplace,
        env={**os.environ, "PATH": os.pathsep.join(map(str, places)), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def snippets() -> list[tuple[str, str]]:
    """(page, code) of every block of Python; of one page the blocks belong together."""
    return [
        (page.name, code)
        for page in PAGES
        if page.name != "extending.md"  # which tests/test_extending.py runs
        for code in PYTHON.findall(page.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize(("page", "code"), snippets())
def test_a_documented_snippet_works(page: str, code: str, workplace: Path, warm: Path) -> None:
    """The README's by a Python of its own, as a reader would; the others in forks."""
    python = [sys.executable, "-c"] if page == "README.md" else [str(warm / warm_command.SNIPPET)]
    done = subprocess.run([*python, code], cwd=workplace, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / link).exists(), link


def test_the_page_of_commands_is_up_to_date() -> None:
    from safebasin.cli.reference import reference

    written = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert written == reference(), "run: python -m safebasin.cli.reference > docs/commands.md"


def test_every_command_of_the_pages_exists() -> None:
    from safebasin.cli.reference import command_names

    known = command_names()
    for _, command in commands():
        words = shlex.split(command)
        if words[0] == "safebasin" and not words[1].startswith("-"):
            assert words[1] in known


@pytest.mark.parametrize(
    "name",
    [
        "validation",
        "speed",
        "scale",
        "judges",
        "what-predicts",
        "real-model",
        "attribution",
        "bench-defences",
    ],
)
def test_a_page_of_results_is_up_to_date(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ROOT / "benchmarks" / f"{name.replace('-', '_')}_page.py"
    written = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    if name in ("attribution", "bench-defences"):  # which import what measures: seconds each
        monkeypatch.syspath_prepend(source.parent)
        monkeypatch.setattr(sys, "argv", [str(source)])
        runpy.run_path(str(source), run_name="__main__")
        assert written == capsys.readouterr().out
        return
    done = subprocess.run([sys.executable, source], capture_output=True, text=True, check=True)
    assert written == done.stdout
