"""Commands that show the catalog: chips, models, prices, sources, rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from chipwise.cli.inputs import output_options
from chipwise.cli.output import reply

__all__ = ["COMMANDS"]


def _example(text: str) -> str:
    return f"\b\nExample:\n  chipwise {text}"


def _show(kind: str, form: str, lang: str, found: Mapping[str, Any]) -> None:
    """One entry: every value with unit, source and date."""
    from chipwise import answers

    reply(kind, form, lang, {**answers.envelope("general"), **found})


def _list(kind: str, form: str, lang: str, found: Sequence[Mapping[str, Any]]) -> None:
    """All entries, a row each; each carries the versions that any answer carries."""
    from chipwise import answers

    versions = {} if form == "csv" else answers.envelope("general")
    reply(kind, form, lang, [{**e, **versions} for e in found])


@click.command(
    short_help="All chips; with an ID every value with its source.", epilog=_example("chips h200")
)
@click.argument("chip", metavar="[ID]", required=False)
@output_options
def chips(chip: str | None, form: str, lang: str) -> None:
    """All chips; with an ID every value with unit, source and date.

    ID is a chip's id or usual name, or a TOML file of your own.
    """
    from chipwise import answers, catalog

    if chip is not None:
        _show("chips_id", form, lang, answers.chip(catalog.chip(chip)))
        return
    found = [answers.chip_entry(catalog.chip(name)) for name in catalog.chip_ids()]
    _list("chips", form, lang, found)


@click.command(
    short_help="All models; with an ID what it is made of.",
    epilog=_example("models llama-2-70b --format json"),
)
@click.argument("model", metavar="[ID]", required=False)
@output_options
def models(model: str | None, form: str, lang: str) -> None:
    """All models; with an ID what it is made of, and its parameters by two counts.

    ID is a model's name on Hugging Face or a short one, or a config.json of your own.
    """
    from chipwise import answers, catalog, perf

    if model is not None:
        one = catalog.model(model)
        _show("models_id", form, lang, answers.model(one, float(perf.parameters(one))))
        return
    found = [catalog.model(name) for name in catalog.model_ids()]
    entries = [answers.model_entry(m, float(perf.parameters(m))) for m in found]
    _list("models", form, lang, entries)


def _prices(chip: str | None = None) -> list[tuple[dict[str, Any], Any]]:
    """Prices with their answers; those that would share an id are numbered."""
    from chipwise import answers, catalog

    found, seen = [], dict[str, int]()
    for price in catalog.prices(chip):
        entry = answers.price(price)
        seen[entry["id"]] = seen.get(entry["id"], 0) + 1
        if seen[entry["id"]] > 1:
            entry["id"] = f"{entry['id']}:{seen[entry['id']]}"
        found.append((entry, price))
    return found


@click.command(
    short_help="All prices; with a chip what its offers come to.", epilog=_example("prices h200")
)
@click.argument("name", metavar="[ID]", required=False)
@output_options
def prices(name: str | None, form: str, lang: str) -> None:
    """All prices as offered; with a chip's name what its offers come to, of each kind.

    ID is a chip, or the id of one offer as the list in JSON has it.
    """
    from chipwise import answers, catalog

    if name is None:
        _list("prices", form, lang, [entry for entry, _ in _prices()])
        return
    for entry, price in _prices():
        if entry["id"] == name:
            _show("prices_id", form, lang, {**answers.price_fields(price), "id": name})
            return
    chip = catalog.chip(name)
    kinds = dict.fromkeys(price.kind for price in catalog.prices(chip.id))
    together = [catalog.price(chip.id, kind) for kind in kinds]
    fields = {p.kind: answers.price_fields(p)["fields"]["usd"] for p in together if p}
    _show("prices_id", form, lang, {"id": chip.id, "fields": fields})


@click.command(
    short_help="What the catalog's values stand on.", epilog=_example("sources --format csv")
)
@click.argument("key", metavar="[ID]", required=False)
@output_options
def sources(key: str | None, form: str, lang: str) -> None:
    """What the catalog's values stand on: title, address, day of retrieval."""
    from chipwise import answers, catalog
    from chipwise.errors import UnknownName

    known = catalog.sources()
    if key is None:
        _list("sources", form, lang, [answers.source(k, v) for k, v in known.items()])
        return
    if key not in known:
        raise UnknownName("source", key, known)
    _show("sources_id", form, lang, answers.source_fields(key, known[key]))


@click.command(short_help="Export and import rules as data.", epilog=_example("rules"))
@click.argument("rule", metavar="[ID]", required=False)
@output_options
def rules(rule: str | None, form: str, lang: str) -> None:
    """Export and import rules as data; with an ID every part of one."""
    from chipwise import answers, catalog
    from chipwise.errors import UnknownName

    known = {r.id: r for r in catalog.rules()}
    if rule is None:
        _list("rules", form, lang, [answers.rule(r) for r in known.values()])
        return
    if rule not in known:
        raise UnknownName("rule", rule, known)
    _show("rules_id", form, lang, answers.rule_fields(known[rule]))


COMMANDS = (chips, models, prices, sources, rules)
