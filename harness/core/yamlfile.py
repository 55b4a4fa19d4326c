"""YAML files checked against pydantic models, with errors that name file, line and nearest name."""

from __future__ import annotations

import difflib
import types
import typing
from contextlib import contextmanager
from io import StringIO
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedBase
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from harness.core.errors import SpecificationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from pydantic_core import ErrorDetails

__all__ = ["Spec", "dump", "edit", "load", "named", "names", "nearest"]

SIZE_LIMIT = 1 << 20

ModelT = TypeVar("ModelT", bound="Spec")


class Spec(BaseModel):
    """Base of everything a user writes in YAML: immutable, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def field_names(cls) -> set[str]:
        """Return what its fields are called in a file."""
        return _field_names(cls)


def _field_names(model: type[BaseModel]) -> set[str]:
    return {field.alias or key for key, field in model.model_fields.items()}


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return a sentence that offers the nearest valid name, or the valid names if none is near."""
    names = sorted(known)
    if close := difflib.get_close_matches(name, names, n=1):
        return f"did you mean '{close[0]}'?"
    return f"valid: {', '.join(names)}" if names else None


def names(folder: Path) -> list[str]:
    """Return the names that YAML files give to what they describe, in order."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def named(folder: Path, name: str, what: str, *, otherwise: str | None = None) -> Path:
    """Return the file of a name.

    Parameters
    ----------
    what
        In a word, what it describes.
    otherwise
        What to do where there is nothing of the kind.

    Raises
    ------
    SpecificationError
        There is none.
    """
    path, known = folder / f"{name}.yaml", names(folder)
    if name not in known:
        raise SpecificationError(
            f"unknown {what} '{name}' (no {path})", hint=nearest(name, known) or otherwise
        )
    return path


def load(path: Path, model: type[ModelT], *, context: object = None) -> ModelT:
    """Read one YAML file.

    Parameters
    ----------
    path
        The file; at most 1 MiB.
    model
        What it has to be.
    context
        What the model's validators need to know beside the file.

    Raises
    ------
    SpecificationError
        The file cannot be read, is not YAML, or does not fit the model. All faults are named,
        each with its line.
    """
    try:
        if path.stat().st_size > SIZE_LIMIT:
            raise SpecificationError(f"{path}: exceeds the 1 MiB limit")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SpecificationError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SpecificationError(f"{path}: not UTF-8 text") from error
    try:
        document = YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        raise SpecificationError(f"{place}: {error.problem or error.context}") from error
    except YAMLError as error:
        raise SpecificationError(f"{path}: {error}") from error
    if not isinstance(document, dict):
        raise SpecificationError(f"{path}:1: expected a mapping of keys to values")
    try:
        return model.model_validate(document, context=context)
    except ValidationError as error:
        faults = [_describe(path, document, model, fault) for fault in error.errors()]
        raise SpecificationError("\n".join(faults)) from error


def dump(content: BaseModel) -> str:
    """Return a model as YAML text, without what is unset."""
    stream = StringIO()
    plain = content.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    _yaml().dump(plain, stream)
    return stream.getvalue()


def _yaml() -> YAML:
    """Return what writes files as they are written here."""
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = SIZE_LIMIT  # a text or digest stays in its line
    return yaml


@contextmanager
def edit(path: Path) -> Iterator[Any]:
    """Change a YAML file that :func:`load` has read; comments and order stay.

    Yields
    ------
    dict
        Its content, which is written back when the context ends without an error.

    Raises
    ------
    SpecificationError
        It cannot be written.
    """
    yaml = _yaml()
    yaml.preserve_quotes = True
    content = yaml.load(path.read_text(encoding="utf-8"))
    yield content
    stream = StringIO()
    yaml.dump(content, stream)
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(stream.getvalue(), encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise SpecificationError(f"{path}: {error.strerror}") from error


def _describe(path: Path, document: object, model: type[BaseModel], fault: ErrorDetails) -> str:
    location = fault["loc"]
    line = _line(document, location)
    where = ".".join(str(part) for part in location)
    if fault["type"] == "extra_forbidden":
        message = f"unknown key '{where}'"
        offer = nearest(str(location[-1]), _keys(model, location[:-1]))
        return f"{path}:{line}: {message}" + (f"; {offer}" if offer else "")
    text = fault["msg"].removeprefix("Value error, ")
    given = fault["input"]
    shown = "" if isinstance(given, dict | list) else f", got {given!r}"
    return f"{path}:{line}: {where}: {text[:1].lower()}{text[1:]}{shown}"


def _line(document: object, location: Sequence[int | str]) -> int:
    """Return the line (from 1) of the deepest part of a location that is in the file."""
    line = 1
    node = document
    for part in location:
        if not isinstance(node, CommentedBase) or not isinstance(node, dict | list):
            break
        try:
            line = (node.lc.key(part) if isinstance(node, dict) else node.lc.item(part))[0] + 1
            node = node[part]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            break
    return line


def _keys(model: type[BaseModel], location: Sequence[int | str]) -> set[str]:
    """Return the keys that are valid at a location of a model."""
    found: list[Any] = [model]
    for part in location:
        fields = [
            candidate.model_fields[part].annotation
            for candidate in found
            if _is_model(candidate) and part in candidate.model_fields
        ]
        # A part that is no field is a mapping's key or a list's index: its values stay.
        found = [leaf for field in fields for leaf in _leaves(field)] or found
    return {
        key
        for candidate in found
        if _is_model(candidate)
        for key in (
            candidate.field_names() if issubclass(candidate, Spec) else _field_names(candidate)
        )
    }


def _is_model(annotation: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _leaves(annotation: Any) -> list[Any]:  # noqa: ANN401 - annotations have no common type
    """Return the classes within an annotation: of a union, a list or a mapping."""
    origin = typing.get_origin(annotation)
    if origin is None:
        return [annotation]
    if origin is typing.Annotated:
        return _leaves(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType, list, tuple, dict):
        return [leaf for part in typing.get_args(annotation) for leaf in _leaves(part)]
    return [annotation]
