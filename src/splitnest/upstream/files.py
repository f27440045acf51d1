"""Configuration files and the files that they inherit from: Python of OpenMMLab, YAML of detectron2."""

from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from splitnest.errors import UsageError, cannot_read
from splitnest.files import open_text
from splitnest.recipe.plain_yaml import read_yaml
from splitnest.upstream.limits import MAX_DEPTH, MAX_FILES, MAX_TEXT, check_values
from splitnest.upstream.literals import BASE, Literals, assignments, parse

DELETE = "_delete_"
"""Key of a mapping that replaces the inherited one instead of being merged into it."""

YAML_BASE = "_BASE_"
"""Key of a YAML configuration that names the file it inherits from."""

PYTHON_SUFFIX = ".py"
YAML_SUFFIXES = (".yaml", ".yml")

Values = dict[str, Any]
Inherit = Callable[[str], Values]
"""Function that returns the values of an inherited file by its path relative to the inheriting one."""


def read_file(path: Path) -> Values:
    """Return the values of a configuration file, with those it inherits.

    Args:
        path: Path of a ``.py`` or ``.yaml`` file. The files that it inherits from are relative to it.

    Raises:
        UsageError: A file cannot be read, is not a configuration of literals, or inherits from itself.
    """
    values = _File(path, (), []).read()
    check_values(values, str(path))
    return values


def read_text(text: str, origin: str) -> Values:
    """Return the values of a configuration in Python that inherits from no file.

    Args:
        text: Configuration.
        origin: Name of the text in messages.

    Raises:
        UsageError: The text is not a configuration of literals, or inherits from files.
    """

    def refuse(name: str) -> Values:
        raise UsageError(f"{origin} inherits from {name}, which is not known. Give the resolved configuration.")

    values = _read_python(text, origin, refuse)
    check_values(values, origin)
    return values


class _File:
    """Configuration file.

    Args:
        path: Path of the file.
        heirs: Files that inherit from it.
        all_files: Files that were read; this one is added.
    """

    def __init__(self, path: Path, heirs: tuple[Path, ...], all_files: list[Path]) -> None:
        self._path = path
        self._heirs = (*heirs, path.resolve())
        self._all_files = all_files
        all_files.append(path)

    def read(self) -> Values:
        text = _text(self._path)
        if self._path.suffix == PYTHON_SUFFIX:
            return _read_python(text, str(self._path), self._inherit)
        if self._path.suffix in YAML_SUFFIXES:
            return _read_yaml(text, str(self._path), self._inherit)
        raise UsageError(f"{self._path} is not a configuration. Give a {PYTHON_SUFFIX} or {YAML_SUFFIXES[0]} file.")

    def _inherit(self, name: str) -> Values:
        if PurePosixPath(name).is_absolute() or ":" in name or name.startswith("~"):
            raise UsageError(
                f"{self._path} inherits from {name}. Only files with a relative path are read: give the resolved "
                f"configuration."
            )
        path = self._path.parent / name
        if path.suffix != self._path.suffix and not {path.suffix, self._path.suffix} <= {*YAML_SUFFIXES}:
            raise UsageError(f"{self._path} inherits from {name}, which is another kind of file.")
        if path.resolve() in self._heirs:
            raise UsageError(f"{self._path} inherits from {name}, which inherits from it: the files form a circle.")
        if len(self._all_files) > MAX_FILES:  # a file that two others inherit from counts twice
            raise UsageError(f"{self._heirs[0]} inherits from more than {MAX_FILES} files. Give the resolved one.")
        return _File(path, self._heirs, self._all_files).read()


def _text(path: Path) -> str:
    try:
        with open_text(path) as file:
            return file.read(MAX_TEXT + 1)  # the reader of the text refuses a longer one
    except OSError as error:
        raise UsageError(cannot_read(path, error, "a configuration")) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"The configuration {path} is not UTF-8 text.") from error
    except ValueError as error:  # null byte in the path
        raise UsageError(cannot_read(path, error, "a configuration")) from error


def _read_python(text: str, origin: str, inherit: Inherit) -> Values:
    pairs = list(assignments(parse(text, origin), origin))
    inherited: Values = {}
    for name, expression in pairs:
        if name == BASE:
            literals = Literals(origin, {})
            literals.assign(BASE, expression)
            inherited = _inherit_all(literals.values[BASE], origin, inherit)
    literals = Literals(origin, inherited)
    for name, expression in pairs:
        if name != BASE:
            literals.assign(name, expression)
    return merge(inherited, literals.values, origin)


def _inherit_all(names: Any, origin: str, inherit: Inherit) -> Values:
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise UsageError(f"{origin}: {BASE} should be the path of a file, or a list of paths.")
    inherited: Values = {}
    for name in names:
        values = inherit(name)
        if repeated := sorted(inherited.keys() & values.keys()):
            raise UsageError(f"{origin}: two of the files in {BASE} have {repeated[0]}. Keep one of them.")
        inherited |= values
    return inherited


def _read_yaml(text: str, origin: str, inherit: Inherit) -> Values:
    from splitnest.upstream.limits import check_text

    check_text(text, origin)
    values = read_yaml(text, origin)
    if not isinstance(values, dict):
        raise UsageError(f"{origin} is not a mapping of keys to values.")
    check_values(values, origin)
    if YAML_BASE not in values:
        return values
    name = values[YAML_BASE]
    if not isinstance(name, str):
        raise UsageError(f"{origin}: {YAML_BASE} should be the path of a file.")
    own = {key: value for key, value in values.items() if key != YAML_BASE}
    return merge(inherit(name), own, origin)


def merge(inherited: Mapping[Any, Any], own: Mapping[Any, Any], where: str, depth: int = 0) -> dict[Any, Any]:
    """Return inherited values with own ones merged into them; mappings are merged key by key.

    Args:
        inherited: Values of the inherited file.
        own: Values of the inheriting file. A mapping with ``_delete_=True`` replaces the inherited one.
        where: Name of the file and key in messages.
        depth: Level of nesting.

    Raises:
        UsageError: A mapping would replace another value, or the nesting is too deep.
    """
    if depth > MAX_DEPTH:
        raise UsageError(f"{where} is nested more than {MAX_DEPTH} levels deep. Flatten it.")
    merged = dict(inherited)
    for key, value in own.items():
        if not isinstance(value, dict):
            merged[key] = value
            continue
        if value.get(DELETE, False):
            merged[key] = _without_marks(value, where, depth)
            continue
        known = inherited.get(key, {})
        if known is None:
            known = {}
        if not isinstance(known, dict):
            raise UsageError(
                f"{where}: {key} is a mapping here and {type(known).__name__} in the inherited file. Add {DELETE}=True "
                f"to it."
            )
        merged[key] = merge(known, value, f"{where}: {key}", depth + 1)
    return merged


def _without_marks(value: Any, where: str, depth: int) -> Any:
    """Return a value without the marks ``_delete_`` in it."""
    return merge({}, {key: item for key, item in value.items() if key != DELETE}, where, depth + 1)
