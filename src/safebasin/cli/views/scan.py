"""How `safebasin scan` runs: plan, progress, result."""

from __future__ import annotations

from collections.abc import Iterator

from safebasin.cli import step_summary
from safebasin.cli.console import count, duration, emit, say, size, tell
from safebasin.cli.interruptions import resumable
from safebasin.cli.planning import cluster, time_text
from safebasin.cli.progress import ScanProgress
from safebasin.cli.summary import print_result, unjudged_shares
from safebasin.cli.threads import spare_threads
from safebasin.cli.unjudged import end_where_unjudged
from safebasin.config import ScanConfig
from safebasin.judges import AsksAgain, DecidesEarly
from safebasin.plan import CapabilityPlan, Plan
from safebasin.protocol import peng2024
from safebasin.report.asked_under import told
from safebasin.results import Result
from safebasin.run import RunFolder
from safebasin.run.stored_weights import told_storage
from safebasin.scanning.preparation import Prepared, prepare
from safebasin.scanning.scan import scan, scan_shard
from safebasin.spread.shards import Shard
from safebasin.terminal import printable

UNMEASURED = "not estimated: a model that is divided among processes is timed as it is asked"


def run_scan(config: ScanConfig, *, dry_run: bool, as_json: bool, no_probe: bool = False) -> None:
    """Plan, measure and print; the exit code says how it went."""
    tell(f"loading {config.model}")
    prepared = prepare(config)
    spare_threads(prepared.engine.model)
    if config.engine == "vllm" and not no_probe:
        tell("starting vLLM")
    plan = prepared.plan(probe=not no_probe)
    if dry_run and as_json:
        asked = prepared.engine.template.rendered.to_json()
        emit({"plan": plan.to_json(), "rendered": asked, "run": str(prepared.folder)})
        return
    for line in plan_lines(prepared, plan):
        (say if dry_run else tell)(line)
    if dry_run:
        say("nothing written (dry run)")
        return
    with (
        resumable(prepared.folder, "every finished point"),
        ScanProgress(prepared.judges[0]) as progress,
    ):
        result = scan_or_shard(prepared, progress)
    if result is None:
        if as_json:
            emit({"shard": config.shard, "complete": False, "run": str(prepared.folder)})
            return
        say(f"shard {config.shard} is measured; other shards of {prepared.folder} are not yet")
        return
    step_summary.append(lambda: step_summary.of_scan(result))
    print_result(result, as_json=as_json)
    end_where_unjudged(unjudged_shares(result.summaries), [result.folder])


def scan_or_shard(prepared: Prepared, progress: ScanProgress) -> Result | None:
    """The whole scan, or the shard asked for; None where other shards are still to come."""
    if prepared.config.shard is None:
        return scan(prepared, progress)
    return scan_shard(prepared, Shard.parse(prepared.config.shard), progress)


def plan_lines(prepared: Prepared, plan: Plan) -> Iterator[str]:
    """The plan as a person reads it; where the run lies last, as directions may be drawn for it."""
    model = prepared.engine.model
    parameters = sum(p.numel() for p in model.parameters())
    dtype = str(model.dtype).removeprefix("torch.")
    config = prepared.config
    divided = prepared.engine.weights.divided
    shape = " x ".join(str(n) for n in prepared.planes[0].shape)
    noun = "line" if config.axes == 1 else "plane"
    several = f"{noun}s" if len(prepared.planes) > 1 else noun
    yield from [
        f"model    {prepared.checkpoint.name} · {count(parameters)} parameters · {dtype} on "
        f"{model.device}",
        *([f"stored   {stored}"] if (stored := _stored(prepared)) else []),
        f"plane    {len(prepared.planes)} {several} of {shape} points, radius {config.radius:g}, "
        f"along {', '.join(config.direction_names)}",
        *([f"         in blocks {config.blocks} alone"] if config.blocks else []),
        *law_lines(config, model.device.type),
        f"work     {plan.points} distinct points x {plan.prompts} prompts = {plan.answers} answers "
        f"of up to {prepared.sampling.max_new_tokens} tokens ({count(plan.new_tokens)} in all, "
        f"after {count(plan.prompt_tokens)} of prompts)",
        *([f"protocol {peng2024.told(config.template)}"] if config.protocol else []),
        f"system   {told(prepared.engine.template.rendered.to_json())}",
        *([f"thought  {plan.thought.text()}"] if plan.thought is not None else []),
        f"judges   {', '.join(judge.name for judge in prepared.judges)}{_early(prepared)}",
        *(f"         {name} is loaded beside the model" for name in plan.judges_beside),
        *(
            f"         {name} reads last, once the model is freed: both do not fit in memory"
            for name in plan.judges_last
        ),
        *budget_lines(prepared),
        *(
            f"{'' if i else 'capable':<9}{_capability(one)}"
            for i, one in enumerate(plan.capabilities)
        ),
        *(f"{name:<9}{text}" for name, text in _way(plan)),
        *([f"workers  {plan.workers} processes"] if plan.workers > 1 else []),
        *([f"divided  among {config.tensor_parallel} processes"] if divided else []),
        *([f"executor {cluster(config)}"] if config.executor == "ray" else []),
        f"memory   {_memory(plan)}",
        f"time     {UNMEASURED if divided else time_text(plan.seconds)}"
        + (
            f" · {plan.answers_missing} answers to go"
            if plan.answers_missing < plan.answers
            else ""
        )
        + ("; the capabilities come on top" if plan.capabilities and plan.seconds else ""),
        *_asides(plan),
    ]
    yield f"run      {prepared.folder}"
    yield from _recorded(prepared)


def _stored(prepared: Prepared) -> str:
    """How the weights are stored where they are codes; nothing where they are plain numbers."""
    found = prepared.checkpoint.quantisation
    return "" if found is None else f"as {told_storage(found)}; measured are the numbers they mean"


def law_lines(config: ScanConfig, device: str) -> list[str]:
    """How random directions are drawn, where that matters."""
    if config.directions or config.protocol is not None:
        return []
    if config.law == "counter":
        return ["         drawn by a counter, each number by itself"]
    if device == "cpu":
        return []
    return [
        "         drawn on the processor; --law counter draws others of the same distribution on "
        "the GPU, and stores none"
    ]


def budget_lines(prepared: Prepared, note: str = "") -> list[str]:
    """What those of the judges that cost would take on what they have not judged yet."""
    return [
        f"budget   {judge.budget(prepared.answers_to_judge(judge))}{note}"
        for judge in prepared.judges
        if isinstance(judge, AsksAgain)
    ]


def _asides(plan: Plan) -> Iterator[str]:
    """What of the time goes to answers beside those at the points, where that is a second."""
    everyday, most = plan.asides
    parts = [f"{duration(everyday)} for everyday questions"] if everyday else []
    if most > everyday:
        parts.append(f"up to {duration(most - everyday)} for longer answers")
    if most >= 1:
        yield f"         of it {' and '.join(parts)} of the undisplaced model"


def _memory(plan: Plan) -> str:
    free = f"of {size(plan.memory_free)} free"
    if plan.batch_size is None:
        return f"{size(plan.memory)} {free} for the model alone"
    return f"{size(plan.memory)} {free} · batches of {plan.batch_size}"


def _range(seconds: tuple[float, float]) -> str:
    low, high = map(duration, seconds)
    return low if low == high else f"{low} to {high}"


def _capability(one: CapabilityPlan) -> str:
    name, count = printable(one.name), one.points_missing
    if not count:
        return f"{name}, measured at every point"
    where = f"{name} at {count} {'point' if count == 1 else 'points'}"
    if one.seconds is None:
        return f"{where}; how long it takes is not measured beforehand"
    return f"{where}, {_range(one.seconds)} by a measured batch"


def _early(prepared: Prepared) -> str:
    if not prepared.engine.ends_early:
        return ""
    if prepared.engine.stop is not None:
        return "; answers end where the verdict is decided"
    if prepared.config.full_responses:
        return "; answers are kept whole"
    whole = [
        judge.name
        for judge in prepared.judges
        if not isinstance(judge, DecidesEarly) or judge.stop_rule() is None
    ]
    if not whole:
        return "; answers are whole, as the judges decide at different places"
    reads = "reads" if len(whole) == 1 else "read"
    return f"; answers are whole, as {' and '.join(whole)} {reads} them to the end"


def _recorded(prepared: Prepared) -> list[str]:
    """A line where the answers that are there already were made by another engine."""
    if not prepared.is_begun:
        return []
    engine = RunFolder.read(prepared.folder).manifest.config.get("engine")
    if engine in (None, prepared.config.engine):
        return []
    return [
        f"         what it holds already was answered by the engine {printable(str(engine))}; give "
        "another --out to hold the two against each other"
    ]


def _way(plan: Plan) -> Iterator[tuple[str, str]]:
    first, *reasons = plan.way.splitlines()
    yield "engine", first
    for reason in reasons:
        yield "", reason.strip()
