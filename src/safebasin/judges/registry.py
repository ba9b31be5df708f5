"""Judges by name and by specification, ours and those of other packages."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from importlib.metadata import EntryPoint, entry_points
from typing import cast, get_args

from safebasin.errors import JudgeError, SafebasinError, UsageError
from safebasin.given_judges import GivenJudge, RecordedJudge, require_several
from safebasin.judges import refusal
from safebasin.judges.coherence import Coherence, Thresholds
from safebasin.judges.importing import FORM, call_factory, import_judge, is_import_path
from safebasin.judges.keywords import ARDITI, LLM_LANDSCAPE, KeywordJudge
from safebasin.judges.lexicon import Lexicon
from safebasin.judges.options import choose, number, parse_options
from safebasin.judges.outcome import OutcomeJudge
from safebasin.judges.protocol import Judge, Measure
from safebasin.judges.refusal import Partial, RefusalJudge
from safebasin.judges.soundness import require_judge
from safebasin.judges.stored import StoredJudge, measures_of
from safebasin.terminal import shorten

Factory = Callable[[Lexicon | None], Judge]

_OURS: dict[str, Factory] = {
    "outcome": lambda lexicon: OutcomeJudge(RefusalJudge(), Coherence(lexicon)),
    "refusal": lambda lexicon: RefusalJudge(),
    "coherence": lambda lexicon: Coherence(lexicon),
    "llm-landscape": lambda lexicon: KeywordJudge("llm-landscape", LLM_LANDSCAPE),
    "arditi": lambda lexicon: KeywordJudge("arditi", ARDITI, ignore_case=True),
    "llm-landscape-answer": lambda lexicon: KeywordJudge(
        "llm-landscape-answer", LLM_LANDSCAPE, answer_only=True
    ),
    "arditi-answer": lambda lexicon: KeywordJudge(
        "arditi-answer", ARDITI, ignore_case=True, answer_only=True
    ),
}


def _rubric(text: str, lexicon: Lexicon | None) -> Judge:
    from safebasin.judges import rubric  # its client is heavy

    return rubric.parse(text)


def _guard(text: str, lexicon: Lexicon | None) -> Judge:
    # What runs models lies a layer above the judges; here only its name is known.
    judge: Judge = importlib.import_module("safebasin.guard_models.parsing").parse(text)
    return judge


FAMILIES: dict[str, Callable[[str, Lexicon | None], Judge]] = {"rubric": _rubric, "guard": _guard}
"""Judges that take a description after their name and a colon, such as `rubric:NAME@MODEL`."""


THRESHOLDS = tuple(one.name for one in fields(Thresholds))


def _coherence(text: str, lexicon: Lexicon | None) -> Coherence:
    options = parse_options("coherence", text, THRESHOLDS)
    values = {name: number("coherence", options, name) for name in options}
    return Coherence(lexicon, Thresholds.from_spec(values))


def _outcome(text: str, lexicon: Lexicon | None) -> OutcomeJudge:
    options = parse_options("outcome", text, (*THRESHOLDS, "partial"))
    partial = choose("outcome", options, "partial", get_args(Partial))
    values = {name: number("outcome", options, name) for name in options if name != "partial"}
    return OutcomeJudge(
        RefusalJudge() if partial is None else RefusalJudge(cast(Partial, partial)),
        Coherence(lexicon, Thresholds.from_spec(values)),
    )


def _refusal(text: str, lexicon: Lexicon | None) -> Judge:
    return refusal.parse(text)


TUNABLE: dict[str, Callable[[str, Lexicon | None], Judge]] = {
    "coherence": _coherence,
    "outcome": _outcome,
    "refusal": _refusal,
}
"""Our judges that take options after their name and a colon, such as `outcome:factor=5`."""


def _theirs() -> dict[str, EntryPoint]:
    """Entry points of other packages: name -> a function of the lexicon (or None) to a judge."""
    theirs = entry_points(group="safebasin.judges")
    return {entry.name: entry for entry in theirs if entry.name not in _OURS}


def names() -> tuple[str, ...]:
    """Every judge that `build` knows: ours, then those of other packages by name."""
    return (*_OURS, *sorted(_theirs()))


def build(given: str | GivenJudge, lexicon: Lexicon | None = None) -> Judge:
    """The judge that was given: by its name, by an import path, or as an object.

    `lexicon` serves judges that look at words; without one they recognise broken text by
    repetition and log-likelihood alone. Raises UsageError for a name nobody has, JudgeError
    where another's judge cannot be built or is none, and for one that is only on record.
    """
    if isinstance(given, str):
        return _named(given, lexicon)
    if isinstance(given, RecordedJudge):
        return _recorded(given, lexicon)
    judge = require_judge(given, f"The {type(given).__name__} given as a judge")
    if isinstance(judge, StoredJudge):
        raise judge.refusal()
    return judge


def build_all(
    given: Sequence[str | GivenJudge], lexicon: Lexicon | None = None
) -> tuple[Judge, ...]:
    """The judges that were given, in their order. Raises as `build` does, and UsageError for none,
    or two of one name.
    """
    require_several(given)
    if not given:
        raise UsageError("No judge is named.", "Give --judge NAME.")
    judges: dict[str, Judge] = {}
    for one in given:
        judge = build(one, lexicon)
        if judge.name in judges:
            raise UsageError(
                f"Two of the judges are named '{judge.name}'.",
                "Give each judge once, and judges of your own names of their own.",
            )
        judges[judge.name] = judge
    return tuple(judges.values())


def _recorded(given: RecordedJudge, lexicon: Lexicon | None) -> Judge:
    """The judge of settings that were written down."""
    if given.given is not None:
        return _named(given.given, lexicon)
    try:
        judge = rebuild(given.spec(), lexicon, given.name)
    except SafebasinError as error:
        raise _only_on_record(given, f" {error.message}") from error
    if given.spec().get("type") in FAMILIES:
        raise _only_on_record(given, "")  # rebuilt without its model, or without its key
    return judge


def _only_on_record(given: RecordedJudge, why: str) -> JudgeError:
    return JudgeError(
        f"The judge '{given.name}' was given as an object, of which the settings keep the name and "
        f"the specification alone.{why}",
        "Give the object itself from Python, or where to import it: --judge MODULE:NAME.",
    )


def _named(name: str, lexicon: Lexicon | None) -> Judge:
    if name in _OURS:
        return _OURS[name](lexicon)
    family, colon, description = name.partition(":")
    if colon and family in FAMILIES:
        return FAMILIES[family](description, lexicon)
    if colon and family in TUNABLE:
        return TUNABLE[family](description, lexicon)
    theirs = _theirs()
    if name not in theirs and family not in names() and is_import_path(name):
        return import_judge(name, lexicon)
    if name not in theirs:
        close = difflib.get_close_matches(name, names(), n=1)
        meant = f"Did you mean {close[0]}? " if close else ""
        own = colon and family.isidentifier()
        nowhere = f"; there is no module '{shorten(family, 40)}'" if own else ""
        raise UsageError(
            f"There is no judge '{name}'.",
            f"{meant}There are {', '.join(names())}, and guard: and rubric: with a model; "
            f"`safebasin list judges` shows all. One of your own is {FORM}{nowhere}.",
        )
    entry = theirs[name]
    what = f"The judge '{name}' ({entry.value})"
    return require_judge(call_factory(lambda: entry.load()(lexicon), (), what), what)


def check_judges(given: Sequence[str | GivenJudge]) -> None:
    """Raises what `build_all` does, and UsageError for a first judge that gives no headline."""
    require_headline(build_all(given)[0])


def require_headline(judge: Judge) -> None:
    """Raises UsageError for a judge that does not tell refusal from compliance."""
    if judge.measures == "coherence":
        raise UsageError(
            f"The judge '{judge.name}' tells only whether text is broken, so it gives no headline.",
            f"Name another judge first: --judge outcome,{judge.name}.",
        )


def rebuild(
    spec: Mapping[str, object], lexicon: Lexicon | None = None, name: str | None = None
) -> Judge:
    """The judge that `spec` (a judge's own, read back from JSON) describes.

    `name` is what it is called, where its specification does not say so.
    Nothing is imported by a path that a specification names. Raises JudgeError where it cannot be
    rebuilt exactly: a value is missing, the lexicon is another one, this version has other phrases,
    or nobody here has a judge of that name.
    """
    from safebasin.run.provenance import plain_json  # numpy, which listing the judges does not need

    kind = spec.get("type")
    if kind == "outcome":
        coherence = rebuild(_part(spec, "coherence"), lexicon)
        if not isinstance(coherence, Coherence):
            raise JudgeError(
                "The specification's judge of broken text is none.", "Take it from a manifest."
            )
        judge: Judge = OutcomeJudge(rebuild(_part(spec, "refusal"), lexicon), coherence)
    elif kind == "refusal":
        judge = refusal.rebuild(spec)
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
        judge = StoredJudge(name or str(spec.get("name")), spec, measures_of(spec) or "harm")
    else:
        called = name or spec.get("name")
        if not isinstance(called, str):
            raise JudgeError("The specification names no judge.", "Take it from a run's manifest.")
        if called not in names():
            raise JudgeError(
                f"There is no judge '{shorten(called)}' here.",
                "Install the package that brings it, or give it with --judge MODULE:NAME.",
            )
        judge = _named(called, lexicon)
    here, there = plain_json(judge.spec()), plain_json(spec)
    if here != there:
        differing = sorted(key for key in {*here, *there} if here.get(key) != there.get(key))
        raise JudgeError(
            f"This version's judge '{judge.name}' differs in {', '.join(differing)}.",
            "Judge the answers anew, or use the version that judged them.",
        )
    return judge


def stored(
    name: str,
    spec: Mapping[str, object],
    lexicon: Lexicon | None = None,
    measures: Measure = "refusal",
) -> Judge:
    """The judge whose verdicts a run holds, which can at least be read.

    Where it cannot be rebuilt here, it is one that judges nothing; `measures` is what it tells
    apart.
    """
    try:
        judge = rebuild(spec, lexicon, name)
    except SafebasinError as error:
        return StoredJudge(name, spec, measures, error.message, error.hint)
    if judge.name != name:
        return StoredJudge(name, spec, measures, f"It was named otherwise than '{judge.name}'.")
    return judge


def _part(spec: Mapping[str, object], key: str) -> Mapping[str, object]:
    part = spec.get(key)
    if not isinstance(part, Mapping):
        raise JudgeError(f"The judge's specification has no '{key}'.", "Take it from a manifest.")
    return part


def _keywords(spec: Mapping[str, object]) -> KeywordJudge:
    name, keywords, ignore_case = (spec.get(k) for k in ("name", "keywords", "ignore_case"))
    match, answer_only = spec.get("match"), spec.get("answer_only", False)
    if (
        not isinstance(name, str)
        or not isinstance(keywords, list)
        or not all(isinstance(keyword, str) for keyword in keywords)
        or (match != "substring" and match != "prefix")
        or not isinstance(ignore_case, bool)
        or not isinstance(answer_only, bool)
    ):
        raise JudgeError("The specification of the keywords is not whole.", "Take it from a run.")
    return KeywordJudge(
        name, tuple(keywords), "prefix" if match == "prefix" else match, ignore_case, answer_only
    )
