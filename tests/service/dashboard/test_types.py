"""The page's types are those of the service, and the check of them finds what is wrong."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from service.api.openapi import PROBLEMS
from service.app import DASHBOARD
from tests.paths import ROOT
from tests.service.dashboard.api_types import FILE, types, types_of

VENDOR = DASHBOARD / "vendor"


def test_the_committed_types_are_those_of_the_service() -> None:
    assert FILE.read_text() == types(), "python -m tests.service.dashboard.api_types"


def test_only_what_is_sent_to_the_service_may_lack_a_field() -> None:
    fields = {"id": {"type": "string"}, "note": {"anyOf": [{"type": "null"}]}}
    schema = {"type": "object", "properties": fields, "required": ["id"]}
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Sent"}}}}
    answer = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Told"}}}}
    names = ("Sent", "Told", *(model.__name__ for model in PROBLEMS))
    http = {
        "paths": {"/v1/a/{id}": {"post": {"requestBody": body, "responses": {"200": answer}}}},
        "components": {"schemas": dict.fromkeys(names, schema)},
    }
    events = {
        "channels": {"events": {"messages": {}}},
        "components": {"schemas": {}, "messages": {}},
    }
    text = types_of(http, events)
    assert "interface Sent {\n    id: string;\n    note?: null;\n  }" in text
    assert "interface Told {\n    id: string;\n    note: null;\n  }" in text
    assert '{ method: "POST"; path: `v1/a/${string}`; body: Sent; answer: Told }' in text


@pytest.mark.parametrize("name", ["preact", "uplot"])
def test_the_bundles_export_what_their_types_say(name: str) -> None:
    declared = set(
        re.findall(
            r"^export (?:function|default class) (\w+)", (VENDOR / f"{name}.d.ts").read_text(), re.M
        )
    )
    (exported,) = re.findall(r"export\s*\{([^}]+)\};?\s*$", (VENDOR / f"{name}.js").read_text())
    names = {one.split(" as ")[-1].strip() for one in exported.split(",")}
    assert declared == ({"uPlot"} if name == "uplot" else names)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("tsc") is None, reason="needs tsc (Debian's node-typescript)")
def test_a_module_that_uses_what_the_service_does_not_send_is_refused(tmp_path: Path) -> None:
    wrong = {
        'get("v1/call?limit=1")': "not assignable",
        'get("v1/mutes").then(({ body }) => body.mute)': "'mute' does not exist",
        'send("POST", `v1/alerts/a/dismiss`, { id: "12345678", why: "bored" })': "not assignable",
        'store.applyReading({ call_id: "c" })': "missing the following properties",
        "store.clock().toUpper()": "'toUpper' does not exist",
    }
    head = (
        f'import {{ get, send }} from "{DASHBOARD}/api.js";\n'
        f'import {{ store }} from "{DASHBOARD}/page.js";\n'
    )
    module = tmp_path / "wrong.js"
    module.write_text(head + "".join(f"{line};\n" for line in wrong))
    (tmp_path / "package.json").write_text('{ "type": "module" }')
    config = {
        "extends": str(ROOT / "tsconfig.json"),
        "files": [str(module)],
        "include": [str(FILE.parent / "*.d.ts")],
    }
    (tmp_path / "tsconfig.json").write_text(json.dumps(config))
    done = subprocess.run(
        ["tsc", "--project", tmp_path], capture_output=True, text=True, timeout=120, check=False
    )
    found = [line for line in done.stdout.splitlines() if "error TS" in line]
    for at, (line, told) in enumerate(wrong.items(), start=3):
        assert any(f"wrong.js({at}," in error for error in found), (line, done.stdout)
        assert told in done.stdout, line
    assert len(found) == len(wrong), done.stdout
