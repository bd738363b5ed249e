"""LiteLLM as a provider: ``litellm/<any name LiteLLM knows>``, with our events, usage and errors.

    loading   LiteLLM itself, imported when the first model is asked
    asking    a request becomes the arguments of ``litellm.acompletion``
    chunks    LiteLLM's chunks become frames that the openai-chat dialect decodes
    failures  LiteLLM's exceptions become ours
    prices    our catalog's price, else LiteLLM's
    model     the Model that joins them
    embedder  embeddings, by ``litellm.aembedding``

Everything is told to LiteLLM with the call; its module-level settings, callbacks and keys are the
user's own and are never written to. What it does by itself stays as it is: in its development mode
it reads a ``.env`` file, and when a call fails it prints a hint on standard output, unless
``litellm.suppress_debug_info`` is set.
"""

from polyvox.providers.litellm.embedder import LiteLLMEmbedder
from polyvox.providers.litellm.loading import load
from polyvox.providers.litellm.model import LiteLLMModel
from polyvox.providers.litellm.prices import OUR_NAMES

__all__ = ["OUR_NAMES", "LiteLLMEmbedder", "LiteLLMModel", "load"]
