"""A measuring process is killed at random moments: nothing finished is lost or done twice.

It is a fork of the tests, or, run as a program, this file.
"""

from __future__ import annotations

import collections
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.context import ForkProcess
from pathlib import Path

import pytest

from safebasin.exchange import Verdict
from safebasin.plane import Axis, Plane, Point
from safebasin.run import RunFolder
from safebasin.run.manifest import Manifest, plane_to_json
from safebasin.run.verify import verify
from support.run_samples import RECORDS, contents, exchange

KILLS = 32
PLANE = Plane((Axis.symmetric("u", 0.5, 12), Axis.symmetric("v", 0.5, 12)))
IDS = tuple(f"jbb-{i}" for i in range(4))
JUDGE, SPEC = "length", {"version": 1}
GIVEN_UP_AFTER = 30.0


def measure(folder: Path, log: Path) -> None:
    """Answer, judge and summarise; tell the log when a point is begun and when it is done."""
    identity = {"model": "fake", "planes": [plane_to_json(PLANE)]}
    with RunFolder.open(folder, Manifest(identity, IDS)) as run:
        note(log, "open")
        for point in run.manifest.points:
            if missing := run.missing(point, run.prompt_ids):
                note(log, f"begin {point.key}")
                exchanges = []
                for prompt_id in missing:
                    time.sleep(0.001)
                    exchanges.append(exchange(prompt_id, point))
                run.write_point(point, exchanges)
                note(log, f"done {point.key}")
            judge(run, point)
        counts = collections.Counter(
            (verdict.outcome, verdict.score)
            for point in run.manifest.points
            for verdict in run.read_verdicts(JUDGE, SPEC, point).values()
        )
        run.write_json("landscape.json", [[*key, n] for key, n in sorted(counts.items())])
        note(log, "finished")


def judge(run: RunFolder, point: Point) -> None:
    known = run.read_verdicts(JUDGE, SPEC, point)
    new = [e for e in run.read_point(point) or () if e.prompt_id not in known]
    if new:
        verdicts = [Verdict("complied", "", float(len(e.response))) for e in new]
        run.write_verdicts(JUDGE, SPEC, point, [e.prompt_id for e in new], verdicts)


def note(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(f"{text}\n")


def begun(lines: list[str]) -> collections.Counter[str]:
    return collections.Counter(line.split()[1] for line in lines if line.startswith("begin "))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_killed_at_random_moments_the_result_is_the_same(tmp_path: Path) -> None:
    whole, folder = tmp_path / "whole", tmp_path / "run"
    log = tmp_path / "log"
    log.touch()
    measure(whole, tmp_path / "whole-log")

    chance = random.Random(17)
    torn = 0
    for kill in range(KILLS):
        finished = contents(folder, "points/*.jsonl")
        before = log.read_text().splitlines()
        # Some kills fall anywhere from the start of the process on, most into the measuring.
        from_start = kill % 6 == 0
        with forked(folder, log) as process:
            if not from_start:
                wait_for_more(log, len(before), lambda process=process: process.exitcode)
            time.sleep(chance.uniform(0, 0.05 if from_start else 0.03))
        lines = log.read_text().splitlines()
        assert "finished" not in lines, "the run ended before all kills were made"
        again = set(begun(lines[len(before) :]))
        assert not again & {Path(name).stem for name in finished}
        now = contents(folder, "points/*.jsonl")
        assert finished.items() <= now.items()
        torn += bool(list(folder.rglob("*.tmp")))

    with forked(folder, log) as process:
        process.join(60)
        assert process.exitcode == 0
    assert torn, "no kill fell into a write"
    lines = log.read_text().splitlines()
    assert lines[-1] == "finished"
    done_once = collections.Counter(line for line in lines if line.startswith("done "))
    assert set(done_once.values()) == {1}
    repeated = sum(begun(lines).values()) - len(PLANE.points)
    assert 0 <= repeated <= KILLS
    assert contents(folder, *RECORDS) == contents(whole, *RECORDS)
    assert len(contents(folder, "points/*")) == len(PLANE.points)
    assert list(folder.rglob("*.tmp")) == []
    assert verify(folder).problems == ()
    assert RunFolder.read(folder).manifest == RunFolder.read(whole).manifest


def test_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    folder, log = tmp_path / "run", tmp_path / "log"
    log.touch()
    with started(folder, log) as process:
        wait_for_more(log, 0, process.poll)
        with started(folder, log, stderr=subprocess.PIPE) as second:
            _, complaint = second.communicate(timeout=GIVEN_UP_AFTER)
        assert second.returncode != 0
        assert f"Another process ({process.pid}) is working on the run folder" in complaint
        assert "--out" in complaint
        process.send_signal(signal.SIGKILL)
    RunFolder.reopen(folder).close()


@contextmanager
def started(folder: Path, log: Path, stderr: int | None = None) -> Iterator[subprocess.Popen[str]]:
    """The measuring process; it is gone when the block ends."""
    command = [sys.executable, __file__, str(folder), str(log)]
    with subprocess.Popen(command, stderr=stderr, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def forked(folder: Path, log: Path) -> Iterator[ForkProcess]:
    """The same as a fork, which has everything imported; it is killed at the end of the block."""
    process = get_context("fork").Process(target=measure_slowly, args=(folder, log))
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def wait_for_more(log: Path, known: int, exit_code: Callable[[], int | None]) -> None:
    until = time.monotonic() + GIVEN_UP_AFTER
    while log.read_text().count("\n") <= known:
        assert exit_code() is None, "the process ended by itself"
        assert time.monotonic() < until, "the process measured nothing"
        time.sleep(0.003)


def sync_slowly(descriptor: int, sync: Callable[[int], None] = os.fsync) -> None:
    """Makes a write long enough on any disk for some kills to fall into it."""
    time.sleep(0.001)
    sync(descriptor)


def measure_slowly(folder: Path, log: Path) -> None:
    os.fsync = sync_slowly
    measure(folder, log)


if __name__ == "__main__":
    measure_slowly(Path(sys.argv[1]), Path(sys.argv[2]))
