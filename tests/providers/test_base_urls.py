"""Where a provider is asked: the address of its row, or what the environment says."""

import pytest

from polyvox.dialects import Target, get_dialect
from polyvox.errors import ConfigurationError
from polyvox.providers.rows import Provider, base_url_of, load_providers, quirks_for, read_row

ROWS = load_providers()


def row_of(**fields: object) -> Provider:
    return read_row("acme", {"base_url": "https://api.acme.example/v1", **fields})


def test_without_a_variable_the_address_is_that_of_the_row():
    for row in ROWS.values():
        if "{" not in row.base_url:
            assert base_url_of(row, {}) == row.base_url


@pytest.mark.parametrize(
    ("name", "variable", "value", "address"),
    [
        ("openai", "OPENAI_BASE_URL", "http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000/v1"),
        ("openai", "OPENAI_BASE_URL", "https://proxy.example", "https://proxy.example"),
        ("anthropic", "ANTHROPIC_BASE_URL", "http://localhost:9/", "http://localhost:9"),
        ("groq", "GROQ_BASE_URL", "https://api.groq.com", "https://api.groq.com/openai/v1"),
        ("groq", "GROQ_BASE_URL", "https://p.example/openai/v1", "https://p.example/openai/v1"),
        ("vllm", "VLLM_BASE_URL", "http://gpu-box:8000", "http://gpu-box:8000/v1"),
        ("vllm", "VLLM_BASE_URL", "https://u:p@gpu.example/v1", "https://u:p@gpu.example/v1"),
        ("lmstudio", "LMSTUDIO_BASE_URL", "gpu-box:1235", "http://gpu-box:1235/v1"),
        ("llama-cpp", "LLAMA_CPP_BASE_URL", "http://[::1]:8080/v1", "http://[::1]:8080/v1"),
    ],
)
def test_the_environment_may_name_another_address(
    name: str, variable: str, value: str, address: str
):
    assert base_url_of(ROWS[name], {variable: value}) == address


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("gpu-box", "http://gpu-box:11434"),
        ("gpu-box:8080", "http://gpu-box:8080"),
        ("10.0.0.7", "http://10.0.0.7:11434"),
        (":8080", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("http://0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("::", "http://[::1]:11434"),
        ("::1", "http://[::1]:11434"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("gpu-box/ollama", "http://gpu-box:11434/ollama"),
        ("https://gpu.example", "https://gpu.example"),
        ("https://gpu.example:8443/", "https://gpu.example:8443"),
        (' "gpu-box" ', "http://gpu-box:11434"),
        ("  ", "http://127.0.0.1:11434"),
    ],
)
def test_ollama_host_is_read_in_every_form_that_ollama_reads(host: str, address: str):
    assert base_url_of(ROWS["ollama"], {"OLLAMA_HOST": host}) == address


def test_the_first_variable_that_is_set_counts():
    row = row_of(base_url_env=["ACME_URL", "ACME_OLD_URL"])
    environ = {"ACME_URL": "", "ACME_OLD_URL": "https://old.example"}
    assert base_url_of(row, environ) == "https://old.example"
    environ["ACME_URL"] = "https://new.example"
    assert base_url_of(row, environ) == "https://new.example"


@pytest.mark.parametrize(
    ("name", "variable", "value"),
    [
        ("openai", "OPENAI_BASE_URL", "proxy.example/v1"),
        ("openai", "OPENAI_BASE_URL", "ftp://proxy.example"),
        ("openai", "OPENAI_BASE_URL", "https://"),
        ("openai", "OPENAI_BASE_URL", "https://proxy.example:port"),
        ("ollama", "OLLAMA_HOST", "gpu-box:http"),
        ("ollama", "OLLAMA_HOST", "[::1"),
        ("azure-openai", "AZURE_OPENAI_ENDPOINT", "res.openai.azure.com"),
    ],
)
def test_what_is_no_address_is_an_error_that_names_the_variable(
    name: str, variable: str, value: str
):
    with pytest.raises(ConfigurationError) as caught:
        base_url_of(ROWS[name], {variable: value})
    assert f"{name}: {variable} holds no address" == caught.value.text


def test_a_password_in_an_address_stays_out_of_the_error():
    environ = {"OPENAI_BASE_URL": "https://ada:hunter2@proxy.example:port"}
    with pytest.raises(ConfigurationError) as caught:
        base_url_of(ROWS["openai"], environ)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://res.openai.azure.com",
        "https://res.openai.azure.com/",
        "https://res.openai.azure.com/openai/v1",
        "https://res.openai.azure.com/openai/v1/",
    ],
)
def test_azure_is_asked_at_the_endpoint_of_the_resource(endpoint: str):
    environ = {"AZURE_OPENAI_ENDPOINT": endpoint}
    address = base_url_of(ROWS["azure-openai"], environ)
    assert address == "https://res.openai.azure.com/openai/v1"


def test_azure_without_an_endpoint_is_an_error_that_names_the_variable():
    with pytest.raises(ConfigurationError) as caught:
        base_url_of(ROWS["azure-openai"], {})
    assert caught.value.provider == "azure-openai"
    assert "AZURE_OPENAI_ENDPOINT is not set" in caught.value.text
    assert "base_urls={'azure-openai':" in (caught.value.hint or "")


def test_placeholders_may_stand_anywhere_in_an_address():
    row = row_of(base_url="https://{ACME_REGION}.acme.example/{ACME_TEAM}/v1")
    environ = {"ACME_REGION": "eu", "ACME_TEAM": "blue"}
    assert base_url_of(row, environ) == "https://eu.acme.example/blue/v1"
    with pytest.raises(ConfigurationError, match="ACME_TEAM is not set"):
        base_url_of(row, {"ACME_REGION": "eu"})


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("anthropic", "https://api.anthropic.com/v1/models"),
        ("groq", "https://api.groq.com/openai/v1/models"),
        ("ollama", "http://127.0.0.1:11434/api/tags"),
        ("perplexity", None),
    ],
)
def test_the_list_of_models_is_asked_for_where_it_is(name: str, address: str | None):
    row = ROWS[name]
    target = Target(
        provider=name, model=row.example, base_url=row.base_url, quirks=quirks_for(row, row.example)
    )
    asked = get_dialect(row.dialect).models_request(target)
    assert (asked.url.partition("?")[0] if asked else None) == address
