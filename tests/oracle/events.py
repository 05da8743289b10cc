"""Decodes lines of JSON to the events of each customer, in order of arrival."""

import gzip
import heapq
import json
import re
import subprocess
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from math import floor

import pointer

FORMATS = {
    "native": {
        "customer_id": "/customer_id",
        "event": "/event",
        "time": "/time",
        "event_id": "/event_id",
        "order_id": "/order_id",
    },
    "segment": {
        "customer_id": ["/userId", "/anonymousId"],
        "event": ["/event", "/type"],
        "time": ["/timestamp", "/originalTimestamp", "/sentAt"],
        "event_id": "/messageId",
        "order_id": "/properties/order_id",
    },
}
RFC_3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)")
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass
class Event:
    customer: str
    name: str
    time_ms: int
    event_id: str | None
    order_id: str | None
    document: dict


def by_customer(files, form):
    """Merges files by event time. Each file keeps its own order, as the partitions of a topic would."""
    merged = heapq.merge(*(decode_file(file, form) for file in files), key=lambda event: event.time_ms)
    timelines = defaultdict(list)
    for event in merged:
        timelines[event.customer].append(event)
    return timelines


def decode_file(path, form):
    for line in lines_of(path):
        event = decode(line, form)
        if event:
            yield event


def lines_of(path):
    if path.endswith(".zst"):
        with subprocess.Popen(["zstd", "-dc", path], stdout=subprocess.PIPE) as unpacked:
            yield from unpacked.stdout
    else:
        with gzip.open(path) if path.endswith(".gz") else open(path, "rb") as file:
            yield from file


def decode(line, form):
    """The event of a line; None if it is a dead letter: no JSON object, or no valid customer, event or time."""
    try:
        document = json.loads(line)
    except ValueError:
        return None
    if not isinstance(document, dict):
        return None
    customer, name = identifier(document, form, "customer_id"), pointer.first(document, form["event"])
    time_ms = to_ms(pointer.first(document, form["time"]))
    if not customer or not isinstance(name, str) or not name or time_ms is None:
        return None
    event_id, order_id = identifier(document, form, "event_id"), identifier(document, form, "order_id")
    return Event(customer, name, time_ms, event_id, order_id, document)


def identifier(document, form, key):
    value = pointer.first(document, form[key]) if key in form else None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None


def to_ms(value):
    """Parses RFC 3339 or an epoch in seconds, milliseconds or microseconds, distinguished by size; None if neither."""
    if isinstance(value, str):
        return text_to_ms(value)
    if not pointer.is_number(value):
        return None
    exact = Decimal(repr(value))  # exact decimal, so that 1700000000.123 s has 123 ms and not 122
    size = abs(exact)
    return floor(exact * 1000 if size < Decimal("1e11") else exact if size < Decimal("1e14") else exact / 1000)


def text_to_ms(text):
    match = RFC_3339.fullmatch(text)
    if not match:
        return None
    day, clock, fraction, zone = match.groups()
    try:
        whole = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if zone in 'Zz' else zone}")
    except ValueError:
        return None
    return (whole - EPOCH) // timedelta(milliseconds=1) + int((fraction or "0").ljust(3, "0")[:3])


def up_to(timeline, as_of_ms, repeatable):
    """The events that count at a time: without later events and duplicates.

    Events with a name in `repeatable` are no duplicates of each other, since an order can be refunded in parts.
    """
    kept, seen = [], set()
    for event in timeline:
        if event.time_ms > as_of_ms:
            continue
        keys = [] if event.event_id is None else [("id", event.event_id)]
        if event.order_id is not None and event.name not in repeatable:
            keys.append(("order", event.name, event.order_id))
        if not seen.intersection(keys):
            kept.append(event)
        seen.update(keys)
    return kept
