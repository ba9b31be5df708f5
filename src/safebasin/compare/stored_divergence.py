"""The divergence in a comparison's folder: measured once, and taken up where it was cut off.

`divergence.json` holds, for each set of prompts that was asked, what determines the values and the
value of each prompt.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from safebasin.compare.divergence import Divergence, PromptDivergence, divergences
from safebasin.compare.preparation import TUNED, Prepared
from safebasin.errors import EngineError, RunError, TemplateError
from safebasin.run import sealed
from safebasin.run.provenance import plain_json
from safebasin.run.records import SCHEMA_VERSION, DamagedError
from safebasin.run.study_shapes import StoredDivergence
from safebasin.run.typed import what_is_wrong
from safebasin.terminal import printable

DIVERGENCE = "divergence.json"
_DETERMINES = ("model", "tuned", "weights", "engine", "sampling", "end_tokens")

LOG = logging.getLogger(__name__)


def divergence_of(prepared: Prepared) -> tuple[Divergence | None, str]:
    """The divergence of a comparison, measured as far as its folder does not hold it.

    With it, or in its place, what a reader has to know: "" for nothing. Raises RunError where the
    stored file is damaged.
    """
    engine = prepared.engine
    if engine.own_process:
        return None, f"the KL on benign prompts is not measured with --engine {engine.name}"
    prompts = prepared.friendly
    identity = plain_json(
        {name: prepared.identity[name] for name in _DETERMINES if name in prepared.identity}
        | {"prompts": {"name": prompts.name, "sha256": prompts.sha256}}
    )
    entries = _read(prepared)
    entry = next((one for one in entries if one["identity"] == identity), None)
    if entry is None:
        entry = {"identity": identity, "prompts": []}
        entries.append(entry)
    known = {one.prompt_id: one for one in map(PromptDivergence.from_json, entry["prompts"])}

    def store(found: list[PromptDivergence]) -> None:
        known.update({one.prompt_id: one for one in found})
        entry["prompts"] = [one.to_json() for one in known.values()]
        whole = {"schema_version": SCHEMA_VERSION, "measured": entries}
        sealed.write(prepared.folder / DIVERGENCE, whole)

    missing = [prompt for prompt in prompts if prompt.id not in known]
    try:
        if missing:
            divergences(engine.plain, TUNED, missing, prepared.sampling, store)
    except (EngineError, TemplateError) as error:
        return None, f"the KL on benign prompts could not be measured: {error.message}"
    each = [known[prompt.id] for prompt in prompts]
    return Divergence.of(f"{prompts.name} ({len(each)})", each), ""


def _read(prepared: Prepared) -> list[dict[str, Any]]:
    path = prepared.folder / DIVERGENCE
    try:
        stored = sealed.read(path)
        if (wrong := what_is_wrong(StoredDivergence, stored)) is not None:
            raise DamagedError(1, wrong)
    except FileNotFoundError:
        return []
    except DamagedError as error:
        raise _damaged(path, f"it {error.what}") from error
    except ValueError as error:
        raise _damaged(path, f"it is not strict JSON ({error})") from error
    return list(stored["measured"])


def _damaged(path: Path, what: str) -> RunError:
    return RunError(
        f"{printable(str(path))} is damaged: {what}.",
        "Remove the file and run the same command again; it is then measured anew.",
    )
