"""Looks at the /health of a gateway until its standard input ends, and prints how long each answer took.

A process of its own, so that nothing but the gateway can hold an answer up.
"""

import json
import select
import sys
import time
from http.client import HTTPConnection
from urllib.parse import urlsplit

PAUSE = 0.002


def main() -> None:
    address = urlsplit(sys.argv[1])
    connection = HTTPConnection(str(address.hostname), address.port, timeout=30)
    seconds: list[float] = []
    while not seconds or not select.select([sys.stdin], [], [], PAUSE)[0]:
        began = time.perf_counter()
        connection.request("GET", "/health")
        answer = connection.getresponse()
        report = json.loads(answer.read())
        seconds.append(time.perf_counter() - began)
        assert (answer.status, report["status"]) == (200, "ok"), report
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
