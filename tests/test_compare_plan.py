"""What the plan of a comparison says before anything is paid for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from safebasin.compare.distances import Distance
from safebasin.compare.foreseen import foreseen
from safebasin.compare.settings import CompareConfig
from safebasin.config import ScanConfig
from support import pico
from test_compare import near

MOVED = Distance("all", 0.02, 1000)


def told(prompts: int, **limits: Any) -> list[str]:
    config = CompareConfig("tuned", ScanConfig(model="testbed:aligned"), **limits)
    return list(foreseen(config, MOVED, prompts))


@pytest.mark.parametrize(
    ("prompts", "limits", "needed"),
    [
        # Where none of n happens, Wilson's upper end is z^2 / (n + z^2), by hand: 3.8415 / 76.8415.
        (72, {}, [73]),
        (73, {}, []),
        (16, {}, [73, 35]),
        (80, {"max_asr": 0.02}, [189]),
        (16, {"point_values": True}, []),
        (16, {"max_asr_rise": None, "min_margin": None, "max_asr": 0.2}, []),
    ],
)
def test_too_few_prompts_are_told_before_they_are_asked(
    prompts: int, limits: dict[str, Any], needed: list[int]
) -> None:
    found = told(prompts, **limits)
    assert len(found) == len(needed)
    for text, number in zip(found, needed, strict=True):
        assert text.startswith(f"{prompts} prompts cannot show")
        assert f"and {number} could" in text


def test_no_number_of_prompts_shows_a_rise_of_none() -> None:
    assert "and no number can" in told(80, max_asr_rise=0.0)[0]


def test_a_dry_run_says_what_does_not_match(tmp_path: Path, command: Any) -> None:
    base = pico.save(tmp_path / "base")
    tuned = near(tmp_path, base)
    (tuned / "chat_template.jinja").write_text(f"{pico.CHAT_TEMPLATE}{{# alike #}}", "utf-8")
    given = [
        "compare", base, tuned, "--prompts", "testbed:harmful", "--limit", 3, "--dry-run",
        "--no-probe", "--device", "cpu",
    ]  # fmt: skip
    code, out, _ = command(*given)
    assert code == 0
    notes = [line for line in out.splitlines() if line.startswith("note ")]
    assert "writes a prompt just so" in notes[0]
    assert "3 prompts cannot show a rise of at most +5 points" in notes[1]
    code, out, _ = command(*given, "--json")
    assert [f"note     {note}" for note in json.loads(out)["plan"]["notes"]] == notes
    code, out, _ = command(*given[:1], base, base, *given[3:])
    assert "note     both models have the same weights" in out
