"""Converts UCI "Online Retail" to Segment-spec events.

    online_retail.py SOURCE OUT.jsonl.zst

SOURCE is the spreadsheet that UCI publishes (.xlsx) or a Parquet file with its columns Description, Quantity,
InvoiceDate, UnitPrice, CustomerID and Country. The same lines give the same bytes. crates/flockwise/data/README.md
describes the conversion.
"""

import sys
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from typing import NamedTuple

import segment
from refund_match import OrderHistory
from shop_category import kind_of

COLUMNS = ["Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"]


class Line(NamedTuple):
    customer: str
    minute: datetime
    country: str
    name: str
    quantity: int
    price: int  # thousandths of a pound


def main(source, out):
    baskets = in_baskets(read_lines(source))
    totals = Counter()
    lines = segment.to_json_lines(events(baskets, totals))
    size = segment.write(out, lines)
    for name, value in totals.items():
        print(f"{name}: {segment.money(value) if name.endswith('GBP') else value}")
    print(f"{out}: {size} bytes, {len(lines)} unpacked")


def read_lines(source):
    rows = rows_of_spreadsheet(source) if source.endswith(".xlsx") else rows_of_parquet(source)
    for description, quantity, minute, price, customer, country in rows:
        if customer == customer and customer is not None:  # a missing number may be NaN
            name = " ".join(str(description).split())
            yield Line(str(int(customer)), to_minute(minute), country, name, int(quantity), round(price * 1000))


def rows_of_parquet(source):
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(source, columns=COLUMNS)
    return zip(*(table.column(name).to_pylist() for name in COLUMNS))


def rows_of_spreadsheet(source):
    import openpyxl

    rows = openpyxl.load_workbook(source, read_only=True).active.iter_rows(values_only=True)
    header = next(rows)
    places = [header.index(name) for name in COLUMNS]
    return (tuple(row[place] for place in places) for row in rows)


def to_minute(time):
    """Rounds to the minute: a spreadsheet stores days as fractions, which are a few milliseconds off."""
    return (time + timedelta(seconds=30)).replace(second=0, microsecond=0)


def in_baskets(lines):
    """Groups a customer's lines of one minute. Baskets are in order of time, and in source order within a minute."""
    baskets = defaultdict(list)
    for line in lines:
        baskets[line.minute, line.customer].append(line)
    return sorted(baskets.values(), key=lambda basket: basket[0].minute)


def events(baskets, totals):
    customers = {}
    for basket in baskets:
        first = basket[0]
        if first.customer not in customers:
            customers[first.customer] = Customer(first.customer)
            totals["customers"] += 1
            yield segment.identify(
                f"i{first.customer}", first.customer, timestamp(first), {"country": first.country}
            )
        customer = customers[first.customer]
        bought = [line for line in basket if line.quantity > 0]
        returned = [line._replace(quantity=-line.quantity) for line in basket if line.quantity < 0]
        if bought:
            yield customer.order(bought, totals)
        if returned:
            yield customer.refund(returned, totals)


class Customer:
    def __init__(self, customer_id):
        self.id = customer_id
        self.orders = 0
        self.refunds = 0
        self.history = OrderHistory()

    def order(self, lines, totals):
        self.orders += 1
        order_id = f"o{self.id}-{self.orders}"
        self.history.add(order_id, goods(lines))
        properties = {"order_id": order_id} | content(lines, "ordered", totals)
        return segment.track("Order Completed", order_id, self.id, timestamp(lines[0]), properties)

    def refund(self, lines, totals):
        self.refunds += 1
        order_id = self.history.take_back(goods(lines))
        totals["refunds of a known order"] += order_id is not None
        properties = ({"order_id": order_id} if order_id else {}) | content(lines, "refunded", totals)
        return segment.track("Order Refunded", f"r{self.id}-{self.refunds}", self.id, timestamp(lines[0]), properties)


def goods(lines):
    return [(line.name, line.quantity, line.price) for line in lines if is_product(line)]


def is_product(line):
    return kind_of(line.name) not in ("postage", "adjustment")


def content(lines, verb, totals):
    shipping = sum(line.quantity * line.price for line in lines if kind_of(line.name) == "postage")
    revenue = sum(line.quantity * line.price for line in lines) - shipping
    products = [product(line) for line in lines if is_product(line)]
    totals[f"baskets {verb}"] += 1
    totals[f"baskets {verb} without goods"] += not products
    totals[f"products {verb}"] += len(products)
    totals[f"{verb}, GBP"] += revenue
    totals[f"postage {verb}, GBP"] += shipping
    extra = {"shipping": segment.money(shipping)} if shipping else {}
    return {"revenue": segment.money(revenue)} | extra | {"currency": "GBP", "products": products}


def product(line):
    return {
        "name": line.name,
        "quantity": line.quantity,
        "price": segment.money(line.price),
        "category": kind_of(line.name),
    }


def timestamp(line):
    return line.minute.strftime("%Y-%m-%dT%H:%M:%SZ")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
