"""The extension's own robustness: wrong objects, consumed capsules, no leaks."""

import gc
import tracemalloc

import numpy as np
import pyarrow as pa
import pytest

import kith
from kith import _core


def test_every_exception_is_kiths_and_a_built_in():
    habits = {
        "InvalidError": ValueError, "NotFoundError": KeyError, "ExistsError": FileExistsError, "TypeMismatchError": TypeError, "StorageError": OSError,
        "CorruptError": OSError, "OutOfMemoryError": MemoryError, "ConflictError": RuntimeError, "UnknownOutcomeError": OSError,
        "CancelledError": RuntimeError, "UnsupportedError": NotImplementedError, "ReadOnlyError": ValueError,
        "TimedOutError": TimeoutError,
    }  # fmt: skip
    for status, (name, habit) in enumerate(habits.items(), 1):
        error = kith.errors.from_status(status, "it's so")
        assert type(error).__name__ == name and isinstance(error, habit) and isinstance(error, kith.KithError)
        assert str(error) == "it's so" and error.status == status


def test_objects_of_the_extension_are_not_made_by_hand():
    for kind in (_core.Database, _core.Table, _core.Searcher):
        with pytest.raises(TypeError):
            kind()
    with pytest.raises(ValueError):
        _core.search_rows(_core.Options())
    with pytest.raises(TypeError):
        _core.search_rows(3)  # type: ignore[arg-type]
    for call in (_core.stream_rows, _core.stream_schema, _core.empty_stream, _core.schema_fields):
        with pytest.raises((ValueError, TypeError)):
            call(object())


def test_a_capsule_is_consumed_once(db):
    stream = pa.table({"x": [1]}).__arrow_c_stream__()
    db.create_table("t", type("Once", (), {"__arrow_c_stream__": lambda self, requested_schema=None: stream})())
    with pytest.raises(ValueError, match="consumed"):
        db["t"].add(type("Once", (), {"__arrow_c_stream__": lambda self, requested_schema=None: stream})())


def test_a_stream_that_fails_says_why(db):
    def batches():
        yield pa.record_batch({"x": [1]})
        raise RuntimeError("the source broke")

    def reader():
        return pa.RecordBatchReader.from_batches(pa.schema([("x", pa.int64())]), batches())

    class Opaque:
        def __arrow_c_stream__(self, requested_schema=None):
            return reader().__arrow_c_stream__()

    with pytest.raises(ValueError, match="the source broke"):
        db.create_table("t", Opaque())
    with pytest.raises(RuntimeError, match="the source broke"):  # a reader's is the user's own, as a generator's is
        db.create_table("t", reader())
    assert "t" not in db


def test_a_damaged_file_is_an_error_that_names_it(db):
    import pathlib

    table = db.create_table("t", {"vector": np.random.default_rng(8).standard_normal((5000, 32)).astype("f4")})
    assert table.verify() >= 1
    name = table.name
    files = sorted(pathlib.Path(db.uri).rglob("*.arrow"), key=lambda path: path.stat().st_size)
    del table
    data = bytearray(files[-1].read_bytes())
    data[len(data) // 2] ^= 1
    files[-1].chmod(0o644)
    files[-1].write_bytes(data)
    with pytest.raises(kith.errors.CorruptError, match=files[-1].stem):
        kith.connect(db.uri)[name].verify()


def test_a_folder_that_cannot_be_made_is_an_os_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        kith.connect(tmp_path / "file" / "db")


def test_nothing_leaks(db):
    import resource

    rows = [{"vector": np.ones(64, "f4"), "s": "x" * 100, "l": [1, 2, 3], "d": {"a": 1}} for _ in range(500)]
    table = db.create_table("t", rows)
    memory = kith.connect("memory://")
    keyed = memory.create_table("keyed", [{"id": i, "s": "x" * 100, "l": [1, 2]} for i in range(100)], key="id", versions="off")

    def round_():
        list(_core.stream_rows(_core.rows_stream(rows)))
        _core.stream_columns(table.__arrow_c_stream__())
        table.search(np.ones(64)).limit(50).to_list()
        table.search(np.ones((3, 64))).limit(5).to_pandas()
        table.searcher()(np.ones((4, 64)))
        kith.Schema.from_arrow(table)
        memory.create_table("m", rows, mode="overwrite")
        memory.drop_table("m")
        keyed.upsert([{"id": i, "s": "y" * 100} for i in range(50)])
        keyed.update("id < 10", {"s": "z" * 1000, "l": [1, 2, 3]})
        keyed.update(values_sql={"s": "s || 'x'"})
        keyed.delete(row_ids=[1, 2, 3])
        keyed.delete(kith.col("id") == 12345)
        keyed.get(range(40), ["s"]).to_list()
        keyed.tags.create("t", keyed.version)
        keyed.tags.list(), keyed.tags.delete("t"), keyed.list_versions()
        for wrong in (lambda: keyed.update(values={"s": object()}), lambda: keyed.update("nope", {"s": ""}), lambda: keyed.upsert([{"id": "x"}]), lambda: keyed.get(["x"]).to_list()):
            with pytest.raises((ValueError, TypeError)):
                wrong()
        for bad in ([{"a": 1}, {"a": "x"}], [{"vector": [1.0, "x"]}]):
            with pytest.raises(ValueError):
                _core.rows_stream(bad)

    for _ in range(20):
        round_()
    gc.collect()
    tracemalloc.start()
    before, base = tracemalloc.take_snapshot(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(100):
        round_()
    gc.collect()
    grown = sum(one.size_diff for one in tracemalloc.take_snapshot().compare_to(before, "filename"))
    tracemalloc.stop()
    assert grown < 300_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base < 60_000  # KiB
