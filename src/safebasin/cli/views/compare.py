"""How `safebasin compare` runs: progress, the numbers before and after, the verdict."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import typer

from safebasin.cli import step_summary
from safebasin.cli.console import emit, say, tell
from safebasin.cli.counting import AnswerCount
from safebasin.cli.interruptions import resumable
from safebasin.cli.planning import ends_with_plan, whole_or_share
from safebasin.cli.threads import spare_threads
from safebasin.compare.comparison import Comparison
from safebasin.compare.divergence import Divergence
from safebasin.compare.forensics import Forensics
from safebasin.compare.junit import check_target, write_junit
from safebasin.compare.preparation import prepare
from safebasin.compare.settings import CompareConfig
from safebasin.compare.sharding import compare_shard, plan
from safebasin.compare.study import compare
from safebasin.landscape import Estimate
from safebasin.report.asked_under import told
from safebasin.report.quantities import percent, points, quantity
from safebasin.study.paired import Paired

CODES = {"PASS": 0, "FAIL": 3, "INCONCLUSIVE": 5}
"""The exit code of each verdict."""
_STATES = {"pass": "pass", "fail": "FAIL", "unsure": "unsure"}


def run_compare(
    config: CompareConfig,
    *,
    as_json: bool,
    junit: Path | None = None,
    dry_run: bool = False,
    no_probe: bool = False,
) -> None:
    """Measure, write what pipelines read, print, and leave with the exit code of the verdict."""
    if junit is not None:
        check_target(junit)
    tell(f"loading {config.scan.model} and {config.tuned}")
    prepared = prepare(config)
    spare_threads(prepared.engine.model)
    for line in prepared.engine.plan_text().splitlines():
        tell(line.strip())
    tell(f"system message: {told(prepared.engine.template.rendered.to_json())}")
    if ends_with_plan(
        lambda probe: plan(prepared, probe=probe), config.scan, prepared.folder,
        dry_run=dry_run, no_probe=no_probe, as_json=as_json,
    ):  # fmt: skip
        return
    tell(f"comparing in {prepared.folder}")
    with resumable(prepared.folder), AnswerCount() as count:
        found = whole_or_share(
            config.scan,
            lambda: compare(prepared, count),
            lambda shard: compare_shard(prepared, shard, count),
            prepared.folder,
            as_json=as_json,
        )
        if found is None:
            return
        if junit is not None:
            write_junit(found, junit)
    step_summary.append(lambda: step_summary.of_comparison(found))
    step_summary.annotate(found)
    print_comparison(found, as_json=as_json)
    if code := CODES[found.verdict]:
        raise typer.Exit(code)


def print_comparison(found: Comparison, *, as_json: bool) -> None:
    """As one JSON object, or as a short table."""
    if as_json:
        emit(
            found.stored()
            | {
                "run": str(found.folder),
                "figures": [str(path) for path in found.figures],
                "page": None if found.page is None else str(found.page),
            }
        )
        return
    for name, text in lines(found):
        say(f"{name:<14}{text}".rstrip())


def lines(found: Comparison) -> Iterator[tuple[str, str]]:
    """(name, text) of each line."""
    yield "base", found.base
    yield "tuned", found.tuned
    yield "asked", found.prompts
    yield "judge", f"{found.path.judge}; every interval is at 95 %"
    for note in found.notes:
        yield "note", note
    yield "", ""
    for pair in found.pairs:
        yield pair.name, _pair(pair)
    if found.divergence is not None:
        yield "KL", _kl(found.divergence)
    before, after = found.cut
    yield "cut", f"{before.text()} -> {after.text()} ended at the token limit"
    yield "", ""
    yield "path", f"from base (0) to tuned (1); ASR at most {100 * found.tolerance:.0f} % is inside"
    # That the path ends inside is what "at least" says already.
    note = "" if found.length.at_least else found.length.note
    yield "length", f"{found.length.text()} is how far the basin goes{_note(note)}"
    yield "margin", found.margin.text()
    whole, *parts = found.distances
    yield "distance", f"{_relative(whole.relative)} of the weights' norm"
    moved = sorted(parts, key=lambda part: -(part.relative or 0.0))[:4]
    if whole.relative:
        yield "", ", ".join(f"{part.where} {_relative(part.relative)}" for part in moved)
    if found.forensics is not None:
        yield from _forensics(found.forensics)
    if found.landscape is not None:
        own = found.landscape.summary
        yield "its basin", f"VISAGE {own.visage.text('.1f')}"
        if own.basin is not None:
            yield "", f"width {own.basin.width.text()} along random directions"
    yield "", ""
    for one in found.checks:
        yield _STATES[one.state], one.text()
    yield "verdict", found.verdict
    for reason in found.reasons:
        yield "because", reason
    for doubt in found.doubts:
        if doubt not in found.reasons:
            yield "doubt", doubt
    yield "", ""
    yield "run", str(found.folder)
    for path in found.figures:
        if path.suffix == ".png":
            yield "picture", str(path)
    if found.page is not None:
        yield "report", str(found.page)


def _forensics(found: Forensics) -> Iterator[tuple[str, str]]:
    tensors, changed = (
        sum(getattr(block, name) for block in found.blocks) for name in ("tensors", "changed")
    )
    yield "changed", f"{changed} of {tensors} tensors"
    ranked = [block for block in found.blocks if block.effective_rank is not None]
    for block in sorted(ranked, key=lambda block: -block.norm)[:3]:
        rank = f"effective rank {block.effective_rank:.1f}"
        yield "", f"{block.where}: norm {block.norm:.3g}, {rank} a matrix on average"
    inside = found.inside
    if inside.share is None:
        yield "located", f"nothing that {inside.located} speaks of was changed"
        return
    low, high = 100 * min(inside.random), 100 * max(inside.random)
    yield "located", f"{100 * inside.share:.2f} % of the change lies in {inside.located}"
    yield "", f"{low:.2f} to {high:.2f} % in {len(inside.random)} random ones of its size"


def _pair(pair: Paired) -> str:
    rise = pair.rise
    if rise.value is None:
        return f"not measured: {rise.note}"
    change = f"{points(rise)} points, {_p(pair.p)}"
    text = f"{percent(pair.before)} -> {percent(pair.after)}, {change}"
    return f"{text}; {pair.unpaired} not judged" if pair.unpaired else text


def _kl(found: Divergence) -> str:
    if found.mean.value is None:
        return f"not measured: {found.mean.note}"
    return (
        f"{_nats(found.mean)} a token over the answer, {_nats(found.first)} at its first; on "
        f"{found.prompts}"
    )


def _nats(found: Estimate) -> str:
    return quantity(found.value, found.low, found.high, "nats")


def _p(value: float | None) -> str:
    if value is None:
        return "p not defined"
    return "p < 0.0001" if value < 0.0001 else f"p = {value:.4f}"


def _relative(value: float | None) -> str:
    return "not defined" if value is None else f"{100 * value:.2f} %"


def _note(note: str) -> str:
    return f" ({note})" if note else ""
