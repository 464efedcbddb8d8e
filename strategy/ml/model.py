"""A learned probability as plain numbers: a JSON file with its hash, data range and figures.

A model is read with checks and computed with numpy; nothing is unpickled, so a file can at
worst be refused.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from streamer.errors import Mt5dashError

from ..base import Bools, Floats, Ints

FORMAT = 1
BINS = 10
MOST_BYTES = 8_000_000
CLIP = 8.0
"""Standard deviations beyond which a feature is cut."""


class ModelError(Mt5dashError):
    """A file that is no model of ours, with the remedy."""


@dataclass(frozen=True, slots=True)
class Trees:
    """A sum of regression trees as arrays over all nodes. A leaf has ``feature`` -1; children
    follow their parent. ``roots`` are the first nodes of the trees."""

    roots: Ints
    feature: Ints
    threshold: Floats
    left: Ints
    right: Ints
    value: Floats

    def total(self, x: Floats) -> Floats:
        """Sum of the leaves that the rows of ``x`` fall into."""
        # scikit-learn compares in single precision
        cut = x.astype(np.float32)
        rows = np.arange(len(x))
        out = np.zeros(len(x))
        for root in self.roots:
            at = np.full(len(x), root)
            while True:
                asked = self.feature[at]
                inner = asked >= 0
                if not inner.any():
                    break
                goes_left = cut[rows, np.maximum(asked, 0)] <= self.threshold[at]
                below = np.where(goes_left, self.left[at], self.right[at])
                at = np.where(inner, below, at)
            out += self.value[at]
        return out


@dataclass(frozen=True, slots=True)
class Model:
    """Probability that a set-up reaches its target before its stop.

    ``made_for`` names its strategy, settings and market; ``began`` and ``until``
    are server seconds of its data, label ends included. ``slope`` and ``shift`` calibrate the
    raw log-odds. ``edges`` and ``shares`` are the deciles of each feature in the data, and
    ``drift_limit`` the greatest drift that the data had in itself over ``drift_rows`` rows.
    """

    kind: Literal["logistic", "trees"]
    features: tuple[str, ...]
    mean: Floats
    scale: Floats
    weights: Floats
    base: float
    slope: float
    shift: float
    edges: Floats
    shares: Floats
    drift_limit: float
    drift_rows: int
    began: float
    until: float
    made_for: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    trees: Trees | None = None

    def raw(self, x: Floats) -> Floats:
        """Log-odds before calibration, shape (rows,)."""
        z = np.clip((x - self.mean) / self.scale, -CLIP, CLIP)
        out = self.base + z @ self.weights
        return out if self.trees is None else out + self.trees.total(z)

    def probability(self, x: Floats) -> Floats:
        """Of rows shaped (rows, features); NaN where a feature is unknown."""
        known: Bools = np.asarray(np.isfinite(x).all(axis=1))
        odds = self.slope * self.raw(np.where(known[:, None], x, 0.0)) + self.shift
        out: Floats = np.where(known, 1.0 / (1.0 + np.exp(-np.clip(odds, -50, 50))), np.nan)
        return out

    def drift(self, x: Floats) -> float:
        """How far rows lie from the data of the model: population stability index, the mean
        over the features."""
        return drift(shares_of(x, self.edges), self.shares)

    @property
    def id(self) -> str:
        """Kind and the first digits of the content's hash."""
        return f"{self.kind}-{self.digest[:12]}"

    @property
    def digest(self) -> str:
        """SHA-256 of the content."""
        return hashlib.sha256(_canonical(self._body())).hexdigest()

    def to_json(self) -> str:
        """Content and hash as text."""
        return json.dumps({"mt5dash_model": FORMAT, "sha256": self.digest, "model": self._body()})

    def _body(self) -> dict[str, Any]:
        body: dict[str, Any] = {}
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if isinstance(value, Trees):
                value = {n: getattr(value, n).tolist() for n in value.__dataclass_fields__}
            elif isinstance(value, np.ndarray):
                value = value.tolist()
            elif isinstance(value, Mapping):
                value = dict(value)
            body[name] = list(value) if isinstance(value, tuple) else value
        return body

    @classmethod
    def from_json(cls, text: str) -> Model:
        """The model of a text that :meth:`to_json` made.

        Raises:
            ModelError: the text is no model, was changed, or holds what cannot be computed.
        """
        try:
            outer = json.loads(text, parse_constant=_no_constant)
            if not isinstance(outer, dict) or outer.get("mt5dash_model") != FORMAT:
                raise ModelError("this is no model file of this version; delete it")
            body = outer["model"]
            if hashlib.sha256(_canonical(body)).hexdigest() != outer["sha256"]:
                raise ModelError("the model file was changed after it was written; delete it")
            return _checked(cls._from_body(body))
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise ModelError(f"the model file cannot be read ({error}); delete it") from error

    @classmethod
    def _from_body(cls, body: Mapping[str, Any]) -> Model:
        given = dict(body)
        if set(given) != set(cls.__dataclass_fields__):
            raise ValueError("fields are missing or unknown")
        for name in ("mean", "scale", "weights", "edges", "shares"):
            given[name] = np.array(given[name], dtype=np.float64)
        for name in ("base", "slope", "shift", "drift_limit", "began", "until"):
            given[name] = float(given[name])
        given["drift_rows"] = int(given["drift_rows"])
        given["features"] = tuple(str(name) for name in given["features"])
        given["made_for"] = dict(given["made_for"])
        given["metrics"] = {str(k): float(v) for k, v in given["metrics"].items()}
        if given["trees"] is not None:
            parts = dict(given["trees"])
            whole = ("roots", "feature", "left", "right")
            columns: dict[str, Any] = {
                n: np.array(v, dtype=np.int64 if n in whole else np.float64)
                for n, v in parts.items()
            }
            given["trees"] = Trees(**columns)
        return cls(**given)

    def save(self, path: Path) -> None:
        """Write the file; a reader sees the old one or the new one, never a part."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with temporary.open("w", encoding="utf-8") as file:
                file.write(self.to_json())
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()


def load(path: Path) -> Model | None:
    """The model of a file, ``None`` where there is no file.

    Raises:
        ModelError: the file is no sound model.
        OSError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return None
    if len(content) > MOST_BYTES:
        raise ModelError(f"{path} is too large for a model; delete it")
    try:
        return Model.from_json(content.decode())
    except UnicodeDecodeError as error:
        raise ModelError(f"{path} is no text; delete it") from error


def bin_edges(x: Floats) -> Floats:
    """Inner decile borders of each feature, shape (features, ``BINS`` - 1)."""
    out: Floats = np.quantile(x, np.linspace(0, 1, BINS + 1)[1:-1], axis=0).T
    return out


def shares_of(x: Floats, edges: Floats) -> Floats:
    """Share of the rows in each bin of each feature, shape (features, ``BINS``)."""
    out = np.empty((len(edges), BINS))
    for j, border in enumerate(edges):
        found = np.searchsorted(border, x[:, j], side="left")
        out[j] = np.bincount(found, minlength=BINS) / max(len(x), 1)
    return out


def drift(now: Floats, then: Floats, least: float = 1e-3) -> float:
    """Population stability index, the mean over the features; empty bins count as ``least``."""
    a, b = np.maximum(now, least), np.maximum(then, least)
    return float(((a - b) * np.log(a / b)).sum(axis=1).mean())


def _canonical(body: Any) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number here")


def _checked(model: Model) -> Model:
    """The model, if every number is finite and every index leads somewhere."""
    count = len(model.features)
    shapes = {
        "mean": (count,),
        "scale": (count,),
        "weights": (count,),
        "edges": (count, BINS - 1),
        "shares": (count, BINS),
    }
    for name, shape in shapes.items():
        value = getattr(model, name)
        if value.shape != shape or not np.isfinite(value).all():
            raise ValueError(f"{name} is not {shape} finite numbers")
    scalars = (model.base, model.slope, model.shift, model.began, model.until, model.drift_limit)
    if not all(map(math.isfinite, scalars)) or not (model.scale > 0).all():
        raise ValueError("a number is not finite or a scale not above zero")
    if model.kind not in ("logistic", "trees") or model.drift_rows < 1:
        raise ValueError("unknown kind")
    if (model.trees is None) != (model.kind == "logistic"):
        raise ValueError("kind and trees do not agree")
    if model.trees is not None:
        _check_trees(model.trees, count)
    return model


def _check_trees(trees: Trees, count: int) -> None:
    nodes = len(trees.feature)
    columns = (trees.threshold, trees.left, trees.right, trees.value)
    if any(column.shape != (nodes,) for column in columns) or trees.roots.ndim != 1:
        raise ValueError("the columns of the trees differ in length")
    if not (np.isfinite(trees.threshold).all() and np.isfinite(trees.value).all()):
        raise ValueError("a number of the trees is not finite")
    inner = np.flatnonzero(trees.feature >= 0)
    if (trees.feature >= count).any() or (trees.roots < 0).any() or (trees.roots >= nodes).any():
        raise ValueError("a tree asks for a feature or node that is not there")
    for child in (trees.left[inner], trees.right[inner]):
        # behind the parent: a walk always ends
        if (child <= inner).any() or (child >= nodes).any():
            raise ValueError("a tree leads back or out")
