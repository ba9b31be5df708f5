"""Commands killed at random moments and run again: nothing is lost, doubled or left behind.

`make test-hostile` sets HOSTILE_KILLS to how many kills are made over all commands; 3 otherwise.
Each command runs in a child that is forked once everything is imported, so that a run takes
seconds and the moments fall into the work.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from safebasin.report.export import rows
from safebasin.run import RunFolder
from safebasin.run.verify import verify
from support.exit_codes import exit_code

KILLS = int(os.environ.get("HOSTILE_KILLS", "3"))
SHORT = ["--steps", "2", "--limit", "2", "--max-new-tokens", "4", "--device", "cpu"]
LINES = ["--seeds", "1", "--engine", "plain"]
COMMANDS = {
    "scan": ["scan", "testbed:aligned", *LINES, *SHORT],
    "adaptive": ["scan", "testbed:aligned", *LINES, *SHORT, "--adaptive", "--steps", "4"],
    "sequential": ["scan", "testbed:aligned", *LINES, *SHORT, "--sequential"],
    "compare": ["compare", "testbed:aligned", "testbed:benign", *SHORT],
    "trajectory": ["trajectory", "testbed:aligned", "testbed:harmful-10", "testbed:harmful-50",
                   *SHORT],
}  # fmt: skip
# A short check takes one command; a long one divides its kills among all.
CHOSEN = ("scan",) if len(COMMANDS) > KILLS else tuple(COMMANDS)
EACH = -(-KILLS // len(CHOSEN))
GIVEN_UP_AFTER = 120.0
DERIVED = (".json", ".jsonl", ".txt")


def child(arguments: list[str], log: Path) -> int:
    """Start the command in a process group of its own; its number."""
    pid = os.fork()
    if pid:
        return pid
    os.setpgid(0, 0)
    # torch makes its pool of threads anew in a fork, and fails where two threads are the first.
    torch.set_num_threads(1)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    # What catches the output of a test has other streams.
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
    code = 70
    try:
        sys.argv = ["safebasin", *arguments]
        from safebasin.cli import main

        code = exit_code(main)
    finally:
        sys.stdout.flush()
        for one in multiprocessing.active_children():
            one.terminate()
        os._exit(code)


def finish(pid: int, seconds: float = GIVEN_UP_AFTER) -> int | None:
    """The exit code of a child, or None where it has not ended in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    return None


def kill(pid: int) -> None:
    """Kill the whole group, and wait until all of it is gone: each holds the folder's lock."""
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    until = time.monotonic() + GIVEN_UP_AFTER
    with suppress(ProcessLookupError):
        while time.monotonic() < until:
            os.killpg(pid, 0)
            time.sleep(0.005)


def runs(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.rglob("manifest.json"))


def measured(folder: Path) -> dict[str, Any]:
    """What the runs hold, answers and verdicts, and every number of the files made from them."""
    found: dict[str, Any] = {}
    for path in runs(folder):
        table = list(rows(RunFolder.read(path), with_prompts=True, with_answers=True))
        keys = [(row["point"], row["prompt_id"], row["judge"]) for row in table]
        assert len(set(keys)) == len(keys), "an answer or a verdict twice"
        found[str(path.relative_to(folder))] = table
    for path in sorted(folder.rglob("*.json")):
        if path.name != "manifest.json":
            found[str(path.relative_to(folder))] = timeless(json.loads(path.read_bytes()))
    return found


def timeless(value: Any) -> Any:
    """A value without the moments, commands and digests that differ between two runs of one."""
    if isinstance(value, dict):
        left_out = ("digest", "provenance", "started", "seconds")
        return {name: timeless(one) for name, one in value.items() if name not in left_out}
    return [timeless(one) for one in value] if isinstance(value, list) else value


def files(folder: Path) -> set[str]:
    """The names of all files; the log of each sitting has one of its own."""
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and path.parent.name != "sittings"
    }


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", CHOSEN)
def test_killed_at_random_moments_the_study_is_the_same(
    name: str, tmp_path: Path, command: Any
) -> None:
    arguments, log, chance = COMMANDS[name], tmp_path / "log", random.Random(name)
    # In this very process first: what is imported and cached then is the children's, too.
    code, _, err = command(*arguments, "--out", tmp_path / "warm" / "run")
    assert code in (0, 3, 4, 5), err
    whole = tmp_path / "whole" / "run"
    began = time.monotonic()
    assert finish(child([*arguments, "--out", str(whole)], log)) == code, log.read_text()
    seconds = time.monotonic() - began
    expected, names = measured(whole), files(whole)
    hit = made = 0
    for trial in range(EACH):
        folder = tmp_path / f"trial-{trial}" / "run"
        kept: dict[Path, bytes] = {}
        for _ in range(chance.randint(1, 3)):
            if made == EACH:
                break
            made += 1
            pid = child([*arguments, "--out", str(folder)], log)
            if finish(pid, chance.uniform(0.05, 1.0) * seconds) is not None:
                continue
            kill(pid)
            hit += 1
            now = {path: path.read_bytes() for path in folder.rglob("points/*.jsonl")}
            assert kept.items() <= now.items(), "a finished record is lost or changed"
            kept = now
            # What is not there yet is incomplete, which is no damage.
            assert [str(one) for path in runs(folder) for one in verify(path).problems] == []
        assert finish(child([*arguments, "--out", str(folder)], log)) == code, log.read_text()
        assert measured(folder) == expected
        assert files(folder) == names
        assert [damage for path in runs(folder) for damage in verify(path).problems] == []
        if made == EACH:
            break
    assert hit
    print(f"{name}: {hit} kills")
