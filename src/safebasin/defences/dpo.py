"""Direct preference optimisation: how much more a model prefers an answer than a reference does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import cross_entropy, logsigmoid

from safebasin.engines.padding import first_batch, padded, rows_together
from safebasin.subject.encoding import IGNORED, Encoded
from safebasin.subject.subject import Subject

_ROWS = 16


def log_probabilities(
    subject: Subject, rows: Sequence[Encoded], weights: Mapping[str, Tensor]
) -> Tensor:
    """Σ log p(token | all before) over the tokens of each row's answer: [rows].

    `weights` stand in for those of the model by their names, and gradients pass to them; the
    model's own stay as they are. The whole conversation is a row of its own.
    """
    model: Any = subject.model
    ids = [one.ids for one in rows]
    together = rows_together(model, ids, subject.pad_token, "right")
    left = sorted(range(len(rows)), key=lambda i: len(ids[i]))
    found: dict[int, Tensor] = {}
    while left:
        at_hand = first_batch(left, [len(one) for one in ids], _ROWS, together)
        del left[: len(at_hand)]
        batch, mask = padded([ids[i] for i in at_hand], subject.pad_token, "right")
        given = {"input_ids": batch, "attention_mask": mask}
        named = {key: one.to(model.device) for key, one in given.items()}
        logits = functional_call(model, dict(weights), (), {**named, "use_cache": False}).logits
        for row, i in enumerate(at_hand):
            labels = torch.tensor(rows[i].labels[1:], device=logits.device)
            own = logits[row, : len(labels)]
            own = own if own.dtype == torch.float64 else own.float()
            found[i] = -cross_entropy(own, labels, ignore_index=IGNORED, reduction="sum")
    return torch.stack([found[i] for i in range(len(rows))])


def dpo_loss(policy: Tensor, reference: Tensor, beta: float) -> Tensor:
    """Mean of -log σ(β·((π_c - ref_c) - (π_r - ref_r))): [] (Rafailov et al., 2305.18290, Eq. 7).

    policy, reference  log probabilities [2·pairs], chosen and rejected answers in turn
    """
    gain = policy - reference
    return -logsigmoid(beta * (gain[0::2] - gain[1::2])).mean()
