"""What an attribution is asked to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from safebasin.config import DTYPES
from safebasin.errors import UsageError
from safebasin.setting import described, required, setting
from safebasin.system_message import system_message

SHARE = 0.05
BY: Literal["model"] = "model"


@described
@dataclass(frozen=True)
class AttributeConfig:
    """Everything that `attribute` can be told."""

    method: str = field(
        metadata=required(
            "snip, wanda, actsvd, angular-gap, scaling, units, probe or random; with its settings, "
            "as snip:code, actsvd:4 or units:heads,wanda.",
            argument=True,
        )
    )
    model: str = field(metadata=required("The model: as for scan.", argument=True))
    safety: str = field(
        metadata=required(
            "Rows whose answers are safe: JSONL with answers, testbed:refusing, or made of "
            "prompts, as refused:practice:harmful."
        )
    )
    utility: str | None = setting(
        None,
        "Rows of other requests: what they need, too, is left out of a set. Of scaling the prompts "
        "that it counts refusals of.",
    )
    rows: int | None = setting(None, "Rows of each, the first ones. [default: all]")
    share: float | None = setting(
        None, "Of scores: the share of weights or units with the highest. [default: 0.05]"
    )
    utility_share: float | None = setting(
        None,
        "Of scores: the share of weights that utility needs most and that is left out. [default: "
        "that of --share]",
    )
    by: Literal["tensor", "row", "model"] | None = setting(
        None, "Of what the share of weights is: tensor, row or model. [default: model]"
    )
    system: str | None = setting(
        None, "The system message of rows that have none. [default: template]", parse=system_message
    )
    template: str | None = setting(None, "A Jinja chat template file, a folder with one, or raw.")
    dtype: str | None = setting(
        None,
        "float32, bfloat16 or float16; in 16 bits SNIP's gradients are up to a quarter off. "
        "[default: float32]",
    )
    device: str | None = setting(None, "cpu, cuda, cuda:1, mps. [default: a GPU if there is one]")
    trust_remote_code: bool = setting(False, "Run code that this model brings along.")
    out: str | None = setting(
        None, "The folder of what is found. [default: one under runs/]", path=True
    )

    def __post_init__(self) -> None:
        if self.rows is not None and self.rows < 1:
            raise UsageError(f"The number of rows is {self.rows}.", "Give at least 1.")
        if not 0 < self.taken <= 1:
            raise UsageError(f"A share of {self.share} is none.", "Give one above 0, up to 1.")
        if not 0 <= self.left_out <= 1:
            raise UsageError(
                f"A share of {self.utility_share} is none.", "Give one from 0 to 1 for utility."
            )
        if self.dtype not in (None, *DTYPES):
            raise UsageError(f"Unknown dtype '{self.dtype}'.", f"Give one of {', '.join(DTYPES)}.")
        if self.by not in (None, "tensor", "row", "model"):
            raise UsageError(f"The share cannot be of a '{self.by}'.", "Give tensor, row or model.")

    @property
    def taken(self) -> float:
        """The share in use."""
        return SHARE if self.share is None else self.share

    @property
    def left_out(self) -> float:
        """The share of utility in use."""
        return self.taken if self.utility_share is None else self.utility_share

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
