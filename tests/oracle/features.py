"""What every feature of every customer should be, computed anew from the raw events in double precision.

    features.py [--format NAME] CONFIG.toml EVENTS.jsonl... CUSTOMERS.jsonl
    features.py --self-test

CUSTOMERS.jsonl is what `flockwise replay --out` writes. Shares nothing with the product; Python 3.11 and nothing else.
Exits 1 if a value is off by more than a ten-thousandth, or a customer is missing or should not be there.
"""

import json
import sys
from math import isfinite

import aggregate
import events
from plan import Plan

RELATIVE = 1e-4
ABSOLUTE = 1e-9
SHOWN = 10


def main(arguments):
    if arguments == ["--self-test"]:
        import self_test

        return self_test.run()
    format_name = None
    if arguments[:1] == ["--format"]:
        format_name, arguments = arguments[1], arguments[2:]
    if len(arguments) < 3:
        sys.exit(__doc__)
    plan = Plan(arguments[0], format_name)
    timelines = events.by_customer(arguments[1:-1], plan.format)
    with open(arguments[-1], encoding="utf-8") as file:
        customers = [json.loads(line) for line in file]
    report = compare(plan, timelines, customers)
    report.show(plan, len(timelines))
    return 1 if report.wrong else 0


class Report:
    def __init__(self):
        self.checked = 0
        self.wrong = []
        self.worst = {}

    def check(self, customer, column, found, expected, slack):
        """`slack` is what else than the tolerance is excused."""
        self.checked += 1
        if not isinstance(found, (int, float)) or not isfinite(found):
            self.wrong.append(f"{customer}: {column} is {found}, should be {expected}")
            return
        error = abs(found - expected)
        if error > RELATIVE * abs(expected) + ABSOLUTE + slack:
            self.wrong.append(f"{customer}: {column} is {found}, should be {expected}")
        relative = error / max(abs(expected), ABSOLUTE) if error > ABSOLUTE + slack else 0.0
        self.worst[column] = max(self.worst.get(column, 0.0), relative)

    def show(self, plan, timelines):
        for feature in plan.features:
            value, element = (self.worst.get(column, 0.0) for column in (feature.name, f"vector[{feature.name}]"))
            print(f"{feature.name}: worst relative error {value:.2e}, in the vector {element:.2e}")
        for line in self.wrong[:SHOWN]:
            print(f"WRONG {line}")
        print(f"{timelines} customers with events, {self.checked} values checked, {len(self.wrong)} wrong")


def compare(plan, timelines, customers):
    report = Report()
    seen = set()
    for customer in customers:
        name, as_of_ms = customer["customer_id"], events.to_ms(customer["as_of"])
        timeline = events.up_to(timelines.get(name, []), as_of_ms, plan.repeatable)
        if not timeline or name in seen:
            report.wrong.append(f"{name}: {'is there twice' if timeline else 'has no event up to'} {customer['as_of']}")
        seen.add(name)
        compare_customer(plan, timeline, customer, as_of_ms, report)
    end_ms = max((events.to_ms(customer["as_of"]) for customer in customers), default=0)
    for name, timeline in timelines.items():
        if name not in seen and min(event.time_ms for event in timeline) <= end_ms:
            report.wrong.append(f"{name}: has events, but is not among the customers")
    return report


def compare_customer(plan, timeline, customer, as_of_ms, report):
    name = customer["customer_id"]
    if len(customer["vector"]) != len(plan.features) or len(customer["features"]) != len(plan.features):
        report.wrong.append(f"{name}: should have {len(plan.features)} features")
        return
    for feature, element in zip(plan.features, customer["vector"]):
        worth = aggregate.worth(feature, timeline, as_of_ms)
        expected = feature.default if worth.value is None else worth.value
        report.check(name, feature.name, customer["features"].get(feature.name), expected, worth.slack)
        slack, transformed = slack_of_vector(feature, expected, worth.slack)
        report.check(name, f"vector[{feature.name}]", element, transformed, slack)


def slack_of_vector(feature, expected, slack):
    """A root is steep near zero: what is excused there is what the transform makes of what is excused before it."""
    transformed = aggregate.vector_element(feature, expected)
    slack += ABSOLUTE
    around = (aggregate.vector_element(feature, expected + each) for each in (slack, -slack))
    return max(abs(each - transformed) for each in around), transformed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
