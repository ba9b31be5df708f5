"""Guards and the model that is asked: which of them are in memory at the same time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from safebasin.certify import Stopping
from safebasin.certify.scanning import scan_until_decided
from safebasin.config import ScanConfig
from safebasin.engines import Sampling
from safebasin.engines.fast.planning import Planner
from safebasin.errors import UsageError
from safebasin.exchange import Exchange, Verdict
from safebasin.guard_models.guard_judge import GuardJudge
from safebasin.guard_models.parsing import parse
from safebasin.judges import Footprint, HoldsModel, Judge
from safebasin.judges.placement import waiting
from safebasin.judges.protocol import Measure
from safebasin.plane import Point
from safebasin.results import look, rejudge, review
from safebasin.run import RunFolder
from safebasin.scanning.adaptive import scan_adaptively
from safebasin.scanning.preparation import Prepared, answering, prepare
from safebasin.scanning.scan import scan, scan_shard
from safebasin.spread.executor import Recipe
from safebasin.spread.ray_actors import Answerer
from safebasin.spread.shards import Shard
from support import guard_models as tiny
from support import planted

MUCH, NONE = 2**40, 0


def save_guard(folder: Path) -> Path:
    """A guard that calls harmful what the planted model says when it complies."""
    tiny.save(folder, "llama", "No", "Yes", more=["Certainly"])
    weights = load_file(folder / "model.safetensors")
    words = [*tiny.WORDS, "Certainly", "No", "Yes"]
    weights["lm_head.weight"][words.index("Yes"), words.index("Certainly")] = 2000.0
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


def config(tmp_path: Path, *judges: str, out: str = "run", **changes: object) -> ScanConfig:
    if not (tmp_path / "model").exists():
        planted.save(tmp_path / "model")
        save_guard(tmp_path / "guard")
        save_guard(tmp_path / "second")
    given = ScanConfig(
        model=str(tmp_path / "model"),
        prompts=str(planted.prompts(tmp_path / "planted.txt")),
        prompts_kind="harmful",
        directions=(str(planted.direction(tmp_path / "toward.safetensors")),),
        include=("lm_head.weight",),
        seeds=None,
        steps=4,
        max_new_tokens=8,
        device="cpu",
        judges=tuple(judge.replace("@", f"@{tmp_path}/") for judge in judges),
        out=str(tmp_path / out),
    )
    return replace(given, **changes)  # type: ignore[arg-type]


GUARD, SECOND = "guard:harmbench@guard?device=cpu", "guard:harmbench@second?device=cpu"


def free_memory(monkeypatch: pytest.MonkeyPatch, amount: int) -> None:
    monkeypatch.setattr("safebasin.guard_models.guard_judge.free_bytes", lambda device: amount)


@dataclass
class Residents:
    """What was in memory whenever a guard was loaded, and whether a plan was made before.

    target  how many weights of the models that are asked
    guards  how many guards, this one included
    """

    models: list[torch.nn.Module] = field(default_factory=list)
    target: list[int] = field(default_factory=list)
    guards: list[int] = field(default_factory=list)
    planned: list[bool] = field(default_factory=list)


@pytest.fixture
def residents(monkeypatch: pytest.MonkeyPatch) -> Residents:
    seen = Residents()
    made: list[GuardJudge] = []
    plans: list[bool] = []
    load, plan, build = GuardJudge.load, Planner.plan, Planner.__init__

    def watched_load(judge: GuardJudge) -> None:
        if judge.loaded.model is None:
            seen.target.append(sum(p.numel() for m in seen.models for p in m.parameters()))
            seen.planned.append(bool(plans))
            load(judge)
            made.append(judge)
            seen.guards.append(sum(one.loaded.model is not None for one in made))

    def watched_plan(planner: Planner, *given: object) -> object:
        plans.append(True)
        return plan(planner, *given)  # type: ignore[arg-type]

    def watched_build(planner: Planner, model: torch.nn.Module, *given: object) -> None:
        seen.models.append(model)
        build(planner, model, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(GuardJudge, "load", watched_load)
    monkeypatch.setattr(Planner, "plan", watched_plan)
    monkeypatch.setattr(Planner, "__init__", watched_build)
    return seen


class TestScan:
    def test_a_guard_that_fits_is_there_before_the_batches_are_planned(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, residents: Residents
    ) -> None:
        free_memory(monkeypatch, MUCH)
        prepared = prepare(config(tmp_path, GUARD))
        assert prepared.late == ()
        assert scan(prepared).complete
        assert len(residents.target) == 1
        assert residents.target[0] > 0
        assert residents.planned == [False]

    def test_guards_that_do_not_fit_read_after_the_model_is_freed_one_by_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, residents: Residents
    ) -> None:
        free_memory(monkeypatch, MUCH)
        beside = scan(prepare(config(tmp_path, GUARD, out="beside")))
        residents.models.clear()
        residents.target.clear()
        residents.guards.clear()
        free_memory(monkeypatch, NONE)
        prepared = prepare(config(tmp_path, GUARD, "llm-landscape", SECOND))
        assert [judge.name for judge in prepared.late] == ["guard:harmbench@guard",
                                                           "guard:harmbench@second"]  # fmt: skip
        after = scan(prepared)
        assert residents.models == [prepared.engine.model]
        assert residents.target == [0, 0]
        assert residents.guards == [1, 1]
        assert after.complete
        assert after.judge == "guard:harmbench@guard"
        assert after.summary.unjudged == 0
        assert after.summary.to_json() == beside.summary.to_json()
        assert {one.asr.value for one in after.summary.cells[0]} == {0.0, 1.0}

    def test_a_shard_leaves_them_to_the_one_that_completes_the_run(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        free_memory(monkeypatch, NONE)
        first, second = (config(tmp_path, GUARD, shard=f"{n}/2") for n in (1, 2))
        assert scan_shard(prepare(first), Shard.parse("1/2")) is None
        found = scan_shard(prepare(second), Shard.parse("2/2"))
        assert found is not None
        assert found.complete
        assert found.summary.unjudged == 0

    def test_an_interrupted_one_goes_on_with_judging_alone(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        free_memory(monkeypatch, NONE)
        asked = config(tmp_path, "llm-landscape", GUARD)
        judge, calls = GuardJudge.judge, []

        def interrupted(one: GuardJudge, exchanges: Sequence[Exchange]) -> list[Verdict]:
            calls.append(len(exchanges))
            if len(calls) == 2:
                raise KeyboardInterrupt
            return judge(one, exchanges)

        with monkeypatch.context() as patched:
            patched.setattr(GuardJudge, "judge", interrupted)
            with pytest.raises(KeyboardInterrupt):
                scan(prepare(asked))
        folder = tmp_path / "run"
        name = "guard:harmbench@guard"
        for found in (look(folder), review(folder)):
            assert found.unmeasured == ("verdicts",)
            # What no guard has read is in no share, neither as refused nor as complied.
            assert found.summaries[name].judged == calls[0]
            assert found.summaries["llm-landscape"].unjudged == 0
        run = RunFolder.read(folder)
        spec = run.judges()[name]
        stored = [run.read_verdicts(name, spec, point) for point in run.manifest.points]
        assert sum(map(len, stored)) == calls[0]

        def none_asked(*given: object) -> None:
            raise AssertionError("asked again")

        prepared = prepare(asked)
        monkeypatch.setattr(prepared.engine, "answers", none_asked)
        result = scan(prepared)
        assert result.complete
        assert result.summaries[name].unjudged == 0

    def test_the_plan_says_which(  # type: ignore[no-untyped-def]
        self, tmp_path: Path, monkeypatch, command
    ) -> None:
        asked = config(tmp_path, GUARD)
        (tmp_path / "scan.json").write_text(json.dumps(asked.to_json()), encoding="utf-8")
        for free, key, told in (
            (MUCH, "judges_beside", "is loaded beside the model"),
            (NONE, "judges_last", "reads last, once the model is freed"),
        ):
            free_memory(monkeypatch, free)
            code, out, err = command("scan", "--config", tmp_path / "scan.json", "--dry-run")
            assert code == 0, err
            assert f"guard:harmbench@guard {told}" in out
            code, out, _ = command(
                "scan", "--config", tmp_path / "scan.json", "--dry-run", "--json"
            )
            assert json.loads(out)["plan"][key] == ["guard:harmbench@guard"]


class TestWaysThatNeedVerdicts:
    @pytest.fixture(autouse=True)
    def _no_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        free_memory(monkeypatch, NONE)

    def test_stop_at_plateau(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="--stop-at-plateau needs a verdict") as caught:
            prepare(config(tmp_path, GUARD, stop_at_plateau=True))
        assert "guard:harmbench@guard does not fit in memory" in str(caught.value)
        assert "?device=cpu" in caught.value.hint
        assert not (tmp_path / "run").exists()
        found = scan(prepare(config(tmp_path, "llm-landscape", GUARD, stop_at_plateau=True)))
        assert found.complete

    def test_an_actor_is_not_asked_for_verdicts(self, tmp_path: Path) -> None:
        prepared = prepare(config(tmp_path, GUARD))
        [prompt, *_] = prepared.prompts
        asked = replace(prepared.for_actors(), stop_at_plateau=True)
        actor = Answerer(Recipe(answering, (asked.to_json(),)))
        assert len(actor.point(Point(), [prompt], Sampling(8))) == 1

    def test_adaptive(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="--adaptive needs a verdict"):
            scan_adaptively(prepare(config(tmp_path, GUARD)))
        found = scan_adaptively(prepare(config(tmp_path, "llm-landscape", GUARD))).result
        assert found.complete
        assert found.summaries["guard:harmbench@guard"].unjudged == 0

    def test_sequential(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="--sequential needs a verdict"):
            scan_until_decided(prepare(config(tmp_path, GUARD)), Stopping(0.1))
        asked = config(tmp_path, "llm-landscape", GUARD)
        assert scan_until_decided(prepare(asked), Stopping(0.1)).unjudged == 0
        assert "verdicts" not in look(tmp_path / "run").unmeasured


def test_rejudge_has_one_guard_in_memory_at_a_time(tmp_path: Path, residents: Residents) -> None:
    scan(prepare(config(tmp_path, "llm-landscape")))
    found = rejudge(
        tmp_path / "run", [one.replace("@", f"@{tmp_path}/") for one in (GUARD, SECOND)]
    )
    assert residents.guards == [1, 1]
    assert found.complete
    assert [summary.unjudged for summary in found.summaries.values()] == [0, 0, 0]


def test_freeing_leaves_nothing_of_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free_memory(monkeypatch, NONE)
    prepared: Prepared = prepare(config(tmp_path, GUARD, capability=("testbed:capability",),
                                        capability_limit=2))  # fmt: skip
    scan(prepared)
    model = prepared.engine.model
    assert all(parameter.numel() == 0 for parameter in model.parameters())
    assert prepared.engine.planner.forward is None  # type: ignore[union-attr]
    assert not prepared.engine.weights._store.pristine


@dataclass(frozen=True)
class Planned:
    """A judge with a model of a given size, on a device with so much memory free."""

    name: str
    needs: int
    device: str = "cuda:0"
    free: int = 100
    measures: Measure = "harm"

    def spec(self) -> dict[str, object]:
        return {"name": self.name}

    def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        return [Verdict(None, "never asked") for _ in exchanges]

    def footprint(self) -> Footprint:
        return Footprint(self.device, self.needs, self.free)

    def load(self) -> None: ...

    def unload(self) -> None: ...


class TestPlacement:
    @staticmethod
    def late(reserved: float, *judges: Judge) -> list[str]:
        assert all(isinstance(judge, HoldsModel) for judge in judges)
        return [judge.name for judge in waiting(judges, "cuda:0", reserved)]

    def test_half_of_what_is_free_is_for_judges(self) -> None:
        assert self.late(0, Planned("a", 50)) == []
        assert self.late(0, Planned("a", 51)) == ["a"]
        assert self.late(20, Planned("a", 41)) == ["a"]

    def test_each_leaves_less_for_the_next(self) -> None:
        assert self.late(0, Planned("a", 30), Planned("b", 30), Planned("c", 20)) == ["b"]

    def test_devices_are_counted_apart(self) -> None:
        assert self.late(90, Planned("a", 30), Planned("b", 50, "cpu")) == ["a"]
        assert self.late(float("inf"), Planned("a", 1), Planned("b", 50, "cpu")) == ["a"]

    def test_one_that_is_loaded_needs_nothing_more(self) -> None:
        assert self.late(100, Planned("a", 0)) == []

    @pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
    def test_a_guards_footprint_is_that_of_its_weights(self, tmp_path: Path, dtype: str) -> None:
        judge = parse(f"harmbench@{save_guard(tmp_path / 'guard')}?device=cpu&dtype={dtype}")
        found = judge.footprint()
        assert found.device == "cpu"
        assert found.free > 0
        judge.load()
        held = sum(p.numel() * p.element_size() for p in judge.loaded.model.parameters())
        assert found.needs == held
        assert judge.footprint().needs == 0
