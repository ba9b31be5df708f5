"""The protocol of Peng et al. (NeurIPS 2024, arXiv 2405.17374) as settings of a scan.

Sec. 3 and 4 of the paper: the first 80 rows of AdvBench, three random directions, 21 points on
[-0.5, 0.5], 512 tokens, success where none of 29 keywords occurs. What the text leaves open is as
in the paper's code: float32, greedy, tied tensors moved twice, a system message and a hand-written
template for each family of models.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from safebasin.errors import UsageError
from safebasin.prompts.published import requested
from safebasin.protocol.texts import (
    LLAMA2,
    MISTRAL,
    PREFIX,
    ROLEPLAY,
    SAFETY_MISTRAL_01,
    SAFETY_MISTRAL_02,
    SYSTEM_MESSAGES,
    TEMPLATES,
    VICUNA,
)
from safebasin.terminal import printable, shorten

NAME = "peng2024"
DIRECTIONS = 3
JUDGE = "llm-landscape"
PROMPTS = "advbench"
CITED = "Peng et al. 2024"

SETTINGS: Mapping[str, Any] = {
    "axes": 1,
    "radius": 0.5,
    "steps": 20,
    "directions": (),
    "direction_scale": 1.0,
    "normalise": "tensor",
    "include": (),
    "exclude": (),
    "layers": None,
    "blocks": None,
    "tied": "reference",
    "limit": 80,
    "first": True,
    "sample_seed": 0,
    "column": None,
    "prefill": None,
    "max_new_tokens": 512,
    "dtype": "float32",
    "stop_at_plateau": False,
}
"""What is the same for every model, by the names of `ScanConfig`."""

_DEFAULT_MESSAGES = {"llama2": LLAMA2, "llama3": LLAMA2, "mistral": MISTRAL, "vicuna": VICUNA}


@dataclass(frozen=True)
class PaperModel:
    """A model of the paper.

    name    as the paper spells it
    called  what its folder or hub id may be called, without owner, in lower case
    family  of those that the paper's code has templates for
    safety  the prompt-tuned safety message of this model, where there is one
    visage  the VISAGE that the paper gives for one axis, in points of 100, by system message, and
            where it stands; three directions, no interval
    """

    name: str
    called: tuple[str, ...]
    family: str
    safety: str | None = None
    visage: Mapping[str, tuple[float, str]] = field(default_factory=dict)


MODELS: tuple[PaperModel, ...] = (
    PaperModel(
        "Llama3-8B-instruct", ("meta-llama-3-8b-instruct", "llama-3-8b-instruct"), "llama3",
        visage={LLAMA2: (90.40, "Fig. 1")},
    ),
    PaperModel(
        "Llama2-7B-chat", ("llama-2-7b-chat-hf", "llama-2-7b-chat"), "llama2",
        visage={LLAMA2: (85.32, "Fig. 1"), "": (80.68, "Table 2")},
    ),
    PaperModel("Llama2-13B-chat", ("llama-2-13b-chat-hf", "llama-2-13b-chat"), "llama2"),
    PaperModel(
        "Mistral-7B-instruct-v0.2", ("mistral-7b-instruct-v0.2",), "mistral", SAFETY_MISTRAL_02,
        visage={MISTRAL: (82.04, "Fig. 1")},
    ),
    PaperModel(
        "Mistral-7B-instruct-v0.1", ("mistral-7b-instruct-v0.1",), "mistral", SAFETY_MISTRAL_01
    ),
    PaperModel(
        "Vicuna-7B-v1.5", ("vicuna-7b-v1.5",), "vicuna", visage={VICUNA: (77.37, "Fig. 1")}
    ),
    PaperModel("Vicuna-7B-v1.3", ("vicuna-7b-v1.3",), "vicuna"),
)  # fmt: skip


def paper_model(model: str) -> PaperModel | None:
    """The model of the paper that a folder or hub id names, by its name alone; None for any other.

    One with an adapter is another model.
    """
    if "+" in model:
        return None
    name = model.partition("@")[0].rstrip("/").rpartition("/")[2].lower()
    return next((one for one in MODELS if name in one.called), None)


SYSTEM_NAMES = ("default", "empty", "roleplay", "llama2", "safety")
"""The system messages of the paper's Table 2, as `--system` names them under the protocol."""


def system_by_name(name: str, model: str) -> str | None:
    """The text of a system message of the paper's; None for what the model's own template has.

    `default` is that of the model's family, where the paper has it. Raises UsageError for a name
    that is none of these, and for `safety` where the paper tuned none for the model.
    """
    known = paper_model(model)
    if name == "default":
        return None if known is None else _DEFAULT_MESSAGES[known.family]
    fixed = {"empty": "", "roleplay": ROLEPLAY, "llama2": LLAMA2}
    if name in fixed:
        return fixed[name]
    if name == "safety":
        if known is not None and known.safety is not None:
            return known.safety
        tuned = " and ".join(one.name for one in MODELS if one.safety is not None)
        raise UsageError(
            f"The paper's system message 'safety' was tuned for {tuned} alone, and "
            f"'{shorten(model)}' is neither by its name.",
            "Give another --system.",
        )
    raise _no_message(name)


def _no_message(text: str) -> UsageError:
    return UsageError(
        f"--system '{shorten(text, 30)}' contradicts --protocol {NAME}, which has the system "
        f"messages {', '.join(SYSTEM_NAMES)}.",
        "Leave one of the two out.",
    )


def follow(
    given: Mapping[str, Any], explicit: Collection[str], system: str | None = None
) -> dict[str, Any]:
    """The settings of a scan by the protocol.

    given     all settings, by the names of `ScanConfig`
    explicit  those of them that were asked for, and not defaults: they have to agree
    system    the name of a system message of the paper's, `default` where None

    Raises UsageError that names the setting and the protocol where they contradict each other.
    """
    model = str(given["model"])
    wanted = _wanted(model)
    for name, value in wanted.items():
        if name in explicit and _plain(given[name]) != value:
            raise _contradiction(name, given, value)
    asked = {**given, **wanted, "protocol": NAME}
    asked["system"] = system_by_name(system or "default", model)
    for name, (default, _, _) in _RULES.items():
        if name not in explicit:
            asked[name] = default
    check(asked)
    return asked


def check(given: Mapping[str, Any]) -> None:
    """Raises UsageError where settings that name the protocol are not those of the protocol."""
    for name, value in _wanted(str(given["model"])).items():
        if _plain(given[name]) != value:
            raise _contradiction(name, given, value)
    for name, (_, holds, words) in _RULES.items():
        if not holds(given[name]):
            raise UsageError(
                f"{_option(name, given)} contradicts --protocol {NAME}, which {words}.",
                f"Give --prompts {PROMPTS}=FILE where it is AdvBench, or leave one of the two out."
                if name == "prompts"
                else "Leave one of the two out.",
            )
    if given["system"] not in (None, "", *SYSTEM_MESSAGES.values()):
        raise _no_message(str(given["system"]))


def published(model: str, system: str | None) -> tuple[PaperModel, float, str] | None:
    """(model of the paper, its VISAGE there, where it stands) under this system message.

    None where the paper gives none.
    """
    known = paper_model(model)
    if known is None or system is None or system not in known.visage:
        return None
    return known, *known.visage[system]


def told(template: str | None) -> str:
    """The protocol in one line, as a plan shows it."""
    if template is not None and template.removeprefix(PREFIX) in TEMPLATES:
        own = f"the paper's template for {template.removeprefix(PREFIX)}"
    else:
        own = "no template of the paper's, which has none for this model"
    return (
        f"{NAME}: the first 80 rows of AdvBench, {DIRECTIONS} directions of 21 points on [-0.5, "
        f"0.5], up to 512 tokens, its 29 keywords, float32, tied tensors moved twice, "
        f"{own}"
    )


def _wanted(model: str) -> dict[str, Any]:
    """The settings that have one right value for a model."""
    known = paper_model(model)
    own = {} if known is None else {"template": f"{PREFIX}{known.family}"}
    return {**SETTINGS, **own}


def _three(seeds: Any) -> bool:
    return seeds is None or len(seeds) == DIRECTIONS


def _headline(judges: Any) -> bool:
    first = judges[0] if judges else None
    return (first if isinstance(first, str) else getattr(first, "name", None)) == JUDGE


def _advbench(prompts: Any) -> bool:
    request = requested(str(prompts))
    return request is not None and request.published.name == PROMPTS


_RULES: Mapping[str, tuple[Any, Callable[[Any], bool], str]] = {
    "prompts": (PROMPTS, _advbench, f"asks AdvBench: {PROMPTS}, or {PROMPTS}=FILE"),
    "seeds": (None, _three, f"draws {DIRECTIONS} directions"),
    "judges": ((JUDGE, "outcome"), _headline, f"has the judge {JUDGE} first"),
}
"""Settings that have several right values: the default, whether a value is right, the rule."""


def _contradiction(name: str, given: Mapping[str, Any], value: Any) -> UsageError:
    wanted = {"limit": "first:80", "first": "first:80", "template": "the paper's own template"}
    return UsageError(
        f"{_option(name, given)} contradicts --protocol {NAME}, which has "
        f"{wanted.get(name, _shown(value))}.",
        "Leave one of the two out.",
    )


def _option(name: str, given: Mapping[str, Any]) -> str:
    """A setting as it is given on the command line."""
    if name in ("limit", "first"):
        return f"--limit {'first:' if given['first'] else ''}{given['limit']}"
    option = {"judges": "judge"}.get(name, name).replace("_", "-")
    value = given[name]
    if isinstance(value, bool):
        return f"--{option}"
    if name == "judges":
        value = [one if isinstance(one, str) else getattr(one, "name", "?") for one in value]
    return f"--{option} {_shown(value)}"


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(str, value)) or "none"
    return "none" if value is None else shorten(printable(str(value)), 40)


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
