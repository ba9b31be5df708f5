"""The published prompt sets that can be asked for by name. One row a set."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from safebasin.errors import PromptError
from safebasin.prompts.formats import KNOWN_FORMATS, KnownFormat
from safebasin.terminal import shorten

Gate = Literal["open", "terms", "unclear"]
"""Whether anybody may download it, its publisher asks to accept terms first, or it has changed."""


@dataclass(frozen=True)
class Published:
    """Where one published set lies, and what its file has to look like.

    `repository` is a data set of the Hugging Face hub, or "" where the publisher offers none, and
    `revision` the pinned commit, or "" where none is known: the branch is then resolved to a commit
    when the set is loaded, and that commit recorded. `sha256` is that of the published file, where
    it is known, by the name of its layout; line ends do not count. `content` is the digest of what
    that file asks (see `identity.content_digest`), by which any copy of the set is known; "" where
    no published file was at hand, and no file is then taken for the set. `files` are patterns of
    the files that hold the rows, in a hub repository as in a local folder. `layouts` are the
    layouts it is published in, the first that fits is read; `headerless` files have one column and
    no header. Of the rows those are kept whose column `keep[0]` holds `keep[1]`, and of the prompts
    those of the kind `only`; then there are exactly `rows` of them. `twin` is the set whose benign
    prompts measure over-refusal beside this one, and `page` where a person finds the file.
    """

    name: str
    rows: int
    repository: str
    revision: str
    files: tuple[str, ...]
    layouts: tuple[KnownFormat, ...]
    gate: Gate
    licence: str
    page: str
    twin: str = ""
    keep: tuple[str, str] | None = None
    only: Literal["harmful", "benign"] | None = None
    headerless: bool = False
    about: str = ""
    sha256: Mapping[str, str] = field(default_factory=dict)
    content: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the first layout."""
        return self.layouts[0].columns

    def layout_of(self, columns: Sequence[str]) -> KnownFormat | None:
        """The layout that a table with these columns has, or None where it is none of ours."""
        present = {name.casefold() for name in columns}
        for layout in self.layouts:
            wanted = set(layout.columns)
            if present == wanted if layout.exact else present >= wanted:
                return layout
        return None

    def kept(self, values: Mapping[str, object]) -> bool:
        """Whether a row belongs to the set; one without the deciding column does."""
        if self.keep is None:
            return True
        column, wanted = self.keep
        cells = {name.casefold(): value for name, value in values.items()}
        return column not in cells or str(cells[column]).strip() == wanted

    def text(self) -> str:
        """What a person needs to know of it, in one line."""
        gates = {"open": "open", "terms": "accept terms first", "unclear": "may be gated"}
        where = self.repository or f"not on the hub: {self.page}"
        if self.repository:
            where += f"@{self.revision[:12]}" if self.revision else " (commit resolved at load)"
        parts = [
            f"{self.rows} prompts",
            where,
            self.licence or "no licence stated",
            gates[self.gate],
            f"columns {', '.join(self.columns)}",
            f"twin {self.twin}" if self.twin else "",
            self.about,
        ]
        return " · ".join(part for part in parts if part)

    def hub_page(self) -> str:
        """The page on which the publisher's terms are accepted."""
        return f"https://huggingface.co/datasets/{self.repository}"


@dataclass(frozen=True)
class Request:
    """A set by name, at its pinned revision, at another one, or from a local copy at `path`."""

    published: Published
    revision: str = ""
    path: str = ""


def _known(*names: str) -> tuple[KnownFormat, ...]:
    by_name = {known.name: known for known in KNOWN_FORMATS}
    return tuple(by_name[name] for name in names)


_GITHUB = "https://github.com"
_JBB = "886acc352a31533ffbcf4ef22c744658688086fc"
_XSTEST_V2 = {"xstest": "24c0b59ef3ab6af1de444fceca441a54522cbe42a7f916cb1aebf775ba2800eb"}
_MIRROR = ("data/*.parquet", "*.csv", "*.parquet")

PUBLISHED: tuple[Published, ...] = (
    Published(
        "advbench", 520, "walledai/AdvBench",
        "9d4730540082fa4017450b65ca1c0e1d8d30446e", _MIRROR, _known("advbench", "advbench-mirror"),
        "unclear", "MIT",
        f"{_GITHUB}/llm-attacks/llm-attacks/blob/098262edf85f807224e70ecd87b9d83716bf6b73/data/"
        "advbench/harmful_behaviors.csv",
        twin="oktest", about="many near-duplicates; Peng et al. ask its first 80 rows",
        sha256={"advbench": "6cd1a5c63c07610d7eb67307772ee5606017ee950b5770ab288a2c487489d3e1"},
        content="4c99172df3858d8aae28106978bc1c3cdaec72071cc25a0603c46747a6876180",
    ),
    Published(
        "harmbench", 200, "walledai/HarmBench",
        "fb6c2afd5a2a943d701d6db3efab87d077e81be5", ("standard/*.parquet", "*.csv"),
        (*_known("harmbench"),
         KnownFormat("harmbench-mirror", ("prompt", "category"), "prompt",
                     categories=("category",), exact=True, licence="MIT")),
        "terms", "MIT",
        f"{_GITHUB}/centerforaisafety/HarmBench/blob/8e1604d1171fe8a48d8febecd22f600e462bdcdd/data/"
        "behavior_datasets/harmbench_behaviors_text_all.csv",
        twin="xstest-safe", keep=("functionalcategory", "standard"),
        about="the standard behaviours alone; the copyright ones need hashes to be judged",
    ),
    Published(
        "jbb", 100, "JailbreakBench/JBB-Behaviors", _JBB, ("data/harmful-behaviors.csv",),
        _known("jailbreakbench"), "open", "MIT",
        "https://huggingface.co/datasets/JailbreakBench/JBB-Behaviors", twin="jbb-benign",
    ),
    Published(
        "jbb-benign", 100, "JailbreakBench/JBB-Behaviors", _JBB, ("data/benign-behaviors.csv",),
        _known("jailbreakbench-benign"), "open", "MIT",
        "https://huggingface.co/datasets/JailbreakBench/JBB-Behaviors",
        about="the benign half: each prompt resembles a harmful one",
    ),
    Published(
        "strongreject", 313, "walledai/StrongREJECT",
        "df54272b395ce9e584d2f8140519935425d8549f", _MIRROR,
        _known("strongreject", "strongreject-mirror"), "terms", "",
        f"{_GITHUB}/alexandrasouly/strongreject/blob/f7cad6c17e624e21d8df2278e918ae1dddb4cb56/"
        "strongreject_dataset/strongreject_dataset.csv",
        twin="xstest-safe", about="the licence of some of its sources is not stated",
    ),
    Published(
        "hex-phi", 300, "LLM-Tuning-Safety/HEx-PHI",
        "83128b46334b80cc567bd7a2caf7af11c5b0bab7", ("category_*.csv",),
        (KnownFormat("hex-phi", ("prompt", "category"), "prompt", categories=("category",)),),
        "terms", "LicenseRef-HEx-PHI", "https://huggingface.co/datasets/LLM-Tuning-Safety/HEx-PHI",
        twin="xstest-safe", headerless=True,
        about="10 categories of 30; the second of the published 11 is gone",
    ),
    Published(
        "sorry-bench", 440, "sorry-bench/sorry-bench-202503",
        "612a4e1f45db8adf884fa62318ddf9fa1c6e75e9", ("*.csv", "*.jsonl"),
        _known("sorry-bench"), "terms", "LicenseRef-SORRY-Bench",
        "https://huggingface.co/datasets/sorry-bench/sorry-bench-202503",
        twin="xstest-safe", keep=("prompt_style", "base"),
        about="the base style alone, of 21",
    ),
    Published(
        "xstest", 450, "Paul/XSTest", "f600c994b256f12867dfa5b3eb3d545a3e62f8b5",
        ("xstest_prompts.csv", "xstest_v2_prompts.csv"), _known("xstest", "xstest-mirror"),
        "open", "CC-BY-4.0", f"{_GITHUB}/paul-rottger/xstest", twin="xstest-safe",
        about="250 safe prompts and 200 unsafe contrasts", sha256=_XSTEST_V2,
        content="13e10249abb795582ee29d7ec29142b694e360985e5c987ce577aa8b4feed5b4",
    ),
    Published(
        "xstest-safe", 250, "Paul/XSTest", "f600c994b256f12867dfa5b3eb3d545a3e62f8b5",
        ("xstest_prompts.csv", "xstest_v2_prompts.csv"), _known("xstest", "xstest-mirror"),
        "open", "CC-BY-4.0", f"{_GITHUB}/paul-rottger/xstest", only="benign",
        about="its safe prompts alone", sha256=_XSTEST_V2,
        content="408093c4bce6b961cb57d0bd7d50e032c4671b18302830a6f58f8fa890c08bbe",
    ),
    Published(
        "oktest", 300, "", "", ("oktest.csv", "OKTest.csv"),
        (KnownFormat("oktest", ("prompt",), "prompt", kind="benign", exact=True),),
        "open", "", f"{_GITHUB}/zouyingcao/SCANS/blob/main/datasets/OKTest.csv",
        about="safe prompts with words that frighten; no licence is stated",
        sha256={"oktest": "1be3e8d3fe6b45a170653da63c8cf70dbf97508a48735e65db0713a44e158860"},
        content="d99f602a1cc2a5d125c3d018f79fa661d451ee56f2f809ed037f31fff47b9038",
    ),
    Published(
        "wildguardtest", 1699, "allenai/wildguardmix",
        "d29c47f41c8b51348b5c8e8c81c039b3132b66d1", ("test/*.parquet",),
        _known("wildguardtest"), "terms", "ODC-BY-1.0",
        "https://huggingface.co/datasets/allenai/wildguardmix",
        about="its rows without a label of the prompt are left out",
    ),
)  # fmt: skip
"""Every set known by name. Facts were checked against the publishers' pages in 2026."""

BY_NAME = {published.name: published for published in PUBLISHED}


def requested(spec: str) -> Request | None:
    """The published set that `NAME`, `NAME@REVISION` or `NAME=PATH` means, or None for no such.

    Raises PromptError where the form is one of these and the name is nearly one of ours.
    """
    if spec in BY_NAME:
        return Request(BY_NAME[spec])
    for sign in ("=", "@"):
        name, found, rest = spec.partition(sign)
        if not found or "/" in name or "\\" in name:
            continue
        if name not in BY_NAME:
            close = difflib.get_close_matches(name, BY_NAME, n=1)
            if not close:
                continue
            raise PromptError(
                f"There is no published prompt set '{shorten(name)}'.",
                f"Did you mean {close[0]}? There are {', '.join(BY_NAME)}.",
            )
        if not rest:
            what = "file" if sign == "=" else "revision"
            raise PromptError(
                f"'{shorten(spec)}' names no {what}.", f"Give {name}{sign}{what.upper()}."
            )
        published = BY_NAME[name]
        return Request(published, path=rest) if sign == "=" else Request(published, rest)
    return None
