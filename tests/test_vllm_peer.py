"""The benchmark beside vLLM, with a stand-in for vLLM: what it reloads, and what it answers."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from safebasin.checkpoint import Checkpoint
from safebasin.directions import Gaussian
from safebasin.weights import Weights
from support import pico

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


class Llm:
    """vLLM as the benchmark uses it: transformers over the same folder, with stop texts."""

    made: ClassVar[list[Llm]] = []

    def __init__(self, folder: str, **settings: Any) -> None:
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=settings["dtype"]).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.reloaded: list[dict[str, Tensor]] = []
        Llm.made.append(self)

    def collective_rpc(self, method: str, kwargs: dict[str, str]) -> None:
        assert method == "reload_weights"
        given = load_file(Path(kwargs["weights_path"]) / "model.safetensors")
        self.reloaded.append(given)
        missing, unexpected = self.model.load_state_dict(given, strict=False)
        assert not unexpected
        assert set(missing) <= set(self.model.all_tied_weights_keys)

    def reset_prefix_cache(self) -> None:
        pass

    @torch.inference_mode()
    def generate(self, prompts: Any, params: Any, use_tqdm: bool) -> list[Any]:
        return [SimpleNamespace(outputs=[self._answer(one, params)]) for one in prompts]

    def _answer(self, prompt: dict[str, list[int]], params: Any) -> Any:
        ids = torch.tensor([prompt["prompt_token_ids"]])
        found = self.model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=params.max_tokens,
            do_sample=False,
        )  # fmt: skip
        text = self.tokenizer.decode(found[0, ids.shape[1] :], skip_special_tokens=True)
        ends = [text.index(stop) + len(stop) for stop in params.stop or () if stop in text]
        return SimpleNamespace(text=text[: min(ends, default=len(text))])


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in ("NO_USAGE_STATS", "LOGGING_LEVEL", "CPU_OMP_THREADS_BIND"):
        monkeypatch.setenv(f"VLLM_{name}", "")
    module = ModuleType("vllm")
    module.LLM = Llm  # type: ignore[attr-defined]
    module.SamplingParams = SimpleNamespace  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", module)
    monkeypatch.setattr(Llm, "made", [])
    import vllm_peer

    return vllm_peer


def asked(**settings: Any) -> argparse.Namespace:
    given = {
        "model": "testbed:aligned", "prompt_set": "testbed:harmful", "prompts": 3, "steps": 2,
        "radius": 0.4, "max_new_tokens": 48, "dtype": "float32", "cores": 1, "eager": True,
    }  # fmt: skip
    return argparse.Namespace(**{**given, **settings})


def test_vllm_with_stop_gives_the_verdicts_of_our_engines(bench: Any) -> None:
    found = {way: bench.one(way, asked()) for way in ("vllm, stop", "plain", "fast")}
    rows = {row["way"]: row for row in bench.table([found])}
    assert [row["verdicts_that_differ"] for row in rows.values()] == [0, 0, 0]
    assert rows["vllm, stop"]["times_faster_than_vllm"] == 1
    verdicts = [one for row in found["plain"]["verdicts"].values() for one in row]
    assert set(verdicts) == {True, False}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_tied_model_is_reloaded_where_we_displace_it(
    bench: Any, tmp_path: Path, dtype: str
) -> None:
    folder = pico.save(tmp_path / "model", tied=True)
    bench.one("vllm, stop", asked(model=str(folder), dtype=dtype, prompts=1, max_new_tokens=2))
    model, _ = Checkpoint.parse(str(folder)).load(dtype, "cpu")
    weights = Weights(model)
    direction = Gaussian(bench.SEED, weights, name="d")
    for alpha, given in zip((-0.4, 0.0, 0.4), Llm.made[0].reloaded, strict=True):
        with weights.displaced([(alpha, direction)]):
            own = {name: tensor.clone() for name, tensor in model.named_parameters()}
        assert given.keys() == own.keys()
        for name, tensor in given.items():
            torch.testing.assert_close(tensor, own[name])


def test_threads_are_those_asked_for(bench: Any) -> None:
    assert bench.threads("vllm, stop", asked(cores=2)) == 2
    assert bench.threads("fast, two processes", asked(cores=2)) == 1
    assert bench.shown("testbed:aligned") == "testbed:aligned"


def test_the_command_is_the_one_that_ran_without_local_paths(bench: Any, tmp_path: Path) -> None:
    words = [
        "--model", str(tmp_path), "--prompt-set", f"advbench={tmp_path}/x.csv", "--dtype",
        "bfloat16", "--cores", "1", "--ways", "vllm, stop", "plain", "--out", "there", "--eager",
    ]  # fmt: skip
    given = bench.argument_parser().parse_args(words)
    assert bench.command_of(given) == (
        ".venv-vllm/bin/python benchmarks/vllm_peer.py --ways 'vllm, stop' plain --model M "
        "--prompt-set advbench=FILE --dtype bfloat16 --eager"
    )
    assert bench.command_of(bench.argument_parser().parse_args([])).endswith("vllm_peer.py")


def test_the_page_says_by_the_numbers_what_was_reached(bench: Any) -> None:
    import vllm_peer_page as page

    def measured(ratio: float) -> dict[str, Any]:
        return {"rows": [{"way": "plain", "times_faster_than_vllm": 9.0},
                         {"way": page.OURS, "times_faster_than_vllm": ratio}]}  # fmt: skip

    aimed = f"{page.AIM:g} times vLLM with its stop texts was aimed at for `fast` in each dtype: "
    found = {(True, "float32"): measured(page.AIM), (False, "bfloat16"): measured(page.AIM - 0.01)}
    assert page.verdict(found) == aimed + (
        "reached by the model aligned in float32 (1.50); "
        "missed by the model as it is in bfloat16 (1.49)."
    )
    assert page.verdict({(False, "float32"): measured(0.5)}) == aimed + (
        "missed by the model as it is in float32 (0.50)."
    )
