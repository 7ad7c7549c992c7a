"""``timeout=`` of every form of an answer, and Ctrl-C in the middle of one."""

import datetime as dt
import os
import signal
import threading
import time

import numpy as np
import pyarrow as pa
import pytest

import kith

ROWS = 300_000
SLOW = "regexp_like(item, '(1|2|3)(4|5|6)?[0-9]*(7|8)[0-9]?9$') OR regexp_like(item, '^i?t?e?m? .*(99|88).*(77|66)0')"


@pytest.fixture(scope="module")
def table():
    items = pa.array([f"item {i}" for i in range(ROWS)])
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(ROWS * 4, dtype="f4") % 1000), 4)
    data = pa.table({"n": pa.array(range(ROWS)), "item": items, "vector": vectors})
    return kith.connect("memory://").create_table("t", data, auto_index=False)


def queries(table):
    """Each kind of query, of few rows."""
    return [
        table.search([0.0] * 4).limit(3), table.search([0.0] * 4).where("n < 5").limit(3), table.search().where("n < 5"),
        table.search().limit(2), table.take_row_ids([1, 2]), table.search().order_by("n desc").limit(1), table.search().select({"m": "n + 1"}).limit(1),
    ]  # fmt: skip


def test_time_that_is_over_is_told_by_every_form(table):
    forms = [
        lambda query, **how: query.to_list(**how), lambda query, **how: query.to_arrow(**how),
        lambda query, **how: query.to_pandas(**how), lambda query, **how: query.to_polars(**how),
        lambda query, **how: query.to_batches(**how).read_all(),
    ]  # fmt: skip
    for query in queries(table):
        for form in forms:
            for over in (dt.timedelta(0), 0, -1.5):
                with pytest.raises(kith.errors.TimedOutError, match="timed out"):
                    form(query, timeout=over)
            rows = form(query, timeout=dt.timedelta(minutes=10))
            assert len(rows) == len(form(query)) == len(form(query, timeout=600.5)) > 0


def test_a_table_and_its_count_have_it_too(table):
    with pytest.raises(TimeoutError, match="timed out"):
        table.count_rows("n = 3", timeout=0)
    with pytest.raises(kith.errors.TimedOutError):
        table.to_arrow(timeout=0)
    assert table.count_rows("n = 3", timeout=600) == 1
    assert table.to_arrow(timeout=600).num_rows == ROWS


def test_a_key_is_looked_up_within_it():
    table = kith.connect("memory://").create_table("t", [{"id": i} for i in range(10)], key="id")
    assert table.get([3, 4]).to_list(timeout=100) == [{"id": 3}, {"id": 4}]
    with pytest.raises(kith.errors.TimedOutError):
        table.get([3, 4]).to_list(timeout=0)


def test_a_long_filter_ends_within_it(table):
    for call in (
        lambda: table.count_rows(SLOW, timeout=0.001),
        lambda: table.search().where(SLOW).to_list(timeout=dt.timedelta(milliseconds=1)),
        lambda: table.search([0.0] * 4).where(SLOW).to_arrow(timeout=0.001),
    ):
        with pytest.raises(kith.errors.TimedOutError, match="0.001 seconds"):
            call()


@pytest.mark.parametrize("bad", ["1", True, float("nan"), [1]])
def test_what_is_no_time_is_refused(table, bad):
    with pytest.raises(kith.errors.InvalidError, match="timedelta"):
        table.search().to_list(timeout=bad)


def test_a_stream_that_is_read_too_late_says_so(table):
    reader = table.search().to_batches(timeout=0.5)
    time.sleep(0.6)
    with pytest.raises(OSError, match="timed out"):
        reader.read_all()


def test_ctrl_c_stops_a_long_search_and_a_long_filter(table):
    """Each call would take ten seconds and more; an exception after that would be Python's own. (Whatever runs in the background
    of a shell has SIGINT ignored.)"""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def press():
        if not done.wait(0.2):
            os.kill(os.getpid(), signal.SIGINT)

    slower = " OR ".join(SLOW.replace("9$", f"{i}9$").replace("77", f"7{i}") for i in range(10) for _ in range(3))
    matrix = np.zeros((60_000, 4), "f4")
    for call in (
        lambda: table.search(matrix).bypass_vector_index().to_arrow(),
        lambda: table.count_rows(slower),
        lambda: table.search().where(slower).to_list(),
        lambda: table.search([0.0] * 4).where(slower).to_list(),
    ):
        done = threading.Event()
        presser = threading.Thread(target=press)
        begin = time.perf_counter()
        with pytest.raises(KeyboardInterrupt):
            presser.start()
            try:
                call()
            finally:
                done.set()
                presser.join()
        assert time.perf_counter() - begin < 5
    signal.signal(signal.SIGINT, before)
    assert table.count_rows() == ROWS
