"""What the parts of a gateway count themselves, as metrics; and the gateway's own words as lines."""

import io
import json
import logging
from types import SimpleNamespace

import pytest

from polyvox.gateway.operations.admission import Admission
from polyvox.gateway.operations.gauges import (
    watch_admission,
    watch_debts,
    watch_journal,
    watch_log,
    watch_store,
)
from polyvox.gateway.operations.log_lines import LogLines, Repeats
from polyvox.gateway.operations.log_records import LogRecords
from polyvox.gateway.operations.metrics import Metrics

CANARY = "sk-ant-api03-canarycanarycanarycanarycanary"


async def test_the_parts_are_read_when_somebody_asks():
    metrics, admission = Metrics(), Admission(2, 1, 1)
    journal = SimpleNamespace(failing=None, waiting_bytes=10, dropped=2)
    shipper = SimpleNamespace(lag=SimpleNamespace(seconds=1.5), shipped=7, refused=1)
    database = SimpleNamespace(state=SimpleNamespace(status="down", since=0.0))
    redis = SimpleNamespace(state="untried")
    watch_admission(metrics, admission)
    watch_journal(metrics, journal, shipper)
    watch_store(metrics, "database", database)
    watch_store(metrics, "redis", redis)
    watch_debts(metrics, SimpleNamespace(owed=3, lost=4))
    watch_log(metrics, LogLines("off"))
    await admission.enter()
    journal.failing = "disk full"
    text = metrics.text().decode()
    for line in (
        'polyvox_in_flight{worker="1"} 1.0',
        'polyvox_not_admitted_total{why="full",worker="1"} 0.0',
        'polyvox_journal_waiting_bytes{worker="1"} 10.0',
        'polyvox_journal_failing{worker="1"} 1.0',
        'polyvox_shipper_lag_seconds{worker="1"} 1.5',
        'polyvox_store_up{store="database",worker="1"} 0.0',
        'polyvox_store_up{store="redis",worker="1"} 1.0',
        'polyvox_limits_owed{worker="1"} 3.0',
        'polyvox_limits_lost_total{worker="1"} 4.0',
        'polyvox_log_dropped_total{worker="1"} 0.0',
    ):
        assert line in text


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def told(stream: io.StringIO, *records: tuple[int, str, str]) -> list[dict[str, object]]:
    lines = LogLines("json", stream)
    logger = logging.getLogger("polyvox.gateway.database.engine")
    handler = LogRecords(lines, repeats=Repeats(2, 60))
    logger.addHandler(handler)
    for level, text, value in records:
        logger.log(level, text, value)
    logger.removeHandler(handler)
    lines.close()
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_what_a_module_tells_is_a_line(stream: io.StringIO):
    (line,) = told(stream, (logging.WARNING, "the database %s can't be used", "at db"))
    assert (line["about"], line["of"]) == ("warning", "gateway.database.engine")
    assert line["text"] == "the database at db can't be used"


def test_what_is_told_again_and_again_is_held_back(stream: io.StringIO):
    lines = told(stream, *[(logging.WARNING, "%s is down", "it")] * 50)
    assert len(lines) == 2


def test_what_is_told_of_one_thing_holds_back_nothing_of_another(stream: io.StringIO):
    lines = LogLines("json", stream)
    handler = LogRecords(lines, repeats=Repeats(2, 60))
    for of in ["openai"] * 5 + ["groq"]:
        record = logging.makeLogRecord({"name": "polyvox.gateway", "msg": "refused by %s"})
        record.args, record.repeats_of = (of,), of
        handler.emit(record)
    lines.close()
    texts = [json.loads(line)["text"] for line in stream.getvalue().splitlines()]
    assert texts == ["refused by openai"] * 2 + ["refused by groq"]


def test_a_key_in_what_is_told_is_masked(stream: io.StringIO):
    told(stream, (logging.ERROR, "refused: %s", CANARY))
    assert "refused" in stream.getvalue()
    assert CANARY not in stream.getvalue()
