"""A published protocol: its settings, what contradicts them, its texts, and the paper's values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from safebasin.cli.summary import lines
from safebasin.config import ScanConfig
from safebasin.engines.template import Template
from safebasin.errors import TemplateError, UsageError
from safebasin.protocol import peng2024
from safebasin.protocol.texts import LLAMA2, MISTRAL, ROLEPLAY, SAFETY_MISTRAL_02, VICUNA
from safebasin.results import look, rejudge
from safebasin.run import RunFolder
from support import judged_runs, pico

LLAMA = "meta-llama/Llama-2-7b-chat-hf"


def followed(*explicit: str, system: str | None = None, **given: Any) -> ScanConfig:
    settings = {**ScanConfig().to_json(), **given}
    return ScanConfig.from_json(peng2024.follow(settings, {*given, *explicit}, system))


def test_the_settings_are_the_paper_s() -> None:
    config = followed(model=LLAMA)
    [line, *_] = config.planes()
    assert (config.limit, config.first, config.prompts) == (80, True, "advbench")
    assert config.random_seeds == (0, 1, 2)
    assert line.shape == (21,)
    assert (line.axes[0].values[0], line.axes[0].values[-1]) == (-0.5, 0.5)
    assert (config.max_new_tokens, config.tied, config.dtype) == (512, "reference", "float32")
    assert config.judges[0] == "llm-landscape"
    assert (config.system, config.template) == (LLAMA2, "peng2024:llama2")
    assert ScanConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"steps": 10}, "--steps 10"),
        ({"limit": 80, "first": False}, "--limit 80"),
        ({"seeds": (0, 1)}, "--seeds 0,1"),
        ({"radius": 0.3}, r"--radius 0\.3"),
        ({"judges": ("refusal",)}, "--judge refusal"),
        ({"prompts": "testbed:harmful"}, "--prompts testbed:harmful"),
        ({"max_new_tokens": 64}, "--max-new-tokens 64"),
        ({"tied": "once"}, "--tied once"),
        ({"dtype": "bfloat16"}, "--dtype bfloat16"),
        ({"stop_at_plateau": True}, "--stop-at-plateau"),
        ({"model": LLAMA, "template": "raw"}, "--template raw"),
    ],
)
def test_what_contradicts_it_is_one_sentence_that_names_both(
    given: dict[str, Any], named: str
) -> None:
    with pytest.raises(UsageError, match=f"^{named} contradicts --protocol peng2024, which"):
        followed(**given)
    with pytest.raises(UsageError, match=f"^{named} contradicts"):
        replace(followed(**({"model": given["model"]} if "model" in given else {})), **given)


def test_what_agrees_with_it_may_be_given() -> None:
    config = followed(
        limit=80, first=True, seeds=(5, 6, 7), prompts="advbench=rows.csv", steps=20, workers=2,
        judges=("llm-landscape",),
    )  # fmt: skip
    assert config.random_seeds == (5, 6, 7)
    assert config.judges == ("llm-landscape",)


@pytest.mark.parametrize(
    ("name", "model", "text"),
    [
        ("default", LLAMA, LLAMA2),
        ("default", "meta-llama/Meta-Llama-3-8B-Instruct@main", LLAMA2),
        ("default", "mistralai/Mistral-7B-Instruct-v0.2", MISTRAL),
        ("default", "models/vicuna-7b-v1.5/", VICUNA),
        ("default", "testbed:aligned", None),
        ("empty", LLAMA, ""),
        ("roleplay", LLAMA, ROLEPLAY),
        ("llama2", "testbed:aligned", LLAMA2),
        ("safety", "mistralai/Mistral-7B-Instruct-v0.2", SAFETY_MISTRAL_02),
    ],
)
def test_system_messages_by_name(name: str, model: str, text: str | None) -> None:
    assert followed(model=model, system=name).system == text


def test_a_system_message_that_the_paper_does_not_have() -> None:
    with pytest.raises(UsageError, match="--system 'Be nice' contradicts --protocol peng2024"):
        followed(system="Be nice")
    with pytest.raises(UsageError, match=r"tuned for Mistral-7B-instruct-v0\.2 and"):
        followed(model=LLAMA, system="safety")
    with pytest.raises(UsageError, match="--system 'Be nice' contradicts"):
        replace(followed(), system="Be nice")


def spelt_out(family: str, system: str, prompt: str) -> str:
    """As the paper's code formats a prompt, with the start token that its tokenizers add."""
    if family == "vicuna":
        return f"<s>{system + ' ' if system else ''}USER: {prompt} ASSISTANT:"
    if family == "llama3":
        return (
            f"<s><|start_header_id|>system<|end_header_id|>\n\n{system}<|eot_id|>"
            f"<|start_header_id|>user<|end_header_id|>\n\n{prompt}<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n"
        )
    if family == "llama2" and system:
        system = f"<<SYS>>\n{system}\n<</SYS>>\n\n"
    elif system:
        system += " "
    return f"<s>[INST] {system}{prompt} [/INST]"


@pytest.mark.parametrize("system", [LLAMA2, ""])
@pytest.mark.parametrize("family", ["llama2", "llama3", "mistral", "vicuna"])
def test_templates_are_the_code_s_letter_by_letter(family: str, system: str) -> None:
    template = Template.of(pico.tokenizer(), f"peng2024:{family}", system)
    assert template.render(" Say this.\n") == spelt_out(family, system, "Say this.")
    with pytest.raises(TemplateError, match="no template 'peng2024:x'"):
        Template.of(pico.tokenizer(), "peng2024:x")


@pytest.mark.parametrize(
    ("model", "system", "visage"),
    [
        (LLAMA, LLAMA2, 85.32),
        (LLAMA, "", 80.68),
        (LLAMA, ROLEPLAY, None),
        (f"{LLAMA}+adapter", LLAMA2, None),
        ("meta-llama/Meta-Llama-3-8B-Instruct", LLAMA2, 90.40),
        ("mistralai/Mistral-7B-Instruct-v0.2", MISTRAL, 82.04),
        ("mistralai/Mistral-7B-Instruct-v0.1", MISTRAL, None),
        ("lmsys/vicuna-7b-v1.5", VICUNA, 77.37),
        ("testbed:aligned", None, None),
    ],
)
def test_the_paper_s_values(model: str, system: str | None, visage: float | None) -> None:
    found = peng2024.published(model, system)
    assert (None if found is None else found[1]) == visage


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (LLAMA, "85.32 in the paper for Llama2-7B-chat (Peng et al. 2024, Fig. 1)"),
        ("testbed:aligned", "the paper gives no value for this model"),
    ],
)
def test_the_paper_s_value_stands_beside_ours(tmp_path: Path, model: str, said: str) -> None:
    path = judged_runs.write(tmp_path / "run", lambda point, n: judged_runs.REFUSAL)
    recorded = RunFolder.read(path).manifest
    settings = followed(model=model).to_json()
    with RunFolder.open(path, replace(recorded, config=settings)):
        pass
    rejudge(path, ["llm-landscape"])
    result = look(path)
    assert any(said in text for _, text in lines(result))
    assert result.to_json()["protocol"]["name"] == "peng2024"


def test_on_the_command_line(command: Callable[..., tuple[int, str, str]]) -> None:
    code, _, err = command("scan", "--protocol", "peng2024", "--steps", 10)
    assert code == 2
    assert "--steps 10 contradicts --protocol peng2024" in err
    code, _, err = command("scan", "--protocol", "peng2024", "--adaptive")
    assert (code, "--adaptive contradicts --protocol peng2024" in err) == (2, True)
    code, _, err = command("scan", "--protocol", "other")
    assert (code, "no protocol 'other'" in err) == (2, True)


def test_a_file_of_the_papers_prompts_is_told_how_to_be_given() -> None:
    with pytest.raises(UsageError, match="which asks AdvBench") as caught:
        followed(prompts="advbench.csv")
    assert "--prompts advbench=FILE where it is AdvBench" in caught.value.hint
