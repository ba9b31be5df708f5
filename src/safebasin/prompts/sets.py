"""Prompt sets by name or by file."""

from __future__ import annotations

import difflib
import hashlib
import logging
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from safebasin.errors import PromptError
from safebasin.prompts.files import Row, Table, read_bytes, read_column, read_table
from safebasin.prompts.formats import (
    ANSWER_COLUMNS,
    IMAGE_COLUMNS,
    TEXT_COLUMNS,
    KnownFormat,
    detect,
    generic,
)
from safebasin.prompts.identity import content_digest, own_name, recognised
from safebasin.prompts.packaged import CHOICE_SETS, FILES, NAMES, PACKAGED
from safebasin.prompts.prompt import Kind, Prompt, PromptSet
from safebasin.prompts.published import BY_NAME, Published, Request, requested
from safebasin.prompts.rows import read_prompts
from safebasin.terminal import shorten

LOG = logging.getLogger(__name__)

GOAL = "goal"
"""The column that holds what an attacker wants, in the published sets that have one."""


def load(
    spec: str | Path,
    column: str | None = None,
    kind: Kind | None = None,
    unstated: Kind | None = None,
) -> PromptSet:
    """A packaged set by name (packaged.NAMES), a published one, or the prompts of a file.

    A published set (see published.PUBLISHED) is `NAME`, fetched from the hub at its pinned
    revision; `NAME@REVISION`; or `NAME=PATH`, a local copy of the published file. It has to have
    the columns and the number of rows that it was published with, and its content where the digest
    of that is known. A file bears the name and the licence of a published set where its content is
    that set's, by whatever way it is given; one that has its columns or its file name alone is
    called "own file, laid out like" that set.

    The file's layout is recognised by its columns (prompt_formats.KNOWN_FORMATS), else the
    likeliest column is read; `column` names it instead. `kind` is that of every row, whatever the
    file says. The rows of a file of no known format otherwise say theirs in a column `kind`
    (harmful, benign or capability) or `label` (KIND_WORDS); where they do not, they are of the
    kind `unstated`, and an error without one: a kind is never guessed. A column called `goal`
    says that its requests are harmful, with a warning. A file with answers beside its prompts, or
    with images, is an error as well, unless `column` and `kind` are both given.
    White space around a prompt is removed. Records with nothing in them are skipped and counted
    in `PromptSet.skipped`; a record with other cells but no prompt is an error, as are two
    records with one id. An id that is not plain text (letters, digits, `.`, `_`, `-`) is
    rewritten so, with a hash that keeps it apart.

    Raises PromptError, naming the file and the place in it; GatedError, naming the page, where a
    publisher asks to accept terms first.
    """
    name = str(spec)
    if name in NAMES:
        return _packaged(name, column, kind)
    if (request := requested(name)) is not None:
        if column is not None:
            raise PromptError(
                f"The column of '{request.published.name}' is known.",
                "Leave out --column, or give the file without the name of a set.",
            )
        return _published(request, kind)
    if name in CHOICE_SETS:
        raise PromptError(
            f"'{name}' holds questions with choices, not prompts.", f"Give --capability {name}."
        )
    if name.startswith("testbed:") or not _is_there(Path(name)):
        close = difflib.get_close_matches(name, [*NAMES, *BY_NAME], n=1)
        meant = f"Did you mean {close[0]}? " if close else ""
        raise PromptError(
            f"There is no prompt file, packaged set or published set '{shorten(name)}'.",
            f"{meant}Give a file or one of {', '.join([*NAMES, *BY_NAME])}.",
        )
    return _from_file(Path(name), column, kind, unstated)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return True  # reading it then tells what is wrong


def _packaged(name: str, column: str | None, kind: Kind | None) -> PromptSet:
    from safebasin.testbed import prompts_path  # builds on this module

    own = Path(__file__).parent / FILES[name] if name in FILES else prompts_path(*PACKAGED[name])
    found = _from_file(own, column, kind)
    return replace(found, name=name, licence="MIT", source="safebasin")


def _from_file(
    path: Path, column: str | None, kind: Kind | None, unstated: Kind | None = None
) -> PromptSet:
    data = read_bytes(path)
    table = read_table(path, data)
    if not table.rows:
        raise PromptError(f"The prompt file '{path}' has no prompts.", "Give at least one.")
    known = detect(table.columns, path.stem) if column is None else None
    if column is None or kind is None:
        _check_prompts_alone(path, table, known, kind)
    layout = known or generic(table.columns, column)
    if layout is None:
        found = ", ".join(repr(name[:40]) for name in table.columns[:12])
        wanted = f"no column '{column}'" if column is not None else "no column with prompts"
        raise PromptError(
            f"'{path}' has {wanted}; it has {found}.",
            f"Name the column with --column; found without it: {', '.join(TEXT_COLUMNS)}.",
        )
    says = {name.casefold() for name in table.columns} & {"kind", "label"}
    if layout.text == GOAL and known is None and column is None and not says and unstated is None:
        unstated = "harmful"
        if kind is None:
            LOG.warning(
                "'%s': prompts in a column 'goal' are read as harmful requests, which they are in "
                "AdvBench and JailbreakBench; --prompts-kind benign says otherwise",
                path,
            )
    # What a published layout says of its own prompts tells the set, not what they are taken for.
    stated = kind if layout.kind == "column" else None
    prompts, unlabelled = read_prompts(path, layout, table.rows, stated, unstated)
    content = content_digest(prompts)
    same = recognised(content)
    return PromptSet(
        name=own_name(path.stem, layout.name, path.stem) if same is None else same.name,
        prompts=_of_kind(prompts, kind),
        sha256=hashlib.sha256(data).hexdigest(),
        licence="" if same is None else same.licence,
        source=path.name if same is None else same.repository or same.page,
        skipped=table.blank + unlabelled,
        content=content,
    )


def _of_kind(prompts: Iterable[Prompt], kind: Kind | None) -> tuple[Prompt, ...]:
    """The prompts, all of this kind where one is given."""
    return tuple(prompt if kind is None else replace(prompt, kind=kind) for prompt in prompts)


def _check_prompts_alone(
    path: Path, table: Table, known: KnownFormat | None, kind: Kind | None
) -> None:
    """Raises PromptError for a file of completions, or of requests about images."""
    names = {name.casefold(): name for name in table.columns}
    filled = {
        folded
        for folded, name in names.items()
        if any(row.values.get(name) not in (None, "", []) for row in table.rows)
    }
    images = [names[name] for name in IMAGE_COLUMNS if name in filled]
    if images:
        raise PromptError(
            f"'{path}' holds requests about images ('{images[0]}'), which a language model is not "
            "shown.",
            "Give a file of requests that are text alone.",
        )
    own = () if known is None else (*known.columns, *known.beside)
    answers = [names[name] for name in ANSWER_COLUMNS if name in filled and name not in own]
    if answers and kind != "capability":
        prompts = known or generic(table.columns)
        column = "COLUMN" if prompts is None else names[prompts.text]
        raise PromptError(
            f"'{path}' is a file of completions: it holds answers ('{answers[0]}').",
            "Hold a judge against its labels with `safebasin judges calibrate`; to ask its prompts "
            f"again, give --column {column} and --prompts-kind harmful or benign.",
        )


def _published(request: Request, kind: Kind | None) -> PromptSet:
    from safebasin.prompts.hub import fetch, matching

    published, revision = request.published, request.revision
    if request.path:
        path = Path(request.path)
        paths = matching(path, published) if _is_there(path) and path.is_dir() else [path]
        if not paths:
            raise PromptError(
                f"The folder '{path}' has no file named {' or '.join(published.files)}.",
                f"Copy there what {published.page} holds.",
            )
    else:
        paths, revision = fetch(published, revision)
    prompts: list[Prompt] = []
    skipped, digests = 0, []
    changed: Path | None = None
    for path in paths:
        data = read_bytes(path)
        digests.append(hashlib.sha256(data).hexdigest())
        layout, table = _layout_and_table(published, path, data)
        pinned = published.sha256.get(layout.name)
        if pinned is not None and _without_line_ends(data) != pinned:
            changed = path
        rows = tuple(row for row in table.rows if published.kept(row.values))
        found, unlabelled = read_prompts(path, layout, rows, None)
        prompts += [p for p in found if published.only is None or p.kind == published.only]
        skipped += table.blank + unlabelled
    if len(prompts) != published.rows:
        raise PromptError(
            f"'{paths[0]}' holds {len(prompts)} prompts of '{published.name}'; as published "
            f"there are {published.rows}.",
            "Give the published file whole, or the file without the name of a set.",
        )
    content = content_digest(prompts)
    same = content == published.content
    if request.path and published.content and not same and changed is None:
        changed = paths[0]
    if changed is not None and not same:
        raise PromptError(
            f"'{changed}' is not the file of '{published.name}' as published: its SHA-256 is "
            f"{digests[0][:12]}.",
            f"Get it from {published.page}, or give the file without the name of a set.",
        )
    several = "\n".join(digests).encode()
    # A local copy is the set where its content is known to be; the hub's is, by its commit.
    known = same or not request.path
    own = own_name(paths[0].stem, published.name, published.name)
    return PromptSet(
        name=published.name if known else own,
        prompts=_of_kind(prompts, kind),
        sha256=digests[0] if len(digests) == 1 else hashlib.sha256(several).hexdigest(),
        revision=revision,
        licence=published.licence if known else "",
        source=(published.repository or published.page) if known else paths[0].name,
        skipped=skipped,
        content=content,
    )


def _without_line_ends(data: bytes) -> str:
    """The SHA-256 of a file as it is on a system that ends lines with a line feed alone."""
    return hashlib.sha256(data.replace(b"\r\n", b"\n")).hexdigest()


def _layout_and_table(published: Published, path: Path, data: bytes) -> tuple[KnownFormat, Table]:
    if published.headerless:
        layout = published.layouts[0]
        table = read_column(path, data, layout.text)
        # The category is known from the name of the file alone.
        rows = [
            Row(f"{path.name}, {row.where}", {**row.values, "category": path.stem})
            for row in table.rows
        ]
        return layout, Table((layout.text, "category"), tuple(rows), table.blank)
    table = read_table(path, data)
    found = published.layout_of(table.columns)
    if found is None:
        raise PromptError(
            f"'{path}' is not a file of '{published.name}': it has the columns "
            f"{', '.join(repr(name[:40]) for name in table.columns[:12])}.",
            f"Give the file from {published.page}, with {', '.join(published.columns)}.",
        )
    return found, table
