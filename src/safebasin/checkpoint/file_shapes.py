"""What the JSON files of a checkpoint hold, as far as it is read here or by the loader.

Fields of other names are kept: an architecture has its own.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from safebasin.run.typed import Name, Shape, Text

LARGEST_SIZE = 2**31
MOST_LAYERS = 10_000
_POSITIVE = ("vocab_size", "hidden_size", "num_attention_heads", "num_key_value_heads")
_SIZES = (
    *_POSITIVE, "intermediate_size", "head_dim", "max_position_embeddings", "n_embd", "n_head",
    "n_inner", "n_positions", "d_model", "d_ff", "d_kv", "ffn_dim", "state_size", "num_experts",
    "num_local_experts", "num_experts_per_tok", "moe_intermediate_size", "sliding_window",
)  # fmt: skip
LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")


def _is_whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _token_ids(value: Any) -> Any:
    ids = value if isinstance(value, list) and value else [value]
    if value is not None and not all(_is_whole(one, -1, LARGEST_SIZE) for one in ids):
        raise PydanticCustomError("token_ids", "the id of a token, or a list of them, is expected")
    return value


def _text_or_token(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, dict) and isinstance(value.get("content"), str):
        return value
    raise PydanticCustomError("token", "a token's text is expected")


def _template(value: Any) -> Any:
    named = value
    if isinstance(value, list) and all(isinstance(one, dict) for one in value):
        named = {str(one.get("name")): one.get("template") for one in value}
    if isinstance(named, dict) and all(isinstance(one, str) for one in named.values()):
        return value
    if value is None or isinstance(value, str):
        return value
    raise PydanticCustomError("template", "a template, or several by their names, is expected")


def _text_or_object(value: Any) -> Any:
    if value is None or isinstance(value, str | dict):
        return value
    raise PydanticCustomError("text_or_object", "a text is expected")


def _tokens(value: Any) -> Any:
    listed = isinstance(value, list | dict)
    for one in (value.values() if isinstance(value, dict) else value) if listed else ():
        _text_or_token(one)
    if value is not None and (not listed or None in value):
        raise PydanticCustomError("tokens", "a list of tokens is expected")
    return value


def _targets(value: Any) -> Any:
    listed = isinstance(value, list) and all(isinstance(one, str) for one in value)
    if value is None or isinstance(value, str) or listed:
        return value
    raise PydanticCustomError("targets", "a text or a list of texts is expected")


TokenIds = Annotated[Any, AfterValidator(_token_ids)]
Token = Annotated[Any, AfterValidator(_text_or_token)]
Positive = Annotated[float, Field(gt=0)]


class Rope(Shape):
    rope_theta: Positive | None = None
    rope_type: Name | None = None
    factor: Positive | None = None


class Config(Shape):
    """`config.json`."""

    architectures: list[Name] | None = None
    model_type: Name | None = None
    dtype: Annotated[Any, AfterValidator(_text_or_object)] = None
    torch_dtype: Annotated[Any, AfterValidator(_text_or_object)] = None
    eos_token_id: TokenIds = None
    bos_token_id: TokenIds = None
    pad_token_id: TokenIds = None
    rope_theta: Positive | None = None
    rope_parameters: Rope | None = None
    rope_scaling: Rope | None = None
    hidden_act: Annotated[Any, AfterValidator(_text_or_object)] = None
    quantization_config: dict[Text, Any] | None = None
    text_config: Config | None = None

    @model_validator(mode="before")
    @classmethod
    def _sizes(cls, value: Any) -> Any:
        """How large a model is; of some architectures a list has a number for each layer."""
        if not isinstance(value, dict):
            return value
        for name in (*_SIZES, *LAYERS):
            most = MOST_LAYERS if name in LAYERS else LARGEST_SIZE
            given = value.get(name)
            each = given if isinstance(given, list) and given and name in _SIZES else [given]
            # A window of -1, as some have it, is none.
            least = 1 if name in _POSITIVE else -1 if name == "sliding_window" else 0
            if given is not None and not all(_is_whole(one, least, most) for one in each):
                raise PydanticCustomError(
                    "size",
                    "a whole number from {least} to {most} is expected",
                    {"least": least, "most": most, "field": name},
                )
        return value


class GenerationConfig(Shape):
    """`generation_config.json`."""

    eos_token_id: TokenIds = None
    bos_token_id: TokenIds = None
    pad_token_id: TokenIds = None
    max_new_tokens: Annotated[int, Field(ge=0, le=LARGEST_SIZE)] | None = None
    max_length: Annotated[int, Field(ge=0, le=LARGEST_SIZE)] | None = None
    do_sample: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None


class AddedToken(Shape):
    content: Text


class TokenizerConfig(Shape):
    """`tokenizer_config.json`."""

    tokenizer_class: Name | None = None
    model_max_length: Positive | None = None
    padding_side: Name | None = None
    bos_token: Token = None
    eos_token: Token = None
    pad_token: Token = None
    unk_token: Token = None
    additional_special_tokens: Annotated[Any, AfterValidator(_tokens)] = None
    extra_special_tokens: Annotated[Any, AfterValidator(_tokens)] = None
    added_tokens_decoder: dict[Text, AddedToken] | None = None
    chat_template: Annotated[Any, AfterValidator(_template)] = None
    clean_up_tokenization_spaces: bool | None = None


class AdapterConfig(Shape):
    """`adapter_config.json`."""

    peft_type: Name | None = None
    base_model_name_or_path: Text | None = None
    revision: Text | None = None
    r: Annotated[int, Field(ge=0, le=LARGEST_SIZE)] | None = None
    lora_alpha: float | None = None
    target_modules: Annotated[Any, AfterValidator(_targets)] = None
    exclude_modules: Annotated[Any, AfterValidator(_targets)] = None
    modules_to_save: list[Text] | None = None
    layers_pattern: Annotated[Any, AfterValidator(_targets)] = None
    rank_pattern: dict[Text, int] | None = None
    alpha_pattern: dict[Text, float] | None = None


class Index(Shape):
    """`model.safetensors.index.json`."""

    weight_map: dict[Text, Any] | None = None


class ChatTemplate(Shape):
    """`chat_template.json`."""

    chat_template: Annotated[Any, AfterValidator(_template)] = None


FILES: dict[str, type[Shape]] = {
    "config.json": Config,
    "generation_config.json": GenerationConfig,
    "tokenizer_config.json": TokenizerConfig,
    "adapter_config.json": AdapterConfig,
    "model.safetensors.index.json": Index,
    "chat_template.json": ChatTemplate,
}
"""What the files hold, by their names; a file of another name is any object."""
