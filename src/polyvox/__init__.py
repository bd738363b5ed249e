"""Polyvox: everything a program does with language models.

    import polyvox
    reply = polyvox.ask("simulated/echo", "Why is the sky blue?")
    print(reply.text, reply.usage.cost)

This is the front door: it names the public API and imports each thing when it is first used, so
that ``import polyvox`` costs next to nothing.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from polyvox.agent import Agent as Agent
    from polyvox.agent import AgentResult as AgentResult
    from polyvox.agent import AgentStream as AgentStream
    from polyvox.agent import RunLimits as RunLimits
    from polyvox.agent import RunState as RunState
    from polyvox.agent.sessions import JsonlSessions as JsonlSessions
    from polyvox.agent.sessions import SqliteSessions as SqliteSessions
    from polyvox.agent.tasks import CompletionFramework as CompletionFramework
    from polyvox.agent.tasks import CompletionResult as CompletionResult
    from polyvox.agent.tasks import TaskStatus as TaskStatus
    from polyvox.agent.tasks import UserInterrupts as UserInterrupts
    from polyvox.agent.tasks import run_until_done as run_until_done
    from polyvox.agent.tasks import run_until_done_sync as run_until_done_sync
    from polyvox.attempt import Attempt as Attempt
    from polyvox.caching import Cached as Cached
    from polyvox.caching import DiskCache as DiskCache
    from polyvox.caching import MemoryCache as MemoryCache
    from polyvox.caching import RedisCache as RedisCache
    from polyvox.caching import SemanticCache as SemanticCache
    from polyvox.catalog import Catalog as Catalog
    from polyvox.catalog import ModelFacts as ModelFacts
    from polyvox.client import AsyncClient as AsyncClient
    from polyvox.client import AsyncStream as AsyncStream
    from polyvox.client import Client as Client
    from polyvox.client import EmbedSettings as EmbedSettings
    from polyvox.client import Parsed as Parsed
    from polyvox.client import Settings as Settings
    from polyvox.client import Stream as Stream
    from polyvox.client import TokenCount as TokenCount
    from polyvox.client import ask as ask
    from polyvox.client import embed as embed
    from polyvox.client import parse as parse
    from polyvox.composite import Council as Council
    from polyvox.composite import MixtureOfAgents as MixtureOfAgents
    from polyvox.config import Config as Config
    from polyvox.config import Setup as Setup
    from polyvox.config import load_config as load_config
    from polyvox.embedding import Embedder as Embedder
    from polyvox.embedding import EmbeddingRequest as EmbeddingRequest
    from polyvox.embedding import Embeddings as Embeddings
    from polyvox.errors import AbortedError as AbortedError
    from polyvox.errors import AuthenticationError as AuthenticationError
    from polyvox.errors import BadRequestError as BadRequestError
    from polyvox.errors import BudgetExceededError as BudgetExceededError
    from polyvox.errors import ConfigurationError as ConfigurationError
    from polyvox.errors import ContentFilterError as ContentFilterError
    from polyvox.errors import ContextWindowExceededError as ContextWindowExceededError
    from polyvox.errors import InvalidAnswerError as InvalidAnswerError
    from polyvox.errors import MissingKeyError as MissingKeyError
    from polyvox.errors import NetworkError as NetworkError
    from polyvox.errors import NotFoundError as NotFoundError
    from polyvox.errors import OverloadedError as OverloadedError
    from polyvox.errors import PermissionDeniedError as PermissionDeniedError
    from polyvox.errors import PolyvoxError as PolyvoxError
    from polyvox.errors import ProtocolError as ProtocolError
    from polyvox.errors import RateLimitError as RateLimitError
    from polyvox.errors import RequestTimeoutError as RequestTimeoutError
    from polyvox.errors import RunLimitError as RunLimitError
    from polyvox.errors import ServerError as ServerError
    from polyvox.errors import UnknownPriceError as UnknownPriceError
    from polyvox.events import Done as Done
    from polyvox.events import Event as Event
    from polyvox.events import Failed as Failed
    from polyvox.events import Nested as Nested
    from polyvox.events import Start as Start
    from polyvox.events import TextDelta as TextDelta
    from polyvox.events import TextEnd as TextEnd
    from polyvox.events import TextStart as TextStart
    from polyvox.events import ThinkingDelta as ThinkingDelta
    from polyvox.events import ThinkingEnd as ThinkingEnd
    from polyvox.events import ThinkingStart as ThinkingStart
    from polyvox.events import ToolCallDelta as ToolCallDelta
    from polyvox.events import ToolCallEnd as ToolCallEnd
    from polyvox.events import ToolCallStart as ToolCallStart
    from polyvox.events import Warned as Warned
    from polyvox.http import Timeouts as Timeouts
    from polyvox.layers import layered as layered
    from polyvox.ledger import CallLog as CallLog
    from polyvox.ledger import CostTracker as CostTracker
    from polyvox.ledger import JsonlSink as JsonlSink
    from polyvox.ledger import Logged as Logged
    from polyvox.ledger import MemorySink as MemorySink
    from polyvox.ledger import SqliteSink as SqliteSink
    from polyvox.ledger import Traced as Traced
    from polyvox.ledger import Tracked as Tracked
    from polyvox.ledger import default_log as default_log
    from polyvox.limits import Budget as Budget
    from polyvox.limits import Budgeted as Budgeted
    from polyvox.limits import MemoryLimits as MemoryLimits
    from polyvox.limits import RateLimit as RateLimit
    from polyvox.limits import RateLimited as RateLimited
    from polyvox.limits import RedisLimits as RedisLimits
    from polyvox.messages import AssistantMessage as AssistantMessage
    from polyvox.messages import File as File
    from polyvox.messages import Image as Image
    from polyvox.messages import Message as Message
    from polyvox.messages import Prompt as Prompt
    from polyvox.messages import SystemMessage as SystemMessage
    from polyvox.messages import Text as Text
    from polyvox.messages import Thinking as Thinking
    from polyvox.messages import ToolCall as ToolCall
    from polyvox.messages import ToolMessage as ToolMessage
    from polyvox.messages import UserMessage as UserMessage
    from polyvox.messages import assistant as assistant
    from polyvox.messages import dump_messages as dump_messages
    from polyvox.messages import load_messages as load_messages
    from polyvox.messages import tool_result as tool_result
    from polyvox.messages import user as user
    from polyvox.model import Call as Call
    from polyvox.model import Interrupt as Interrupt
    from polyvox.model import Model as Model
    from polyvox.providers import UrlFetch as UrlFetch
    from polyvox.request import NamedTool as NamedTool
    from polyvox.request import Reasoning as Reasoning
    from polyvox.request import Request as Request
    from polyvox.request import ResponseFormat as ResponseFormat
    from polyvox.request import ToolDefinition as ToolDefinition
    from polyvox.routing import Cooldown as Cooldown
    from polyvox.routing import Deployment as Deployment
    from polyvox.routing import DeploymentStatus as DeploymentStatus
    from polyvox.routing import Pool as Pool
    from polyvox.routing import Retrying as Retrying
    from polyvox.routing import RetryPolicy as RetryPolicy
    from polyvox.routing import Router as Router
    from polyvox.routing import key_pool as key_pool
    from polyvox.secret import Secret as Secret
    from polyvox.tools import Tool as Tool
    from polyvox.tools import ToolContext as ToolContext
    from polyvox.tools import ToolResult as ToolResult
    from polyvox.tools import ToolRetry as ToolRetry
    from polyvox.tools import Toolset as Toolset
    from polyvox.tools import tool as tool
    from polyvox.tools.mcp import McpToolset as McpToolset
    from polyvox.usage import ZERO_USAGE as ZERO_USAGE
    from polyvox.usage import Cost as Cost
    from polyvox.usage import Usage as Usage

__version__ = "0.1.0"

_HOMES = {
    "caching": "Cached DiskCache MemoryCache RedisCache SemanticCache",
    "composite": "Council MixtureOfAgents",
    "config": "Config Setup load_config",
    "ledger": "CallLog CostTracker JsonlSink Logged MemorySink SqliteSink Traced Tracked default_log",
    "limits": "Budget Budgeted MemoryLimits RateLimit RateLimited RedisLimits",
    "routing": "Cooldown Deployment DeploymentStatus Pool RetryPolicy Retrying Router key_pool",
    "agent": "Agent AgentResult AgentStream RunLimits RunState",
    "agent.sessions": "JsonlSessions SqliteSessions",
    "agent.tasks": (
        "CompletionFramework CompletionResult TaskStatus UserInterrupts run_until_done"
        " run_until_done_sync"
    ),
    "tools.mcp": "McpToolset",
    "attempt": "Attempt",
    "catalog": "Catalog ModelFacts",
    "client": (
        "AsyncClient AsyncStream Client EmbedSettings Parsed Settings Stream TokenCount ask embed parse"
    ),
    "embedding": "Embedder EmbeddingRequest Embeddings",
    "errors": (
        "AbortedError AuthenticationError BadRequestError BudgetExceededError ConfigurationError"
        " ContentFilterError ContextWindowExceededError InvalidAnswerError MissingKeyError"
        " NetworkError NotFoundError OverloadedError PermissionDeniedError PolyvoxError"
        " ProtocolError RateLimitError RequestTimeoutError RunLimitError ServerError"
        " UnknownPriceError"
    ),
    "events": (
        "Done Event Failed Nested Start TextDelta TextEnd TextStart ThinkingDelta ThinkingEnd"
        " ThinkingStart ToolCallDelta ToolCallEnd ToolCallStart Warned"
    ),
    "http": "Timeouts",
    "layers": "layered",
    "messages": (
        "AssistantMessage File Image Message Prompt SystemMessage Text Thinking ToolCall ToolMessage"
        " UserMessage assistant dump_messages load_messages tool_result user"
    ),
    "model": "Call Interrupt Model",
    "providers": "UrlFetch",
    "request": "NamedTool Reasoning Request ResponseFormat ToolDefinition",
    "secret": "Secret",
    "tools": "Tool ToolContext ToolResult ToolRetry Toolset tool",
    "usage": "Cost Usage ZERO_USAGE",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = ["__version__", *_HOME_OF]  # noqa: PLE0604 # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'polyvox' has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"polyvox.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
