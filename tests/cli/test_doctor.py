"""`polyvox doctor`: what is set up, reachable, missing, and the fix; never a secret."""

import json
from typing import Any

from polyvox.testing import Knobs

from .conftest import Run

SECRET = "sk-canary-0123456789abcdef"


def checks(report: dict[str, Any], section: str) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in report["checks"] if check["section"] == section}


def test_nothing_set_up_says_what_to_do(run: Run):
    done = run("doctor")
    assert done.returncode == 3
    assert "ANTHROPIC_API_KEY" in done.stdout
    assert "ollama serve" in done.stdout
    assert "simulated/echo" in done.stdout
    assert "To talk with a real model" in done.stdout


def test_a_key_that_two_providers_share_is_missed_once(run: Run):
    report = json.loads(run("doctor", "--json").stdout)
    missing = checks(report, "keys")["not set"]["text"].split(", ")
    assert "OPENAI_API_KEY" in missing
    assert len(missing) == len(set(missing))


def test_help_says_how_it_ends(run: Run):
    shown = " ".join(run("doctor", "--help").stdout.split())
    assert "Ends with 0 if there is a real model to talk with, else with 3." in shown


def test_a_key_makes_it_usable_and_is_not_shown(run: Run):
    env = {"OPENAI_API_KEY": SECRET, "HTTPS_PROXY": f"http://ada:{SECRET}@127.0.0.1:9"}
    for arguments in (("doctor",), ("doctor", "--json")):
        done = run(*arguments, env=env)
        assert done.returncode == 0
        assert SECRET not in done.stdout + done.stderr
        assert "OPENAI_API_KEY is set" in done.stdout
    report = json.loads(run("doctor", "--json", env=env).stdout)
    assert report["usable"] is True
    assert report["model"] == "openai/gpt-5-mini"
    assert checks(report, "network")["HTTPS_PROXY"]["text"] == "http://***@127.0.0.1:9"


def test_aws_credentials_are_seen_and_not_shown(run: Run):
    env = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "very-secret"}
    done = run("doctor", env=env)
    assert "AWS credentials: AWS_ACCESS_KEY_ID" in done.stdout
    assert "AWS_BEARER_TOKEN_BEDROCK" not in done.stdout
    assert "very-secret" not in done.stdout
    assert "AKIDEXAMPLE" not in done.stdout
    assert "AWS_BEARER_TOKEN_BEDROCK" in run("doctor").stdout


def test_a_local_server_makes_it_usable(run: Run, polyvox_mock):
    server = polyvox_mock("ollama", models=["small:1b"])
    report = json.loads(run("doctor", "--json", env={"OLLAMA_HOST": server.url}).stdout)
    assert report["usable"] is True
    assert checks(report, "local servers")["ollama"]["status"] == "ok"
    assert checks(report, "local servers")["vllm"]["status"] == "off"
    assert checks(report, "local servers")["vllm"]["fix"]


def test_online_asks_every_provider_that_has_a_key(run: Run, polyvox_mock):
    good = polyvox_mock("openai-chat", models=["a", "b"])
    bad = polyvox_mock("anthropic-messages", knobs=Knobs(status=401), expect_key="other")
    env = {
        "OPENAI_API_KEY": SECRET,
        "OPENAI_BASE_URL": good.url,
        "ANTHROPIC_API_KEY": SECRET,
        "ANTHROPIC_BASE_URL": bad.url,
    }
    report = json.loads(run("doctor", "--online", "--json", env=env).stdout)
    online = checks(report, "online")
    assert online["openai"]["status"] == "ok"
    assert online["openai"]["text"].startswith("2 models")
    assert online["anthropic"]["status"] == "failed"
    assert online["anthropic"]["fix"]
    assert {name.partition("-")[0] for name in online} == {"openai", "anthropic"}
    assert checks(report, "addresses")["openai"]["text"] == f"{good.url} (from OPENAI_BASE_URL)"


def test_without_online_no_provider_is_asked(run: Run, polyvox_mock):
    server = polyvox_mock("openai-chat")
    run("doctor", env={"OPENAI_API_KEY": SECRET, "OPENAI_BASE_URL": server.url})
    assert server.requests == []


def test_an_address_that_is_none_is_found(run: Run):
    env = {"OPENAI_API_KEY": SECRET, "OPENAI_BASE_URL": "nonsense"}
    report = json.loads(run("doctor", "--json", env=env).stdout)
    assert checks(report, "addresses")["openai"]["status"] == "failed"


def test_a_certificate_file_that_is_not_there_is_found(run: Run):
    report = json.loads(run("doctor", "--json", env={"SSL_CERT_FILE": "no-such.pem"}).stdout)
    assert checks(report, "network")["certificates"]["status"] == "failed"


def test_it_says_which_parts_of_a_gateway_are_installed(run: Run):
    versions = {
        check["name"]: check
        for check in json.loads(run("doctor", "--json").stdout)["checks"]
        if check["section"] == "versions"
    }
    for package, extra in (("starlette", "gateway"), ("psycopg", "postgres"), ("redis", "redis")):
        check = versions[package]
        assert check["status"] == "ok" or f"polyvox[{extra}]" in check["fix"]


def test_it_says_which_transport_runs_and_why(run: Run):
    report = json.loads(run("doctor", "--json", env={"POLYVOX_TRANSPORT": "aiohttp"}).stdout)
    assert checks(report, "transport") == {
        "aiohttp": {
            "section": "transport",
            "name": "aiohttp",
            "status": "ok",
            "text": "POLYVOX_TRANSPORT says 'aiohttp'",
        }
    }
    (found,) = checks(json.loads(run("doctor", "--json").stdout), "transport").values()
    assert found["text"].startswith("polyvox-native ")
    assert "fix" in found or found["name"] == "native"


def test_a_transport_that_is_none_is_found_and_the_rest_is_looked_at(run: Run):
    done = run("doctor", "--json", env={"POLYVOX_TRANSPORT": "natve", "OPENAI_API_KEY": SECRET})
    assert done.returncode == 0
    report = json.loads(done.stdout)
    found = checks(report, "transport")["POLYVOX_TRANSPORT"]
    assert found["status"] == "failed"
    assert "did you mean 'native'?" in found["text"]
    assert "auto, aiohttp or native" in found["fix"]
    assert checks(report, "keys")["openai"]["status"] == "ok"
