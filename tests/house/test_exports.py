"""`__all__` says what a module offers, all of it, in order; nothing is re-exported twice."""

from __future__ import annotations

import ast

import pytest

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


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.name)
def test_a_module_says_what_it_offers(module: tree.Module) -> None:
    said = tree.exports(module)
    if said is None:
        assert not _offers(module), f"{module.name} defines public names and has no __all__"
        return
    assert said == sorted(said, key=_order), f"__all__ of {module.name} is not in order"
    lazy = {"step_seconds"} if module.name == "chipwise.serving" else set()
    assert set(said) <= _names(module) | lazy, f"__all__ of {module.name} names what is not there"


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.name)
def test_what_others_import_is_offered(module: tree.Module) -> None:
    known = tree.by_name()
    for source, name, _ in tree.imported(module):
        if f"{source}.{name}" in known:
            continue
        offered = tree.exports(known[source]) or ()
        assert not name.startswith("_"), f"{module.name} imports the private {source}.{name}"
        # Within a room, what modules share is no offer to others.
        within = source.count(".") > 1 and source.split(".")[:2] == module.name.split(".")[:2]
        assert within or name in offered, (
            f"{module.name} imports {name}, which {source} does not offer"
        )


@pytest.mark.parametrize(
    "module", [m for m in MODULES if m.name.count(".") == 1], ids=lambda m: m.name
)
def test_the_surface_is_all_public_functions_and_classes(module: tree.Module) -> None:
    """Inside a room a helper may be named plainly; on the surface a plain name is an offer."""
    said = set(tree.exports(module) or ())
    plain = {node.name for node in tree.defined(module) if not node.name.startswith("_")}
    assert plain <= said, f"{module.name} defines {sorted(plain - said)} beside __all__"


def test_a_scan_that_finds_nothing_would_pass_all_of_this() -> None:
    assert {"chipwise.types", "chipwise.perf", "chipwise.api"} <= set(tree.by_name())
    assert len(list(tree.public())) > 50
