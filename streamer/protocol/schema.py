"""JSON Schema and AsyncAPI of every message, generated from the structs."""

from __future__ import annotations

from functools import cache
from inspect import cleandoc
from typing import Any, get_args

import msgspec

from .codec import encode
from .messages import (
    EVENTS,
    LEGACY_STATE_TYPES,
    PROTOCOL_VERSION,
    STATE_TYPES,
    SUBPROTOCOL,
    ClientMessage,
    CommandResult,
    ErrorReply,
)
from .sections import SECTIONS

REPLIES: tuple[type[msgspec.Struct], ...] = (CommandResult, ErrorReply)
CLIENT_MESSAGES: tuple[type[msgspec.Struct], ...] = get_args(ClientMessage)

_SECTIONS: dict[str, Any] = {section.key: section.schema() for section in SECTIONS}
_SNAPSHOT: dict[str, Any] = {
    "title": "StateSnapshot",
    "type": "object",
    "description": "The first frame on every connection, and the answer to SUBSCRIBE.",
    "required": ["type", "protocol", "epoch", "seq", "timestamp", "data"],
    "properties": {
        "type": {"const": "STATE_SNAPSHOT"},
        "protocol": {"const": PROTOCOL_VERSION},
        "epoch": {"type": "string"},
        "seq": {"type": "integer"},
        "timestamp": {"type": "string", "format": "date-time"},
        "role": {"enum": ["view", "control", "publish"]},
        "resumed": {"type": "boolean"},
        "path": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Of a relay: epochs of the feeds that its events come from.",
        },
        "data": {
            "type": "object",
            "properties": {
                "bot_name": {
                    "type": "string",
                    "description": "The bot that this is about; empty while it is not known.",
                },
                **_SECTIONS,
                "bots": {
                    "type": "object",
                    "description": "The other bots of the feed, by name.",
                    "additionalProperties": {"type": "object", "properties": _SECTIONS},
                },
            },
        },
    },
}
_PLAIN: dict[str, dict[str, Any]] = {
    "Pong": {
        "title": "Pong",
        "type": "object",
        "required": ["type", "id"],
        "properties": {"type": {"const": "PONG"}, "id": {"type": ["string", "integer", "null"]}},
    },
    "AuthOk": {
        "title": "AuthOk",
        "type": "object",
        "required": ["type", "role"],
        "properties": {
            "type": {"const": "AUTH_OK"},
            "role": {"enum": ["view", "control", "publish"]},
        },
    },
}


def _name(struct: type[msgspec.Struct]) -> str:
    return struct.__name__


@cache
def schema() -> dict[str, Any]:
    """JSON Schema of all messages; ``$defs`` by struct name, ``oneOf`` what the server sends."""
    structs = [*EVENTS, *REPLIES, *CLIENT_MESSAGES]
    _, made = msgspec.json.schema_components(structs, ref_template="#/$defs/{name}")
    defs = _clean(made)
    for name in map(_name, EVENTS):
        # ``LOGIN@SERVER``; on ACCOUNT_UPDATE the account itself has this name.
        if name != "Heartbeat":
            defs[name]["properties"].setdefault("account", {"type": "string"})
    defs = {**defs, "StateSnapshot": _SNAPSHOT, **_PLAIN}
    sent = [*map(_name, EVENTS), *map(_name, REPLIES), "StateSnapshot", *_PLAIN]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "mt5dash feed protocol",
        "description": f"Messages of the subprotocol {SUBPROTOCOL}. Unknown types are passed on.",
        "x-protocol": PROTOCOL_VERSION,
        "x-state-types": sorted(STATE_TYPES),
        "x-legacy-state-types": sorted(LEGACY_STATE_TYPES),
        "x-client-messages": [_name(struct) for struct in CLIENT_MESSAGES],
        "oneOf": [{"$ref": f"#/$defs/{name}"} for name in sent],
        "$defs": dict(sorted(defs.items())),
    }


def _clean(value: Any) -> Any:
    """The same with every description dedented here: msgspec's versions differ in it."""
    if isinstance(value, dict):
        return {
            key: cleandoc(item) if key == "description" and isinstance(item, str) else _clean(item)
            for key, item in value.items()
        }
    return [_clean(item) for item in value] if isinstance(value, list) else value


@cache
def schema_json() -> bytes:
    """The same as JSON bytes."""
    return encode(schema())


def asyncapi() -> dict[str, Any]:
    """AsyncAPI 3.0 of the socket, as ``docs/asyncapi.yaml`` holds it."""
    known = schema()
    sent = [ref["$ref"].rsplit("/", 1)[1] for ref in known["oneOf"]]
    received = list(known["x-client-messages"])
    messages = {
        name: {"name": name, "payload": {"$ref": f"#/components/schemas/{name}"}}
        for name in sorted({*sent, *received})
    }

    def refs(names: list[str]) -> list[dict[str, str]]:
        return [{"$ref": f"#/channels/feed/messages/{name}"} for name in sorted(names)]

    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": known["title"],
            "version": str(PROTOCOL_VERSION),
            "description": "One JSON object per text frame. Generated from streamer/protocol/messages.py "
            "by `python -m streamer.protocol.schema`.",
        },
        "servers": {"local": {"host": "127.0.0.1:8000", "protocol": "ws", "pathname": "/ws"}},
        "channels": {
            "feed": {
                "address": "/ws",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
            }
        },
        "operations": {
            "send": {
                "action": "send",
                "channel": {"$ref": "#/channels/feed"},
                "messages": refs(sent),
            },
            "receive": {
                "action": "receive",
                "channel": {"$ref": "#/channels/feed"},
                "messages": refs(received),
            },
        },
        "components": {"messages": messages, "schemas": _components(known["$defs"])},
    }


def _components(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: item.replace("#/$defs/", "#/components/schemas/")
            if key == "$ref"
            else _components(item)
            for key, item in value.items()
        }
    return [_components(item) for item in value] if isinstance(value, list) else value


def asyncapi_yaml() -> str:
    """The AsyncAPI document as YAML: JSON, which is YAML, indented for people."""
    return "# Generated by `python -m streamer.protocol.schema`; a test keeps it true.\n" + _yaml(
        asyncapi()
    )


def _yaml(value: Any, indent: int = 0) -> str:
    pad = "  " * indent
    lines: list[str] = []
    if isinstance(value, dict):
        for key, item in value.items():
            lines.append(f"{pad}{_scalar(key)}:{_below(item, indent)}")
    else:
        lines += [f"{pad}-{_below(item, indent)}" for item in value]
    return "".join(lines)


def _below(item: Any, indent: int) -> str:
    if isinstance(item, dict | list) and item:
        return "\n" + _yaml(item, indent + 1)
    return f" {_scalar(item)}\n"


def _scalar(value: Any) -> str:
    return msgspec.json.encode(value).decode()


if __name__ == "__main__":
    print(asyncapi_yaml(), end="")
