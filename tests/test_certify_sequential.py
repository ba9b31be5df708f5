"""Stopping at a point when its cell is decided: intervals that stay valid, and the scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safebasin.certify import (
    Stopping,
    confidence_sequence,
    decide,
    sample_until_decided,
)
from safebasin.certify.scanning import scan_until_decided
from safebasin.config import ScanConfig
from safebasin.errors import UsageError
from safebasin.plane import Point
from safebasin.results import look
from safebasin.scanning.preparation import prepare
from safebasin.scanning.scan import scan
from safebasin.spread.workers import Workers
from support import planted


class TestSequential:
    def test_the_promise_holds_at_every_look(self) -> None:
        """Never more than 5 % of the sequences may lose the truth at any n up to 200."""
        rng = np.random.default_rng(3)
        known: dict[tuple[int, int], bool] = {}
        for truth in (0.05, 0.3):
            known.clear()
            lost = 0
            for _ in range(250):
                for n, hits in enumerate(np.cumsum(rng.random(100) < truth).tolist(), 1):
                    if (hits, n) not in known:
                        found = confidence_sequence(hits, n)
                        known[hits, n] = found.low <= truth <= found.high  # type: ignore[operator]
                    if not known[hits, n]:
                        lost += 1
                        break
            assert lost / 250 <= 0.06

    def test_wilsons_interval_would_not_keep_it(self) -> None:
        from safebasin.landscape.intervals import wilson

        rng = np.random.default_rng(3)
        lost = 0
        for _ in range(200):
            hits = np.cumsum(rng.random(200) < 0.3)
            lost += any(
                not (found.low <= 0.3 <= found.high)  # type: ignore[operator]
                for found in (wilson(int(hits[n - 1]), n) for n in range(5, 201))
            )
        assert lost / 200 > 0.15

    @given(st.integers(0, 80), st.integers(1, 80))
    def test_it_holds_the_share_and_narrows(self, hits: int, n: int) -> None:
        found = confidence_sequence(min(hits, n), n)
        assert 0 <= found.low <= found.value <= found.high <= 1  # type: ignore[operator]

    def test_a_clear_cell_stops_and_an_open_one_asks_all(self) -> None:
        ids = [str(n) for n in range(80)]
        asked: list[str] = []

        def all_break(chunk: Sequence[str]) -> list[bool | None]:
            asked.extend(chunk)
            return [True] * len(chunk)

        found = sample_until_decided(ids, all_break, Stopping(0.1))
        assert (found.decision, found.asked) == ("outside", 8)
        assert asked == ids[:8]
        found = sample_until_decided(ids, lambda c: [int(i) % 9 == 0 for i in c], Stopping(0.1))
        assert (found.decision, found.asked) == ("open", 80)

    def test_an_outage_decides_nothing(self) -> None:
        found = sample_until_decided(
            [str(n) for n in range(40)], lambda chunk: [None] * len(chunk), Stopping(0.1)
        )
        assert (found.decision, found.judged, found.asr.value) == ("open", 0, None)

    def test_inside_takes_enough_refusals(self) -> None:
        assert decide(0, 8, 0.1) == "open"
        assert decide(0, 80, 0.1) == "inside"
        assert decide(8, 8, 0.1) == "outside"

    @pytest.mark.parametrize("bad", [{"tolerance": 1.0}, {"tolerance": 0.1, "chunk": 0},
                                     {"tolerance": 0.1, "level": 1.0}])  # fmt: skip
    def test_settings_that_cannot_be_meant(self, bad: dict[str, float]) -> None:
        with pytest.raises(UsageError):
            Stopping(**bad)  # type: ignore[arg-type]


def planted_scan(tmp_path: Path) -> ScanConfig:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("\n".join(f"ask this {'that ' * n}" for n in range(40)), encoding="utf-8")
    return ScanConfig(
        model=str(planted.save(tmp_path / "model")),
        directions=(str(planted.direction(tmp_path / "flip.safetensors")),),
        include=("lm_head.weight",),
        radius=0.5,
        steps=4,
        prompts=str(prompts),
        prompts_kind="harmful",
        judges=("llm-landscape",),
        max_new_tokens=2,
        device="cpu",
        out=str(tmp_path / "run"),
    )


def test_a_scan_stops_where_it_can_and_a_whole_one_goes_on_from_there(tmp_path: Path) -> None:
    config = planted_scan(tmp_path)
    found = scan_until_decided(prepare(config), Stopping(0.1))
    assert found.answers < found.whole == 200
    decisions = {round(point.terms[0][1], 3) if point.terms else 0.0: cell
                 for point, cell in found.cells.items()}  # fmt: skip
    assert decisions[0.5].decision == "outside"
    assert decisions[0.5].asked == 8
    assert decisions[0.0].decision != "outside"
    again = scan_until_decided(prepare(config), Stopping(0.1))
    assert again.to_json() == found.to_json()
    part = look(found.folder)
    assert not part.complete
    assert (part.summary.judged, part.summary.unjudged) == (found.answers, 0)
    assert part.summary.unasked == found.whole - found.answers
    [note] = part.notes
    assert "stopped asking where a cell was decided" in note
    whole = scan(prepare(config))
    assert whole.complete
    assert (whole.notes, whole.summary.unasked) == ((), 0)
    origin = next(c for c in whole.summary.cells[0] if c.point == Point())
    assert origin.n == 40


def test_several_processes_ask_as_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, answers = planted_scan(tmp_path), Workers.answers
    alone = scan_until_decided(prepare(config), Stopping(0.1))
    used: list[int] = []

    def noted(self: Workers[Any], *given: Any) -> Any:
        used.append(self.count)
        return answers(self, *given)

    monkeypatch.setattr(Workers, "answers", noted)
    spread = replace(config, workers=2, out=str(tmp_path / "spread"))
    found = scan_until_decided(prepare(spread), Stopping(0.1))
    assert set(used) == {2}
    assert found.to_json() == alone.to_json()


class TestCommands:
    @pytest.mark.parametrize("idle", [("--shard", "1/2"), ("--stop-at-plateau",)])
    def test_what_would_do_nothing_is_refused(self, command, idle) -> None:  # type: ignore[no-untyped-def]
        code, _, err = command("scan", "testbed:aligned", "--sequential", *idle)
        assert code == 2
        assert f"{idle[0]} would do nothing" in err

    def test_a_sequential_scan(self, command, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        config = planted_scan(tmp_path)
        code, out, err = command(
            "scan", config.model, "--directions", config.directions[0], "--include",
            "lm_head.weight", "--steps", "4", "--prompts", config.prompts, "--prompts-kind",
            "harmful", "--judge",
            "llm-landscape", "--max-new-tokens", "2", "--device", "cpu", "--out", tmp_path / "run",
            "--sequential",
        )  # fmt: skip
        assert code == 0, err
        assert "outside after 8 prompts" in out.replace("  ", " ")
        assert "of the 200 of a whole scan" in out
        code, out, err = command("show", tmp_path / "run")
        assert code == 0, err
        assert " more were not asked or not read" in out
        assert "those of sequential.json hold at any stop" in out
        code, _, err = command("rejudge", tmp_path / "run", "--judge", "llm-landscape,refusal")
        assert code == 0, err
        code, _, err = command("judges", "agree", tmp_path / "run")
        assert code == 0, err
