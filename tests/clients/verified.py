"""Whose SDK verifies which rows: what `tier = "verified"` in providers.toml means, as data.

A row stands below the SDK that its provider's own documentation sets at this very API; of a provider
that has an SDK of its own for it, only that one counts. `test_verified_rows.py` sets each SDK against
a mock of each of its rows.
"""

VERIFIED: dict[str, tuple[str, ...]] = {
    "openai": (
        *("azure-openai", "deepseek", "llama-cpp", "lmstudio", "moonshot", "nvidia", "openai"),
        *("openai-responses", "vllm", "xai"),
    ),
    "anthropic": ("anthropic", "minimax", "minimax-cn"),
    "mistralai": ("mistral",),
    "google-genai": ("google",),
    "ollama": ("ollama",),
}
