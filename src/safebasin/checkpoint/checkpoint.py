"""A model on the disk or on the hub: what it is, whether it is safe to open, and how to open it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from safebasin.blocks import blocks_named, require_blocks
from safebasin.checkpoint import chats, fetched_kernels, vetting
from safebasin.checkpoint.adapter_tables import untie_tables
from safebasin.checkpoint.adapters import merge_into, structure_as_merged
from safebasin.checkpoint.codes import Codes, loader_of, storage
from safebasin.checkpoint.completeness import (
    denied_biases,
    require_complete,
    require_language_head,
)
from safebasin.checkpoint.division import divided_among, require_heads
from safebasin.checkpoint.dtypes import device_of, dtype_of, own_dtype
from safebasin.checkpoint.end_tokens import named_end_tokens, own_generation, stored_end_tokens
from safebasin.checkpoint.file_shapes import LAYERS
from safebasin.checkpoint.gguf.description import tokenizer_digest
from safebasin.checkpoint.gguf.folders import described
from safebasin.checkpoint.gguf.header import Header
from safebasin.checkpoint.gguf.weights import (
    as_plain_model,
    loading_settings,
    require_all_used,
    without_bar,
)
from safebasin.checkpoint.hashing import digest
from safebasin.checkpoint.implementations import choose
from safebasin.checkpoint.loading_errors import cannot_load
from safebasin.checkpoint.mismatches import recorded_base, refuse
from safebasin.checkpoint.naming import TESTBED, folder_of, is_here, named
from safebasin.checkpoint.sources import commit, display
from safebasin.checkpoint.tokenizers import (
    adapter_tokenizer,
    extends,
    load_tokenizer,
    quiet,
    require_stored_tokens,
)
from safebasin.errors import CheckpointError
from safebasin.run.stored_weights import told_storage

if TYPE_CHECKING:
    import torch

LOG = logging.getLogger(__name__)

_QUANTISED = "quantization_config"


@dataclass(frozen=True)
class Checkpoint:
    """A base model and, optionally, an adapter that is merged into it.

    `base` and `adapter` are local folders, hub ids, or names of packaged models such as
    `testbed:aligned`. A base may be a GGUF file, too: its path, a folder with one, or
    `REPOSITORY:FILE.gguf`; such a model's folder is one that describes it, made here.
    `trust_remote_code` holds for the base model alone and is recorded.
    """

    base: str
    adapter: str | None = None
    revision: str | None = None
    adapter_revision: str | None = None
    trust_remote_code: bool = False

    @classmethod
    def parse(cls, text: str, *, trust_remote_code: bool = False) -> Checkpoint:
        """Read `base[@revision][+adapter[@revision]]`.

        An existing local path wins over any reading of `+` and `@` in it. Raises UsageError where
        a part is empty or a local folder is given a revision.
        """
        base, adapter, revision, adapter_revision = named(text)
        return cls(base, adapter, revision, adapter_revision, trust_remote_code)

    @property
    def name(self) -> str:
        """A short text for people; of a local folder only the last part of its path."""
        parts = (self.base,) if self.adapter is None else (self.base, self.adapter)
        return "+".join(display(part) for part in parts)

    @cached_property
    def folders(self) -> tuple[Path, Path | None]:
        """Where the base and the adapter lie on this machine, after a download if need be."""
        base = folder_of(self.base, self.revision, code=self.trust_remote_code)
        if self.base.startswith(TESTBED) and not (base / "config.json").exists():
            # Fine-tunes of the packaged model are adapters over the aligned one.
            if self.adapter is not None:
                raise CheckpointError(
                    f"'{self.base}' is an adapter already.",
                    f"Run `safebasin merge {self.base} OUT` and add the other one to OUT.",
                )
            return folder_of(f"{TESTBED}aligned"), base
        adapter = None if self.adapter is None else folder_of(self.adapter, self.adapter_revision)
        return base, adapter

    def check(self) -> None:
        """Raise CheckpointError, with a remedy, where the checkpoint is missing or unsafe to open.

        So it is where its adapter records another revision of the base. No tensor is read.
        """
        self._vet()
        refuse(recorded_base(self))

    @property
    def is_here(self) -> bool:
        """Whether its parts are on this machine by their names: nothing is to be downloaded."""
        return is_here(self.base) and (self.adapter is None or is_here(self.adapter))

    def require_blocks(self, *asked: str | None) -> None:
        """Raise UsageError where `0,4-7` names a block that the config says there is none of.

        A config that names no number of blocks, or has parts with their own, says nothing of it;
        that shows when the weights are read.
        """
        wanted = [blocks_named(text) for text in asked if text is not None]
        if not wanted:
            return
        config = self._vet()[0].config
        parts = any(name.endswith("_config") and name != _QUANTISED for name in config)
        named = [n for one in LAYERS if isinstance(n := config.get(one), int)]
        if named and not parts:
            for blocks in wanted:
                require_blocks(blocks, range(max(named)))

    def require_divisible(self, processes: int) -> None:
        """Raise CheckpointError where its matrices cannot be divided among so many processes."""
        if processes == 1:
            return
        if self.folders[1] is not None:
            raise CheckpointError(
                f"'{self.name}' is an adapter over a base, and only a whole model is divided.",
                f"Run `safebasin merge {self.name} FOLDER` and scan FOLDER.",
            )
        if self._gguf is not None or self._vet()[0].quantisation is not None:
            raise CheckpointError(
                f"'{self.name}' stores codes in place of plain numbers, and is not divided among "
                "processes.",
                "Leave out --tensor-parallel.",
            )
        require_heads(self.name, self.config().get_text_config(), processes)

    def fingerprint(self) -> str:
        """SHA-256 (hex) over the bytes of the configs and the weights, of base and adapter."""
        return self._hashed.result()

    @contextmanager
    def hashed_meanwhile(self) -> Iterator[None]:
        """Have a thread take the fingerprint from now on, for who will ask for it later.

        It is given up where the context ends by an error, so that no program waits for it to end.
        """
        _ = self._hashed
        try:
            yield
        except BaseException:
            self._gives_up.set()
            raise

    @property
    def quantisation(self) -> dict[str, Any] | None:
        """How the base stores codes in place of numbers; None where it stores plain numbers."""
        return self._vet()[0].quantisation

    def spec(self) -> dict[str, Any]:
        """What the checkpoint is, for a manifest. Of a local folder only its name is recorded."""
        model, adapter = self._vet()
        base_folder, adapter_folder = self.folders
        tokenizer = [base_folder / name for name in vetting.TOKENIZER_FILES]
        gguf = self._gguf
        home = base_folder if gguf is None else gguf.path.parent
        return {
            "base": display(self.base),
            "revision": self.revision,
            "commit": commit(home),
            "adapter": None if self.adapter is None else display(self.adapter),
            "adapter_revision": self.adapter_revision,
            "adapter_commit": None if adapter_folder is None else commit(adapter_folder),
            "trust_remote_code": self.trust_remote_code,
            "architecture": _architecture(model.config),
            "parameters": model.elements,
            "adapter_parameters": 0 if adapter is None else adapter.elements,
            "fingerprint": self.fingerprint(),
            "tokenizer": (
                digest([path for path in tokenizer if path.exists()])
                if gguf is None
                else tokenizer_digest(gguf)
            ),
            **self._added_tokens(),
            **({} if model.quantisation is None else {"quantisation": model.quantisation}),
        }

    def _added_tokens(self) -> dict[str, str]:
        """The digest of an adapter's tokenizer that adds tokens, for the identity of runs."""
        _, folder = self.folders
        own = self.adapter_tokenizer
        if folder is None or own is None or not own.get_vocab().keys() - self._vocabulary.keys():
            return {}
        files = [folder / name for name in vetting.TOKENIZER_FILES]
        return {"adapter_tokenizer": digest([path for path in files if path.exists()])}

    @cached_property
    def _vocabulary(self) -> dict[str, int]:
        found: dict[str, int] = self.load_tokenizer().get_vocab()
        return found

    @property
    def _gguf(self) -> Header | None:
        """The head of the base's file where that is a GGUF file."""
        return described(self.folders[0])

    def load(
        self,
        dtype: torch.dtype | str | None = None,
        device: torch.device | str | None = None,
        *,
        keep_on_host: bool = False,
        untied: bool = False,
        processes: int = 1,
    ) -> tuple[Any, Any]:
        """The model, in eval mode and frozen, and its tokenizer, as `tokenizer_of` has it.

        `dtype` defaults to float32 on a CPU and to the checkpoint's own on a GPU; `device` to a
        GPU where there is one. An adapter is merged in float32 and the sum is cast once.
        With several `processes` each calls this and gets its part of every matrix that the model's
        own plan divides, on its own device (`torch.distributed`; RANK and the like are set).
        `keep_on_host` leaves the model in host memory, in the dtype that it has for the device.
        Where the adapter changes one of two tied tables each gets its own values, as they were
        trained; `untied` gives them separate values in any case.
        The end tokens of a tokenizer that the adapter brings end the model's answers, too.
        Raises CheckpointError where the checkpoint cannot be opened as a causal language model.
        """
        import torch

        contents, adapter = self._vet()
        self.require_divisible(processes)
        chats.start()  # it gets ready while the weights are read
        where = device_of(device)
        target = dtype_of(dtype, contents.config, where)
        how = f", stored as {told_storage(contents.quantisation)}" if contents.quantisation else ""
        LOG.info("reading %s%s", self.name, how)
        model = self._load_model("float32" if adapter else target, processes)
        if adapter is not None:
            folder = adapter.weights[0].parent
            model = merge_into(model, folder)
            if target != "float32":
                # A load in the target dtype decides what is cast: some buffers and layers are not.
                merged, model = model, self._load_model(target)
                structure_as_merged(model, folder, merged)
                with torch.no_grad():
                    for name, parameter in model.named_parameters():
                        parameter.copy_(merged.get_parameter(name))
        if untied:
            untie_tables(model)
        if processes == 1:
            model = model.to("cpu" if keep_on_host else where)
        model = model.eval().requires_grad_(False)
        tokenizer = self.tokenizer_of(model)
        if more := self._ends_of_adapter():
            own = named_end_tokens(model.generation_config)
            model.generation_config.eos_token_id = sorted({*own, *more})
        return model, tokenizer

    def end_tokens(self) -> tuple[int, ...]:
        """The ids that end an answer of this checkpoint, ascending. No tensor is read.

        They are what its generation settings, configuration and tokenizer name, and what those
        beside an adapter do. Raises CheckpointError where one of these cannot be read.
        """
        own = stored_end_tokens(self.folders[0], self.config(), self.load_tokenizer())
        return tuple(sorted({*own, *self._ends_of_adapter()}))

    def config(self, **settings: Any) -> Any:
        """The configuration of the base, as transformers reads it: with every default filled in.

        `settings` overrule those of config.json.
        """
        self._vet()
        from transformers import AutoConfig

        with quiet():
            try:
                config = AutoConfig.from_pretrained(
                    str(self.folders[0]),
                    trust_remote_code=self.trust_remote_code,
                    local_files_only=True,
                    **settings,
                )
                choose(config)
            except Exception as error:  # as below
                raise self._cannot_load(error) from error
        return config

    def _ends_of_adapter(self) -> tuple[int, ...]:
        _, adapter = self.folders
        return () if adapter is None else stored_end_tokens(adapter, None, self.adapter_tokenizer)

    @cached_property
    def adapter_tokenizer(self) -> Any:
        """The tokenizer that the adapter brings along; None where there is none to be read."""
        _, adapter = self.folders
        return (
            None
            if adapter is None
            else adapter_tokenizer(adapter, display(self.adapter or self.base))
        )

    def stored_dtype(self) -> str:
        """The dtype of the base's weights by its config, else that of most of its values.

        float32 where it is none of `DTYPES`.
        """
        contents, _ = self._vet()
        if (own := own_dtype(contents.config)) is not None:
            return own
        sizes = Counter[str]()
        for path in contents.weights:
            for _, shape, kind in vetting.read_header(path, coded=True):
                sizes[kind] += prod(shape)
        return {"BF16": "bfloat16", "F16": "float16"}.get(sizes.most_common(1)[0][0], "float32")

    def footprint(
        self, dtype: torch.dtype | str | None = None, device: torch.device | str | None = None
    ) -> tuple[int, torch.device]:
        """The bytes that `load` takes for the weights, and the device. No tensor is read."""
        import torch

        contents, adapter = self._vet()
        where = device_of(device)
        if where.type == "cuda" and where.index is None:
            where = torch.device("cuda", torch.cuda.current_device())
        target = dtype_of(dtype, contents.config, where)
        size = getattr(torch, target).itemsize
        if adapter is not None and where.type == "cpu" and target != "float32":
            size += torch.float32.itemsize  # the merged model, which is cast into a second one
        return contents.elements * size, where

    def _vet(self) -> tuple[vetting.Contents, vetting.Contents | None]:
        base, adapter = self.folders
        contents = vetting.vet_model(base, trust_remote_code=self.trust_remote_code)
        return contents, None if adapter is None else vetting.vet_adapter(adapter)

    @cached_property
    def _gives_up(self) -> Event:
        return Event()

    @cached_property
    def _hashed(self) -> Future[str]:
        pool = ThreadPoolExecutor(max_workers=1)
        try:
            return pool.submit(self._hash)
        finally:
            pool.shutdown(wait=False)

    def _hash(self) -> str:
        model, adapter = self._vet()
        base_folder, _ = self.folders
        # A GGUF file holds its settings itself; those beside the link to it are made from them.
        named = () if self._gguf is not None else vetting.CONFIG_FILES
        files = [p for n in named if (p := base_folder / n).exists()]
        files += model.weights
        if adapter is not None:
            files += [adapter.weights[0].with_name("adapter_config.json"), *adapter.weights]
        return digest(files, self._gives_up)

    def _load_model(self, dtype: str, processes: int = 1) -> Any:
        folder = self.folders[0]
        config = vetting.read_json(folder, "config.json") or {}
        model, report = self._from_files(dtype, processes)
        for flags in denied_biases(config, report):
            # Which of them is seen by whether the loader then finds a place for each tensor.
            again, found = self._from_files(dtype, processes, **dict.fromkeys(flags, True))
            if not (found["unexpected_keys"] or found["missing_keys"]):
                LOG.warning(
                    "'%s' holds biases that its config.json denies; it is loaded with %s true",
                    self.name,
                    " and ".join(flags),
                )
                model, report = again, found
                break
        require_language_head(self.name, config, type(model))
        require_complete(self.name, report)
        if self._gguf is not None:
            require_all_used(self.name, self._gguf, model)
            as_plain_model(model)
        if self._vet()[0].quantisation is not None:
            own_generation(model, self.folders[0])
        return model

    def _from_files(
        self, dtype: str, processes: int = 1, **settings: Any
    ) -> tuple[Any, dict[str, Any]]:
        """The model and the loader's report; `settings` overrule those of config.json."""
        import torch
        from transformers import AutoModelForCausalLM

        contents, _ = self._vet()
        if not self.trust_remote_code:
            fetched_kernels.leave_out()
        stored = storage(self.folders[0], contents.config)
        config = self.config(**settings)
        loader: Any = AutoModelForCausalLM
        source: str | None = str(self.folders[0])
        more: dict[str, Any] = divided_among(processes) if processes > 1 else {}
        if self._gguf is not None:
            more = loading_settings()
        elif stored is not None:
            numbers = Codes(contents.weights, stored, self.name).tensors()
            loader, config = loader_of(config, self.name)
            source, more = None, {"state_dict": dict(numbers)}
        with quiet(), nullcontext() if self._gguf is None else without_bar():
            try:
                found: tuple[Any, dict[str, Any]] = loader.from_pretrained(
                    source,
                    config=config,
                    **more,
                    dtype=getattr(torch, dtype),
                    use_safetensors=True,
                    trust_remote_code=self.trust_remote_code,
                    local_files_only=True,
                    output_loading_info=True,
                )
            except MemoryError:
                raise
            except Exception as error:  # the loader has no error type of its own
                raise self._cannot_load(error) from error
        return found

    def _cannot_load(self, error: Exception) -> CheckpointError:
        config = vetting.read_json(self.folders[0], "config.json") or {}
        return cannot_load(self.name, self.folders[0], config, _architecture(config), error)

    def tokenizer_of(self, model: Any) -> Any:
        """The tokenizer of the loaded model: the base's, or the adapter's own where that is the
        base's with more tokens, for which the model has rows. Its chat template comes along."""
        base, own = self.load_tokenizer(), self.adapter_tokenizer
        if own is None or not extends(own, base, len(model.get_input_embeddings().weight)):
            return base
        if own.chat_template is None:
            own.chat_template = base.chat_template
        return own

    def load_tokenizer(self) -> Any:
        """The base's tokenizer, read once; not to be changed.

        Raises CheckpointError where it cannot be loaded, and where the class that its settings
        name splits texts otherwise than its own `tokenizer.json`.
        """
        return self._tokenizer

    @cached_property
    def _tokenizer(self) -> Any:
        self._vet()
        found = load_tokenizer(
            self.folders[0],
            self.name,
            plain=self._gguf is not None,
            code=self.trust_remote_code,
        )
        self.require_stored_tokens(found)
        return found

    def require_stored_tokens(self, tokenizer: Any, texts: Sequence[str] = ()) -> None:
        """Raise CheckpointError where its tokenizer splits a text otherwise than its own file."""
        if not self.trust_remote_code:
            require_stored_tokens(self.folders[0], self.name, tokenizer, texts)


def _architecture(config: dict[str, Any]) -> str:
    names = config.get("architectures")
    if isinstance(names, list) and names and isinstance(names[0], str):
        return names[0]
    return str(config.get("model_type", "unknown"))
