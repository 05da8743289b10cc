"""Reads the features and the event format of a configuration."""

import re
import tomllib
from dataclasses import dataclass

from events import FORMATS

UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
KEYS = {"label", "unit", "low", "high", "name", "event", "where", "base", "aggregate", "value", "half_life", "window", "buckets", "lifetime",
                 "default", "transform", "clip", "weight", "gap", "reversed_by"}


@dataclass
class Feature:
    name: str
    aggregate: str
    event: list | None
    where: dict
    base: dict
    value: str | None
    half_life_ms: int | None
    window_ms: int | None
    buckets: int
    gap_ms: int
    default: float
    transform: str
    clip: tuple
    reversed_by: frozenset

    def __init__(self, table):
        unknown = set(table) - KEYS
        if unknown:
            raise SystemExit(f"feature {table.get('name')}: the oracle does not support {sorted(unknown)}")
        self.name, self.aggregate = table["name"], table["aggregate"]
        self.event = as_list(table.get("event"))
        self.where, self.base = table.get("where", {}), table.get("base", {})
        self.value = table.get("value")
        self.half_life_ms, self.window_ms = duration_ms(table.get("half_life")), duration_ms(table.get("window"))
        self.buckets = table.get("buckets", 30)
        self.gap_ms = duration_ms(table.get("gap", "30m"))
        self.default = table.get("default", 0.0)
        self.transform = table.get("transform", "none")
        self.clip = tuple(table.get("clip", (float("-inf"), float("inf"))))
        self.reversed_by = frozenset(as_list(table.get("reversed_by")) or [])


class Plan:
    def __init__(self, path, format_name=None):
        with open(path, "rb") as file:
            config = tomllib.load(file)
        self.features = [Feature(table) for table in config["feature"]]
        self.repeatable = frozenset().union(*(feature.reversed_by for feature in self.features))
        name = format_name or config["input"][0].get("format", "native")
        self.format = (config.get("format", {}) | FORMATS)[name]


def as_list(value):
    return [value] if isinstance(value, str) else value


def duration_ms(text):
    if text is None:
        return None
    parts = re.findall(r"(\d+)\s*(ms|[smhdw])", text)
    if not parts or re.sub(r"(\d+)\s*(ms|[smhdw])|\s", "", text):
        raise SystemExit(f"not a duration: {text!r}")
    return sum(int(number) * UNITS_MS[unit] for number, unit in parts)
