"""Code written for LanceDB: the first release's page, its imports, its models."""

import datetime as dt
import enum
import subprocess
import sys
import typing

import numpy as np
import pydantic
import pyarrow as pa
import pytest

import kith
from kith.pydantic import LanceModel, Vector


def python(code, *hidden, **environment):
    """Run code in a fresh interpreter in which the packages `hidden` cannot be imported."""
    block = "".join(f"sys.modules[{name!r}] = None; " for name in hidden)
    import os

    return subprocess.run([sys.executable, "-c", f"import sys; {block}\n{code}"], capture_output=True, text=True, env={**os.environ, **environment})


SEED = '''
import kith as lancedb
import numpy as np

uri = "~/.lancedb"
db = lancedb.connect(uri)

data = [{"vector": row, "item": f"item {i}"}
     for i, row in enumerate(np.random.random((10_000, 768)).astype('float32'))]

tbl = db.create_table("my_vectors", data=data)

tbl.create_index(num_partitions=256, num_sub_vectors=96)

frame = tbl.search(np.random.random((768))) \\
    .limit(2) \\
    .nprobes(20) \\
    .refine_factor(10) \\
    .to_df()
'''


def test_the_first_page_runs_word_for_word(tmp_path):
    check = "print(list(frame.columns), len(frame), frame['score'].dtype, frame['vector'][0].shape, frame['item'][0][:5], tbl.list_indices()[0].num_partitions)"
    out = python(SEED + check, HOME=str(tmp_path))
    assert out.stdout.strip() == "['vector', 'item', 'score'] 2 float32 (768,) item  256", out.stderr
    assert out.stderr == ""


def test_installed_as_lancedb_it_answers_the_imports():
    out = python("""
import kith
kith.install_as("lancedb")
kith.install_as("lancedb")
import lancedb
from lancedb.pydantic import LanceModel, Vector
from lancedb.index import IvfPq, IvfFlat, HnswSq, BTree, FTS
from lancedb import vector, connect
from lancedb.table import Table, LanceTable
from lancedb.query import LanceQueryBuilder, LanceVectorQueryBuilder
from lancedb.db import DBConnection, LanceDBConnection
import lancedb.table, kith.table, kith.pydantic, importlib
assert lancedb is kith and lancedb.table is kith.table and sys.modules["lancedb.pydantic"] is kith.pydantic
assert kith.table.__spec__.name == "kith.table" and kith.__spec__.name == "kith"
assert importlib.import_module("lancedb.index").IvfPq is IvfPq
import lancedb.rerankers, lancedb.remote.table, lancedb.db
assert lancedb.db.LanceTable is LanceTable and not issubclass(LanceTable, lancedb.remote.table.RemoteTable)
for absent in (lancedb.remote.RemoteDBConnection, lancedb.remote.table.RemoteTable):
    try: absent("db://x")
    except NotImplementedError: continue
    sys.exit("a cloud")
try:
    import lancedb.embeddings
except ModuleNotFoundError:
    print("good")
""")
    assert out.stdout.strip() == "good", out.stderr


def test_install_as_refuses_what_it_cannot_stand_in_for():
    with pytest.raises(ValueError):
        kith.install_as("numpy")
    out = python("import types; sys.modules['lancedb'] = types.ModuleType('lancedb')\nimport kith\ntry: kith.install_as('lancedb')\nexcept ValueError: print('good')")
    assert out.stdout.strip() == "good", out.stderr


def test_nothing_is_needed_but_python(tmp_path):
    out = python(f"""
import kith
db = kith.connect({str(tmp_path)!r})
table = db.create_table("t", [{{"vector": [float(i), 1.0], "item": str(i), "s": {{"a": [i]}}}} for i in range(300)])
assert table.search([3.0, 1.0]).limit(1).to_list() == [{{"vector": [3.0, 1.0], "item": "3", "s": {{"a": [3]}}, "_distance": 0.0}}]
assert table.schema.names == ["vector", "item", "s"] and isinstance(table.schema, kith.Schema)
assert str(table.schema.field("vector").type) == "fixed_size_list<float32>[2]"
table.create_index("l2", 4, 2)
ids, distances = table.searcher(k=2)([3.0, 1.0])
assert list(ids)[0] == 3 and list(distances)[0] == 0.0
ids, distances = table.searcher(k=2)([[3.0, 1.0], [5.0, 1.0]])
assert ids.tolist()[1][0] == 5
assert table.head(2).to_list()[1]["item"] == "1"
assert db.create_table("e", schema=kith.Schema([kith.schema.field("vector", kith.vector(8)), kith.schema.field("n", "int32")])).schema.field("n").type.format == "i"
for ask in (table.to_arrow, table.to_pandas, table.to_polars, lambda: kith.LanceModel):
    try: ask()
    except ImportError as error: print(type(error).__name__)
""", "numpy", "pyarrow", "pandas", "polars", "pydantic", "tqdm")
    assert out.stderr == "" and out.stdout.split() == ["MissingPackageError"] * 3 + ["ModuleNotFoundError"], out.stdout


def test_pandas_and_polars_work_without_pyarrow(tmp_path):
    out = python(f"""
import kith, pandas, polars, numpy, datetime
db = kith.connect({str(tmp_path)!r})
frame = pandas.DataFrame({{"vector": list(numpy.ones((3, 2), "f4")), "n": pandas.array([1, None, 3], "Int64"), "s": ["x", None, "z"],
                          "t": pandas.to_datetime(["2020-01-01", None, "2020-01-03"]), "b": [True, False, True]}})
table = db.create_table("t", frame)
back = table.to_pandas()
assert back["vector"][0].tolist() == [1.0, 1.0] and back["n"].isna().tolist() == [False, True, False] and back["s"][0] == "x"
assert back["t"][0] == pandas.Timestamp("2020-01-01") and back["t"].isna()[1] and back["b"].dtype == bool
assert table.to_polars().shape == (3, 5) and table.search([1.0, 1.0]).to_df().shape == (3, 6)
db.create_table("p", polars.DataFrame({{"vector": [[1.0, 2.0]], "x": ["a"]}})).add(polars.DataFrame({{"vector": [[1.0, 2.0]], "x": ["b"]}}))
assert db["p"].search([1.0, 2.0]).to_polars()["_distance"].to_list() == [0.0, 0.0]
print("good")
""", "pyarrow")
    assert out.stdout.strip() == "good", out.stderr


# ---- models


class Colour(enum.Enum):
    RED = "red"


class Inner(pydantic.BaseModel):
    x: int
    y: typing.Optional[str] = None


class Everything(LanceModel):
    vector: Vector(4)  # type: ignore[valid-type]
    half: Vector(2, "float16", nullable=False)  # type: ignore[valid-type]
    name: str
    n: int
    f: float
    ok: bool
    raw: bytes
    day: dt.date
    at: dt.datetime
    zoned: dt.datetime = pydantic.Field(json_schema_extra={"tz": "UTC"})
    maybe: typing.Optional[int] = None
    either: str | None = None
    tags: list[str] = []
    inner: Inner
    colour: typing.Literal["red", "blue"] = "red"


def everything(number):
    return Everything(vector=[float(number)] * 4, half=np.ones(2), name=f"n{number}", n=number, f=1.5, ok=True, raw=b"x", day=dt.date(2020, 1, 1),
                      at=dt.datetime(2020, 1, 1), zoned=dt.datetime(2020, 1, 1, tzinfo=dt.timezone.utc), tags=["a"], inner=Inner(x=1))  # fmt: skip


def test_a_model_is_a_schema():
    schema = Everything.to_arrow_schema()
    assert schema == pa.schema([
        ("vector", pa.list_(pa.float32(), 4)), pa.field("half", pa.list_(pa.float16(), 2), False), pa.field("name", pa.string(), False), pa.field("n", pa.int64(), False),
        pa.field("f", pa.float64(), False), pa.field("ok", pa.bool_(), False), pa.field("raw", pa.binary(), False), pa.field("day", pa.date32(), False),
        pa.field("at", pa.timestamp("us"), False), pa.field("zoned", pa.timestamp("us", "UTC"), False), ("maybe", pa.int64()), ("either", pa.string()),
        pa.field("tags", pa.list_(pa.string()), False), pa.field("inner", pa.struct([pa.field("x", pa.int64(), False), ("y", pa.string())]), False),
        pa.field("colour", pa.string(), False),
    ])  # fmt: skip
    assert Everything.field_names()[:3] == ["vector", "half", "name"]
    with pytest.raises(pydantic.ValidationError):
        Everything.model_validate({**everything(1).model_dump(), "vector": [1.0]})
    with pytest.raises(TypeError):
        class Odd(LanceModel):
            x: typing.Union[int, str]
        Odd.to_arrow_schema()


def test_models_go_in_and_come_out(db):
    table = db.create_table("t", schema=Everything)
    models = [everything(i) for i in range(5)]
    table.add(models)
    assert table.search([2.0] * 4, "vector").limit(1).to_pydantic(Everything) == [models[2]]
    assert db.create_table("u", models).schema == table.schema == Everything.to_arrow_schema()
    assert db["u"].search([0.0] * 4, "vector").limit(5).to_pydantic(Everything) == models


def test_types_of_vectors():
    assert kith.vector(8) == pa.list_(pa.float32(), 8)
    assert kith.vector(8, "float16") == kith.vector(8, np.float16) == kith.vector(8, pa.float16()) == pa.list_(pa.float16(), 8)
    with pytest.raises(ValueError):
        kith.vector(8, "quaternion")


def test_tables_and_databases_are_made_by_lancedbs_classes_too(tmp_path):
    from kith.db import LanceDBConnection
    from kith.table import LanceTable

    db = LanceDBConnection(tmp_path)
    made = LanceTable.create(db, "t", [{"n": 1}], pa.schema([("n", pa.int8())]), "overwrite", exist_ok=True)
    made.add([{"n": 2}])
    for table in (LanceTable(db, "t"), LanceTable.open(db, "t"), LanceTable(LanceDBConnection(str(tmp_path)), "t")):
        assert isinstance(table, LanceTable) and table.to_list() == [{"n": 1}, {"n": 2}] and table.schema == made.schema
    assert LanceTable.open(db, "t", version=1).to_list() == [{"n": 1}]
    with pytest.raises(FileNotFoundError, match="was not found"):
        LanceTable(db, "nope")


def test_any_model_is_a_pyarrow_schema():
    from kith.pydantic import pydantic_to_schema

    class Inner(pydantic.BaseModel):
        a: str
        b: typing.Optional[float] = None

    class Outer(pydantic.BaseModel):
        vector: Vector(2)  # type: ignore[valid-type]
        inner: Inner
        many: list[Inner]

    inner = pa.struct([pa.field("a", pa.utf8(), False), pa.field("b", pa.float64())])
    fields = [("vector", pa.list_(pa.float32(), 2), True), ("inner", inner, False), ("many", pa.list_(inner), False)]
    schema = pydantic_to_schema(Outer)
    assert isinstance(schema, pa.Schema) and schema == pa.schema([pa.field(*one) for one in fields])
    table = kith.connect("memory://").create_table("t", schema=schema)
    table.add([Outer(vector=[1.0, 2.0], inner=Inner(a="x"), many=[Inner(a="y", b=2.0)])])
    assert table.search().to_pydantic(Outer)[0].many == [Inner(a="y", b=2.0)]


def test_a_model_that_says_too_little_is_told_what_is_missing():
    with pytest.raises(TypeError, match=r"Vector\(384\), not Vector"):

        class NoDimension(LanceModel):
            vector: Vector  # type: ignore[valid-type]

    for bare in (typing.List, typing.Tuple):  # which were taken for lists of text
        model = pydantic.create_model("Bare", items=(bare, ...), __base__=LanceModel)
        with pytest.raises(TypeError, match="'items' is an unsupported type"):
            model.to_arrow_schema()


def test_models_are_filled_by_the_aliases_of_their_fields(db):
    class Found(LanceModel):
        name: str = pydantic.Field(alias="item")
        price: float
        distance: float = pydantic.Field(validation_alias="_distance")

    class Stored(LanceModel):
        name: str = pydantic.Field(alias="item")

    table = db.create_table("t", [{"vector": [3.0, 4.0], "item": "a", "price": 1.0}])
    found = table.search([3.0, 5.0]).to_pydantic(Found)
    assert [(one.name, one.price, one.distance) for one in found] == [("a", 1.0, 1.0)]
    again = db.create_table("u", [Stored(item="b")]).search().to_pydantic(Stored)
    assert [one.name for one in again] == ["b"]


def test_a_query_is_made_by_lancedbs_class_and_says_its_columns(db):
    from kith.query import LanceVectorQueryBuilder

    table = db.create_table("t", [{"id": i, "vector": [float(i), 0.0], "other_vector": [0.0, -float(i)]} for i in range(5)])
    query = LanceVectorQueryBuilder(table, [0.0, -3.0], "other_vector").where("id > 0").select(["id"]).limit(1)
    assert query.to_list() == [{"id": 3, "_distance": 0.0}]
    assert query.output_schema() == query.to_arrow().schema.remove_metadata() == pa.schema({"id": pa.int64(), "_distance": pa.float32()})
    assert table.search().with_row_id().output_schema().names == ["id", "vector", "other_vector", "_rowid"]


def test_what_a_search_and_an_index_cannot_be_is_said(db):
    table = db.create_table("t", schema=pa.schema([("vector", pa.list_(pa.list_(pa.float32(), 2)))]))
    with pytest.raises(ValueError, match="query_type is 'auto' or 'vector', not 'vektor'"):
        table.search([1.0, 2.0], query_type="vektor")
    for how in ({"query_type": "fts"}, {"query_type": "hybrid"}):
        with pytest.raises(NotImplementedError, match="full-text"):
            table.search(**how)
    with pytest.raises(ValueError, match="holds no vectors"):
        table.create_index("cosine")


def test_stats_has_lancedbs_sums(db):
    table = db.create_table("t", [{"id": i} for i in range(100)])
    table.create_scalar_index("id")
    stats = table.stats()
    assert (stats["num_rows"], stats["num_indices"]) == (100, 1)
    assert stats["total_bytes"] == stats["data_bytes"] + stats["inline_bytes"] > 0
