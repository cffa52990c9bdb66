"""What a PromQL expression says, by a parser: its labels, its comparisons, its selectors."""

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import promql_parser as promql

Labels = frozenset[str]
SeriesLabels = Callable[[promql.VectorSelector], "Labels | None"]
"""The labels of what a selector finds; None when nobody knows."""

Node = TypeVar("Node", bound=promql.Expr)

SET_OPERATORS = frozenset({"and", "or", "unless"})
COMPARISONS = frozenset({"==", "!=", ">", "<", ">=", "<="})
SCALARS = frozenset({"time", "scalar", "pi"})
NO_LABELS: Labels = frozenset()
ARITHMETIC: Mapping[str, Callable[[float, float], float]] = {
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
}


def nodes(expr: promql.Expr, kind: type[Node]) -> list[Node]:
    found: list[Node] = []
    promql.walk(expr, lambda node: found.append(node) if isinstance(node, kind) else None)
    return found


def operator(expr: promql.BinaryExpr) -> str:
    return str(expr.op)


def constant(expr: promql.Expr) -> float | None:
    """The number that an expression without series is, such as 6 * 86400."""
    match expr:
        case promql.ParenExpr():
            return constant(expr.expr)
        case promql.NumberLiteral():
            return float(expr.val)
        case promql.BinaryExpr() if operator(expr) in ARITHMETIC:
            left, right = constant(expr.lhs), constant(expr.rhs)
            if left is None or right is None:
                return None
            return ARITHMETIC[operator(expr)](left, right)
        case _:
            return None


def compared(expr: promql.Expr) -> Iterator[tuple[str, float]]:
    """Each comparison with a number: its operator and the number."""
    for node in nodes(expr, promql.BinaryExpr):
        number = constant(node.rhs)
        if operator(node) in COMPARISONS and number is not None:
            yield operator(node), number


class LostLabelError(Exception):
    """An expression asks for a label that its operand does not have."""


def labels_of(expr: promql.Expr, series: SeriesLabels) -> Labels | None:
    """The labels of the result. Errors: LostLabelError where operands can never meet."""
    found: Labels | None = NO_LABELS
    match expr:
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            found = labels_of(expr.expr, series)
        case promql.VectorSelector():
            found = series(expr)
        case promql.MatrixSelector():
            found = series(expr.vector_selector)
        case promql.AggregateExpr():
            found = _aggregated(expr, series)
        case promql.Call():
            found = _called(expr, series)
        case promql.BinaryExpr():
            found = _combined(expr, series)
    return found


def is_scalar(expr: promql.Expr) -> bool:
    match expr:
        case promql.ParenExpr() | promql.UnaryExpr():
            return is_scalar(expr.expr)
        case promql.NumberLiteral() | promql.StringLiteral():
            return True
        case promql.Call():
            return expr.func.name in SCALARS
        case promql.BinaryExpr():
            return is_scalar(expr.lhs) and is_scalar(expr.rhs)
        case _:
            return False


def _aggregated(expr: promql.AggregateExpr, series: SeriesLabels) -> Labels | None:
    inner = labels_of(expr.expr, series)
    if expr.modifier is None:
        return NO_LABELS
    named = frozenset(expr.modifier.labels)
    if str(expr.modifier).startswith("without"):
        return None if inner is None else inner - named
    _has(inner, named, expr)
    return named


def _called(expr: promql.Call, series: SeriesLabels) -> Labels | None:
    name, arguments = expr.func.name, expr.args
    if name in SCALARS | {"vector"}:
        return NO_LABELS
    if name in {"absent", "absent_over_time"}:
        (selector, *_) = nodes(arguments[0], promql.VectorSelector)
        bare = isinstance(arguments[0], promql.VectorSelector)
        equal = [m.name for m in selector.matchers.matchers if m.op == promql.MatchOp.Equal]
        return frozenset(equal) if bare else NO_LABELS
    inner = labels_of(arguments[1 if name == "histogram_quantile" else 0], series)
    match name:
        case "label_replace":
            _has(inner, frozenset({arguments[3].val}), expr)
            return None if inner is None else inner | {arguments[1].val}
        case "histogram_quantile":
            _has(inner, frozenset({"le"}), expr)
            return None if inner is None else inner - {"le"}
        case _:
            return inner


def _combined(expr: promql.BinaryExpr, series: SeriesLabels) -> Labels | None:
    left, right = labels_of(expr.lhs, series), labels_of(expr.rhs, series)
    if is_scalar(expr.lhs):
        return right
    if is_scalar(expr.rhs):
        return left
    matching = None if expr.modifier is None else expr.modifier.matching
    card = None if expr.modifier is None else expr.modifier.card
    if matching is None or matching.type != promql.LabelModifierType.Include:
        ignored = NO_LABELS if matching is None else frozenset(matching.labels)
        if left is not None and right is not None and left - ignored != right - ignored:
            raise LostLabelError(f"{sorted(left)} and {sorted(right)} never match: {expr}")
        return left
    on = frozenset(matching.labels)
    _has(left, on, expr)
    _has(right, on, expr)
    if operator(expr) == "or" and None not in (left, right) and left != right:
        raise LostLabelError(f"an alert that is now one, now the other: {expr}")
    if operator(expr) in SET_OPERATORS or card == promql.VectorMatchCardinality.ManyToOne:
        return left
    return right if card == promql.VectorMatchCardinality.OneToMany else on


def _has(found: Labels | None, named: Labels, expr: promql.Expr) -> None:
    if found is not None and not named <= found:
        raise LostLabelError(f"{sorted(named - found)} is not in {sorted(found)}: {expr}")
