"""What a run measures: the settings that determine its answers, its prompts, its sittings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from safebasin.errors import RunError, RunMismatch, UsageError
from safebasin.plane import Axis, Plane, Point, outward
from safebasin.run import strictjson
from safebasin.run.atomic import read_plain
from safebasin.run.file_shapes import ManifestFile
from safebasin.run.names import canonical, digest
from safebasin.run.provenance import plain_json
from safebasin.run.records import SCHEMA_VERSION, DamagedError
from safebasin.run.typed import shown, what_is_wrong
from safebasin.terminal import printable, shorten

JSON = dict[str, Any]
Difference = tuple[str, str, str]
_ABSENT = object()
_SHOWN = 12


@dataclass(frozen=True)
class Manifest:
    """The head of a run folder.

    `identity` is everything that determines the answers, as JSON values; where it has `planes`,
    that is a list made by `plane_to_json`. `prompt_ids` are the prompts asked at each point, in
    the order they were drawn. `config` are the settings as last given, for people and for
    running the same again; they are not compared. Each of the `sessions` is one sitting.
    `capabilities` are what determines each capability that is measured, by name; others may be
    added later. `rendered` is what a prompt held beside the request, as
    `engines.rendered.Rendered` has it; it is for people and not compared, since a chat template may
    put in the date. `content` is the digest of all that the prompts' source asks, by which a
    published set is known, and `files` the SHA-256 of what is written beside the records before
    anything is asked, by file name; both are empty in runs of earlier versions. `renderings` are
    digests of what the model saw of each prompt, by its id; where both sides have one they have to
    agree.
    """

    identity: Mapping[str, Any]
    prompt_ids: tuple[str, ...]
    config: Mapping[str, Any] = field(default_factory=dict, compare=False)
    sessions: tuple[JSON, ...] = field(default=(), compare=False)
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    content: str = field(default="", compare=False)
    files: Mapping[str, str] = field(default_factory=dict, compare=False)
    rendered: Mapping[str, Any] = field(default_factory=dict, compare=False)
    renderings: Mapping[str, str] = field(default_factory=dict, compare=False)

    def plain(self) -> Manifest:
        """This manifest in JSON values alone and free of secrets.

        Raises:
            ValueError: It holds a number that is not finite, or a prompt twice.
        """
        if len(set(self.prompt_ids)) < len(self.prompt_ids):
            raise ValueError("a prompt occurs twice")
        identity = plain_json(self.identity)
        config = plain_json(self.config)
        extra = plain_json(self.capabilities)
        told = plain_json(self.rendered)
        ids = tuple(self.prompt_ids)
        return replace(
            self,
            identity=identity,
            prompt_ids=ids,
            config=config,
            capabilities=extra,
            rendered=told,
        )

    def with_session(self, session: JSON) -> Manifest:
        return replace(self, sessions=(*self.sessions, session))

    def extended(self, planes: Sequence[Plane]) -> Manifest:
        """This manifest with planes that hold all of its points and more.

        Raises:
            ValueError: A point of the run is on none of the planes.
        """
        if lost := set(self.points) - set(outward(planes)):
            raise ValueError(f"the planes leave out {min(lost, key=lambda p: p.terms).label}")
        identity = {**self.identity, "planes": [plane_to_json(plane) for plane in planes]}
        return replace(self, identity=identity)

    @property
    def planes(self) -> tuple[Plane, ...]:
        return tuple(plane_from_json(plane) for plane in self.identity.get("planes", ()))

    @property
    def points(self) -> tuple[Point, ...]:
        """Every point that the run is to measure, the origin first and then outward."""
        return outward(self.planes)

    @property
    def binding(self) -> str:
        """What ties a record to its run: the digest of the identity without the planes.

        The planes grow with the run, and each record names its own point.
        """
        lasting = {name: value for name, value in self.identity.items() if name != "planes"}
        return digest(canonical(lasting).encode())

    def to_json(self) -> JSON:
        prompts: JSON = {"ids": list(self.prompt_ids)}
        if self.content:
            prompts["content"] = self.content
        if self.renderings:
            prompts["rendered"] = dict(self.renderings)
        value: JSON = {
            "schema_version": SCHEMA_VERSION,
            "identity": self.identity,
            "prompts": prompts,
            "config": self.config,
            "sessions": list(self.sessions),
        }
        if self.capabilities:
            value["capabilities"] = dict(self.capabilities)
        if self.rendered:
            value["rendered"] = dict(self.rendered)
        if self.files:
            value["files"] = dict(self.files)
        return {**value, "digest": digest(canonical(value).encode())}

    @classmethod
    def from_json(cls, value: object) -> Manifest:
        """The manifest that `to_json` wrote.

        Raises:
            DamagedError: It is not as it was written, or is by a newer version.
        """
        match value:
            case {"schema_version": int(version)} if version > SCHEMA_VERSION:
                raise DamagedError(
                    1,
                    f"was written by a newer safebasin (schema {shown(version)};"
                    f" this one reads up to {SCHEMA_VERSION})",
                )
            case {"digest": str(written)}:
                rest = {name: item for name, item in cast(JSON, value).items() if name != "digest"}
                if digest(canonical(rest).encode()) != written:
                    raise DamagedError(1, "was changed after it was written")
            case _:
                raise DamagedError(1, "lacks what a manifest holds")
        if (wrong := what_is_wrong(ManifestFile, rest)) is not None:
            raise DamagedError(1, wrong)
        prompts = rest["prompts"]
        ids = tuple(prompts["ids"])
        if len(set(ids)) < len(ids):
            raise DamagedError(1, "names a prompt twice")
        manifest = cls(
            identity=rest["identity"],
            prompt_ids=ids,
            config=rest["config"],
            sessions=tuple(rest["sessions"]),
            capabilities=rest.get("capabilities", {}),
            content=prompts.get("content", ""),
            files=rest.get("files", {}),
            rendered=rest.get("rendered") or {},
            renderings=prompts.get("rendered", {}),
        )
        try:
            _ = manifest.planes
        except (ValueError, UsageError) as error:
            raise DamagedError(1, f"describes no plane ({error})") from None
        return manifest

    def matched(self, given: Manifest, folder: str) -> Manifest:
        """This recorded manifest with the given one's settings, and its prompts where they grew.

        Raises:
            RunMismatch: The identities differ, or the prompts are others.
        """
        found = list(differences(self._compared(given), given.identity))
        for name in sorted({*self.capabilities} & {*given.capabilities}):
            pair = self.capabilities[name], given.capabilities[name]
            found += differences(*pair, f"capabilities.{name}")
        found += _rendered_otherwise(self.renderings, given.renderings)
        if not found and not _grown(self.prompt_ids, given.prompt_ids):
            found.append(_first_other(self.prompt_ids, given.prompt_ids))
        if found:
            raise mismatch(
                f"The run folder {printable(folder)} was measured with other settings",
                found,
                "Give another --out, or the recorded settings to resume this run.",
            )
        grown = len(given.prompt_ids) > len(self.prompt_ids)
        prompt_ids = given.prompt_ids if grown else self.prompt_ids
        both = {**self.capabilities, **given.capabilities}
        return replace(
            self,
            prompt_ids=prompt_ids,
            config=given.config,
            capabilities=both,
            content=given.content or self.content,
            # What a file holds changes when it is written, not when a run is taken up.
            files={**given.files, **self.files},
            rendered=given.rendered or self.rendered,
            renderings={**self.renderings, **given.renderings},
        )

    def _compared(self, given: Manifest) -> Mapping[str, Any]:
        """The identity as it is held against a given one: what a file is called does not count.

        Its digest does; an earlier version may have called the same prompts otherwise.
        """
        match self.identity, given.identity:
            case (
                {"prompts": {"sha256": str(own), **recorded}, **rest},
                {"prompts": {"name": str(name), "sha256": str(other)}},
            ) if own and own == other:
                return {**rest, "prompts": {**recorded, "sha256": own, "name": name}}
        return self.identity


def load_manifest(path: Path) -> Manifest | None:
    """The manifest in a file, or None where there is no file.

    Raises:
        RunError: It is damaged, or by a newer version.
    """
    try:
        return Manifest.from_json(strictjson.loads(read_plain(path)))
    except FileNotFoundError:
        return None
    except DamagedError as error:
        what = error.what
    except ValueError as error:
        what = f"is not strict JSON ({error})"
    newer = "newer safebasin" in what
    raise RunError(
        f"{printable(str(path))} {what}.",
        "Update safebasin to open it."
        if newer
        else "Restore the file from a copy, or give another --out to begin again.",
    )


def capability_digest(name: str, spec: Mapping[str, Any]) -> str:
    """What ties a record of a capability to the specification by which it was measured."""
    return digest(canonical([name, spec]).encode())


def plane_to_json(plane: Plane) -> JSON:
    """The plane with its exact coordinates."""
    return {
        "axes": [
            {"direction": axis.direction, "values": [float(value) for value in axis.values]}
            for axis in plane.axes
        ]
    }


def plane_from_json(value: object) -> Plane:
    """The plane that `plane_to_json` wrote.

    Raises:
        ValueError: It is no such object.
        UsageError: The axes make no plane.
    """
    axes = []
    match value:
        case {"axes": list(items)}:
            for item in items:
                match item:
                    case {"direction": str(direction), "values": list(values)} if all(
                        isinstance(number, float) for number in values
                    ):
                        axes.append(Axis(direction, tuple(values)))
                    case _:
                        raise ValueError("an axis has no direction or no values")
        case _:
            raise ValueError("it has no axes")
    return Plane(tuple(axes))


def differences(recorded: object, given: object, path: str = "") -> Iterator[Difference]:
    """Where two JSON values differ: dotted path, recorded value, given value."""
    if isinstance(recorded, dict) and isinstance(given, dict):
        for name in sorted({*recorded, *given}):
            inner = f"{path}.{name}" if path else name
            yield from differences(recorded.get(name, _ABSENT), given.get(name, _ABSENT), inner)
    elif isinstance(recorded, list) and isinstance(given, list) and len(recorded) == len(given):
        for index, pair in enumerate(zip(recorded, given, strict=True)):
            yield from differences(*pair, f"{path}[{index}]")
    elif recorded != given or isinstance(recorded, bool) != isinstance(given, bool):
        yield path, _shown(recorded), _shown(given)


def require_same(recorded: object, given: object, message: str, hint: str) -> None:
    """Raise RunMismatch, with the message and what differs, where an identity is another."""
    if found := list(differences(recorded, given)):
        raise mismatch(message, found, hint)


def mismatch(message: str, found: Sequence[Difference], hint: str) -> RunMismatch:
    """The error that names every differing key, the first ones with both values."""
    lines = [
        f"  {shorten(key, 100)}: recorded {old}, now {new}" for key, old, new in found[:_SHOWN]
    ]
    if rest := found[_SHOWN:]:
        lines.append(f"  and {', '.join(shorten(key, 100) for key, _, _ in rest)}")
    return RunMismatch("\n".join([f"{message}:", *lines]), hint, [key for key, *_ in found])


def _rendered_otherwise(
    recorded: Mapping[str, str], given: Mapping[str, str]
) -> Iterator[Difference]:
    """The first prompt that the model would see otherwise than it was recorded, and how many."""
    other = [name for name in recorded if given.get(name, recorded[name]) != recorded[name]]
    if other:
        name = other[0]
        path = f"prompts.rendered.{name}, one of {len(other)} prompts that the model sees otherwise"
        yield path, _shown(recorded[name]), _shown(given[name])


def _grown(recorded: Sequence[str], given: Sequence[str]) -> bool:
    """Whether the given prompts hold all recorded ones in order, or are the first of them."""
    if len(given) <= len(recorded):
        return tuple(recorded[: len(given)]) == tuple(given)
    remaining = iter(given)
    return all(name in remaining for name in recorded)


def _first_other(recorded: Sequence[str], given: Sequence[str]) -> Difference:
    pairs = zip(recorded, given, strict=False)
    index = next((i for i, (old, new) in enumerate(pairs) if old != new), 0)
    return f"prompts.ids[{index}]", _shown(recorded[index]), _shown(given[index])


def _shown(value: object) -> str:
    return "nothing" if value is _ABSENT else shorten(strictjson.dumps(value), 48)
