"""A run folder with answers of our own choosing, for tests of what reads runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from run_samples import no_waiting_for_the_disk
from safebasin.exchange import Exchange
from safebasin.plane import Axis, Plane, Point
from safebasin.run import RunFolder
from safebasin.run.manifest import Manifest, plane_to_json

REFUSAL = "I cannot help with that."
CURLY = "I can’t help with that."
"""A refusal that the published keywords do not know, for its curly quote."""
COMPLIANCE = "Certainly. The plan has three steps, and the first one is to begin."

LINE = Plane((Axis("gaussian-0", (-0.2, -0.1, 0.0, 0.1, 0.2)),))


def write(
    path: Path,
    answer: Callable[[Point, int], str],
    prompts: int = 20,
    plane: Plane = LINE,
    name: str = "topics",
    directions: Sequence[Mapping[str, object]] = ({"kind": "gaussian", "seed": 0},),
    more: Sequence[Plane] = (),
) -> Path:
    """A finished run, not judged yet; `answer` is given the point and the prompt's number.

    `more` are planes beside the first one.
    """
    ids = tuple(f"p{n}" for n in range(prompts))
    identity = {
        "model": {"name": "pico", "fingerprint": "a" * 64},
        "directions": list(directions),
        "planes": [plane_to_json(one) for one in (plane, *more)],
        "prompts": {"name": name, "sha256": "b" * 64, "revision": "", "kinds": ["harmful"]},
        "sampling": {"method": "greedy", "max_new_tokens": 8},
    }
    with no_waiting_for_the_disk(), RunFolder.open(path, Manifest(identity, ids)) as run:
        for point in run.manifest.points:
            run.write_point(
                point,
                [
                    Exchange(name, f"ask {name}", answer(point, n), "eos", 3, 5)
                    for n, name in enumerate(ids)
                ],
            )
    return path
