"""The words of the feed: the vectors that the page passes, too, and the table itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest

from streamer.protocol.messages import EVENT_TYPES, STATE_TYPES, PositionClosed
from streamer.protocol.payloads import ScanCode
from streamer.words import events, figures, limits, sentences, stages
from streamer.words.table import PATH, TABLE, WordTable

VECTORS = Path(__file__).parent / "vectors"


def vectors(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("vector", vectors("events"), ids=lambda v: v["text"][:40])
def test_an_event_has_its_tag_level_tone_and_sentences(vector: Any) -> None:
    event = vector["event"]
    assert events.text(event) == vector["text"]
    assert events.tag(event) == vector["tag"]
    assert events.level(event).name.lower() == vector["level"]
    assert events.tone(event) == vector["tone"]
    assert events.text(event, mask=True) == vector.get("masked", vector["text"])
    assert events.alert(event) == vector.get("alert")


@pytest.mark.parametrize("vector", vectors("stages"), ids=lambda v: f"{v['detail']}")
def test_a_detail_has_its_stage(vector: Any) -> None:
    detail = vector["detail"]
    code, gate = (
        detail.get(k) if isinstance(detail.get(k), str) else None for k in ("code", "gate")
    )
    found = stages.stage_of(code, gate)
    assert [found.stage, found.name, found.sign, found.tone] == [
        vector[k] for k in ("stage", "name", "sign", "tone")
    ]
    assert stages.nearness(found, detail.get("score")) == vector["nearness"]


FIGURES = [(w, args, text) for w, cases in vectors("figures").items() for args, text in cases]
SIGN_AT = {"money": 1, "number": 2, "percent": 2}
"""Where the arguments of a vector say whether a plus is written."""


@pytest.mark.parametrize(("write", "args", "text"), FIGURES)
def test_a_figure_is_written(write: str, args: list[Any], text: str) -> None:
    at = SIGN_AT.get(write, len(args))
    signed = {"sign": args[at]} if len(args) > at else {}
    assert getattr(figures, write)(*args[:at], **signed) == text


@pytest.mark.parametrize("vector", vectors("limits"), ids=lambda v: v["limit"])
def test_a_limit_has_its_name_and_grade(vector: Any) -> None:
    assert limits.limit_words(vector["limit"]).name == vector["name"]
    assert limits.grade(vector["value"], vector["of"]) == vector["grade"]
    parts = (limits.amount(vector["limit"], vector[k], vector["unit"]) for k in ("value", "of"))
    assert " of ".join(parts) == vector["text"]


# -- the table ------------------------------------------------------------------------------

LEGACY = {"STAT_ARB_HEDGE", "STAT_ARB_FLATTEN"}
"""Published by foreign bots only: the protocol has no structs of them."""


def test_every_log_event_of_the_protocol_has_words_and_a_vector() -> None:
    assert set(TABLE.events) == set(EVENT_TYPES) - STATE_TYPES | LEGACY
    assert set(TABLE.events) <= {str(v["event"]["type"]) for v in vectors("events")}
    assert {s.stage for s in TABLE.stages} <= {v["stage"] for v in vectors("stages")}


@pytest.mark.parametrize("kind", sorted(set(TABLE.events) - LEGACY))
def test_the_words_of_an_event_name_only_fields_that_it_has(kind: str) -> None:
    words = TABLE.events[kind]
    fields = {field.encode_name for field in msgspec.structs.fields(EVENT_TYPES[kind])}
    variants: list[Any] = [words, *words.cases]
    parts = [part for v in variants for part in v.text or ()]
    templates = [part if isinstance(part, str) else part.text for part in parts]
    templates += [v.alert for v in variants if v.alert is not None]
    named = [p for t in templates for field in sentences.parse(t).fields() for p in field.paths]
    named += [path for case in words.cases for path in case.when]
    named += [path.partition(":")[0] for v in variants for path in v.same or ()]
    for part in (part for part in parts if not isinstance(part, str)):
        named += [*(part.changed or ()), *(part.locked or ())]
    assert {path.split(".")[0] for path in named} <= fields
    assert 0 < len(words.tag) <= events.TAG_MAX


def test_every_reason_of_a_close_has_words() -> None:
    reasons = get_args(get_type_hints(PositionClosed)["close_reason"])[0]
    assert set(TABLE.close_reasons) == set(get_args(reasons))


def test_every_code_of_a_scan_has_a_stage() -> None:
    codes = set(get_args(ScanCode))
    assert codes == {s.stage for s in TABLE.stages if s.of is None}
    assert {s.of.code for s in TABLE.stages if s.of is not None} <= codes


@pytest.mark.parametrize("template", ["{a:nonsense}", "[a", "a]", "[a[b]]", "{a", "{}", "}"])
def test_a_broken_sentence_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match=r"nonsense|malformed"):
        sentences.parse(template)


def test_a_misspelt_key_of_the_table_is_an_error() -> None:
    raw = json.loads(PATH.read_text(encoding="utf-8"))
    raw["events"]["SCAN_START"]["lable"] = "x"
    with pytest.raises(msgspec.ValidationError, match="lable"):
        msgspec.convert(raw, WordTable)
