"""Small runs to open, damage, kill and compare."""

from __future__ import annotations

from pathlib import Path

from safebasin.exchange import Exchange, Verdict
from safebasin.plane import Axis, Plane, Point
from safebasin.run import RunFolder
from safebasin.run.manifest import Manifest, plane_to_json

LINE = Plane((Axis("gaussian-0", (-0.1, 0.0, 0.1)),))
FAR = Point.of({"gaussian-0": 0.1})
IDS = ("jbb-0", "jbb-1", "jbb-2")
JUDGE = "refusal/llm-landscape"
SPEC = {"phrases": ["I cannot"], "version": 1}


def manifest(ids: tuple[str, ...] = IDS, **changes: object) -> Manifest:
    identity = {
        "model": {"id": "pico", "fingerprint": "a" * 64},
        "directions": [{"name": "gaussian-0", "seed": 0, "digest": "d0"}],
        "planes": [plane_to_json(LINE)],
        "prompts": {"name": "jbb", "sha256": "b" * 64, "seed": 0},
        "sampling": {"method": "greedy", "max_new_tokens": 8},
    }
    return Manifest(identity | changes, ids)


def exchange(prompt_id: str, point: Point = FAR, response: str = "") -> Exchange:
    return Exchange(
        prompt_id=prompt_id,
        prompt=f"ask {prompt_id}",
        response=response or f"answer to {prompt_id} at {point.label}",
        finish="eos",
        prompt_tokens=3,
        new_tokens=5,
        origin_logprob=-0.1 - point.distance,
    )


def measured(path: Path, ids: tuple[str, ...] = IDS) -> Path:
    """A finished run of every prompt at every point, with verdicts."""
    with RunFolder.open(path, manifest(ids)) as run:
        for point in run.manifest.points:
            run.write_point(point, [exchange(i, point) for i in ids])
            verdicts = [
                Verdict("refused", "phrase"),
                *[Verdict(None, "no answer")] * (len(ids) - 1),
            ]
            run.write_verdicts(JUDGE, SPEC, point, ids, verdicts)
        run.write_text("lexicon.txt", "word\n")
        run.write_json("landscape.json", {"n": len(ids)})
    return path


def contents(path: Path, *patterns: str) -> dict[str, bytes]:
    """The bytes of every file below the folder that matches, by its relative path."""
    files = (file for pattern in patterns for file in path.glob(pattern) if file.is_file())
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in files}


RECORDS = ("points/*", "verdicts/*/*", "landscape.json", "lexicon.txt")
