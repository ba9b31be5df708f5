"""`safebasin watch`: a run that grows, read by another process and drawn in a terminal."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from safebasin.cli.views.watch import Reader
from safebasin.cli.views.watch_screen import Look, view
from safebasin.errors import RunError
from safebasin.exchange import Verdict
from safebasin.plane import Axis, Plane, Point
from safebasin.results import ASSUMED, rejudge, review
from safebasin.run import RunFolder
from safebasin.run.sittings import SITTINGS
from support import hostile_runs, judged_runs

COMMAND = [sys.executable, "-c", "from safebasin.cli import main; main()", "watch"]


def drawn(folder: Path, height: int | None = None, width: int = 120, look: str = "utf-8") -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(view(Reader(folder).read(), height, width, Look.of(look)))
    text: str = console.export_text()
    return text


def breaking(point: Point, n: int) -> str:
    return judged_runs.REFUSAL if point.distance < 0.15 else judged_runs.COMPLIANCE


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = judged_runs.write(tmp_path_factory.mktemp("made") / "run", breaking)
    rejudge(path, ["llm-landscape", "outcome"])
    return path


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A copy, to be changed."""
    return Path(shutil.copytree(made, tmp_path / "run"))


def remove(run: Path, coefficient: float) -> Point:
    point = Point.of({"gaussian-0": coefficient})
    for record in run.rglob(f"{point.key}.jsonl"):
        record.unlink()
    return point


def sat(run: Path, every: float) -> None:
    """Let the run's only sitting have finished a point `every` so many seconds, and no other."""
    [log] = (run / SITTINGS).iterdir()
    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    kept = [row for row in rows if (run / "points" / f"{row['point']}.jsonl").exists()]
    for number, row in enumerate(kept, start=1):
        row["at"] = row["began"] + every * number
    log.write_text("".join(f"{json.dumps(row)}\n" for row in kept), encoding="utf-8")


def test_a_finished_run_shows_its_curve_and_its_last_verdicts(run: Path) -> None:
    text = drawn(run)
    assert "5 of 5, 0 left" in text
    assert "complete" in text
    assert "+0.2" in text
    assert "ASR 100 % (84 to 100)" in text
    assert "ASR 0 % (0 to 16)" in text
    assert "no keyword" in text or "keyword '" in text
    assert "refused" in text


def test_a_growing_run_shows_what_is_left_and_takes_up_what_is_new(run: Path) -> None:
    record = next((run / "points").glob("gaussian-0=+0.2*"))
    taken = record.read_bytes()
    remove(run, 0.2)
    [log] = (run / SITTINGS).iterdir()
    log.unlink()  # as in a run of an earlier version
    reader = Reader(run)
    before = reader.read()
    assert (before.left, before.answers_left) == (1, 20)
    assert before.seconds_left is None, "no point is of this sitting"
    record.write_bytes(taken)
    after = reader.read()
    assert after.left == 0
    assert len(after.points) == 5


def test_the_time_left_is_that_of_this_sitting(run: Path) -> None:
    remove(run, 0.2)
    remove(run, -0.2)
    sat(run, every=10)
    watched = Reader(run).read()
    assert watched.left == 2
    assert watched.seconds_left == pytest.approx(20.0, abs=1.0)
    assert "about 20 s" in drawn(run)


def test_a_copy_of_a_run_took_as_long_as_the_run(run: Path, tmp_path: Path) -> None:
    """Files of a copy, or from an archive, have other times than the work had."""
    remove(run, 0.2)
    sat(run, every=10)
    for path in run.rglob("*"):
        os.utime(path, (0, 0))
    copy = shutil.copytree(run, tmp_path / "copy")
    for folder in (run, copy):
        watched = Reader(folder).read()
        assert watched.seconds_spent == pytest.approx(40)
        assert watched.seconds_left == pytest.approx(10)
        assert watched.last == Reader(run).read().last


def test_answers_are_counted_and_not_points(run: Path) -> None:
    """More prompts were asked for: every point lacks some."""
    sat(run, every=10)
    manifest = RunFolder.read(run).manifest
    more = replace(manifest, prompt_ids=(*manifest.prompt_ids, *(f"q{n}" for n in range(10))))
    with RunFolder.open(run, more):
        pass
    watched = Reader(run).read()
    assert (watched.left, watched.answers_left) == (5, 50)
    assert "100 of 150" in drawn(run)


def test_a_look_and_other_judges_are_no_sitting(run: Path) -> None:
    """Else the time left would be that of a sitting that measured nothing."""
    before = RunFolder.read(run).manifest.sessions
    assert len(before) == 1
    rejudge(run, ["arditi"])
    review(run)
    assert RunFolder.read(run).manifest.sessions == before


def test_new_verdicts_on_old_answers_are_seen(run: Path) -> None:
    reader = Reader(run)
    point = Point.of({"gaussian-0": 0.2})
    assert reader.read().points[point].asr.value == 1.0
    with RunFolder.reopen(run) as opened:
        spec = opened.judges()["llm-landscape"]
        ids = opened.manifest.prompt_ids
        given = [Verdict("refused", "again")] * len(ids)
        opened.write_verdicts("llm-landscape", spec, point, ids, given)
    assert reader.read().points[point].asr.value == 0.0


def test_points_beyond_the_plateau_are_not_left(run: Path) -> None:
    point = remove(run, 0.2)
    (run / ASSUMED).write_text(json.dumps({"points": [point.key]}), encoding="utf-8")
    assert Reader(run).read().left == 0
    assert "beyond the plateau, not asked" in drawn(run)


def test_a_point_without_verdicts_yet_is_read_again(run: Path) -> None:
    point = Point.of({"gaussian-0": 0.2})
    hidden = {path: path.read_bytes() for path in (run / "verdicts").rglob(f"{point.key}.jsonl")}
    for path in hidden:
        path.unlink()
    reader = Reader(run)
    assert reader.read().points[point].asr.value is None
    for path, content in hidden.items():
        path.write_bytes(content)
    assert reader.read().points[point].asr.value == 1.0


def test_a_small_terminal_gets_a_block_a_point(run: Path) -> None:
    assert "ASR 100" not in drawn(run, height=16)
    assert "█ ▁ ▁ ▁ █" in drawn(run, height=16)


@pytest.mark.parametrize("width", [46, 60, 80])
def test_rows_fit_a_narrow_terminal(run: Path, width: int) -> None:
    rows = drawn(run, width=width).splitlines()
    assert max(map(len, rows)) <= width
    assert sum("ASR" in row and "to" in row for row in rows) == 5, "no row is broken in two"
    last = next(i for i, row in enumerate(rows) if row.startswith("last:"))
    assert all("complied" in row for row in rows[last + 1 : last + 7])


def test_the_cost_is_what_was_spent_and_what_is_to_come(run: Path) -> None:
    remove(run, 0.2)
    sat(run, every=30)
    text = drawn(run)
    assert "80 of 100" in text
    assert "400 tokens, about 100 to come; 2 min of work" in text
    assert "costs" not in text


def test_verdicts_of_a_judge_that_costs_are_counted(run: Path) -> None:
    seen = Reader(run).read()
    paid = {point: replace(one, paid=20) for point, one in seen.points.items()}
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(view(replace(seen, points=paid, paying=1)))
    assert "100 of 100 verdicts of a judge that costs" in console.export_text()


def test_a_terminal_without_blocks_gets_letters(run: Path) -> None:
    text = drawn(run, look="ascii")
    text.encode("ascii")
    assert "##" in text
    assert "9 0 0 0 9" in drawn(run, height=16, look="latin-1")
    done = subprocess.run(
        [*COMMAND, run, "--once"], capture_output=True, check=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert b"5 of 5, 0 left" in done.stdout


def test_a_terminal_that_cannot_move_its_cursor_gets_one_look(run: Path) -> None:
    remove(run, 0.2)
    pty = pytest.importorskip("pty", reason="there are no pseudo-terminals here")
    screen, terminal = pty.openpty()
    subprocess.run(
        [*COMMAND, run], stdout=terminal, timeout=60, check=True,
        env={**os.environ, "TERM": "dumb"},
    )  # fmt: skip
    os.close(terminal)
    shown = os.read(screen, 100_000).decode()
    os.close(screen)
    assert shown.count("4 of 5, 1 left") == 1
    assert "\x1b" not in shown


def test_the_folder_of_a_study_names_its_runs(run: Path) -> None:
    done = subprocess.run([*COMMAND, run.parent], capture_output=True, text=True)
    assert done.returncode == 2
    assert "it holds the runs run" in done.stderr
    assert str(run) in done.stderr


def test_a_plane_is_a_grid(tmp_path: Path) -> None:
    axes = tuple(Axis.symmetric(name, 0.2, 2) for name in ("x", "y"))
    run = judged_runs.write(tmp_path / "run", breaking, plane=Plane(axes))
    rejudge(run, ["llm-landscape"])
    assert "+0  █ ▁ █" in drawn(run)


def test_hostile_text_is_shown_and_not_obeyed(tmp_path: Path) -> None:
    run = hostile_runs.write(tmp_path / "run")
    text = drawn(run)
    for character in "\x1b\x07\x00\u202e\ud800":
        assert character not in text
    assert "<img src=x" in text


def test_once_from_the_command_line_and_what_is_no_run(run: Path, tmp_path: Path) -> None:
    done = subprocess.run([*COMMAND, run, "--once"], capture_output=True, text=True, check=True)
    assert "5 of 5, 0 left" in done.stdout
    assert "\x1b" not in done.stdout
    empty = tmp_path / "empty"
    empty.mkdir()
    done = subprocess.run([*COMMAND, empty, "--once"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "not a run folder" in done.stderr
    with pytest.raises(RunError):
        Reader(empty).read()
