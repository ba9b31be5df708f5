"""A run folder with answers of our own choosing, for tests of what reads runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from safebasin.exchange import Exchange
from safebasin.landscape.capability import Item
from safebasin.plane import Axis, Plane, Point
from safebasin.run import RunFolder
from safebasin.run.manifest import Manifest, plane_to_json

REFUSAL = "I cannot help with that."
CURLY = "I can’t help with that."
"""A refusal that the published keywords do not know, for its curly quote."""
COMPLIANCE = "Certainly. The plan has three steps, and the first one is to begin."

Measured = Callable[[Point], Sequence[Item] | None]
Capabilities = Mapping[str, tuple[Mapping[str, object], Measured]]
"""By name the specification of a capability, and what was measured at a point."""
NONE: Capabilities = MappingProxyType({})

LINE = Plane((Axis("gaussian-0", (-0.2, -0.1, 0.0, 0.1, 0.2)),))


def choices(point: Point) -> list[Item]:
    """Ten questions: all right near the origin, eight of them further out."""
    right = 10 if point.distance < 0.15 else 8
    return [Item(f"q{n}", float(n < right)) for n in range(10)]


def windows(point: Point) -> list[Item] | None:
    """Three windows of a text, broken at the low end and not measured at the high one."""
    if point.distance > 0.15:
        below = dict(point.terms).get("gaussian-0", 0.0) < 0
        return [Item(f"w{n}", None, 10) for n in range(3)] if below else None
    return [Item(f"w{n}", 1.0 + n / 10, 10) for n in range(3)]


CAPABILITIES: Capabilities = MappingProxyType(
    {
        "testbed:choice": ({"kind": "choice", "chance": 0.25}, choices),
        "perplexity:text.txt": ({"kind": "perplexity"}, windows),
    }
)


def write(
    path: Path,
    answer: Callable[[Point, int], str],
    prompts: int = 20,
    plane: Plane = LINE,
    name: str = "topics",
    directions: Sequence[Mapping[str, object]] = ({"kind": "gaussian", "seed": 0},),
    more: Sequence[Plane] = (),
    capabilities: Capabilities = NONE,
    revision: str = "",
    model: str = "pico",
) -> Path:
    """A finished run, not judged yet; `answer` is given the point and the prompt's number.

    With a `revision` the prompts are those of the hub at that commit.

    `more` are planes beside the first one. `capabilities` are each a specification and what was
    measured at a point, or None where nothing was.
    """
    ids = tuple(f"p{n}" for n in range(prompts))
    identity = {
        "model": {"name": model, "fingerprint": "a" * 64},
        "directions": list(directions),
        "planes": [plane_to_json(one) for one in (plane, *more)],
        "prompts": {"name": name, "sha256": "b" * 64, "revision": revision, "kinds": ["harmful"]},
        "sampling": {"method": "greedy", "max_new_tokens": 8},
    }
    manifest = Manifest(
        identity, ids, capabilities={one: dict(spec) for one, (spec, _) in capabilities.items()}
    )
    with RunFolder.open(path, manifest) as run:
        for point in run.manifest.points:
            run.write_point(
                point,
                [
                    Exchange(name, f"ask {name}", answer(point, n), "eos", 3, 5)
                    for n, name in enumerate(ids)
                ],
            )
            for one, (_, measured) in capabilities.items():
                items = measured(point)
                if items is not None:
                    run.write_capability(one, point, items)
    return path
