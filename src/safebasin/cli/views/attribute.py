"""How `safebasin attribute` runs: the attribution, its picture, and what was found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safebasin.attribution.base import LayerScores
from safebasin.attribution.found import Located, Ranks, UnitSet, WeightSet, read_located
from safebasin.attribution.scaling import Interval
from safebasin.attribution.settings import AttributeConfig
from safebasin.attribution.study import attribute
from safebasin.cli.console import emit, say, tell
from safebasin.errors import RunError
from safebasin.report.located import (
    blocks_figure,
    draw_located,
    located_figure,
    sweeps_figure,
)
from safebasin.terminal import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def run_attribute(config: AttributeConfig, *, as_json: bool) -> None:
    """Locate, draw and print."""
    tell(f"loading {config.model}")
    _tell(attribute(config), as_json=as_json)


def show_attribution(folder: Path, *, as_json: bool) -> None:
    """Print what an attribution's folder holds, and draw its picture again."""
    located = read_located(folder)
    if located is None:
        raise RunError(
            f"The attribution in {printable(str(folder))} was interrupted.",
            "Run the same command again; it goes on.",
        )
    _tell(located, as_json=as_json)


def _tell(located: Located, *, as_json: bool) -> None:
    figures = draw_located(_figure(located), located.folder / "figures")
    if as_json:
        emit(located.to_json() | {"figures": [str(path) for path in figures]})
        return
    for line in lines(located, figures):
        say(line)


def _figure(located: Located) -> Callable[[], Figure]:
    """What draws it, once the style is set."""
    found, identity = located.found, located.record["identity"]
    title = f"{_method(identity['method'])} · {identity['model']['name']}"
    if isinstance(found, LayerScores):
        meaning = f"{found.name} ({found.unit})"
        return partial(blocks_figure, found.values, title, meaning, found.curves, "mean cosine")
    if isinstance(found, Interval):
        what = str(identity["method"].get("objective", "refusal")).replace("-", " ")
        return partial(sweeps_figure, found.sweeps, found.baseline.value, title, f"mean {what}")
    meaning = {
        WeightSet: "% of the matrix in the set",
        Ranks: "% of ‖W·X‖² in the subspace",
        UnitSet: "% of the block's in the set",
    }[type(found)]
    return partial(located_figure, found.shares, title, meaning)


def _method(spec: Mapping[str, Any]) -> str:
    """The method with its settings, as it is given: `snip:code`."""
    kind, *settings = (str(one) for one in spec.values() if one is not None)
    return f"{kind}:{','.join(settings)}" if settings else kind


def lines(located: Located, figures: Sequence[Path]) -> Iterator[str]:
    """The result as a person reads it."""
    identity, found = located.record["identity"], located.found
    others, safety = identity["utility"], identity["safety"]
    beside = f"{others['name']} ({others['n']})" if others else ""
    if beside and isinstance(found, WeightSet | UnitSet) and found.shared is not None:
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
    elif isinstance(found, Interval):
        yield from _of_interval(found)
    elif isinstance(found, UnitSet):
        yield from _of_units(found)
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
    if found.zero:
        yield f"zero     {found.zero} of them score 0: on these rows nothing depends on them"
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


def _of_interval(found: Interval) -> Iterator[str]:
    yield f"interval blocks {found.first} to {found.last}, scaled by {found.alpha:g}"
    if found.flat:
        yield "         refusals are the same at every bound: no block is told from another"
    elif found.reached is False:
        yield "         no factor spread the refusals as far as the rule asks; the widest was taken"
    yield f"refused  {found.baseline.text('.3f')} before, {found.scaled.text('.3f')} after"
    before, after = (one.text(".3f") for one in found.harmful)
    yield f"harmful  {before} before, {after} after, of the prompts of safety"
    if found.table is not None:
        yield f"learnt   {before} of it is known, and {found.table.text('.3f')} by the table alone"
    if found.broken:
        yield f"broken   {100 * found.broken:.0f} % of the answers after"
    for which, row in found.sweeps.items():
        values = ", ".join(f"{bound}: {one:.3f}" for bound, one in row)
        yield f"{which:9}{values}"


def _of_units(found: UnitSet) -> Iterator[str]:
    yield f"set      {found.taken} of {found.of} {found.units}"
    if found.shared is not None:
        yield f"overlap  Jaccard of both sets {found.shared:.2f}"
    for block, unit, score in found.highest[:3]:
        yield f"most     {score:.4g} of {found.units.removesuffix('s')} {unit} of block {block}"


def _most(found: WeightSet | Ranks) -> list[tuple[float, str, int]]:
    """The three highest shares, with the kind of weight and the block."""
    each = [(s, kind, block) for kind, row in found.shares.items() for block, s in row.items()]
    return sorted(each, reverse=True)[:3]
