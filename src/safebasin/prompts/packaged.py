"""The names of the prompt sets that come with safebasin."""

from __future__ import annotations

from safebasin.prompts.prompt import KINDS, Kind

PACKAGED: dict[str, tuple[Kind, str]] = {
    f"testbed:{kind}{suffix}": (kind, split)
    for suffix, split in (("", "test"), ("-dev", "dev"))
    for kind in KINDS
}
"""The sets that come with the packaged model: name -> (kind, split)."""

EVERYDAY = "everyday"
"""Plain questions in English that any instructed model helps with."""

FILES = {
    EVERYDAY: "everyday.jsonl",
    "practice:benign": "practice_benign.jsonl",
    "practice:harmful": "practice_harmful.jsonl",
}
"""The other packaged sets: name -> file beside this one. A new set is its file and a row."""

NAMES = (*PACKAGED, *FILES)
"""Every packaged set."""

CHOICE_SETS = {"testbed:choice": "test", "testbed:choice-dev": "dev"}
"""The packaged multiple-choice questions, which `--capability` takes: name -> split."""
