"""Many shards on one run folder, killed and begun again as a scheduler would, and so is that.

`make test-hostile` sets HOSTILE_SHARDS to how many share the folder, on a plane of 441 points; 4 on
lines of 19 otherwise. Every shard is a fork of this process, in which the model is loaded already.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from safebasin.config import ScanConfig
from safebasin.errors import RunBusy
from safebasin.exchange import Exchange
from safebasin.run import RunFolder, records
from safebasin.run.sittings import read_sittings
from safebasin.run.verify import verify
from safebasin.scanning.preparation import Prepared, prepare
from safebasin.scanning.scan import measure, scan, scan_shard
from safebasin.spread.shards import Shard
from safebasin.study.observer import Silent
from support import pico

SHARDS = int(os.environ.get("HOSTILE_SHARDS", "4"))
MANY = SHARDS > 4
AT_ONCE = 16 if MANY else 3
GRID: dict[str, Any] = {"axes": 2, "steps": 20} if MANY else {"seeds": (0, 1, 2), "steps": 6}
KILLS = max(2, SHARDS // 4)
"""How many shards each of the two schedulers kills."""
BUSY, FAILED = 75, 70
GIVEN_UP_AFTER = 1800.0 if MANY else 90.0


def prepared_for(tmp_path: Path, out: str, **grid: Any) -> Prepared:
    folder, prompts = tmp_path / "model", tmp_path / "prompts.txt"
    if not folder.exists():
        pico.save(folder)
    prompts.write_text("one\ntwo two\nthree\n", encoding="utf-8")
    return prepare(
        ScanConfig(
            model=str(folder), prompts=str(prompts), limit=3, max_new_tokens=4,
            prompts_kind="harmful", device="cpu", workers=1, judges=("llm-landscape",),
            out=str(tmp_path / out), **{**GRID, **grid},
        )
    )  # fmt: skip


def forked(work: Callable[[], int], log: Path) -> int:
    """Do it in a new process, whose exit code it gives; the number of the process."""
    pid = os.fork()
    if pid:
        return pid
    code = FAILED
    try:
        torch.set_num_threads(1)
        code = work()
    except BaseException:
        with log.open("a") as file:
            file.write(traceback.format_exc())
    finally:
        os._exit(code)


def one_shard(prepared: Prepared, index: int) -> int:
    try:
        scan_shard(prepared, Shard(index, SHARDS))
    except RunBusy:  # one that outlived its scheduler works on it
        time.sleep(0.1)
        return BUSY
    return 0


def scheduler(prepared: Prepared, log: Path, killed: Path, chance: random.Random) -> int:
    """Run all shards, some at a time; what dies, or is busy, is submitted again."""
    os.setpgid(0, 0)
    waiting, running, kills = list(range(1, SHARDS + 1)), dict[int, int](), KILLS
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            index = waiting.pop(0)
            running[forked(lambda index=index: one_shard(prepared, index), log)] = index  # type: ignore[misc]
        if kills:
            kills -= 1
            time.sleep(chance.uniform(0.01, 0.2))
            os.kill(chance.choice(list(running)), signal.SIGKILL)
        pid, status = os.wait()
        code, index = os.waitstatus_to_exitcode(status), running.pop(pid)
        if code == -signal.SIGKILL:
            with killed.open("a") as file:
                file.write(f"{index}\n")
        if code == FAILED:
            return FAILED
        if code:
            waiting.append(index)
    return 0


def stored(folder: Path) -> dict[str, bytes]:
    """All records of answers and verdicts, by their names."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*.jsonl")
        if path.parent.name != "sittings"
    }


def ended(pid: int) -> int:
    until = time.monotonic() + GIVEN_UP_AFTER
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(pid, signal.SIGKILL)
    raise AssertionError("the shards did not end")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_shards_killed_and_their_scheduler_killed_make_the_run_of_one(tmp_path: Path) -> None:
    shards_make_the_run_of_one(tmp_path)


def shards_make_the_run_of_one(tmp_path: Path) -> None:
    whole = scan(prepared_for(tmp_path, "whole"))
    prepared, log, killed = prepared_for(tmp_path, "shards"), tmp_path / "log", tmp_path / "killed"
    folder, chance = prepared.folder, random.Random(SHARDS)

    def begun() -> int:
        seed = chance.random()
        return forked(lambda: scheduler(prepared, log, killed, random.Random(seed)), log)

    first, until = begun(), time.monotonic() + GIVEN_UP_AFTER
    while len(list(folder.glob("points/*.jsonl"))) < len(prepared.points) // 3:
        assert time.monotonic() < until
        time.sleep(0.01)
    os.kill(first, signal.SIGKILL)  # its shards live on
    os.waitpid(first, 0)
    kept = stored(folder)
    second = begun()
    try:
        assert ended(second) == 0, log.read_text()
    finally:
        for group in (first, second):
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
    result = None
    while result is None:
        assert time.monotonic() < until + GIVEN_UP_AFTER
        with suppress(RunBusy):  # what was killed last may still be ending
            result = scan(prepared)
    assert result.complete
    assert not log.exists(), log.read_text()
    times = len(killed.read_text().split())
    assert times
    assert kept.items() <= stored(folder).items()
    assert stored(folder) == stored(whole.folder)
    assert verify(folder).problems == ()
    ours, theirs = (
        json.loads((path / "landscape.json").read_text()) for path in (folder, whole.folder)
    )
    assert ours == theirs
    finished = Counter(
        one.key for sitting in read_sittings(folder / "sittings") for one in sitting.finished
    )
    assert set(finished.values()) == {1}, "a point was stored twice"
    # A kill between a record and the line about it leaves the line out, nothing else.
    assert len(prepared.points) - times - AT_ONCE <= len(finished) <= len(prepared.points)
    assert not list(folder.rglob("*.tmp"))
    print(f"{SHARDS} shards, {len(prepared.points)} points: {times} and a scheduler killed")


class Instant:
    """Answers at once, so that what is left is the process that keeps the run."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def answers(self, points: Sequence[Any], prompts: Sequence[Any], *given: Any) -> Any:
        for point in points:
            yield point, [Exchange(p.id, p.text, "I cannot.", "eos", 1, 1) for p in prompts]


def test_a_point_costs_the_process_that_keeps_the_run_the_same_however_many_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted instead of timed: two files a point, each synced once with its folder, none read."""
    counts: Counter[str] = Counter()

    def counting(holder: Any, name: str) -> None:
        real = getattr(holder, name)

        def counted(*given: Any, **how: Any) -> Any:
            counts[name] += 1
            return real(*given, **how)

        monkeypatch.setattr(holder, name, counted)

    for holder, name in ((os, "replace"), (os, "fsync"), (records, "decode"), (os, "listdir")):
        counting(holder, name)
    found = []
    for steps in (4, 20):
        prepared = prepared_for(tmp_path, f"run-{steps}", steps=steps, seeds=(0,), axes=1)
        prepared = replace(prepared, engine=Instant(prepared.engine))  # type: ignore[arg-type]
        with RunFolder.open(prepared.folder, prepared.manifest()) as run:
            counts.clear()
            measure(run, prepared, prepared.points, Silent())
            found.append((len(prepared.points), Counter(counts)))
    (few, before), (many, after) = found
    each = {name: (after[name] - before[name]) / (many - few) for name in after | before}
    assert {"replace": 2.0, "fsync": 4.0}.items() <= each.items()
    assert each.get("decode", 0.0) == each.get("listdir", 0.0) == 0.0
