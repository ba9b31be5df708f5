"""How `safebasin attribute` runs: the attribution, its picture, and what was found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from safebasin.attribution.base import LayerScores
from safebasin.attribution.settings import AttributeConfig
from safebasin.attribution.study import Located, Ranks, WeightSet, attribute
from safebasin.cli.console import emit, say, tell
from safebasin.report.located import blocks_figure, draw_located, located_figure


def run_attribute(config: AttributeConfig, *, as_json: bool) -> None:
    """Locate, draw and print."""
    tell(f"loading {config.model}")
    located = attribute(config)
    title, found = f"{config.method} · {config.model}", located.found
    if isinstance(found, LayerScores):
        figure = partial(blocks_figure, found.values, title, f"{found.name} ({found.unit})")
    else:
        set_of = isinstance(found, WeightSet)
        meaning = "% of the matrix in the set" if set_of else "% of ‖W·X‖² in the subspace"
        figure = partial(located_figure, found.shares, title, meaning)
    figures = draw_located(figure, located.folder / "figures")
    if as_json:
        emit(located.to_json() | {"figures": [str(path) for path in figures]})
        return
    for line in lines(located, figures):
        say(line)


def lines(located: Located, figures: Sequence[Path]) -> Iterator[str]:
    """The result as a person reads it."""
    identity, found = located.record["identity"], located.found
    others, safety = identity["utility"], identity["safety"]
    beside = f"{others['name']} ({others['n']})" if others else ""
    if beside and isinstance(found, WeightSet):
        beside = f" without what {beside} need too"
    elif beside:
        beside = f" beside {beside}"
    yield f"model    {identity['model']['name']}"
    yield f"rows     {safety['name']} ({safety['n']}){beside}"
    if isinstance(found, LayerScores):
        for block, one in enumerate(found.values):
            yield f"block    {block}: {one.text('+.1f')} {found.unit}"
        level = next((one.level for one in found.values), 0.95)
        yield f"         intervals of {100 * level:g} %"
    elif isinstance(found, WeightSet):
        yield from _of_set(found)
    else:
        yield from _of_ranks(found)
    yield ""
    for path in located.files:
        yield f"written  {path}"
    for path in figures:
        if path.suffix == ".png":
            yield f"picture  {path}"


def _of_set(found: WeightSet) -> Iterator[str]:
    yield f"set      {found.taken} of {found.of} weights, {100 * found.taken / found.of:.2f} %"
    if found.shared is not None:
        yield f"overlap  Jaccard of both sets {found.shared:.2f}"
    for share, kind, block in _most(found):
        yield f"most     {100 * share:.1f} % of {kind} of block {block}"


def _of_ranks(found: Ranks) -> Iterator[str]:
    yield f"rank     {found.rank} of what each matrix gives"
    shared = [one for row in found.shared.values() for one in row.values()]
    if shared:
        mean = sum(shared) / len(shared)
        yield f"overlap  {mean:.2f} of both subspaces, from {min(shared):.2f} to {max(shared):.2f}"
    for share, kind, block in _most(found):
        yield f"most     {100 * share:.1f} % of what {kind} of block {block} gives"


def _most(found: WeightSet | Ranks) -> list[tuple[float, str, int]]:
    """The three highest shares, with the kind of weight and the block."""
    each = [(s, kind, block) for kind, row in found.shares.items() for block, s in row.items()]
    return sorted(each, reverse=True)[:3]
