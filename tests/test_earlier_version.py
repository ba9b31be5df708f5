"""Folders that an earlier version wrote: they verify, show the same, and go on without asking."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

EARLIER = Path(__file__).parent / "earlier_version"
LENGTH = ("--limit", "6", "--max-new-tokens", "64", "--workers", "1")


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EARLIER, tmp_path / "runs"))


def stored(folder: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / name).read_text(encoding="utf-8"))
    return found


def records(folder: Path) -> dict[str, bytes]:
    """All that was answered and judged, by file."""
    every = (path for path in folder.rglob("*.jsonl") if path.parent.name != "sittings")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in every}


def holds(now: Any, then: Any, where: str = "") -> None:
    """All that was said then is said now; there may be more."""
    if isinstance(then, dict):
        assert isinstance(now, dict), where
        for key, one in then.items():
            assert key in now, f"{where}.{key}"
            holds(now[key], one, f"{where}.{key}")
    elif isinstance(then, list):
        assert len(now) == len(then), where
        for place, pair in enumerate(zip(now, then, strict=True)):
            holds(*pair, f"{where}[{place}]")
    else:
        assert now == then, where


@pytest.mark.parametrize("kind", ["line", "change"])
def test_an_earlier_folder_is_whole(command: Any, folders: Path, kind: str) -> None:
    code, out, _ = command("verify", folders / kind)
    assert code == 0, out


def test_an_earlier_run_shows_the_same(command: Any, folders: Path) -> None:
    then = stored(folders / "line", "landscape.json")
    _, out, _ = command("show", folders / "line", "--json")
    now = json.loads(out)
    holds(now["judges"], then["judges"])


def test_an_earlier_run_goes_on_and_asks_nothing(command: Any, folders: Path) -> None:
    before, then = records(folders / "line"), stored(folders / "line", "landscape.json")
    asked = ["--seeds", "1", "--radius", "0.4", "--steps", "2", *LENGTH]
    code, _, error = command("scan", "testbed:aligned", *asked, "--out", folders / "line")
    assert code == 0, error
    assert records(folders / "line") == before
    holds(stored(folders / "line", "landscape.json")["judges"], then["judges"])


def test_an_earlier_comparison_goes_on_with_its_verdict(command: Any, folders: Path) -> None:
    before, then = records(folders / "change"), stored(folders / "change", "comparison.json")
    models = ("testbed:aligned", "testbed:harmful-10")
    asked = [
        "--steps",
        "2",
        "--limit",
        "6",
        "--max-new-tokens",
        "64",
        "--refine",
        "0",
        "--workers",
        "1",
    ]
    code, _, error = command("compare", *models, *asked, "--out", folders / "change")
    assert code == 5, error
    assert records(folders / "change") == before
    now = stored(folders / "change", "comparison.json")
    for part in ("verdict", "reasons", "checks", "effective_length", "distances", "divergence"):
        holds(now[part], then[part], part)
