"""Models of a published shape with random weights, and a tokenizer of a size to match.

Nothing is downloaded: the answers of such a model mean nothing, but they cost what a real model's
cost. They are whole, since no verdict stops them, and no draft is asked for, since a random model
repeats itself.
"""

from __future__ import annotations

import hashlib
import math
import random
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from safebasin.prompts.prompt import Prompt
from safebasin.weights import Weights
from safebasin.weights.parameters import Parameter
from safebasin.weights.sums import norm

SYSTEM_WORDS, PROMPT_WORDS = 21, 17
"""Of a prompt of 40 tokens about half is the template's own: SmolLM2's are 21 of 38."""


@dataclass(frozen=True)
class Shape:
    """The sizes of a Llama model."""

    layers: int
    hidden: int
    middle: int
    heads: int
    key_heads: int
    vocabulary: int
    tied: bool = False


SHAPES = {
    "tiny": Shape(2, 64, 96, 4, 2, 512),
    "smollm2-135m": Shape(30, 576, 1536, 9, 3, 49152, tied=True),
    "llama-1b": Shape(16, 2048, 8192, 32, 8, 128256, tied=True),
    "llama-8b": Shape(32, 4096, 14336, 32, 8, 128256),
}


def model_of(name: str, dtype: torch.dtype, device: str, seed: int = 0) -> Any:
    """A Llama model of that shape, its weights drawn on the device."""
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = SHAPES[name]
    config = LlamaConfig(
        num_hidden_layers=shape.layers,
        hidden_size=shape.hidden,
        intermediate_size=shape.middle,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_heads,
        vocab_size=shape.vocabulary,
        tie_word_embeddings=shape.tied,
        max_position_embeddings=2048,
        bos_token_id=None,
        eos_token_id=shape.vocabulary - 1,
        pad_token_id=0,
    )
    torch.manual_seed(seed)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            model = LlamaForCausalLM(config)
    finally:
        torch.set_default_dtype(before)
    return model.eval().requires_grad_(False)


def tokenizer_of(name: str) -> Any:
    """A tokenizer of one token a word: `w0`, `w1` and so on, as many as the shape has tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    size = SHAPES[name].vocabulary
    words = {f"Ġw{i}": i for i in range(size - 2)} | {"<unk>": size - 2, "<end>": size - 1}
    inner = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False),
        ]
    )
    inner.decoder = decoders.ByteLevel()
    found = PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="<unk>", eos_token="<end>", pad_token="<end>"
    )
    system = " ".join(f"w{i}" for i in range(SYSTEM_WORDS))
    found.chat_template = system + " {{ messages[-1]['content'] }} w1 w2"
    return found


def prompts_of(name: str, count: int) -> list[Prompt]:
    """Prompts of PROMPT_WORDS random words."""
    draw = random.Random(0)
    size = SHAPES[name].vocabulary - 2
    return [
        Prompt(str(i), " ".join(f"w{draw.randrange(size)}" for _ in range(PROMPT_WORDS)))
        for i in range(count)
    ]


class Drawn:
    """A direction drawn on the model's device by torch's own generator, ‖d_p‖ = ‖W_p‖.

    It is the same only on the same kind of device, so no run can be made with it: it stands here
    for the cheapest way in which a device can draw.
    """

    def __init__(self, name: str, weights: Weights, device: str) -> None:
        self.name = name
        self.weights = weights
        self.device = device

    def spec(self) -> dict[str, Any]:
        return {"kind": "drawn by torch", "name": self.name}

    def tensor(self, parameter: Parameter) -> Tensor | None:
        if parameter.name not in self.weights:
            return None
        seed = hashlib.sha256(f"{self.name}\0{parameter.name}".encode()).digest()[:6]
        generator = torch.Generator(self.device).manual_seed(int.from_bytes(seed, "big"))
        noise = torch.randn(parameter.shape, generator=generator, device=self.device)
        own = math.sqrt(noise.numel()) if noise.numel() > 2**20 else norm(noise)
        return noise.mul_(self.weights.norm(parameter.name) / own)
