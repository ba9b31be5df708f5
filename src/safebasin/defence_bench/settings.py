"""What a bench of defences is asked to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from safebasin.config import ScanConfig
from safebasin.errors import UsageError
from safebasin.setting import described, parse_names, setting

TESTBED = "testbed:"
NONE = "none"
ALL = ("all",)

PACKAGED = {
    "unaligned": "testbed:base",
    "data": "testbed:harmful",
    "safe": "testbed:refusing",
    "harmless": "testbed:benign",
    "over_refusing": "testbed:over-refusing",
    "refusals": "testbed:refused",
    "preferences": "testbed:preferences",
    "anchors": "testbed:harmful-dev,testbed:benign-dev",
    "capability": "testbed:capability",
    "benign": "testbed:benign",
    "refusal_word": "This",
}
"""What a packaged model is given where nothing else is said."""


LATER = ("over_refusing",)
"""Settings that benches of earlier versions were begun without: told only where they are given."""


@described
@dataclass(frozen=True)
class BenchConfig:
    """Everything that `bench-defences` can be told.

    Of the scan, `model` is the aligned model, `radius` and `steps` are those of the line, and
    `prompts` what attack success is measured on.
    """

    scan: ScanConfig = field(default_factory=lambda: ScanConfig(radius=0.3, steps=6, limit=40))
    defences: tuple[str, ...] = setting(
        ALL,
        "Which, with commas between, or all: those that what is given is enough for.",
        parse=parse_names,
    )
    tunes: tuple[str, ...] = setting(
        ALL,
        "Which fine-tunes: harmful-10, harmful-50, harmful-100, mixture, benign, identity, or all "
        "of these; and over-refusing, to see that taken away.",
        parse=parse_names,
    )
    seeds: int = setting(3, "How many seeds of each fine-tune; they count from 0.")
    unaligned: str | None = setting(None, "That model from before its alignment.")
    data: str | None = setting(None, "Rows of the harmful fine-tunes, as for finetune.")
    safe: str | None = setting(None, "Rows that refuse, to be mixed in.")
    harmless: str | None = setting(None, "Rows of the benign fine-tune.")
    identity: str | None = setting(
        None, "Rows of identity shifting. [default: made of 10 of the benign ones]", path=True
    )
    over_refusing: str | None = setting(
        None, "Rows that refuse harmful and harmless requests, which a model over-refuses after."
    )
    refusals: str | None = setting(None, "Refusals of the prompts of --data, for derta.")
    refusal_word: str | None = setting(None, "The first token of refusals, for derta.")
    preferences: str | None = setting(None, "Pairs of answers, for somf.")
    anchors: str | None = setting(
        None, "Harmful and benign prompts that scans is found with: two sets, a comma between."
    )
    benign: str | None = setting(None, "Benign prompts for over-refusal and KL.")
    capability: str | None = setting(None, "Questions with exact answers, or none.")
    full: bool = setting(False, "Tune all weights in place of LoRA factors.")
    rank: int = setting(8, "The rank of those factors.")
    rate: float | None = setting(None, "The learning rate. [default: the recipe's]")
    epochs: int | None = setting(None, "Passes over the rows. [default: the recipe's]")
    settings: int = setting(
        3,
        "At how many epochs the attack is measured: the last, a third of it, a ninth of it.",
    )
    matched: int = setting(
        3, "Training at one loss may take so many times the epochs of the plain fine-tune."
    )
    blocks: str | None = setting(
        None, "The blocks that sppft freezes, as 2-5. [default: the middle half]"
    )
    ablated_block: int | None = setting(
        None, "The block whose direction the attack takes away. [default: chosen]"
    )
    line_limit: int = setting(24, "Harmful prompts at each point of the line and of the path.")
    path_steps: int = setting(
        6, "Steps from the aligned model to 1.5 times the change; of a multiple of 3 one is at 1."
    )

    def __post_init__(self) -> None:
        for name in ("seeds", "settings", "matched", "line_limit", "path_steps", "rank"):
            if getattr(self, name) < 1:
                option = f"--{name.replace('_', '-')}"
                raise UsageError(f"{option} is {getattr(self, name)}.", "Give at least 1.")
        if self.scan.axes != 1:
            raise UsageError("The basin of a defence is measured along a line.", "Give --axes 1.")

    def given(self, name: str) -> str | None:
        """A setting, or what a packaged model is given in its place; None for neither."""
        own: str | None = getattr(self, name)
        if own is None and self.scan.model.startswith(TESTBED):
            return PACKAGED.get(name)
        return None if own == NONE else own

    def need(self, name: str) -> str:
        """The same; UsageError where it was not given."""
        found = self.given(name)
        if found is None:
            raise UsageError(
                f"--{name.replace('_', '-')} is needed and was not given.",
                "Give it, or name the defences and fine-tunes that do without.",
            )
        return found

    def to_json(self) -> dict[str, Any]:
        own = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "scan"}
        return {**own, "scan": self.scan.to_json()}

    def settled(self) -> dict[str, Any]:
        """What of the settings determines the numbers of a cell, whichever cells there are."""
        own = {
            key: value
            for key, value in asdict(self).items()
            if key not in ("scan", "defences", "tunes", "seeds")
        }
        scan = self.scan.to_json()
        kept = (
            "model", "prompts", "column", "prompts_kind", "limit", "first", "sample_seed", "judges",
            "template", "max_new_tokens", "dtype", "radius", "steps", "tolerance",
        )  # fmt: skip
        return {
            **{key: value for key, value in own.items() if key not in LATER or value is not None},
            **{key: scan[key] for key in kept},
        }
