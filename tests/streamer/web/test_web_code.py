"""The page's code without a browser: the reducer's vectors, the connection, types, promises."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support import needs
from support.paths import ROOT
from support.sentences import decoded

from streamer.protocol.wire_types import declarations
from streamer.web import CONTENT_TYPES, manifest

WEB = ROOT / "streamer" / "web"
HERE = Path(__file__).parent


def node() -> str:
    return needs.program("node", variable="NODE", get="apt-get install nodejs")


def test_the_page_reduces_like_python() -> None:
    done = subprocess.run(
        [
            node(),
            str(HERE / "web_vectors.mjs"),
            str(WEB / "state.js"),
            str(ROOT / "tests/streamer/state/vectors"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(results) == len(list((ROOT / "tests/streamer/state/vectors").glob("*.json"))) >= 8
    assert [result for result in results if result["wrong"]] == []


def test_the_page_has_the_words_of_the_screen() -> None:
    folder = ROOT / "tests/streamer/words/vectors"
    done = subprocess.run(
        [node(), str(HERE / "words_vectors.mjs"), str(WEB), str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *wrong, counted = [json.loads(line) for line in done.stdout.splitlines()]
    assert wrong == []
    assert counted["ran"] > 250


def test_the_connection_resumes_backs_off_and_knows_when_to_stop() -> None:
    done = subprocess.run(
        [node(), "--test", "--test-reporter=tap", str(HERE / "web_link.mjs")],
        capture_output=True,
        text=True,
        env={**os.environ, "LINK_JS": str(WEB / "link.js")},
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert int(re.findall(r"^# pass (\d+)", done.stdout, re.M)[0]) >= 20


def test_the_declarations_of_the_page_are_those_of_the_protocol() -> None:
    shipped = (WEB / "wire.d.ts").read_text(encoding="utf-8")
    assert shipped == declarations(), (
        "run: python -m streamer.protocol.wire_types > streamer/web/wire.d.ts"
    )


def type_check(folder: Path, *patterns: str) -> subprocess.CompletedProcess[str]:
    tsc = needs.program("tsc", variable="TSC", get="npm install -g typescript")
    config = {
        "compilerOptions": {
            "allowJs": True,
            "checkJs": True,
            "noEmit": True,
            "strict": True,
            "target": "es2023",
            "module": "esnext",
            "resolveJsonModule": True,
            "moduleResolution": "bundler",
            "lib": ["es2023", "dom", "dom.iterable"],
            "types": [],
        },
        "include": patterns,
    }
    (folder / "tsconfig.json").write_text(json.dumps(config), encoding="utf-8")
    return subprocess.run([tsc, "-p", str(folder)], capture_output=True, text=True, check=False)


def test_types_hold(tmp_path: Path) -> None:
    done = type_check(tmp_path, f"{WEB.as_posix()}/*.js")
    assert done.returncode == 0, done.stdout


def test_a_renamed_field_is_an_error_in_each_module_that_reads_it(tmp_path: Path) -> None:
    """The control of the test above: the page reads the protocol's fields, and no others."""
    shutil.copytree(WEB, tmp_path / "web", ignore=shutil.ignore_patterns("__pycache__"))
    types = tmp_path / "web" / "wire.d.ts"
    text = types.read_text(encoding="utf-8")
    types.write_text(text.replace("sl_price", "stop_price"), encoding="utf-8")
    done = type_check(tmp_path, "web/*.js")
    wrong = set(re.findall(r"(\w+)\.js\(", done.stdout))
    read = {p.stem for p in WEB.glob("*.js") if re.search(r"\b(p|row)\.sl_price", p.read_text())}
    assert read
    assert wrong == read


@pytest.mark.parametrize(
    "path", [*sorted(WEB.glob("*.js")), WEB / "index.html"], ids=lambda p: p.name
)
def test_a_module_of_the_page_is_in_plain_words(path: Path) -> None:
    assert decoded(path.read_text(encoding="utf-8")) == []


def test_every_file_is_in_the_manifest_and_nothing_else_is() -> None:
    pages = manifest()
    files = {file.name for file in WEB.iterdir() if file.suffix in CONTENT_TYPES}
    assert set(pages) == {"/" if name == "index.html" else f"/{name}" for name in files}
    assert pages["/"][0].startswith("text/html")
    assert pages["/app.js"][0].startswith("text/javascript")


def test_whatever_a_file_asks_for_is_in_the_manifest() -> None:
    pages = manifest()
    asked = 0
    for kind, body in pages.values():
        text = body.decode()
        found = re.findall(r"""(?:from|import)\s+'\./([^']+)'""", text)
        found += re.findall(r"""(?:src|href)="/([^"#]+)\"""", text) if "html" in kind else []
        found += re.findall(r"""url\("/([^"]+)"\)""", text)
        for name in found:
            if not name.startswith("api/"):
                assert f"/{name}" in pages, name
                asked += 1
    assert asked > 20


@pytest.mark.parametrize(
    "never",
    [r"\.innerHTML", r"\.outerHTML", "insertAdjacentHTML", "document\\.write", r"\beval\(",
     "new Function", r"https?://(?!www\.w3\.org)", r"\son\w+=\"", r"style=\"", "<script>"],
)  # fmt: skip
def test_the_page_never(never: str) -> None:
    for path, (_, body) in manifest().items():
        assert not re.search(never, body.decode()), f"{path}: {never}"
