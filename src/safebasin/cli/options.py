"""Options and arguments that several commands share, with their help.

The commands that measure a study of several landscapes (`compare`, `trajectory`, `conditions`,
`worst-case`) say less of each than `scan` and `evaluate` do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from safebasin.config import DEFAULT_JUDGES, PROMPTS_KINDS, PromptsKind, ScanConfig
from safebasin.errors import UsageError

DEFAULTS = ScanConfig()
JUDGES = ",".join(DEFAULT_JUDGES)

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
RunArgument = Annotated[Path, typer.Argument(help="A run folder.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
JsonResultOption = Annotated[
    bool, typer.Option("--json", help="Print the result as one JSON object.")
]

# Of `scan` and `evaluate`.
ModelArgument = Annotated[
    str,
    typer.Argument(
        help="A model folder, a hub id, base+adapter@revision, or a packaged testbed: name."
    ),
]
ColumnOption = Annotated[str | None, typer.Option(help="The column that holds the prompts.")]
PromptsKindOption = Annotated[
    str | None,
    typer.Option(help="Whether the prompts are harmful or benign. [default: as the file says]"),
]
SampleSeedOption = Annotated[int, typer.Option(help="The seed of that sample.")]
SystemOption = Annotated[str | None, typer.Option(help="The system message. [default: none]")]
TemplateOption = Annotated[
    str | None,
    typer.Option(
        help="A Jinja chat template file, a folder with one, or raw. [default: the model's own]"
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
    int, typer.Option(help="A seeded sample of so many prompts; 0 for all.")
]
StudySystemOption = Annotated[str | None, typer.Option(help="The system prompt.")]
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
