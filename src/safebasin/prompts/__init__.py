"""Prompts and sets of prompts: what the model is asked at every point of a map."""

from __future__ import annotations

from safebasin.prompts.packaged import CHOICE_SETS, EVERYDAY, PACKAGED
from safebasin.prompts.prompt import KINDS, Kind, Prompt, PromptSet
from safebasin.prompts.published import PUBLISHED, Published
from safebasin.prompts.sets import load

__all__ = [
    "CHOICE_SETS",
    "EVERYDAY",
    "KINDS",
    "PACKAGED",
    "PUBLISHED",
    "Kind",
    "Prompt",
    "PromptSet",
    "Published",
    "load",
]
