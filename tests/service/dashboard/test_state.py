"""The page's state, which touches no element, by node; and the code of others in the page."""

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from service.app import DASHBOARD
from service.store.actions import DONE
from service.store.looks import ACTION

TESTS = sorted((Path(__file__).parent / "state").glob("*.test.mjs"))
VENDOR = DASHBOARD / "vendor"


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node (Debian's nodejs)")
def test_the_state_holds_without_a_browser() -> None:
    done = subprocess.run(["node", "--test", *TESTS], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.findall(r"^\S* ?pass (\d+)", done.stdout, re.MULTILINE)[0]) >= len(TESTS)


def test_the_vendored_files_are_those_that_were_made() -> None:
    table = dict(re.findall(r"\| `([\w.]+)` \| `(\w{64})` \|", (VENDOR / "README.md").read_text()))
    assert set(table) == {"preact.js", "uplot.js", "uplot.css"}
    for name, digest in table.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest
    licences = (VENDOR / "LICENSES.txt").read_text()
    for package in ("preact", "@preact/signals", "@preact/signals-core", "htm", "uplot"):
        assert f"== {package} " in licences


def test_the_page_has_words_for_whatever_is_done_with_a_call() -> None:
    words = json.loads((DASHBOARD / "words" / "en.json").read_text())
    for action in (*DONE.values(), ACTION, "muted", "consented"):
        assert f"did.{action}" in words


def test_only_charts_use_the_chart_library() -> None:
    users = {
        path.name
        for path in DASHBOARD.rglob("*.js")
        if 'from "../vendor/uplot.js"' in path.read_text()
    }
    assert users == {"chart.js", "counts.js"}


def test_no_module_is_longer_than_it_can_be_read() -> None:
    ours = [path for path in DASHBOARD.rglob("*.js") if path.parent != VENDOR]
    assert len(ours) > 20
    assert [path.name for path in ours if len(path.read_text().splitlines()) > 250] == []
