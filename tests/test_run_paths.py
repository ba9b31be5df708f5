"""Nothing is read or written outside the run folder, whatever the names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from safebasin.errors import RunError
from safebasin.exchange import Verdict
from safebasin.plane import Axis, Plane
from safebasin.run import RunFolder
from safebasin.run.manifest import Manifest, plane_to_json
from safebasin.run.names import slug
from safebasin.run.verify import verify
from support.run_samples import FAR, IDS, JUDGE, SPEC, contents, exchange, manifest, measured

NASTY = [
    "../../x",
    "a/../../b",
    "/etc/passwd",
    "..",
    ".",
    "",
    "a\0b",
    "a\nb",
    "~",
    "C:\\x",
    "a//b",
    "figures/",
    "\ud800",
    "x" * 300,
    ".lock",
    ".hidden/x",
]


@pytest.mark.parametrize("name", NASTY)
def test_a_file_name_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    with RunFolder.open(tmp_path / "a" / "run", manifest()) as run:
        before = contents(tmp_path, "**/*")
        for act in (
            lambda: run.write_text(name, "x"),
            lambda: run.write_json(name, 1),
            lambda: run.read_text(name),
            lambda: run.read_json(name),
        ):
            with pytest.raises(RunError, match="cannot name a file"):
                act()
        assert contents(tmp_path, "**/*") == before


@pytest.mark.parametrize("name", ["manifest.json", "points/x.jsonl", "verdicts/x", "points"])
def test_the_records_are_not_overwritten_by_name(tmp_path: Path, name: str) -> None:
    with RunFolder.open(tmp_path / "run", manifest()) as run:
        with pytest.raises(RunError, match="kept for the records"):
            run.write_text(name, "x")
        run.write_text("figures/line.svg", "<svg/>\u2028")
        assert run.read_text("figures/line.svg") == "<svg/>\u2028"


@pytest.mark.parametrize("name", [*NASTY, "refusal/llm-landscape", "a\x1b]52;c;x\x07"])
def test_names_of_judges_prompts_and_directions_stay_inside(tmp_path: Path, name: str) -> None:
    plane = Plane((Axis(name, (0.0, 0.5)),)) if name != "\ud800" else Plane((Axis("u", (0.5,)),))
    identity = {"planes": [plane_to_json(plane)]}
    folder = tmp_path / "a" / "b" / "run"
    with RunFolder.open(folder, Manifest(identity, (name,))) as run:
        for point in run.manifest.points:
            run.write_point(point, [exchange(name, point)])
            run.write_verdicts(name, {}, point, [name], [Verdict("refused", "")])
            assert run.read_point(point) == [exchange(name, point)]
            assert run.read_verdicts(name, {}, point) == {name: Verdict("refused", "")}
        assert run.judges() == {name: {}}
    assert verify(folder).problems == ()
    outside = [file for file in tmp_path.rglob("*") if not file.is_relative_to(folder)]
    assert sorted(outside) == [tmp_path / "a", tmp_path / "a" / "b"]
    depth = {len(file.relative_to(folder).parts) for file in folder.rglob("*.jsonl")}
    assert depth == {2, 3}


def test_slugs_differ_where_names_do_and_are_plain() -> None:
    names = [*NASTY, "a/b", "a-b", "A-b", "a--b"]
    slugs = [slug(name) for name in names]
    assert len({text.lower() for text in slugs}) == len(names)
    assert all(text.isascii() and text[0].isalnum() and len(text) < 80 for text in slugs)
    assert not any(set(text) & set("/\\:\0") for text in slugs)


@pytest.mark.parametrize("name", ["points", "verdicts"])
def test_a_linked_folder_is_refused(tmp_path: Path, name: str) -> None:
    path = measured(tmp_path / "run")
    (path / name).rename(tmp_path / "elsewhere")
    (path / name).symlink_to(tmp_path / "elsewhere")
    before = contents(tmp_path / "elsewhere", "**/*")
    with pytest.raises(RunError, match="is a link"):
        RunFolder.open(path, manifest())
    run = RunFolder.read(path)
    with pytest.raises(RunError, match="is a link"):
        run.read_point(FAR) if name == "points" else run.read_verdicts(JUDGE, SPEC, FAR)
    assert (name, "is a link") in [(p.file, p.what) for p in verify(path).problems]
    assert contents(tmp_path / "elsewhere", "**/*") == before


def test_linked_files_are_not_read_and_not_written_through(tmp_path: Path) -> None:
    path = measured(tmp_path / "run")
    secret = tmp_path / "secret"
    secret.write_text("canary")
    judge = path / "verdicts" / slug(JUDGE)
    links = [path / "points" / f"{FAR.key}.jsonl", judge / "judge.json", path / "landscape.json"]
    for link in links:
        link.unlink()
        link.symlink_to(secret)
    run = RunFolder.read(path)
    for read in (
        lambda: run.read_point(FAR),
        run.judges,
        lambda: run.read_json("landscape.json"),
        lambda: run.read_text("landscape.json"),
    ):
        with pytest.raises(RunError) as caught:
            read()
        assert "canary" not in str(caught.value)
    listed = [p.file for p in verify(path).problems if p.what == "is a link"]
    assert listed == sorted(link.relative_to(path).as_posix() for link in links)
    with RunFolder.open(path, manifest()) as run:
        with pytest.raises(RunError, match="is a link"):
            run.write_json("landscape.json", {})
        with pytest.raises(RunError):
            run.write_point(FAR, [exchange("jbb-0")])
    assert secret.read_text() == "canary"


def test_a_linked_judge_folder_manifest_or_lock_is_refused(tmp_path: Path) -> None:
    path = measured(tmp_path / "run")
    judge = path / "verdicts" / slug(JUDGE)
    judge.rename(tmp_path / "judge")
    judge.symlink_to(tmp_path / "judge")
    with RunFolder.reopen(path) as run:
        for act in (
            run.judges,
            lambda: run.read_verdicts(JUDGE, SPEC, FAR),
            lambda: run.write_verdicts(JUDGE, SPEC, FAR, IDS[:1], [Verdict(None, "")]),
        ):
            with pytest.raises(RunError, match="is a link"):
                act()
    (path / ".lock").unlink()
    (path / ".lock").symlink_to(tmp_path / "absent")
    with pytest.raises(RunError):
        RunFolder.reopen(path)
    assert not (tmp_path / "absent").exists()
    (path / ".lock").unlink()
    (path / "manifest.json").rename(tmp_path / "manifest.json")
    (path / "manifest.json").symlink_to(tmp_path / "manifest.json")
    with pytest.raises(RunError, match="not a plain file"):
        RunFolder.reopen(path)
    with pytest.raises(RunError, match="not a plain file"):
        RunFolder.read(path)
    assert "manifest.json" in [p.file for p in verify(path).problems]


def test_a_pipe_in_place_of_a_record_does_not_hang(tmp_path: Path) -> None:
    path = measured(tmp_path / "run")
    file = path / "points" / f"{FAR.key}.jsonl"
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(RunError, match="not a plain file"):
        RunFolder.read(path).read_point(FAR)
    assert any("not a plain file" in p.what for p in verify(path).problems)


def test_a_path_with_nul_is_an_error_and_a_linked_run_folder_is_fine(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="NUL"):
        RunFolder.open(f"{tmp_path}/a\0b", manifest())
    with pytest.raises(RunError, match="not a run folder"):
        verify(f"{tmp_path}/a\0b")
    measured(tmp_path / "scratch")
    (tmp_path / "run").symlink_to(tmp_path / "scratch")
    with RunFolder.open(tmp_path / "run", manifest()) as run:
        assert run.missing(FAR, IDS) == []


def test_a_second_opening_is_refused_also_in_the_same_process(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path / "run", manifest()):
        for again in (
            lambda: RunFolder.open(tmp_path / "run", manifest()),
            lambda: RunFolder.reopen(tmp_path / "run"),
        ):
            with pytest.raises(RunError, match=f"process \\({os.getpid()}\\) is working"):
                again()
    RunFolder.reopen(tmp_path / "run").close()
