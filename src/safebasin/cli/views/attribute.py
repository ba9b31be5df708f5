"""How `safebasin attribute` runs: the attribution, its picture, and what was found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from safebasin.attribution.settings import AttributeConfig
from safebasin.attribution.study import Located, attribute
from safebasin.cli.console import emit, say, tell
from safebasin.report.located import draw_located


def run_attribute(config: AttributeConfig, *, as_json: bool) -> None:
    """Locate, draw and print."""
    tell(f"loading {config.model}")
    found = attribute(config)
    title = f"{config.method} · {config.model}"
    figures = draw_located(found.shares, title, found.folder / "figures")
    if as_json:
        emit(found.to_json() | {"figures": [str(path) for path in figures]})
        return
    for line in lines(found, figures):
        say(line)


def lines(found: Located, figures: Sequence[Path]) -> Iterator[str]:
    """The result as a person reads it."""
    identity = found.record["identity"]
    others = identity["utility"]
    without = f" without what {others['name']} ({others['n']}) need too" if others else ""
    safety = identity["safety"]
    yield f"model    {identity['model']['name']}"
    yield f"rows     {safety['name']} ({safety['n']}){without}"
    yield f"set      {found.taken} of {found.of} weights, {100 * found.taken / found.of:.2f} %"
    if found.shared is not None:
        yield f"overlap  Jaccard of both sets {found.shared:.2f}"
    most = sorted(
        (
            (share, kind, block)
            for kind, row in found.shares.items()
            for block, share in row.items()
        ),
        reverse=True,
    )
    for share, kind, block in most[:3]:
        yield f"most     {100 * share:.1f} % of {kind} of block {block}"
    yield ""
    for path in found.files:
        yield f"written  {path}"
    for path in figures:
        if path.suffix == ".png":
            yield f"picture  {path}"
