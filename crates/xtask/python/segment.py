"""Segment-spec events as compressed JSON lines; shared by the data scripts."""

import json

import zstandard

# 8 MiB, the largest window that every zstd decoder accepts by default.
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
    """An amount as a plain number. Amounts are summed as whole thousandths, so that totals are exact."""
    return int(thousandths // 1000) if thousandths % 1000 == 0 else thousandths / 1000


def to_json_lines(events):
    return "".join(json.dumps(event, separators=(",", ":"), ensure_ascii=False) + "\n" for event in events).encode()


def write(path, lines, level=22):
    """Writes lines with zstd. The bytes depend only on the zstandard version, which requirements.txt pins."""
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level, window_log=WINDOW_LOG, write_checksum=True, write_content_size=True
    )
    packed = zstandard.ZstdCompressor(compression_params=parameters).compress(lines)
    with open(path, "wb") as file:
        file.write(packed)
    return len(packed)
