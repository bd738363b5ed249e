"""Amazon Bedrock, from the name of a model to a signed request: botocore checks the signature."""

import asyncio
import datetime
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from polyvox.errors import ConfigurationError, MissingKeyError
from polyvox.events import Done, Failed
from polyvox.http import HttpRequest
from polyvox.messages import user
from polyvox.model import Call
from polyvox.providers import Registry
from polyvox.providers import aws as module
from polyvox.providers.aws import AwsSigner
from polyvox.providers.settlement import NOTHING_USED
from polyvox.request import Request
from polyvox.testing import MockProvider
from polyvox.testing.record import ReceivedRequest
from polyvox.transport import AiohttpTransport

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "very-secret-key"}
MODEL = "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0"
ARN = "bedrock/arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-sonnet-4-5-v1:0"


@pytest.fixture(autouse=True)
def nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


@asynccontextmanager
async def asking(**environ: str) -> AsyncIterator[tuple[MockProvider, Registry]]:
    async with MockProvider("bedrock-converse") as mock, AiohttpTransport() as transport:
        there = {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": mock.url, "AWS_REGION": "eu-west-1"}
        yield mock, Registry(transport, environ=there | environ)


async def last_event(registry: Registry, name: str = MODEL, **fields: Any) -> Any:
    request = Request(messages=[user("Hello there.")], **fields)
    return [event async for event in registry.model(name).stream(request, Call())][-1]


def signature(received: ReceivedRequest, mock: MockProvider, monkeypatch: Any, token: str) -> str:
    """What botocore would sign of the request as it arrived."""
    signed = received.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0]
    moment = datetime.datetime.strptime(received.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(
        tzinfo=datetime.UTC
    )
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: moment, raising=True)
    headers = {name: received.headers[name] for name in signed.split(";")}
    for name in ("host", "x-amz-date", "x-amz-security-token"):
        headers.pop(name, None)
    base = urlsplit(mock.url)
    url = f"{base.scheme}://{base.netloc}{received.path}"
    again = AWSRequest("POST", url, headers, received.body)
    credentials = Credentials(*KEYS.values(), token or None)
    botocore.auth.SigV4Auth(credentials, "bedrock", "eu-west-1").add_auth(again)
    return again.headers["Authorization"]


@pytest.mark.parametrize("token", ["", "session-token"])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("name", [MODEL, ARN])
async def test_the_signature_fits_the_request_as_it_arrives(
    name: str, stream: bool, token: str, monkeypatch: pytest.MonkeyPatch
):
    async with asking(**KEYS, AWS_SESSION_TOKEN=token) as (mock, registry):
        last = await last_event(registry, name, stream=stream)
        assert isinstance(last, Done)
        assert last.message.text == "Hello there."
        (received,) = mock.requests
        assert received.headers.get("x-amz-security-token", "") == token
        assert received.request is not None
        assert received.request.model == name.partition("/")[2]
        assert received.headers["authorization"] == signature(received, mock, monkeypatch, token)


async def test_a_key_needs_neither_credentials_nor_botocore(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    async with asking(AWS_BEARER_TOKEN_BEDROCK="bedrock-api-key") as (mock, registry):
        assert isinstance(await last_event(registry), Done)
        assert mock.requests[0].headers["authorization"] == "Bearer bedrock-api-key"


async def test_tokens_are_counted_and_models_listed_with_a_signature():
    async with asking(**KEYS) as (mock, registry):
        model = registry.provider_model(*MODEL.split("/"))
        assert await model.count_tokens(Request(messages=[user("Hello there.")]))
        assert await model.models() == ["mock-model"]
        for received in mock.requests:
            assert "SignedHeaders=" in received.headers["authorization"]


async def test_without_credentials_the_error_says_what_to_set():
    async with asking() as (mock, registry):
        last = await last_event(registry)
        assert isinstance(last, Failed)
        assert isinstance(last.error, MissingKeyError)
        assert "AWS_BEARER_TOKEN_BEDROCK" in str(last.error)
        assert "AWS_ACCESS_KEY_ID" in str(last.error)
        assert mock.requests == []


async def test_credentials_of_a_profile_are_found(tmp_path: Path):
    lines = ["[work]", "aws_access_key_id = AKIDWORK", "aws_secret_access_key = very-secret-key"]
    (tmp_path / "credentials").write_text("\n".join(lines), encoding="utf-8")
    async with asking(AWS_PROFILE="work") as (mock, registry):
        assert isinstance(await last_event(registry), Done)
        assert "Credential=AKIDWORK/" in mock.requests[0].headers["authorization"]


async def test_a_profile_that_is_not_there_is_named():
    async with asking(AWS_PROFILE="nowhere") as (_, registry):
        last = await last_event(registry)
        assert isinstance(last, Failed)
        assert "nowhere" in last.error.text


async def test_half_a_pair_of_keys_is_told():
    async with asking(AWS_ACCESS_KEY_ID="AKID") as (_, registry):
        last = await last_event(registry)
        assert isinstance(last, Failed)
        assert "AWS_SECRET_ACCESS_KEY" in last.error.text


async def test_the_secret_key_is_nowhere_to_be_seen():
    signer = AwsSigner(KEYS | {"AWS_REGION": "us-east-1"})
    request = HttpRequest("POST", "https://bedrock.example/model/m/converse", {}, b"{}")
    signed = await signer.sign(request)
    shown = f"{signer!r} {vars(signer)['_credentials']!r} {signed!r} {signed.headers}"
    assert "very-secret-key" not in shown


def region_in(request: HttpRequest) -> str:
    return request.headers["authorization"].split("/")[2]


@pytest.mark.parametrize(
    ("host", "environ", "region"),
    [
        ("bedrock-runtime.eu-central-1.amazonaws.com", {"AWS_REGION": "us-east-1"}, "eu-central-1"),
        ("bedrock-runtime-fips.us-gov-west-1.amazonaws.com", {}, "us-gov-west-1"),
        ("bedrock.cn-north-1.amazonaws.com.cn", {}, "cn-north-1"),
        ("vpce-1.example", {"AWS_DEFAULT_REGION": "sa-east-1"}, "sa-east-1"),
        ("vpce-1.example", {"AWS_REGION": "a-b-1", "AWS_DEFAULT_REGION": "c-d-2"}, "a-b-1"),
    ],
)
async def test_the_region_is_that_of_the_address_or_the_environment(
    host: str, environ: dict[str, str], region: str
):
    request = HttpRequest("GET", f"https://{host}/foundation-models", {})
    assert region_in(await AwsSigner(KEYS | environ).sign(request)) == region


async def test_a_region_may_stand_in_the_profile(tmp_path: Path):
    (tmp_path / "config").write_text("[default]\nregion = ap-south-1\n", encoding="utf-8")
    async with AiohttpTransport() as transport:
        registry = Registry(transport, environ=KEYS)
        address = registry.provider_model(*MODEL.split("/")).target.base_url
        assert address == "https://bedrock-runtime.ap-south-1.amazonaws.com"
    request = HttpRequest("GET", "https://vpce-1.example/", {})
    assert region_in(await AwsSigner(KEYS).sign(request)) == "ap-south-1"


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_DEFAULT_REGION"])
async def test_either_variable_names_the_region_of_the_address(name: str):
    async with AiohttpTransport() as transport:
        registry = Registry(transport, environ=KEYS | {name: "eu-north-1"})
        address = registry.provider_model(*MODEL.split("/")).target.base_url
        assert address == "https://bedrock-runtime.eu-north-1.amazonaws.com"


async def test_without_a_region_the_error_names_the_variable():
    async with AiohttpTransport() as transport:
        with pytest.raises(ConfigurationError, match="AWS_REGION"):
            Registry(transport, environ=KEYS).model(MODEL)
    request = HttpRequest("GET", "https://vpce-1.example/", {})
    with pytest.raises(ConfigurationError, match="AWS_REGION"):
        await AwsSigner(KEYS).sign(request)


async def test_without_botocore_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(module.sys.modules, "botocore", raising=False)
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    async with asking(**KEYS) as (_, registry):
        with pytest.raises(ConfigurationError, match=r"polyvox\[bedrock\]"):
            registry.model(MODEL)


async def test_signing_ends_with_the_calls_deadline(monkeypatch: pytest.MonkeyPatch):
    """As when an instance role's server does not answer."""
    released = threading.Event()
    monkeypatch.setattr(AwsSigner, "_found", lambda self: released.wait() and None)
    async with asking(**KEYS) as (mock, registry):
        request, call = Request(messages=[user("Hello.")]), Call.timeout(0.05)
        events = registry.model(MODEL).stream(request, call)
        last = [event async for event in events][-1]
        released.set()
        assert isinstance(last, Failed)
        assert last.error.kind == "timeout"
        assert last.message.usage == NOTHING_USED
        assert (mock.requests, call.attempts) == ([], [])


async def test_what_could_not_be_signed_was_no_attempt():
    async with asking() as (_, registry):
        request, call = Request(messages=[user("Hello.")]), Call()
        last = [event async for event in registry.model(MODEL).stream(request, call)][-1]
        assert isinstance(last, Failed)
        assert last.error.provider == "bedrock"
        assert last.message.usage == NOTHING_USED
        assert call.attempts == []


async def test_leaving_while_credentials_are_looked_up_costs_nothing(
    monkeypatch: pytest.MonkeyPatch,
):
    looking, released = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def look(self: AwsSigner) -> None:
        loop.call_soon_threadsafe(looking.set)
        released.wait()

    monkeypatch.setattr(AwsSigner, "_found", look)
    async with asking(**KEYS) as (mock, registry):
        call = Call()
        events = registry.model(MODEL).stream(Request(messages=[user("Hello.")]), call)
        task = asyncio.ensure_future(anext(events))
        await looking.wait()
        task.cancel()
        released.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert call.partial is not None
        assert call.partial.usage == NOTHING_USED
        assert (mock.requests, call.attempts) == ([], [])


async def test_prices_are_known_under_every_prefix():
    async with asking(**KEYS) as (_, registry):
        for prefix in ("", "us.", "eu.", "global."):
            name = MODEL.replace("/us.", f"/{prefix}")
            last = await last_event(registry, name)
            assert last.message.usage.cost.status == "known", name
