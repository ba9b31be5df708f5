"""What identifies a run of each command, against what earlier versions wrote: runs go on."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

HEX = "a SHA-256"
GOLDEN = Path(__file__).parent / "golden" / "manifests.json"
COMMON = (
    "--limit", "2", "--max-new-tokens", "2", "--workers", "1", "--device", "cpu", "--judge",
    "llm-landscape",
)  # fmt: skip
TUNED = ("testbed:harmful-10", "testbed:harmful-100")
COMMANDS: dict[str, tuple[str, ...]] = {
    "scan": ("testbed:aligned", "--seeds", "1", "--steps", "2", "--system", "safety"),
    "plane": ("testbed:aligned", "--axes", "2", "--steps", "2", "--capability",
              "testbed:capability", "--capability-limit", "1"),
    "compare": ("testbed:aligned", TUNED[1], "--steps", "1", "--refine", "0"),
    "trajectory": ("testbed:aligned", *TUNED, "--plane", "interpolation", "--steps", "2"),
    "conditions": ("testbed:aligned", "--system", "template", "--system", "safety",
                   "--seeds", "1", "--steps", "2"),
    "worst-case": ("testbed:aligned", "--steps", "2", "--search", "3", "--iterations", "1",
                   "--restarts", "1", "--max-new-tokens", "24"),
    "evaluate": ("testbed:aligned", "--samples", "2", "--temperature", "0.7"),
}  # fmt: skip


def found_in(root: Path) -> dict[str, Any]:
    """What determines the answers of every run folder below, by its place."""
    found = {}
    for path in sorted(root.rglob("manifest.json")):
        stored = json.loads(path.read_text(encoding="utf-8"))
        kept = {key: stored[key] for key in ("identity", "prompts", "files", "rendered")}
        found[path.parent.relative_to(root).as_posix()] = kept
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_a_run_is_identified_as_it_was(
    name: str, command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its folder's name, which is a digest of the identity, too."""
    monkeypatch.chdir(tmp_path)
    verb = "scan" if name == "plane" else name
    code, _, error = command(verb, *COMMON, *COMMANDS[name])
    assert code == 0 or verb == "compare", error
    found = found_in(tmp_path)
    assert found
    expected = json.loads(GOLDEN.read_text(encoding="utf-8"))[name]
    assert [told for told in map(computed, found.values()) if told is not None] == [
        HEX for told in map(computed, expected.values()) if told is not None
    ]
    assert found == expected


def computed(run: dict[str, Any]) -> str | None:
    """Take out the digest of a direction that the model computed, whose last bits are those of the
    processor; HEX where it is one, None where there is none."""
    direction = run["identity"].get("direction", {})
    digest = direction.pop("sha256", None) if isinstance(direction, dict) else None
    return HEX if digest is not None and re.fullmatch("[0-9a-f]{64}", digest) else digest
