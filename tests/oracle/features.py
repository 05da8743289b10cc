"""Recomputes every feature of every customer from the raw events, in double precision.

    features.py [--format NAME] CONFIG.toml EVENTS.jsonl... CUSTOMERS.jsonl
    features.py --self-test

CUSTOMERS.jsonl is the file that `flockwise replay --out` writes. Shares no code with the product and needs only
Python 3.11. Exits 1 if a value differs by more than a relative 1e-4, or if a customer is missing or unexpected.
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
        """`slack` is a further absolute tolerance."""
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
            problem = "is listed twice" if timeline else f"has no event up to {customer['as_of']}"
            report.wrong.append(f"{name}: {problem}")
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
        result = aggregate.feature_value(feature, timeline, as_of_ms)
        expected = feature.default if result.value is None else result.value
        report.check(name, feature.name, customer["features"].get(feature.name), expected, result.slack)
        slack, transformed = slack_of_vector(feature, expected, result.slack)
        report.check(name, f"vector[{feature.name}]", element, transformed, slack)


def slack_of_vector(feature, expected, slack):
    """The slack after the transform: the slack before it, transformed, since a root is steep near zero."""
    transformed = aggregate.vector_element(feature, expected)
    slack += ABSOLUTE
    around = (aggregate.vector_element(feature, expected + each) for each in (slack, -slack))
    return max(abs(each - transformed) for each in around), transformed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
