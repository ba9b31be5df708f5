"""Studies by several processes, by the actors of a cluster, and in shards: the same study."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file, save_file

from safebasin.cli.options import begin
from safebasin.compare.preparation import prepare as prepare_comparison
from safebasin.compare.settings import CompareConfig
from safebasin.compare.sharding import compare_shard
from safebasin.compare.study import compare
from safebasin.conditions.preparation import prepare as prepare_conditions
from safebasin.conditions.settings import ConditionsConfig
from safebasin.conditions.study import study as study_conditions
from safebasin.conditions.study import study_shard
from safebasin.config import ScanConfig
from safebasin.engines import Sampling
from safebasin.engines.fast.engine import FastEngine
from safebasin.engines.plain import PlainEngine
from safebasin.errors import RunBusy, UsageError
from safebasin.evaluate.preparation import prepare as prepare_evaluation
from safebasin.evaluate.settings import EvaluateConfig
from safebasin.evaluate.study import evaluate, evaluate_shard
from safebasin.exchange import Exchange
from safebasin.plane import Point, outward
from safebasin.prompts import Prompt
from safebasin.run import RunFolder
from safebasin.run.manifest import load_manifest
from safebasin.run.verify import verify
from safebasin.spread import workers
from safebasin.spread.dealing import dealt, portions
from safebasin.spread.executor import Recipe
from safebasin.spread.shards import Shard
from safebasin.study import work as work_module
from safebasin.study.observer import Silent
from safebasin.study.parts import Part, finished, unmeasured
from safebasin.study.spread import Spread
from safebasin.trajectory.preparation import prepare as prepare_trajectory
from safebasin.trajectory.settings import TrajectoryConfig
from safebasin.trajectory.study import trace, trace_shard
from safebasin.worst_case.preparation import prepare as prepare_search
from safebasin.worst_case.settings import WorstCaseConfig
from safebasin.worst_case.study import search
from support import planted

RAY_WARNINGS = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The planted model, what a training made of it, and the prompts that it knows."""
    folder = tmp_path_factory.mktemp("models")
    base = planted.save(folder / "base")
    step = load_file(planted.direction(folder / "step.safetensors"))["lm_head.weight"]
    made = {"base": base, "prompts": planted.prompts(folder / "prompts.txt")}
    for name, length in (("early", 0.2), ("tuned", 1.0)):
        made[name] = Path(shutil.copytree(base, folder / name))
        tensors = load_file(base / "model.safetensors")
        aside = torch.zeros_like(step)
        aside[5, 6] = 0.05 if name == "early" else 0.0
        tensors["lm_head.weight"] += length * step + aside
        save_file(tensors, made[name] / "model.safetensors", {"format": "pt"})
    return made


def scan_of(models: dict[str, Path], out: Path, **changes: Any) -> ScanConfig:
    return replace(
        ScanConfig(
            model=str(models["base"]), prompts=str(models["prompts"]), prompts_kind="harmful",
            limit=3, max_new_tokens=6, device="cpu", steps=4, seeds=(0,),
            judges=("llm-landscape",), out=str(out), workers=1,
        ),
        **changes,
    )  # fmt: skip


def comparison(models: dict[str, Path], scan: ScanConfig, **changes: Any) -> Any:
    return prepare_comparison(CompareConfig(str(models["tuned"]), scan, steps=4, **changes))


def run_of(models: dict[str, Path], scan: ScanConfig) -> Any:
    series = (str(models["early"]), str(models["tuned"]))
    return prepare_trajectory(TrajectoryConfig(series, scan=scan))


def ways_of(models: dict[str, Path], scan: ScanConfig) -> Any:
    return prepare_conditions(ConditionsConfig(scan, ("template", "safety")))


def evaluation(models: dict[str, Path], scan: ScanConfig, **changes: Any) -> Any:
    return prepare_evaluation(EvaluateConfig(scan, benign="none", capability="none", **changes))


def worst(models: dict[str, Path], scan: ScanConfig) -> Any:
    return prepare_search(
        WorstCaseConfig(replace(scan, limit=2), iterations=2, restarts=0, search=1)
    )


STUDIES: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "compare": (comparison, compare),
    "trajectory": (run_of, trace),
    "conditions": (ways_of, study_conditions),
    "evaluate": (evaluation, evaluate),
    "worst-case": (worst, search),
}


def samples(models: dict[str, Path], scan: ScanConfig) -> Any:
    return evaluation(models, scan, samples=3, temperature=0.7)


SAMPLED = {**STUDIES, "evaluate": (samples, evaluate)}


def records(folder: Path) -> dict[str, Any]:
    """The answers and verdicts of every run folder below, by where they are kept."""
    found: dict[str, Any] = {}
    for path in sorted(folder.glob("*/manifest.json")):
        run = RunFolder.read(path.parent)
        for point in run.manifest.points:
            answers = [(e.prompt_id, e.response, e.finish) for e in run.read_point(point) or ()]
            assert answers, f"{path.parent.name} has nothing at {point.label}"
            given = {
                name: {key: v.outcome for key, v in run.read_verdicts(name, spec, point).items()}
                for name, spec in run.judges().items()
            }
            found[f"{path.parent.name} {point.key}"] = answers, given
        assert verify(path.parent).problems == ()
    return found


def test_few_points_are_divided_by_their_prompts() -> None:
    assert portions(4, 10, 4) == [slice(0, 10)]
    assert portions(1, 10, 4) == [slice(0, 2), slice(2, 5), slice(5, 7), slice(7, 10)]
    assert portions(3, 10, 4) == [slice(0, 5), slice(5, 10)]
    assert portions(1, 2, 8) == [slice(0, 1), slice(1, 2)]
    assert portions(1, 0, 4) == [slice(0, 0)]


def test_shards_go_on_where_the_last_part_ended() -> None:
    first = [Shard(i, 3).indices(4) for i in (1, 2, 3)]
    then = [Shard(i, 3).indices(5, before=4) for i in (1, 2, 3)]
    whole = [a + [4 + b for b in after] for a, after in zip(first, then, strict=True)]
    assert whole == dealt(9, 3)


@pytest.fixture(scope="module")
def by_one(
    models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., tuple[Any, dict[str, Any]]]:
    """What a study by the engine itself found and its records, measured once."""

    @cache
    def measured(study: str, sampled: bool = False) -> tuple[Any, dict[str, Any]]:
        prepare, measure = (SAMPLED if sampled else STUDIES)[study]
        out = tmp_path_factory.mktemp(study)
        found = measure(prepare(models, scan_of(models, out)))
        recorded = records(out)
        assert recorded
        return found, recorded

    return measured


@pytest.fixture(scope="module")
def alone(by_one: Any) -> Callable[[str], dict[str, Any]]:
    """The records of a study by the engine itself."""
    return lambda study: by_one(study)[1]


@pytest.mark.parametrize("study", STUDIES)
def test_two_processes_give_the_study_of_one(
    study: str, models: dict[str, Path], alone: Any, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    prepare, measure = STUDIES[study]
    pids = tmp_path / "pids"
    ask = workers._Job._ask

    def noted(self: Any, *given: Any) -> None:
        with pids.open("a") as file:
            file.write(f"{os.getpid()}\n")
        ask(self, *given)

    monkeypatch.setattr(workers._Job, "_ask", noted)
    measure(prepare(models, scan_of(models, tmp_path / "two", workers=2)))
    by = set(pids.read_text().split())
    assert len(by) >= 2
    assert str(os.getpid()) not in by
    assert records(tmp_path / "two") == alone(study)


class Killing:
    """An engine whose process is killed once, at a point of its own."""

    def __init__(self, engine: Any, at: Point, mark: Path) -> None:
        self.engine, self.at, self.mark = engine, at, mark

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def answers(self, points: Sequence[Point], *given: Any) -> Iterator[Any]:
        if self.at in points and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        yield from self.engine.answers(points, *given)


def test_a_killed_worker_of_a_comparison_is_survived(
    models: dict[str, Path], alone: Any, tmp_path: Path
) -> None:
    prepared = comparison(models, scan_of(models, tmp_path / "two", workers=2))
    mark = tmp_path / "killed"
    at = Point.of({"tuned": 0.75})
    found = compare(replace(prepared, engine=Killing(prepared.engine, at, mark)))
    assert mark.exists()
    assert records(tmp_path / "two") == alone("compare")
    assert found.safety.before.value == 0


def renders_chats(process: psutil.Process) -> bool:
    """Whether it renders chat templates for whoever started it, as long as that lives."""
    try:
        return any("chat_process" in word for word in process.cmdline())
    except psutil.Error:  # it has just ended
        return False


class Interrupting(Silent):
    """Interrupts after some points, and knows how many answers were there already."""

    def __init__(self, after: int) -> None:
        self.left, self.already, self.workers = after, 0, set[int]()
        # What other tests of this process keep, such as a warm one that runs pages' commands.
        self.others = {child.pid for child in psutil.Process().children(recursive=True)}

    def started(self, answers: int, finished: int) -> None:
        self.already += finished

    def finished(self, point: Point) -> None:
        children = psutil.Process().children(recursive=True)
        own = {child.pid for child in children if not renders_chats(child)}
        self.workers |= own - self.others
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def test_an_interruption_ends_the_workers_and_the_same_study_resumes(
    models: dict[str, Path], alone: Any, tmp_path: Path
) -> None:
    scan = scan_of(models, tmp_path / "two", workers=2)
    stopped = Interrupting(2)
    with pytest.raises(KeyboardInterrupt):
        compare(comparison(models, scan), stopped)
    assert len(stopped.workers) >= 2
    assert not any(psutil.pid_exists(pid) for pid in stopped.workers)
    again = Interrupting(-1)
    compare(comparison(models, scan), again)
    assert again.already == 2 * 3
    assert records(tmp_path / "two") == alone("compare")


SHARDED: dict[str, Callable[..., Any]] = {
    "compare": compare_shard,
    "trajectory": trace_shard,
    "conditions": study_shard,
    "evaluate": evaluate_shard,
}


@pytest.mark.parametrize("study", SHARDED)
def test_the_shard_that_completes_a_study_summarises_it(
    study: str, models: dict[str, Path], by_one: Any, tmp_path: Path
) -> None:
    prepare, measure_shard = SAMPLED[study][0], SHARDED[study]
    whole, recorded = by_one(study, sampled=study == "evaluate")
    scan = scan_of(models, tmp_path / "two")
    first = Counting()
    assert measure_shard(prepare(models, scan), Shard(1, 2), first) is None
    found = measure_shard(prepare(models, scan), Shard(2, 2))
    assert found is not None
    assert 0 < first.answers < sum(len(one[0]) for one in records(tmp_path / "two").values())
    assert found.to_json() == whole.to_json()
    assert records(tmp_path / "two") == recorded


class Counting(Silent):
    """An observer that counts answers."""

    def __init__(self) -> None:
        self.answers = 0

    def answered(self, point: Point, exchanges: Sequence[Exchange]) -> None:
        self.answers += len(exchanges)


def _shard(models: dict[str, Path], scan: ScanConfig, text: str, results: Any) -> None:
    prepared = comparison(models, scan, landscape=True)
    results.put(compare_shard(prepared, Shard.parse(text)) is not None)


def test_shards_of_a_comparison_at_the_same_time(models: dict[str, Path], tmp_path: Path) -> None:
    whole = compare(comparison(models, scan_of(models, tmp_path / "one"), landscape=True))
    scan = scan_of(models, tmp_path / "two")
    context = get_context("fork")
    results = context.Queue()
    jobs = [context.Process(target=_shard, args=(models, scan, f"{i}/2", results)) for i in (1, 2)]
    for job in jobs:
        job.start()
    said = [results.get(timeout=120) for _ in jobs]
    for job in jobs:
        job.join()
        assert job.exitcode == 0
    if not any(said):  # two that ended together left the summary to each other
        prepared = comparison(models, scan, landscape=True)
        assert compare_shard(prepared, Shard(1, 2)) is not None
    assert records(tmp_path / "two") == records(tmp_path / "one")
    found = compare(comparison(models, scan, landscape=True), Interrupting(1))
    assert found.to_json() == whole.to_json()


def test_a_shard_gives_an_older_comparison_its_finer_steps(
    models: dict[str, Path], tmp_path: Path
) -> None:
    scan = scan_of(models, tmp_path / "two")
    compare(comparison(models, scan))
    finer = replace(comparison(models, scan).config, steps=8)
    assert compare_shard(prepare_comparison(finer), Shard(1, 2)) is None
    found = compare_shard(prepare_comparison(finer), Shard(2, 2))
    assert found is not None
    recorded = load_manifest(tmp_path / "two" / "path" / "manifest.json")
    assert recorded is not None
    assert {Point.of({"tuned": 0.1875}), Point.of({"tuned": 1.125})} <= set(recorded.points)


def test_what_others_are_at_is_left_to_them(models: dict[str, Path], tmp_path: Path) -> None:
    prepared = comparison(models, scan_of(models, tmp_path / "run"))
    assert unmeasured(prepared.folder, prepared.parts) == 6 * 3

    def busy() -> int:
        raise RunBusy("Shard 1-of-2 is working.", "Wait.")

    assert finished(0, busy) is None
    assert finished(3, lambda: 1) is None
    assert finished(0, lambda: 1) == 1


def test_a_search_is_not_split(models: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be split") as caught:
        worst(models, scan_of(models, tmp_path / "run", shard="1/2"))
    assert "--workers" in caught.value.hint
    assert "scan --directions" in caught.value.hint


def elsewhere(recipe: Recipe) -> Any:
    """What an actor makes of a recipe."""
    made: Recipe = pickle.loads(pickle.dumps(recipe))  # noqa: S301 (written here)
    return made.made()


def recipes(
    models: dict[str, Path], scan: ScanConfig
) -> Iterator[tuple[Spread[Exchange], Any, list[Part]]]:
    """What an actor builds by, the engine that it rebuilds, and what it is asked."""
    found = comparison(models, scan)
    yield found.spread, found.engine, list(found.parts)
    found = run_of(models, scan)
    yield found.spread, found.engine, list(found.parts)
    found = ways_of(models, scan)
    for one in found.conditions:
        yield one.spread, one.engine, [one.part]
    found = evaluation(models, scan, samples=2, temperature=0.7)
    for sample in found.samples:
        yield sample.spread, sample.engine, list(sample.parts)


def test_another_process_builds_the_same_engine(models: dict[str, Path], tmp_path: Path) -> None:
    """As an actor does it: from a pickled recipe, which names no judge and no other process."""
    scan = scan_of(models, tmp_path / "run", executor="ray", workers=3)
    for spread, engine, parts in recipes(models, scan):
        rebuilt = elsewhere(spread.recipe)
        for part in parts:
            points = outward(part.planes)[-2:]
            asked = [part.prompts.prompts, Sampling(6)]
            assert dict(rebuilt.answers(points, *asked)) == dict(engine.answers(points, *asked))


def test_an_actor_of_a_search_reads_what_was_found(models: dict[str, Path], tmp_path: Path) -> None:
    built: list[Any] = []
    spread = work_module.Spread

    def noted(config: ScanConfig, recipe: Any) -> Any:
        built.append(recipe)
        return spread(config, recipe)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work_module, "Spread", noted)
        search(worst(models, scan_of(models, tmp_path / "run")))
    names = {recipe.arguments[1] for recipe in built}
    assert names == {"worst-case", "gradient", "gaussian-0"}
    for recipe in {recipe.arguments[1]: recipe for recipe in built}.values():
        name = recipe.arguments[1]
        run = RunFolder.read(tmp_path / "run" / name)
        point = run.manifest.points[-1]
        prompts = [Prompt(e.prompt_id, e.prompt) for e in run.read_point(point) or ()]
        engine = elsewhere(recipe)
        [(_, answers)] = engine.answers([point], prompts, Sampling(6))
        assert answers == run.read_point(point)


def options(models: dict[str, Path], study: str, out: Path) -> list[object]:
    """The command line of a study of the planted model, as small as it can be."""
    series = [models["early"], models["tuned"]]
    own: dict[str, list[object]] = {
        "scan": [models["base"], "--seeds", 1, "--steps", 2],
        "compare": [models["base"], models["tuned"], "--steps", 2, "--refine", 0],
        "trajectory": [models["base"], *series, "--steps", 2],
        "conditions": [models["base"], "--system", "template", "--seeds", 1, "--steps", 2,
                       "--radius", 0.5],
        "evaluate": [models["base"]],
        "worst-case": [models["base"], "--steps", 2, "--search", 1, "--iterations", 1],
    }  # fmt: skip
    common = ["--prompts", models["prompts"], "--prompts-kind", "harmful", "--limit", 2]
    return [
        study, *own[study], *common, "--max-new-tokens", 4, "--device", "cpu",
        "--judge", "llm-landscape", "--out", out,
    ]  # fmt: skip


ANSWERS = {"scan": 3 * 2, "compare": 4 * 2, "conditions": 3 * 2, "evaluate": 2, "worst-case": 12}
"""By hand: points times prompts; a search has two prompts left and three lines of two points."""


@pytest.mark.parametrize("study", ["scan", *STUDIES])
def test_a_plan_without_a_probe_asks_nothing_and_says_so(
    study: str, models: dict[str, Path], tmp_path: Path, command: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def asked(*given: Any, **named: Any) -> None:
        raise AssertionError("a prompt was asked")

    monkeypatch.setattr(FastEngine, "answers", asked)
    monkeypatch.setattr(FastEngine, "plan", asked)
    monkeypatch.setattr(PlainEngine, "answers", asked)
    given = [*options(models, study, tmp_path / "run"), "--dry-run", "--no-probe"]
    code, out, err = command(*given)
    assert code == 0, err
    assert "time     not estimated, as no batch is measured (--no-probe)" in out
    assert "nothing written (dry run)" in out
    for step in ("loading ", "reading base", "measuring the weights"):
        assert step in err
    code, out, err = command(*given, "--json")
    assert code == 0, err
    plan = json.loads(out)["plan"]
    assert plan["seconds"] is None
    assert plan["answers"] == plan["answers_missing"] == ANSWERS.get(study, plan["answers"])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("study", STUDIES)
def test_a_dry_run_measures_a_batch(
    study: str, models: dict[str, Path], tmp_path: Path, command: Any
) -> None:
    code, out, err = command(*options(models, study, tmp_path / "run"), "--dry-run")
    assert code == 0, err
    assert "by a measured batch" in out
    assert "probing the speed" in err
    assert not (tmp_path / "run").exists()


def test_an_array_on_the_command_line(
    models: dict[str, Path], tmp_path: Path, command: Any
) -> None:
    given = options(models, "compare", tmp_path / "run")
    code, out, err = command(*given, "--shard", "1/2", "--json")
    assert code == 0, err
    assert json.loads(out) == {"shard": "1/2", "complete": False, "run": str(tmp_path / "run")}
    assert "asking for 4 answers" in err
    code, out, err = command(*given, "--shard", "2/2")
    assert "verdict" in out, err
    assert (tmp_path / "run" / "comparison.json").exists()
    for study, wrong, complaint in (
        ("compare", "3/2", "Shard 3 of 2"),
        ("evaluate", "x", "not of the form"),
        ("worst-case", "1/2", "cannot be split"),
    ):
        code, _, err = command(*options(models, study, tmp_path / "other"), "--shard", wrong)
        assert code == 2
        assert complaint in err


def test_something_is_said_before_anything_heavy_is_imported(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "torch")
    begin()
    assert "starting" in capsys.readouterr().err
    monkeypatch.undo()
    begin()
    assert capsys.readouterr().err == ""


@RAY_WARNINGS
def test_a_comparison_by_ray_is_the_comparison(
    models: dict[str, Path], alone: Any, tmp_path: Path, ray: Any
) -> None:
    compare(comparison(models, scan_of(models, tmp_path / "two", executor="ray")))
    assert records(tmp_path / "two") == alone("compare")
