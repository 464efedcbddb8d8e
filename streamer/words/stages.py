"""The stages of a symbol on its way to a trade: the order, the names, and which detail is which."""

from __future__ import annotations

import functools

import msgspec

from .table import TABLE, Stage

STAGES: dict[str, Stage] = {stage.stage: stage for stage in TABLE.stages}
"""By name, from the nearest to a trade to the farthest."""
NAME_MAX = 8

_OF = {(s.of.code, s.of.gate): s for s in TABLE.stages if s.of is not None}
_NEARNESS = {name: i for i, name in enumerate(reversed(STAGES))}


@functools.lru_cache(maxsize=256)
def stage_of(code: str | None, gate: str | None = None) -> Stage:
    """The stage of a scan's code; gates that share a code can be stages of their own.

    A code of a foreign bot that is not in the table is a stage of its own, with an unknown sign.
    """
    found = _OF.get((code or "", gate or "")) or STAGES.get(code or "")
    if found is not None or not code:
        return found or TABLE.unknown_stage
    return msgspec.structs.replace(TABLE.unknown_stage, stage=code, name=code[:NAME_MAX])


def nearness(stage: Stage, score: float | None) -> float:
    """How close to a trade: first the stage, within it the score."""
    return _NEARNESS.get(stage.stage, -1) * 1000 + (score or 0.0)
