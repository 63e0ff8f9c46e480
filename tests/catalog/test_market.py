"""Prices are dated, sourced, per chip and in USD; what is missing stays missing."""

from __future__ import annotations

import statistics
from datetime import date, timedelta

import pytest

from chipwise import catalog
from chipwise.catalog import market
from chipwise.errors import BadInput

DAY = catalog.as_of()
DEMO = (
    "nvidia-h20-96",
    "nvidia-h100-sxm",
    "nvidia-h200-sxm",
    "nvidia-b200-sxm",
    "amd-mi300x",
    "huawei-ascend-910c",
)


@pytest.mark.parametrize("chip_id", DEMO)
def test_chips_of_the_demo_can_be_owned(chip_id: str) -> None:
    price = catalog.price(chip_id, "purchase", DAY)
    assert price is not None
    assert 0 < price.usd.low <= price.usd.mid <= price.usd.high


def test_every_offer_is_of_a_chip_sourced_and_ordered() -> None:
    known, sources = set(catalog.chip_ids()), catalog.sources()
    assert len(market.offers()) > 200
    for offer in market.offers():
        price = offer.price
        assert price.chip in known
        assert price.kind in market.KINDS
        assert 0 < price.usd.low <= price.usd.mid <= price.usd.high
        source = price.source.rpartition("(")[2].removesuffix(")")
        assert source in sources, price.source
        assert not (price.verified and source == "unverified"), price
        assert date(2022, 1, 1) <= offer.day <= DAY


def test_eight_chips_are_an_eighth_each() -> None:
    modules = [
        o.price for o in market.offers("nvidia-h200-sxm", "purchase") if "channel" in o.price.source
    ]
    rate = 7.05
    assert 1_400_000 / 8 / rate == pytest.approx(
        max(p.usd.mid for p in modules if p.on > "2025"), 0.1
    )


def test_money_of_a_day_is_converted_at_its_rate() -> None:
    price = catalog.price("huawei-ascend-910c", "purchase", DAY)
    assert price is not None
    assert price.usd.mid == pytest.approx(142_500 / 7.1875)
    assert price.usd.low == pytest.approx(140_000 / 7.1875)


def test_region_without_offers_falls_back_and_says_so() -> None:
    price = catalog.price("huawei-ascend-910c", "purchase", DAY)
    assert price is not None
    assert price.region == "CN (no offer in world)"
    assert catalog.price("huawei-ascend-910c", "purchase", DAY, region="CN").region == "CN"  # type: ignore[union-attr]


def test_regions_are_kept_apart() -> None:
    here = catalog.price("nvidia-h20-96", "purchase", DAY)
    there = catalog.price("nvidia-h20-96", "purchase", DAY, region="CN")
    assert here is not None
    assert there is not None
    assert (here.region, there.region) == ("world", "CN")
    assert here.usd.mid != there.usd.mid


def test_low_mid_high_are_least_median_and_greatest() -> None:
    price = catalog.price("nvidia-b200-sxm", "spot", DAY)
    assert price is not None
    sound = [o for o in market.offers("nvidia-b200-sxm", "spot") if o.sound]
    everyone = market.offers("nvidia-b200-sxm", "spot")
    counted = sound if len(sound) >= 3 else everyone
    mids = [o.price.usd.mid for o in counted]
    assert (price.usd.low, price.usd.high) == (min(mids), max(mids))
    assert price.usd.mid == statistics.median(mids)
    assert price.count == len(counted)


def test_offers_of_low_trust_do_not_count_where_others_stand() -> None:
    price = catalog.price("nvidia-h100-sxm", "on_demand", DAY)
    assert price is not None
    assert price.verified
    assert price.usd.high < 10.0  # one page of low trust has 10.08
    assert any(o.price.usd.mid > 10 for o in market.offers("nvidia-h100-sxm", "on_demand"))


def test_ends_of_a_printed_range_bound_but_do_not_shift_the_median() -> None:
    offers = market.offers("nvidia-h200-sxm", "on_demand")
    bounds = [o for o in offers if o.bound]
    price = catalog.price("nvidia-h200-sxm", "on_demand", DAY)
    assert price is not None
    assert bounds
    assert price.usd.high == max(o.price.usd.mid for o in bounds)
    assert price.usd.mid == statistics.median(
        o.price.usd.mid for o in offers if o.sound and not o.bound
    )


def test_price_without_a_source_says_so() -> None:
    price = catalog.price("amd-mi300x", "purchase", DAY)
    assert price is not None
    assert not price.verified


def test_no_offer_is_none_with_a_reason() -> None:
    assert catalog.price("huawei-ascend-910c", "on_demand", DAY) is None
    assert catalog.why_not("huawei-ascend-910c", "on_demand", DAY) == (
        "no on_demand price of huawei-ascend-910c is known; known are purchase"
    )
    assert catalog.price("biren-br100", "purchase", DAY) is None
    assert "none of any kind" in catalog.why_not("biren-br100", "purchase", DAY)
    assert catalog.why_not("nvidia-h200-sxm", "purchase", DAY) == ""


def test_offers_of_later_days_do_not_count() -> None:
    assert catalog.price("nvidia-h200-sxm", "purchase", date(2023, 1, 1)) is None
    assert "after 2023-01-01" in catalog.why_not("nvidia-h200-sxm", "purchase", date(2023, 1, 1))
    early = catalog.price("nvidia-h20-96", "purchase", date(2024, 3, 1))
    assert early is not None
    assert early.count < catalog.price("nvidia-h20-96", "purchase", DAY, region="CN").count  # type: ignore[union-attr]


@pytest.mark.parametrize(("kind", "region"), [("borrow", "world"), ("spot", "moon")])
def test_unknown_kind_or_region_is_refused(kind: str, region: str) -> None:
    with pytest.raises(BadInput, match=r"unknown .*; known are"):
        catalog.price("nvidia-h200-sxm", kind, DAY, region=region)


def test_what_cannot_be_told_apart_is_left_out_and_counted() -> None:
    out = catalog.left_out()
    assert sum(count for name, count in out.items() if name.startswith("A100:")) == 4
    assert all(": " in name for name in out)
    total = len(market.offers()) + sum(out.values())
    rows = (market.DATA / "prices.csv").read_text(encoding="utf-8").count("\n") - 1
    assert total == rows


def test_prices_of_one_chip_are_among_all() -> None:
    mine = catalog.prices("nvidia-l40s")
    assert mine
    assert {p.chip for p in mine} == {"nvidia-l40s"}
    assert set(mine) <= set(catalog.prices())


def test_nothing_is_stale_today_and_all_is_one_day() -> None:
    assert catalog.stale(DAY) == []
    late = catalog.stale(DAY + timedelta(days=400))
    assert len(late) > len(market.offers()) / 2
    assert any("electricity.CN: due" in line for line in late)


def test_economics_has_its_stable_keys() -> None:
    facts = catalog.economics()
    stable = (
        "pue.default electricity.US electricity.CN electricity.EU27 carbon.US carbon.CN carbon.EU27"
        " life residual interest hosting server.share network.share fx.CNY-2025"
    )
    assert set(stable.split()) <= set(facts)
    sources = catalog.sources()
    for name, fact in facts.items():
        assert fact.source in sources, name
        assert fact.on is not None
        assert fact.on <= DAY
        assert (fact.low or fact.value) <= fact.value <= (fact.high or fact.value), name


def test_electricity_is_in_usd_and_keeps_what_was_printed() -> None:
    fact = catalog.economics()["electricity.CN"]
    assert fact.unit == "USD/kWh"
    assert fact.value == pytest.approx(0.64 / 6.75)
    assert fact.low == pytest.approx(0.4 / 6.75)
    assert fact.note.startswith("0.64 CNY/kWh at 6.75")
