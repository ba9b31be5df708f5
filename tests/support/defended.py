"""The models of a weight defence in one folder, and their matrices in NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from transformers import AutoModelForCausalLM

from safebasin.subject.subject import Subject
from safebasin.weights import Direction
from support import pico

Arrays = dict[str, np.ndarray]


def make(folder: Path, family: str) -> Path:
    """The folders `aligned`, `unaligned`, and `adapter` and `safe` over the aligned one."""
    pico.save(folder / "aligned", family)
    pico.save(folder / "unaligned", family, seed=3)
    targets = ("c_attn", "c_fc") if family == "gpt2" else ("q_proj", "down_proj")
    fan = {"fan_in_fan_out": True} if family == "gpt2" else {}
    for name, seed in (("adapter", 1), ("safe", 2)):
        pico.adapter(folder / "aligned", folder / name, targets=targets, seed=seed, **fan)
    return folder


def arrays(folder: Path) -> Arrays:
    """The weights of a checkpoint by transformers alone, float64 by parameter name."""
    model = AutoModelForCausalLM.from_pretrained(folder)
    return {name: one.detach().double().numpy() for name, one in model.named_parameters()}


def now(subject: Subject) -> Arrays:
    """The weights of a subject as they are, float64."""
    return {n: one.detach().double().numpy().copy() for n, one in subject.model.named_parameters()}


def after(subject: Subject, direction: Direction, coefficient: float = 1.0) -> Arrays:
    """The weights at a coefficient of a direction, float64."""
    with subject.weights.displaced([(coefficient, direction)]):
        return now(subject)
