"""Damaged records are recognised by file and line, and never read as fewer answers."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safebasin.errors import RunError
from safebasin.exchange import Exchange, Verdict
from safebasin.plane import Point
from safebasin.run import RunFolder, atomic, records, strictjson
from safebasin.run.names import slug
from safebasin.run.records import DamagedError
from safebasin.run.rows import (
    exchange_from_json,
    exchange_to_json,
    point_from_json,
    point_to_json,
    verdict_from_json,
    verdict_to_json,
)
from safebasin.run.verify import Problem, verify
from support.run_samples import FAR, IDS, JUDGE, SPEC, contents, exchange, manifest, measured

POINT_FILE = f"points/{FAR.key}.jsonl"
VERDICT_FILE = f"verdicts/{slug(JUDGE)}/{FAR.key}.jsonl"

Lines = list[bytes]
DAMAGE: dict[str, tuple[Callable[[Lines], Lines], int, str]] = {
    "cut in a line": (lambda ls: [*ls[:2], ls[2][:-5]], 3, "cut short"),
    "cut between lines": (lambda ls: ls[:3], 4, "cut short"),
    "cut to the header": (lambda ls: ls[:1], 2, "cut short"),
    "empty": (lambda ls: [], 1, "header"),
    "last line end lost": (lambda ls: [*ls[:3], ls[3][:-1]], 4, "cut short"),
    "answer altered": (lambda ls: [*ls[:2], ls[2].replace(b"jbb", b"jbc", 1), ls[3]], 3, "changed"),
    "line repeated": (lambda ls: [*ls[:3], ls[2]], 4, "repeats line 3"),
    "line inserted again": (lambda ls: [*ls[:3], *ls[2:]], 4, "repeats line 3"),
    "lines swapped": (lambda ls: [ls[0], ls[2], ls[1], ls[3]], 2, "belongs at line 3"),
    "line dropped": (lambda ls: [ls[0], *ls[2:]], 2, "belongs at line 3"),
    "line added": (lambda ls: [*ls, b"{}\n"], 5, "one too many"),
    "tail added": (lambda ls: [*ls, b"x"], 5, "does not end"),
    "not ASCII": (lambda ls: [b"\xff" + ls[0], *ls[1:]], 1, "ASCII"),
    "header count": (lambda ls: [ls[0].replace(b'"n":3', b'"n":2'), *ls[1:3]], 1, "changed"),
    "header not JSON": (lambda ls: [ls[0][:-3] + b"\n", *ls[1:]], 1, "header"),
    "header deep": (lambda ls: [b"[" * 100_000 + b"\n", *ls[1:]], 1, "nested too deeply"),
    "newer": (lambda ls: [ls[0].replace(b'version":1', b'version":2'), *ls[1:]], 1, "newer"),
}


@pytest.mark.parametrize("file", [POINT_FILE, VERDICT_FILE])
@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_named_by_file_and_line(tmp_path: Path, file: str, name: str) -> None:
    damage, line, what = DAMAGE[name]
    path = measured(tmp_path / "run")
    assert verify(path).problems == ()
    whole = (path / file).read_bytes().splitlines(keepends=True)
    (path / file).write_bytes(b"".join(damage(whole)))
    run = RunFolder.read(path)
    with pytest.raises(RunError) as caught:
        run.read_verdicts(JUDGE, SPEC, FAR) if "verdicts" in file else run.read_point(FAR)
    assert str(path / file) in caught.value.message
    assert f"line {line} " in caught.value.message
    assert what in caught.value.message
    assert "safebasin verify" in caught.value.hint
    if file == POINT_FILE:
        with pytest.raises(RunError):
            run.missing(FAR, IDS)
    first = next(p for p in verify(path).problems if p.file == file)
    assert first.line == line
    assert what in first.what
    assert str(first).startswith(f"{file}, line {line}: ")


def test_every_flipped_bit_and_every_cut_is_seen() -> None:
    odd = "\ud800 \x00 \u2028 é"
    rows = [exchange_to_json(exchange(i, response=odd)) for i in IDS[:2]]
    # Escapes and exponents can be spelled in two ways that mean the same.
    whole = records.encode("answers", Point.of({"é": 1e-7}), rows)
    assert records.decode(whole).damage == ()

    def seen(data: bytes) -> bool:
        try:
            return bool(records.decode(data).damage)
        except DamagedError:
            return True

    flips = [(i, bit) for i in range(len(whole)) for bit in range(8)]
    unseen = [
        (i, bit)
        for i, bit in flips
        if not seen(whole[:i] + bytes([whole[i] ^ 1 << bit]) + whole[i + 1 :])
    ]
    assert unseen == []
    assert [end for end in range(len(whole)) if not seen(whole[:end])] == []


def test_several_damaged_lines_are_all_listed(tmp_path: Path) -> None:
    path = measured(tmp_path / "run")
    file = path / POINT_FILE
    file.write_bytes(file.read_bytes().replace(b"answer to", b"answer ta"))
    problems = verify(path).problems
    assert [p.line for p in problems if p.file == POINT_FILE] == [2, 3, 4]
    assert any(p.file == VERDICT_FILE and "no sound record" in p.what for p in problems)


def test_a_sound_record_in_the_wrong_place_is_seen(tmp_path: Path) -> None:
    path = measured(tmp_path / "run")
    (path / POINT_FILE).write_bytes((path / "points" / "origin.jsonl").read_bytes())
    (path / "points" / "stray.txt").write_text("x")
    outside = Point.of({"gaussian-0": 7.0})
    rows = [exchange_to_json(exchange("jbb-0", outside))]
    (path / "points" / f"{outside.key}.jsonl").write_bytes(records.encode("answers", outside, rows))
    twice = records.encode("answers", Point(), [*rows, *rows])
    (path / "points" / "origin.jsonl").write_bytes(twice)
    (path / VERDICT_FILE).write_bytes(records.encode("answers", FAR, rows))
    run = RunFolder.read(path)
    with pytest.raises(RunError, match="another point"):
        run.read_point(FAR)
    with pytest.raises(RunError, match="line 3 has the prompt jbb-0 a second time"):
        run.read_point(Point())
    with pytest.raises(RunError, match="are answers, not verdicts"):
        run.read_verdicts(JUDGE, SPEC, FAR)
    what = {p.file: p.what for p in verify(path).problems}
    assert "another point" in what[POINT_FILE]
    assert "no record" in what["points/stray.txt"]
    assert "no plane" in what[f"points/{outside.key}.jsonl"]
    assert "second time" in what["points/origin.jsonl"]
    assert "not verdicts" in what[VERDICT_FILE]


def test_prompts_that_the_run_does_not_ask_are_seen(tmp_path: Path) -> None:
    path = measured(tmp_path / "run")
    rows = [exchange_to_json(exchange(i)) for i in ("jbb-1", "jbb-0")]
    (path / POINT_FILE).write_bytes(records.encode("answers", FAR, rows))
    what = {p.file: p.what for p in verify(path).problems}
    assert "not those of this run in its order" in what[POINT_FILE]
    rows = rows[:1]
    (path / POINT_FILE).write_bytes(records.encode("answers", FAR, rows))
    problems = verify(path).problems
    what_line = "judges an answer that the point does not hold"
    assert problems == (Problem(VERDICT_FILE, 2, what_line),)


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ({"finish": "stopped"}, "finish"),
        ({"new_tokens": True}, "new_tokens"),
        ({"prompt_tokens": 1.5}, "prompt_tokens"),
        ({"response": None}, "response"),
        ({"origin_logprob": "-1"}, "origin_logprob"),
        ({"origin_logprobs": "-1"}, "origin_logprobs"),
        ({"origin_logprobs": [-1.0, None]}, "origin_logprobs"),
        ({"extra": 1}, "unknown field extra"),
    ],
)
def test_a_line_of_another_shape_is_seen(tmp_path: Path, row: dict[str, object], what: str) -> None:
    path = measured(tmp_path / "run")
    rows = [exchange_to_json(exchange("jbb-0")) | row]
    (path / POINT_FILE).write_bytes(records.encode("answers", FAR, rows))
    with pytest.raises(RunError, match=f"line 2 is not readable: .*{what}"):
        RunFolder.read(path).read_point(FAR)


@pytest.mark.parametrize(
    "row", [{"outcome": "safe"}, {"score": True}, {"reason": 1}, {"detail": "odd"}, {"start": 1.5}]
)
def test_a_verdict_of_another_shape_is_refused(row: dict[str, object]) -> None:
    whole = verdict_to_json("jbb-0", Verdict("refused", "phrase", 1))
    assert verdict_from_json(whole) == ("jbb-0", Verdict("refused", "phrase", 1))
    with pytest.raises(ValueError, match=next(iter(row))):
        verdict_from_json(whole | row)
    with pytest.raises(ValueError, match="outcome"):
        verdict_from_json({k: v for k, v in whole.items() if k != "outcome"})


def test_what_is_known_of_an_answer_and_a_verdict_comes_back() -> None:
    answer = exchange("jbb-0").scored([-0.125, -0.004, -2.0])
    assert answer.origin_logprobs == (-0.12, 0.0, -2.0)
    assert answer.origin_logprob == pytest.approx(-0.7097, abs=1e-4)
    assert exchange_from_json(exchange_to_json(answer)) == answer
    assert exchange("jbb-0").scored([-1.0, float("nan")]) == exchange("jbb-0")
    verdict = Verdict("refused", "phrase", detail="partial", start=12)
    assert verdict_from_json(verdict_to_json("jbb-0", verdict))[1] == verdict


@pytest.mark.parametrize("name", ["manifest.json", "landscape.json", "judge.json"])
@pytest.mark.parametrize("tail", [b"}", b'{"a": NaN}', b'{"a": 1, "a": 2}', b"[1e999]", b"\xff"])
def test_damage_outside_the_records_is_named(tmp_path: Path, name: str, tail: bytes) -> None:
    path = measured(tmp_path / "run")
    file = next(path.rglob(name))
    file.write_bytes(tail)
    relative = file.relative_to(path).as_posix()
    assert [p.file for p in verify(path).problems] == [relative]

    def read_everything() -> None:
        run = RunFolder.read(path)
        run.read_json("landscape.json")
        run.judges()

    with pytest.raises(RunError, match=str(file)):
        read_everything()


def test_an_edited_manifest_is_refused(tmp_path: Path) -> None:
    path = measured(tmp_path / "run")
    file = path / "manifest.json"
    file.write_text(file.read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(RunError, match="changed after it was written"):
        RunFolder.open(path, manifest())
    assert "changed after" in verify(path).problems[0].what


@pytest.mark.parametrize("name", ["manifest.json", "judge.json"])
def test_a_newer_schema_is_a_clear_error(tmp_path: Path, name: str) -> None:
    path = measured(tmp_path / "run")
    file = next(path.rglob(name))
    value = json.loads(file.read_text()) | {"schema_version": 2}
    file.write_text(json.dumps(value))
    with pytest.raises(RunError, match=r"newer safebasin \(schema 2"):
        RunFolder.read(path).judges()
    assert "newer safebasin" in verify(path).problems[0].what


def test_a_lost_judge_file_and_a_lost_point_are_told(tmp_path: Path) -> None:
    path = measured(tmp_path / "run")
    (path / POINT_FILE).unlink()
    report = verify(path)
    assert [p.file for p in report.problems] == [VERDICT_FILE]
    assert (report.points, report.complete, report.unmeasured) == (3, 2, 1)
    next(path.rglob("judge.json")).unlink()
    assert "is missing" in verify(path).problems[0].what


def test_what_is_not_yet_measured_is_counted_and_no_problem(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path / "run", manifest()) as run:
        run.write_point(FAR, [exchange("jbb-1")])
        run.write_point(Point(), [exchange(i, Point()) for i in IDS])
    report = verify(tmp_path / "run")
    assert report.problems == ()
    assert (report.points, report.complete, report.partial, report.unmeasured) == (3, 1, 1, 1)
    assert report.answers == 4


def _writes(mode: int | str) -> bool:
    return "w" in mode if isinstance(mode, str) else bool(mode & os.O_CREAT)


def _break(patch: pytest.MonkeyPatch, call: str, code: int) -> None:
    """Make a call of `os` fail where it writes; reading goes through some of them too."""
    real = getattr(os, call)

    def fail(*arguments: Any) -> Any:
        reads = call in ("open", "fdopen") and not _writes(arguments[1])
        if reads:
            return real(*arguments)
        raise OSError(code, os.strerror(code))

    patch.setattr(os, call, fail)


@pytest.mark.parametrize("call", ["replace", "fsync", "open", "fdopen"])
@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EACCES, "permission is denied"),
        (errno.EROFS, "read-only"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
def test_a_failed_write_leaves_the_earlier_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int, reason: str
) -> None:
    with RunFolder.open(tmp_path / "run", manifest()) as run:
        run.write_point(FAR, [exchange("jbb-0")])
        run.write_json("landscape.json", {"n": 1})
        before = contents(tmp_path, "**/*")
        with monkeypatch.context() as patch:
            _break(patch, call, code)
            for write in (
                lambda: run.write_point(FAR, [exchange("jbb-1")]),
                lambda: run.write_json("landscape.json", {"n": 2}),
            ):
                with pytest.raises(RunError, match=reason) as caught:
                    write()
                assert str(tmp_path / "run") in caught.value.message
                assert "Nothing measured so far is lost" in caught.value.hint
                assert "run the same command again" in caught.value.hint.replace("\n", " ")
        assert contents(tmp_path, "**/*") == before
        run.write_point(FAR, [exchange("jbb-1")])
        assert run.missing(FAR, IDS) == ["jbb-2"]


def test_a_write_that_is_interrupted_leaves_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        atomic.write_atomic(tmp_path / "file", b"data")
    assert list(tmp_path.iterdir()) == []


def test_data_is_on_the_disk_before_the_name_and_the_name_before_returning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    sync, replace = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink()
        events.append("folder" if name.is_dir() else "file")
        sync(descriptor)

    def rename(old: str, new: str) -> None:
        assert Path(old).read_bytes() == b"data"
        events.append("replace")
        replace(old, new)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", rename)
    atomic.write_atomic(tmp_path / "file", b"data")
    assert events == ["file", "replace", "folder"]


def test_leftovers_of_a_killed_process_go_and_nothing_else_does(tmp_path: Path) -> None:
    path = measured(tmp_path / "run")
    leftovers = [path / ".manifest.json.0123abcd.tmp", path / "points" / ".a.jsonl.00000000.tmp"]
    mine = [path / "notes.tmp", path / ".a.jsonl.0123abcd.tmp.txt"]
    for file in (*leftovers, *mine):
        file.write_text("half")
    assert verify(path).problems == ()
    RunFolder.open(path, manifest()).close()
    assert not any(file.exists() for file in leftovers)
    assert all(file.exists() for file in mine)


@given(st.text(st.characters(exclude_categories=())), st.floats(-50, 0), st.integers(0, 2**70))
def test_any_text_and_number_round_trip(text: str, logprob: float, tokens: int) -> None:
    joined = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    for written in (text, joined):
        given = Exchange(written, written, written, "length", tokens, tokens, logprob)
        data = records.encode("answers", FAR, [exchange_to_json(given)])
        assert data.isascii()
        assert data.count(b"\n") == 2
        record = records.decode(data)
        assert record.damage == ()
        expected = Exchange(joined, joined, joined, "length", tokens, tokens, logprob)
        assert exchange_from_json(record.rows[0]) == expected


@given(st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False), max_size=3))
def test_points_round_trip_exactly(coefficients: dict[str, float]) -> None:
    point = Point.of(coefficients)
    text = strictjson.dumps(point_to_json(point))
    assert point_from_json(strictjson.loads(text.encode())) == point


@pytest.mark.parametrize(
    "value", [None, {}, ["a"], [["a"]], [["a", 1]], [["a", "1"]], [["a", 0.0]], [["b", 1.0]] * 2]
)
def test_what_is_no_point_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="point"):
        point_from_json(value)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_are_not_finite_are_never_written(tmp_path: Path, number: float) -> None:
    with RunFolder.open(tmp_path / "run", manifest()) as run:
        before = contents(tmp_path, "**/*")
        with pytest.raises(ValueError, match="JSON"):
            run.write_json("landscape.json", {"asr": number})
        bad = Exchange("jbb-0", "", "", "eos", 1, 1, number)
        with pytest.raises(ValueError, match="JSON"):
            run.write_point(FAR, [bad])
        assert contents(tmp_path, "**/*") == before
