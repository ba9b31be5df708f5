"""Options and arguments that several commands share, with their help.

The commands that measure a study of several landscapes (`compare`, `trajectory`, `conditions`,
`worst-case`) say less of each than `scan` and `evaluate` do.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, TypedDict

import typer

from safebasin.config import DEFAULT_JUDGES, ScanConfig
from safebasin.errors import UsageError
from safebasin.setting import PROMPTS_KINDS, PromptsKind
from safebasin.system_message import system_message
from safebasin.terminal import printable, shorten

DEFAULTS = ScanConfig()
JUDGES = ",".join(DEFAULT_JUDGES)
LIMIT = str(DEFAULTS.limit)

# Of every command that has it.
JudgeOption = Annotated[
    str,
    typer.Option(help="Judges by name, or MODULE:NAME of your own; the first gives the headline."),
]
LayersOption = Annotated[str | None, typer.Option(help="Layers to displace, such as 4-7 or 0,2.")]
RadiusOption = Annotated[
    float, typer.Option(help="How far to go, relative to the norm of each tensor.")
]
ToleranceOption = Annotated[
    float, typer.Option(help="The ASR up to which a point is inside the basin.")
]
ThoughtOption = Annotated[
    str | None,
    typer.Option(help="What thoughts stand between, as '<plan>...</plan>'. [default: known marks]"),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(help="Processes that answer. [default: one a core for a small model]"),
]
ExecutorOption = Annotated[str, typer.Option(help="local, or ray: the actors of a Ray cluster.")]
RayAddressOption = Annotated[
    str | None, typer.Option(help="A running cluster. [default: one on this machine]")
]
ShardOption = Annotated[
    str | None,
    typer.Option(help="i/N: measure this part only, beside other jobs on the same --out."),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print the plan; write nothing.")]
NoProbeOption = Annotated[
    bool, typer.Option("--no-probe", help="Plan without a measured batch, so without a time.")
]
RunArgument = Annotated[Path, typer.Argument(help="A run folder.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
JsonResultOption = Annotated[
    bool, typer.Option("--json", help="Print the result as one JSON object.")
]

# Of `scan` and `evaluate`.
ModelArgument = Annotated[
    str,
    typer.Argument(
        help="A model folder, a GGUF file, a hub id, base+adapter@revision, or a packaged "
        "testbed: name."
    ),
]
ColumnOption = Annotated[str | None, typer.Option(help="The column that holds the prompts.")]
PromptsKindOption = Annotated[
    str | None,
    typer.Option(help="Whether the prompts are harmful or benign. [default: as the file says]"),
]
LimitOption = Annotated[
    str,
    typer.Option(
        help="Ask a seeded sample of so many prompts, or first:N rows of the file; 0 for all."
    ),
]
EachLimitOption = Annotated[
    str,
    typer.Option(
        help="A seeded sample of so many prompts of each set, or first:N rows of each; 0 for all."
    ),
]
"""Of commands that ask several sets."""
SampleSeedOption = Annotated[int, typer.Option(help="The seed of that sample.")]
SystemOption = Annotated[
    str | None,
    typer.Option(
        help="The system message; template: as the chat template has it; empty: an empty one; a "
        "name of the paper's, such as peng2024:llama2. [default: template]"
    ),
]
TemplateOption = Annotated[
    str | None,
    typer.Option(
        help="A Jinja chat template file, a folder with one, or raw. [default: the model's own]"
    ),
]
DateOption = Annotated[
    str | None,
    typer.Option(
        help="The day that a chat template is told which puts in the date, as in 2026-11-27. "
        "[default: the day on which the run began]"
    ),
]
MaxNewTokensOption = Annotated[
    int | None, typer.Option(help="Tokens an answer may have. [default: the model's, or 128]")
]
DtypeOption = Annotated[
    str | None, typer.Option(help="float32, bfloat16 or float16. [default: float32 on a CPU]")
]
DeviceOption = Annotated[
    str | None, typer.Option(help="cpu, cuda, cuda:1, mps. [default: a GPU if there is one]")
]
BatchOption = Annotated[int | None, typer.Option(help="Prompts in a batch. [default: what fits]")]
TrustRemoteCodeOption = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run code that this model brings along.")
]
CapabilityOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Measure at every point, too: testbed:capability, testbed:choice, a file of "
        "questions, perplexity:FILE, lm-eval:TASK[:FEWSHOT]; commas between several."
    ),
]
CapabilityLimitOption = Annotated[
    int, typer.Option(help="A seeded sample of so many questions or windows; 0 for all.")
]
CapabilityTasksOption = Annotated[
    str | None, typer.Option(help="A folder of lm-eval tasks of one's own.")
]

# Of the studies, and some of `finetune`.
StudyModelArgument = Annotated[str, typer.Argument(help="The model: as for scan.")]
StudyPromptsOption = Annotated[
    str, typer.Option(help="Requests to be refused: a packaged set, or a file.")
]
StudyColumnOption = Annotated[
    str | None, typer.Option(help="The column that holds the prompts, if not recognised.")
]
StudyLimitOption = Annotated[
    str,
    typer.Option(help="A seeded sample of so many prompts, or first:N rows of the file; 0: all."),
]
StudySystemOption = Annotated[
    str | None, typer.Option(help="The system message: as for scan. [default: template]")
]
StudyTemplateOption = Annotated[
    str | None, typer.Option(help="A Jinja chat template, a folder with one, or `raw`.")
]
BaseTemplateOption = Annotated[
    str | None,
    typer.Option(help="A Jinja chat template, a folder with one, or `raw`. [default: the base's]"),
]
StudyMaxNewTokensOption = Annotated[
    int | None, typer.Option(help="The limit of an answer. [default: the model's, else 128]")
]
StudyDtypeOption = Annotated[str | None, typer.Option(help="float32, bfloat16 or float16.")]
StudyDeviceOption = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1.")]
StudyBatchOption = Annotated[int | None, typer.Option(help="Prompts in a batch.")]
StudyEngineOption = Annotated[str, typer.Option(help="fast, or plain.")]
StudyTrustRemoteCodeOption = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run code that comes with the model.")
]
StudyOutOption = Annotated[Path | None, typer.Option(help="The folder. [default: one under runs/]")]


def parse_system(text: str | None) -> str | None:
    """The system message that --system asks for; None where the chat template decides.

    Raises UsageError for `none`, which says neither.
    """
    return None if text is None else system_message(text)


class Limit(TypedDict):
    """How many prompts, and whether the first ones of the file, as settings name it."""

    limit: int
    first: bool


def parse_limit(text: str) -> Limit:
    """What --limit says: `80` for a sample, `first:80` for the first rows in the file's order.

    Raises UsageError for anything else.
    """
    head, colon, tail = text.partition(":")
    first = bool(colon) and head == "first"
    number = tail if first else text
    if (colon and not first) or not number.isdecimal() or (first and int(number) == 0):
        raise UsageError(
            f"The limit of prompts '{shorten(printable(text))}' is no number.",
            "Give --limit 80 for a sample, first:80 for the first rows of the file, 0 for all.",
        )
    return {"limit": int(number), "first": first}


def parse_prompts_kind(text: str | None) -> PromptsKind | None:
    """What --prompts-kind says; None where it is not given. Raises UsageError for another word."""
    if text is None:
        return None
    for kind in PROMPTS_KINDS:
        if text == kind:
            return kind
    raise UsageError(
        f"Prompts cannot be of the kind '{text}'.", f"Give one of {', '.join(PROMPTS_KINDS)}."
    )


def spread_over(
    scan: ScanConfig, workers: int | None, executor: str, ray_address: str | None, shard: str | None
) -> ScanConfig:
    """The settings with what is said of processes, cluster and shards. Raises UsageError."""
    if shard is not None:
        from safebasin.spread.shards import Shard

        Shard.parse(shard)
    given = {"workers": workers, "executor": executor, "ray_address": ray_address, "shard": shard}
    return ScanConfig.from_json(scan.to_json() | given)


def begin() -> None:
    """Say that something happens before what takes seconds to import is imported."""
    if "torch" not in sys.modules:
        from safebasin.cli.console import tell

        tell("starting: importing torch and transformers")
