"""What a tuned model brings beside its weights: noted, or refused where it changes answers."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken
from transformers import AutoTokenizer

from safebasin.checkpoint import Checkpoint
from safebasin.checkpoint.mismatches import recorded_base
from safebasin.compare.comparison import TUNED
from safebasin.compare.preparation import Prepared, prepare
from safebasin.compare.settings import CompareConfig
from safebasin.compare.study import compare
from safebasin.config import ScanConfig
from safebasin.engines import Sampling
from safebasin.engines.end_tokens import EndTokens
from safebasin.errors import CheckpointError, DirectionError, SafebasinError
from safebasin.exchange import Exchange
from safebasin.plane import Point
from safebasin.run import RunFolder
from safebasin.scanning.preparation import prepare as prepare_scan
from safebasin.trajectory.preparation import prepare as prepare_trajectory
from safebasin.trajectory.settings import TrajectoryConfig
from support import pico
from test_compare import near, settings

COMMIT, OTHER = "a" * 40, "b" * 40
HALF = Point.of({"tuned": 0.5})


def edit(path: Path, **changes: Any) -> None:
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.write_text(json.dumps(known | changes), encoding="utf-8")


def pair(tmp_path: Path, how: str = "full") -> tuple[Path, Path]:
    """A base, and a fine-tune or an adapter of it with the same tokenizer beside it."""
    base = pico.save(tmp_path / "base")
    if how == "full":
        return base, near(tmp_path, base)
    tuned = pico.adapter(base, tmp_path / "tuned")
    pico.tokenizer().save_pretrained(tuned)
    return base, tuned


def prepared(tmp_path: Path, base: Path, tuned: Path | str, **changes: Any) -> Prepared:
    own = settings(tmp_path, base, **changes)
    return prepare(CompareConfig(str(tuned), own, steps=2, refine=0))


def notes(tmp_path: Path, base: Path, tuned: Path | str, **changes: Any) -> str:
    return "\n".join(prepared(tmp_path, base, tuned, **changes).notes)


def retokenise(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "tokenizer.json"
    known = json.loads(path.read_text(encoding="utf-8"))
    change(known)
    path.write_text(json.dumps(known), encoding="utf-8")


def rename(folder: Path, old: str, new: str) -> None:
    """Give a token another name, in the table and wherever else it is named."""

    def change(known: dict[str, Any]) -> None:
        known["model"]["vocab"][new] = known["model"]["vocab"].pop(old)
        for token in known["added_tokens"]:
            token["content"] = new if token["content"] == old else token["content"]

    retokenise(folder, change)
    settings = folder / "tokenizer_config.json"
    settings.write_text(settings.read_text("utf-8").replace(f'"{old}"', f'"{new}"'), "utf-8")


def alone(tmp_path: Path, model: Path | str, tokens: int = 8) -> list[Exchange]:
    """A model's answers by itself, by the plain engine."""
    own = settings(
        tmp_path, Path("unused"), model=str(model), engine="plain", full_responses=True,
        out=str(tmp_path / "alone"), steps=0, seeds=(0,), max_new_tokens=tokens,
    )  # fmt: skip
    ready = prepare_scan(own)
    [(_, found)] = ready.engine.answers([Point()], ready.prompts.prompts, Sampling(tokens))
    return found


def third_tokens(tmp_path: Path, model: Path | str) -> list[int]:
    """What the model writes third, by transformers alone."""
    ready = prepare_scan(
        settings(tmp_path, Path("unused"), model=str(model), out=str(tmp_path / "x"))
    )
    found = set()
    for prompt in ready.prompts.prompts:
        import torch

        row = torch.tensor([ready.engine.template.encode(prompt)])
        made = ready.engine.model.generate(
            row, attention_mask=torch.ones_like(row), max_new_tokens=3, do_sample=False
        )
        found.add(int(made[0, -1]))
    return sorted(found)


@pytest.mark.parametrize("engine", ["plain", "fast"])
def test_each_end_of_the_path_ends_its_answers_by_its_own_tokens(
    tmp_path: Path, engine: str
) -> None:
    base, tuned = pair(tmp_path)
    edit(tuned / "generation_config.json", eos_token_id=third_tokens(tmp_path, tuned))
    edit(base / "generation_config.json", eos_token_id=third_tokens(tmp_path, base))
    ready = prepared(tmp_path, base, tuned, engine=engine, max_new_tokens=8)
    assert any("ends its answers at" in note for note in ready.notes)
    found = compare(ready)
    assert found.page is not None
    assert "The tuned model ends its answers at" in found.page.read_text("utf-8")
    run = RunFolder.read(found.folder / "path")
    for point, model in ((Point(), base), (TUNED, tuned)):
        got, expected = run.read_point(point), alone(tmp_path, model)
        assert got is not None
        assert [(e.response, e.finish, e.new_tokens) for e in got] == [
            (e.response, e.finish, e.new_tokens) for e in expected
        ]
        assert {e.new_tokens for e in got} <= {1, 2, 3}
    plain = getattr(ready.engine, "plain", ready.engine)
    assert plain.ends.of(HALF) == tuple(
        sorted({*Checkpoint(str(base)).end_tokens(), *Checkpoint(str(tuned)).end_tokens()})
    )
    assert ready.identity["end_tokens"] == {TUNED.label: list(plain.ends.of(TUNED))}


def test_end_tokens_between_models_are_those_of_any() -> None:
    ends = EndTokens((2, 5), {TUNED: (2, 9)})
    assert (ends.of(Point()), ends.of(TUNED), ends.of(HALF)) == ((2, 5), (2, 9), (2, 5, 9))
    assert EndTokens((2,)).of(HALF) == (2,)


def test_models_that_end_alike_keep_the_identity_of_their_runs(tmp_path: Path) -> None:
    for how in ("full", "adapter"):
        (tmp_path / how).mkdir()
        base, tuned = pair(tmp_path / how, how)
        ready = prepared(tmp_path / how, base, tuned)
        assert "end_tokens" not in ready.identity
        assert not any("tuned model" in note for note in ready.notes)


def test_the_end_token_of_an_adapters_tokenizer_counts(tmp_path: Path) -> None:
    base, tuned = pair(tmp_path, "adapter")
    edit(tuned / "tokenizer_config.json", eos_token="<|user|>")
    both = f"{base}+{tuned}"
    assert Checkpoint.parse(both).end_tokens() == (pico.EOS, 4)
    model, _ = Checkpoint.parse(both).load("float32", "cpu")
    assert model.generation_config.eos_token_id == [pico.EOS, 4]
    assert "'<|user|>' (4)" in notes(tmp_path, base, tuned)


@pytest.mark.parametrize("how", ["full", "generation", "no settings"])
def test_end_tokens_are_those_of_the_loaded_model(tmp_path: Path, how: str) -> None:
    from safebasin.engines.plain import end_tokens_of

    folder = pico.save(tmp_path / "model")
    if how == "generation":
        edit(folder / "generation_config.json", eos_token_id=[7, 9])
    if how == "no settings":
        (folder / "generation_config.json").unlink()
        edit(folder / "config.json", eos_token_id=11)
    checkpoint = Checkpoint(str(folder))
    assert checkpoint.end_tokens() == end_tokens_of(*checkpoint.load("float32", "cpu"))


def test_an_end_token_that_the_base_cannot_write_is_refused(tmp_path: Path) -> None:
    base = pico.save(tmp_path / "base")
    tuned = pico.save(tmp_path / "tuned", vocab_size=pico.VOCABULARY + 2)
    edit(tuned / "generation_config.json", eos_token_id=[pico.EOS, pico.VOCABULARY + 1])
    with pytest.raises(DirectionError, match=r"ends its answers at token 263.* 262 tokens only"):
        prepared(tmp_path, base, tuned)


@pytest.mark.parametrize("how", ["full", "adapter"])
@pytest.mark.parametrize("token", ["q", "<|user|>"], ids=["a byte", "a special token in use"])
def test_an_id_that_means_another_token_is_refused(tmp_path: Path, how: str, token: str) -> None:
    base, tuned = pair(tmp_path, how)
    rename(tuned, token, "renamed")
    with pytest.raises(DirectionError, match="has other tokens for") as caught:
        prepared(tmp_path, base, tuned)
    assert "vocabulary" in caught.value.hint


def test_a_special_token_that_nobody_writes_may_have_another_name(tmp_path: Path) -> None:
    base, tuned = pair(tmp_path)
    rename(tuned, "<|system|>", "<|tool|>")
    text = notes(tmp_path, base, tuned)
    assert "has other names for special tokens: '<|tool|>' (here '<|system|>')" in text
    with pytest.raises(DirectionError, match="has other tokens"):
        prepared(tmp_path, base, tuned, system="Be brief.")


@pytest.mark.parametrize("how", ["full", "adapter"])
def test_prompts_that_the_tuned_model_splits_otherwise_are_refused(
    tmp_path: Path, how: str
) -> None:
    """The same table of tokens, and other merges, or other rules of splitting."""
    base, tuned = pair(tmp_path, how)

    def put_a_space_before(known: dict[str, Any]) -> None:
        known["pre_tokenizer"]["add_prefix_space"] = True

    retokenise(tuned, put_a_space_before)
    with pytest.raises(DirectionError, match="splits 3 of 3 prompts, such as"):
        prepared(tmp_path, base, tuned)


def test_added_tokens_are_noted_and_refused_where_they_are_asked_with(tmp_path: Path) -> None:
    base = pico.save(tmp_path / "base")
    tuned = pico.save(tmp_path / "tuned", vocab_size=pico.VOCABULARY + 1, seed=1)
    own = AutoTokenizer.from_pretrained(tuned)
    own.add_tokens([AddedToken("<|think|>", special=True)])
    own.save_pretrained(tuned)
    text = notes(tmp_path, base, tuned)
    assert "has 1 token more than the base, such as '<|think|>'" in text
    assert "no row for 1 of them" in text
    template = tmp_path / "chat.jinja"
    template.write_text("<|think|>{{ messages[0]['content'] }}", encoding="utf-8")
    with pytest.raises(DirectionError, match=r"writes '<\|think\|>'.*takes for text"):
        prepared(tmp_path, base, tuned, template=str(template))
    text = notes(tmp_path, tuned, base)
    assert "lacks 1 token of the base, such as '<|think|>'" in text


DEFAULT_SYSTEM = pico.CHAT_TEMPLATE.replace(
    "{% for m in messages %}",
    "{% if messages[0]['role'] != 'system' %}<|system|>You obey.{% endif %}{% for m in messages %}",
    1,
)


@pytest.mark.parametrize("how", ["full", "adapter"])
def test_another_template_and_its_system_message_are_noted_and_can_be_used(
    tmp_path: Path, how: str
) -> None:
    base, tuned = pair(tmp_path, how)
    (tuned / "chat_template.jinja").write_text(DEFAULT_SYSTEM, encoding="utf-8")
    text = notes(tmp_path, base, tuned)
    assert "chat template" in text
    assert "told 'You obey.' by its chat template, and here nothing before a prompt" in text
    taken = prepared(tmp_path, base, tuned, template=str(tuned))
    assert taken.engine.template.render("Hi") == "<s><|system|>You obey.<|user|>Hi<|assistant|>"
    assert not any("chat template" in note for note in taken.notes)
    assert "is told" not in notes(tmp_path, base, tuned, system="Be brief.")
    assert "chat template" not in notes(tmp_path, base, tuned, template="raw")


def test_a_template_that_writes_alike_is_told_so(tmp_path: Path) -> None:
    base, tuned = pair(tmp_path)
    (tuned / "chat_template.jinja").write_text(f"{pico.CHAT_TEMPLATE}{{# alike #}}", "utf-8")
    assert "writes a prompt just so" in notes(tmp_path, base, tuned)
    (tuned / "chat_template.jinja").unlink()
    assert "has no chat template" in notes(tmp_path, base, tuned)


def test_a_scan_warns_of_what_an_adapter_brings(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    base, tuned = pair(tmp_path, "adapter")
    own = settings(tmp_path, base, model=f"{base}+{tuned}", seeds=(0,), steps=2)
    with caplog.at_level(logging.WARNING, "safebasin"):
        prepare_scan(own)
        assert not caplog.records
        (tuned / "chat_template.jinja").write_text(DEFAULT_SYSTEM, encoding="utf-8")
        edit(tuned / "adapter_config.json", base_model_name_or_path="someone/else")
        prepare_scan(own)
    first, second = (record.getMessage() for record in caplog.records)
    assert "trained on 'someone/else', and is put on 'base'" in first
    assert "chat template of its own" in second


def test_a_scan_of_an_adapter_with_other_tokens_is_refused(tmp_path: Path) -> None:
    base, tuned = pair(tmp_path, "adapter")
    rename(tuned, "q", "renamed")
    own = settings(tmp_path, base, model=f"{base}+{tuned}", seeds=(0,), steps=2)
    with pytest.raises(CheckpointError, match="The adapter 'tuned' has other tokens for 'q'"):
        prepare_scan(own)


def test_a_tokenizer_beside_an_adapter_that_cannot_be_read_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    base, tuned = pair(tmp_path, "adapter")
    (tuned / "tokenizer.json").write_text("{", encoding="utf-8")
    with caplog.at_level(logging.WARNING, "safebasin"):
        prepared(tmp_path, base, tuned)
    assert "tokenizer beside the adapter 'tuned' cannot be read" in caplog.text


@pytest.mark.parametrize(
    ("recorded", "note"),
    [
        (None, ""),
        ("/somewhere/else/base", ""),
        ("org/other", "trained on 'org/other', and is put on 'base'"),
        ("unsloth/base-bnb-4bit", "quantised base, 'unsloth/base-bnb-4bit'"),
        ("x\x1b[31m", "'x\\x1b[31m'"),
    ],
)
def test_the_base_that_an_adapter_records(tmp_path: Path, recorded: Any, note: str) -> None:
    base, tuned = pair(tmp_path, "adapter")
    edit(tuned / "adapter_config.json", base_model_name_or_path=recorded)
    text = notes(tmp_path, base, tuned)
    assert note in text
    assert note or "adapter '" not in text


def on_the_hub(tmp_path: Path, revision: str | None, recorded: dict[str, Any]) -> Checkpoint:
    """An adapter over a base that the hub's cache holds at COMMIT, which its tag v1 is."""
    cache = tmp_path / "models--org--base"
    folder = cache / "snapshots" / COMMIT
    folder.parent.mkdir(parents=True, exist_ok=True)
    if not folder.exists():
        pico.save(folder)
        (cache / "refs").mkdir()
        (cache / "refs" / "v1").write_text(COMMIT, encoding="utf-8")
    adapter = tmp_path / "adapter"
    if not adapter.exists():
        pico.adapter(folder, adapter)
    edit(adapter / "adapter_config.json", base_model_name_or_path="org/base", revision=None)
    edit(adapter / "adapter_config.json", **recorded)
    found = Checkpoint("org/base", str(adapter), revision)
    found.__dict__["folders"] = (folder, adapter)
    return found


def test_a_recorded_revision_of_the_base_holds(tmp_path: Path) -> None:
    def told(at: str | None, **recorded: Any) -> list[str]:
        return [m.sentence for m in recorded_base(on_the_hub(tmp_path, at, recorded))]

    assert told(None) == told(None, revision="main") == []
    assert told(None, revision=COMMIT) == told(None, revision="v1") == told("v1", revision="v1")
    assert told("v1", revision="v1") == []
    assert "cannot be told" in told(None, revision="v7")[0]
    assert "is put on 'org/base'" in told(None, base_model_name_or_path="other/base")[0]
    wrong = on_the_hub(tmp_path, None, {"revision": OTHER})
    with pytest.raises(CheckpointError, match=rf"revision '{OTHER}' of 'org/base'.*'{COMMIT}'"):
        wrong.check()
    with pytest.raises(CheckpointError, match=r"revision 'v7'.*revision 'v2'") as caught:
        on_the_hub(tmp_path, "v2", {"revision": "v7"}).check()
    assert "org/base@v7" in caught.value.hint


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}, "rope_parameters"),
        ({"rms_norm_eps": 0.1}, r"rms_norm_eps \(0\.1, here 1e-06\)"),
        ({"hidden_act": "relu"}, r"hidden_act \(relu, here silu\)"),
        (
            {"model_type": "mistral", "architectures": ["MistralForCausalLM"]},
            "architecture mistral",
        ),
    ],
)
def test_weights_that_compute_something_else_are_refused(
    tmp_path: Path, changes: dict[str, Any], complaint: str
) -> None:
    base, tuned = pair(tmp_path)
    edit(tuned / "config.json", **changes)
    with pytest.raises(DirectionError, match=complaint) as caught:
        prepared(tmp_path, base, tuned)
    assert caught.value.hint


def test_settings_that_change_no_answer_are_no_mismatch(tmp_path: Path) -> None:
    base, tuned = pair(tmp_path)
    edit(
        tuned / "config.json", max_position_embeddings=1024, use_cache=False,
        attention_dropout=0.1, _name_or_path="x", tool_version="3", transformers_version="4.40.0",
    )  # fmt: skip
    assert not any("tuned model" in note for note in prepared(tmp_path, base, tuned).notes)


def test_a_quantised_tuned_model_is_named(tmp_path: Path) -> None:
    base, tuned = pair(tmp_path)
    edit(tuned / "config.json", quantization_config={"quant_method": "bitsandbytes"})
    with pytest.raises(SafebasinError, match="tuned' is quantised"):
        prepared(tmp_path, base, tuned)


def test_a_trajectory_ends_each_checkpoint_by_its_own_tokens(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    base = pico.save(tmp_path / "base")
    first, last = near(tmp_path, base, "one"), pico.save(tmp_path / "two", seed=3)
    edit(last / "generation_config.json", eos_token_id=[pico.EOS, 40])
    scan: ScanConfig = settings(tmp_path, base, steps=2)
    config = TrajectoryConfig((str(first), str(last)), scan=scan)
    with caplog.at_level(logging.WARNING, "safebasin"):
        ready = prepare_trajectory(config)
    assert [r.getMessage()[:36] for r in caplog.records] == ["two: the tuned model ends its answer"]
    at = {name: Point.of({name: 1.0}) for name in ("checkpoint-1", "checkpoint-2")}
    ends = ready.engine.plain.ends
    assert ends.of(at["checkpoint-1"]) == ends.of(Point()) == (pico.EOS,)
    assert ends.of(at["checkpoint-2"]) == ends.of(Point.of({"principal-1": 0.5})) == (pico.EOS, 40)
    assert set(ready.identity["end_tokens"]) == {point.label for point in at.values()}
    shutil.rmtree(last)
    shutil.copytree(first, last)
    edit(last / "config.json", rms_norm_eps=0.1)
    with pytest.raises(DirectionError, match="rms_norm_eps"):
        prepare_trajectory(replace(config))
