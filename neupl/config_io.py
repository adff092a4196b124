"""Configuration as text: YAML and `key=value` to nested frozen dataclasses and back.

Types are strict; the dataclasses are the only schema. Order: the field's default, then the file,
then the overrides. A class whose defaults depend on what is given says so by a static method
`defaults`.
"""

import ast
import dataclasses
import difflib
import functools
import inspect
import itertools
import re
import textwrap
import types
import typing
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar, Union

import yaml

from neupl.errors import UserError

T = TypeVar("T")

# YAML 1.1 reads `1e-4` and `1.e-4` as text; people write it as a number.
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+")


class _Loader(yaml.SafeLoader):
    """Safe YAML that knows `1e-4` and refuses a key given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                problem = "a key must be plain text"
                raise yaml.constructor.ConstructorError(
                    problem=problem, problem_mark=key_node.start_mark
                )
            if key_node.value in seen:
                problem = f"key {key_node.value!r} is given twice"
                raise yaml.constructor.ConstructorError(
                    problem=problem, problem_mark=key_node.start_mark
                )
            seen.add(key_node.value)
        return super().construct_mapping(node, deep=deep)


class _Dumper(yaml.SafeDumper):
    """Writes what `_Loader` reads back unchanged."""


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    # Unquoted or single-quoted, the rarer line breaks of Unicode come back as spaces.
    style = None if text.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
for _yaml_class in (_Loader, _Dumper):
    _yaml_class.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))


class FieldDescription(NamedTuple):
    """One configuration key for a reader.

    Attributes:
      key: dotted path, as `--set` takes it.
      type: the type as a person writes it, e.g. `float`, `"nash" or "uniform"`.
      default: the default as YAML; empty when the key must be given.
      docstring: the text under the field.
    """

    key: str
    type: str
    default: str
    docstring: str


def load_config(cls: type[T], path: Path | None, overrides: Sequence[str] = ()) -> T:
    """Builds a configuration from defaults, a YAML file and `key.sub=value` overrides.

    Args:
      cls: a frozen dataclass whose fields are int, float, str, bool, Literal, Optional, tuples,
        mappings with text keys, or such dataclasses.
      path: a YAML file; `None` for none.
      overrides: `key.sub=value`, values in YAML, later ones win.

    Raises:
      UserError: the file cannot be read, a key is unknown, a value has the wrong type or is refused
        by the dataclass's own `__post_init__`; the message names the key and what is allowed.
    """
    tree = {} if path is None else read_mapping(path)
    overridden = {_apply_override(tree, override) for override in overrides}
    base = cls.defaults(tree) if hasattr(cls, "defaults") else None
    return _Builder(cls, path, overridden).build(cls, tree, "", base)


def names_key(path: Path | None, overrides: Sequence[str], key: str) -> bool:
    """Whether the file or an override gives the key `group.name` a value.

    Raises:
      UserError: the file or an override cannot be read.
    """
    tree = {} if path is None else read_mapping(path)
    for override in overrides:
        _apply_override(tree, override)
    group, _, name = key.partition(".")
    found = tree.get(group)
    return isinstance(found, Mapping) and name in found


def read_mapping(path: Path) -> dict[str, Any]:
    """Reads a YAML file of `key: value` lines, whatever the keys.

    Raises:
      UserError: the file cannot be read or holds something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot read the configuration {path}: {reason}") from error
    tree = _parse_yaml(text, where=str(path))
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise UserError(f"{path} must hold `key: value` lines, not {_shown(tree)}")
    return tree


def dump_config(config: Any) -> str:
    """Returns the YAML that `load_config` turns back into an equal configuration."""
    return yaml.dump(_plain(config), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def describe_fields(cls: type) -> tuple[FieldDescription, ...]:
    """Lists every key of a configuration class, nested ones dotted, in order of definition."""
    return tuple(_described(cls, "", None))


def _parse_yaml(text: str, *, where: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)  # a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark and "\n" in text else ""
        problem = getattr(error, "problem", None) or str(error)
        raise UserError(f"{where}{line} is not valid YAML: {problem}") from error


def _apply_override(tree: dict[str, Any], override: str) -> str:
    """Sets the value in `tree` and returns the dotted key."""
    key, separator, text = override.partition("=")
    names = key.strip().split(".")
    if not separator or not all(names):
        raise UserError(f"cannot read the override {override!r}", hint="write it as key.sub=value")
    for name in names[:-1]:
        if not isinstance(tree.get(name), dict):
            tree[name] = {}
        tree = tree[name]
    tree[names[-1]] = _parse_yaml(text, where=f"the override {override!r}")
    return ".".join(names)


class _Builder:
    """Turns plain YAML values into dataclasses; holds what the error messages need."""

    def __init__(self, root: type, path: Path | None, overridden: Set[str]) -> None:
        self._path, self._overridden = path, overridden
        self._all_keys = [field.key for field in _described(root, "", None)]

    def build(self, cls: type, tree: Mapping[str, Any], prefix: str, base: Any) -> Any:
        """Builds `cls` from `tree`; what `tree` lacks comes from `base`, else from the defaults."""
        hints = typing.get_type_hints(cls)
        fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
        for name in tree:
            if name not in fields:
                raise self._unknown(prefix, name, fields)
        values = {}
        for name, field in fields.items():
            before = _default(field) if base is None else getattr(base, name)
            if name in tree:
                values[name] = self._convert(hints[name], tree[name], prefix + name, before)
            elif before is dataclasses.MISSING:
                raise UserError(f"{self._where(prefix)}the key {prefix + name} must be given")
            else:
                values[name] = before
        try:
            return cls(**values)
        except ValueError as error:
            section = f"{prefix[:-1]}: " if prefix else ""
            raise UserError(f"{self._where(prefix)}{section}{error}") from error

    def _convert(self, hint: Any, value: Any, key: str, before: Any) -> Any:
        members = _union_members(hint)
        if value is None and type(None) in members:
            return None
        candidates = [member for member in members if member is not type(None)]
        if len(candidates) == 1:
            return self._convert_one(candidates[0], hint, value, key, before)
        for member in candidates:
            try:
                return self._convert_one(member, hint, value, key, before)
            except UserError:
                continue
        raise self._mismatch(key, value, hint)

    def _convert_one(self, hint: Any, declared: Any, value: Any, key: str, before: Any) -> Any:
        """Converts to `hint`, one alternative of the field's `declared` type."""
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if dataclasses.is_dataclass(hint) and isinstance(value, dict):
            return self.build(hint, value, f"{key}.", before if type(before) is hint else None)
        if origin is Literal and any(value == a and type(value) is type(a) for a in arguments):
            return value
        if origin is tuple and isinstance(value, list):
            if len(arguments) == 2 and arguments[1] is Ellipsis:
                arguments = (arguments[0],) * len(value)
            if len(arguments) == len(value):
                return tuple(
                    self._convert(argument, item, f"{key}[{index}]", None)
                    for index, (argument, item) in enumerate(zip(arguments, value, strict=True))
                )
        is_mapping = origin in (dict, Mapping) and isinstance(value, dict)
        if is_mapping and all(isinstance(name, str) for name in value):
            return {
                name: self._convert(arguments[1], item, f"{key}.{name}", None)
                for name, item in value.items()
            }
        if hint is float and type(value) is int:
            return float(value)
        if hint in (int, float, str, bool) and type(value) is hint:
            return value
        raise self._mismatch(key, value, declared)

    def _where(self, key: str) -> str:
        """Where a reader has to look for `key`: nowhere in particular, an override, or the file."""
        if any(f"{key}.".startswith(f"{overridden}.") for overridden in self._overridden):
            return "--set: "
        return "" if self._path is None else f"{self._path}: "

    def _mismatch(self, key: str, value: Any, hint: Any) -> UserError:
        quote = str in _union_members(hint) and not isinstance(value, dict | list)
        return UserError(
            f"{self._where(key)}{key} must be {_type_text(hint)}, not {_shown(value)}",
            hint="put quotes around it to make it text" if quote else "",
        )

    def _unknown(self, prefix: str, name: Any, allowed: Mapping[str, Any]) -> UserError:
        names = {key.rsplit(".", 1)[-1]: key for key in reversed(self._all_keys)}
        local = difflib.get_close_matches(str(name), allowed, n=1)
        anywhere = difflib.get_close_matches(str(name), names, n=1)
        nearest = [prefix + n for n in local] or [names[n] for n in anywhere]
        suggestion = f"did you mean {nearest[0]}? " if nearest else ""
        return UserError(
            f"{self._where(f'{prefix}{name}')}unknown key {prefix}{name}",
            hint=f"{suggestion}allowed here: {', '.join(prefix + n for n in allowed)}",
        )


def _described(cls: type, prefix: str, base: Any) -> Iterator[FieldDescription]:
    hints = typing.get_type_hints(cls)
    docstrings = _field_docstrings(cls)
    for field in dataclasses.fields(cls):
        if not field.init:
            continue
        default = _default(field) if base is None else getattr(base, field.name)
        nested = [m for m in _union_members(hints[field.name]) if dataclasses.is_dataclass(m)]
        if len(nested) == 1:
            inner = default if type(default) is nested[0] else None
            yield from _described(nested[0], f"{prefix}{field.name}.", inner)
            continue
        text = "" if default is dataclasses.MISSING else _yaml_value(default)
        documentation = docstrings.get(field.name, "")
        yield FieldDescription(
            prefix + field.name, _type_text(hints[field.name]), text, documentation
        )


@functools.cache
def _field_docstrings(cls: type) -> dict[str, str]:
    """Text under each field, of the class and its bases; empty where the source is not at hand."""
    found: dict[str, str] = {}
    for owner in reversed(cls.__mro__):
        if not dataclasses.is_dataclass(owner):
            continue
        try:
            body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0].body
        except (OSError, TypeError):
            continue
        for field, text in itertools.pairwise(body):
            is_text = isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
            if isinstance(field, ast.AnnAssign) and is_text and isinstance(text.value.value, str):
                found[field.target.id] = inspect.cleandoc(text.value.value)
    return found


def _default(field: dataclasses.Field) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _union_members(hint: Any) -> tuple[Any, ...]:
    if typing.get_origin(hint) in (Union, types.UnionType):
        return typing.get_args(hint)
    return (hint,)


def _type_text(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is type(None):
        return "null"
    if origin in (Union, types.UnionType):
        return " or ".join(_type_text(argument) for argument in arguments)
    if origin is Literal:
        return " or ".join(repr(argument) for argument in arguments)
    if origin is tuple and arguments[-1] is Ellipsis:
        return f"list of {_type_text(arguments[0])}"
    if origin is tuple:
        return f"[{', '.join(_type_text(argument) for argument in arguments)}]"
    if origin in (dict, Mapping):
        return f"mapping of names to {_type_text(arguments[1])}"
    if dataclasses.is_dataclass(hint):
        return f"mapping with {', '.join(field.name for field in dataclasses.fields(hint))}"
    return hint.__name__


def _shown(value: Any) -> str:
    kind = {"NoneType": "null", "dict": "mapping", "list": "list"}.get(type(value).__name__)
    return f"{kind or type(value).__name__} {_yaml_value(value)}"


def _yaml_value(value: Any) -> str:
    text = yaml.dump(
        _plain(value), Dumper=_Dumper, default_flow_style=True, width=10_000, sort_keys=False
    )
    return text.removesuffix("\n").removesuffix("\n...")


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        fields = (field for field in dataclasses.fields(value) if field.init)
        return {field.name: _plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value
