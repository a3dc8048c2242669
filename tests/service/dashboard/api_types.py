"""Types of the API's JSON for the page's modules, made of what the service says of itself.

`python -m tests.service.dashboard.api_types` writes them anew.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from service.api import asyncapi
from service.api.openapi import PROBLEMS
from service.api.session import Session
from service.app import create_app
from service.settings import Settings

FILE = Path(__file__).parent / "types" / "api.d.ts"
SESSION = "session"  # a route that is for the page alone, and in no description

Json = dict[str, Any]

HEAD = """\
// The JSON that the service sends and takes. Made of /openapi.json and /asyncapi.json, not written:
// `python -m tests.service.dashboard.api_types` makes it anew.

declare namespace Api {
"""
TAIL = """
  type Method = Route["method"];

  /** The paths that a method knows. */
  type Path<M extends Method> = Extract<Route, { method: M }>["path"];

  type RouteOf<M extends Method, P extends string, R extends Route = Route> =
    R extends { method: M; path: infer Known } ? (P extends Known ? R : never) : never;

  /** What a request is answered, and what it has to send. */
  type Answer<M extends Method, P extends string> = RouteOf<M, P>["answer"];
  type Body<M extends Method, P extends string> = RouteOf<M, P>["body"];
}
"""
SIMPLE = {
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "null": "null",
}


def types() -> str:
    """Returns the file, made of the documents of a service with the usual settings."""
    with TemporaryDirectory() as state:
        app = create_app(Settings.model_validate({"state_dir": state}))
        return types_of(app.openapi(), asyncapi.document())


def types_of(http: Json, events: Json) -> str:
    """Returns the declarations of an OpenAPI and an AsyncAPI document.

    What need not be there may be left out of what is sent to the service, but the service itself
    always sends it.
    """
    schemas = {**http["components"]["schemas"], **events["components"]["schemas"]}
    schemas["Session"] = Session.model_json_schema(mode="serialization")
    schemas.update(schemas["Session"].pop("$defs"))
    routes = [{"method": "GET", "path": SESSION, "answer": {"$ref": "Session"}}, *_routes(http)]
    messages = events["components"]["messages"]
    sent = {name: messages[name]["payload"] for name in events["channels"]["events"]["messages"]}
    taken = _reachable(schemas, [route["body"] for route in routes if "body" in route])
    answers = [
        *(route["answer"] for route in routes),
        *({"$ref": model.__name__} for model in PROBLEMS),
    ]
    given = _reachable(schemas, [*answers, *sent.values()])
    declared = [
        _declaration(name, schemas[name], is_sent=name in given) for name in sorted(taken | given)
    ]
    declared.append(
        "interface Events {\n" + _lines(f"{n}: {_type(s)}" for n, s in sent.items()) + "}"
    )
    declared.append("type Route =\n" + "\n".join(f"  | {_route(route)}" for route in routes) + ";")
    indented = re.sub(r"^(?=.)", "  ", "\n\n".join(declared), flags=re.MULTILINE)
    return HEAD + indented + "\n" + TAIL


def _routes(http: Json) -> Iterator[Json]:
    """Yields the routes that are asked and answered in JSON, or answered with nothing."""
    for path, operations in http["paths"].items():
        for method, operation in operations.items():
            responses = operation["responses"]
            answer = responses.get("200", {}).get("content", {}).get("application/json")
            if not (answer and answer["schema"]) and "204" not in responses:
                continue
            body = operation.get("requestBody", {}).get("content", {"application/json": {}})
            if "application/json" not in body:
                continue
            schema = answer["schema"] if answer else {"type": "null"}
            route = {"method": method.upper(), "answer": schema}
            if body["application/json"]:
                route["body"] = body["application/json"]["schema"]
            route["path"] = re.sub(r"\{\w+\}", "${string}", path.removeprefix("/"))
            route["has_query"] = any(p["in"] == "query" for p in operation.get("parameters", ()))
            yield route


def _reachable(schemas: Mapping[str, Json], begin: Iterable[Json]) -> set[str]:
    """Returns the names of the schemas to which some refer, by any number of steps."""
    found: set[str] = set()
    waiting = list(begin)
    while waiting:
        named = set(re.findall(r'"\$ref": "(?:[^"]*/)?(\w+)"', json.dumps(waiting.pop()))) - found
        found |= named
        waiting += [schemas[name] for name in named]
    return found


def _declaration(name: str, schema: Json, *, is_sent: bool) -> str:
    told = schema.get("description", "").split("\n")[0]
    comment = f"/** {told} */\n" if told else ""
    if "properties" not in schema:
        return f"{comment}type {name} = {_type(schema)};"
    required = schema.get("required", [])
    lines = []
    for field, of_field in schema["properties"].items():
        is_there = is_sent or field in required
        lines.append(f"{field}{'' if is_there else '?'}: {_type(of_field)}")
    return f"{comment}interface {name} {{\n{_lines(lines)}}}"


def _route(route: Json) -> str:
    path = f"`{route['path']}`"
    if route.get("has_query"):
        path += f" | `{route['path']}?${{string}}`"
    body = _type(route["body"]) if "body" in route else "undefined"
    answer = _type(route["answer"])
    return f'{{ method: "{route["method"]}"; path: {path}; body: {body}; answer: {answer} }}'


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"  {line};\n" for line in lines)


def _type(schema: Json) -> str:
    """Returns a schema as TypeScript writes it."""
    match schema:
        case {"$ref": reference}:
            return str(reference).rsplit("/", 1)[-1]
        case {"const": value}:
            return json.dumps(value)
        case {"enum": values}:
            return " | ".join(json.dumps(value) for value in values)
        case {"anyOf": choices} | {"oneOf": choices}:
            return " | ".join(dict.fromkeys(_type(choice) for choice in choices))
        case {"type": "array", "items": items}:
            of_items = _type(items)
            return f"({of_items})[]" if " | " in of_items else f"{of_items}[]"
        case {"type": "object", "additionalProperties": {**of_values}} if of_values:
            return f"Record<string, {_type(of_values)}>"
        case {"type": "object"}:
            return "Record<string, unknown>"
        case {"type": simple} if simple in SIMPLE:
            return SIMPLE[simple]
    return "unknown"


if __name__ == "__main__":
    FILE.write_text(types())
