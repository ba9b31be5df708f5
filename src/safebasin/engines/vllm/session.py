"""One running vLLM: its start, its weights, its answers. Everything that vLLM's names appear in."""

from __future__ import annotations

import os
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import Any, Literal, TypeVar

import psutil
import torch
from torch import Tensor

from safebasin.engines.memory import SHARE_OF_FREE, cache_bytes_per_token, free_bytes
from safebasin.engines.vllm.weight_stream import offered
from safebasin.engines.vllm.worker import WeightReceiver
from safebasin.errors import EngineError, SafebasinError

BLOCK = 128
"""Tokens of one block of vLLM's cache on a CPU; on GPUs blocks are smaller."""

PATIENCE = 1.0
"""Seconds between looks at whether vLLM's processes still run."""

RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""The ranks that vLLM makes room for; an adapter of any smaller one fits."""

INSTALL = "Run `pip install 'safebasin[vllm]'`, or give --engine fast."


Result = TypeVar("Result")


@dataclass(frozen=True)
class Generated:
    """The new tokens of one row, and what ended it: an end token, the limit, or a stop text."""

    tokens: list[int]
    end: Literal["eos", "length", "stop"]


@dataclass(frozen=True)
class Slots:
    """Room for LoRA adapters in vLLM: how many in a batch, of which rank, on which modules."""

    adapters: int
    rank: int
    modules: tuple[str, ...]

    def options(self) -> dict[str, object]:
        return {
            "enable_lora": True,
            "max_loras": self.adapters,
            "max_lora_rank": next(rank for rank in RANKS if rank >= self.rank),
            "lora_target_modules": list(self.modules),
        }


def require_vllm() -> None:
    """Raise EngineError where vLLM is not installed. Nothing is imported."""
    if find_spec("vllm") is None:
        raise EngineError("The engine vllm needs vLLM, which is not installed.", INSTALL)


_SIZES = ("vocab_size", "num_hidden_layers", "tie_word_embeddings")


def require_as_stored(model: Any, *, trust_remote_code: bool = False) -> None:
    """Raise EngineError where a model is laid out otherwise than its folder's config says.

    An adapter may have given it other rows, more layers or two tables instead of a tied one;
    vLLM builds what the config says.
    """
    from transformers import AutoConfig

    if not (Path(model.name_or_path) / "config.json").is_file():
        return
    stored = AutoConfig.from_pretrained(
        model.name_or_path, trust_remote_code=trust_remote_code, local_files_only=True
    ).get_text_config()
    own = model.config.get_text_config()
    other = [name for name in _SIZES if getattr(own, name, None) != getattr(stored, name, None)]
    if other:
        raise EngineError(
            f"vLLM builds the model of the base's config.json, and an adapter gives this one "
            f"another {' and '.join(other)}.",
            "Give --engine fast, or run `safebasin merge BASE+ADAPTER OUT` and scan OUT.",
        )


class Session:
    """vLLM in processes of its own, with weights that are given to it.

    It starts with the architecture and the tokenizer in `model`'s folder and with arbitrary
    weights: call `load` before anything else. Rows, prompt and answer, have up to `length` tokens;
    `rows` of them are answered at a time. On a CPU it works with as many threads as torch does
    here, and its cache takes what the rows need; on a GPU vLLM takes 92 % of the free memory.
    With `slots` it answers under LoRA adapters too. With `tensor_parallel` so many workers on this
    machine, a GPU each, hold a part of the model each.

    Raises EngineError where vLLM cannot run the model or stops running.
    """

    def __init__(
        self,
        model: Any,
        length: int,
        rows: int,
        *,
        trust_remote_code: bool,
        slots: Slots | None = None,
        tensor_parallel: int = 1,
    ) -> None:
        self.tensor_parallel = tensor_parallel
        self.length = length
        self.rows = rows
        self._adapters: list[Any] = []
        _settle_environment()
        before = set(_children())
        with _told_in_one_sentence("cannot run this model"):
            import vllm
            from vllm.platforms import current_platform

            self.version: str = vllm.__version__
            self.device: str = current_platform.device_type
            on_cpu = self.device == "cpu"
            self._llm: Any = vllm.LLM(
                model.name_or_path,
                dtype=str(model.dtype).removeprefix("torch."),
                load_format="dummy",  # no weights are opened: they are streamed
                generation_config="vllm",  # not the checkpoint's: answers are drawn greedily
                worker_extension_cls=f"{WeightReceiver.__module__}.{WeightReceiver.__name__}",
                trust_remote_code=trust_remote_code,
                max_model_len=length,
                max_num_seqs=rows,
                enable_prefix_caching=True,
                # Compiling takes longer than it saves on a CPU.
                enforce_eager=on_cpu,
                kv_cache_memory_bytes=_cache_bytes(model, length, rows) if on_cpu else None,
                **(slots.options() if slots is not None else {}),
                **_divided(tensor_parallel),
            )
        self._processes = [process for process in _children() if process not in before]
        self._close = weakref.finalize(self, self._llm.llm_engine.engine_core.shutdown)

    def load(self, tensors: Iterable[tuple[str, Tensor]]) -> None:
        """Replace all weights, and forget every key and value that the old ones gave."""
        with _told_in_one_sentence("does not take the weights"):
            with offered(tensors, self.tensor_parallel) as path:
                self._while_alive(lambda: self._llm.collective_rpc("receive_weights", args=(path,)))
            if not self._while_alive(self._llm.reset_prefix_cache):
                raise RuntimeError("its prefix cache cannot be emptied")

    def adopt(self, folder: Path) -> int:
        """Load the LoRA adapter in a folder; returns the number that rows name it by.

        It stays until as many others have come as there are slots, and goes with the weights
        that it was loaded over. Keys and values of different adapters are never shared.
        """
        from vllm.lora.request import LoRARequest

        number = len(self._adapters) + 1
        request = LoRARequest(f"adapter-{number}", number, str(folder))
        with _told_in_one_sentence("does not take the adapter"):
            # Loaded by itself: where loading fails in the middle of a batch, vLLM ends.
            if not self._while_alive(lambda: self._llm.llm_engine.add_lora(request)):
                raise RuntimeError("it is not loaded")
        self._adapters.append(request)
        return number

    def generate(
        self,
        prompts: Sequence[list[int]],
        limit: int,
        end_tokens: Sequence[int],
        stop: Sequence[str] = (),
        adapters: Sequence[int] = (),
    ) -> list[Generated]:
        """Answer greedily: up to `limit` tokens, an end token or a stop text, which are kept.

        `adapters` names one for each prompt; without any the weights alone answer. Both at once
        are not offered: on a CPU vLLM gives a row without an adapter that of the last slot.
        """
        from vllm import SamplingParams

        params = SamplingParams(
            temperature=0.0,
            max_tokens=limit,
            stop=list(stop),
            include_stop_str_in_output=True,
            stop_token_ids=list(end_tokens),
            detokenize=bool(stop),
        )
        return [_generated(output.outputs[0]) for output in self._ask(prompts, params, adapters)]

    def score(self, rows: Sequence[list[int]], adapters: Sequence[int] = ()) -> list[list[float]]:
        """The log-probability (nats) of each token but the first, given those before it.

        A row has to have fewer than `length` tokens; `adapters` are as for `generate`.
        """
        from vllm import SamplingParams

        params = SamplingParams(temperature=0.0, max_tokens=1, prompt_logprobs=0, detokenize=False)
        return [
            [
                scored[token].logprob
                for token, scored in zip(row[1:], output.prompt_logprobs[1:], strict=True)
            ]
            for row, output in zip(rows, self._ask(rows, params, adapters), strict=True)
        ]

    def close(self) -> None:
        """End vLLM's processes; a second time does nothing."""
        self._close()

    def _ask(self, rows: Sequence[list[int]], params: Any, adapters: Sequence[int]) -> list[Any]:
        prompts = [{"prompt_token_ids": row} for row in rows]
        requests = [self._adapters[number - 1] for number in adapters] or None
        with _told_in_one_sentence("stopped answering"):
            return self._while_alive(
                lambda: list(
                    self._llm.generate(prompts, params, use_tqdm=False, lora_request=requests)
                )
            )

    def _while_alive(self, call: Callable[[], Result]) -> Result:
        """What a call gives. vLLM may wait for ever for a process that has died; this does not."""
        future: Future[Result] = Future()

        def work() -> None:
            try:
                future.set_result(call())
            except BaseException as error:  # it is raised again where the result is taken
                future.set_exception(error)

        Thread(target=work, daemon=True).start()
        while not wait([future], PATIENCE).done:
            if not all(_runs(process) for process in self._processes):
                raise RuntimeError("one of its processes has died")
        return future.result()


def _divided(count: int) -> dict[str, object]:
    """Options for so many workers. They are processes of this machine, also inside a Ray actor,
    where vLLM would look for a placement group that its own processes do not see."""
    if count == 1:
        return {}
    return {"tensor_parallel_size": count, "distributed_executor_backend": "mp"}


def _children() -> list[psutil.Process]:
    return list(psutil.Process().children(recursive=True))


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _generated(output: Any) -> Generated:
    tokens = [int(token) for token in output.token_ids]
    if output.finish_reason == "length":
        return Generated(tokens, "length")
    if output.finish_reason != "stop":
        raise EngineError(
            f"vLLM gave up an answer ({output.finish_reason}).", "Run the same command again."
        )
    return Generated(tokens, "stop" if isinstance(output.stop_reason, str) else "eos")


def _cache_bytes(model: Any, length: int, rows: int) -> int:
    """What the cache of so many rows takes, one of them at least, but no more than there is."""
    row = -(-length // BLOCK) * BLOCK * cache_bytes_per_token(model)
    free = free_bytes(torch.device("cpu"))
    # One block more than the rows fill: vLLM keeps one for itself.
    return int(max(1, min(rows, SHARE_OF_FREE * free // row)) + 1) * row


def _settle_environment() -> None:
    """What vLLM reads from the environment; what the user has set there stays."""
    settings = {
        "VLLM_NO_USAGE_STATS": "1",  # it would report to its makers
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_LOGGING_STREAM": "ext://sys.stderr",  # standard output is the result's
    }
    if not torch.cuda.is_available():
        settings |= {
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "OMP_NUM_THREADS": str(torch.get_num_threads()),
        }
    for name, value in settings.items():
        os.environ.setdefault(name, value)


@contextmanager
def _told_in_one_sentence(what: str) -> Iterator[None]:
    """Turn what vLLM raises, which is of any type, into one sentence; its warnings are quiet."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (SafebasinError, MemoryError):
        raise
    except Exception as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        reason = lines[0].strip().rstrip(".") if lines else type(error).__name__
        raise EngineError(f"vLLM {what}: {reason}.", "Give --engine fast or plain.") from error
