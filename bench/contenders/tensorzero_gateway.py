"""TensorZero's embedded gateway, as ``patch_openai_client`` has it: over HTTP, in Python's process.

``python -m bench.contenders.tensorzero_gateway CONFIG`` prints its address, and serves until stdin is closed.
"""

import sys

import tensorzero


def main(config: str) -> None:
    gateway = tensorzero._start_http_gateway(
        config_file=config,
        clickhouse_url=None,
        postgres_url=None,
        valkey_url=None,
        async_setup=False,
    )
    print(gateway.base_url, flush=True)
    sys.stdin.read()
    gateway.close()


if __name__ == "__main__":
    main(sys.argv[1])
