"""Runs a client's program: reads jobs from stdin, a line of JSON each, and writes what came of them.

    python worker.py openai_chat

A job is ``{"act": ..., "url": ..., "key": ..., "model": ...}``; a program has a function for each act.
It needs nothing of this project, so that it runs in any environment.
"""

import json
import sys
import traceback
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace


def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # what a library prints is no answer
    sys.path[0] = str(Path(__file__).parent)
    program = import_module(sys.argv[1])
    for line in sys.stdin:
        job = SimpleNamespace(**json.loads(line))
        try:
            told = getattr(program, job.act)(job)
        except Exception:  # noqa: BLE001 - whoever sent the job is to see it
            told = {"failed": traceback.format_exc()}
        answers.write(json.dumps(told) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
