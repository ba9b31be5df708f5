"""How `safebasin evaluate` runs: progress, then the numbers of one point."""

from __future__ import annotations

from safebasin.cli import step_summary
from safebasin.cli.console import emit, say, tell
from safebasin.cli.counting import AnswerCount
from safebasin.cli.interruptions import resumable
from safebasin.cli.planning import ends_with_plan, whole_or_share
from safebasin.cli.summary import share, undefined
from safebasin.cli.threads import spare_threads
from safebasin.cli.unjudged import end_where_unjudged
from safebasin.evaluate.preparation import Prepared, prepare
from safebasin.evaluate.settings import EvaluateConfig
from safebasin.evaluate.shares import Shares
from safebasin.evaluate.study import Evaluation, evaluate, evaluate_shard
from safebasin.exchange import OUTCOMES
from safebasin.judges import AsksAgain, Judge
from safebasin.report.asked_under import told
from safebasin.report.quantities import percent


def run_evaluation(
    config: EvaluateConfig, *, as_json: bool, dry_run: bool = False, no_probe: bool = False
) -> None:
    """Measure and print; the exit code says how it went."""
    tell(f"loading {config.scan.model}")
    prepared = prepare(config)
    spare_threads(prepared.subject.model)
    for line in plan_lines(prepared):
        (say if dry_run and not as_json else tell)(line)
    if ends_with_plan(
        lambda probe: prepared.plan(probe=probe), config.scan, prepared.folder,
        dry_run=dry_run, no_probe=no_probe, as_json=as_json,
    ):  # fmt: skip
        return
    with resumable(prepared.folder), AnswerCount() as progress:
        found = whole_or_share(
            config.scan,
            lambda: evaluate(prepared, progress),
            lambda shard: evaluate_shard(prepared, shard, progress),
            prepared.folder,
            as_json=as_json,
        )
    if found is None:
        return
    step_summary.append(lambda: step_summary.of_evaluation(found))
    if as_json:
        emit(found.to_json() | {"run": str(found.folder)})
    else:
        print_evaluation(found)
    folders = [path.parent for path in sorted(found.folder.glob("*/manifest.json"))]
    end_where_unjudged(found.unjudged_shares, folders)


def plan_lines(prepared: Prepared) -> list[str]:
    """What will be asked, as a person reads it."""
    sets = " · ".join(
        f"{kind} {found.name} ({len(found)})" for kind, found in prepared.sets.items()
    )
    samples = prepared.config.samples
    how = "greedy"
    if prepared.config.temperature:
        how = (
            f"{samples} sample{'s' * (samples != 1)} at temperature {prepared.config.temperature:g}"
        )
    return [
        f"asking   {sets}",
        f"system   {told(prepared.subject.template.rendered.to_json())}",
        f"how      {how}, up to {prepared.samples[0].sampling.max_new_tokens} tokens",
        *(
            ["thought  the chat template opens one; an answer that is cut off in it is not judged"]
            if prepared.subject.template.opens
            else []
        ),
        f"judges   {', '.join(judge.name for judge in prepared.judges)}",
        *(
            f"budget   {judge.budget(samples * _answers(prepared, judge))}"
            for judge in prepared.judges
            if isinstance(judge, AsksAgain)
        ),
    ]


def _answers(prepared: Prepared, judge: Judge) -> int:
    """How many answers of a sample the judge reads."""
    return sum(len(prepared.sets[kind]) for kind in prepared.read_by(judge))


def print_evaluation(found: Evaluation) -> None:
    """The numbers by each judge."""
    say(f"model       {found.model}")
    for kind, name in found.prompts.items():
        say(f"{kind:<11} {name}")
    for judge, part in found.harmful.items():
        say()
        say(f"judge       {judge}; every interval is at 95 %")
        say(f"harmful     ASR {percent(part.asr)} · {_outcomes(part)}")
        if part.flips is not None:
            say(f"flips       {share(part.flips, f'of the prompts, over {part.samples} samples')}")
        if judge in found.benign:
            benign = found.benign[judge]
            refused = percent(benign.outcomes["refused"])
            say(f"benign      over-refusal {refused} · {_outcomes(benign)}")
            say(f"gap         {_points(found, judge)}")
    say()
    if found.capability is not None:
        say(f"capability  {share(found.capability, 'of the questions answered right')}")
    cut = " · ".join(f"{kind} {one.text()}" for kind, one in found.cut.items())
    say(f"cut         {cut} ended at the token limit")
    for note in found.notes:
        say(f"note        {note}")
    say(f"run         {found.folder}")
    names = (path.parent.name for path in sorted(found.folder.glob("*/manifest.json")))
    say(f"            holding the runs {', '.join(names)}")


def _outcomes(part: Shares) -> str:
    shares = [f"{outcome} {percent(part.outcomes[outcome])}" for outcome in OUTCOMES]
    return " · ".join([*shares, f"unjudged {part.unjudged}"])


def _points(found: Evaluation, judge: str) -> str:
    gap = found.gap[judge]
    if gap.value is None or gap.low is None or gap.high is None:
        return undefined(gap)
    points = f"{100 * gap.value:.1f} points ({100 * gap.low:.1f} to {100 * gap.high:.1f})"
    return f"{points} more harmful than benign prompts refused"
