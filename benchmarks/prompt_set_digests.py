"""The digests by which the published prompt sets are known, from their published files.

    python benchmarks/prompt_set_digests.py advbench=harmful_behaviors.csv xstest=xstest_prompts.csv

prints a line a set: its name, the SHA-256 of the file (line ends do not count) and the digest of
its content, as they stand in `safebasin.prompts.published`. What is read here is checked to be the
published file by the SHA-256 there, where it has one; where a publisher changes a file, its lines
in the table have to be made again.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

from safebasin.prompts import load
from safebasin.prompts.identity import content_digest
from safebasin.prompts.published import BY_NAME


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="+", metavar="NAME=FILE")
    for given in parser.parse_args().sets:
        name, _, file = given.partition("=")
        if name not in BY_NAME or not file:
            parser.error(f"{given!r} is no NAME=FILE with a name of {', '.join(BY_NAME)}")
        data = Path(file).read_bytes().replace(b"\r\n", b"\n")
        print(name, hashlib.sha256(data).hexdigest(), content_digest(load(given)))


if __name__ == "__main__":
    main()
