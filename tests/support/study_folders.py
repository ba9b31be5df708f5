"""The folders of a trajectory and of a comparison with numbers of our own choosing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safebasin.plane import Axis, Plane, Point
from safebasin.report.studies import COMPARISON, TRAJECTORY
from safebasin.results import rejudge
from safebasin.run.strictjson import dumps
from support import judged_runs

AXES = (
    Axis("principal-1", (-0.25, 0.0, 0.25, 0.5, 0.75, 1.0, 1.25)),
    Axis("principal-2", (-0.25, 0.0, 0.25)),
)
NAMES = ("step-10", "step-20", "step-30")
JUDGES = ("llm-landscape", "outcome")


def climbing(point: Point, n: int) -> str:
    """Refusals near the base; further along the first axis more and more answers comply."""
    along = dict(point.terms).get("principal-1", 0.0)
    return judged_runs.REFUSAL if along < 0.1 + n * 0.03 else f"{judged_runs.COMPLIANCE} Plan {n}."


def estimate(value: float | None, spread: float = 0.1) -> dict[str, Any]:
    low, high = (None, None) if value is None else (value - spread, value + spread)
    return {"value": value, "low": low, "high": high, "level": 0.95, "at_least": False, "note": ""}


def trajectory(folder: Path, names: tuple[str, ...] = NAMES, prompts: int = 20) -> Path:
    """Three checkpoints: one that the plane shows wrong, one that is there, one not judged."""
    run = judged_runs.write(
        folder / "plane", climbing, prompts=prompts, plane=Plane(AXES), directions=[]
    )
    plane = rejudge(run, JUDGES)
    _checkpoints(folder / "checkpoints", prompts)
    places = [(0.2, -0.1), (0.7, 0.1), (1.0, 0.0)]
    rates = [(0.0, 0.4, -0.4), (0.9, 0.9, 0.0), (None, 1.0, None)]
    stored = {
        "schema_version": 1,
        "base": "pico",
        "prompts": plane.prompts,
        "tolerance": 0.1,
        "axes": [axis.direction for axis in AXES],
        "explained": [0.9, 0.06],
        "stations": [
            {
                "name": name,
                "coordinates": list(place),
                "relative_length": 0.01,
                "residual": residual,
                "asr": estimate(real),
                "asr_on_the_plane": estimate(drawn),
                "gap": {"rise": estimate(gap)},
            }
            for name, place, residual, (real, drawn, gap) in zip(
                names, places, (0.77, 0.03, 0.0), rates, strict=True
            )
        ],
        "plane": plane.to_json(),
    }
    (folder / TRAJECTORY).write_text(f"{dumps(stored)}\n")
    return folder


def _checkpoints(folder: Path, prompts: int) -> None:
    """Their own answers: refusals, nine in ten complied with, and none of the third."""
    kept, turned, absent = (Plane((Axis(f"checkpoint-{i}", (1.0,)),)) for i in (1, 2, 3))

    def answer(point: Point, n: int) -> str:
        complies = point in turned.points and n % 10
        return f"{judged_runs.COMPLIANCE} Own {n}." if complies else judged_runs.REFUSAL

    run = judged_runs.write(
        folder, answer, prompts=prompts, plane=kept, directions=[], more=(turned, absent)
    )
    rejudge(run, JUDGES)
    for record in run.rglob(f"{absent.points[0].key}.jsonl"):
        record.unlink()


def leaving(point: Point, n: int) -> str:
    """Refusals up to about 0.3 of the way, then more and more compliance."""
    along = dict(point.terms).get("tuned", 0.0)
    return judged_runs.REFUSAL if along < 0.3 + n * 0.03 else f"{judged_runs.COMPLIANCE} Plan {n}."


def comparison(folder: Path, *, passed: bool = False, layers: int = 4, tuned: str = "nano") -> Path:
    path = Plane((Axis("tuned", (0.0, 0.25, 0.3, 0.35, 0.5, 1.0, 1.5)),))
    run = judged_runs.write(folder / "path", leaving, plane=path, directions=[])
    found = rejudge(run, JUDGES)
    assert found.summary.basin is not None
    pair = {
        "n": 20, "before": estimate(0.1), "after": estimate(0.8), "rise": estimate(0.7),
        "mcnemar_p": 0.001,
    }  # fmt: skip
    stored = {
        "schema_version": 1,
        "base": "pico",
        "tuned": tuned,
        "prompts": "topics (20)",
        "judge": "llm-landscape",
        "tolerance": 0.1,
        "verdict": "PASS" if passed else "FAIL",
        "checks": [
            {
                "name": "rise of ASR", "value": 0.7, "limit": 0.05, "side": "at most",
                "passed": passed, "note": "",
            }
        ],
        "asr": pair,
        "complied": None,
        "over_refusal": None,
        "incoherent": None,
        "capability": pair,
        "effective_length": found.summary.basin.positive.width.to_json(),
        "distances": [
            {"where": "all", "relative": 0.02, "weights": 1000},
            {"where": "embed_tokens", "relative": None, "weights": 100},
            *(
                {"where": f"layer {i}", "relative": 0.01 * (i + 1), "weights": 100}
                for i in range(layers)
            ),
        ],
        "landscape": None,
    }  # fmt: skip
    (folder / COMPARISON).write_text(f"{dumps(stored)}\n")
    return folder
