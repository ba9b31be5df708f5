"""The reference page of the command line, generated from the commands themselves.

python -m safebasin.cli.reference > docs/commands.md
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer.main

from safebasin.cli.application import application

EXIT_CODES = (
    (0, "done"),
    (1, "failed: the message says what and what to do"),
    (2, "the command line cannot be meant as it stands"),
    (3, "the comparison was made, and the tuned model fails it"),
    (4, "done, but more than 2 % of the answers could not be judged"),
    (5, "the comparison was made, and decides nothing: its reasons say why"),
    (130, "interrupted; the same command resumes"),
)


def reference() -> str:
    """The whole page as Markdown."""
    lines = [
        "# Commands",
        "",
        "Generated from the program; `safebasin COMMAND --help` says the same.",
        "",
    ]
    for name, command in leaves(typer.main.get_command(application), "safebasin"):
        arguments = " ".join(
            f"[{p.name.upper()}]" if not p.required else p.name.upper()
            for p in command.params
            if p.param_type_name == "argument"
        )
        lines += [
            f"## {name} {arguments}".rstrip(),
            "",
            (command.help or "").strip(),
            "",
        ]
        lines += ["| option | default | what it does |", "|---|---|---|"]
        for parameter in command.params:
            if parameter.param_type_name == "option" and not getattr(parameter, "hidden", False):
                lines.append(_row(parameter))
        lines.append("")
    lines += ["## Exit codes", "", "| code | meaning |", "|---|---|"]
    lines += [f"| {code} | {meaning} |" for code, meaning in EXIT_CODES]
    return "\n".join(lines) + "\n"


def command_names() -> set[str]:
    """The first words after `safebasin`."""
    return set(typer.main.get_command(application).commands)  # type: ignore[attr-defined]


def leaves(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield name, command
        return
    for child_name, child in children.items():
        yield from leaves(child, f"{name} {child_name}")


def _row(parameter: Any) -> str:
    names = ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])
    default = parameter.default
    hidden = default is None or default is False or default == () or callable(default)
    shown = "" if hidden else f"`{default}`"
    about = (parameter.help or "").replace("|", "/")
    return f"| {names} | {shown} | {about} |"


if __name__ == "__main__":
    print(reference(), end="")
