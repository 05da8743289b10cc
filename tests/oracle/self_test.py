"""Tests the oracle against values computed by hand."""

import json
import unittest
from math import isclose, log

import aggregate
import events
import features
import pointer
from plan import Feature

DAY = 86_400_000
# A multiple of every bucket used here, and recent enough that its milliseconds are not read as seconds.
FIRST_DAY = 20_000
SEGMENT = events.FORMATS["segment"]


def order(day, revenue, order_id=None, name="Order Completed", message_id=None, **properties):
    line = {
        "type": "track",
        "event": name,
        "userId": "c1",
        "timestamp": round((FIRST_DAY + day) * DAY),
        "properties": {"revenue": revenue} | ({"order_id": order_id} if order_id else {}) | properties,
    } | ({"messageId": message_id} if message_id else {})
    return events.decode(json.dumps(line), SEGMENT)


def refund(day, revenue, order_id=None, message_id=None, **properties):
    return order(day, revenue, order_id, "Order Refunded", message_id, **properties)


def feature(aggregate_name, **keys):
    return Feature({"name": "f", "event": ["Order Completed"], "aggregate": aggregate_name} | keys)


def value(of, timeline, day):
    as_of_ms = round((FIRST_DAY + day) * DAY)
    return aggregate.feature_value(of, events.up_to(timeline, as_of_ms, of.reversed_by), as_of_ms).value


class HandComputed(unittest.TestCase):
    def same(self, found, expected):
        self.assertTrue(isclose(found, expected, rel_tol=1e-12, abs_tol=1e-12), f"{found} instead of {expected}")

    def test_half_life(self):
        timeline = [order(0, 100), order(10, 60)]
        self.same(value(feature("count", half_life="10d"), timeline, 20), 0.25 + 0.5)
        self.same(value(feature("sum", half_life="10d", value="/properties/revenue"), timeline, 20), 25 + 30)
        self.same(value(feature("mean", half_life="10d", value="/properties/revenue"), timeline, 20), 55 / 0.75)

    def test_nothing_after_the_time_asked_for_counts(self):
        timeline = [order(0, 100), order(10, 60)]
        self.same(value(feature("count", lifetime=True), timeline, 10), 2)
        self.same(value(feature("count", lifetime=True), timeline, 9.99), 1)

    def test_window_is_exact_on_a_bucket_edge_and_holds_its_newer_edge(self):
        counting = feature("count", window="30d")
        self.same(value(counting, [order(0, 1)], 29), 1)
        self.same(value(counting, [order(0, 1)], 30), 0)
        self.same(value(counting, [order(0.01, 1)], 30), 1)
        # between edges the horizon is the current bucket and 29 whole ones
        self.same(value(counting, [order(0.5, 1)], 30.2), 0)
        self.same(value(counting, [order(1.1, 1)], 30.9), 1)

    def test_window_with_few_buckets(self):
        counting = feature("count", window="40d", buckets=2)
        self.same(value(counting, [order(19, 1), order(21, 1)], 45), 1)

    def test_recency_last_and_defaults(self):
        timeline = [order(3, 7), order(1, 9)]
        self.same(value(feature("recency", lifetime=True), timeline, 10), 7)
        self.same(value(feature("last", lifetime=True, value="/properties/revenue"), timeline, 10), 7)
        self.assertIsNone(value(feature("recency", lifetime=True), timeline, 0.5))
        self.assertIsNone(value(feature("recency", window="3d"), timeline, 20))

    def test_share(self):
        timeline = [order(0, 1, channel="web"), order(10, 1, channel="shop"), order(10, 1, channel="web", test=True)]
        share = feature("share", half_life="10d", where={"/properties/channel": "web"},
                        base={"/properties/test": {"exists": False}})
        self.same(value(share, timeline, 10), 0.5 / 1.5)

    def test_a_repeated_event_counts_once(self):
        timeline = [order(0, 5, message_id="m"), order(0, 9, message_id="m"), order(1, 2, "o"), order(2, 2, "o")]
        self.same(value(feature("sum", lifetime=True, value="/properties/revenue"), timeline, 9), 5 + 2)

    def test_one_order_id_in_events_of_two_names_is_two_events(self):
        both = feature("count", lifetime=True, event=["Order Completed", "Order Updated"])
        self.same(value(both, [order(0, 5, "o"), order(1, 5, "o", "Order Updated")], 9), 2)

    def test_a_refund_weighs_what_its_order_weighs(self):
        keys = {"half_life": "10d", "reversed_by": ["Order Refunded"]}
        timeline = [order(0, 100, "a"), order(10, 60, "b"), refund(20, 40, "a")]
        revenue = feature("sum", value="/properties/revenue", **keys)
        self.same(value(revenue, timeline, 20), 25 + 30 - 10)
        self.same(value(feature("count", **keys), timeline, 20), 0.25 + 0.5 - 0.25)
        self.same(value(feature("mean", value="/properties/revenue", **keys), timeline, 20), 45 / 0.5)

    def test_a_refund_of_an_order_unknown_or_not_yet_there_has_its_own_time(self):
        revenue = feature("sum", value="/properties/revenue", half_life="10d", reversed_by=["Order Refunded"])
        self.same(value(revenue, [order(0, 100, "a"), refund(10, 40)], 20), 25 - 20)
        self.same(value(revenue, [refund(10, 40, "a"), order(0, 100, "a")], 20), 25 - 20)

    def test_partial_refunds_all_count_but_a_repeated_one_once(self):
        revenue = feature("sum", value="/properties/revenue", lifetime=True, reversed_by=["Order Refunded"])
        timeline = [order(0, 100, "a"), refund(1, 10, "a", "x"), refund(2, 20, "a", "y"), refund(3, 20, "a", "y")]
        self.same(value(revenue, timeline, 9), 70)

    def test_a_refund_leaves_the_window_with_its_order(self):
        revenue = feature("sum", value="/properties/revenue", window="30d", reversed_by=["Order Refunded"])
        self.same(value(revenue, [order(0.5, 100, "a"), refund(20, 40, "a")], 35), 0)

    def test_a_share_loses_a_refunded_order_above_and_below(self):
        share = feature("share", lifetime=True, reversed_by=["Order Refunded"], where={"/properties/channel": "web"})
        timeline = [order(0, 1, "a", channel="web"), order(1, 1, "b", channel="web"), order(2, 1, "c"),
                    refund(3, 1, "a", channel="web")]
        self.same(value(share, timeline, 9), 1 / 2)

    def test_nothing_below_the_line_is_undefined(self):
        keys = {"value": "/properties/revenue", "half_life": "7d", "reversed_by": ["Order Refunded"]}
        timeline = [order(0, 0.1, "a"), order(1, 0.2, "b"), refund(2, 0.1, "a"), refund(3, 0.2, "b")]
        self.assertIsNone(value(feature("mean", **keys), timeline, 9))
        self.assertIsNone(value(feature("mean", **keys), [], 9))

    def test_recency_does_not_mind_a_refund(self):
        timeline = [order(0, 1, "a"), refund(3, 1, "a")]
        self.same(value(feature("recency", lifetime=True, reversed_by=["Order Refunded"]), timeline, 9), 9)

    def test_every_element_is_a_value_of_its_own(self):
        timeline = [order(0, 1, products=[{"quantity": 2}, {"quantity": "3"}, {"quantity": 4}]), order(1, 1)]
        pieces = {"lifetime": True, "value": "/properties/products/*/quantity"}
        self.same(value(feature("mean", **pieces), timeline, 9), 3)
        self.same(value(feature("count", **pieces), timeline, 9), 2)

    def test_gaps_sessions_distinct_and_hour(self):
        timeline = [order(0, 5), order(0.01, 6), order(4, 5)]
        self.same(value(feature("mean_gap", lifetime=True), timeline, 9), 2)
        self.same(value(feature("sessions", lifetime=True), timeline, 9), 2)
        self.same(value(feature("distinct", half_life="4d", value="/properties/revenue"), timeline, 4), 1 + 2**-0.9975)
        self.same(value(feature("hour_sin", lifetime=True), [order(0.25, 1)], 9), 1)

    def test_vector_element(self):
        self.same(aggregate.vector_element(feature("count", transform="log1p"), -1), -log(2))
        self.same(aggregate.vector_element(feature("count", transform="sqrt", clip=[0.0, 2.0]), 9), 2)


class Where(unittest.TestCase):
    def test_operators(self):
        document = {"n": 5, "s": "abc", "t": True, "z": None, "a/b": [{"k": "x", "q": 1}, {"k": "y", "q": 9}]}
        for where, expected in [
            ({"/n": 5}, True), ({"/n": 5.0}, True), ({"/n": "5"}, False), ({"/n": [4, 5]}, True), ({"/t": True}, True),
            ({"/t": 1}, False), ({"/n": {"ge": 5, "lt": 6}}, True), ({"/n": {"gt": 5}}, False),
            ({"/n": {"ne": 5}}, False), ({"/missing": {"ne": 5}}, False), ({"/s": {"prefix": "ab"}}, True),
            ({"/s": {"ge": 1}}, False), ({"/z": {"exists": False}}, True), ({"/n": {"exists": True, "lt": 5}}, False),
            ({"/a~1b/*/k": "y"}, True), ({"/a~1b/1/q": {"gt": 5}}, True), ({"/a~1b/*/q": {"gt": 1, "lt": 9}}, False),
            ({"/n": 5, "/s": "abd"}, False), ({"/n": {"in": [5]}}, True), ({"/n": {"le": 4}}, False),
        ]:
            self.assertEqual(pointer.holds(document, where), expected, where)


class Decoding(unittest.TestCase):
    def test_times(self):
        for value, expected in [
            ("1970-01-01T00:00:01.2349Z", 1234), ("1970-01-01t01:00:00+01:00", 0), ("1970-01-01", None),
            ("1969-12-31T23:59:59.5Z", -500), (1_700_000_000, 1_700_000_000_000),
            (1_700_000_000.123, 1_700_000_000_123), (1_700_000_000_123, 1_700_000_000_123),
            (1_700_000_000_123_999, 1_700_000_000_123), (True, None), ("2024-13-01T00:00:00Z", None),
        ]:
            self.assertEqual(events.to_ms(value), expected, value)

    def test_lines_that_are_no_events(self):
        for line in ["{", "[]", '{"userId":"a","type":"page"}', '{"type":"page","timestamp":0}',
                     '{"userId":"","type":"page","timestamp":0}', '{"userId":"a","timestamp":0}']:
            self.assertIsNone(events.decode(line, SEGMENT), line)
        event = events.decode('{"anonymousId":7,"type":"page","sentAt":0}', SEGMENT)
        self.assertEqual((event.customer, event.name), ("7", "page"))


class Comparing(unittest.TestCase):
    def test_a_ten_thousandth_is_excused_and_more_is_not(self):
        report = features.Report()
        report.check("c", "f", 100.009, 100, 0)
        self.assertFalse(report.wrong)
        for found in (100.02, None, float("nan")):
            report.check("c", "f", found, 100, 0)
        self.assertEqual(len(report.wrong), 3)


def run():
    suite = unittest.defaultTestLoader.loadTestsFromName(__name__)
    return 0 if unittest.TextTestRunner().run(suite).wasSuccessful() else 1
