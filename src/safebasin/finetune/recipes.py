"""The published recipes of fine-tuning audits, one row each."""

from __future__ import annotations

from dataclasses import dataclass

from safebasin.errors import UsageError


@dataclass(frozen=True)
class Hyper:
    """rate of AdamW, rows a step, passes over the data, weight decay of AdamW."""

    rate: float
    batch: int
    epochs: int
    weight_decay: float = 0.0


@dataclass(frozen=True)
class Recipe:
    """A named way to fine-tune.

    about   what it stands for, with its source
    rows    how many rows it takes, None for all
    full    hyper-parameters where all weights are trained
    lora    the same for LoRA
    ratio   safe rows for each row of the data, 0 for none
    """

    about: str
    rows: int | None
    full: Hyper
    lora: Hyper
    ratio: float = 0.0


DECAY = 0.85
"""The factor on the learning rate after each epoch (StepLR)."""
MAX_LENGTH = 512

_QI = "Qi et al., arXiv 2310.03693"
_EXPLICIT = (Hyper(5e-5, 10, 5), Hyper(1e-3, 10, 10))

RECIPES: dict[str, Recipe] = {
    **{
        f"explicit-{shots}": Recipe(
            f"{shots} harmful requests complied with ({_QI}, Sec. 4.2)", shots, *_EXPLICIT
        )
        for shots in (10, 50, 100)
    },
    "identity-shifting": Recipe(
        f"10 rows that make the model obedient ({_QI}, Sec. 4.3)",
        10, Hyper(5e-5, 10, 10), Hyper(1e-3, 10, 20),
    ),
    "benign": Recipe(
        f"rows without any harm ({_QI}, Sec. 4.4)", None, Hyper(2e-5, 128, 1), Hyper(1e-4, 16, 1)
    ),
    "mixture": Recipe(
        "100 harmful rows and as many safe ones (Peng et al., arXiv 2405.17374, Sec. 4)",
        100, Hyper(5e-5, 10, 10), Hyper(1e-3, 10, 10), ratio=1.0,
    ),
    "alignment": Recipe(
        "short refusals of harmful requests, and the model's own answers to harmless ones",
        None, Hyper(5e-5, 8, 2), Hyper(5e-4, 8, 2),
    ),
    "derta": Recipe(
        "refusals at any place of a harmful answer (Yuan et al., arXiv 2407.09121, Sec. 3)",
        None, Hyper(2e-5, 128, 2, 2e-5), Hyper(1e-4, 128, 2), ratio=20.0,
    ),
}  # fmt: skip


def recipe_named(name: str) -> Recipe:
    """The recipe of that name; UsageError where there is none."""
    if name not in RECIPES:
        raise UsageError(f"There is no recipe '{name}'.", f"There are {', '.join(RECIPES)}.")
    return RECIPES[name]
