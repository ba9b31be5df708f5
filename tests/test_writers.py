"""Every file is written whole or not at all, by one writer that follows no link."""

from __future__ import annotations

import ast
import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure

import safebasin
from safebasin.directions import Held
from safebasin.errors import RunError
from safebasin.finetune.folder import TrainingFolder
from safebasin.plane import Axis, Plane
from safebasin.report.style import picture, save
from safebasin.results import look, rejudge
from safebasin.run import RunFolder
from safebasin.run.atomic import make_folder, of_library, write_atomic, write_by
from safebasin.run.sittings import read_sittings
from safebasin.study.parts import unmeasured
from support import judged_runs

SECRET = b"somebody's own file\n"
LINE = Plane((Axis("x", (-0.1, 0.0, 0.1)),))
KINDS = ("link", "hard link", "dangling link", "pipe")


def plant(kind: str, path: Path, elsewhere: Path) -> None:
    """Put a link to a file elsewhere, or a pipe, in the place of a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if kind == "link":
        path.symlink_to(elsewhere)
    elif kind == "hard link":
        path.hardlink_to(elsewhere)
    elif kind == "dangling link":
        path.symlink_to(elsewhere.with_name("absent"))
    else:
        os.mkfifo(path)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    file = tmp_path / "elsewhere"
    file.write_bytes(SECRET)
    return file


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return judged_runs.write(
        tmp_path_factory.mktemp("writers") / "run", lambda *_: judged_runs.REFUSAL, prompts=3,
        plane=LINE,
    )  # fmt: skip


@pytest.fixture
def run(measured: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(measured, tmp_path / "run"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("writer", [
    lambda path: write_atomic(path, b"new\n"),
    lambda path: write_by(path, lambda draft: draft.write_bytes(b"new\n")),
])  # fmt: skip
def test_a_file_takes_the_place_of_a_link(
    tmp_path: Path, elsewhere: Path, kind: str, writer: Callable[[Path], None]
) -> None:
    plant(kind, tmp_path / "run" / "file", elsewhere)
    writer(tmp_path / "run" / "file")
    assert (tmp_path / "run" / "file").read_bytes() == b"new\n"
    assert not (tmp_path / "run" / "file").is_symlink()
    assert elsewhere.read_bytes() == SECRET
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "run"]


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_of_a_foreign_run_overwrite_nothing(run: Path, elsewhere: Path, kind: str) -> None:
    for name in ("curve.svg", "curve.png"):
        plant(kind, run / "figures" / name, elsewhere)
    rejudge(run, ["refusal"])
    assert elsewhere.read_bytes() == SECRET
    assert not (elsewhere.parent / "absent").exists()
    assert stat.S_ISREG((run / "figures" / "curve.svg").lstat().st_mode)


@pytest.mark.parametrize("name", ["figures", "points", "verdicts", "sittings"])
def test_a_folder_of_a_run_that_is_a_link_is_refused(run: Path, tmp_path: Path, name: str) -> None:
    import shutil

    other = tmp_path / "other"
    other.mkdir()
    (other / "curve.svg").write_bytes(SECRET)
    if (run / name).exists():
        shutil.rmtree(run / name)
    (run / name).symlink_to(other)
    if name == "sittings":
        (other / "1-2.jsonl").write_text('{"began": 1, "point": "a", "answers": 1, "at": 2}\n')
        assert read_sittings(run / name) == []
        return
    with pytest.raises(RunError, match=rf"{name} is a link|holds no|no answers|is a link"):
        rejudge(run, ["refusal"])
    assert (other / "curve.svg").read_bytes() == SECRET
    assert [path.name for path in other.iterdir()] == ["curve.svg"]


@pytest.mark.parametrize("kind", ["link", "hard link", "pipe"])
def test_a_lock_that_is_something_else_is_refused(run: Path, elsewhere: Path, kind: str) -> None:
    plant(kind, run / ".lock", elsewhere)
    with pytest.raises(RunError, match=r"\.lock is (a link|not a plain file)"):
        RunFolder.reopen(run)
    assert elsewhere.read_bytes() == SECRET


def test_the_run_of_a_part_that_is_a_link_is_refused(run: Path, tmp_path: Path) -> None:
    from types import SimpleNamespace
    from typing import Any

    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "path").symlink_to(run)
    part: Any = SimpleNamespace(name="path", planes=(LINE,), prompts=())
    with pytest.raises(RunError, match="path is a link"):
        unmeasured(tmp_path / "study", [part])


def test_a_training_folder_with_a_link_is_refused(tmp_path: Path, elsewhere: Path) -> None:
    path = tmp_path / "tuned"
    with TrainingFolder.open(path, {"a": 1}):
        pass
    (path / "checkpoint-4").mkdir()
    (path / "checkpoint-4" / "model.safetensors").symlink_to(elsewhere)
    with (
        pytest.raises(RunError, match=r"model\.safetensors is a link"),
        TrainingFolder.open(path, {"a": 1}),
    ):
        pass


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the disk quota is used up"),
        (errno.EROFS, "the file system is read-only"),
    ],
)
def test_a_full_disk_is_one_sentence_and_leaves_the_old_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, reason: str
) -> None:
    figure = Figure()
    save(figure, tmp_path / "figures", "curve", ["svg"])
    old = (tmp_path / "figures" / "curve.svg").read_bytes()

    (tmp_path / "directions").mkdir()

    def full(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    figure.text(0.5, 0.5, "more")
    with pytest.raises(RunError, match=rf"curve\.svg cannot be written: {reason}") as caught:
        save(figure, tmp_path / "figures", "curve", ["svg"])
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    assert (tmp_path / "figures" / "curve.svg").read_bytes() == old
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["curve.svg"]
    with pytest.raises(RunError, match=rf"d\.safetensors cannot be written: {reason}"):
        Held("d", {"w": torch.ones(2)}).save(tmp_path / "directions" / "d.safetensors")
    assert list((tmp_path / "directions").iterdir()) == []


def test_what_a_library_says_of_a_full_disk_is_understood() -> None:
    error = of_library(ValueError("I/O error: No space left on device (os error 28)"))
    assert error.errno == errno.ENOSPC
    assert of_library(ValueError("nothing known")).errno == 0


def test_a_picture_has_the_same_bytes_wherever_it_goes(tmp_path: Path) -> None:
    figure = Figure()
    for form in ("png", "svg", "pdf"):
        [path] = save(figure, tmp_path / "figures", "one", [form])
        assert path.read_bytes() == picture(figure, form)


def test_a_folder_in_the_place_of_another_thing(tmp_path: Path, elsewhere: Path) -> None:
    with pytest.raises(FileExistsError):
        make_folder(elsewhere)
    with pytest.raises(RunError, match="cannot be written"):
        save(Figure(), elsewhere, "curve", ["svg"])


def test_a_run_with_replaced_pictures_still_shows(run: Path) -> None:
    rejudge(run, ["refusal"])
    assert look(run).folder == run


# What may write by itself, and why.
OWN_WAY = {
    "run/atomic.py": "the writer",
    "run/sittings.py": "appends lines to a file that it makes itself, following no link",
    "cli/step_summary.py": "appends to the file that a runner names",
    "checkpoint/new_folder.py": "syncs a folder that nobody else writes to",
    "checkpoint/merging.py": "writes into that folder",
    "checkpoint/adapter_tables.py": "writes into a private temporary folder",
    "checkpoint/gguf/description.py": "writes into a private temporary folder",
    "engines/vllm/lora_requests.py": "writes into a private temporary folder",
    "report/inspect_log.py": "writes a draft into a private temporary folder",
    "report/style.py": "draws into memory",
    "weights/tensor_files.py": "writes the draft that `write_by` asks for",
    "testbed/folders.py": "saves models of its own making into new folders",
    "judges/lexicon.py": "only its name is `save`",
    "run/folder.py": "only its own `write_text`, which goes through the writer",
}
WRITES = {
    "write_text",
    "write_bytes",
    "savefig",
    "to_csv",
    "to_json_file",
    "save_pretrained",
    "save_file",
    "savez",
    "tofile",
    "write_table",
    "copyfile",
    "copy2",
    "copytree",
}


def _writes(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        modes = [a.value for a in node.args if isinstance(a, ast.Constant)]
        if name in WRITES or (name == "open" and {"w", "wb", "a", "ab", "r+b", "x"} & set(modes)):
            found.add(name)
        if name in ("dump", "save") and isinstance(function, ast.Attribute):
            owner = getattr(function.value, "id", "")
            if owner in ("json", "np", "numpy", "torch", "pickle"):
                found.add(f"{owner}.{name}")
    return found


def test_no_module_writes_by_itself() -> None:
    root = Path(safebasin.__file__).parent
    others = {}
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        found = _writes(ast.parse(path.read_text(encoding="utf-8")))
        # `RunFolder.write_text` and `export.write_table` go through the writer.
        mine = found - {"write_text", "write_table"} if _through_the_run(path) else found
        if mine and name not in OWN_WAY:
            others[name] = sorted(mine)
    assert others == {}


def _through_the_run(path: Path) -> bool:
    text = path.read_text(encoding="utf-8")
    return "run.write_text(" in text or "write_table(" in text
