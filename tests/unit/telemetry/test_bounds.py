"""The names of bounds that were hit: the code has those of docs/guards.md, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import aiplat

SOURCE = Path(aiplat.__path__[0])
GUARDS = Path(__file__).parents[3] / "docs" / "guards.md"

COUNTERS = {"bound_hits", "_hits"}
PASSED_TO: dict[str, dict[str, set[str]]] = {
    "history": {"_hit": {"Full"}},
    "http": {"count": {"count", "_count", "_refuse", "bound_hit"}},
    "node": {
        "_beat": {"_over"},
        "_full": {"_full"},
        "_has_room": set(),  # chooses between names itself, as the next one
        "_shake_hands": set(),
        "_hit": {"_hit", "_handle"},
        "tell": {"_overran"},
    },
    "roles": {"full": {"full"}},
    "series": {"_on_bound": {"_on_bound"}},
    "stored": {"_on_bound": {"hit", "_on_bound"}},
}
"""By package: the functions that count a bound whose name they are given, and the calls that the
name comes by."""
NO_BOUNDS = {"full", "too_many", "waiting"}
"""Words for a peer or a person, beside such a name."""


def _functions(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Every node with the name of the innermost function around it."""
    todo: list[tuple[str, ast.AST]] = [("", tree)]
    while todo:
        name, node = todo.pop()
        yield name, node
        inner = node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else name
        todo += [(inner, child) for child in ast.iter_child_nodes(node)]


def _name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _words(*nodes: ast.AST) -> set[str]:
    found = (one.value for node in nodes for one in ast.walk(node) if isinstance(one, ast.Constant))
    return {w for w in found if isinstance(w, str) and re.fullmatch(r"[a-z][a-z0-9_]+", w)}


def _used() -> tuple[set[str], set[tuple[str, str]]]:
    """The names that the code counts by, and the functions that are given one."""
    named: set[str] = set()
    given: set[tuple[str, str]] = set()
    for path in SOURCE.rglob("*.py"):
        package = path.relative_to(SOURCE).parts[0]
        passed = PASSED_TO.get(package, {})
        for function, node in _functions(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                words = _words(*node.args, *(keyword.value for keyword in node.keywords))
                if _counts(node.func):
                    named |= words
                    given |= set() if words else {(package, function)}
                elif _called(node) in set().union(*passed.values()):
                    named |= words
            elif isinstance(node, ast.Assign) and function in passed and _is_bound(node):
                named |= _words(node.value)
    return named - NO_BOUNDS, given


def _is_bound(assigned: ast.Assign) -> bool:
    return [_name(target) for target in assigned.targets] == ["bound"]


def _counts(called: ast.AST) -> bool:
    """Whether it is ``….bound_hits.labels``."""
    if not isinstance(called, ast.Attribute):
        return False
    return called.attr == "labels" and _name(called.value) in COUNTERS


def _called(call: ast.Call) -> str:
    """The name of what is called, now or, by a `partial`, later."""
    name = _name(call.func)
    return _name(call.args[0]) if name == "partial" and call.args else name


def _documented() -> set[str]:
    """What stands in the columns `Label`; "the same name" is that of the row's setting."""
    found: set[str] = set()
    column = -1
    for line in GUARDS.read_text().splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not cells:
            column = -1
        elif "Label" in cells:
            column = cells.index("Label")
        elif column >= 0:
            cell = cells[0] if cells[column].startswith("the same name") else cells[column]
            found |= set(re.findall(r"`([a-z0-9_.]+)`", cell))
    return {name.rpartition(".")[2] for name in found}


def test_every_bound_is_documented_and_every_label_there_is_used() -> None:
    used, _ = _used()
    assert used - _documented() == set(), "give it a row in docs/guards.md"
    assert _documented() - used == {"aiplat_protocol_violations_total"}, "nothing counts by that"


def test_no_name_of_a_bound_comes_by_a_way_that_is_not_looked_at() -> None:
    _, given = _used()
    assert given == {(package, name) for package, names in PASSED_TO.items() for name in names}
