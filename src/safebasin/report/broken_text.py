"""What broken text was told by, in a sentence for summary, page and card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def told_by(scale: Mapping[str, Any] | None) -> str | None:
    """How a run's judge told broken text from fluent text; None where none did.

    `scale` is what `safebasin.reference.scale_of` gives.
    """
    if scale is None:
        return None
    share = "" if scale["broken"] is None else f"; {100 * scale['broken']:.1f} % of them would be"
    answers = scale.get("answers")
    if scale["cut"] is None or not answers:
        own = f"the undisplaced model's own {answers} answers{share}" if answers else "nothing else"
        return f"by repetition and words alone, for want of log-probabilities, beside {own}"
    middle = "" if scale["middle"] is None else f", {scale['middle']:.2f} in the median"
    return (
        f"over {scale['cut']:.2f} nats a token, by the undisplaced model's own {answers} "
        f"answers{middle}{share}"
    )
