"""Rows that change: delete, update, merge, upsert, keys. Each against a plain model of what it says."""

import datetime as dt
import decimal
import itertools
import random
import threading
import uuid

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import kith
from kith import col, errors
from kith.merge import LanceMergeInsertBuilder, MergeResult

ROWS = [{"id": i, "n": i % 3, "s": f"row {i}", "vector": [float(i), 1.0]} for i in range(10)]


@pytest.fixture
def table(db):
    return db.create_table("t", ROWS)


@pytest.fixture
def keyed(db):
    return db.create_table("k", ROWS, key="id")


def by_id(table):
    return sorted(table.to_list(), key=lambda row: row["id"])


# ---- delete


def test_delete_says_how_many_and_which_version(table):
    done = table.delete("id = 2")
    assert (done.num_deleted_rows, done.version) == (1, 2) and repr(done) == "DeleteResult(num_deleted_rows=1, version=2)"
    assert table.version == 2 and len(table) == 9 and [one["metadata"]["operation"] for one in table.list_versions()] == ["create", "delete"]
    assert 2 not in [row["id"] for row in table.to_list()]


WHERES = [
    ("id < 3", lambda row: row["id"] < 3), (col("id") == 4, lambda row: row["id"] == 4), ({"n": {"$in": [1, 2]}}, lambda row: row["n"] in (1, 2)),
    ("true", lambda row: True), ("id > 99", lambda row: False), ("s LIKE '%7' OR n = 0", lambda row: row["s"].endswith("7") or row["n"] == 0),
    ("_rowid >= 8", lambda row: row["id"] >= 8),
]  # fmt: skip


@pytest.mark.parametrize("where, admits", WHERES)
def test_delete_and_update_mean_the_rows_that_the_filter_admits(db, where, admits):
    one, other = db.create_table("a", ROWS), db.create_table("b", ROWS)
    chosen = sum(map(admits, ROWS))
    assert one.delete(where).num_deleted_rows == chosen
    assert one.to_list() == [row for row in ROWS if not admits(row)]
    assert other.update(where, {"s": "new"}).rows_updated == chosen
    assert by_id(other) == [dict(row, s="new") if admits(row) else row for row in ROWS]


def test_parameters_are_bound(table):
    assert table.delete("s = ?", ["row 1' OR true --"]).num_deleted_rows == 0
    assert table.delete("id IN (:ids)", {"ids": [1, 5, 77]}).num_deleted_rows == 2
    assert table.update("s = ?", {"n": 9}, params=["row 3"]).rows_updated == 1


def test_rows_are_deleted_by_row_id(table):
    ids = [row["_rowid"] for row in table.search().where("n = 1").with_row_id().to_list()]
    assert table.delete(row_ids=[*ids, ids[0], 12345]).num_deleted_rows == len(ids)
    assert table.delete(row_ids=np.array(ids)).num_deleted_rows == 0 and table.delete(row_ids=[]).num_deleted_rows == 0
    assert table.take_row_ids(ids).to_list() == [] and table.count_rows("n = 1") == 0
    for wrong in ([-1], ["3"], 3, [3.7], [3.0], "3", b"3", [None], [True], [2**64], {3: 1}, [[3]]):
        for call in (lambda: table.delete(row_ids=wrong), lambda: table.take_row_ids(wrong), lambda: table.take_offsets(wrong)):
            with pytest.raises(ValueError, match="whole numbers"):
                call()
    assert len(table) == 10 - len(ids)
    for right in (np.array([3], "u8"), pd.Series([3]), pa.array([3]), (3,), iter([3]), range(3, 4), pl.Series([3])):
        assert table.take_row_ids(right).to_list() == [ROWS[3]]


def test_a_change_of_nothing_is_no_version(table):
    assert table.delete("false") == kith.changes.DeleteResult(0, 1)
    assert table.update("id = 99", {"n": 1}).version == 1
    done = table.merge_insert("id").when_not_matched_insert_all().execute(ROWS)
    assert (done.version, done.num_rows, table.version) == (1, 0, 1)


def test_deleted_rows_are_in_no_answer(table):
    table.create_scalar_index("n")
    table.delete("id = 4")
    assert len(table.search([4.0, 1.0]).limit(100).to_list()) == 9
    assert 4 not in table.searcher(k=10)([4.0, 1.0])[0].tolist()
    assert table.count_rows("n = 1") == 2 and table.take_row_ids([3, 4]).to_list() == [ROWS[3]]
    assert [row["id"] for row in table.take_offsets([3, 4, 5]).to_list()] == [3, 5, 6]
    assert pa.table(table).num_rows == 9 and len(table.head(100)) == 9
    table.add([dict(ROWS[4], id=44)])
    assert [row["_rowid"] for row in table.search().where("id = 44").with_row_id().to_list()] == [10]


def test_an_open_stream_keeps_the_rows_it_began_with(table):
    reader, query = pa.RecordBatchReader.from_stream(table), table.search([0.0, 0.0]).limit(20)
    table.delete("true")
    assert reader.read_all().num_rows == 10 and query.to_list() == [] and len(table) == 0
    table.add(ROWS)
    assert by_id(table) == ROWS


def test_older_versions_keep_what_was_deleted(table):
    table.delete("id < 5")
    table.update("id = 7", {"s": "new"})
    for version, rows in ((1, ROWS), (2, ROWS[5:])):
        table.checkout(version)
        assert by_id(table) == rows and table.count_rows("id = 7 and s = 'row 7'") == 1
    table.checkout_latest()
    assert len(table) == 5 and table.count_rows("s = 'new'") == 1


@pytest.mark.parametrize("wrong, kind", [("", ValueError), ("id =", ValueError), ("nope = 1", KeyError), ("id", TypeError), (3, ValueError), ("id = 'x'", ValueError)])
def test_delete_refuses_what_is_no_condition(table, wrong, kind):
    with pytest.raises(kind):
        table.delete(wrong)
    with pytest.raises(kind):
        table.update(wrong, {"n": 1})
    assert table.version == 1 and len(table) == 10


def test_delete_asks_for_a_condition(table):
    for call in (lambda: table.delete(), lambda: table.delete(None), lambda: table.delete({}), lambda: table.delete("true", row_ids=[1])):
        with pytest.raises(ValueError, match="condition"):
            call()
    assert len(table) == 10


def test_concurrent_deletes_are_thread_safe(db):
    table = db.create_table("t", [{"id": i} for i in range(8)])
    barrier, results = threading.Barrier(8), []

    def delete(i):
        barrier.wait()
        results.append(table.delete(f"id = {i}"))

    threads = [threading.Thread(target=delete, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(done.num_deleted_rows == 1 for done in results)
    # threads that commit at once may share a commit, and so a version
    assert {done.version for done in results} == set(range(2, table.version + 1)) and table.count_rows() == 0


# ---- update


def test_update_gives_new_row_ids_and_keeps_the_rest(table):
    done = table.update(where="id=0", values={"vector": [1.1, 1.1]})
    assert (done.rows_updated, done.version) == (1, 2) and repr(done) == "UpdateResult(rows_updated=1, version=2)"
    assert table.to_list()[-1] == {"id": 0, "n": 0, "s": "row 0", "vector": [pytest.approx(1.1), pytest.approx(1.1)]}
    assert [row["_rowid"] for row in table.search().with_row_id().to_list()] == [*range(1, 11)]
    assert table.search([1.1, 1.1]).limit(1).to_list()[0]["_distance"] == 0


def test_update_types(db):
    table = db.create_table("t", [{
        "id": 0, "str": "foo", "float": 1.1, "timestamp": dt.datetime(2021, 1, 1), "date": dt.date(2021, 1, 1), "vector1": [1.0, 0.0],
        "vector2": [1.0, 1.0], "binary": b"abc",
    }])  # fmt: skip
    table.update(values_sql={
        "id": "1", "str": "'bar'", "float": "2.2", "timestamp": "TIMESTAMP '2021-01-02 00:00:00'", "date": "DATE '2021-01-02'",
        "vector1": "[2.0, 2.0]", "vector2": "[3.0, 3.0]", "binary": "X'646566'",
    })  # fmt: skip
    assert table.to_list() == [{
        "id": 1, "str": "bar", "float": 2.2, "timestamp": dt.datetime(2021, 1, 2), "date": dt.date(2021, 1, 2), "vector1": [2.0, 2.0],
        "vector2": [3.0, 3.0], "binary": b"def",
    }]  # fmt: skip
    values = {
        "id": 2, "str": "it's", "float": 3.3, "timestamp": dt.datetime(2021, 1, 3), "date": dt.date(2021, 1, 3), "vector1": [3.0, 3.0],
        "vector2": np.array([4.0, 4.0]), "binary": b"def",
    }  # fmt: skip
    table.update(values=values)
    assert table.to_list() == [dict(values, vector2=[4.0, 4.0])]


VALUES = {
    "i8": (pa.int8(), -5), "u64": (pa.uint64(), 2**64 - 1), "f16": (pa.float16(), 0.5), "b": (pa.bool_(), True), "s": (pa.string(), "zwölf \U0001f9ed"),
    "z": (pa.binary(), b"\x00\xff"), "ts": (pa.timestamp("ms", "UTC"), dt.datetime(2020, 2, 29, 1, 2, 3, 4000, tzinfo=dt.timezone.utc)),
    "t": (pa.time64("us"), dt.time(1, 2, 3, 4)), "d": (pa.duration("us"), dt.timedelta(days=1, microseconds=7)),
    "dec": (pa.decimal128(10, 2), decimal.Decimal("12.50")), "l": (pa.list_(pa.string()), ["a", None, "b"]),
    "st": (pa.struct([("a", pa.int32()), ("b", pa.list_(pa.int64()))]), {"a": 1, "b": [2, 3]}), "v8": (pa.list_(pa.uint8(), 3), [1, 2, 255]),
    "v16": (pa.list_(pa.float16(), 2), [0.25, -1.0]), "dict": (pa.dictionary(pa.int32(), pa.string()), "one"), "day": (pa.date32(), dt.date(1969, 12, 31)),
}  # fmt: skip


@pytest.mark.parametrize("name", VALUES)
def test_every_type_can_be_set_and_set_to_null(db, name):
    type_, value = VALUES[name]
    table = db.create_table("t", pa.table({"id": [1, 2, 3], "x": pa.array([None] * 3, type_)}))
    assert table.update("id = 2", {"x": value}).rows_updated == 1
    assert [row["x"] for row in by_id(table)] == [None, value, None] and table.schema.field("x").type == type_
    assert table.update("id <> 1", {"x": None}).rows_updated == 2
    assert [row["x"] for row in by_id(table)] == [None] * 3
    table.update(values={"x": pa.scalar(value, type_)})
    assert [row["x"] for row in by_id(table)] == [value] * 3


def test_values_of_other_libraries_are_set(table):
    vector = table.to_arrow()["vector"][3]
    table.update("id = 1", {"n": np.int32(7), "vector": vector, "s": uuid.UUID(int=5)})
    table.update("id = 2", {"n": pd.NA, "s": np.str_("np"), "vector": np.array([7, 8], "i4")})
    assert table.search().where("id = 1").to_list() == [{"id": 1, "n": 7, "s": str(uuid.UUID(int=5)), "vector": [3.0, 1.0]}]
    assert table.search().where("id = 2").to_list() == [{"id": 2, "n": None, "s": "np", "vector": [7.0, 8.0]}]


def test_a_text_in_sql_is_the_text(db):
    table = db.create_table("t", [{"s": "a", "n": 1}])
    for sql, value in (("'it''s'", "it's"), ("''", ""), ("''''", "'"), ("'a' || 'b'", "ab"), ("'[1]'", "[1]"), ("upper('x')", "X")):
        table.update(values_sql={"s": sql})
        assert table.to_list() == [{"s": value, "n": 1}], sql
    for wrong in ("'", "'a''", "'a' 'b'", "'1'"):
        with pytest.raises(ValueError):
            table.update(values_sql={"n": wrong})


def test_sql_over_decimals_is_worked_out_in_decimals(db):
    table = db.create_table("t", pa.table({"id": [1, 2], "m": pa.array([decimal.Decimal("1.50"), None], pa.decimal128(9, 2))}))
    assert table.update(values_sql={"m": "m * 3 - id"}).rows_updated == 2
    assert [row["m"] for row in table.to_list()] == [decimal.Decimal("3.50"), None]
    with pytest.raises(ValueError, match="has 0.0175"):
        table.update(values_sql={"m": "m * decimal '0.005'"})
    assert table.version == 2


def test_sql_sees_the_row_as_it_was(table):
    assert table.update(values_sql={"id": "n", "n": "id", "s": "s || '!'"}).rows_updated == 10
    assert sorted(row["n"] for row in table.to_list()) == list(range(10))
    assert all(row["id"] == row["n"] % 3 and row["s"] == f"row {row['n']}!" for row in table.to_list())
    table.update(values_sql={"id": col("id") * 10})
    table.update("n = 4", {"s": col("n").cast("text"), "id": 5})
    assert table.search().where("n = 4").to_list() == [{"id": 5, "n": 4, "s": "4", "vector": [4.0, 1.0]}]


def test_update_refuses_and_changes_nothing(table):
    wrong = [
        (lambda: table.update("true"), ValueError, "Either"), (lambda: table.update(values={"n": 1}, values_sql={"n": "1"}), ValueError, "Only one"),
        (lambda: table.update(values={"nope": 1}), KeyError, "nope"), (lambda: table.update(values_sql={"nope": "1"}), KeyError, "nope"),
        (lambda: table.update(values={"n": "text"}), TypeError, "n"), (lambda: table.update(values={"n": 1.5}), (TypeError, ValueError), "n"),
        (lambda: table.update(values_sql={"n": "missing + 1"}), KeyError, "missing"), (lambda: table.update(values_sql={"n": "1 +"}), ValueError, "character"),
        (lambda: table.update(values={"vector": [1.0]}), ValueError, "vector"), (lambda: table.update(values={"vector": [float("nan"), 0.0]}), ValueError, "vector"),
        (lambda: table.update(values={}), ValueError, "columns"), (lambda: table.update(values=[("n", 1)]), ValueError, "dict"),
        (lambda: table.update(values_sql={"n": None}), TypeError, "None"), (lambda: table.update(values={1: 2}), KeyError, "1"),
        (lambda: table.update(values_sql={"_rowid": "1"}), KeyError, "_rowid"), (lambda: table.update(values={"n": object()}), TypeError, "object"),
        (lambda: table.update(values_sql={"n": "2147483648 * 2147483648 * 4"}), ValueError, "64|overflow|large"),
    ]  # fmt: skip
    for call, kind, words in wrong:
        with pytest.raises(kind, match=words):
            call()
    assert table.version == 1 and table.to_list() == ROWS


def test_a_column_that_is_never_null_stays_so(db):
    schema = pa.schema([pa.field("a", pa.int64(), nullable=False), pa.field("b", pa.int64())])
    table = db.create_table("t", pa.table({"a": [1], "b": [2]}, schema=schema))
    for call in (
        lambda: table.update(values={"a": None}), lambda: table.update(values_sql={"a": "NULL"}), lambda: table.update(values_sql={"a": "nullif(b, 2)"}),
        lambda: table.merge_insert("b").when_matched_update_all().execute([{"a": None, "b": 2}]),
        lambda: table.merge_insert("b").when_not_matched_insert_all().execute([{"b": 3}]),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="a"):
            call()
    assert table.to_list() == [{"a": 1, "b": 2}] and table.version == 1


# ---- merge


def merged(old, new, on, update=False, insert=False, delete=False, update_where=lambda target, source: True, delete_where=lambda row: True):
    """What a merge does, by the definition. Rows as a set: their order is that of their row ids."""
    def key(row):
        values = tuple(row[name] for name in on)
        return None if None in values else values

    source = {key(row): row for row in new if key(row) is not None}
    there = {key(row) for row in old}
    result, counts = [], [0, 0, 0]
    for row in old:
        match = source.get(key(row)) if key(row) is not None else None
        if match is not None and update and update_where(row, match):
            result.append({**row, **match})
            counts[1] += 1
        elif match is None and delete and delete_where(row):
            counts[2] += 1
        else:
            result.append(row)
    for row in new if insert else []:
        if key(row) is None or key(row) not in there:
            result.append({**dict.fromkeys(old[0]), **row})
            counts[0] += 1
    return result, counts


def canonical(rows):
    return sorted(rows, key=lambda row: repr(sorted(row.items())))


@pytest.mark.parametrize("update, insert, delete", [flags for flags in itertools.product((False, True), repeat=3) if any(flags)])
@pytest.mark.parametrize("on", [["a"], ["a", "b"]])
def test_merges_do_what_the_definition_says(db, on, update, insert, delete):
    dice = random.Random(str((on, update, insert, delete)))

    def some(count):
        rows = {}
        for _ in range(count):
            row = {"a": dice.choice([None, *range(8)]), "b": dice.choice(["x", "y", None]), "c": dice.randrange(100)}
            key = tuple(row[name] for name in on)
            rows[key if None not in key else object()] = row
        return list(rows.values())

    for round_ in range(12):
        old = [row for part in (some(10), some(10)) for row in part]
        table = db.create_table("m", pa.Table.from_pylist(old, pa.schema({"a": pa.int64(), "b": pa.string(), "c": pa.int64()})), mode="overwrite")
        new = some(8)
        if round_ % 2:
            new = [{name: value for name, value in row.items() if name in on} for row in new]
        merge = table.merge_insert(on)
        how = {"update": update, "insert": insert, "delete": delete}
        if update:
            if round_ % 3 == 1:
                how["update_where"] = lambda target, source: target["c"] % 2 == 0 and (source["a"] or 0) > 2
            merge.when_matched_update_all(**({"where": "target.c % 2 = 0 AND source.a > 2"} if round_ % 3 == 1 else {}))
        if insert:
            merge.when_not_matched_insert_all()
        if delete:
            if round_ % 3 == 2:
                how["delete_where"] = lambda row: row["c"] > 50
            merge.when_not_matched_by_source_delete(*(["c > 50"] if round_ % 3 == 2 else []))
        done = merge.execute(pa.Table.from_pylist(new, pa.schema({name: {"a": pa.int64(), "b": pa.string(), "c": pa.int64()}[name] for name in new[0]})))
        rows, counts = merged(old, new, on, **how)
        assert canonical(table.to_list()) == canonical(rows), round_
        assert [done.num_inserted_rows, done.num_updated_rows, done.num_deleted_rows] == counts
        assert done.num_attempts == 1 and done.num_rows == counts[0] + counts[1] and done.version == table.version


def test_merge_insert(db):
    def fresh():
        return db.create_table("t", pa.table({"a": [1, 2, 3], "b": ["a", "b", "c"]}), mode="overwrite")

    def result(table):
        return [(row["a"], row["b"]) for row in table.search().order_by("a").to_list()]

    new = pa.table({"a": [2, 3, 4], "b": ["x", "y", "z"]})
    table = fresh()
    done = table.merge_insert("a").when_matched_update_all().when_not_matched_insert_all().execute(new, timeout=dt.timedelta(seconds=10))
    assert repr(done) == "MergeResult(version=2, num_updated_rows=2, num_inserted_rows=1, num_deleted_rows=0, num_attempts=1, num_rows=3)"
    assert isinstance(done, MergeResult) and result(table) == [(1, "a"), (2, "x"), (3, "y"), (4, "z")]
    table = fresh()
    assert table.merge_insert("a").when_matched_update_all(where="target.b = 'b'").execute(new).num_updated_rows == 1
    assert result(table) == [(1, "a"), (2, "x"), (3, "c")]
    table = fresh()
    assert table.merge_insert("a").when_not_matched_insert_all().execute(new).num_inserted_rows == 1
    assert result(table) == [(1, "a"), (2, "b"), (3, "c"), (4, "z")]
    new = pa.table({"a": [2, 4], "b": ["x", "z"]})
    for condition in ("a > 2", col("a") > 2, {"a": {"$gt": 2}}):
        table = fresh()
        replace = table.merge_insert("a").when_matched_update_all().when_not_matched_insert_all().when_not_matched_by_source_delete(condition)
        assert isinstance(replace, LanceMergeInsertBuilder) and replace.execute(new).num_deleted_rows == 1
        assert result(table) == [(1, "a"), (2, "x"), (4, "z")]
    table = fresh()
    every = table.merge_insert("a").when_matched_update_all().when_not_matched_insert_all()
    assert every.when_not_matched_by_source_delete("a > 2").when_not_matched_by_source_delete().execute(new).num_deleted_rows == 2
    assert result(table) == [(2, "x"), (4, "z")]
    for over in (dt.timedelta(0), 0, -1.5):
        with pytest.raises(RuntimeError, match="merge insert timed out") as caught:
            table.merge_insert("a").when_matched_update_all().execute(new, timeout=over)
        assert isinstance(caught.value, errors.TimedOutError)
    assert table.merge_insert("a").when_matched_update_all().execute(new, timeout=600.5).num_updated_rows == 2
    with pytest.raises(ValueError, match="timeout"):
        table.merge_insert("a").when_matched_update_all().execute(new, timeout="soon")


class Item(kith.LanceModel):
    id: int
    s: str


FORMS = {
    "rows": lambda rows: rows, "columns": lambda rows: {"id": [row["id"] for row in rows], "s": [row["s"] for row in rows]}, "pandas": pd.DataFrame,
    "polars": pl.DataFrame, "lazy": lambda rows: pl.LazyFrame(rows), "arrow": pa.Table.from_pylist, "batch": pa.RecordBatch.from_pylist,
    "reader": lambda rows: pa.Table.from_pylist(rows).to_reader(), "generator": lambda rows: iter(rows), "batches": lambda rows: iter([rows[:1], rows[1:]]),
    "frames": lambda rows: iter([pd.DataFrame(rows[:1]), pd.DataFrame(rows[1:])]), "models": lambda rows: [Item(**row) for row in rows],
    "large": lambda rows: pa.Table.from_pylist(rows, pa.schema({"id": pa.int32(), "s": pa.large_string()})),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_data_of_every_form_is_merged_and_lacks_columns_that_stay(keyed, form):
    new = [{"id": 3, "s": "three"}, {"id": 77, "s": "new"}, {"id": 5, "s": "five"}]
    wanted = [dict(row, s={3: "three", 5: "five"}.get(row["id"], row["s"])) for row in ROWS] + [{"id": 77, "n": None, "s": "new", "vector": None}]
    done = keyed.merge_insert("id").when_matched_update_all().when_not_matched_insert_all().execute(FORMS[form](new))
    assert (done.num_updated_rows, done.num_inserted_rows) == (2, 1) and by_id(keyed) == wanted
    assert keyed.upsert(FORMS[form](new)).num_updated_rows == 3 and by_id(keyed) == wanted


def test_pandas_goes_into_a_table_that_is_never_null(db):
    class Document(kith.LanceModel):
        id: int
        title: str
        content: str

    table = db.create_table("documents", schema=Document)
    table.add(pd.DataFrame({"title": ["Old title", "Unchanged"], "id": [2, 3], "content": ["Old content", "Keep this"]}))
    new = pd.DataFrame({"title": ["Inserted", "Updated"], "id": [1, 2], "content": ["New row", "New content"]})
    done = table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all().execute(new)
    assert (done.num_inserted_rows, done.num_updated_rows) == (1, 1)
    assert [(row["id"], row["title"]) for row in by_id(table)] == [(1, "Inserted"), (2, "Updated"), (3, "Unchanged")]


def test_partial_merges_with_an_index_over_the_key(db):
    def make(start):
        return pa.table({"id": [f"id-{i:04}" for i in range(start, start + 100)], "category": ["A"] * 100, "value": np.arange(start, start + 100) * 1.0})

    table = db.create_table("t", make(0))
    table.add(make(100))
    table.add(make(200))
    table.create_index("id", config=kith.index.BTree())
    ids = [f"id-{i:04}" for i in range(100, 200)]
    for value in (999.0, 888.0):
        done = table.merge_insert("id").when_matched_update_all().execute(pa.table({"id": ids, "value": [value] * 100}))
        assert done.num_updated_rows == 100
        table.optimize()
    assert [row["value"] for row in table.search().order_by("id").to_list()][100:200] == [888.0] * 100 and len(table) == 300
    assert table.count_rows("category = 'A'") == 300


def test_null_matches_nothing(db):
    table = db.create_table("t", pa.table({"a": pa.array([None, 1], pa.int64()), "b": ["old", "old"]}))
    done = table.merge_insert("a").when_matched_update_all().when_not_matched_insert_all().execute(pa.table({"a": pa.array([None, None, 1], pa.int64()), "b": ["new"] * 3}))
    assert (done.num_inserted_rows, done.num_updated_rows) == (2, 1)
    assert sorted((row["a"] or 0, row["b"]) for row in table.to_list()) == [(0, "new"), (0, "new"), (0, "old"), (1, "new")]


def test_one_row_of_data_may_update_many(table):
    assert table.merge_insert("n").when_matched_update_all().execute([{"n": 1, "s": "one"}]).num_updated_rows == 3
    assert [row["s"] for row in by_id(table) if row["n"] == 1] == ["one"] * 3 and len(table) == 10


def test_rows_of_data_that_match_each_other_are_refused(table):
    for merge in (table.merge_insert("id").when_matched_update_all(), table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()):
        with pytest.raises(ValueError, match="Ambiguous merge inserts are prohibited: rows 0 and 2"):
            merge.execute([{"id": 1, "s": "a"}, {"id": 2, "s": "b"}, {"id": 1, "s": "c"}])
    assert table.version == 1


def test_rows_that_match_each_other_are_all_added_where_none_updates(table, keyed):
    data = [{"id": 77, "s": "a"}, {"id": 1, "s": "b"}, {"id": 77, "s": "c"}, {"id": 1, "s": "d"}, {"id": 78, "s": "e"}]
    assert table.merge_insert("id").when_not_matched_insert_all().execute(data).num_inserted_rows == 3
    assert [row["s"] for row in table.to_list()] == [row["s"] for row in ROWS] + ["a", "c", "e"]
    assert table.merge_insert("id").when_not_matched_by_source_delete().execute(data).num_deleted_rows == 9
    assert sorted(row["s"] for row in table.to_list()) == ["a", "c", "e", "row 1"]
    with pytest.raises(FileExistsError):
        keyed.merge_insert("id").when_not_matched_insert_all().execute(data)
    assert keyed.to_list() == ROWS


def test_merge_refuses_and_changes_nothing(table):
    merge = table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
    wrong = [
        (lambda: table.merge_insert("id").execute(ROWS), ValueError, "nothing is to be done"), (lambda: table.merge_insert("nope").when_matched_update_all().execute(ROWS), KeyError, "nope"),
        (lambda: merge.execute([{"s": "x"}]), ValueError, "lacks column \"id\""), (lambda: merge.execute([{"id": 1, "nope": 2}]), ValueError, "nope"),
        (lambda: merge.execute(pa.table({"id": [1], "nope": [2]})), ValueError, "nope"), (lambda: merge.execute([{"id": "x"}]), TypeError, "id"),
        (lambda: merge.execute(pa.table({"id": ["x"]})), TypeError, "id"), (lambda: merge.execute([{"id": 1, "vector": [1.0]}]), ValueError, "vector"),
        (lambda: merge.execute([{"id": 1}], on_bad_vectors="hope"), ValueError, "on_bad_vectors"), (lambda: merge.execute({"id": 1}), ValueError, "dict"),
        (lambda: table.merge_insert().when_matched_update_all().execute(ROWS), ValueError, "no key"), (lambda: table.upsert(ROWS), ValueError, "no key"),
        (lambda: table.merge_insert("id").when_matched_update_all("target.nope = 1").execute(ROWS), KeyError, "nope"),
        (lambda: table.merge_insert("id").when_matched_update_all("s = 1").execute(ROWS), KeyError, "s"), (lambda: table.merge_insert([3]).when_matched_update_all().execute(ROWS), TypeError, "3"),
        (lambda: table.merge_insert("id").when_not_matched_by_source_delete("nope").execute(ROWS), KeyError, "nope"),
        (lambda: table.merge_insert("vector").when_matched_update_all().execute(ROWS), TypeError, "vector"), (lambda: merge.execute(3), NotImplementedError, "int"),
    ]  # fmt: skip
    for call, kind, words in wrong:
        with pytest.raises(kind, match=words):
            call()
    assert table.version == 1 and table.to_list() == ROWS


def test_bad_vectors_are_handled_as_in_add(table):
    bad = [{"id": 1, "vector": [float("nan"), 2.0]}, {"id": 2, "vector": [1.0, 2.0, 3.0]}, {"id": 3, "vector": [5.0, 5.0]}]
    merge = table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
    with pytest.raises(ValueError, match="on_bad_vectors|vector"):
        merge.execute(bad)
    assert merge.execute(bad, on_bad_vectors="drop").num_updated_rows == 1
    assert merge.execute(bad, on_bad_vectors="fill", fill_value=0.5).num_updated_rows == 3
    assert [row["vector"] for row in by_id(table)][1:4] == [[0.5, 2.0], [1.0, 2.0], [5.0, 5.0]]
    assert merge.execute(bad, on_bad_vectors="null").num_updated_rows == 3
    assert [row["vector"] for row in by_id(table)][1:4] == [None, None, [5.0, 5.0]]


def test_an_exception_in_the_data_is_the_users_own_and_nothing_is_changed(keyed):
    class Mine(Exception):
        pass

    def rows():
        yield {"id": 1, "s": "x"}
        raise Mine

    for call in (keyed.upsert, keyed.merge_insert("id").when_matched_update_all().execute):
        with pytest.raises(Mine):
            call(rows())
    assert keyed.version == 1 and keyed.to_list() == ROWS


# ---- keys


def test_a_key_is_enforced(keyed):
    with pytest.raises(FileExistsError, match='key 3 is in the table already; column "id"'):
        keyed.add([dict(ROWS[3]), {"id": 50}])
    with pytest.raises(FileExistsError, match="key [37] is in the table already, and so are 1 more of the 3 given"):
        keyed.add([ROWS[3], {"id": 50}, ROWS[7]])
    with pytest.raises(FileExistsError, match="twice"):
        keyed.add([{"id": 50}, {"id": 50}])
    with pytest.raises(ValueError, match="null"):
        keyed.add([{"n": 1}])
    with pytest.raises(ValueError, match="key"):
        keyed.update("id = 1", {"id": 2})
    with pytest.raises(ValueError, match="key"):
        keyed.update("id = 1", values_sql={"id": "id + 100"})
    with pytest.raises(FileExistsError):
        keyed.merge_insert("s").when_not_matched_insert_all().execute([{"id": 1, "s": "other"}])
    with pytest.raises(ValueError, match="id"):
        keyed.merge_insert("s").when_not_matched_insert_all().execute([{"s": "other"}])
    assert keyed.version == 1 and keyed.to_list() == ROWS
    keyed.delete("id = 3")
    keyed.add([ROWS[3]])
    assert by_id(keyed) == ROWS
    keyed.add([{"id": 1}, {"id": 2}], mode="overwrite")
    with pytest.raises(FileExistsError):
        keyed.add([{"id": 1}])


@pytest.mark.parametrize("type_", [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(), pa.string(), pa.large_string()])
def test_keys_of_every_type(db, type_):
    text = pa.types.is_string(type_) or pa.types.is_large_string(type_)
    keys = ["", "a", "b\U0001f9ed", "it's"] if text else [0, 1, 2, 100]
    table = db.create_table("t", pa.table({"k": pa.array(keys, type_), "n": range(4)}), key="k")
    assert [row["n"] for row in table.get(list(reversed(keys))).to_list()] == [3, 2, 1, 0]
    assert table.get(pa.array(keys[1:2], type_)).to_list() == [{"k": keys[1], "n": 1}]
    other = "zz" if text else 77
    done = table.upsert(pa.table({"k": pa.array([keys[2], other], type_), "n": [20, 70]}))
    assert (done.num_updated_rows, done.num_inserted_rows) == (1, 1)
    assert sorted(row["n"] for row in table.to_list()) == [0, 1, 3, 20, 70]
    with pytest.raises(FileExistsError):
        table.add(pa.table({"k": pa.array([other], type_)}))
    extreme = {"int8": -128, "int64": -(2**63), "uint64": 2**64 - 1, "uint32": 2**32 - 1}.get(str(type_))
    if extreme is not None:
        table.upsert(pa.table({"k": pa.array([extreme], type_), "n": [5]}))
        assert table.get(pa.array([extreme], type_)).to_list() == [{"k": extreme, "n": 5}] == table.get(extreme).to_list()


def test_what_can_be_no_key(db):
    for column in ("f", "vector", "nope"):
        with pytest.raises(ValueError, match=column):
            db.create_table("t", [{"f": 1.5, "vector": [1.0, 2.0]}], key=column)
    with pytest.raises(FileExistsError):
        db.create_table("t", [{"id": 1}, {"id": 1}], key="id")
    with pytest.raises(ValueError):
        db.create_table("t", [{"id": 1}, {"id": None}], key="id")
    for wrong in (["id"], 3, ("id",)):
        with pytest.raises(ValueError, match="a table's key is one column"):
            db.create_table("t", [{"id": 1}], key=wrong)
    assert "t" not in db


def test_get_gives_rows_in_the_order_of_the_keys(keyed):
    found = keyed.get([7, 2, 99, 2, 0])
    assert [row["id"] for row in found.to_list()] == [7, 2, 0] == found.to_arrow()["id"].to_pylist() == found.to_polars()["id"].to_list()
    assert keyed.get(4).to_list() == [ROWS[4]] and keyed.get([], ["s"]).to_list() == [] and keyed.get([99]).to_arrow().schema == keyed.schema
    assert keyed.get([4], ["s"]).to_list() == [{"s": "row 4"}] and keyed.get(4).select({"double": "id * 2"}).to_list() == [{"double": 8}]
    assert keyed.get([3, 1], ["id"]).with_row_id().to_list() == [{"id": 3, "_rowid": 3}, {"id": 1, "_rowid": 1}]
    assert keyed.get(None).to_list() == keyed.get([None]).to_list() == []
    keyed.update("id = 7", {"s": "new"})
    keyed.delete("id = 2")
    assert [row["s"] for row in found.to_list()] == ["new", "row 0"]
    keyed.checkout(1)
    assert [row["s"] for row in found.to_list()] == ["row 7", "row 2", "row 0"]
    assert "key" in found.explain_plan()


KEYS = {
    "list": lambda keys: keys, "tuple": tuple, "generator": iter, "numpy": np.array, "pandas": pd.Series, "index": pd.Index, "polars": pl.Series, "arrow": pa.array,
    "chunked": lambda keys: pa.chunked_array([keys[:1], keys[1:]]), "frame": lambda keys: pd.DataFrame({"any name": keys}), "table": lambda keys: pa.table({"x": keys}),
    "small": lambda keys: np.array(keys, "u1"), "numbers": lambda keys: [np.int16(key) for key in keys], "dict keys": lambda keys: dict.fromkeys(keys).keys(),
    "scalars": lambda keys: [pa.scalar(key) for key in keys], "nullable": lambda keys: pd.Series(keys, dtype="Int64"),
}  # fmt: skip


@pytest.mark.parametrize("form", KEYS)
def test_keys_of_every_form(keyed, form):
    query = keyed.get(KEYS[form]([8, 3, 88, 5]))
    assert [row["id"] for row in query.to_list()] == [8, 3, 5] == [row["id"] for row in query.to_list()]
    assert [row["id"] for row in keyed.get(keyed.search().where("id < 2").select(["id"])).to_list()] == [0, 1]


def test_one_key_of_every_form(db, keyed):
    for key in (3, np.int64(3), np.array(3), pa.scalar(3)):
        assert keyed.get(key).to_list() == [ROWS[3]]
    name = uuid.uuid4()
    table = db.create_table("t", [{"k": name, "n": 1}, {"k": "x", "n": 2}], key="k")
    assert table.get(name).to_list() == table.get(str(name)).to_list() == [{"k": str(name), "n": 1}] and table.get("x").to_list()[0]["n"] == 2


def test_get_refuses(table, keyed):
    for call, kind in (
        (lambda: table.get(1).to_list(), ValueError), (lambda: keyed.get("x").to_list(), TypeError), (lambda: keyed.get({"id": 1}).to_list(), TypeError),
        (lambda: keyed.get(1, ["nope"]).to_list(), KeyError), (lambda: keyed.get([1.5]).to_list(), ValueError), (lambda: keyed.get(1, "id"), ValueError),
        (lambda: keyed.get(pa.table({"a": [1], "b": [1]})).to_list(), ValueError), (lambda: keyed.get([[1]]).to_list(), TypeError),
        (lambda: keyed.get(1).where("id = 1"), NotImplementedError),
    ):  # fmt: skip
        with pytest.raises(kind):
            call()


def test_upsert_keeps_the_last_and_what_the_data_lacks(keyed):
    done = keyed.upsert([{"id": 3, "s": "first"}, {"id": 50, "s": "x"}, {"id": 3, "s": "last"}, {"id": 50, "s": "y"}])
    assert (done.num_updated_rows, done.num_inserted_rows, done.num_deleted_rows, done.version) == (1, 1, 0, 2)
    assert keyed.get([3, 50]).to_list() == [{"id": 3, "n": 0, "s": "last", "vector": [3.0, 1.0]}, {"id": 50, "n": None, "s": "y", "vector": None}]
    with pytest.raises(ValueError, match="key"):
        keyed.upsert([{"id": None, "s": "x"}])
    with pytest.raises(ValueError):
        keyed.upsert([{"s": "x"}])
    assert keyed.upsert(keyed.to_arrow()).num_updated_rows == 11 and len(keyed) == 11


def test_keys_outlive_the_handle_and_many_small_writes(tmp_path):
    table = kith.connect(tmp_path).create_table("t", [{"id": "0", "n": 0}], key="id")
    for i in range(1, 150):
        table.upsert([{"id": str(i % 40), "n": i}])
    again = kith.connect(tmp_path)["t"]
    assert len(again) == 40 and {int(row["id"]): row["n"] for row in again.to_list()} == {i: max(j for j in range(150) if j % 40 == i) for i in range(40)}
    with pytest.raises(FileExistsError):
        again.add([{"id": "7"}])
    assert again.verify() >= 0


def test_two_upserts_of_one_new_key_make_one_row(db):
    table = db.create_table("t", pa.table({"id": pa.array([], pa.int64()), "n": pa.array([], pa.int64())}), key="id")
    barrier, failures = threading.Barrier(4), []

    def work(who):
        try:
            mine = kith.connect(db.uri)["t"]
            barrier.wait()
            for i in range(15):
                mine.upsert([{"id": i, "n": who}, {"id": 1000 + who * 100 + i, "n": who}])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures and len(table) == 75 and sorted(row["id"] for row in table.to_list())[:15] == list(range(15))


# ---- writing to an old version, two writers


def test_an_old_version_is_not_changed(keyed):
    keyed.add([{"id": 77}])
    keyed.checkout(1)
    writes = [
        lambda: keyed.add([{"id": 5}]), lambda: keyed.delete("true"), lambda: keyed.delete(row_ids=[1]), lambda: keyed.update(values={"n": 1}),
        lambda: keyed.upsert([{"id": 5}]), lambda: keyed.merge_insert("id").when_not_matched_insert_all().execute([{"id": 500}]),
    ]  # fmt: skip
    for write in writes:
        with pytest.raises(ValueError, match="table cannot be modified when a specific version is checked out"):
            write()
    assert len(keyed) == 10
    keyed.checkout_latest()
    assert len(keyed) == 11 and keyed.version == 2


def test_two_handles_change_the_same_rows(db, table):
    other = kith.connect(db.uri)["t"]
    for i in range(30):
        one, two = (table, other) if i % 2 else (other, table)
        assert one.update(f"id = {i % 10}", values_sql={"n": "n + 1"}).rows_updated == 1
        assert two.delete(f"id = {100 + i - 1}").num_deleted_rows == (1 if i else 0)
        two.add([{"id": 100 + i, "n": i}])
    assert len(table) == len(other) == 11 and sum(row["n"] for row in table.to_list() if row["id"] < 10) == sum(row["n"] for row in ROWS) + 30


def test_updates_of_one_counter_are_not_lost(db):
    table = db.create_table("t", [{"id": 0, "n": 0}, {"id": 1, "n": 0}])
    failures = []

    def work(who):
        try:
            mine = kith.connect(db.uri)["t"]
            for _ in range(15):
                assert mine.update(f"id = {who % 2}", values_sql={"n": "n + 1"}).rows_updated == 1
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures and [row["n"] for row in by_id(table)] == [30, 30]


# ---- what another writer does in the middle of a change


def once(work):
    """A progress callback that does something the first time."""
    left = [work]

    def callback(*step):
        if left:
            left.pop()()

    return callback


def then(rows, work):
    """A batch of rows, and something done before it is known that there are no more."""
    yield rows
    work()


def test_rows_deleted_during_an_update_stay_deleted(db, table):
    other = kith.connect(db.uri)["t"]
    done = table.update("n = 1", {"s": "new"}, progress=once(lambda: other.delete("id = 4")))
    assert done.rows_updated == 2 and [row["id"] for row in by_id(table)] == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert [row["id"] for row in by_id(table) if row["s"] == "new"] == [1, 7] and done.version == table.version == 3


def test_rows_updated_during_an_update_are_looked_at_again(db, table):
    other = kith.connect(db.uri)["t"]
    assert table.update("n = 1", values_sql={"n": "n + 1"}, progress=once(lambda: other.update("id = 4", values_sql={"n": "n + 10"}))).rows_updated == 2
    assert [row["n"] for row in by_id(table)] == [0, 2, 2, 0, 11, 2, 0, 2, 2, 0]


def test_rows_added_during_an_update_come_after_it(db, table):
    other = kith.connect(db.uri)["t"]
    done = table.update("n = 1", {"s": "new"}, progress=once(lambda: other.add([{"id": 77, "n": 1, "s": "old"}])))
    assert done.rows_updated == 3 and done.version == 3
    assert sorted(row["id"] for row in table.to_list() if row["s"] == "new") == [1, 4, 7] and table.count_rows("s = 'old'") == 1


@pytest.mark.parametrize("change", ["add", "drop", "rename", "retype"])
def test_columns_changed_during_an_update_lose_nothing(db, table, change):
    other = kith.connect(db.uri)["t"]
    changes = {
        "add": lambda: other.add_columns({"x": "id * 2"}), "drop": lambda: other.drop_columns(["s"]), "rename": lambda: other.alter_columns({"path": "s", "rename": "text"}),
        "retype": lambda: other.alter_columns({"path": "n", "data_type": pa.float64()}),
    }  # fmt: skip
    for how in ({"values": {"n": 5}}, {"values_sql": {"n": "n + 4"}}):
        table = db.create_table("t", ROWS, mode="overwrite")
        try:
            assert table.update("n = 1", progress=once(changes[change]), **how).rows_updated == 3
            updated = True
        except errors.ConflictError as error:
            assert "columns" in str(error) and "update" in str(error)
            updated = False
        wanted = {
            "add": lambda row: {**row, "x": row["id"] * 2}, "drop": lambda row: {name: value for name, value in row.items() if name != "s"},
            "rename": lambda row: {"id": row["id"], "n": row["n"], "text": row["s"], "vector": row["vector"]}, "retype": lambda row: row,
        }[change]  # fmt: skip
        assert by_id(table) == [wanted(dict(row, n=5) if updated and row["n"] == 1 else row) for row in ROWS]


def test_a_key_added_during_an_upsert_is_updated(db, keyed):
    other = kith.connect(db.uri)["k"]
    done = keyed.upsert(then([{"id": 50, "s": "mine"}, {"id": 3, "s": "three"}], lambda: other.add([{"id": 50, "n": 7, "s": "theirs"}])))
    assert (done.num_updated_rows, done.num_inserted_rows, done.num_attempts, done.version) == (2, 0, 2, 3)
    assert keyed.get(50).to_list() == [{"id": 50, "n": 7, "s": "mine", "vector": None}] and len(keyed) == 11


def test_a_key_deleted_during_an_upsert_is_inserted(db, keyed):
    other = kith.connect(db.uri)["k"]
    done = keyed.upsert(then([{"id": 3, "s": "three"}], lambda: other.delete("id = 3")))
    assert (done.num_updated_rows, done.num_inserted_rows) == (0, 1)
    assert keyed.get(3).to_list() == [{"id": 3, "n": None, "s": "three", "vector": None}]


def test_a_key_added_during_an_add_is_refused(db, keyed):
    other = kith.connect(db.uri)["k"]
    with pytest.raises(FileExistsError, match="50"):
        keyed.add(then([{"id": 50}, {"id": 51}], lambda: other.add([{"id": 50}])))
    assert len(keyed) == 11 and keyed.count_rows("id = 51") == 0
    keyed.add(then([{"id": 60}], lambda: other.add([{"id": 61}])))
    assert len(keyed) == 13


def test_rows_matched_are_looked_at_again_after_another_merge(db, table):
    other = kith.connect(db.uri)["t"]
    theirs = other.merge_insert("id").when_matched_update_all()
    mine = table.merge_insert("id").when_matched_update_all("target.n = 1").when_not_matched_insert_all()
    done = mine.execute(then([{"id": 1, "s": "mine"}, {"id": 4, "s": "mine"}], lambda: theirs.execute([{"id": 1, "n": 2}])))
    assert (done.num_updated_rows, done.num_inserted_rows) == (1, 0)
    assert [(row["n"], row["s"]) for row in by_id(table)][1::3] == [(2, "row 1"), (1, "mine"), (1, "row 7")]


def test_columns_changed_during_a_merge_are_a_conflict_and_an_add_goes_on(db, keyed):
    other = kith.connect(db.uri)["k"]
    with pytest.raises(errors.ConflictError, match="columns.*merge"):
        keyed.upsert(then([{"id": 1, "s": "x"}], lambda: other.drop_columns(["s"])))
    assert by_id(keyed) == [{"id": row["id"], "n": row["n"], "vector": row["vector"]} for row in ROWS]
    keyed.add(then([{"id": 100, "n": 1}], lambda: other.add_columns({"x": "id"})))
    (row,) = keyed.get([100]).to_list()
    assert row["x"] is None and row["n"] == 1
    keyed.add(then([{"id": 101, "n": 1}], lambda: other.drop_columns(["n"])))
    (row,) = keyed.get([101]).to_list()
    assert "n" not in row and row["x"] is None
    assert len(keyed) == 12 and keyed.schema.names == ["id", "vector", "x"]


def test_a_table_restored_or_dropped_during_a_change(db, table):
    other = kith.connect(db.uri)["t"]
    table.update(values={"s": "second"})
    done = table.update("id < 3", {"n": 9}, progress=once(lambda: other.restore(1)))
    assert done.rows_updated == 3 and [(row["n"], row["s"]) for row in by_id(table)][2:4] == [(9, "row 2"), (0, "row 3")]
    with pytest.raises(errors.NotFoundError):
        table.update(values={"n": 1}, progress=once(lambda: db.drop_table("t")))


@pytest.mark.parametrize("rows", [1, 5000])
def test_an_add_with_a_key_of_its_own_is_done_once(db, table, rows):
    data = {"id": np.arange(rows), "n": np.zeros(rows, "i8")}
    for _ in range(3):
        assert table.add(data, idempotency_key="once").version == 2 and len(table) == 10 + rows
    assert kith.connect(db.uri)["t"].add(data, idempotency_key="once").version == 2
    assert table.add(data, idempotency_key="twice").version == 3 and len(table) == 10 + 2 * rows
    table.delete("id < 5")
    assert table.add(data, idempotency_key="once").version == 2 and table.version == 4
    assert table.add(data, mode="overwrite", idempotency_key="ünd so").version == 5 == table.add(data, mode="overwrite", idempotency_key="ünd so").version
    for wrong in ("", "x" * 201, "ü" * 101):
        with pytest.raises(ValueError, match="key"):
            table.add(data, idempotency_key=wrong)
    with pytest.raises(TypeError):
        table.add(data, idempotency_key=3)
    assert len(table) == rows and table.version == 5


def test_a_retry_into_a_table_with_a_key_is_no_refusal(keyed):
    for _ in range(2):
        assert keyed.add([{"id": 100}, {"id": 101}], idempotency_key="mine").version == 2
    with pytest.raises(FileExistsError):
        keyed.add([{"id": 100}], idempotency_key="other")
    assert len(keyed) == 12


def test_an_add_is_done_once_by_many_threads(db, table):
    versions, failures = [], []

    def work():
        try:
            mine = kith.connect(db.uri)["t"]
            for i in range(10):
                versions.append((i, mine.add(ROWS[:1], idempotency_key=f"step {i}").version))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures and len(table) == 20 and len(set(versions)) == 10


# ---- sizes


@pytest.mark.parametrize("rows", [1, 500, 20_000])
def test_changes_of_every_size(db, rows):
    """Below and above what stays inside the log (64 KiB of rows, 4 KiB of deletions), and above one batch."""
    vectors = np.random.default_rng(rows).standard_normal((rows, 8)).astype("f4")
    table = db.create_table("t", {"id": np.arange(rows), "vector": vectors, "n": np.zeros(rows, "i8")}, key="id", auto_index=False)
    assert table.update("id % 3 = 0", values_sql={"n": "id * 2"}).rows_updated == (rows + 2) // 3
    assert table.delete("id % 5 = 4").num_deleted_rows == rows // 5
    new = np.arange(rows // 2, rows + rows // 2 + 1)
    done = table.upsert({"id": new, "n": np.full(len(new), -1)})
    wanted = {i: i * 2 if i % 3 == 0 else 0 for i in range(rows) if i % 5 != 4}
    assert done.num_updated_rows == sum(i in wanted for i in new.tolist()) and done.num_rows == len(new)
    wanted.update(dict.fromkeys(new.tolist(), -1))
    found = {row["id"]: row["n"] for row in table.search().select(["id", "n"]).to_list()}
    assert found == wanted and table.count_rows() == len(wanted)
    some = [i for i in range(0, rows, max(1, rows // 50)) if i in wanted and i % 5 != 4]
    for i in some:
        best = table.search(vectors[i]).limit(1).select(["id"]).to_list()
        assert best == [{"id": i, "_distance": 0.0}]
    assert [row["id"] for row in table.get(some, ["id"]).to_list()] == some
    again = kith.connect(db.uri)["t"]
    assert {row["id"]: row["n"] for row in again.search().select(["id", "n"]).to_list()} == wanted and again.verify() >= 0


def test_progress_is_told_and_stops_a_change(db):
    vectors = np.random.default_rng(1).standard_normal((60_000, 16)).astype("f4")
    table = db.create_table("t", {"id": np.arange(60_000), "vector": vectors}, key="id", auto_index=False)
    with pytest.raises(errors.CancelledError):
        table.update(values_sql={"vector": "vector"}, progress=lambda *step: False)
    with pytest.raises(errors.CancelledError, match="stopped"):
        table.merge_insert("id").when_matched_update_all().execute({"id": np.arange(60_000), "vector": -vectors}, progress=lambda *step: False)
    assert table.version == 1 and table.take_row_ids([5]).to_list()[0]["vector"] == vectors[5].tolist()
    told = []
    table.upsert({"id": np.arange(60_000), "vector": -vectors}, progress=lambda *step: told.append(step))
    assert told and told[0][0] == "rows" and all(total == 0 or done <= total for _, done, total in told)


def test_a_table_of_one_version_stays_a_few_files(tmp_path):
    table = kith.connect(tmp_path).create_table("t", {"vector": np.zeros((500, 4), "f4"), "id": np.arange(500)}, versions="off")
    most = 0
    for i in range(600):
        table.add([{"vector": [float(i), 1, 2, 3], "id": 500 + i}])
        if i >= 100 and i % 10 == 0:
            most = max(most, sum(path.is_file() for path in tmp_path.rglob("*")))
    assert most <= 64
    assert table.count_rows() == 1100
    assert len(table.list_versions()) <= 64
