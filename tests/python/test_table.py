"""Tables: rows in and out, versions, row ids, sizes."""

import datetime as dt
import pathlib

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import kith

ROWS = [{"id": i, "vector": [float(i), 1.0], "item": f"item {i}"} for i in range(10)]


@pytest.fixture
def table(db):
    return db.create_table("t", ROWS)


def test_counting(table):
    assert len(table) == table.count_rows() == 10
    assert table.count_rows("id > 3") == 6


def test_all_forms_of_the_rows_agree(table):
    assert table.to_list() == ROWS
    assert table.to_arrow().to_pylist() == ROWS
    assert table.to_polars().to_dicts() == ROWS
    assert table.to_pandas().to_dict("records")[3]["item"] == "item 3"
    assert [batch.num_rows for batch in table.search().to_batches()] == [10]
    assert table.head(3).to_pylist() == ROWS[:3]
    assert table.head(0).num_rows == 0


def test_a_table_is_read_by_everything_that_speaks_arrow(table):
    assert pa.table(table).to_pylist() == ROWS
    assert pa.RecordBatchReader.from_stream(table).read_all().to_pylist() == ROWS
    assert pl.DataFrame(table).to_dicts() == ROWS
    assert pd.DataFrame.from_arrow(table)["item"].tolist() == [row["item"] for row in ROWS]
    mine = table  # noqa: F841 - DuckDB finds it by name
    assert duckdb.sql("select count(*), sum(id) from mine").fetchall() == [(10, 45)]
    assert pa.schema(table) == table.schema
    again = table.__arrow_c_stream__()
    assert pa.RecordBatchReader._import_from_c_capsule(again).read_all().num_rows == 10


def test_duckdb_joins_a_table_with_itself_and_knows_its_vectors(table):
    mine = table  # noqa: F841
    assert duckdb.sql("select count(*) from mine a join mine b on a.id = b.id").fetchall() == [(10,)]
    nearest = duckdb.sql("select id from mine order by array_distance(vector, [4.2, 1.0]::float[2]) limit 1").fetchall()
    assert nearest == [(4,)]


def test_a_stream_outlives_its_table_and_database(tmp_path):
    def stream():
        return kith.connect(tmp_path / "x").create_table("t", ROWS).__arrow_c_stream__()

    reader = pa.RecordBatchReader._import_from_c_capsule(stream())
    assert reader.read_all().to_pylist() == ROWS


def test_a_stream_pins_the_version_it_began_with(table):
    reader = pa.RecordBatchReader.from_stream(table)
    table.add(ROWS)
    assert reader.read_all().num_rows == 10 and len(table) == 20


def test_a_stream_that_nobody_reads_costs_nothing(table):
    for _ in range(100):
        table.__arrow_c_stream__()
        table.search([1.0, 1.0]).__arrow_c_stream__()


def test_scans_select_limit_offset_and_row_ids(table):
    assert table.search().to_list() == ROWS
    assert table.search().limit(2).offset(3).select(["id"]).to_list() == [{"id": 3}, {"id": 4}]
    assert table.search().limit(0).to_arrow().num_rows == 10
    assert table.search().offset(99).to_list() == []
    assert table.search().select(["item", "id"]).limit(1).to_list() == [{"item": "item 0", "id": 0}]
    assert [row["_rowid"] for row in table.search().select(["id"]).with_row_id().to_list()] == list(range(10))
    assert table.search().select(["_rowid"]).to_list()[9] == {"_rowid": 9}
    with pytest.raises(ValueError, match="nope"):
        table.search().select(["nope"]).to_list()
    with pytest.raises(ValueError):
        table.search().select("id").to_list()
    with pytest.raises(ValueError):
        table.search().offset(-1)
    for wrong in ("3", 2.5, [1]):
        with pytest.raises(ValueError, match="limit must be a whole number"):
            table.search().limit(wrong)


def test_rows_are_taken_by_id_and_by_place(table):
    assert [row["id"] for row in table.take_row_ids([7, 2, 2, 99]).to_list()] == [2, 2, 7]
    assert table.take_row_ids([3]).select(["item"]).with_row_id().to_list() == [{"item": "item 3", "_rowid": 3}]
    table.add(ROWS, mode="overwrite")
    assert [row["id"] for row in table.take_offsets([9, 0, 4, 4, 10]).to_list()] == [0, 4, 4, 9]
    assert table.take_offsets([]).to_list() == []
    with pytest.raises(ValueError):
        table.take_offsets([-1])


def test_adding_gives_a_version_and_overwriting_keeps_the_old_ones(table):
    assert table.version == 1
    assert table.add(ROWS[:2]).version == 2 == table.version
    assert table.add(ROWS[:1], mode="overwrite").version == 3
    assert len(table) == 1
    with pytest.raises(ValueError, match="mode"):
        table.add(ROWS, mode="replace")
    versions = table.list_versions()
    assert [one["version"] for one in versions] == [1, 2, 3]
    assert all(abs(one["timestamp"] - dt.datetime.now()) < dt.timedelta(minutes=5) for one in versions)
    assert all(isinstance(one["metadata"], dict) for one in versions)


def test_an_old_version_is_read_and_not_written(table):
    table.add(ROWS)
    table.checkout(1)
    assert len(table) == 10 and table.version == 1
    assert len(table.search([0.0, 0.0]).limit(100).to_list()) == 10
    for write in (lambda: table.add(ROWS), lambda: table.create_index()):
        with pytest.raises(ValueError):
            write()
    table.checkout_latest()
    assert len(table) == 20 and table.version == 2
    table.add(ROWS)
    with pytest.raises(ValueError, match="9999"):
        table.checkout(9999)


def test_two_handles_see_each_others_rows_at_once(db, table):
    other = kith.connect(db.uri)["t"]
    for i in range(1, 4):
        table.add(ROWS[:1])
        assert len(other) == len(table) == 10 + 2 * i - 1
        other.add(ROWS[:1])
        assert len(other) == len(table) == 10 + 2 * i


def test_many_small_adds_are_all_there(db):
    table = db.create_table("small", ROWS[:1])
    for row in ROWS * 10:
        table.add([row])
    assert len(table) == 101
    assert table.stats()["num_rows"] == 101
    assert table.verify() >= 0


def test_schema_without_and_with_pyarrow_agree(table):
    light = kith.Schema.from_arrow(table)
    assert light.names == table.schema.names
    assert pa.schema(light) == table.schema
    assert str(light.field("vector").type) == "fixed_size_list<float32>[2]"
    with pytest.raises(KeyError):
        light.field("nope")


def test_what_later_versions_bring_is_refused_in_words(table):
    calls = [
        lambda: table.search("text"), lambda: table.search([1.0, 1.0], query_type="hybrid"), lambda: table.search(query_type="fts"),
        lambda: table.search([1.0, 1.0]).rerank(None), lambda: table.create_fts_index("item"), lambda: table.add_columns(computed={"x": "id"}),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(NotImplementedError, match="not in this version"):
            call()
    assert len(table.search([1.0, 1.0]).where(None).to_list()) == 10
    table.optimize()


def test_where_a_table_is(db, table):
    assert (pathlib.Path(table.uri) / "log").is_dir() and table.uri.startswith(db.uri)
    assert kith.connect("memory://").create_table("t", [{"a": 1}]).uri == "memory://t.kith"


def test_arguments_of_add_are_looked_at(table):
    for wrong, words in (({"write_parallelism": 0}, "write_parallelism"), ({"idempotency_key": 5}, "idempotency_key"), ({"idempotency_key": ""}, "key has 1 to 200 bytes")):
        with pytest.raises(ValueError, match=words):
            table.add(ROWS, **wrong)
    assert table.version == 1 and table.add(ROWS, write_parallelism=4).version == 2


def test_repr_names_table_version_and_place(table):
    assert "name='t'" in repr(table) and "version=1" in repr(table)


def test_optional_columns_and_nested_values_survive_pandas(db):
    rows = [{"i": 1, "f": 1.5, "b": True, "s": "x", "l": [1, 2], "st": {"a": 1}, "ts": dt.datetime(2020, 1, 1), "d": dt.date(2020, 1, 1),
             "vector": np.ones(3, "f2"), "z": b"x", "e": dt.timedelta(1), "zoned": dt.datetime(2020, 1, 1, tzinfo=dt.timezone.utc), "t": dt.time(1)}]  # fmt: skip
    for data in (rows, rows + [dict.fromkeys(rows[0])]):
        table = db.create_table("p", data, mode="overwrite")
        ours, theirs = table.to_pandas(), table.to_arrow().to_pandas()
        assert ours.dtypes.to_dict() == theirs.dtypes.to_dict()
        for name in ours.columns:
            for mine, other in zip(ours[name], theirs[name]):
                same = np.array_equal(mine, other) if isinstance(other, np.ndarray) else mine == other or (pd.isna(mine) and pd.isna(other))
                assert same, name
        assert table.to_pandas().empty is False


def test_structs_become_columns_of_a_frame_where_that_is_asked_for(db):
    rows = [
        {"vector": [1.0, 2.0], "size": {"x": 1, "in": {"unit": "m", "tags": ["a"]}}},
        {"vector": [1.0, 4.0], "size": None},
    ]
    table = db.create_table("t", rows)
    assert table.to_pandas(flatten=False).columns.tolist() == table.to_pandas().columns.tolist() == ["vector", "size"]
    assert table.to_pandas(flatten=1).columns.tolist() == ["vector", "size.x", "size.in"]
    for levels in (True, 2, 9):
        frame = table.search([1.0, 2.0]).to_pandas(flatten=levels)
        assert frame.columns.tolist() == ["vector", "size.x", "size.in.unit", "size.in.tags", "_distance"]
        assert frame["size.in.unit"][0] == "m" and frame["size.in.unit"].isna().tolist() == [False, True]
    for wrong in (0, -1, 1.5, "all"):
        with pytest.raises(ValueError, match="flatten is True or how many"):
            table.to_pandas(flatten=wrong)


def test_a_frame_is_made_as_pyarrow_is_told_to(db):
    table = db.create_table("t", [{"n": 1}, {"n": None}])
    assert table.to_pandas(types_mapper=pd.ArrowDtype)["n"].dtype == pd.ArrowDtype(pa.int64())
    assert table.search().limit(1).to_pandas(types_mapper=pd.ArrowDtype, timeout=10)["n"].dtype == pd.ArrowDtype(pa.int64())
    with pytest.raises(TypeError, match="no_such"):
        table.to_pandas(no_such=True)
