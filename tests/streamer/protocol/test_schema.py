"""Schema and documents against the messages that are really sent."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from support.feed_kit import OpenFeed, frame, http, join
from support.paths import ROOT

from streamer.protocol.messages import (
    EVENT_TYPES,
    EVENTS,
    STATE_TYPES,
    ClientMessage,
    Event,
    Heartbeat,
)
from streamer.protocol.schema import CLIENT_MESSAGES, asyncapi, asyncapi_yaml, schema

DOCS = ROOT / "docs"


def test_the_asyncapi_file_is_what_the_code_says() -> None:
    found = (DOCS / "asyncapi.yaml").read_text(encoding="utf-8")
    assert found == asyncapi_yaml(), "run: python -m streamer.protocol.schema > docs/asyncapi.yaml"


def test_every_struct_has_a_schema_and_every_reference_leads_somewhere() -> None:
    known = schema()
    names = {struct.__name__ for struct in (*EVENTS, *CLIENT_MESSAGES)}
    assert names <= set(known["$defs"])

    def walk(value: Any, root: dict[str, Any]) -> None:
        if isinstance(value, dict):
            if "$ref" in value:
                at: Any = root
                for part in value["$ref"].removeprefix("#/").split("/"):
                    at = at[part]
            for item in value.values():
                walk(item, root)
        elif isinstance(value, list):
            for item in value:
                walk(item, root)

    walk(known, known)
    document = asyncapi()
    walk(document, document)
    assert set(CLIENT_MESSAGES) == set(ClientMessage.__args__)


def test_the_document_for_people_names_every_event() -> None:
    text = (DOCS / "protocol.md").read_text(encoding="utf-8")
    for kind in EVENT_TYPES:
        assert f"`{kind}`" in text, kind
    for kind in STATE_TYPES:
        assert f"`{kind}`" in text, kind


async def test_the_schema_route_and_the_real_snapshot_agree(open_feed: OpenFeed) -> None:
    feed = await open_feed()
    status, fields, body = await http(feed, "/api/schema")
    assert (status, fields["content-type"]) == (200, "application/schema+json")
    known = json.loads(body)
    assert known == json.loads(msgspec.json.encode(schema()))
    async with await join(feed) as ws:
        snapshot = await frame(ws)
    described = known["$defs"]["StateSnapshot"]
    assert set(snapshot) <= set(described["properties"])
    assert set(described["required"]) <= set(snapshot)
    assert set(snapshot["data"]) == set(described["properties"]["data"]["properties"])


@pytest.mark.parametrize("struct", EVENTS, ids=lambda struct: struct.__name__)
def test_a_struct_and_its_schema_have_the_same_fields(struct: type[msgspec.Struct]) -> None:
    described = schema()["$defs"][struct.__name__]["properties"]
    fields = {"type", *(field.encode_name for field in msgspec.structs.fields(struct))}
    if issubclass(struct, Event) and struct is not Heartbeat:
        fields.add("account")  # whose event it is, as the feed writes it
    assert set(described) == fields
