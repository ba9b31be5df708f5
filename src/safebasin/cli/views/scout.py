"""What scans print that score instead of asking, or that place their points themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safebasin.cli import step_summary
from safebasin.cli.console import emit, say, tell
from safebasin.cli.counting import AnswerCount
from safebasin.cli.interruptions import resumable
from safebasin.cli.summary import lines, unjudged_shares
from safebasin.cli.threads import spare_threads
from safebasin.cli.unjudged import end_where_unjudged
from safebasin.cli.views.scan import budget_lines, plan_lines
from safebasin.config import ScanConfig
from safebasin.errors import UsageError

if TYPE_CHECKING:
    from safebasin.scanning.adaptive import Edge

FIRST_TOKEN = "first-token"


def check_ways(score: str | None, adaptive: bool, sequential: bool, edge_tolerance: object) -> None:
    """Raise UsageError for options that cannot be meant together."""
    if score not in (None, FIRST_TOKEN):
        raise UsageError(f"Unknown score '{score}'.", f"Give --score {FIRST_TOKEN}.")
    chosen = [
        name
        for name, given in (
            ("--score", score is not None), ("--adaptive", adaptive), ("--sequential", sequential),
        )
        if given
    ]  # fmt: skip
    if len(chosen) > 1:
        raise UsageError(f"{' and '.join(chosen)} are ways of their own.", "Give one of them.")
    if edge_tolerance is not None and not adaptive:
        raise UsageError(
            "A tolerance of the edges is for an adaptive scan.", "Give --adaptive as well."
        )


def check_scout(config: ScanConfig) -> None:
    """Raise UsageError for options that a score of first tokens has no use for."""
    idle = [
        name
        for name, given in (
            ("--shard", config.shard is not None), ("--executor", config.executor != "local"),
            ("--stop-at-plateau", config.stop_at_plateau), ("--mode", config.mode != "auto"),
            ("--full-responses", config.full_responses), ("--drafts", config.drafts is not None),
            ("--steer", config.steer is not None),
        )
        if given
    ]  # fmt: skip
    if idle:
        raise UsageError(
            f"--score reads first tokens alone, in one process; {' and '.join(idle)} would do "
            "nothing.",
            f"Leave out {' and '.join(idle)}.",
        )


def run_scout(config: ScanConfig, *, dry_run: bool, as_json: bool) -> None:
    """Score the lines of a scan, and print and draw the curve. Nothing is judged."""
    from safebasin.engines.first_token import require_no_thought
    from safebasin.scanning.preparation import prepare
    from safebasin.scanning.scout import DEFINITION, scout

    tell(f"loading {config.model}")
    prepared = prepare(config)
    spare_threads(prepared.engine.model)
    template = prepared.engine.template
    require_no_thought(template, [template.encode(prompt) for prompt in prepared.prompts])
    passes = len(prepared.points) * len(prepared.prompts)
    if dry_run:
        plan = {"points": len(prepared.points), "prompts": len(prepared.prompts), "passes": passes}
        if as_json:
            emit({"plan": plan})
        else:
            say(f"work     {plan['points']} points x {plan['prompts']} prompts, one pass each")
            say("nothing written (dry run)")
        return
    with AnswerCount("scores") as count:
        count.started(passes, 0)
        found = scout(prepared, count.advance)
    if as_json:
        files = [str(path) for path in found.figures]
        emit(found.to_json() | {"run": str(found.folder), "figures": files})
        return
    say(f"model    {found.model}")
    noun = "direction" if len(found.each) == 1 else "directions"
    say(f"asked    {found.prompts} at {len(found.alphas)} points, {len(found.each)} {noun}")
    say("         one pass each, for the first token alone")
    say(f"score    {DEFINITION.split(';')[0]}; intervals are at 95 %")
    say(f"note    {DEFINITION.split(';')[1]}")
    learnt = found.openers["source"] == "learnt"
    source = "learnt from the undisplaced model's answers" if learnt else "from the table"
    coverage = 100 * found.openers["coverage_at_origin"]
    say(f"openers  {source}; they hold {coverage:.0f} % of the origin's first tokens")
    for kind in ("refusal", "affirmative"):
        tokens = ", ".join(repr(token) for token in found.openers[kind][:12])
        more = ", ..." if len(found.openers[kind]) > 12 else ""
        say(f"         {kind}: {tokens}{more}")
    say()
    mean = found.mean
    for alpha, value, low, high in zip(found.alphas, mean.value, mean.low, mean.high, strict=True):
        words = f"{value:.3f} ({low:.3f} to {high:.3f})" if value == value else "not defined"
        say(f"alpha {alpha:<+7.4g}{words}")
    if found.unscored:
        say(f"unscored {found.unscored} of {passes}: their probabilities are not numbers")
    say()
    say(f"run      {found.folder}")
    for path in found.figures:
        if path.suffix == ".png":
            say(f"picture  {path}")
    if coverage < 50:
        tell("warning: this model opens its answers otherwise; the score says little")


def run_adaptive(
    config: ScanConfig,
    edge_tolerance: float | None,
    *,
    dry_run: bool,
    as_json: bool,
    no_probe: bool = False,
) -> None:
    """Scan with points that place themselves; exit code 4 as for any scan."""
    from safebasin.scanning.adaptive import adapted, scan_adaptively
    from safebasin.scanning.preparation import prepare

    tell(f"loading {config.model}")
    prepared = prepare(config)
    spare_threads(prepared.engine.model)
    begun = adapted(prepared)
    if dry_run:
        plan = prepared.plan(probe=not no_probe)
        if as_json:
            emit({"plan": plan.to_json(), "at_most": True, "run": str(begun.folder)})
            return
        for line in [*plan_lines(prepared, plan)][:-1]:
            say(line)
        say("         at most: an adaptive scan begins with half the points and may need no more")
        say(f"run      {begun.folder}")
        say("nothing written (dry run)")
        return
    for line in budget_lines(prepared, "; fewer where the edges are found sooner"):
        tell(line)
    with resumable(begun.folder), AnswerCount() as progress:
        found = scan_adaptively(prepared, edge_tolerance, progress)
    step_summary.append(lambda: step_summary.of_scan(found.result))
    if as_json:
        emit(found.result.to_json() | {"adaptive": found.to_json(), "run": str(begun.folder)})
    else:
        for name, text in lines(found.result):
            if name == "run":
                budget = f"{found.values} of at most {found.most} points a line"
                say(f"placed   {budget}, by {found.placed_by}")
                for edge in found.edges:
                    say(f"         {_edge(edge)}")
                if number := len(found.open_edges):
                    say(
                        f"         {number} {'edge is' if number == 1 else 'edges are'} not known "
                        f"to {found.edge_tolerance:g}: the points are used up; give more --steps"
                    )
            say(f"{name:<9}{text}".rstrip())
    end_where_unjudged(unjudged_shares(found.result.summaries), [begun.folder])


def _edge(edge: Edge) -> str:
    where = f"{edge.direction} {'above' if edge.side > 0 else 'below'} 0"
    if edge.outer is None:
        return f"{where}: inside up to the end of the range"
    if edge.inner is None:
        return f"{where}: the origin itself is outside"
    return f"{where}: between {edge.inner:+.4g} and {edge.outer:+.4g}"
