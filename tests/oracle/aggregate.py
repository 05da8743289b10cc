"""The value of a feature at a time, straight from its definition: no state, and all events are read for each value."""

from dataclasses import dataclass
from math import copysign, cos, fsum, inf, log1p, pi, sin, sqrt

import pointer

DAY_MS = 86_400_000
# A sum that cancels to less than this share of its absolute terms counts as zero.
ZERO = 1e-9


@dataclass
class Value:
    """`value` is None if undefined. `slack` is the absolute rounding error of sums that cancel."""

    value: float | None
    slack: float = 0.0


def feature_value(feature, events, as_of_ms):
    """Before default, transform and clip. `events` are those that count at `as_of_ms`, in order of arrival."""
    return AGGREGATES[feature.aggregate](feature, events, as_of_ms)


def vector_element(feature, value):
    transformed = {"none": lambda x: x, "log1p": lambda x: copysign(log1p(abs(x)), x),
                   "sqrt": lambda x: copysign(sqrt(abs(x)), x)}[feature.transform](value)
    low, high = feature.clip
    return min(max(transformed, low), high)


def weight(feature, time_ms, as_of_ms):
    if feature.half_life_ms:
        return 2.0 ** (-(as_of_ms - time_ms) / feature.half_life_ms)
    return 1.0 if horizon_holds(feature, time_ms, as_of_ms) else 0.0


def horizon_holds(feature, time_ms, as_of_ms):
    """True if a time is in the horizon. A window is the bucket of `as_of_ms` and whole buckets before it."""
    if not feature.window_ms:
        return True
    bucket_ms = feature.window_ms // feature.buckets
    current = (as_of_ms - 1) // bucket_ms
    return current - feature.buckets < (time_ms - 1) // bucket_ms <= current


def matching(feature, events, conditions):
    """(time, sign, event) of each event that counts: +1 for the feature's own events, -1 for reversals."""
    for place, event in enumerate(events):
        if not all(pointer.holds(event.document, where) for where in conditions):
            continue
        if event.name in feature.reversed_by:
            yield reversal_time(feature, events[:place], event), -1.0, event
        elif own(feature, event):
            yield event.time_ms, 1.0, event


def own(feature, event):
    return event.name not in feature.reversed_by and (feature.event is None or event.name in feature.event)


def reversed_order(feature, earlier, event):
    """The order that a reversal takes back; the reversal itself if there is none."""
    for each in reversed(earlier):
        if event.order_id is not None and each.order_id == event.order_id and own(feature, each):
            return each
    return event


def reversal_time(feature, earlier, event):
    """The time at which a reversal counts: that of its order, so that both have the same weight."""
    return reversed_order(feature, earlier, event).time_ms


def weighted(feature, events, as_of_ms, conditions=None):
    """(signed weight, value) pairs; the value is 1 if the feature has no `value`."""
    for time_ms, sign, event in matching(feature, events, conditions or [feature.where, feature.base]):
        for value in numbers(feature, event):
            yield sign * weight(feature, time_ms, as_of_ms), value


def numbers(feature, event):
    if feature.value is None:
        return [1.0]
    return [value for value in pointer.values(event.document, feature.value) if pointer.is_number(value)]


def total(terms):
    terms = list(terms)
    return fsum(terms), ZERO * fsum(map(abs, terms))


def ratio(above, below):
    (numerator, numerator_slack), (denominator, denominator_slack) = total(above), total(below)
    if abs(denominator) <= denominator_slack:
        return Value(None)
    value = numerator / denominator
    return Value(value, (numerator_slack + abs(value) * denominator_slack) / abs(denominator))


def count(feature, events, as_of_ms):
    return Value(*total(w for w, _ in weighted(feature, events, as_of_ms)))


def sum_of(feature, events, as_of_ms):
    return Value(*total(w * v for w, v in weighted(feature, events, as_of_ms)))


def mean(feature, events, as_of_ms):
    pairs = list(weighted(feature, events, as_of_ms))
    return ratio([w * v for w, v in pairs], [w for w, _ in pairs])


def share(feature, events, as_of_ms):
    above, below = [], []
    for place, event in enumerate(events):
        sign, judged = 1.0, event
        if event.name in feature.reversed_by:
            # What held for the order is taken back.
            sign, judged = -1.0, reversed_order(feature, events[:place], event)
        elif not own(feature, event):
            continue
        if pointer.holds(judged.document, feature.base):
            term = sign * weight(feature, judged.time_ms, as_of_ms)
            below.append(term)
            above += [term] if pointer.holds(judged.document, feature.where) else []
    return ratio(above, below)


def of_all_time(feature, events):
    """(time, event) of the feature's own events, oldest first; events of the same time stay in order of arrival."""
    found = [(t, event) for t, sign, event in matching(feature, events, [feature.where, feature.base]) if sign > 0]
    return sorted(found, key=lambda pair: pair[0])


def in_horizon(feature, events, as_of_ms):
    return [(t, event) for t, event in of_all_time(feature, events) if horizon_holds(feature, t, as_of_ms)]


def values_in_horizon(feature, events, as_of_ms):
    return [value for _, event in in_horizon(feature, events, as_of_ms) for value in numbers(feature, event)]


def minimum(feature, events, as_of_ms):
    return Value(min(values_in_horizon(feature, events, as_of_ms), default=None))


def maximum(feature, events, as_of_ms):
    return Value(max(values_in_horizon(feature, events, as_of_ms), default=None))


def last(feature, events, as_of_ms):
    found = [(t, value) for t, event in of_all_time(feature, events) for value in numbers(feature, event)]
    return Value(found[-1][1] if found and is_within(feature, found[-1][0], as_of_ms) else None)


def recency(feature, events, as_of_ms):
    found = of_all_time(feature, events)
    return Value((as_of_ms - found[-1][0]) / DAY_MS if found and is_within(feature, found[-1][0], as_of_ms) else None)


def is_within(feature, time_ms, as_of_ms):
    """The last event's time is known to the millisecond, so this window has no buckets."""
    return not feature.window_ms or as_of_ms - feature.window_ms < time_ms


def mean_gap(feature, events, as_of_ms):
    times = [t for t, _ in in_horizon(feature, events, as_of_ms)]
    return Value((times[-1] - times[0]) / DAY_MS / (len(times) - 1) if len(times) > 1 else None)


def distinct(feature, events, as_of_ms):
    latest = {}
    for t, event in in_horizon(feature, events, as_of_ms):
        latest |= {(type(value).__name__, value): t for value in pointer.values(event.document, feature.value)}
    return Value(fsum(weight(feature, t, as_of_ms) for t in latest.values()))


def sessions(feature, events, as_of_ms):
    starts, previous = [], -inf
    for t, _ in in_horizon(feature, events, as_of_ms):
        if t - previous > feature.gap_ms:
            starts.append(t)
        previous = t
    return Value(fsum(weight(feature, t, as_of_ms) for t in starts))


def hour(of_angle):
    def mean_direction(feature, events, as_of_ms):
        terms = [(sign * weight(feature, t, as_of_ms), of_angle(2 * pi * (event.time_ms // 1000 % 86_400) / 86_400))
                 for t, sign, event in matching(feature, events, [feature.where, feature.base])]
        return ratio([w * direction for w, direction in terms], [w for w, _ in terms])

    return mean_direction


AGGREGATES = {"count": count, "sum": sum_of, "mean": mean, "share": share, "min": minimum, "max": maximum, "last": last,
              "recency": recency, "mean_gap": mean_gap, "distinct": distinct, "sessions": sessions,
              "hour_sin": hour(sin), "hour_cos": hour(cos)}
