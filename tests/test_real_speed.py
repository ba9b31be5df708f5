"""The benchmark of a real model, tried on the packaged one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def test_every_way_gives_the_verdicts_of_the_plain_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import real_speed

    given = argparse.Namespace(
        model="testbed:aligned", prompts="testbed:harmful", cores=1, limit=5, max_new_tokens=24
    )
    found = {way: real_speed.one(way, given) for way in ("reference", "plain", "fast")}
    rows = {row["way"]: row for row in real_speed.rows_of([found], 2 * 5 * 24)}
    assert [row["verdicts_that_differ"] for row in rows.values()] == [0, 0, 0]
    assert rows["reference"]["times_faster"] == 1
    for row in rows.values():
        assert row["seconds"][0] >= 0 < row["product_gflops"]


def test_the_limit_counts_the_head_for_answers_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import real_speed

    run = {
        "seconds": 8.0,
        "cpu_seconds": 8.0,
        "prompt_tokens": 10,
        "verdicts": {"": [True]},
        "product_rate": 2.0,
        "operations_a_token": {"layers": 0.5, "head": 0.5},
    }
    row = real_speed.rows_of([{"reference": run, "plain": run}], 3)[1]
    assert row["limit_seconds"] == 4.0
    assert row["times_the_limit"] == 2.0


def test_a_profile_has_every_second_in_one_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import real_profile

    given = argparse.Namespace(
        model="testbed:aligned", prompts="testbed:harmful", cores=1, limit=4, max_new_tokens=8,
        dtype="float32", most=200,
    )  # fmt: skip
    found = real_profile.profiled(given)
    kinds = {one["name"]: one["kind"] for one in found["operators"]}
    assert kinds["aten::mm"] == kinds.get("aten::addmm", "products") == "products"
    assert kinds["aten::aminmax"] == "elementwise"
    assert kinds["aten::copy_"] == "moving"
    assert sum(found["kinds"].values()) == pytest.approx(found["seconds_profiled"], abs=0.011)
    assert real_profile.kind_of("aten::_something_new") == real_profile.OTHER
    assert real_profile.by_kind({"aten::mm": 2.0}, 3.0) == {
        "products": 2.0, real_profile.BETWEEN: 1.0
    }  # fmt: skip


def test_the_page_says_by_the_numbers_what_was_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import speed_page

    def measured(fast: float, narrow: float) -> dict[str, object]:
        rows = [
            {"way": "reference", "times_faster": 99.0, "product_gflops": 1, "seconds": [60.0]},
            {
                "way": "fast", "times_faster": fast, "product_gflops": 100,
                "limit_seconds": 8.0, "times_the_limit": 1.54,
            },
            {
                "way": "fast, bfloat16", "times_faster": fast / 2, "product_gflops": narrow,
                "limit_seconds": 12.0, "times_the_limit": 1.3,
            },
        ]  # fmt: skip
        return {"rows": rows}

    assert speed_page.reached(measured(9.9, 50)).endswith(
        "missed in float32 (9.9 at best), missed in bfloat16 (5.0 at best)."
    )
    assert "reached in float32 (10.0 at best)" in speed_page.reached(measured(10.0, 50))
    assert speed_page.limited(measured(1, 1)) == (
        "1.5 times the limit was aimed at: missed in float32 (1.54), reached in bfloat16 (1.30). "
        "An engine at the limit would be so many times as fast as the reference: 7.5 in float32 "
        "and 5.0 in bfloat16."
    )
    assert "only saves memory" in speed_page.bfloat16(measured(1, 99))
    assert "only saves memory" not in speed_page.bfloat16(measured(1, 100))


def test_the_time_to_the_plan_is_that_of_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from plan_seconds import once

    says = "import time; print('time     1 s', flush=True); time.sleep(0.3); print('run      a')"
    found = once([sys.executable, "-c", says])
    assert found["time"] + 0.25 < found["run"] <= found["end"]
    with pytest.raises(RuntimeError, match="no plan came"):
        once([sys.executable, "-c", "print('time     1 s')"])
    with pytest.raises(RuntimeError, match="no plan came"):
        once([sys.executable, "-c", says + "; raise SystemExit(1)"])


@pytest.mark.parametrize(("seconds", "told"), [(5.9, "reached"), (6.0, "reached"), (6.1, "missed")])
def test_whether_a_plan_comes_in_time_is_by_the_quiet_rounds(
    monkeypatch: pytest.MonkeyPatch, seconds: float, told: str
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from plan_seconds_section import plan_seconds

    found = {
        "model": "m", "asked": "--dry-run", "machine": "x86_64, 2 cores",
        "seconds": {
            "time": [4.0, seconds, 9.0, 8.0, 8.5], "run": [5.0, 7.0, 9.5, 8.5, 8.6],
            "end": [5.1, 7.1, 9.6, 8.6, 8.7], "loop": [0.2, 0.21, 0.22, 0.4, 0.3],
        },
    }  # fmt: skip
    text = "\n".join(plan_seconds(found, "$ command"))
    assert f"| the plan, with its time | 8.0 (4.0 to 9.0) | {seconds:.1f} (4.0 to 9.0) |" in text
    assert "the 3 rounds where it took at most 1.15 times the least" in text
    assert f"on a quiet machine: {told}." in text
    assert "0.20 to 0.40 s" in text
