"""Arguments and files of prompts that nobody can mean: one sentence with what helps, in time."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from safebasin.config import ScanConfig
from safebasin.errors import PromptError, UsageError
from safebasin.prompts import load
from safebasin.run.atomic import remove_study_leftovers
from safebasin.setting import LARGEST_SEED, MOST_POINTS

Command = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("arguments", "said", "remedy"),
    [
        (["--seeds", "1" + "0" * 30], "random directions are asked for", "smaller --seeds"),
        (["--seeds", "9" * 6000], "random directions are asked for", "smaller --seeds"),
        (["--seeds", "100000"], "100000 directions of 21 points", "smaller --seeds or --steps"),
        (["--seeds", "10" * 30 + ","], "more than 63 bits", f"up to {LARGEST_SEED}"),
        (["--seeds", "one"], "are not whole numbers", "--seeds 3"),
        (["--axes", "2", "--steps", "2000"], "1 planes of 4004001 points", "--steps"),
    ],
)
def test_too_many_directions_are_a_sentence(
    arguments: list[str], said: str, remedy: str, command: Command
) -> None:
    code, out, err = command("scan", "testbed:aligned", *arguments, "--dry-run")
    assert (code, out) == (2, "")
    assert said in err
    assert remedy in err
    assert len(err) < 400


def test_as_many_points_as_are_allowed_can_be_configured() -> None:
    assert len(ScanConfig(seeds=tuple(range(MOST_POINTS // 3)), steps=2).direction_names) == 33333
    with pytest.raises(UsageError, match="at most 100000 points"):
        ScanConfig(seeds=tuple(range(MOST_POINTS // 3 + 1)), steps=2)


LONG = "x" * 5000


@pytest.mark.parametrize(
    "arguments",
    [
        ["scan", LONG, "--dry-run"], ["scan", "--prompts", LONG, "--dry-run"],
        ["scan", "--template", LONG, "--dry-run"], ["scan", "--out", LONG, "--dry-run"],
        ["scan", "--prompts", f"{LONG}.csv", "--dry-run"], ["compare", "testbed:aligned", LONG],
        ["show", LONG], ["verify", LONG], ["report", LONG], ["card", LONG], ["watch", LONG],
        ["export", LONG, "--out", "table.csv"], ["rejudge", LONG, "--judge", "refusal"],
        ["rejudge", ".", "--judge", LONG], ["merge", LONG, "out"], ["certify", LONG],
        ["trajectory", "testbed:aligned", LONG], ["evaluate", LONG],
    ],
    ids=lambda arguments: " ".join(arguments)[:20],
)  # fmt: skip
def test_a_name_of_5000_characters_is_a_sentence(
    arguments: list[str], command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = command(*arguments)
    assert code in (1, 2)
    assert err.count("error: ") == 1
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def write(path: Path, rows: list[list[str]], **how: Any) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, **how).writerows(rows)
    return path


def test_a_cell_may_be_longer_than_pythons_limit(tmp_path: Path) -> None:
    long = "word " * 60_000
    path = write(tmp_path / "prompts.csv", [["prompt", "kind"], [long, "harmful"]])
    [prompt] = load(str(path))
    assert prompt.text == long.strip() or prompt.text == long


@pytest.mark.parametrize(
    ("ending", "delimiter", "said", "remedy"),
    [
        (".csv", ";", "separated by semicolons, and not by commas", "with commas between"),
        (".csv", "\t", "separated by tabs, and not by commas", r"or name it \.tsv"),
        (".csv", "|", "separated by bars, and not by commas", "with commas between"),
        (".tsv", ",", "separated by commas, and not by tabs", r"or name it \.csv"),
        (".tsv", ";", "separated by semicolons, and not by tabs", "with tabs between"),
    ],
)
def test_another_delimiter_is_named(
    ending: str, delimiter: str, said: str, remedy: str, tmp_path: Path
) -> None:
    rows = [["prompt", "kind"], ["one, and more" if delimiter != "," else "one", "harmful"]]
    path = write(tmp_path / f"p{ending}", rows, delimiter=delimiter)
    with pytest.raises(PromptError, match=said) as caught:
        load(str(path))
    assert caught.match(remedy)


def test_a_column_of_prompts_with_semicolons_in_them_is_one(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("prompt\none; two\nthree\n", encoding="utf-8")
    assert [one.text for one in load(str(path), kind="harmful")] == ["one; two", "three"]


def test_what_a_killed_study_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "directions").mkdir()
    (tmp_path / "path").mkdir()
    left = [".comparison.json.0123abcd.tmp", "figures/.path.png.0123abcd.tmp",
            "directions/.worst-case.safetensors.0123abcd.tmp"]  # fmt: skip
    kept = ["comparison.json", ".own.tmp", "path/.manifest.json.0123abcd.tmp"]
    for name in (*left, *kept):
        (tmp_path / name).touch()
    remove_study_leftovers(tmp_path)
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert found == set(kept)
