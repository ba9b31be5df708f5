"""Which judges' models are loaded beside the model that is asked, and which have to wait."""

from __future__ import annotations

from collections.abc import Sequence

from safebasin.judges.protocol import HoldsModel, Judge

SHARE = 0.5
"""The share of free memory that judges may take beside the model, whose batches take the rest."""


def waiting(judges: Sequence[Judge], device: str, reserved: float) -> tuple[Judge, ...]:
    """Those of the judges that read only once the model that is asked is freed.

    `reserved` bytes of what is free on `device` will be taken for asking. Judges come first in
    their order: one that fits leaves less for the next.
    """
    left: dict[str, float] = {}
    late = []
    for judge in judges:
        if not isinstance(judge, HoldsModel):
            continue
        found = judge.footprint()
        free = found.free - (reserved if found.device == device else 0)
        room = left.setdefault(found.device, SHARE * free)
        if found.needs <= room:
            left[found.device] = room - found.needs
        else:
            late.append(judge)
    return tuple(late)
