"""SCANS: over-refusal is steered away while a model answers, and refusal kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from safebasin.defences.steered_passes import SteeredPasses
from safebasin.errors import DataError
from safebasin.run.atomic import read_plain
from safebasin.subject.hooks import entered, hooked
from safebasin.subject.states import blocks_of
from safebasin.subject.subject import Subject
from safebasin.weights.tensor_files import write_tensors

OPERATION, HOOK_POINT = "add", "output of the block"
_GIVE = "Give a file that `safebasin steer` wrote for this model."


@dataclass(frozen=True)
class Scans:
    """Safety-conscious activation steering: h ← h + σ·share·v after some blocks.

    (Cao et al., AAAI 2025, arXiv 2408.11491, Sec. 3.) v [width] of a block is the mean state at
    the last token of harmful prompts less that of benign ones. σ is 1 for a prompt that is taken
    for harmful and -1 for another: s ≥ threshold, where s is the mean over the scored blocks of
    cos(t, d), t the state at the prompt's last token less that at the last token of "Sure" after
    it, d the mean t of harmful prompts. All tokens from the prompt's last on are steered,
    generated ones, too. Where a prompt ends is found by the tokens that the chat template writes
    after it.

    v is not normed here, so that `share` is in units of its norm, block by block; the authors' code
    norms v and adds 3.5 or 4 of it, which no other model can take over. The last block is never
    steered nor scored: what transformers calls its hidden state is after the final norm.

    model        the checkpoint that it was found in, by name and fingerprint
    end          the tokens after a prompt, up to where an answer begins
    vectors      v by steered block, float32
    transitions  d by scored block, float32
    found        JSON values of how it was found, among them the threshold's whole curve
    """

    kind: ClassVar[str] = "scans"
    reference: ClassVar[str] = "Cao et al., AAAI 2025, arXiv 2408.11491, Sec. 3"

    model: Mapping[str, str]
    end: tuple[int, ...]
    vectors: Mapping[int, Tensor]
    transitions: Mapping[int, Tensor]
    threshold: float
    share: float
    found: Mapping[str, Any]

    def spec(self) -> dict[str, Any]:
        """What is done where, for which model, and the digest of all values."""
        return {
            "kind": self.kind,
            "operation": OPERATION,
            "hook_point": HOOK_POINT,
            "blocks": sorted(self.vectors),
            "norms": {str(block): float(v.norm()) for block, v in sorted(self.vectors.items())},
            "share": self.share,
            "scored": sorted(self.transitions),
            "threshold": self.threshold,
            "end": list(self.end),
            "model": dict(self.model),
            "values": self._digest(),
        }

    @contextmanager
    def applied(self, subject: Subject, strength: float) -> Iterator[None]:
        """Steer by strength·share·v; at 0 nothing is hooked.

        Raises DataError where it was found in another model.
        """
        fingerprint = subject.checkpoint.fingerprint()
        if fingerprint != self.model["fingerprint"]:
            raise DataError(
                f"The steering was found in '{self.model['name']}', fingerprint "
                f"{self.model['fingerprint'][:12]}, and '{subject.checkpoint.name}' is another "
                f"model, {fingerprint[:12]}.",
                _GIVE,
            )
        if strength == 0:
            yield
            return
        steps = {block: strength * self.share * v for block, v in self.vectors.items()}
        passes = SteeredPasses(subject, self.end, steps, self.transitions, self.threshold)
        blocks = blocks_of(subject)
        hooks = [(blocks[block], passes.hook(block)) for block in sorted(self.vectors)]
        with entered(subject.model, passes.enter), hooked(hooks):
            yield

    def save(self, path: Path) -> Path:
        """Write it as safetensors, with what is done where as JSON in its header."""
        said = json.dumps({**self.spec(), "found": dict(self.found)})
        return write_tensors(path, self._tensors(), {"steering": said})

    @classmethod
    def read(cls, path: str | Path) -> Scans:
        """The steering of a file; DataError where it holds none, or is for another hook point."""
        from safetensors import SafetensorError, safe_open

        try:
            read_plain(Path(path))
            with safe_open(str(path), "pt") as file:
                said = json.loads((file.metadata() or {})["steering"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            _require_hook_point(path, said)
            vectors, transitions = (
                {int(block): tensors[f"{name}.{block}"] for block in said[blocks]}
                for name, blocks in (("vector", "blocks"), ("transition", "scored"))
            )
            made = cls(
                said["model"], tuple(said["end"]), vectors, transitions, said["threshold"],
                said["share"], said["found"],
            )  # fmt: skip
        except FileNotFoundError:
            raise DataError(f"There is no steering file '{path}'.", _GIVE) from None
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"'{path}' is no steering file: {type(error).__name__} {error}.", _GIVE
            ) from None
        if made.spec()["values"] != said["values"]:
            raise DataError(f"The values of '{path}' are not those that were written.", _GIVE)
        return made

    def _tensors(self) -> dict[str, Tensor]:
        return {f"vector.{block}": v for block, v in self.vectors.items()} | {
            f"transition.{block}": d for block, d in self.transitions.items()
        }

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for name, tensor in sorted(self._tensors().items()):
            digest.update(f"{name} {tuple(tensor.shape)}".encode() + tensor.numpy().tobytes())
        return digest.hexdigest()


def _require_hook_point(path: str | Path, said: Mapping[str, Any]) -> None:
    wanted = {"kind": Scans.kind, "operation": OPERATION, "hook_point": HOOK_POINT}
    for name, own in wanted.items():
        if said[name] != own:
            raise DataError(
                f"'{path}' is for the {name.replace('_', ' ')} '{said[name]}', not '{own}'.", _GIVE
            )
