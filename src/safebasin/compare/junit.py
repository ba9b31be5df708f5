"""A comparison as JUnit XML, which build servers show: a test case for each check.

The layout is that of Ant's JUnit task, as Jenkins, GitLab and the report actions of GitHub read it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

from safebasin.compare.comparison import Comparison
from safebasin.compare.gates import Check
from safebasin.report.target import check_target as check_file
from safebasin.run.atomic import cannot_write, no_folder, write_atomic
from safebasin.run.provenance import hide
from safebasin.terminal import printable

OWN = re.compile(rb"\A<\?xml[^>]*\?>\s*<testsuites name=\"safebasin\"")
"""How an earlier report begins."""
CLASS = "safebasin.compare"

_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_FAULTS = {"fail": "failure", "unsure": "skipped"}


def check_target(path: Path) -> None:
    """Raise a SafebasinError where the report could not be written or would destroy another file.

    A folder that is not there yet is made with the report.
    """
    if path.parent.exists():
        check_file(path, OWN)
    elif not next(folder for folder in path.absolute().parents if folder.exists()).is_dir():
        raise no_folder(path)


def write_junit(found: Comparison, path: Path) -> None:
    """Write the report, and the folder for it. Raises RunError where that cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error
    write_atomic(path, junit_xml(found))


def junit_xml(found: Comparison) -> bytes:
    """One suite: a case for each check, and one for the verdict, in UTF-8.

    A broken limit is a failure and what cannot be told is skipped. The verdict fails with its
    reasons; where it is INCONCLUSIVE it is an error, since a report of passed and skipped cases
    alone would be shown as success. Characters that XML does not allow are shown as escapes.
    """
    cases = [*map(_case, found.checks), _verdict(found)]
    counts = {"tests": len(cases)} | {
        name: sum(case.find(tag) is not None for case in cases)
        for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped"))
    }
    numbers = {name: str(count) for name, count in counts.items()}
    root = ElementTree.Element("testsuites", {"name": "safebasin", **numbers})
    suite = ElementTree.SubElement(
        root,
        "testsuite",
        {
            "name": legal(f"{found.base} -> {found.tuned}"),
            # The layout asks for a host and for times; a check takes none, and names no machine.
            "hostname": "localhost",
            "timestamp": _timestamp(found),
            "time": "0",
            **numbers,
        },
    )
    known = ElementTree.SubElement(suite, "properties")
    for name, value in _properties(found):
        ElementTree.SubElement(known, "property", {"name": legal(name), "value": legal(value)})
    suite.extend(cases)
    _text(suite, "system-out", "\n".join([*found.notes, f"run {found.folder}"]))
    ElementTree.indent(root)
    data: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return data + b"\n"


def legal(text: str) -> str:
    """Foreign text as XML can hold it: every control and every illegal character as its escape."""
    return _ILLEGAL.sub(lambda one: f"\\u{ord(one[0]):04x}", printable(hide(text), lines=True))


def _case(one: Check) -> ElementTree.Element:
    case = _element(one.name)
    if fault := _FAULTS.get(one.state):
        _outcome(case, fault, one.note)
    _text(case, "system-out", one.text())
    return case


def _verdict(found: Comparison) -> ElementTree.Element:
    case = _element("verdict")
    if found.verdict != "PASS":
        fault = "failure" if found.verdict == "FAIL" else "error"
        _outcome(case, fault, " ".join(found.reasons), found.verdict)
    _text(case, "system-out", found.verdict)
    return case


def _element(name: str) -> ElementTree.Element:
    return ElementTree.Element("testcase", {"classname": CLASS, "name": legal(name), "time": "0"})


def _outcome(case: ElementTree.Element, tag: str, message: str, kind: str = "limit") -> None:
    own = {"message": legal(message)}
    if tag != "skipped":
        own["type"] = kind
    ElementTree.SubElement(case, tag, own)


def _text(parent: ElementTree.Element, tag: str, text: str) -> None:
    ElementTree.SubElement(parent, tag).text = legal(text)


def _properties(found: Comparison) -> Iterator[tuple[str, str]]:
    yield "base", found.base
    yield "tuned", found.tuned
    yield "prompts", found.prompts
    yield "judge", found.path.judge
    for end, model in found.provenance.get("models", {}).items():
        yield f"{end} fingerprint", model["fingerprint"]
    for package, version in found.provenance.get("versions", {}).items():
        yield f"version of {package}", version


def _timestamp(found: Comparison) -> str:
    """The date of the comparison in UTC, in the layout's form, which has no zone."""
    date = datetime.fromisoformat(found.provenance["date"])
    return date.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
