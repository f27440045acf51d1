"""Literals of a Python configuration, read from its syntax tree and never executed.

Understood are assignments of literals, ``dict(...)`` calls, arithmetic of numbers, names of earlier assignments, and
references to inherited values, ``_base_.x`` and ``{{_base_.x}}``. Anything else is an error with its line.
"""

import ast
import keyword
import math
import operator
import tokenize
import warnings
from collections.abc import Callable, Iterator, Mapping
from io import StringIO
from typing import Any

from splitnest.errors import UsageError
from splitnest.upstream.limits import MAX_DEPTH, MAX_NUMBER, MAX_VALUES, check_text

BASE = "_base_"
"""Name of the inherited files, and of the values inherited from them."""

_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
}

_CONSTANTS = ("True", "False", "None")

_WORDS = {
    ast.Call: "a call",
    ast.ListComp: "a comprehension",
    ast.DictComp: "a comprehension",
    ast.SetComp: "a comprehension",
    ast.GeneratorExp: "a comprehension",
    ast.JoinedStr: "an f-string",
    ast.Attribute: "an attribute",
}
"""Syntax in words, for messages."""


def parse(text: str, origin: str) -> ast.Module:
    """Return the syntax tree of a configuration.

    Args:
        text: Configuration.
        origin: Name of the text in messages, such as its path.

    Raises:
        UsageError: The text is too long or too deeply nested, or is not Python.
    """
    check_text(text, origin)
    try:
        _check_tokens(text, origin)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes such as '\d', which the author of the file sees upstream
            return ast.parse(text)
    except SyntaxError as error:
        raise UsageError(f"{origin}, line {error.lineno or 1}: this is not Python: {error.msg}.") from error
    except tokenize.TokenError as error:
        raise UsageError(f"{origin}, line {error.args[1][0]}: this is not Python: {error.args[0]}.") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise UsageError(f"{origin}: this is not a configuration in Python: {error or 'nested too deep'}.") from error


def _check_tokens(text: str, origin: str) -> None:
    """Raise a UsageError for keywords, and for nesting that the parser of Python could exhaust its stack with."""
    lengths = [0]  # number of tokens of the expression at each level of brackets
    for token in tokenize.generate_tokens(StringIO(text).readline):
        line = token.start[0]
        if token.type == tokenize.NAME and keyword.iskeyword(token.string) and token.string not in _CONSTANTS:
            raise _refused(token.line, f"has the keyword {token.string}", line, origin)
        if token.type in (tokenize.NEWLINE, tokenize.NL, tokenize.COMMENT) or token.string == ",":
            lengths[-1] = 0
            continue
        lengths[-1] += 1
        if token.string in ("(", "[", "{"):
            lengths.append(0)
        elif token.string in (")", "]", "}") and len(lengths) > 1:
            lengths.pop()
        if len(lengths) > MAX_DEPTH or lengths[-1] > 10 * MAX_DEPTH:
            raise UsageError(f"{origin}, line {line}: nested more than {MAX_DEPTH} levels deep. Flatten it.")


def assignments(tree: ast.Module, origin: str) -> Iterator[tuple[str, ast.expr]]:
    """Yield name and value of each assignment at the top level of a configuration; texts alone are comments.

    Raises:
        UsageError: There is another statement.
    """
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield name, value
            case ast.Expr(value=ast.Constant(value=str())):
                continue
            case _:
                raise _not_literal(statement, origin)


class Literals:
    """Values of the names of a configuration, in the order of its assignments.

    Attributes:
        values: Value of each assigned name.
    """

    def __init__(self, origin: str, inherited: Mapping[str, Any]) -> None:
        """Start without names.

        Args:
            origin: Name of the configuration in messages.
            inherited: Values that ``_base_.x`` refers to.
        """
        self.values: dict[str, Any] = {}
        self._origin = origin
        self._inherited = inherited
        self._extents: dict[str, tuple[int, int]] = {}
        self._count = self._deepest = 0

    def assign(self, name: str, expression: ast.expr) -> None:
        """Evaluate an expression, and store its value under a name.

        Raises:
            UsageError: The expression is not a literal, or has too many values.
        """
        before, self._deepest = self._count, 0
        self.values[name] = self._value(expression, 0)
        self._extents[name] = (self._count - before, self._deepest)

    def _enter(self, node: ast.AST, depth: int, count: int = 1) -> None:
        self._count += count
        self._deepest = max(self._deepest, depth)
        if self._count > MAX_VALUES:
            raise self._error(node, f"the configuration has more than {MAX_VALUES} values")
        if depth > MAX_DEPTH:
            raise self._error(node, f"values are nested more than {MAX_DEPTH} levels deep")

    def _value(self, node: ast.expr, depth: int) -> Any:
        self._enter(node, depth)
        match node:
            case ast.Constant(value=str() | bool() | int() | float() | None as value):
                return self._checked(node, value)
            case ast.List(elts=items):
                return [self._value(item, depth + 1) for item in items]
            case ast.Tuple(elts=items):
                return tuple(self._value(item, depth + 1) for item in items)
            case ast.Dict(keys=keys, values=values):
                return self._mapping(node, zip(keys, values, strict=True), depth)
            case ast.Call(func=ast.Name(id="dict"), args=[], keywords=keywords):
                named = ((None if k.arg is None else ast.Constant(k.arg), k.value) for k in keywords)
                return self._mapping(node, named, depth)
            case ast.Call(func=ast.Name(id="dict"), args=[ast.Dict() as mapping], keywords=[]):
                return self._value(mapping, depth)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
                number = self._number(operand, depth)
                return -number if isinstance(sign, ast.USub) else number
            case ast.BinOp(left=left, op=operation, right=right) if type(operation) in _ARITHMETIC:
                return self._computed(node, _ARITHMETIC[type(operation)], left, right, depth)
            case ast.Set(elts=[ast.Set(elts=[inner])]):  # {{_base_.x}}
                return self._inherited_value(inner, depth)
            case ast.Name(id=name) if name in self.values:
                count, deepest = self._extents[name]
                self._enter(node, depth + deepest, count)
                return self.values[name]
            case ast.Attribute() | ast.Subscript():
                return self._inherited_value(node, depth)
            case ast.Name(id=name):
                raise self._error(node, f"{name} is not assigned before")
            case _:
                raise _not_literal(node, self._origin)

    def _mapping(self, node: ast.AST, pairs: Any, depth: int) -> dict[Any, Any]:
        mapping: dict[Any, Any] = {}
        for key_node, value_node in pairs:
            value = self._value(value_node, depth + 1)
            if key_node is None:  # **value
                if not isinstance(value, dict):
                    raise self._error(value_node, "** needs a dict")
                mapping.update(value)
                continue
            key = self._value(key_node, depth + 1)
            if not isinstance(key, str | int | float | bool | None):
                raise self._error(node, "keys of a dict must be texts or numbers")
            mapping[key] = value
        return mapping

    def _number(self, node: ast.expr, depth: int) -> Any:
        value = self._value(node, depth + 1)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self._error(node, "this is not a number")
        return value

    def _computed(
        self, node: ast.AST, operation: Callable[[Any, Any], Any], left: ast.expr, right: ast.expr, depth: int
    ) -> Any:
        one: Any = self._value(left, depth + 1)
        if operation is operator.add and isinstance(one, str | list):
            other: Any = self._value(right, depth + 1)
            if not isinstance(other, type(one)):
                raise self._error(node, "a text and a list cannot be added")
            self._enter(node, depth, len(one) // 8)
            return self._checked(node, operation(one, other))
        if not isinstance(one, int | float) or isinstance(one, bool):
            raise self._error(node, "this is not a number")
        try:
            return self._checked(node, operation(one, self._number(right, depth)))
        except ArithmeticError as error:
            raise self._error(node, str(error)) from None

    def _checked(self, node: ast.AST, value: Any) -> Any:
        if isinstance(value, int | float) and (not math.isfinite(value) or abs(value) > MAX_NUMBER):
            raise self._error(node, "this number is too large")
        if isinstance(value, str | list) and len(value) > MAX_VALUES:
            raise self._error(node, "this value is too long")
        return value

    def _inherited_value(self, node: ast.expr, depth: int) -> Any:
        """Return the value of ``_base_.x``, or of an item of an earlier name, ``x['key']``."""
        path: list[Any] = []
        root = node
        while isinstance(root, ast.Attribute | ast.Subscript):
            if isinstance(root, ast.Attribute):
                path.append(root.attr)
            else:
                path.append(self._value(root.slice, depth + 1))
            root = root.value
        is_attribute = any(isinstance(part, ast.Attribute) for part in ast.walk(node))
        if not isinstance(root, ast.Name) or (is_attribute and root.id != BASE):
            raise _not_literal(node, self._origin)
        value: Any = self._inherited if root.id == BASE else self._value(root, depth)
        for key in reversed(path):
            try:
                value = value[key]
            except (LookupError, TypeError):
                raise self._error(node, f"{ast.unparse(node)[:80]} does not exist") from None
        self._enter(node, depth + _depth(value), _count(value))
        return value

    def _error(self, node: ast.AST, problem: str) -> UsageError:
        return UsageError(f"{self._origin}, line {getattr(node, 'lineno', 1)}: {problem}. Correct the configuration.")


def _count(value: Any) -> int:
    children: Any = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return 1 + sum(map(_count, children))


def _depth(value: Any) -> int:
    children: Any = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return max((1 + _depth(child) for child in children), default=0)


def _not_literal(node: ast.AST, origin: str) -> UsageError:
    what = _WORDS.get(type(node), f"of the kind {type(node).__name__}")
    return _refused(ast.unparse(node), f"is {what}", getattr(node, "lineno", 1), origin)


def _refused(code: str, problem: str, line: int, origin: str) -> UsageError:
    shown = " ".join(code.split())
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    return UsageError(
        f"{origin}, line {line}: {shown} {problem}, which is no literal. Configurations are read without running them: "
        f"give a resolved one, as the framework prints it."
    )
