"""GET /openapi.json tells everything that can be asked, and nothing else; and it is true."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from gateway.running import Running
from gateway.security.wire import ask
from polyvox.gateway.asking.dialects import _USES, SPOKEN
from polyvox.gateway.gateway import Gateway
from polyvox.gateway.serving.launch import Launch
from polyvox.gateway.serving.worker import Worker
from polyvox.gateway.tenants.access import ROUTES

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
)
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


@pytest.fixture(scope="module")
def document(gateway: Running) -> Any:
    told = ask(gateway.url, "GET", "/openapi.json")
    assert told.status == 200
    return told.json


def test_the_document_is_valid(document: Any) -> None:
    assert document["openapi"].startswith("3.1")
    validate(document)


def test_every_endpoint_and_every_path_of_a_dialect_stands_in_it_and_nothing_else(
    document: Any, tmp_path: Path
) -> None:
    gateway = Gateway(Launch(file=None, said={}, data=tmp_path, log="off"), Worker())
    told = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    spoken = gateway.application._app._dialects.spoken  # type: ignore[attr-defined]
    there = {(endpoint.method, endpoint.path) for endpoint in gateway.endpoints()}
    there |= {(route.method, dialect.base_path + route.path) for dialect, route in spoken}
    there |= {
        (route.method, f"{dialect.base_path}{route.path}/{{model}}")
        for dialect, route in spoken
        if route.kind == "models"
    }
    assert {dialect.name for dialect, _ in spoken} == set(SPOKEN)
    assert told == there | {("GET", "/openapi.json")}
    gateway.records.journal.close()


def test_a_key_can_be_good_for_whatever_asks_for_one_and_for_nothing_else(tmp_path: Path) -> None:
    gateway = Gateway(Launch(file=None, said={}, data=tmp_path, log="off"), Worker())
    asked = {endpoint.use for endpoint in gateway.endpoints()} - {""}
    asked |= {*_USES.values(), "approvals"}  # that is asked for over the WebSocket alone
    assert asked == set(ROUTES)
    gateway.records.journal.close()


def test_a_path_answers_the_methods_that_it_is_told_to_and_refuses_all_others(
    gateway: Running, document: Any
) -> None:
    paths = [*document["paths"].items()]
    for template, item in paths:
        path = re.sub(r"\{\w+\}", "x", template)
        for method in METHODS:
            told = ask(gateway.url, method, path)  # without a key
            if method.lower() in item:
                public = item[method.lower()]["security"] == []
                assert told.status in ((200, 503) if public else (401,)), (method, path)
            elif any(fits(other, path) and method.lower() in there for other, there in paths):
                assert told.status == 401, (method, path)  # it is also the name of something
            else:
                assert told.status == 405, (method, path)
                allowed = set(told.headers["allow"].split(", ")) - {"HEAD"}
                assert allowed >= {each.upper() for each in item}


def fits(template: str, path: str) -> bool:
    holes = template.replace("{model}", ".+")  # names of models have slashes in them
    return re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", holes), path) is not None


def test_every_operation_has_a_name_of_its_own(document: Any) -> None:
    names = [
        operation["operationId"]
        for item in document["paths"].values()
        for operation in item.values()
    ]
    assert len(names) == len(set(names))


def samples(document: Any) -> list[tuple[str, dict[str, Any], list[str]]]:
    """A body for each path where a model is asked, and the fields that it needs."""
    said = [{"role": "user", "content": "Hi"}]
    parts = {"parts": [{"text": "Hi"}]}
    values: dict[str, Any] = {
        "model": "simulated/echo",
        "messages": said,
        "input": "Hi",
        "max_tokens": 9,
        "contents": [parts],
        "prompt": "Hi",
        "content": parts,
        "requests": [{"model": "models/simulated/embedding", "content": parts}],
    }
    found = []
    for path, item in document["paths"].items():
        body = item.get("post", {}).get("requestBody", {}).get("content", {})
        schema = body.get("application/json", {}).get("schema", {})
        if "polyvox" in schema.get("properties", {}):
            needed = schema["required"]
            sample = {name: values[name] for name in needed}
            embeds = "mbed" in path
            if embeds and "model" in sample:
                sample["model"] = "simulated/embedding"
            name = "simulated/embedding" if embeds else "simulated/echo"
            found.append((path.replace("{model}", name), sample, needed))
    return found


def test_the_fields_that_are_told_to_be_needed_are_enough_and_all_are_needed(
    gateway: Running, document: Any
) -> None:
    found = samples(document)
    assert len(found) >= 15
    for path, sample, needed in found:
        told = ask(gateway.url, "POST", path, sample, key=gateway.key)
        assert told.status == 200, (path, told.body)
        for name in needed:
            less = {key: value for key, value in sample.items() if key != name}
            told = ask(gateway.url, "POST", path, less, key=gateway.key)
            assert told.status == 400, (path, name, told.body)


@pytest.fixture(scope="module")
def plain_key(gateway: Running) -> str:
    told = ask(gateway.url, "POST", "/admin/keys", {"name": "plain"}, key=gateway.key)
    return told.json["secret"]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("who", ["admin", "plain"])
def test_what_the_document_allows_and_what_not_is_answered_as_it_says(
    gateway: Running, plain_key: str, document: Any, who: str, tmp_path: Path
) -> None:
    """Several hundred requests, right and wrong ones. A failure prints the seed and the request."""
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    key = gateway.key if who == "admin" else plain_key
    command = [sys.executable, "-m", "schemathesis.cli", "run", "openapi.json"]
    command += ["--url", gateway.url, "-H", f"Authorization: Bearer {key}", "--no-color"]
    command += ["--phases", "fuzzing", "--max-examples", "6", "--checks", ",".join(CHECKS)]
    command += ["--continue-on-failure", "--warnings", "off", "--request-timeout", "60"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=590
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    assert gateway.process.poll() is None
