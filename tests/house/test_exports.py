"""`__all__` says what a module offers, all of it, in order; nothing is re-exported twice."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.house import tree

# Modules that are entered, not imported from.
ENTRIES = {"chipwise.__main__"}
MODULES = [m for m in tree.modules() if m.name not in ENTRIES]


def _order(name: str) -> tuple[int, str]:
    """CONSTANTS, then Types, then functions."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


def _names(module: tree.Module) -> set[str]:
    """Every name that a module has at its top."""
    found = {node.name for node in tree.defined(module)}
    found |= {local for _, _, local in tree.imported(module)}
    for node in module.tree.body:
        targets = (
            node.targets
            if isinstance(node, ast.Assign)
            else [node.target]
            if isinstance(node, ast.AnnAssign)
            else []
        )
        found |= {n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)}
    return found


def _offers(module: tree.Module) -> bool:
    return any(not node.name.startswith("_") for node in tree.defined(module))


def _faults(module: tree.Module) -> Iterator[str]:
    """What is wrong with what a module says that it offers."""
    said = tree.exports(module)
    if said is None:
        if _offers(module):
            yield f"{module.name} defines public names and has no __all__"
        return
    if said != sorted(said, key=_order):
        yield f"__all__ of {module.name} is not in order"
    lazy = {"step_seconds"} if module.name == "chipwise.serving" else set()
    if absent := set(said) - _names(module) - lazy:
        yield f"__all__ of {module.name} names what is not there: {sorted(absent)}"


def test_a_module_says_what_it_offers() -> None:
    found = [fault for module in MODULES for fault in _faults(module)]
    assert not found, "\n".join(found)


def _taken(module: tree.Module) -> Iterator[str]:
    """What a module imports that nobody offers."""
    known = tree.by_name()
    for source, name, _ in tree.imported(module):
        if f"{source}.{name}" in known:
            continue
        if name.startswith("_"):
            yield f"{module.name} imports the private {source}.{name}"
            continue
        # Within a room, what modules share is no offer to others.
        within = source.count(".") > 1 and source.split(".")[:2] == module.name.split(".")[:2]
        if not within and name not in (tree.exports(known[source]) or ()):
            yield f"{module.name} imports {name}, which {source} does not offer"


def test_what_others_import_is_offered() -> None:
    found = [fault for module in MODULES for fault in _taken(module)]
    assert not found, "\n".join(found)


def test_the_surface_is_all_public_functions_and_classes() -> None:
    """Inside a room a helper may be named plainly; on the surface a plain name is an offer."""
    found = [
        f"{module.name} defines {node.name} beside __all__"
        for module in MODULES
        if module.name.count(".") == 1
        for node in tree.defined(module)
        if not node.name.startswith("_") and node.name not in (tree.exports(module) or ())
    ]
    assert not found, "\n".join(found)


def test_a_scan_that_finds_nothing_would_pass_all_of_this() -> None:
    assert {"chipwise.types", "chipwise.perf", "chipwise.api"} <= set(tree.by_name())
    assert len(list(tree.public())) > 50
