"""Folders that others made: nothing in them runs, and each is used or is one sentence, in time.

`make test-hostile` sets HOSTILE_FOLDERS to how many are made; 12 otherwise.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support import hostile_folders
from support.hostile_folders import MODEL

FOLDERS = int(os.environ.get("HOSTILE_FOLDERS", "12"))
FIRST = int(os.environ.get("HOSTILE_FIRST", "0"))
LIMIT = 60
"""Seconds that a command may take."""
SCAN = ["--seeds", "1", "--steps", "2", "--limit", "2", "--max-new-tokens", "4",
        "--device", "cpu", "--dry-run"]  # fmt: skip
OF_RUNS = (["show"], ["verify"], ["card"], ["report"], ["watch", "--once"],
           ["rejudge", "--judge", "refusal"], ["export", "--out", "table.csv"])  # fmt: skip
Command = Callable[..., tuple[int, str, str]]


@contextmanager
def within(seconds: int) -> Iterator[None]:
    def late(*_: object) -> None:
        raise AssertionError(f"it took longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


# The three kinds in turn, and for few folders each kind of change once at most.
@pytest.mark.parametrize("number", range(FIRST, FIRST + FOLDERS))
def test_a_hostile_folder_is_used_or_is_one_sentence(
    number: int, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    canary = tmp_path / "executed"
    kind, _, folder = hostile_folders.make(number, tmp_path, canary)
    name, *options = OF_RUNS[number // 3 % len(OF_RUNS)]
    commands = {
        "model": ["scan", str(folder), *SCAN],
        "adapter": ["scan", f"{MODEL}+{folder}", *SCAN],
        "run": [name, str(folder), *options],
    }
    with within(LIMIT):
        code, out, err = command(*commands[kind])
    assert not canary.exists()
    assert "Traceback" not in err
    if name != "verify" or kind != "run":
        assert (code != 0) == (err.count("error: ") == 1), err
    assert "\x1b" not in out + err


def test_the_same_number_makes_the_same_folder(tmp_path: Path) -> None:
    from support.run_samples import contents

    found = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        _, _, folder = hostile_folders.make(0, tmp_path / name, Path("canary"))
        found.append(contents(folder, "*.json"))
    assert found[0] == found[1]
