"""Databases: opening them, and tables by name."""

import pathlib
import pickle
import subprocess
import sys

import pyarrow as pa
import pytest

import kith

ROW = [{"vector": [1.0, 2.0], "item": "a"}]


def test_a_path_a_text_and_a_home_folder_open_a_database(tmp_path, monkeypatch):
    assert kith.connect(tmp_path / "one").uri == str(tmp_path / "one")
    assert kith.connect(str(tmp_path / "two")).uri == str(tmp_path / "two")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert kith.connect("~/three").uri == str(tmp_path / "three")
    assert (tmp_path / "three").is_dir()


def test_options_of_lancedb_are_accepted(tmp_path):
    db = kith.connect(tmp_path, read_consistency_interval=None, storage_options={}, session=None)
    assert db.table_names() == []


def test_memory_is_private_unless_it_has_a_name():
    one, two = kith.connect("memory://"), kith.connect("memory://")
    one.create_table("t", ROW)
    assert "t" not in two
    kith.connect("memory://shared").create_table("t", ROW)
    first = kith.connect("memory://shared2")
    first.create_table("t", ROW)
    assert "t" in kith.connect("memory://shared2")


def test_an_unknown_scheme_and_the_cloud_are_refused():
    with pytest.raises(ValueError):
        kith.connect("gopher://x")
    with pytest.raises(NotImplementedError):
        kith.connect("db://x", api_key="k")


def test_tables_are_found_by_name(db):
    made = db.create_table("one", ROW)
    assert made.name == "one" and len(made) == 1
    assert "one" in db and "two" not in db and len(db) == 1 and list(db) == ["one"]
    assert db["one"].to_list() == db.open_table("one").to_list() == [{"vector": [1.0, 2.0], "item": "a"}]


def test_names_come_in_pages_of_ten(db):
    for i in range(25):
        db.create_table(f"t{i:02d}", ROW)
    assert db.table_names() == [f"t{i:02d}" for i in range(10)]
    assert db.table_names(page_token="t09", limit=3) == ["t10", "t11", "t12"]
    assert len(db.table_names(limit=None)) == len(db) == 25
    page, seen = db.list_tables(limit=7), []
    while True:
        seen += page.tables
        if page.page_token is None:
            break
        page = db.list_tables(page_token=page.page_token, limit=7)
    assert seen == sorted(db)


def test_a_missing_table_is_every_habits_error(db):
    for kind in (ValueError, KeyError, FileNotFoundError, kith.KithError, kith.errors.NotFoundError):
        with pytest.raises(kind, match="'nope'|nope"):
            db["nope"]
        with pytest.raises(kind):
            db.open_table("nope")
    with pytest.raises(ValueError, match="was not found"):
        db.open_table("nope")


def test_a_table_is_made_once(db):
    db.create_table("t", ROW)
    with pytest.raises(ValueError, match="already exists"):
        db.create_table("t", ROW)
    with pytest.raises(FileExistsError):
        db.create_table("t", ROW)
    assert len(db.create_table("t", ROW * 3, exist_ok=True)) == 1
    assert len(db.create_table("t", ROW * 3, mode="overwrite")) == 3
    with pytest.raises(ValueError, match="mode must be either 'create' or 'overwrite'"):
        db.create_table("t", ROW, mode="append")  # type: ignore[arg-type]


def test_a_table_that_is_there_has_the_columns_of_the_schema_or_is_refused(db):
    text = pa.field("item", pa.string())
    table = db.create_table("t", schema=pa.schema([("n", pa.int64()), text, ("v", pa.list_(pa.float32(), 2))]))
    table.add([{"n": 1}])
    for same in (table.schema, pa.schema([text.with_type(pa.large_string()), *(table.schema.field(c) for c in "vn")])):
        assert len(db.create_table("t", [{"n": 2}], schema=same, exist_ok=True)) == 1
    for other in (
        table.schema.append(pa.field("extra", pa.int8())),
        pa.schema(list(table.schema)[:2]),
        table.schema.set(0, pa.field("n", pa.int32())),
        table.schema.set(2, pa.field("v", pa.list_(pa.float32(), 3))),
    ):
        with pytest.raises(ValueError, match="the table 't' exists with the columns"):
            db.create_table("t", schema=other, exist_ok=True)
    assert db.create_table("t", schema=other, mode="overwrite", exist_ok=True).schema == other


@pytest.mark.parametrize("name", ["", "a/b", "..", "a b", "-a", "ä"])
def test_bad_names_are_refused(db, name):
    with pytest.raises(ValueError):
        db.create_table(name, ROW)


def test_dropping(db):
    db.create_table("t", ROW)
    db.drop_table("t")
    assert "t" not in db
    with pytest.raises(ValueError, match="t"):
        db.drop_table("t")
    db.drop_table("t", ignore_missing=True)
    db.create_table("a", ROW)
    db.create_table("b", ROW)
    db.drop_all_tables()
    assert len(db) == 0


def test_a_dropped_table_can_be_made_again(db):
    old = db.create_table("t", ROW)
    db.drop_table("t")
    new = db.create_table("t", [{"x": 1}])
    assert new.to_list() == [{"x": 1}]
    with pytest.raises(kith.errors.NotFoundError):
        old.add(ROW)


def test_drop_database_removes_the_folder_but_nothing_else(tmp_path):
    db = kith.connect(tmp_path / "db")
    db.create_table("t", ROW)
    db.drop_database()
    assert not (tmp_path / "db").exists()
    other = kith.connect(tmp_path / "other")
    (tmp_path / "other" / "mine.txt").write_text("keep")
    other.create_table("t", ROW)
    other.drop_database()
    assert [p.name for p in pathlib.Path(other.uri).iterdir()] == ["mine.txt"]


def test_renaming(db):
    handle = db.create_table("old", ROW)
    db.create_table("taken", ROW)
    with pytest.raises(ValueError):
        db.rename_table("old", "taken")
    with pytest.raises(ValueError):
        db.rename_table("nope", "other")
    db.rename_table("old", "new")
    assert "old" not in db and db["new"].to_list() == [{"vector": [1.0, 2.0], "item": "a"}]
    handle.add(ROW)
    assert len(db["new"]) == 2


def test_handles_travel_to_other_processes_by_name(db):
    table = db.create_table("t", ROW)
    assert pickle.loads(pickle.dumps(table)).to_list() == table.to_list()
    assert list(pickle.loads(pickle.dumps(db))) == ["t"]
    with pytest.raises(ValueError):
        pickle.dumps(kith.connect("memory://"))


def test_repr_says_what_it_is(db):
    assert db.uri in repr(db)
    assert "name='t'" in repr(db.create_table("t", ROW))


def test_importing_kith_imports_nothing_else():
    code = "import sys, kith; print([m for m in ('numpy', 'pyarrow', 'pandas', 'polars', 'pydantic', 'typing') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-S", "-c", f"import sys; sys.path[:] = {sys.path!r}; {code}"], capture_output=True, text=True)
    assert out.stdout.strip() == "[]", out.stderr


def test_importing_kith_is_quick():
    code = "import time; s = time.process_time(); import kith; print(time.process_time() - s)"
    times = [float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout) for _ in range(5)]
    assert min(times) < 0.05
