"""An adapter that is merged into its base and asked with the base's tokenizer and template."""

from __future__ import annotations

import logging
from typing import Any

from safebasin.checkpoint.checkpoint import Checkpoint
from safebasin.checkpoint.mismatches import other_template, recorded_base, refuse
from safebasin.checkpoint.sources import display
from safebasin.checkpoint.token_tables import OtherTokens, renamed_tokens

LOG = logging.getLogger(__name__)


def compare_adapter(checkpoint: Checkpoint, tokenizer: Any, source: str | None) -> None:
    """Warn of what an adapter brings or records that is not its base's.

    `tokenizer` and the chat template `source` (None for none) are those that prompts are asked
    with. Raises CheckpointError where the adapter was trained with other tokens, since it would be
    asked something else than it reads. Nothing happens for a model without an adapter.
    """
    found = [*recorded_base(checkpoint), *other_template(checkpoint, source)]
    if (own := checkpoint.adapter_tokenizer) is not None:
        who = f"the adapter '{display(checkpoint.adapter or checkpoint.base)}'"
        table = OtherTokens.between(tokenizer.get_vocab(), own.get_vocab())
        found += renamed_tokens(table, tokenizer, who)
    refuse(found)
    for one in found:
        LOG.warning("%s", one.sentence)
