"""The frames of the long connection, as protobuf on the wire: an own small codec, so that it checks the SDK's.

Fields (number, kind): SeqID 1 varint, LogID 2 varint, service 3 varint, method 4 varint, headers 5 (key 1, value 2),
payload_encoding 6, payload_type 7, payload 8, LogIDNew 9. The first four are required.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

CONTROL, DATA = 0, 1
_NUMBERS = {1: "seq_id", 2: "log_id", 3: "service", 4: "method"}
_TEXTS = {6: "payload_encoding", 7: "payload_type", 9: "log_id_new"}


@dataclass
class Frame:
    """One frame. `method`: 0 control (ping, pong), 1 data."""

    seq_id: int = 0
    log_id: int = 0
    service: int = 0
    method: int = CONTROL
    headers: dict[str, str] = field(default_factory=dict)
    payload_encoding: str = ""
    payload_type: str = ""
    payload: bytes = b""
    log_id_new: str = ""


def encode(frame: Frame) -> bytes:
    """The frame as the wire carries it."""
    parts = [_number(number, getattr(frame, name)) for number, name in _NUMBERS.items()]
    for key, value in frame.headers.items():
        parts.append(_block(5, _block(1, key.encode()) + _block(2, value.encode())))
    parts += [_block(number, getattr(frame, name).encode()) for number, name in _TEXTS.items() if number < 8]
    if frame.payload:
        parts.append(_block(8, frame.payload))
    if frame.log_id_new:
        parts.append(_block(9, frame.log_id_new.encode()))
    return b"".join(parts)


def decode(data: bytes) -> Frame:
    """The frame in some bytes. ValueError when they are none, or a required field or header is missing."""
    frame, seen = Frame(), set[int]()
    for number, value in _fields(data):
        seen.add(number)
        if number in _NUMBERS and isinstance(value, int):
            setattr(frame, _NUMBERS[number], value)
        elif number in _TEXTS and isinstance(value, bytes):
            setattr(frame, _TEXTS[number], value.decode())
        elif number == 8 and isinstance(value, bytes):
            frame.payload = value
        elif number == 5 and isinstance(value, bytes):
            parts = dict(_fields(value))
            frame.headers[_text(parts, 1)] = _text(parts, 2)
        else:
            raise ValueError(f"unknown field {number}")
    if missing := set(_NUMBERS) - seen:
        raise ValueError(f"a frame without {', '.join(_NUMBERS[number] for number in sorted(missing))}")
    return frame


def split(payload: bytes, size: int) -> list[bytes]:
    """The payload in pieces of at most `size` bytes; one empty piece for an empty payload."""
    return [payload[at : at + size] for at in range(0, len(payload), size)] or [b""]


def _text(parts: dict[int, int | bytes], number: int) -> str:
    value = parts.get(number)
    if not isinstance(value, bytes):
        raise ValueError("a header without key or value")
    return value.decode()


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _block(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        kind: Literal[0, 2] | int = tag & 7
        value, at = _read_varint(data, at)
        if kind == 0:
            yield tag >> 3, value
        elif kind == 2:
            if at + value > len(data):
                raise ValueError("cut off")
            yield tag >> 3, data[at : at + value]
            at += value
        else:
            raise ValueError(f"wire type {kind}")


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("cut off")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number that is too long")
