"""Columns that are added, altered and dropped; versions that are listed, read, named and brought back."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest

import kith
from kith import col
from kith.schema import field

ROWS = [{"id": i, "n": i % 3, "s": f"row {i}", "vector": [float(i), 1.0]} for i in range(10)]


@pytest.fixture
def table(db):
    return db.create_table("t", ROWS)


@pytest.fixture(params=["inline", "files"])
def wide(db, request):
    """A table whose rows stand in the log, and one whose rows stand in several files; some are deleted."""
    vectors = np.random.default_rng(1).standard_normal((3000, 8)).astype("f4")
    count = 20 if request.param == "inline" else 3000
    data = {"id": np.arange(count), "n": np.arange(count) % 7, "s": [f"row {i}" for i in range(count)], "vector": vectors[:count]}
    table = db.create_table("w", {name: column[: count // 2] for name, column in data.items()}, auto_index=False)
    table.add({name: column[count // 2 :] for name, column in data.items()})
    table.delete("id % 5 = 1")
    return table


def rows_of(table):
    return {row["id"]: row for row in table.to_list()}


# ---- adding


def test_add_columns_by_expression(wide):
    before = rows_of(wide)
    done = wide.add_columns({"twice": "n * 2", "text": "s || '!'", "null_int": "cast(null as bigint)", "later": col("id") + 1})
    assert repr(done) == f"AddColumnsResult(version={wide.version})" and done.version == 4
    for key, row in rows_of(wide).items():
        assert row == {**before[key], "twice": row["n"] * 2, "text": row["s"] + "!", "null_int": None, "later": key + 1}
    assert wide.schema.names == ["id", "n", "s", "vector", "twice", "text", "null_int", "later"] and wide.schema.field("null_int").type == pa.int64()
    assert wide.count_rows("twice = 4") == sum(row["n"] == 2 for row in before.values())
    wide.add([{"id": 100_000, "twice": 1}])
    assert rows_of(wide)[100_000]["twice"] == 1 and rows_of(wide)[100_000]["later"] is None
    assert wide.verify() >= 0


@pytest.mark.parametrize("form", [lambda fields: fields, pa.schema, lambda fields: kith.Schema([field("x", "int64"), field("v", kith.vector(4))])])
def test_add_columns_of_fields_are_null(wide, form):
    before = rows_of(wide)
    wide.add_columns(form([pa.field("x", pa.int64()), pa.field("v", pa.list_(pa.float32(), 4))]))
    assert wide.schema.field("x").type == pa.int64() and wide.schema.field("v").type == pa.list_(pa.float32(), 4)
    assert rows_of(wide) == {key: {**row, "x": None, "v": None} for key, row in before.items()}
    wide.update("n = 1", {"v": [1, 2, 3, 4], "x": 7})
    chosen = [key for key, row in before.items() if row["n"] == 1]
    assert wide.count_rows("x = 7") == len(chosen)
    found = wide.search([1.0, 2.0, 3.0, 4.0], vector_column_name="v").limit(len(before)).to_list()
    assert {row["id"] for row in found} == set(chosen) and found[0]["_distance"] == 0


def test_add_one_field_or_a_model(table):
    table.add_columns(pa.field("one", pa.struct([("a", pa.int32())])))
    table.add_columns(field("two", "float16"))

    class More(kith.LanceModel):
        three: str | None
        four: dt.datetime | None

    table.add_columns(More)
    assert table.schema.names[4:] == ["one", "two", "three", "four"] and rows_of(table)[3]["one"] is None
    table.update("id = 3", {"one": {"a": 5}, "two": 0.5, "three": "x", "four": dt.datetime(2020, 1, 1)})
    assert table.search().where("one.a = 5").to_list() == [{**ROWS[3], "one": {"a": 5}, "two": 0.5, "three": "x", "four": dt.datetime(2020, 1, 1)}]


def test_add_columns_refuses_and_changes_nothing(table):
    wrong = [
        (lambda: table.add_columns({"n": "1"}), FileExistsError), (lambda: table.add_columns(pa.field("s", pa.int64())), FileExistsError),
        (lambda: table.add_columns({"x": "nope + 1"}), KeyError), (lambda: table.add_columns({"x": "1 +"}), ValueError), (lambda: table.add_columns({"x": "n + s"}), (TypeError, ValueError)),
        (lambda: table.add_columns(), ValueError), (lambda: table.add_columns({}), ValueError), (lambda: table.add_columns([]), ValueError), (lambda: table.add_columns("x"), ValueError),
        (lambda: table.add_columns({"x": 3}), ValueError), (lambda: table.add_columns({"x": "1", "X": "2", "x.y": "3"}), ValueError),
        (lambda: table.add_columns(pa.field("x", pa.int64(), nullable=False)), ValueError), (lambda: table.add_columns({"_rowid": "1"}), ValueError),
        (lambda: table.add_columns(computed={"x": "n"}), NotImplementedError), (lambda: table.add_columns({"x": "cast(s as int)"}), ValueError), (lambda: table.add_columns({3: "n"}), TypeError),
    ]  # fmt: skip
    for call, kind in wrong:
        with pytest.raises(kind):
            call()
    assert table.version == 1 and table.to_list() == ROWS


# ---- altering


def test_columns_are_renamed(wide):
    before = rows_of(wide)
    wide.create_scalar_index("n")
    assert repr(wide.alter_columns({"path": "n", "rename": "number"}, {"path": "s", "name": "text"})) == "AlterColumnsResult(version=4)"
    assert wide.schema.names == ["id", "number", "text", "vector"]
    assert rows_of(wide) == {key: {"id": key, "number": row["n"], "text": row["s"], "vector": row["vector"]} for key, row in before.items()}
    assert wide.count_rows("number = 2") == sum(row["n"] == 2 for row in before.values()) and wide.list_indices()[0].columns == ["number"]
    with pytest.raises(KeyError):
        wide.count_rows("n = 2")
    wide.checkout(3)
    assert rows_of(wide) == before
    wide.checkout_latest()
    wide.alter_columns({"path": "vector", "rename": "v"})
    some = next(iter(before.values()))
    assert wide.search(some["vector"]).limit(1).to_list()[0]["id"] == some["id"]


def test_columns_get_other_types(wide):
    before = rows_of(wide)
    wide.alter_columns({"path": "n", "data_type": pa.float64()}, {"path": "id", "data_type": pa.int32()}, {"path": "s", "data_type": "large_string"})
    assert [str(one) for one in wide.schema.types[:3]] == ["int32", "double", "large_string"] and rows_of(wide) == before
    wide.alter_columns({"path": "vector", "data_type": pa.list_(pa.float64(), 8)})
    assert rows_of(wide) == before and wide.schema.field("vector").type == pa.list_(pa.float64(), 8)
    wide.alter_columns({"path": "id", "rename": "key", "data_type": pa.int16(), "nullable": True})
    assert wide.schema.field("key").type == pa.int16() and wide.count_rows("key = 7") == 1
    some = next(iter(before.values()))
    assert wide.search(some["vector"]).limit(1).to_list()[0]["key"] == some["id"]


def test_columns_may_be_null_or_not(table):
    table.alter_columns({"path": "n", "nullable": False})
    assert not table.schema.field("n").nullable and table.to_list() == ROWS
    with pytest.raises(ValueError, match="n"):
        table.add([{"id": 10}])
    with pytest.raises(ValueError, match="n"):
        table.update("id = 1", {"n": None})
    table.alter_columns(dict(path="n", nullable=True))
    table.add([{"id": 10}])
    with pytest.raises(ValueError, match="null in 1 row"):
        table.alter_columns({"path": "n", "nullable": False})
    assert table.schema.field("n").nullable and len(table) == 11


def test_alter_columns_refuses_and_changes_nothing(table):
    wrong = [
        (lambda: table.alter_columns({"path": "nope", "rename": "x"}), KeyError), (lambda: table.alter_columns({"rename": "x"}), ValueError), (lambda: table.alter_columns("n"), ValueError),
        (lambda: table.alter_columns({"path": "n"}), ValueError), (lambda: table.alter_columns({"path": "n", "rename": "s"}), ValueError), (lambda: table.alter_columns(), ValueError),
        (lambda: table.alter_columns({"path": "n", "type": pa.int8()}), ValueError), (lambda: table.alter_columns({"path": "s", "data_type": pa.int64()}), ValueError),
        (lambda: table.alter_columns({"path": "vector", "data_type": pa.list_(pa.float32(), 3)}), ValueError), (lambda: table.alter_columns({"path": "n", "data_type": "nope"}), TypeError),
        (lambda: table.alter_columns({"path": "n", "rename": ""}), ValueError), (lambda: table.alter_columns({"path": "n", "rename": "_rowid"}), ValueError),
    ]  # fmt: skip
    for call, kind in wrong:
        with pytest.raises(kind):
            call()
    assert table.version == 1 and table.to_list() == ROWS


# ---- dropping


def test_drop_columns(wide):
    before = rows_of(wide)
    wide.create_scalar_index("n")
    assert repr(wide.drop_columns(["n", "vector"])) == "DropColumnsResult(version=4)"
    assert rows_of(wide) == {key: {"id": key, "s": row["s"]} for key, row in before.items()} and wide.list_indices() == []
    with pytest.raises(KeyError):
        wide.count_rows("n = 1")
    wide.add_columns({"n": "id * 10"})
    assert rows_of(wide)[7]["n"] == 70
    wide.checkout(3)
    assert rows_of(wide) == before


def test_drop_columns_refuses(db, table):
    keyed = db.create_table("k", ROWS, key="id")
    wrong = [
        (lambda: table.drop_columns(["nope"]), KeyError), (lambda: table.drop_columns(["id", "n", "s", "vector"]), ValueError), (lambda: table.drop_columns("n"), ValueError),
        (lambda: keyed.drop_columns(["id"]), ValueError), (lambda: table.drop_columns([]), ValueError), (lambda: table.drop_columns([3]), TypeError),
    ]  # fmt: skip
    for call, kind in wrong:
        with pytest.raises(kind):
            call()
    assert table.version == keyed.version == 1 and table.to_list() == keyed.to_list() == ROWS


def test_a_key_may_be_renamed_and_keeps_its_type(db):
    keyed = db.create_table("k", ROWS, key="id")
    keyed.alter_columns({"path": "id", "rename": "key"})
    assert keyed.get(3).to_list()[0]["key"] == 3
    with pytest.raises(FileExistsError):
        keyed.add([{"key": 3}])
    with pytest.raises(ValueError, match="key"):
        keyed.alter_columns({"path": "key", "data_type": pa.int32()})
    for call in (lambda: keyed.alter_columns({"path": "key", "nullable": True}), lambda: keyed.upsert([{"key": None}])):
        try:
            call()
        except ValueError:
            pass
    with pytest.raises(ValueError):
        keyed.add([{"n": 1}])
    assert keyed.upsert([{"key": 3, "s": "x"}]).num_updated_rows == 1 and len(keyed) == 10


def test_columns_change_under_a_writer(db, table):
    other = kith.connect(db.uri)["t"]
    table.add_columns({"x": "n + 1"})
    other.add([{"id": 50, "x": 3}])
    other.drop_columns(["s"])
    table.update("id = 50", {"x": 4})
    assert rows_of(other)[50] == {"id": 50, "n": None, "vector": None, "x": 4}
    with pytest.raises(ValueError):
        table.add([{"id": 51, "s": "gone"}])


# ---- versions


def test_restore(db):
    table = db.create_table("t", [{"vector": [1.1, 0.9], "type": "vector"}])
    table.add([{"vector": [0.5, 0.2], "type": "vector"}])
    assert table.restore(1) is None
    assert len(table.list_versions()) == 3 and len(table) == 1
    expected = table.to_arrow()
    table.checkout(1)
    table.restore()
    assert len(table.list_versions()) == 4 and table.to_arrow() == expected
    table.restore(4)
    assert len(table.list_versions()) == 5 and table.version == 5
    for wrong in (6, 0, -1, "nope", 1.5):
        with pytest.raises(ValueError):
            table.restore(wrong)  # type: ignore[arg-type]
    table.add([{"vector": [7.0, 7.0], "type": "new"}])
    assert [row["_rowid"] for row in table.search().with_row_id().to_list()] == [0, 2]  # row 1 was another
    table.restore(2)
    assert [row["type"] for row in table.to_list()] == ["vector"] * 2
    assert [row["_rowid"] for row in table.search().with_row_id().to_list()] == [0, 1]


def test_restore_brings_back_everything(db):
    table = db.create_table("t", ROWS, key="id")
    table.create_scalar_index("n")
    table.delete("id < 5")
    table.update("id > 7", {"s": "new"})
    table.upsert([{"id": 3, "s": "three"}, {"id": 70, "s": "seventy"}])
    table.drop_columns(["vector", "n"])
    table.add_columns({"more": "id"})
    assert table.version == 6 and table.list_indices() == []
    table.restore(1)
    assert table.to_list() == ROWS and [one.columns for one in table.list_indices()] in ([["n"]], [])
    assert table.get([4, 70]).to_list() == [ROWS[4]] and table.count_rows("n = 1") == 3
    assert table.search([3.0, 1.0]).limit(1).to_list()[0]["id"] == 3
    with pytest.raises(FileExistsError):
        table.add([{"id": 4}])
    table.add([{"id": 70}])
    other = kith.connect(db.uri)["t"]
    other.restore(6)
    assert table.schema.names == ["id", "s", "more"] and len(table) == 7 and table.verify() >= 0


def test_time_travel(db):
    table = db.create_table("t", [{"id": 0}])
    table.add([{"id": 1}])
    table.checkout(1)
    assert table.count_rows() == 1
    for write in (
        lambda: table.add([{"id": 2}]), lambda: table.add_columns({"x": "id"}), lambda: table.alter_columns({"path": "id", "rename": "x"}), lambda: table.drop_columns(["id"]),
        lambda: table.create_scalar_index("id"), lambda: table.delete("true"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="table cannot be modified when a specific version is checked out"):
            write()
    table.checkout_latest()
    table.add([{"id": 3}])
    assert table.count_rows() == 3
    table.checkout(1)
    table.restore()
    assert table.count_rows() == 1
    table.add([{"id": 4}])
    assert table.count_rows() == 2
    with pytest.raises(ValueError, match="Version 9999 no longer exists. Was it cleaned up"):
        table.checkout(9999)
    pinned = db.open_table("t", version=2)
    assert pinned.count_rows() == 2 and pinned.version == 2


def test_tags(db, table):
    table.tags.create("one", 1)
    assert table.tags.list() == {"one": {"version": 1}} and table.tags.get_version("one") == 1
    table.add(ROWS[:1])
    table.tags.create("two", 2)
    assert {name: tag["version"] for name, tag in table.tags.list().items()} == {"one": 1, "two": 2} and "two" in repr(table.tags)
    table.tags.delete("two")
    table.tags.update("one", 2)
    assert table.tags.list() == {"one": {"version": 2}} == kith.connect(db.uri)["t"].tags.list()
    table.tags.update("one", 1)
    table.checkout("one")
    assert table.version == 1 and len(table) == 10
    table.tags.create("two", 2)  # also while an older version is read
    table.checkout("two")
    assert table.version == 2 and len(table) == 11 and db.open_table("t", version="one").version == 1
    table.checkout_latest()
    table.add(ROWS[:1])
    table.restore("one")
    assert len(table) == 10 and table.version == 4 and len(table.tags.list()) == 2
    for call, kind in (
        (lambda: table.tags.create("one", 1), FileExistsError), (lambda: table.tags.update("x", 1), KeyError), (lambda: table.tags.delete("x"), KeyError),
        (lambda: table.tags.get_version("x"), KeyError), (lambda: table.tags.create("x", 99), KeyError), (lambda: table.tags.create("x", 0), ValueError),
        (lambda: table.tags.create("", 1), ValueError), (lambda: table.checkout("x"), ValueError), (lambda: table.restore("x"), ValueError), (lambda: table.tags.create(3, 1), TypeError),
        (lambda: db.open_table("t", version="x"), KeyError), (lambda: table.tags.create("x", "1"), ValueError),
    ):  # fmt: skip
        with pytest.raises(kind):
            call()
    assert sorted(table.tags.list()) == ["one", "two"]


def test_versions_are_listed_with_what_made_them(table):
    table.update("id = 1", {"n": 5})
    table.delete("id = 2")
    table.merge_insert("id").when_not_matched_insert_all().execute([{"id": 99}])
    table.add_columns({"x": "id"})
    table.add(ROWS, mode="overwrite")
    table.restore(1)
    told = [(one["version"], one["metadata"]["operation"], int(one["metadata"]["rows"])) for one in table.list_versions()]
    assert told == [(1, "create", 10), (2, "update", 10), (3, "delete", 9), (4, "merge", 10), (5, "add_columns", 10), (6, "overwrite", 10), (7, "restore", 10)]


# ---- upkeep


def test_optimize_folds_indexes_and_removes_old_versions(db):
    table = db.create_table("t", [{"id": 0, "vector": [0.0, 0.0]}])
    for i in range(1, 40):
        table.add({"id": np.arange(i * 1000, i * 1000 + 500), "vector": np.random.default_rng(i).standard_normal((500, 2)).astype("f4")})
    table.delete("id % 2 = 1")
    table.create_index(num_partitions=4)
    table.create_scalar_index("id")
    table.add([{"id": 7, "vector": [50.0, 50.0]}])
    rows, version, before = table.to_list(), table.version, table.stats()
    done = table.optimize()
    assert done.compaction.fragments_removed > done.compaction.fragments_added >= 1 and done.rows_indexed >= 1 and done.prune.old_versions_removed >= 0
    assert all(index.num_unindexed_rows == 0 for index in table.list_indices()) and table.index_stats("id_idx").num_unindexed_rows == 0
    assert table.version == version and table.to_list() == rows and table.stats()["num_fragments"] < before["num_fragments"]
    table.tags.create("kept", 20)
    again = table.optimize(cleanup_older_than=dt.timedelta(0), delete_unverified=True)
    assert again.prune.old_versions_removed >= 1 and again.prune.bytes_removed > 0 and again.prune.files_removed > 0
    assert [one["version"] for one in table.list_versions()] == [20, version] and table.to_list() == rows
    with pytest.raises(ValueError, match="Version 19 no longer exists"):
        table.checkout(19)
    table.checkout("kept")
    assert len(table) == 1 + 19 * 500
    with pytest.raises(ValueError, match="checked out"):
        table.optimize()
    table.checkout_latest()
    assert table.search([50.0, 50.0]).limit(1).to_list()[0]["id"] == 7 and table.verify() >= 1
    table.optimize(retrain=True)
    assert table.to_list() == rows and [index.num_unindexed_rows for index in table.list_indices()] == [0, 0]


def test_cleanup_and_compaction_by_their_old_names(db):
    table = db.create_table("t", {"id": np.arange(5000), "vector": np.ones((5000, 8), "f4")})
    for i in range(3):
        table.add({"id": np.arange(5000) + i, "vector": np.ones((5000, 8), "f4")})
    stats = table.compact_files()
    assert stats.fragments_removed > 0 and stats.fragments_added >= 1 and len(table.list_versions()) == 4
    assert table.cleanup_old_versions().bytes_removed == 0 and len(table.list_versions()) == 4
    stats = table.cleanup_old_versions(older_than=dt.timedelta(0), delete_unverified=True)
    assert stats.bytes_removed > 0 and stats.old_versions == 3 and table.version == 4 and len(table) == 20_000
    with pytest.raises(ValueError, match="Version 3 no longer exists"):
        table.checkout(3)
    for call in (lambda: table.optimize(cleanup_older_than=7), lambda: table.cleanup_old_versions(dt.timedelta(-1))):  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="timedelta"):
            call()


def test_a_table_says_how_many_versions_it_keeps(db):
    off, few, all_ = (db.create_table(name, [{"n": 0}], versions=versions) for name, versions in (("off", "off"), ("few", 5), ("all", None)))
    for n in range(300):
        for table in (off, few, all_):
            table.add([{"n": n}])
    assert len(off.list_versions()) < 130 and len(few.list_versions()) < 130 and len(all_.list_versions()) == 301
    for table, left in ((off, 1), (few, 5), (all_, 301)):
        table.optimize()
        assert len(table.list_versions()) == left and len(table) == 301
    for wrong in ("on", 0, -1, 1.5):
        with pytest.raises(ValueError, match="versions"):
            db.create_table("x", [{"n": 0}], versions=wrong)
