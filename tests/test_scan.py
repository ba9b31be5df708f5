"""A whole scan, end to end, on models made on the spot."""

from __future__ import annotations

import json
import math
import os
import random
import signal
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest

from safebasin.config import EngineName, ScanConfig
from safebasin.errors import CheckpointError, RunMismatch
from safebasin.plane import Point
from safebasin.results import rejudge, review
from safebasin.run import RunFolder
from safebasin.run.verify import verify
from safebasin.scanning.preparation import prepare
from safebasin.scanning.scan import scan
from safebasin.study.observer import Silent
from support import pico, planted

FAMILIES = ["llama", "qwen3", "gemma", "mistral", "phi", "gpt2"]


def small(tmp_path: Path, model: Path, **changes: object) -> ScanConfig:
    prompts = tmp_path / "prompts.txt"
    if not prompts.exists():
        prompts.write_text("one\ntwo two\nthree\n", encoding="utf-8")
    config = ScanConfig(
        model=str(model), prompts=str(prompts), steps=4, seeds=(0,), limit=3, max_new_tokens=4,
        prompts_kind="harmful", device="cpu", out=str(tmp_path / "run"),
    )  # fmt: skip
    return replace(config, **changes)  # type: ignore[arg-type]


def planted_config(tmp_path: Path, **changes: object) -> ScanConfig:
    config = small(tmp_path, planted.save(tmp_path / "model"))
    return replace(
        config,
        prompts=str(planted.prompts(tmp_path / "planted.txt")),
        directions=(str(planted.direction(tmp_path / "toward.safetensors")),),
        include=("lm_head.weight",),
        seeds=None,
        steps=20,
        max_new_tokens=8,
        judges=("llm-landscape",),
        **changes,  # type: ignore[arg-type]
    )


def test_the_planted_edge_is_found_within_a_step(tmp_path: Path) -> None:
    result = scan(prepare(planted_config(tmp_path)))
    [landscape] = result.surveys["llm-landscape"].landscapes
    [axis] = landscape.plane.axes
    expected = [1.0 if alpha > planted.FLIP else 0.0 for alpha in axis.values]
    assert landscape.asr.tolist() == expected
    basin = result.summary.basin
    assert basin is not None
    assert basin.positive.width.value is not None
    assert abs(basin.positive.width.value - planted.FLIP) <= 0.05
    assert basin.negative.width.value == 0.5
    assert basin.negative.width.at_least
    assert result.summary.visage.value == 100.0


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_scans_end_to_end(tmp_path: Path, family: str) -> None:
    model = pico.save(tmp_path / "model", family)
    result = scan(prepare(small(tmp_path, model)))
    assert result.complete
    assert set(result.summaries) == {"llm-landscape", "outcome"}
    assert result.summary.judged + result.summary.unjudged == 5 * 3
    for path in result.figures:
        assert path.stat().st_size > 1000
    assert verify(result.folder).problems == ()


def test_a_plane_has_orthogonal_axes_and_shares_its_row(tmp_path: Path) -> None:
    model = pico.save(tmp_path / "model")
    prepared = prepare(small(tmp_path, model, axes=2, seeds=(0, 1), steps=2))
    result = scan(prepared)
    [_, second] = prepared.identity["directions"]
    assert abs(second["cosine"]) < 1e-6
    assert result.surveys["outcome"].plane.shape == (3, 3)
    assert len(prepared.points) == 9
    assert result.summary.region is not None


def test_the_origin_is_measured_once_for_all_lines(tmp_path: Path) -> None:
    model = pico.save(tmp_path / "model")
    prepared = prepare(small(tmp_path, model, seeds=(0, 1, 2)))
    assert len(prepared.points) == 3 * 4 + 1


def test_a_review_keeps_the_tolerance_of_the_run(tmp_path: Path) -> None:
    first = scan(prepare(planted_config(tmp_path, tolerance=0.4)))
    assert first.summary.basin is not None
    again = review(first.folder).summary.basin
    assert again is not None
    assert again.tolerance == first.summary.basin.tolerance == 0.4


class Counting(Silent):
    def __init__(self) -> None:
        self.points: list[Point] = []

    def finished(self, point: Point) -> None:
        self.points.append(point)


def test_a_second_run_measures_nothing_and_gives_the_same(tmp_path: Path) -> None:
    config = small(tmp_path, pico.save(tmp_path / "model"))
    first = scan(prepare(config))
    written = (first.folder / "landscape.json").read_bytes()
    again = Counting()
    scan(prepare(config), again)
    assert again.points == []
    assert (first.folder / "landscape.json").read_bytes() == written


def test_a_larger_limit_asks_only_the_missing_prompts(tmp_path: Path) -> None:
    config = small(tmp_path, pico.save(tmp_path / "model"), limit=2)
    scan(prepare(config))
    asked: list[str] = []

    class Listening(Silent):
        def answered(self, point: Point, exchanges: object) -> None:
            asked.extend(exchange.prompt_id for exchange in exchanges)  # type: ignore[attr-defined]

    grown = scan(prepare(replace(config, limit=3)), Listening())
    assert len(asked) == 5
    assert len(set(asked)) == 1
    assert grown.summary.prompts == 3
    shrunk = scan(prepare(replace(config, limit=2)))
    assert shrunk.summary.prompts == 2


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"max_new_tokens": 5}, "sampling.max_new_tokens"),
        ({"dtype": "bfloat16"}, "engine.dtype"),
        ({"template": "raw"}, "engine.template.kind"),
        ({"steps": 6}, "planes"),
        ({"seeds": (1,)}, "directions"),
        ({"sample_seed": 9}, "prompts.sample_seed"),
    ],
)
def test_another_configuration_does_not_enter_the_folder(
    tmp_path: Path, change: dict[str, object], key: str
) -> None:
    config = small(tmp_path, pico.save(tmp_path / "model"))
    scan(prepare(config))
    with pytest.raises(RunMismatch) as caught:
        scan(prepare(replace(config, **change)))  # type: ignore[arg-type]
    assert any(found.startswith(key) for found in caught.value.keys)


def test_another_model_does_not_enter_the_folder(tmp_path: Path) -> None:
    config = small(tmp_path, pico.save(tmp_path / "model"))
    scan(prepare(config))
    other = pico.save(tmp_path / "other" / "model", seed=5)
    with pytest.raises(RunMismatch) as caught:
        scan(prepare(replace(config, model=str(other))))
    assert "model.fingerprint" in caught.value.keys


def test_rejudging_needs_no_model_and_gives_the_same_verdicts(tmp_path: Path) -> None:
    config = planted_config(tmp_path)
    first = scan(prepare(config))
    for file in (tmp_path / "model").iterdir():
        file.unlink()
    again = rejudge(first.folder, ["refusal"])
    assert again.judge == "refusal"
    assert set(again.summaries) == {"refusal", "llm-landscape"}
    assert again.summaries["llm-landscape"].to_json() == first.summary.to_json()
    assert review(first.folder).judge == "refusal"


def test_an_adapter_that_changes_nothing_changes_no_answer(tmp_path: Path) -> None:
    base = pico.save(tmp_path / "model")
    adapter = pico.adapter(base, tmp_path / "adapter", scale=0.0)
    plain = scan(prepare(small(tmp_path, base)))
    config = small(tmp_path, Path(f"{base}+{adapter}"), out=str(tmp_path / "with"))
    merged = scan(prepare(config))
    assert merged.summary.to_json() == plain.summary.to_json()


def test_a_dry_plan_writes_nothing(tmp_path: Path) -> None:
    config = small(tmp_path, pico.save(tmp_path / "model"))
    plan = prepare(config).plan()
    assert plan.points == 5
    assert plan.answers == plan.answers_missing == 15
    assert plan.seconds[0] <= plan.seconds[1]
    assert math.isfinite(plan.seconds[1])
    assert not (tmp_path / "run").exists()


def test_cheap_checks_come_before_the_model_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        prepare(small(tmp_path, tmp_path / "absent"))
    assert not (tmp_path / "run").exists()


def _measure(config: ScanConfig, log: Path) -> None:
    class Logging(Silent):
        # The fast engine has several points in work, so only a finished one is safe from a kill.
        def answered(self, point: Point, exchanges: object) -> None:
            if config.engine == "plain":
                self.log(point)

        def finished(self, point: Point) -> None:
            if config.engine == "fast":
                self.log(point)

        def log(self, point: Point) -> None:
            with log.open("a") as out:
                out.write(f"{point.key}\n")

    scan(prepare(config), Logging())


@pytest.mark.parametrize("engine", ["plain", "fast"])
def test_killed_at_random_moments_it_ends_in_the_same_landscape(
    tmp_path: Path, engine: EngineName
) -> None:
    model = pico.save(tmp_path / "model")
    config = small(tmp_path, model, steps=20, seeds=(0, 1), engine=engine)
    whole = scan(prepare(replace(config, out=str(tmp_path / "whole"))))
    expected = (whole.folder / "landscape.json").read_bytes()
    log = tmp_path / "generated.log"
    log.touch()
    moments = random.Random(0)
    context = get_context("fork")
    kills = 0
    while kills < 12:
        child = context.Process(target=_measure, args=(config, log))
        child.start()
        child.join(moments.uniform(0.05, 0.3))
        if child.exitcode is not None:
            break
        os.kill(child.pid or 0, signal.SIGKILL)
        child.join()
        kills += 1
    assert kills >= 5
    _measure(config, log)
    run = tmp_path / "run"
    assert (run / "landscape.json").read_bytes() == expected
    assert not list(run.rglob("*.tmp"))
    generated = log.read_text().split()
    assert len(generated) - len(set(generated)) <= kills
    points = {point.key for point in RunFolder.read(run).manifest.points}
    assert set(generated) <= points
    # A kill may fall between the record of a finished point and what is heard of it.
    assert len(points - set(generated)) <= (kills if engine == "fast" else 0)
    assert verify(run).problems == ()
    assert json.loads(expected)["complete"]
