"""What a model can still do, beside its safety: the questions, the probes, the run, the numbers."""

from __future__ import annotations

import json
import math
import random
import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from safebasin.capability.choices import Choices
from safebasin.capability.likelihood import log_likelihoods
from safebasin.capability.probe import Bench
from safebasin.capability.tasks import load_task, load_tasks
from safebasin.checkpoint import Checkpoint
from safebasin.cli.summary import lines
from safebasin.config import ScanConfig
from safebasin.directions import Gaussian
from safebasin.engines.template import Template
from safebasin.errors import PromptError, RunError, RunMismatch, SafebasinError, UsageError
from safebasin.landscape.capability import Capability, Item
from safebasin.plane import Axis, Plane, Point
from safebasin.prompts import load
from safebasin.report.page import document
from safebasin.results import look
from safebasin.run import RunFolder, verify
from safebasin.scanning.preparation import Prepared, prepare
from safebasin.scanning.scan import scan, scan_shard
from safebasin.spread.shards import Shard
from safebasin.study.observer import Silent
from safebasin.testbed import choices_path
from safebasin.testbed.prompt_files import build_choices
from safebasin.weights import Weights

AT = Point.of({"gaussian-0": 0.5})
SMALL = ScanConfig(seeds=(0,), steps=2, limit=4, capability=("testbed:choice-dev",), workers=1)


@pytest.fixture(scope="module")
def bench() -> Bench:
    torch.set_num_threads(1)
    model, tokenizer = Checkpoint.parse("testbed:aligned").load("float32", "cpu")
    weights = Weights(model)
    directions = {"gaussian-0": Gaussian(0, weights)}
    return Bench(model, weights, directions, Template.of(tokenizer), None)


# -- the packaged questions, and files


@pytest.mark.parametrize("split", ["dev", "test"])
def test_the_packaged_choices_are_what_the_code_makes(split: Any) -> None:
    lines = choices_path(split).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        json.loads(json.dumps(asdict(one))) for one in build_choices(split)
    ]
    for one in build_choices(split):
        assert len(one.choices) == len(set(one.choices)) == 4


def test_the_right_choice_has_no_favourite_place() -> None:
    places = [one.answer for one in build_choices("test")]
    assert min(places.count(i) for i in range(4)) > len(places) / 8


@pytest.mark.parametrize("answer", ["1", "B", "b", "blue"])
def test_an_answer_is_a_number_a_letter_or_a_text(answer: str, tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text(
        f'question,choices,answer\nWhich?,"[""red"", ""blue""]",{answer}\n', encoding="utf-8"
    )
    [one] = Choices.load(str(path))
    assert (one.choices, one.answer) == (("red", "blue"), 1)


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ({"question": "", "choices": ["a", "b"], "answer": 0}, "question is empty"),
        ({"question": "Q", "choices": "a, b", "answer": 0}, "no list of texts"),
        ({"question": "Q", "choices": ["a", "a"], "answer": 0}, "all different"),
        ({"question": "Q", "choices": ["a", "b"], "answer": 2}, "none of the choices"),
        ({"question": "Q", "choices": ["a", "b"], "answer": True}, "none of the choices"),
        ({"question": "Q", "choices": ["a", "b"], "answer": None}, "none of the choices"),
    ],
)
def test_a_bad_question_names_its_place(row: dict[str, Any], what: str, tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    with pytest.raises(PromptError, match="line 1") as caught:
        load_task(str(path), ScanConfig())
    assert what in str(caught.value)


def test_bad_capabilities_are_refused_before_a_model_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("  \n")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\xfa")
    bare = tmp_path / "bare.jsonl"
    bare.write_text('{"prompt": "What colour is moss?"}\n')
    for spec, error in [
        (f"perplexity:{tmp_path / 'empty.txt'}", "is empty"),
        (f"perplexity:{tmp_path / 'bytes.txt'}", "not UTF-8"),
        (f"perplexity:{tmp_path / 'none.txt'}", "cannot be read"),
        (f"perplexity:{tmp_path}", "is a folder"),
        (str(bare), "no expected answer"),
        ("testbed:choices", "There is no capability"),
        ("lm-eval:", "names no task"),
        ("lm-eval:mmlu:five", "names no task"),
    ]:
        with pytest.raises(SafebasinError, match=error):
            load_task(spec, ScanConfig())
    with pytest.raises(UsageError, match="named twice"):
        load_tasks(ScanConfig(capability=("testbed:choice", "testbed:choice")))
    with pytest.raises(UsageError, match="vllm"):
        ScanConfig(engine="vllm", capability=("testbed:choice",))


@pytest.mark.parametrize(
    ("spec", "meant"),
    [
        ("testbed:choices", "testbed:choice "),
        ("testbed:capabilty", "testbed:capability "),
        ("choice", "testbed:choice?"),
        ("perplexty:text.txt", "perplexity:text.txt?"),
        ("lm_eval:mmlu:5", "lm-eval:mmlu:5?"),
        ("lmeval:mmlu", "lm-eval:mmlu?"),
    ],
)
def test_a_typo_in_a_capability_is_answered_by_near_names(spec: str, meant: str) -> None:
    with pytest.raises(PromptError, match="no capability") as caught:
        load_task(spec, ScanConfig())
    assert f"Did you mean {meant}" in caught.value.hint
    assert "testbed:choice-dev" in caught.value.hint


def test_what_is_near_to_nothing_is_only_told_what_there_is() -> None:
    with pytest.raises(PromptError, match="zebra") as caught:
        load_task("zebra.csv", ScanConfig())
    assert "Did you mean" not in caught.value.hint


def test_without_lm_eval_a_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="pip install 'safebasin\\[lm-eval\\]'"):
        load_task("lm-eval:mmlu", ScanConfig())


# -- the probes


def by_hand(bench: Bench, context: list[int], rest: list[int]) -> float:
    """One row alone, one token after the other."""
    ids = torch.tensor([[*context, *rest]])
    with torch.inference_mode():
        table = torch.log_softmax(bench.model(input_ids=ids).logits[0].double(), dim=-1)
    return float(sum(table[len(context) - 1 + i, token] for i, token in enumerate(rest)))


def test_choices_are_scored_as_one_row_alone_is(bench: Bench) -> None:
    task = load_task("testbed:choice-dev", ScanConfig(capability_limit=6))
    probe: Any = task.probe(bench)
    for point in (Point(), AT):
        [(_, items)] = probe.answers([point])
        with bench.weights.displaced([(v, bench.directions[n]) for n, v in point.terms]):
            for question, item in zip(task.choices, items, strict=True):  # type: ignore[attr-defined]
                context = bench.template.encode(question.prompt)
                own = [
                    by_hand(
                        bench,
                        context,
                        bench.template.tokenizer.encode(text, add_special_tokens=False),
                    )
                    for text in question.choices
                ]
                assert item.answer == question.choices[int(np.argmax(own))]
                assert item.value == float(int(np.argmax(own)) == question.answer)


def test_a_perplexity_is_that_of_the_whole_text(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("The kind of tiger is animal. The colour of moss is green. " * 60)
    probe: Any = load_task(f"perplexity:{path}", ScanConfig()).probe(bench)
    assert len(probe.rows) > 1
    [(_, items)] = probe.answers([AT])
    with bench.weights.displaced([(0.5, bench.directions["gaussian-0"])]):
        total = sum(by_hand(bench, *row) for row in probe.rows.values())
    tokens = bench.template.tokenizer.encode(path.read_text(), add_special_tokens=False)
    assert sum(item.weight for item in items) == len(tokens)
    assert sum(item.value * item.weight for item in items) == pytest.approx(-total, rel=1e-5)


def test_the_batch_does_not_change_a_likelihood(bench: Bench) -> None:
    probe: Any = load_task("testbed:choice-dev", ScanConfig(capability_limit=5)).probe(bench)
    whole = log_likelihoods(bench, probe.rows)
    assert log_likelihoods(replace(bench, rows=1), probe.rows) == pytest.approx(whole, abs=1e-4)


def test_broken_logits_are_never_right_and_never_a_number(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("Some words to read.")
    tasks = [load_task(s, ScanConfig()) for s in ("testbed:choice-dev", f"perplexity:{path}")]
    choices, text = (task.probe(bench) for task in tasks)

    def broken(module: Any, args: Any, output: torch.Tensor) -> torch.Tensor:
        is_displaced = bool((head.weight != bench.weights.pristine(name)).any())
        return output * math.nan if is_displaced else output

    head = bench.model.get_output_embeddings()
    name = next(n for n, p in bench.model.named_parameters() if p is head.weight)
    hook = head.register_forward_hook(broken)
    try:
        [(_, items)] = choices.answers([AT])
        [(_, windows)] = text.answers([AT])
    finally:
        hook.remove()
    assert {item.value for item in items} == {0.0}
    assert {item.answer for item in items} == {None}
    assert {item.value for item in windows} == {None}


# -- the numbers


def line(values: dict[float, list[float | None]], **more: Any) -> Capability:
    plane = Plane((Axis("d", tuple(sorted(values))),))
    items = {
        Point.of({"d": alpha}): [Item(f"i{k}", v) for k, v in enumerate(row)]
        for alpha, row in values.items()
    }
    return Capability("x", (plane,), items, **more)


def test_how_far_a_capability_is_kept() -> None:
    rows = {-0.5: [1.0] * 5 + [0.0] * 5, 0.0: [1.0] * 10, 0.5: [1.0] * 8 + [0.0] * 2}
    found = line(rows)
    extent = found.extent()
    assert extent.negative is not None
    assert extent.negative.value == pytest.approx(0.1)
    assert extent.positive is not None
    assert extent.positive.value == pytest.approx(0.25)
    assert extent.width is not None
    assert extent.width.value == pytest.approx(0.35)
    origin = found.origin
    assert origin is not None
    assert origin.value.method == "Wilson"
    assert origin.value.low is not None
    assert 0.7 < origin.value.low < 0.73


def test_a_capability_that_is_kept_to_the_end_is_at_least_that() -> None:
    extent = line({-0.5: [1.0] * 4, 0.0: [1.0] * 4, 0.5: [1.0] * 4}).extent()
    assert extent.width is not None
    assert extent.width.at_least
    assert extent.width.high is None
    assert extent.width.value == 1.0


def test_without_any_right_answer_at_the_origin_nothing_can_be_kept() -> None:
    extent = line({-0.5: [0.0] * 4, 0.0: [0.0] * 4, 0.5: [1.0] * 4}).extent()
    assert extent.width is not None
    assert extent.width.value is None


def test_a_perplexity_is_kept_as_the_likelihood_of_a_token_is() -> None:
    log2 = math.log(2)
    found = line({0.0: [log2, log2], 0.5: [3 * log2, log2]}, perplexity=True)
    assert found.mean().value.tolist() == pytest.approx([2, 4])
    assert found.kept().value.tolist() == pytest.approx([1, 0.5])
    assert found.to_json()["higher_is_better"] is False


def test_a_broken_text_is_infinitely_perplexing_and_says_so() -> None:
    found = line({0.0: [1.0, 1.0], 0.25: [1.0, None], 0.5: [900.0, 900.0]}, perplexity=True)
    broken, huge = (found.reading(Point.of({"d": a})) for a in (0.25, 0.5))
    assert broken is not None
    assert broken.value.value is None
    assert broken.unscored == 1
    assert "1 of 2 windows" in broken.value.note
    assert huge is not None
    assert huge.value.value is None
    assert "larger" in huge.value.note
    assert found.kept().value[1] == 0.0
    extent = found.extent()
    assert extent.positive is not None
    assert extent.positive.value is not None
    assert 0 < extent.positive.value < 0.25
    json.dumps(found.to_json(), allow_nan=False)


def test_a_harness_number_has_its_own_error() -> None:
    plane = Plane((Axis("d", (0.0, 0.5)),))
    items = {p: [Item("t", 0.4, weight=50, stderr=0.05)] for p in plane.points}
    found = Capability("lm-eval:t", (plane,), items, harness=True, metric="f1")
    assert found.measure == "metric"
    assert found.origin is not None
    assert found.origin.value.low == pytest.approx(0.4 - 1.96 * 0.05, abs=1e-3)
    whole = {p: [Item("t", 0.5, weight=2, stderr=0.5, each="10")] for p in plane.points}
    counted = Capability("lm-eval:t", (plane,), whole, harness=True, metric="acc")
    assert counted.measure == "accuracy"
    assert counted.size == 2


# -- the run


class Heard(Silent):
    def __init__(self) -> None:
        self.measured: list[tuple[str, int]] = []

    def capability(self, name: str, done: int, points: int) -> None:
        self.measured.append((name, done))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[ScanConfig, Path]:
    folder = tmp_path_factory.mktemp("runs") / "run"
    config = replace(SMALL, out=str(folder))
    scan(prepare(config))
    return config, folder


def test_a_scan_measures_once_and_resumes(finished: tuple[ScanConfig, Path]) -> None:
    config, folder = finished
    heard = Heard()
    result = scan(prepare(config), heard)
    assert heard.measured == []
    assert result.complete
    assert [one.name for one in result.capabilities] == ["testbed:choice-dev"]
    assert verify(folder).capabilities == {"testbed:choice-dev": 3}
    stored = json.loads((folder / "landscape.json").read_text())
    assert stored["capabilities"][0]["origin"]["value"] > 0.9
    assert "capabilities" in json.loads((folder / "manifest.json").read_text())


def test_a_lost_point_alone_is_measured_again(
    finished: tuple[ScanConfig, Path], tmp_path: Path
) -> None:
    config, folder = finished
    shutil.copytree(folder, tmp_path / "run")
    [record] = (tmp_path / "run" / "capability").glob("*/origin.jsonl")
    before = record.read_bytes()
    record.unlink()
    short = look(tmp_path / "run")
    assert not short.complete
    assert short.unmeasured == ("capabilities",)
    note = "Some capabilities are not measured yet; the numbers leave them out."
    assert note in document([short])
    assert ("note", note) in list(lines(short))
    heard = Heard()
    scan(prepare(replace(config, out=str(tmp_path / "run"))), heard)
    assert heard.measured == [("testbed:choice-dev", 2), ("testbed:choice-dev", 3)]
    assert record.read_bytes() == before


def test_damage_is_found(finished: tuple[ScanConfig, Path], tmp_path: Path) -> None:
    _, folder = finished
    shutil.copytree(folder, tmp_path / "run")
    [record] = (tmp_path / "run" / "capability").glob("*/origin.jsonl")
    record.write_bytes(record.read_bytes().replace(b'"value":1.0', b'"value":0.0', 1))
    [problem] = verify(tmp_path / "run").problems
    assert "capability/" in problem.file
    assert problem.what == "was changed after it was written"
    with pytest.raises(RunError, match="damaged"):
        look(tmp_path / "run")
    shutil.copytree(record.parent, tmp_path / "run" / "capability" / "other")
    assert any("no capability" in p.what for p in verify(tmp_path / "run").problems)


def test_a_capability_can_be_added_and_not_be_changed(
    finished: tuple[ScanConfig, Path], tmp_path: Path
) -> None:
    config, folder = finished
    shutil.copytree(folder, tmp_path / "run")
    here = replace(config, out=str(tmp_path / "run"))
    more = replace(here, capability=("testbed:capability-dev",), capability_limit=5)
    result = scan(prepare(more))
    assert {one.name for one in result.capabilities} == {
        "testbed:choice-dev", "testbed:capability-dev",
    }  # fmt: skip
    with pytest.raises(RunMismatch, match="testbed:choice-dev"):
        scan(prepare(replace(here, capability_limit=5)))


def test_without_capabilities_a_run_is_as_it_was(tmp_path: Path) -> None:
    config = replace(SMALL, capability=(), out=str(tmp_path / "run"))
    result = scan(prepare(config))
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert "capabilities" not in manifest
    assert "capabilities" not in result.to_json()
    assert not (tmp_path / "run" / "capability").exists()
    with RunFolder.open(tmp_path / "run", prepare(replace(config)).manifest()) as run:
        before = run.manifest.identity
    added = scan(prepare(replace(SMALL, out=str(tmp_path / "run"))))
    assert RunFolder.read(tmp_path / "run").manifest.identity == before
    assert added.to_json()["judges"] == result.to_json()["judges"]


def test_workers_and_shards_measure_the_same(
    finished: tuple[ScanConfig, Path], tmp_path: Path
) -> None:
    config, folder = finished

    def records(root: Path) -> dict[str, bytes]:
        return {p.name: p.read_bytes() for p in (root / "capability").glob("*/*.jsonl")}

    scan(prepare(replace(config, workers=2, out=str(tmp_path / "two"))))
    assert records(tmp_path / "two") == records(folder)
    for i in (1, 2):
        result = scan_shard(prepare(replace(config, out=str(tmp_path / "s"))), Shard(i, 2))
        assert (result is None) == (i == 1)
    assert records(tmp_path / "s") == records(folder)


def test_the_exact_answers_are_those_of_evaluate(tmp_path: Path) -> None:
    from safebasin.evaluate.preparation import prepare as prepare_evaluation
    from safebasin.evaluate.settings import EvaluateConfig
    from safebasin.evaluate.study import evaluate

    asked = ("testbed:capability-dev",)
    config = replace(SMALL, capability=asked, capability_limit=30, out=str(tmp_path / "run"))
    [one] = scan(prepare(config)).capabilities
    whole = replace(config, limit=30, capability=(), out=str(tmp_path / "one"))
    other = evaluate(
        prepare_evaluation(EvaluateConfig(whole, benign="none", capability=asked[0]))
    ).capability
    assert one.origin is not None
    assert other is not None
    assert one.origin.value.value == other.value


def test_pictures_show_it(finished: tuple[ScanConfig, Path]) -> None:
    from safebasin.report.named import named_figure

    _, folder = finished
    found = look(folder)
    figure = named_figure(
        "capability", found.surveys[found.judge], None, model="m", prompts="p",
        capabilities=found.capabilities,
    )  # fmt: skip
    assert "testbed:choice-dev" in str([t.get_text() for t in figure.axes[0].get_legend().texts])
    with pytest.raises(UsageError, match="No capability"):
        named_figure("capability", found.surveys[found.judge], None, model="m", prompts="p")


# -- lm-eval


@pytest.fixture
def local_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A task over a local file, read without a network."""
    pytest.importorskip("lm_eval", reason="needs lm-eval; `make test-lm-eval` installs it")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    shutil.copy(choices_path("dev"), tmp_path / "choices.jsonl")
    (tmp_path / "abstract.yaml").write_text(
        f"""
task: abstract_choice
dataset_path: json
dataset_kwargs:
  data_files:
    test: {tmp_path / "choices.jsonl"}
output_type: multiple_choice
test_split: test
doc_to_text: "{{{{question}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: answer
target_delimiter: ""
metric_list:
  - metric: acc
metadata:
  version: 1.0
"""
    )
    return tmp_path


@pytest.mark.lm_eval
@pytest.mark.filterwarnings("default")
def test_a_task_of_lm_eval_is_measured_anew_at_every_point(local_task: Path, bench: Bench) -> None:
    """The same choices by our own likelihoods are the independent computation."""
    config = ScanConfig(capability_tasks=str(local_task))
    task: Any = load_task("lm-eval:abstract_choice", config)
    whole = bench.weights.checksum()
    probe = task.probe(bench)
    assert bench.weights.checksum() == whole
    ours = load_task("testbed:choice-dev", ScanConfig()).probe(bench)
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    shares = []
    for point in (Point(), AT, Point.of({"gaussian-0": -0.5}), Point()):
        [(_, items)] = probe.answers([point])
        [(_, own)] = ours.answers([point])
        share = sum(item.value or 0 for item in own) / len(own)
        assert items[0].value == pytest.approx(share)
        assert items[0].each is not None
        assert items[0].each.count("1") == round(share * len(own))
        shares.append(share)
    assert shares[0] == shares[3]
    assert len(set(shares[:3])) == 3
    assert states == (
        random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist(),
    )  # fmt: skip
    assert bench.weights.checksum() == whole
    assert probe.spec()["sha256"] == load_task("lm-eval:abstract_choice", config).sha256  # type: ignore[attr-defined]


@pytest.mark.lm_eval
@pytest.mark.filterwarnings("default")
def test_a_scan_with_a_task_of_lm_eval(local_task: Path) -> None:
    config = replace(
        SMALL,
        capability=("lm-eval:abstract_choice:2",),
        capability_tasks=str(local_task),
        capability_limit=20,
        workers=2,
        out=str(local_task / "run"),
    )
    [planned] = prepare(config).plan().capabilities
    assert (planned.points_missing, planned.seconds) == (3, None)
    [one] = scan(prepare(config)).capabilities
    assert (one.measure, one.metric, one.size) == ("accuracy", "acc", 20)
    heard = Heard()
    scan(prepare(config), heard)
    assert heard.measured == []
    assert not verify(local_task / "run").problems


@pytest.fixture
def written_task(local_task: Path) -> Path:
    """A task whose answers are written out, and a group of it with the other one's parts."""
    questions = load("testbed:capability").sample(24, 0).prompts
    with (local_task / "questions.jsonl").open("w", encoding="utf-8") as file:
        for one in questions:
            file.write(json.dumps({"question": one.text, "answer": one.expected}) + "\n")
    (local_task / "written.yaml").write_text(
        f"""
task: abstract_written
dataset_path: json
dataset_kwargs:
  data_files:
    test: {local_task / "questions.jsonl"}
output_type: generate_until
test_split: test
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
generation_kwargs:
  until: []
  max_gen_toks: 24
  do_sample: false
metric_list:
  - metric: exact_match
    ignore_case: true
    ignore_punctuation: true
metadata:
  version: 1.0
"""
    )
    other = (local_task / "abstract.yaml").read_text().replace("abstract_choice", "abstract_again")
    (local_task / "again.yaml").write_text(other)
    for name, parts in (("choices", "abstract_choice, abstract_again"),
                        ("all", "abstract_choice, abstract_written")):  # fmt: skip
        (local_task / f"{name}.yaml").write_text(
            f"group: abstract_{name}\ntask: [{parts}]\nmetadata:\n  version: 1.0\n"
        )
    return local_task


@pytest.mark.lm_eval
@pytest.mark.filterwarnings("default")
def test_a_task_of_written_answers_is_measured(written_task: Path, bench: Bench) -> None:
    """The same questions by our own exact answers are the independent computation."""
    probe = load_task(
        "lm-eval:abstract_written", ScanConfig(capability_tasks=str(written_task))
    ).probe(bench)
    asked = replace(ScanConfig(), capability_limit=24)
    own_probe = load_task("testbed:capability", asked).probe(bench)
    shares = []
    for point in (Point(), AT):
        [(_, [item])] = probe.answers([point])
        [(_, own)] = own_probe.answers([point])
        shares.append(sum(one.value or 0 for one in own) / len(own))
        assert len(own) == item.weight == 24
        assert item.value == pytest.approx(shares[-1])
    assert shares[0] > 0.9 > shares[1]


@pytest.mark.lm_eval
@pytest.mark.filterwarnings("default")
def test_a_group_of_tasks_is_the_documents_of_its_parts(written_task: Path, bench: Bench) -> None:
    config = ScanConfig(capability_tasks=str(written_task), capability_limit=10)
    [(_, items)] = load_task("lm-eval:abstract_choices", config).probe(bench).answers([Point()])
    assert [item.name for item in items] == ["abstract_again", "abstract_choice"]
    assert items[0].each == items[1].each
    with pytest.raises(UsageError, match="no metric in common"):
        load_task("lm-eval:abstract_all", config)


@pytest.mark.lm_eval
@pytest.mark.filterwarnings("default")
def test_what_lm_eval_lacks_is_said_in_a_sentence(local_task: Path) -> None:
    with pytest.raises(UsageError, match="abstract_choice"):
        load_task("lm-eval:abstract_choic", ScanConfig(capability_tasks=str(local_task)))
    with pytest.raises(UsageError, match="no folder"):
        load_task("lm-eval:mmlu", ScanConfig(capability_tasks=str(local_task / "none")))
    (local_task / "choices.jsonl").unlink()
    with pytest.raises(PromptError, match="cannot be read"):
        load_task("lm-eval:abstract_choice", ScanConfig(capability_tasks=str(local_task)))


def test_prepared_scans_need_no_probes() -> None:
    assert Prepared.__dataclass_fields__["probes"].default == ()
