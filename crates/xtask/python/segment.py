"""Segment-spec events as compressed JSON lines; what the data scripts here share."""

import json

import zstandard

# 8 MiB is the window that every zstd decoder accepts without being told.
WINDOW_LOG = 23


def identify(message_id, user_id, time, traits):
    return {"type": "identify", "messageId": message_id, "userId": user_id, "timestamp": time, "traits": traits}


def track(name, message_id, user_id, time, properties):
    return {
        "type": "track",
        "event": name,
        "messageId": message_id,
        "userId": user_id,
        "timestamp": time,
        "properties": properties,
    }


def money(thousandths):
    """Amounts are added up as whole thousandths, so that totals are exact, and written as plain numbers."""
    return int(thousandths // 1000) if thousandths % 1000 == 0 else thousandths / 1000


def to_json_lines(events):
    return "".join(json.dumps(event, separators=(",", ":"), ensure_ascii=False) + "\n" for event in events).encode()


def write(path, lines, level=22):
    """The bytes depend on the zstandard version alone, which requirements.txt pins."""
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level, window_log=WINDOW_LOG, write_checksum=True, write_content_size=True
    )
    packed = zstandard.ZstdCompressor(compression_params=parameters).compress(lines)
    with open(path, "wb") as file:
        file.write(packed)
    return len(packed)
