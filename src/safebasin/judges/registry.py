"""Judges by name and by specification, ours and those of other packages."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points

from safebasin.errors import JudgeError, UsageError
from safebasin.judges.coherence import Coherence, Thresholds
from safebasin.judges.guards import StoredGuard
from safebasin.judges.keywords import ARDITI, LLM_LANDSCAPE, KeywordJudge
from safebasin.judges.lexicon import Lexicon
from safebasin.judges.outcome import OutcomeJudge
from safebasin.judges.protocol import Judge
from safebasin.judges.refusal import RefusalJudge

GROUP = "safebasin.judges"
"""The entry points of other packages: name -> a function of the lexicon (or None) to a judge."""

Factory = Callable[[Lexicon | None], Judge]

_OURS: dict[str, Factory] = {
    "outcome": lambda lexicon: OutcomeJudge(RefusalJudge(), Coherence(lexicon)),
    "refusal": lambda lexicon: RefusalJudge(),
    "coherence": lambda lexicon: Coherence(lexicon),
    "llm-landscape": lambda lexicon: KeywordJudge("llm-landscape", LLM_LANDSCAPE),
    "arditi": lambda lexicon: KeywordJudge("arditi", ARDITI, ignore_case=True),
}


def _rubric(text: str, lexicon: Lexicon | None) -> Judge:
    from safebasin.judges import rubric  # its client is heavy

    return rubric.parse(text)


def _guard(text: str, lexicon: Lexicon | None) -> Judge:
    # What runs models lies a layer above the judges; here only its name is known.
    judge: Judge = importlib.import_module("safebasin.guard_models").parse(text)
    return judge


FAMILIES: dict[str, Callable[[str, Lexicon | None], Judge]] = {"rubric": _rubric, "guard": _guard}
"""Judges that take a description after their name and a colon, such as `rubric:NAME@MODEL`."""


def _theirs() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP) if entry.name not in _OURS}


def names() -> tuple[str, ...]:
    """Every judge that `build` knows: ours, then those of other packages by name."""
    return (*_OURS, *sorted(_theirs()))


def build(name: str, lexicon: Lexicon | None = None) -> Judge:
    """The judge of that name.

    `lexicon` serves judges that look at words; without one they recognise broken text by
    repetition and log-likelihood alone. Raises UsageError for a name nobody has, JudgeError
    where another package's judge cannot be built.
    """
    if name in _OURS:
        return _OURS[name](lexicon)
    family, colon, description = name.partition(":")
    if colon and family in FAMILIES:
        return FAMILIES[family](description, lexicon)
    theirs = _theirs()
    if name not in theirs:
        close = difflib.get_close_matches(name, names(), n=1)
        meant = f"Did you mean {close[0]}? " if close else ""
        raise UsageError(
            f"There is no judge '{name}'.",
            f"{meant}There are {', '.join(names())}, and guard: and rubric: with a model; "
            "`safebasin list judges` shows all.",
        )
    entry = theirs[name]
    try:
        judge = entry.load()(lexicon)
    except Exception as error:
        raise JudgeError(
            f"The judge '{name}' ({entry.value}) cannot be built: {type(error).__name__}: {error}.",
            "Update or remove the package that provides it.",
        ) from error
    if not isinstance(judge, Judge):
        raise JudgeError(
            f"The judge '{name}' ({entry.value}) is no judge.",
            "It needs name, measures, spec() and judge().",
        )
    return judge


def check_judges(names: Sequence[str]) -> None:
    """Raises UsageError for a judge that nobody has, or a first one that gives no headline.

    JudgeError where another package's judge cannot be built.
    """
    for number, name in enumerate(names):
        judge = build(name)
        if not number:
            require_headline(judge)


def require_headline(judge: Judge) -> None:
    """Raises UsageError for a judge that does not tell refusal from compliance."""
    if judge.measures == "coherence":
        raise UsageError(
            f"The judge '{judge.name}' tells only whether text is broken, so it gives no headline.",
            f"Name another judge first: --judge outcome,{judge.name}.",
        )


def rebuild(spec: Mapping[str, object], lexicon: Lexicon | None = None) -> Judge:
    """The judge that `spec` (a judge's own, read back from JSON) describes.

    Raises JudgeError where it cannot be rebuilt exactly: a value is missing, the lexicon is
    another one, or this version has other phrases.
    """
    kind = spec.get("type")
    if kind == "outcome":
        parts = (_part(spec, "refusal"), _part(spec, "coherence"))
        judge: Judge = OutcomeJudge(*(rebuild(part, lexicon) for part in parts))
    elif kind == "refusal":
        language = spec.get("language")
        judge = RefusalJudge(language if isinstance(language, str) else None)
    elif kind == "coherence":
        thresholds = Thresholds.from_spec(_part(spec, "thresholds"))
        wanted = spec.get("lexicon_sha256")
        if wanted is not None and (lexicon is None or lexicon.sha256 != wanted):
            given = "none was given" if lexicon is None else f"the one given is {lexicon.sha256}"
            raise JudgeError(
                f"The judge used the lexicon {wanted}; {given}.", "Give the lexicon of that run."
            )
        judge = Coherence(None if wanted is None else lexicon, thresholds)
    elif kind == "keywords":
        judge = _keywords(spec)
    elif kind == "rubric":
        from safebasin.judges import rubric

        judge = rubric.rebuild(spec)
    elif kind == "guard":
        judge = StoredGuard(spec)
    else:
        name = spec.get("name")
        if not isinstance(name, str):
            raise JudgeError("The specification names no judge.", "Take it from a run's manifest.")
        judge = build(name, lexicon)
    if dict(judge.spec()) != dict(spec):
        differing = sorted(
            key for key in {*judge.spec(), *spec} if judge.spec().get(key) != spec.get(key)
        )
        raise JudgeError(
            f"This version's judge '{judge.name}' differs in {', '.join(differing)}.",
            "Judge the answers anew, or use the version that judged them.",
        )
    return judge


def _part(spec: Mapping[str, object], key: str) -> Mapping[str, object]:
    part = spec.get(key)
    if not isinstance(part, Mapping):
        raise JudgeError(f"The judge's specification has no '{key}'.", "Take it from a manifest.")
    return part


def _keywords(spec: Mapping[str, object]) -> KeywordJudge:
    name, keywords, ignore_case = (spec.get(k) for k in ("name", "keywords", "ignore_case"))
    match = spec.get("match")
    if (
        not isinstance(name, str)
        or not isinstance(keywords, list)
        or not all(isinstance(keyword, str) for keyword in keywords)
        or (match != "substring" and match != "prefix")
        or not isinstance(ignore_case, bool)
    ):
        raise JudgeError("The specification of the keywords is not whole.", "Take it from a run.")
    return KeywordJudge(
        name, tuple(keywords), "prefix" if match == "prefix" else match, ignore_case
    )
