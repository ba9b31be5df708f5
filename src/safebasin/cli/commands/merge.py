"""`safebasin merge`: a base and its adapter as one model."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from safebasin.cli.console import emit, say, tell
from safebasin.cli.options import JsonResultOption, TrustRemoteCodeOption

if TYPE_CHECKING:
    from safebasin.checkpoint.merging import Merged


def merge(
    model: Annotated[
        str,
        typer.Argument(help="BASE+ADAPTER, or an adapter's folder that records a local base."),
    ],
    out: Annotated[Path, typer.Argument(help="The folder of the merged model: new, or empty.")],
    dtype: Annotated[
        str | None,
        typer.Option(
            help="float32, bfloat16 or float16, of the merged weights. [default: the base's]"
        ),
    ] = None,
    trust_remote_code: TrustRemoteCodeOption = False,
    json: JsonResultOption = False,
) -> None:
    """Merge an adapter into its base, and save the model.

    Summed in float32 and cast once; safetensors, with tokenizer, chat template and a record.
    """
    from safebasin.checkpoint.merging import merge as merge_now
    from safebasin.checkpoint.merging import merge_source

    # A scheduler's request to stop leaves as little behind as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        source = merge_source(model, trust_remote_code=trust_remote_code)
        tell(f"merging {source.name}")
        merged = merge_now(source, out, dtype, command=sys.argv)
    except KeyboardInterrupt:
        tell(f"interrupted: nothing was written to {out}")
        raise typer.Exit(130) from None
    if json:
        emit(merged.to_json())
        return
    for line in lines(merged):
        say(line)


def lines(merged: Merged) -> Iterator[str]:
    """The result as a person reads it."""
    base, adapter = merged.record["base"], merged.record["adapter"]
    rank = f" of rank {adapter['r']}" if "r" in adapter else ""
    kind = {"LORA": "LoRA"}.get(adapter["kind"], adapter["kind"])
    kind = "DoRA" if adapter.get("use_dora") else kind
    yield f"base     {base['name']}, fingerprint {base['fingerprint'][:12]}"
    yield f"adapter  {adapter['name']}, {kind}{rank}, SHA-256 {adapter['sha256'][:12]}"
    yield f"dtype    {merged.dtype}, summed in float32 and cast once"
    yield f"merged   {merged.folder}, fingerprint {merged.fingerprint[:12]}"
    for note in merged.notes:
        yield f"note     {note}"
