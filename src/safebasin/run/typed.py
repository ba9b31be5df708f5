"""What a JSON file has to hold, and in one sentence what is not so.

A file that others wrote or changed is checked once, where it is read: what is behind it takes each
field for what it is. Fields that nobody reads are kept as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from safebasin.terminal import shorten


class Shape(BaseModel):
    """An object with the fields that are read; a field of another type is an error."""

    # Built when it is first read by: most commands read few of all shapes.
    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False, defer_build=True)


LONGEST_NAME = 1000


def _text(value: object) -> object:
    # pydantic's own texts have no lone surrogates, which names and answers may.
    if isinstance(value, str):
        return value
    raise PydanticCustomError("text", "a text is expected")


def _name(value: object) -> object:
    if isinstance(value, str) and len(value) <= LONGEST_NAME:
        return value
    more = f" of at most {LONGEST_NAME} characters" if isinstance(value, str) else ""
    raise PydanticCustomError("name", "a text{more} is expected", {"more": more})


Text = Annotated[Any, AfterValidator(_text)]
Name = Annotated[Any, AfterValidator(_name)]
"""What something is called: it is shown in titles and tables."""
Count = Annotated[int, Field(ge=0, le=2**53)]
Share = Annotated[float, Field(ge=0, le=1)]

_EXPECTED: Mapping[str, str] = {
    "string_type": "a text",
    "string_unicode": "a text without lone surrogates",
    "string_too_long": "a text of at most {max_length} characters",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "none_required": "null",
    "literal_error": "{expected}",
    "greater_than_equal": "a number of at least {ge:g}",
    "greater_than": "a number above {gt:g}",
    "less_than_equal": "a number of at most {le:g}",
    "less_than": "a number below {lt:g}",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of at most {max_length}",
}


def what_is_wrong(shape: Any, value: object) -> str | None:
    """What of a JSON value is not as the type says, as the end of a sentence; None for nothing.

    `has 12 at identity.planes, where a list is expected`, or `lacks identity.planes`.
    """
    try:
        _adapter(shape).validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        context = first.get("ctx", {})
        steps, given = [*first["loc"]], first["input"]
        if "field" in context:  # a check of a whole object names the field that is wrong
            steps, given = [*steps, context["field"]], given[context["field"]]
        where = shorten(".".join(str(step) for step in steps))
        if first["type"] == "missing":
            return f"lacks {where}"
        kind = _EXPECTED.get(first["type"])
        expected = first["msg"] if kind is None else f"{kind.format_map(context)} is expected"
        if not where:
            return f"is {shown(given)}, where {expected}"
        return f"has {shown(given)} at {where}, where {expected}"
    return None


def shown(value: object) -> str:
    """A JSON value in a few printable characters; of a list or an object only that it is one."""
    if isinstance(value, Mapping):
        return "an object" if value else "an empty object"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    if isinstance(value, str):
        return f"'{shorten(value, 40)}'"
    names = {"None": "null", "True": "true", "False": "false"}
    try:
        text = repr(value)
    except ValueError:  # more digits than Python turns into a text
        return "a number of many digits"
    return names.get(text, shorten(text, 40))


@cache
def _adapter(shape: Any) -> TypeAdapter[Any]:
    return TypeAdapter(shape)
