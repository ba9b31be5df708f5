"""Which published set some prompts are: known by a digest of what is asked, never by a file's name.

The digests of the sets are those of their published files; this prints them again:

    python benchmarks/prompt_set_digests.py advbench=FILE xstest=FILE xstest-safe=FILE oktest=FILE
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from safebasin.prompts.packaged import NAMES
from safebasin.prompts.prompt import Prompt
from safebasin.prompts.published import BY_NAME, PUBLISHED, Published

CHANGED = " + "
"""What stands between the name of a set and the attack, or the prefill, with which it is asked."""

_TITLES = {
    "advbench": "AdvBench",
    "harmbench": "HarmBench",
    "jailbreakbench": "JailbreakBench",
    "jbb": "JailbreakBench",
    "strongreject": "StrongREJECT",
    "hex-phi": "HEx-PHI",
    "sorry-bench": "SORRY-Bench",
    "xstest": "XSTest",
    "oktest": "OKTest",
    "wildguardtest": "WildGuardTest",
}
"""What people call the sets, by the beginning of the names of sets and layouts."""


def content_digest(prompts: Iterable[Prompt]) -> str:
    """The SHA-256 of what a set asks: of each prompt its kind and its text, and what its answer is
    made to begin with.

    Neither the order of the prompts counts nor their ids, categories, the form of the file or how
    lines end in a text. A prompt that occurs twice counts twice.
    """
    asked = sorted(
        [one.kind, one.text.replace("\r\n", "\n"), *filter(None, [one.prefill])] for one in prompts
    )
    return hashlib.sha256(json.dumps(asked, ensure_ascii=True).encode()).hexdigest()


def recognised(content: str) -> Published | None:
    """The published set of which this is the digest; None for any other, a part of one included."""
    return next((one for one in PUBLISHED if content and one.content == content), None)


def proven(prompts: Mapping[str, Any], content: str = "") -> Published | None:
    """The published set that a run asked, or a sample of; None where its manifest proves none.

    `prompts` is what the manifest's identity says of them. The proof is the digest of the set's
    content, the commit of the hub at which the set was fetched, or, in runs of earlier versions,
    the digest of the published file.
    """
    if content:
        found = recognised(content)
        if found is not None:
            return found
    named = BY_NAME.get(str(prompts.get("name")))
    if named is not None and named.repository and prompts.get("revision"):
        return named
    if content or CHANGED in str(prompts.get("name")):
        return None
    file = str(prompts.get("sha256"))
    known = [one for one in PUBLISHED if file in one.sha256.values()]
    return named if named in known else next(iter(known), None)


def shown_name(prompts: Mapping[str, Any], content: str = "") -> str:
    """What the prompts of a run are called: never a published set's name without its proof."""
    name = str(prompts.get("name"))
    found = proven(prompts, content)
    if found is not None:
        return found.name
    return own_name(name, "", "") if name in BY_NAME else name


def own_name(stem: str, layout: str, default: str) -> str:
    """What a file with a published set's columns or file name is called, which is not that set.

    `layout` is the name of its layout, "" for none; `default` where neither is a published set's.
    """
    if like := title(layout):
        return f"own file, laid out like {like}"
    if (like := _titles_by_name().get(_plain(stem), "")) or _plain(stem) in _plain_names():
        return f"own file, named like {like or stem}"
    return default


def title(name: str) -> str:
    """What people call the published set of a name or a layout; "" for any other name."""
    return next((found for start, found in _TITLES.items() if name.startswith(start)), "")


def _titles_by_name() -> dict[str, str]:
    names = {_plain(name): title(name) for name in BY_NAME}
    return names | {_plain(found): found for found in _TITLES.values()}


def _plain_names() -> set[str]:
    return set(map(_plain, NAMES))


def _plain(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.casefold())
