"""A GGUF model described as other models are: a folder with config, tokenizer and chat template.

The folder is temporary, made once for each file in a process. Its weights are a link to the file,
which is read where a model is loaded; everything else of it is read like any checkpoint's.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from safebasin.checkpoint.gguf import tokenizers
from safebasin.checkpoint.gguf.folders import FOLDERS, WEIGHTS
from safebasin.checkpoint.gguf.header import Header, read_header
from safebasin.checkpoint.gguf.settings import check_settings, set_right
from safebasin.checkpoint.sources import first_line
from safebasin.checkpoint.tokenizers import quiet
from safebasin.checkpoint.vetting import inside
from safebasin.errors import CheckpointError

_KNOWN: dict[tuple[str, int, int], Path] = {}


def describe(file: Path) -> Path:
    """The folder that describes a GGUF file, made where there is none yet.

    Raises CheckpointError where the file is damaged, or where no model can be made of it that is
    the one in it.
    """
    header = None
    if file.is_symlink() or not file.is_file():
        header = read_header(_inside(file))  # which says what is wrong with it
    status = file.stat()
    key = (str(file.resolve()), status.st_size, status.st_mtime_ns)
    if key not in _KNOWN:
        header = header or read_header(_inside(file))
        check_settings(header)
        tokenizers.check_vocabulary(header)
        folder = Path(tempfile.mkdtemp(prefix="safebasin-gguf-")).resolve()
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        (folder / WEIGHTS).symlink_to(file.resolve())
        try:
            _write(folder, header)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        FOLDERS[folder] = header
        _KNOWN[key] = folder
    return _KNOWN[key]


def tokenizer_digest(header: Header) -> str:
    """SHA-256 (hex) over what a file says of its tokenizer and chat template."""
    told = {k: v for k, v in header.metadata.items() if k.startswith("tokenizer.")}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _inside(file: Path) -> Path:
    if not file.exists() and not file.is_symlink():
        raise CheckpointError(f"There is no file '{file}'.", "Give an existing GGUF file.")
    return inside(file.parent, file.name)


def _write(folder: Path, header: Header) -> None:
    from transformers import AutoConfig, PreTrainedTokenizerFast

    with quiet():
        try:
            config = AutoConfig.from_pretrained(
                str(folder), gguf_file=WEIGHTS, local_files_only=True
            )
            tokenizer = PreTrainedTokenizerFast.from_pretrained(
                str(folder), gguf_file=WEIGHTS, local_files_only=True
            )
            set_right(config, header, lambda name: _values(header, name))
            config.architectures = [_architecture(config)]
            config.__dict__.pop("_model_name_or_path", None)
            config.save_pretrained(folder)
        except CheckpointError:
            raise
        except Exception as error:  # the reader has no error type of its own
            raise CheckpointError(
                f"{header.path} cannot be read: {first_line(error)}.", "Convert the model again."
            ) from error
    _write_tokenizer(folder, tokenizer, header)
    _write_json(
        folder / "generation_config.json",
        {
            "bos_token_id": config.bos_token_id,
            "eos_token_id": tokenizers.end_tokens(header) or None,
            "pad_token_id": config.pad_token_id,
        },
    )


def _architecture(config: Any) -> str:
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return str(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[config.model_type])


def _write_tokenizer(folder: Path, tokenizer: Any, header: Header) -> None:
    written = tokenizers.set_right(tokenizer.backend_tokenizer.to_str(), header)
    (folder / "tokenizer.json").write_text(written, encoding="utf-8")
    named = {f"{kind}_token": getattr(tokenizer, f"{kind}_token") for kind in _NAMED}
    _write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "clean_up_tokenization_spaces": False,
            **{key: str(token) for key, token in named.items() if token is not None},
        },
    )
    template = header.metadata.get("tokenizer.chat_template")
    if template:
        (folder / "chat_template.jinja").write_text(template, encoding="utf-8")


_NAMED = ("bos", "eos", "unk", "pad")


def _write_json(path: Path, value: dict[str, Any]) -> None:
    text = json.dumps({k: v for k, v in value.items() if v is not None}, indent=1)
    path.write_text(f"{text}\n", encoding="utf-8")


def _values(header: Header, name: str) -> Any:
    """The values of one small tensor of the file."""
    from gguf import GGUFReader, dequantize

    tensor = next(one for one in GGUFReader(header.path).tensors if one.name == name)
    return dequantize(tensor.data, tensor.tensor_type).reshape(-1)
