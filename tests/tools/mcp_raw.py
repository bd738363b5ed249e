"""A server without any package, for what no package would do: ``python mcp_raw.py KIND``."""

import json
import os
import signal
import sys
import time
from typing import Any

KIND = sys.argv[1]
TOOL: dict[str, Any] = {"name": "pid", "inputSchema": {"type": "object"}}


def send(identity: object, result: object) -> None:
    print(json.dumps({"jsonrpc": "2.0", "id": identity, "result": result}), flush=True)


def called() -> dict[str, Any]:
    if KIND == "hologram":
        return {"content": [{"type": "hologram", "data": "x"}]}
    text = "x" * 20_000_000 if KIND == "giant" else str(os.getpid())
    return {"content": [{"type": "text", "text": text}]}


def answer(identity: object, method: str) -> None:
    if method == "initialize":
        if KIND == "noisy":
            sys.stdout.buffer.write(b'Server is up!\n\xff\xfe\n\n{}\n[1]\n{"jsonrpc":"2.0"}\n')
        about = {"name": "raw", "version": "1"}
        capabilities: dict[str, Any] = {"tools": {}}
        version = "2025-06-18"
        send(
            identity,
            {"protocolVersion": version, "capabilities": capabilities, "serverInfo": about},
        )
    elif method == "tools/list":
        send(identity, {"tools": [{"name": "bare"}] if KIND == "bare" else [TOOL]})
    elif method == "tools/call":
        send(identity, called())
    else:
        error = {"code": -32601, "message": "Method not found"}
        print(json.dumps({"jsonrpc": "2.0", "id": identity, "error": error}), flush=True)


if KIND == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        answer(message["id"], message["method"])
while KIND == "stubborn":
    time.sleep(1)
