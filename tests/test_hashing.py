"""Digests of files that are begun before they are asked for: those of the files as they are."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from concurrent.futures import CancelledError
from pathlib import Path
from threading import Event

import pytest

from safebasin.checkpoint import Checkpoint, hashing
from safebasin.checkpoint.hashing import begin, digest
from support import pico


def expected(files: list[Path]) -> str:
    each = [[path.name, hashlib.sha256(path.read_bytes()).hexdigest()] for path in files]
    return hashlib.sha256(json.dumps(each).encode()).hexdigest()


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    monkeypatch.setattr(hashing, "PIECE", 64)
    found = [tmp_path / f"{i}.bin" for i in range(12)]
    for i, path in enumerate(found):
        path.write_bytes(bytes([i]) * 50 * i)
    return found


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were read for a digest."""
    read: list[Path] = []
    whole = hashing._hashed

    def one(path: Path, gives_up: Event | None = None) -> str:
        read.append(path)
        return whole(path, gives_up)

    monkeypatch.setattr(hashing, "_hashed", one)
    return read


def test_what_was_begun_is_read_once(files: list[Path], hashed: list[Path]) -> None:
    begin(files)
    assert digest(files) == digest(files[:]) == expected(files)
    assert digest(files[3:5]) == expected(files[3:5])
    assert sorted(hashed) == sorted(files)


@pytest.mark.parametrize("how", ["written", "replaced"])
def test_a_file_that_is_another_by_then_is_read_anew(
    files: list[Path], hashed: list[Path], how: str
) -> None:
    begin(files)
    assert digest(files) == expected(files)
    hashed.clear()
    if how == "written":
        files[7].write_bytes(b"x" * files[7].stat().st_size)
    else:
        other = files[7].with_name("other")
        other.write_bytes(b"x" * files[7].stat().st_size)
        other.replace(files[7])
    assert digest(files) == expected(files)
    assert hashed == [files[7]]


def test_an_error_of_a_thread_is_raised_where_its_digest_is_asked_for(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(path: Path, gives_up: Event | None = None) -> str:
        raise TimeoutError(f"{path.name} does not answer")

    monkeypatch.setattr(hashing, "_hashed", fails)
    begin(files[:1])
    with pytest.raises(TimeoutError, match=r"0\.bin does not answer"):
        digest(files[:1])


def test_who_waits_for_a_thread_can_give_up(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on, gives_up = Event(), Event()

    def slow(path: Path, gives_up: Event | None = None) -> str:
        goes_on.wait(60)
        return "late"

    monkeypatch.setattr(hashing, "_hashed", slow)
    begin(files[:1])
    gives_up.set()
    with pytest.raises(CancelledError):
        digest(files[:1], gives_up)
    goes_on.set()
    assert digest(files[:1]) == hashlib.sha256(b'[["0.bin", "late"]]').hexdigest()


def test_the_fingerprint_is_the_same_begun_or_not(tmp_path: Path, hashed: list[Path]) -> None:
    folder = pico.save(tmp_path / "model")
    plain = Checkpoint.parse(str(folder)).fingerprint()
    hashed.clear()
    Checkpoint.parse(str(folder)).begin_hashing()
    assert Checkpoint.parse(str(folder)).fingerprint() == plain
    assert len(hashed) == len(set(hashed)) == len(Checkpoint.parse(str(folder))._hashed_files())


def test_only_what_is_on_this_machine_is_here(tmp_path: Path) -> None:
    folder = pico.save(tmp_path / "model")
    for name in (str(folder), "testbed:aligned", f"{folder}+{folder}"):
        assert Checkpoint.parse(name).is_here
    for name in ("someone/model", f"{folder}+someone/adapter", str(tmp_path / "absent")):
        assert not Checkpoint.parse(name).is_here


def test_no_program_waits_at_its_end_for_what_was_begun(tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from safebasin.checkpoint import hashing\n"
        "hashing._hashed = lambda path: time.sleep(60)\n"
        "hashing.begin([Path(sys.argv[1])])\n"
    )
    path = tmp_path / "file"
    path.write_bytes(b"")
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=30)
