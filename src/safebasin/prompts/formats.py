"""The published prompt sets: how their columns are told apart and read. One row a format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

KindRule = Literal["harmful", "benign", "contrast", "label", "column"]
"""How a row's kind is found: fixed; harmful where `type` starts with `contrast_` and benign
elsewhere; by `prompt_harm_label`, whose unlabelled rows are skipped; or from a column `kind` or
`label`, without which the user has to say it: it is never guessed."""


@dataclass(frozen=True)
class KnownFormat:
    """How one published layout is recognised and read. Column names compare without case.

    A file has this format where it holds every column of `columns` (and no other where `exact`)
    and, where `stem` is given, its file name contains that text. `text`, `ids`, `categories` are
    columns; several ids or categories are joined. `context` is a column that belongs to the
    prompt, placed by `layout`. `licence` is an SPDX name or "" where none is clearly stated, and
    `twin` the format whose benign prompts measure over-refusal next to this one. `beside` are
    columns with answers that this layout is published with, as columns of answers in any other
    layout make a file one of completions.
    """

    name: str
    columns: tuple[str, ...]
    text: str
    ids: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    kind: KindRule = "harmful"
    context: str = ""
    layout: str = "{text}"
    exact: bool = False
    stem: str = ""
    licence: str = ""
    twin: str = ""
    source: str = ""
    beside: tuple[str, ...] = ()


KNOWN_FORMATS: tuple[KnownFormat, ...] = (
    KnownFormat(
        "safebasin", ("id", "prompt", "kind"), "prompt",
        ids=("id",), categories=("category",), kind="column",
    ),
    KnownFormat(
        "jailbreakbench-benign", ("goal", "target", "behavior", "category"), "goal",
        ids=("index",), categories=("category",), kind="benign", stem="benign",
        licence="MIT", source="JailbreakBench/JBB-Behaviors",
    ),
    KnownFormat(
        "jailbreakbench", ("goal", "target", "behavior", "category"), "goal",
        ids=("index",), categories=("category",),
        licence="MIT", twin="jailbreakbench-benign", source="JailbreakBench/JBB-Behaviors",
    ),
    KnownFormat(
        "harmbench", ("behavior", "functionalcategory", "semanticcategory", "behaviorid"),
        "behavior", ids=("behaviorid",), categories=("functionalcategory", "semanticcategory"),
        context="contextstring", layout="{context}\n\n---\n\n{text}",
        licence="MIT", twin="xstest", source="centerforaisafety/HarmBench",
    ),
    KnownFormat(
        "xstest", ("id_v2", "type", "prompt"), "prompt",
        ids=("id_v2",), categories=("type",), kind="contrast",
        licence="CC-BY-4.0", twin="xstest", source="paul-rottger/xstest",
    ),
    KnownFormat(
        "xstest-mirror", ("prompt", "type", "label"), "prompt",
        ids=("id",), categories=("type",), kind="contrast",
        licence="CC-BY-4.0", twin="xstest", source="walledai/XSTest",
    ),
    KnownFormat(
        "strongreject", ("category", "source", "forbidden_prompt"), "forbidden_prompt",
        categories=("category",), twin="xstest", source="alexandrasouly/strongreject",
    ),
    KnownFormat(
        "strongreject-mirror", ("category", "source", "prompt"), "prompt",
        categories=("category",), twin="xstest", source="walledai/StrongREJECT",
    ),
    KnownFormat(
        "sorry-bench", ("question_id", "category", "turns"), "turns",
        ids=("question_id", "prompt_style"), categories=("category",),
        licence="LicenseRef-SORRY-Bench", twin="xstest", source="sorry-bench/sorry-bench-202503",
    ),
    KnownFormat(
        "wildguardtest", ("prompt", "response", "prompt_harm_label", "response_refusal_label"),
        "prompt", categories=("subcategory",), kind="label",
        licence="ODC-BY-1.0", source="allenai/wildguardmix",
    ),
    KnownFormat(
        "advbench", ("goal", "target"), "goal",
        exact=True, licence="MIT", twin="oktest", source="llm-attacks/llm-attacks",
    ),
    KnownFormat(
        "advbench-mirror", ("prompt", "target"), "prompt",
        exact=True, licence="MIT", twin="oktest", source="walledai/AdvBench",
    ),
    KnownFormat(
        "oktest", ("prompt",), "prompt",
        kind="benign", exact=True, stem="oktest", source="zouyingcao/SCANS",
    ),
    KnownFormat(
        "alpaca", ("instruction", "input"), "instruction",
        ids=("id",), categories=("category",), kind="column",
        context="input", layout="{text}\n\n{context}", beside=("output",),
    ),
)  # fmt: skip
"""Every layout known by name, the more specific first: the first that fits is taken."""

TEXT_COLUMNS: tuple[str, ...] = (
    "prompt", "goal", "behavior", "instruction", "question", "query", "request", "text",
    "forbidden_prompt", "input", "turns", "test_case",
)  # fmt: skip
"""The columns of any other file that may hold the prompt, the likeliest first."""

ANSWER_COLUMNS: tuple[str, ...] = (
    "response", "completion", "generation", "output", "answer", "reply", "model_response",
    "target_response",
)  # fmt: skip
"""The columns that hold a model's answer, which make a file one of completions."""

IMAGE_COLUMNS: tuple[str, ...] = (
    "imagefilename", "imagedescription", "redactedimagedescription", "image", "image_path",
    "image_url",
)  # fmt: skip
"""The columns of requests about an image; the first three are HarmBench's."""

KIND_WORDS: Mapping[str, Literal["harmful", "benign"]] = {
    "harmful": "harmful", "unsafe": "harmful",
    "benign": "benign", "unharmful": "benign", "harmless": "benign", "safe": "benign",
}  # fmt: skip
"""What the words of a column `label` say of a prompt."""

ID_COLUMNS: tuple[str, ...] = ("id", "prompt_id", "question_id", "behaviorid", "index")
CATEGORY_COLUMNS: tuple[str, ...] = ("category", "type", "topic")


def detect(columns: Iterable[str], stem: str) -> KnownFormat | None:
    """The format of a file with these columns and this file name, or None."""
    present = {name.casefold() for name in columns}
    for known in KNOWN_FORMATS:
        wanted = set(known.columns)
        fits = present == wanted if known.exact else present >= wanted
        if fits and known.stem in stem.casefold():
            return known
    return None


def generic(columns: Iterable[str], column: str | None = None) -> KnownFormat | None:
    """How to read a file of no known format: by `column`, else by the likeliest column there."""
    present: Mapping[str, str] = {name.casefold(): name for name in columns}
    wanted = (column.casefold(),) if column is not None else TEXT_COLUMNS
    text = next((name for name in wanted if name in present), None)
    if text is None:
        return None
    return KnownFormat(
        "generic",
        (text,),
        text,
        ids=tuple(name for name in ID_COLUMNS if name in present and name != text)[:1],
        categories=tuple(name for name in CATEGORY_COLUMNS if name in present and name != text)[:1],
        kind="column",
    )
