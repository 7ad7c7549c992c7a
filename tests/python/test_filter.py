"""Filters: every door to them, every value and type, k rows wherever k match, orders, pages, expressions."""

import datetime as dt
import decimal
import enum
import pickle
import subprocess
import sys
import threading
import uuid

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import kith
from conftest import distances
from kith import col, func, lit
from kith.expr import Expr
from kith.index import BTree, Bitmap, IvfRq, LabelList
from kith.query import ColumnOrdering

SEED = 20261121


@pytest.fixture
def shop(db):
    """Twelve things for sale, some without a price or a tag."""
    rows = [
        {"id": 0, "price": 1.5, "tag": "tea", "stock": 3, "labels": ["hot", "new"], "size": {"w": 1, "unit": "cm"}, "meta": '{"a": {"b": 1}, "c": "x"}'},
        {"id": 1, "price": 9.5, "tag": "cup", "stock": 0, "labels": [], "size": {"w": 2, "unit": "cm"}, "meta": '{"a": {"b": 2}}'},
        {"id": 2, "price": None, "tag": "tea", "stock": 7, "labels": ["new"], "size": None, "meta": None},
        {"id": 3, "price": 20.0, "tag": None, "stock": 7, "labels": None, "size": {"w": None, "unit": "in"}, "meta": "[1]"},
        {"id": 4, "price": 0.5, "tag": "Cup", "stock": -2, "labels": ["hot"], "size": {"w": 4, "unit": "in"}, "meta": "{}"},
    ]
    return db.create_table("shop", [{"vector": [float(i), 1.0], **row} for i, row in enumerate(rows)])


def ids(query):
    return [row["id"] for row in query.to_list()]


# ---- the doors

DOORS = {
    "SQL": ("price < 9.5 AND tag = 'tea'", [0]),
    "SQL, comments and case": ("Price < 9.5 -- cheap\n and /* what */ TAG = 'tea'", [0]),
    "SQL, a double-quoted text": ('tag = "tea"', [0, 2]),
    "SQL, IN": ("tag IN ('tea', 'cup')", [0, 1, 2]),
    "SQL, BETWEEN": ("stock BETWEEN 0 AND 3", [0, 1]),
    "SQL, LIKE": ("tag LIKE 'c%'", [1]),
    "SQL, ILIKE": ("tag ILIKE 'c%'", [1, 4]),
    "SQL, null": ("price IS NULL OR tag IS NULL", [2, 3]),
    "SQL, not": ("NOT price > 1", [4]),
    "SQL, distinct": ("tag IS DISTINCT FROM 'tea'", [1, 3, 4]),
    "SQL, CASE": ("CASE WHEN stock > 5 THEN price IS NULL ELSE price > 5 END", [1, 2]),
    "SQL, arithmetic": ("stock * 2 + 1 = 7", [0]),
    "SQL, cast": ("price::int = 2 AND CAST(stock AS text) = '3'", [0]),
    "SQL, a struct": ("size.w >= 2 AND size['unit'] = 'cm'", [1]),
    "SQL, a list": ("array_has(labels, 'new') AND labels[1] = 'hot'", [0]),
    "SQL, JSON": ("meta->>'a.b' = '2'", [1]),
    "SQL, JSON as a number": ("meta->>'a.b' > 1", [1]),
    "SQL, row ids": ("_rowid >= 3", [3, 4]),
    "Mongo": ({"price": {"$lt": 9.5}, "tag": "tea"}, [0]),
    "Mongo, or": ({"$or": [{"stock": {"$gte": 7}}, {"tag": "Cup"}]}, [2, 3, 4]),
    "Mongo, ne": ({"tag": {"$ne": "tea"}}, [1, 3, 4]),
    "Mongo, nin": ({"tag": {"$nin": ["tea", "cup"]}}, [3, 4]),
    "Mongo, null": ({"tag": None}, [3]),
    "Mongo, exists": ({"tag": {"$exists": False}}, [3]),
    "Chroma": ({"$and": [{"price": {"$gt": 1}}, {"stock": {"$in": [3, 7]}}]}, [0, 3]),
    "Chroma, contains": ({"labels": {"$contains": "hot"}}, [0, 4]),
    "Haystack": ({"operator": "AND", "conditions": [{"field": "meta.price", "operator": "<", "value": 9.5}, {"field": "tag", "operator": "==", "value": "tea"}]}, [0]),
    "Haystack, not in": ({"field": "meta.tag", "operator": "not in", "value": ["tea"]}, [1, 3, 4]),
    "empty dict": ({}, [0, 1, 2, 3, 4]),
    "a dict within a struct": ({"size.w": {"$gte": 2}}, [1, 4]),
    "Expr": ((col("price") < 9.5) & (col("tag") == "tea"), [0]),
    "Expr, or and not": (~(col("stock") > 0) | (col("tag").is_null()), [1, 3, 4]),
    "Expr, isin": (col("tag").isin(["tea", "cup"]), [0, 1, 2]),
    "Expr of SQL": (Expr.from_sql("price < ?", [9.5]) & col("stock").between(0, 3), [0]),
    "Expr of JSON": (Expr.from_json({"price": {"$lt": 9.5}}), [0, 4]),
}


@pytest.mark.parametrize("name", DOORS)
def test_a_filter_through_each_door(shop, name):
    where, wanted = DOORS[name]
    assert ids(shop.search().where(where)) == wanted
    assert shop.count_rows(where) == len(wanted)
    assert sorted(ids(shop.search([0.0, 1.0]).where(where))) == wanted
    assert sorted(ids(shop.search([0.0, 1.0]).where(where, prefilter=False))) == wanted
    found, far = shop.searcher(k=5, where=where)([0.0, 1.0])
    assert sorted(found[: len(wanted)].tolist()) == wanted and np.isinf(far[len(wanted) :]).all()


PARAMETERS = [
    ("price < ? AND tag = ?", [9.5, "tea"], [0]),
    ("price < ? AND tag = ?", (9.5, "tea"), [0]),
    ("price < :most AND tag = :tag", {"most": 9.5, "tag": "tea"}, [0]),
    (":most > price", {"most": 9.5}, [0, 4]),
    ("tag IN (?)", [["tea", "cup"]], [0, 1, 2]),
    ("tag IN ?", [["tea", "cup"]], [0, 1, 2]),
    ("tag IN (:tags) AND stock > :least", {"tags": {"tea", "cup"}, "least": 3}, [2]),
    ("tag IN (?, ?)", ["tea", "cup"], [0, 1, 2]),
    ("tag IN (?, 'Cup')", [["tea", "cup"]], [0, 1, 2, 4]),
    ("tag NOT IN (?)", [["tea"]], [1, 4]),
    ("tag IN (?)", [[]], []),
    ("array_has_any(labels, ?)", [["new", "x"]], [0, 2]),
    ("? IS NULL AND stock = 3", [None], [0]),
    ("tag LIKE ?", ["%e%"], [0, 2]),
    ("stock = :n OR stock = :n + 4", {"n": 3}, [0, 2, 3]),
    ("stock > 3", [], [2, 3]),
]


@pytest.mark.parametrize("text,params,wanted", PARAMETERS)
def test_parameters_stand_for_values(shop, text, params, wanted):
    assert ids(shop.search().where(text, params)) == wanted
    assert ids(shop.search([0.0, 1.0]).where(text, params=params)) == wanted
    assert shop.count_rows(text, params) == len(wanted)
    assert shop.searcher(k=1, where=text, params=params)([0.0, 1.0])[0][0] == (wanted[0] if wanted else 2**64 - 1)


def test_several_conditions_must_all_hold(shop):
    assert ids(shop.search().where("stock > 0").where({"tag": "tea"}).where(col("price").is_not_null())) == [0]
    assert ids(shop.search().where("stock = 3 OR stock = 7").where("id < 3")) == [0, 2]
    query = shop.search([0.0, 1.0]).where("stock > 0", prefilter=False).where("tag = ?", ["tea"])
    assert ids(query) == [0, 2] and query._postfilter
    assert not shop.search([0.0, 1.0]).where("stock > 0").where("id < 3", prefilter=False)._postfilter
    assert shop.search([0.0, 1.0]).postfilter().where("id < 3")._postfilter
    assert ids(shop.search().where(None)) == ids(shop.search().where()) == [0, 1, 2, 3, 4]
    # LanceDB's second argument is prefilter
    assert shop.search([0.0, 1.0]).where("id < 3", False)._postfilter and ids(shop.search().where("id < 3", True)) == [0, 1, 2]


@pytest.mark.parametrize("half", ["id = 1) OR (1 = 1", "id = 1 --", "id = 1 /*", "1 = 1); ("])
def test_conditions_are_not_pasted_together(shop, half):
    # Each has to be whole by itself, whatever stands beside it.
    with pytest.raises(ValueError):
        shop.search().where(half).where("id < 3 */ OR (1 = 1").to_list()
    if half == "id = 1 --":
        assert ids(shop.search().where(half).where("stock = 0")) == [1]


# ---- values


class Colour(enum.Enum):
    RED = "red"


BERLIN = dt.timezone(dt.timedelta(hours=2))
MOMENT = dt.datetime(2024, 2, 29, 12, 30, 15, 250_000)
VALUES = {
    "bool": ("b", pa.bool_(), True, [True, np.bool_(True), pa.scalar(True), 1]),
    "int": ("i", pa.int64(), -7, [-7, np.int8(-7), np.int64(-7), pa.scalar(-7), -7.0, decimal.Decimal("-7"), "-7", np.array(-7), pd.Series([-7])[0]]),
    "uint64": ("u", pa.uint64(), 2**64 - 1, [2**64 - 1, np.uint64(2**64 - 1), str(2**64 - 1), pa.scalar(2**64 - 1, pa.uint64())]),
    "float64": ("f", pa.float64(), 0.1, [0.1, np.float64(0.1), decimal.Decimal("0.1"), "0.1"]),
    "float32": ("g", pa.float32(), 0.1, [0.1, np.float32(0.1), "0.1"]),
    "float16": ("h", pa.float16(), 0.5, [0.5, np.float16(0.5)]),
    "text": ("t", pa.string(), "it's", ["it's", np.str_("it's"), pa.scalar("it's")]),
    "large text": ("lt", pa.large_string(), "naïve", ["naïve"]),
    "dictionary": ("d", pa.dictionary(pa.int8(), pa.string()), "red", ["red", Colour.RED, pd.Categorical(["red"])[0]]),
    "bytes": ("y", pa.binary(), b"\0\xff", [b"\0\xff", bytearray(b"\0\xff"), np.bytes_(b"\0\xff"), pa.scalar(b"\0\xff")]),
    "fixed bytes": ("z", pa.binary(3), b"abc", [b"abc"]),
    "date": ("day", pa.date32(), MOMENT.date(), [MOMENT.date(), np.datetime64("2024-02-29"), pa.scalar(MOMENT.date()), "2024-02-29", dt.datetime(2024, 2, 29)]),
    "date64": ("day64", pa.date64(), MOMENT.date(), [MOMENT.date(), "2024-02-29"]),
    "time": ("clock", pa.time64("us"), MOMENT.time(), [MOMENT.time(), str(MOMENT.time()), pa.scalar(MOMENT.time())]),
    "time32": ("clock32", pa.time32("ms"), MOMENT.time(), [MOMENT.time(), str(MOMENT.time())]),
    "timestamp": ("at", pa.timestamp("us"), MOMENT, [MOMENT, np.datetime64(MOMENT), pd.Timestamp(MOMENT), pa.scalar(MOMENT), MOMENT.isoformat(), str(MOMENT)]),
    "timestamp in ms": ("at_ms", pa.timestamp("ms"), MOMENT, [MOMENT, np.datetime64(MOMENT, "ms")]),
    "a moment": ("zoned", pa.timestamp("us", "UTC"), MOMENT.replace(tzinfo=dt.timezone.utc), [MOMENT.replace(tzinfo=dt.timezone.utc), MOMENT.replace(tzinfo=dt.timezone.utc).astimezone(BERLIN), pd.Timestamp(MOMENT, tz="UTC").tz_convert("Asia/Tokyo"), "2024-02-29T14:30:15.25+02:00"]),
    "duration": ("span", pa.duration("us"), dt.timedelta(hours=36), [dt.timedelta(hours=36), np.timedelta64(36, "h"), pd.Timedelta("36h")]),
    "decimal": ("money", pa.decimal128(10, 2), decimal.Decimal("12.50"), [decimal.Decimal("12.5"), decimal.Decimal("12.500"), 12.5, "12.50"]),
    "a uuid as text": ("key", pa.string(), str(uuid.UUID(int=5)), [uuid.UUID(int=5)]),
}  # fmt: skip


@pytest.fixture
def kinds(db):
    """One row that has each value, one with none, one with others."""
    schema = pa.schema([(name, kind) for name, kind, _, _ in VALUES.values()])
    rows = [{name: value for name, _, value, _ in VALUES.values()}, {}]
    other = {
        "b": False, "i": 8, "u": 1, "f": 0.3, "g": 0.3, "h": 2.0, "t": "its", "lt": "naive", "d": "blue", "y": b"\0", "z": b"abd", "day": dt.date(2024, 3, 1), "day64": dt.date(2024, 3, 1),
        "clock": dt.time(1), "clock32": dt.time(1), "at": MOMENT + dt.timedelta(microseconds=1), "at_ms": MOMENT + dt.timedelta(milliseconds=1), "zoned": MOMENT.replace(tzinfo=BERLIN),
        "span": dt.timedelta(hours=37), "money": decimal.Decimal("12.51"), "key": "x",
    }  # fmt: skip
    return db.create_table("kinds", pa.Table.from_pylist([*rows, other], schema=schema))


@pytest.mark.parametrize("name", VALUES)
def test_every_value_of_every_type_is_found(kinds, name):
    column, _, _, forms = VALUES[name]
    for value in forms:
        said = f"{name}: {value!r}"
        assert kinds.count_rows(f"{column} = ?", [value]) == 1, said
        assert kinds.count_rows(f"{column} <> :it", {"it": value}) == 1, said
        assert kinds.count_rows(f"{column} IN (?)", [[value]]) == 1, said
        assert kinds.count_rows(f"{column} NOT IN (?, NULL)", [value]) == 0, said
        assert kinds.count_rows(col(column) == value) == 1, said
        assert kinds.count_rows(col(column) != value) == 1, said
        assert kinds.count_rows((col(column) < value) | (col(column) > value)) == 1, said
        assert kinds.count_rows(col(column).is_distinct_from(value)) == 2, said
        assert kinds.count_rows(col(column).isin([value])) == 1, said
        if name not in ("bytes", "fixed bytes", "duration"):
            assert kinds.count_rows({column: value}) == 1, said
            assert kinds.count_rows({column: {"$ne": value}}) == 2, said
            assert kinds.count_rows({column: {"$in": [value]}}) == 1, said
    assert kinds.count_rows(f"{column} IS NULL") == 1 and kinds.count_rows(f"{column} IS NOT NULL") == 2
    assert kinds.count_rows(f"{column} = ?", [None]) == 0 and kinds.count_rows(col(column) == None) == 1  # noqa: E711


def test_lists_of_every_kind_are_lists(kinds):
    for items in (
        [-7, 3], (-7, 3), {-7, 3}, frozenset([-7]), range(-7, -5), np.array([-7, 3]), np.array([-7], "i1"), pa.array([-7, None]), pa.chunked_array([[-7], [3]]), pd.Series([-7, 3]),
        pl.Series([-7, 3]), pd.Index([-7]), {-7: "key"}.keys(),
    ):  # fmt: skip
        assert kinds.count_rows("i IN (?)", [items]) == 1, items
        assert kinds.count_rows(col("i").isin(items)) == 1, items
    assert kinds.count_rows(col("i").isin(number for number in (-7, 3))) == 1
    assert kinds.count_rows(col("at").isin(np.array([MOMENT], "M8[ns]"))) == 1
    assert kinds.count_rows(col("day").isin(np.array(["2024-02-29"], "M8[D]"))) == 1
    assert kinds.count_rows(col("i").isin([1, col("i")])) == 2
    assert kinds.count_rows("i IN (?)", [list(range(-50_000, 50_000))]) == 2


def test_nanoseconds_are_not_cut(db):
    stamps = pd.to_datetime(["2024-01-01 00:00:00.000000001", "2024-01-01"], format="ISO8601")
    table = db.create_table("t", pa.table({"at": pa.array(stamps, pa.timestamp("ns"))}))
    assert table.count_rows("at = ?", [stamps[0]]) == table.count_rows(col("at") == np.datetime64("2024-01-01T00:00:00.000000001")) == 1
    assert table.count_rows(col("at").isin(stamps)) == 2
    assert table.count_rows("at > ?", [stamps[1]]) == 1
    with pytest.raises(TypeError, match="finer"):
        lit(np.timedelta64(1, "ns"))


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, object(), {"a": 1}, [[1]], 1j, decimal.Decimal("nan"), dt.time(1, tzinfo=dt.timezone.utc), "\ud800"])
def test_what_is_no_value_is_refused(kinds, value):
    for make in (lambda: lit(value), lambda: col("i") == value, lambda: kinds.count_rows("i = ?", [value]), lambda: kinds.count_rows("i = :a", {"a": value})):
        with pytest.raises(ValueError):
            make()


# ---- what a text holds is text

NASTY = [
    "it's", "''", "'", "x' OR '1'='1", "'; DROP TABLE t; --", "a\\'b", 'say "hi"', "`tick`", "-- comment", "/* comment */", "a;b", "?", ":name", ":tag", "NULL", "null", "true", "1=1",
    "%", "_", "100%", "\\", "\\'", "\n", "\t", "{\"$ne\": 1}", "$ne", "${x}", "tag", "日本'語", "\u2019", "x' --", "')", "') OR (tag IS NOT NULL", "X'00'", "date '2024-01-01'", "", " ", "a\r\nb", "\x01",
]  # fmt: skip


def test_a_value_is_never_read_as_sql(db):
    table = db.create_table("t", [{"id": i, "tag": tag, "tags": [tag, "other"], "s": {"tag": tag}, "vector": [float(i), 0.0]} for i, tag in enumerate(NASTY)])
    for i, tag in enumerate(NASTY):
        escaped = tag.replace("'", "''")
        doors = {
            "?": table.search().where("tag = ?", [tag]), ":name": table.search().where("tag = :tag", {"tag": tag}), "IN": table.search().where("tag IN (?)", [[tag]]),
            "IN :name": table.search().where("tag IN (:tags)", {"tags": [tag, "not there"]}), "quoted": table.search().where(f"tag = '{escaped}'"), "Expr": table.search().where(col("tag") == tag),
            "isin": table.search().where(col("tag").isin([tag])), "dict": table.search().where({"tag": tag}), "$in": table.search().where({"tag": {"$in": [tag]}}),
            "Haystack": table.search().where({"field": "meta.tag", "operator": "==", "value": tag}), "struct": table.search().where("s.tag = ?", [tag]),
            "list": table.search().where("array_has(tags, ?)", [tag]), "func": table.search().where(func("=", col("tag"), tag)), "to_sql": table.search().where((col("tag") == tag).to_sql()),
            "twice": table.search().where("id >= 0").where("tag = ?", [tag]), "concat": table.search().where("tag || '' = ?", [tag]),
            "JSON text": table.search().where(Expr.from_json({"tag": tag}).to_sql()), "CASE": table.search().where("CASE tag WHEN ? THEN true END", [tag]),
        }  # fmt: skip
        for door, query in doors.items():
            assert ids(query) == [i], (door, tag)
        assert table.count_rows("tag <> ?", [tag]) == table.count_rows({"tag": {"$ne": tag}}) == len(NASTY) - 1, tag
        assert table.searcher(k=1, where="tag = ?", params=[tag])([0.0, 0.0])[0][0] == i
        assert table.search().where("id = ?", [i]).select({"x": lit(tag)}).to_list() == [{"x": tag}]
        assert table.search().where("id = ?", [i]).select({"x": col("tag")}).to_list() == [{"x": tag}]


def test_a_name_is_never_read_as_sql(db):
    names = ["a b", "x' OR '1'='1", "a;b", "--", "select", "and", "日本", 'q"q', "t`t", "1st", "?", ":n", "a(b)", "price desc", "NULL"]
    table = db.create_table("t", pa.table({name: [i, 100 + i] for i, name in enumerate(names)}))
    for i, name in enumerate(names):
        assert table.count_rows(col(name) == i) == 1, name
        assert table.count_rows({name: 100 + i}) == 1, name
        assert table.count_rows((col(name) == i).to_sql()) == 1, name
        assert table.search().select({"x": col(name)}).limit(1).to_list() == [{"x": i}], name
        assert table.search().select({"x": col(name) + 1}).limit(1).to_list() == [{"x": i + 1}], name
        assert table.search().select([name]).order_by(name, ascending=False).limit(1).to_list() == [{name: 100 + i}], name
        assert table.search().select([name]).order_by(col(name) * -1).limit(1).to_list() == [{name: 100 + i}], name


@pytest.mark.parametrize("text", ["id = 1; DROP TABLE shop", "id = 1;", "id = 1 id = 2", "id = 1)", "id = 1 UNION SELECT 2", "id = (SELECT 1)", "id = 1 # x", "id = 1\0 OR 1 = 1", ";", ""])
def test_nothing_may_follow_a_filter(shop, text):
    for call in (lambda: shop.count_rows(text), lambda: shop.search().where(text).to_list(), lambda: shop.search([0.0, 1.0]).where(text).to_list(), lambda: shop.searcher(where=text)([0.0, 1.0])):
        with pytest.raises(ValueError):
            call()


# ---- expressions

EXPRESSIONS = [
    (lambda: col("a") == 1, "a = 1"), (lambda: col("a") != 1, "a <> 1"), (lambda: 1 < col("a"), "a > 1"), (lambda: col("a") <= lit(1), "a <= 1"), (lambda: 1 <= col("a"), "a >= 1"),
    (lambda: (col("a") > 1) & (col("b") < 2) | ~(col("c") == 3), "a > 1 AND b < 2 OR NOT c = 3"), (lambda: (col("a") > 1) & ((col("b") < 2) | (col("c") == 3)), "a > 1 AND (b < 2 OR c = 3)"),
    (lambda: True & (col("a") > 1), "TRUE AND a > 1"), (lambda: False | col("a"), "FALSE OR a"), (lambda: (col("a") + 1) * 2 - col("b") / 3 % 4, "(a + 1) * 2 - b / 3 % 4"),
    (lambda: 1 + col("a"), "1 + a"), (lambda: 1 - col("a"), "1 - a"), (lambda: 2 * col("a"), "2 * a"), (lambda: 2 / col("a"), "2 / a"), (lambda: 2 % col("a"), "2 % a"), (lambda: -col("a"), "-a"),
    (lambda: +col("a"), "a"), (lambda: abs(col("a")), "abs(a)"), (lambda: np.float64(2) * col("a"), "2.0 * a"), (lambda: np.int64(2) < col("a"), "a > 2"),
    (lambda: col("a").isin([1, 2]), "a IN (1, 2)"), (lambda: ~col("a").isin([1]), "a NOT IN (1)"), (lambda: col("a").isin([]), "a IN ()"), (lambda: col("a").isin([col("b"), 1]), "a IN (1, b)"),
    (lambda: col("a").between(1, 2), "a >= 1 AND a <= 2"), (lambda: col("a").like("x%"), "a LIKE 'x%'"), (lambda: ~col("a").ilike("x%", escape="!"), "a NOT ILIKE 'x%' ESCAPE '!'"),
    (lambda: col("a").is_null(), "a IS NULL"), (lambda: col("a").is_not_null(), "a IS NOT NULL"), (lambda: col("a") == None, "a IS NULL"), (lambda: col("a").ne(None), "a IS NOT NULL"),  # noqa: E711
    (lambda: col("a").is_true(), "a IS TRUE"), (lambda: col("a").is_not_true(), "a IS NOT TRUE"), (lambda: col("a").is_false(), "a IS FALSE"), (lambda: col("a").is_not_false(), "a IS NOT FALSE"),
    (lambda: col("a").is_distinct_from(1), "a IS DISTINCT FROM 1"), (lambda: col("a").is_not_distinct_from(None), "a IS NOT DISTINCT FROM NULL"), (lambda: col("a").is_nan(), "isnan(a)"),
    (lambda: col("a").eq(1).and_(col("b").ne(1)).or_(col("c").lt(1)), "a = 1 AND b <> 1 OR c < 1"), (lambda: col("a").lte(1) & col("a").gt(1) & col("a").gte(1), "a <= 1 AND a > 1 AND a >= 1"),
    (lambda: col("a").lower().upper(), "upper(lower(a))"), (lambda: col("a").trim().ltrim().rtrim(), "rtrim(ltrim(trim(a)))"), (lambda: col("a").length() > 3, "length(a) > 3"),
    (lambda: col("a").contains("x"), "contains(a, 'x')"), (lambda: col("a").starts_with("x"), "starts_with(a, 'x')"), (lambda: col("a").ends_with("x"), "ends_with(a, 'x')"),
    (lambda: col("a").substr(2, 3), "substr(a, 2, 3)"), (lambda: col("a").substr(2), "substr(a, 2)"), (lambda: col("a").concat("x"), "a || 'x'"), (lambda: col("a").regexp_like("^x"), "regexp_like(a, '^x')"),
    (lambda: col("a").abs().round(), "round(abs(a))"), (lambda: col("a").round(2), "round(a, 2)"), (lambda: col("a").floor() + col("a").ceil(), "floor(a) + ceil(a)"),
    (lambda: col("a").coalesce(col("b"), 0), "coalesce(a, b, 0)"), (lambda: col("a").nullif(0), "nullif(a, 0)"), (lambda: func("greatest", col("a"), 1, 2.5), "greatest(a, 1, 2.5)"),
    (lambda: col("a").cast("int"), "CAST(a AS int)"), (lambda: col("a").cast(int), "CAST(a AS bigint)"), (lambda: col("a").cast(str), "CAST(a AS varchar)"), (lambda: col("a").cast("str"), "CAST(a AS varchar)"),
    (lambda: col("a").cast(pa.float32()), "CAST(a AS float)"), (lambda: col("a").cast(pa.timestamp("ms")), "CAST(a AS timestamp(3))"), (lambda: col("a").cast(pa.timestamp("us", "UTC")), "CAST(a AS timestamp with time zone)"),
    (lambda: col("a").cast(pa.date32()), "CAST(a AS date)"), (lambda: col("a").cast(pa.decimal128(10, 2)), "CAST(a AS decimal(10,2))"), (lambda: col("a").try_cast(dt.datetime), "TRY_CAST(a AS timestamp)"),
    (lambda: col("a.b.c") > 1, "a.b.c > 1"), (lambda: col("a")["b"]["c"] > 1, "a.b.c > 1"), (lambda: col("a")[0], "a[1]"), (lambda: col("a")[-1], "a[-1]"), (lambda: col("a").lower()["b"], "lower(a)['b']"),
    (lambda: col("a").json("x.y"), "a ->> 'x.y'"), (lambda: col("a").array_has(1), "array_has(a, 1)"), (lambda: col("a").array_has_any([1, 2]), "array_has_any(a, [1, 2])"),
    (lambda: col("a").array_has_all(["x"]), "array_has_all(a, ['x'])"), (lambda: col("a").array_length(), "array_length(a)"), (lambda: col("a").date_part("year") == 2024, "date_part('year', a) = 2024"),
    (lambda: func("now") > col("a"), "now() > a"), (lambda: func("LOWER", "X"), "lower('X')"), (lambda: func("case", col("a"), 1, 2), "CASE WHEN a THEN 1 ELSE 2 END"),
    (lambda: col("a") > dt.date(2024, 1, 2), "a > date '2024-01-02'"), (lambda: col("a") > dt.timedelta(1), "a > interval '86400 seconds'"),
    (lambda: col("a") > decimal.Decimal("1E+2"), "a > decimal '100'"), (lambda: col("a") > decimal.Decimal("-1.50"), "a > decimal '-1.50'"), (lambda: col("a") > 2**64 - 1, "a > 18446744073709551615"), (lambda: col("and") > 1, "`and` > 1"),
]  # fmt: skip


@pytest.mark.parametrize("make,sql", EXPRESSIONS)
def test_an_expression_is_its_sql(make, sql):
    made = make()
    assert made.to_sql() == sql and repr(made) == f"Expr({sql})"
    assert Expr.from_sql(sql).to_sql() == sql
    assert pickle.loads(pickle.dumps(made)).to_sql() == sql


def test_an_expression_is_neither_true_nor_false():
    for call in (lambda: bool(col("a")), lambda: col("a") > 1 and col("b") < 2, lambda: 1 < col("a") < 3, lambda: not col("a"), lambda: col("a") in [1, col("b")], lambda: 3 in col("a"), lambda: list(col("a")), lambda: hash(col("a"))):
        with pytest.raises(TypeError):
            call()
    with pytest.raises(TypeError, match="&.*parentheses"):
        bool(col("a") > 1)


def test_what_is_no_expression_is_refused_in_words():
    for call, words in [
        (lambda: func("lowr", col("a")), '"lower"'), (lambda: func("lower"), "1 argument"), (lambda: col(""), "path"), (lambda: col("a..b"), "path"), (lambda: col(3), "str"), (lambda: col("a").isin("abc"), "list"),
        (lambda: col("a").isin(3), "list"), (lambda: col("a").cast("wat"), "wat"), (lambda: col("a").cast(list), "list"), (lambda: col("a")[1.5], "1.5"), (lambda: col("a").alias(3), "str"), (lambda: col("a\0"), "zero"),
        (lambda: Expr.from_sql("a = ?", 5), "list of values"), (lambda: Expr.from_sql("a = ?", "5"), "list of values"), (lambda: Expr.from_sql("a = ?", [1, 2]), "2 values"), (lambda: Expr.from_sql("a = ?"), "no value"),
        (lambda: Expr.from_sql("a = :x", {"y": 1}), ":x"), (lambda: Expr.from_sql("a = :x", {"x": 1, "y": 1}), ":y"), (lambda: Expr.from_sql("a = :x", [1]), ":x"), (lambda: Expr.from_sql("a = :x", {1: 1}), "str"),
        (lambda: Expr.from_sql("a <"), "end of the filter"), (lambda: Expr.from_json({"a": {"$lte": 1, "$foo": 2}}), "foo"), (lambda: Expr.from_json({"a": b"x"}), "bytes"), (lambda: Expr.from_json({1: 2}), "keys"),
        (lambda: Expr.from_json({"a": float("nan")}), "JSON"), (lambda: Expr.from_json({"a": col("b")}), "Expr"), (lambda: Expr.from_json("{"), "JSON"), (lambda: Expr.from_json({"a": [1, 2]}), "\\$in"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=words):
            call()


def test_a_literal_that_sql_cannot_write_still_filters(db):
    table = db.create_table("t", [{"id": 0, "t": "a\0b"}, {"id": 1, "t": "a"}])
    where = col("t") == "a\0b"
    assert ids(table.search().where(where)) == ids(table.search().where("t = ?", ["a\0b"])) == ids(table.search().where({"t": "a\0b"})) == [0]
    assert repr(where) == "Expr(...)" and "filter" in table.search().where(where).explain_plan()
    with pytest.raises(ValueError, match="zero"):
        where.to_sql()


def test_the_values_of_a_dict_that_json_has_not(db):
    table = db.create_table("t", pa.table({"u": pa.array([2**64 - 1, 1], "u8"), "day": [dt.date(2024, 1, 1), None], "m": [decimal.Decimal("1.50"), None], "at": [MOMENT, None], "s": pa.array([dt.timedelta(1), None], pa.duration("us"))}))
    for where in ({"u": 2**64 - 1}, {"m": {"$lt": decimal.Decimal("1E+1")}}, {"day": {"$gte": dt.date(2024, 1, 1)}}, {"m": decimal.Decimal("1.5")}, {"at": np.datetime64(MOMENT)}, {"at": {"$in": [pd.Timestamp(MOMENT)]}}, {"u": {"$in": np.array([2**64 - 1], "u8")}}, {"s": dt.timedelta(1)}):
        assert table.count_rows(where) == 1, where


def test_lancedbs_names_are_there():
    code = """
import kith; kith.install_as("lancedb")
import lancedb
from lancedb.expr import col, lit, func, Expr
from lancedb import col as c, lit as l, func as f
from lancedb.query import ColumnOrdering
assert c is col is kith.col and f is func and l is lit
print((col("age") > lit(18)) & (func("lower", col("name")) == lit("alice")), col("x")._column_name())
"""
    out = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert out.stdout == "Expr(age > 18 AND lower(name) = 'alice') x\n", out.stderr


# ---- k rows wherever k match


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    """20,000 rows with numbers from 0 to 1, independent of the vectors and along their first axis."""
    random = np.random.default_rng(SEED)

    class Set:
        vectors = random.standard_normal((20_000, 16)).astype("f4")
        free = random.random(20_000)
        along = np.argsort(np.argsort(vectors[:, 0])) / 20_000
        queries = random.standard_normal((12, 16)).astype("f4")
        database = kith.connect(tmp_path_factory.mktemp("crowd"))

        def table(self, index):
            name = "with" if index else "without"
            if name in self.database:
                return self.database[name]
            data = {"id": np.arange(20_000), "free": self.free, "along": self.along, "vector": self.vectors}
            made = self.database.create_table(name, {key: value[:15_000] for key, value in data.items()}, auto_index=False)
            if index:
                made.create_index(num_partitions=100)
            made.add({key: value[15_000:] for key, value in data.items()})
            return made

    print("seed", SEED)
    return Set()


SHARES = [1.0, 0.5, 0.1, 0.01, 0.001, 0.0003, 0.0]


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("column", ["free", "along"])
@pytest.mark.parametrize("prefilter", [True, False], ids=["prefilter", "postfilter"])
@pytest.mark.parametrize("index", [False, True], ids=["exact", "index"])
def test_k_rows_come_wherever_k_match(crowd, share, column, prefilter, index):
    table, values = crowd.table(index), getattr(crowd, column)
    # the far end of the axis, so that matches along it are far from half of the queries
    admitted = np.flatnonzero(values >= 1 - share) if column == "along" else np.flatnonzero(values < share)
    where = f"{column} >= {1 - share}" if column == "along" else f"{column} < {share}"
    hits = wanted = 0
    for k in (1, 10, 50):
        for vector in crowd.queries:
            query = table.search(vector).where(where, prefilter=prefilter).limit(k).select(["id"])
            found = query.to_list()
            true = distances(crowd.vectors[admitted], vector, "l2")
            order = np.lexsort((admitted, true))[:k]
            got = [row["id"] for row in found]
            assert len(got) == min(k, len(admitted)) == len(set(got)), where
            assert set(got) <= set(admitted.tolist())
            far = np.array([row["_distance"] for row in found])
            assert np.allclose(far, distances(crowd.vectors, vector, "l2")[np.array(got, int)], rtol=1e-5) and (np.diff(far) >= 0).all()
            assert query.stats["matches"] == len(admitted) or not prefilter
            assert ("Postfilter" in query.explain_plan()) == (not prefilter)
            if not index:
                assert got == admitted[order].tolist()
            hits += len(set(got) & set(admitted[order].tolist()))
            wanted += len(order)
    assert hits >= 0.92 * wanted, (hits, wanted)  # 0.95 is wanted, of a dozen queries


@pytest.mark.parametrize("index", [False, True], ids=["exact", "index"])
def test_many_vectors_under_a_filter_find_what_each_finds_alone(crowd, index):
    table = crowd.table(index)
    for where, prefilter in (("free < 0.05", True), ("along > 0.3", False), ("free < 0.001", False), ("free < 0", True)):
        many = table.search(crowd.queries).where(where, prefilter=prefilter).select(["id"]).limit(7).to_pandas()
        for i, vector in enumerate(crowd.queries):
            alone = table.search(vector).where(where, prefilter=prefilter).select(["id"]).limit(7).to_list()
            assert many["id"][many["query_index"] == i].tolist() == [row["id"] for row in alone]
        found, far = table.searcher(k=7, where=where)(crowd.queries)
        assert found.shape == far.shape == (12, 7)


def test_an_exact_search_under_a_filter_is_exact(crowd):
    table = crowd.table(True)
    for where, values in (("free < 0.2", crowd.free < 0.2), ("along > 0.9", crowd.along > 0.9)):
        admitted = np.flatnonzero(values)
        for ask in (lambda query: query.recall(1.0), lambda query: query.bypass_vector_index(), lambda query: query.metric("cosine")):
            for vector in crowd.queries:
                query = ask(table.search(vector).where(where).select(["id"]).limit(20))
                metric = "cosine" if query._metric == kith._core.metric("cosine") else "l2"
                true = distances(crowd.vectors[admitted], vector, metric)
                assert [row["id"] for row in query.to_list()] == admitted[np.argsort(true, kind="stable")[:20]].tolist()


def test_a_range_of_distances_and_fast_search_go_with_filters(crowd):
    table, vector = crowd.table(True), crowd.queries[0]
    true = distances(crowd.vectors, vector, "l2")
    low, high = np.quantile(true[crowd.free < 0.1], [0.01, 0.02])
    found = table.search(vector).where("free < 0.1").distance_range(low, high).recall(1.0).limit(1000).to_list()
    assert {row["id"] for row in found} == set(np.flatnonzero((crowd.free < 0.1) & (true >= low) & (true < high)).tolist())
    fast = table.search(vector).where("id >= 14990").fast_search().limit(50).to_list()
    assert sorted(row["id"] for row in fast) == list(range(14_990, 15_000))
    for prefilter in (True, False):  # few matches, which are read one by one otherwise
        few = table.search(vector).where("id BETWEEN 14990 AND 15009", prefilter=prefilter).limit(50)
        assert sorted(row["id"] for row in few.to_list()) == list(range(14_990, 15_010))
        assert sorted(row["id"] for row in few.fast_search().to_list()) == list(range(14_990, 15_000))


def test_stats_tell_of_the_filter(crowd):
    query = crowd.table(True).search(crowd.queries[0]).where("along > 0.97").limit(10)
    query.to_list()
    assert query.stats["matches"] == int((crowd.along > 0.97).sum()) and query.stats["filter_seconds"] > 0
    assert 0 <= query.stats["lists_skipped"] <= query.stats["lists"] + query.stats["lists_skipped"] <= 200
    plan, done = query.explain_plan(), query.analyze_plan()
    assert "along > 0.97" in plan and str(query.stats["matches"]) in plan and "match" in done
    plain = crowd.table(True).search(crowd.queries[0]).limit(10)
    plain.to_list()
    assert plain.stats["matches"] == 20_000 and plain.stats["lists_skipped"] == 0


# ---- order and pages


@pytest.fixture
def tied(db):
    """400 rows, many of them equally far."""
    random = np.random.default_rng(SEED)
    vectors = random.integers(0, 3, (400, 2)).astype("f4")
    table = db.create_table("tied", {"id": np.arange(400), "part": np.arange(400) % 3, "vector": vectors})
    return table, vectors


@pytest.mark.parametrize("where", [None, "part = 1", "part <> 1", "id % 50 = 0"])
@pytest.mark.parametrize("prefilter", [True, False], ids=["prefilter", "postfilter"])
@pytest.mark.parametrize("index", [False, True], ids=["exact", "index"])
def test_pages_neither_repeat_nor_lose_rows(tied, where, prefilter, index):
    table, vectors = tied
    if index:
        table.create_index(num_partitions=4)
    part = np.arange(400) % 3
    admitted = np.flatnonzero({None: part >= 0, "part = 1": part == 1, "part <> 1": part != 1}.get(where, np.arange(400) % 50 == 0))
    vector = np.array([0.5, 0.25], "f4")
    order = admitted[np.lexsort((admitted, distances(vectors[admitted], vector, "l2")))].tolist()

    def page(offset, limit):
        query = table.search(vector).recall(1.0) if index else table.search(vector)
        return ids(query.where(where, prefilter=prefilter).select(["id"]).limit(limit).offset(offset))

    assert page(0, 1000) == order
    for size in (1, 7, 100):
        pages = [page(at, size) for at in range(0, min(len(order), 12 * size) + size, size)]
        assert [one for found in pages for one in found] == order[: len(pages) * size]
    scanned = [one for at in range(0, 420, 13) for one in ids(table.search().where(where).limit(13).offset(at))]
    assert scanned == admitted.tolist()


def test_a_scan_of_many_pieces_keeps_its_order(db):
    table = db.create_table("t", {"id": np.arange(100), "x": np.arange(100) % 7})
    for begin in range(100, 1000, 90):
        table.add({"id": np.arange(begin, begin + 90), "x": np.arange(begin, begin + 90) % 7})
    wanted = [i for i in range(len(table)) if i % 7 == 3]
    assert ids(table.search().where("x = 3")) == wanted
    assert ids(table.search().where("x = 3").offset(20).limit(30)) == wanted[20:50]
    assert ids(table.search().where("x = 3").offset(10_000)) == []
    assert ids(table.search().where("x = 3").order_by("id desc").offset(5).limit(3)) == wanted[::-1][5:8]
    assert table.search().where("x = 3").with_row_id().select(["id"]).to_pandas()["_rowid"].tolist() == wanted
    assert [batch.num_rows > 0 for batch in table.search().where("x = 3").to_batches()]
    assert table.search().where("x > 100").to_arrow().schema == table.schema


ORDERED = {"n": [3, None, 1, 2, 1, None], "f": [0.5, float("nan"), None, -1.0, float("inf"), -0.0], "t": ["b", "a", None, "B", "ä", ""], "i": [0, 1, 2, 3, 4, 5]}
ORDERS = [
    (("n",), [2, 4, 3, 0, 1, 5]), (("n desc",), [0, 3, 2, 4, 1, 5]), (("n DESC NULLS FIRST",), [1, 5, 0, 3, 2, 4]), (("n nulls first",), [1, 5, 2, 4, 3, 0]), (("n asc nulls last", "i desc"), [4, 2, 3, 0, 5, 1]),
    ((["n", "i desc"],), [4, 2, 3, 0, 5, 1]), (("f",), [3, 5, 0, 4, 1, 2]), (("f desc",), [1, 4, 0, 5, 3, 2]), (("t",), [5, 3, 1, 0, 4, 2]), (("lower(t)", "i"), [5, 1, 0, 3, 4, 2]), (("n % 2", "t desc"), [3, 4, 0, 2, 1, 5]),
    ((col("n"),), [2, 4, 3, 0, 1, 5]), ((col("n") * -1, col("i") * -1), [0, 3, 4, 2, 5, 1]), ((ColumnOrdering("n", ascending=False, nulls_first=True),), [1, 5, 0, 3, 2, 4]),
    (([ColumnOrdering("n"), ColumnOrdering(column_name="i", ascending=False)],), [4, 2, 3, 0, 5, 1]), (("coalesce(n, 9) desc", "i"), [1, 5, 0, 3, 2, 4]), (("_rowid desc",), [5, 4, 3, 2, 1, 0]), (("n IS NULL", "i desc"), [4, 3, 2, 0, 5, 1]),
    (("1",), [0, 1, 2, 3, 4, 5]), (("N",), [2, 4, 3, 0, 1, 5]), (("n", "n"), [2, 4, 3, 0, 1, 5]), ((None,), [0, 1, 2, 3, 4, 5]), (([],), [0, 1, 2, 3, 4, 5]),
]  # fmt: skip


@pytest.mark.parametrize("by,wanted", ORDERS)
def test_rows_come_in_the_order_asked_for(db, by, wanted):
    table = db.create_table("t", ORDERED)
    assert [row["i"] for row in table.search().order_by(*by).to_list()] == wanted
    assert [row["i"] for row in table.search().where("i <> 3").order_by(*by).select({"i": "i"}).to_list()] == [i for i in wanted if i != 3]
    pages = [row["i"] for at in range(0, 6, 2) for row in table.search().order_by(*by).select(["i"]).limit(2).offset(at).to_list()]
    assert pages == wanted


def test_keywords_say_what_texts_leave_open(db):
    table = db.create_table("t", ORDERED)

    def order(*by, **how):
        return [row["i"] for row in table.search().order_by(*by, **how).to_list()]

    assert order("n", ascending=False) == order("n desc") and order("n", nulls_first=True) == order("n nulls first")
    assert order("n asc", ascending=False) == order("n") and order(col("n"), ascending=False, nulls_first=True) == order("n desc nulls first")
    assert [row["i"] for row in table.search().order_by("n").order_by("i").to_list()] == [0, 1, 2, 3, 4, 5]


def test_what_has_no_order_is_refused(db):
    table = db.create_table("t", [{"vector": [1.0, 2.0], "l": [1], "s": {"a": 1}, "n": 1}])
    for by in ("vector", "l", "s"):
        with pytest.raises(TypeError, match="order"):
            table.search().order_by(by).to_list()
    with pytest.raises(KeyError, match="nope"):
        table.search().order_by("nope").to_list()
    for bad in (3, [3], "n desc desc", "n,"):
        with pytest.raises(ValueError):
            table.search().order_by(bad).to_list()
    with pytest.raises(NotImplementedError):
        table.take_row_ids([0]).order_by("n")


@pytest.mark.parametrize("kind", ["int8", "uint64", "float16", "float32", "decimal", "text", "bytes", "date", "time", "timestamp", "duration", "bool", "dictionary"])
def test_every_type_with_an_order_has_it(db, kind):
    random = np.random.default_rng(SEED)
    numbers = random.integers(-100, 100, 300).tolist()
    made = {
        "int8": (numbers, pa.int8()), "uint64": ([n + 2**63 for n in numbers], pa.uint64()), "float16": ([n / 4 for n in numbers], pa.float16()), "float32": ([n / 3 for n in numbers], pa.float32()),
        "decimal": ([decimal.Decimal(n).scaleb(-2) for n in numbers], pa.decimal128(38, 2)), "text": ([str(n) for n in numbers], pa.string()), "bytes": ([str(n).encode() for n in numbers], pa.binary()),
        "date": ([dt.date(2000, 1, 1) + dt.timedelta(n) for n in numbers], pa.date32()), "time": ([dt.time((n + 100) // 10, n % 10) for n in numbers], pa.time64("us")),
        "timestamp": ([MOMENT + dt.timedelta(n) for n in numbers], pa.timestamp("ns")), "duration": ([dt.timedelta(n) for n in numbers], pa.duration("s")), "bool": ([n > 0 for n in numbers], pa.bool_()),
        "dictionary": ([f"{n:04}" for n in numbers], pa.dictionary(pa.int16(), pa.string())),
    }[kind]  # fmt: skip
    values = [None if i % 11 == 0 else value for i, value in enumerate(made[0])]
    table = db.create_table("t", pa.table({"x": pa.array(values, made[1]), "i": range(300)}))
    known = [i for i in range(300) if values[i] is not None]
    stored = table.to_arrow()["x"].to_pylist()
    assert [row["i"] for row in table.search().order_by("x").to_list()] == sorted(known, key=lambda i: stored[i]) + [i for i in range(300) if values[i] is None]
    down = sorted(known, key=lambda i: stored[i], reverse=True)
    assert [stored[row["i"]] for row in table.search().order_by("x desc").limit(len(known)).to_list()] == [stored[i] for i in down]


# ---- select


def test_an_answer_has_expressions(shop):
    rows = shop.search().select(["id", {"twice": "stock * 2", "tag": "upper(tag)"}, col("price").round().alias("about"), col("size")["w"], ("unit", "size.unit")]).to_list()
    assert rows[0] == {"id": 0, "twice": 6, "tag": "TEA", "about": 2.0, "size.w": 1, "unit": "cm"}
    assert rows[2] == {"id": 2, "twice": 14, "tag": "TEA", "about": None, "size.w": None, "unit": None}
    near = shop.search([0.0, 1.0]).where("stock > 0").select({"name": "tag", "left": col("stock") - 1}).limit(2).to_list()
    assert near == [{"name": "tea", "left": 2, "_distance": 0.0}, {"name": "tea", "left": 6, "_distance": 4.0}]
    assert shop.take_row_ids([1, 0]).select({"next": "id + 1"}).to_list() == [{"next": 1}, {"next": 2}]
    assert shop.search().select({"price": "stock", "stock": "price"}).limit(1).to_list() == [{"price": 3, "stock": 1.5}]
    assert shop.search().select({"x": "1", "y": lit("z"), "n": "NULL", "t": "id < 2"}).limit(1).to_list() == [{"x": 1, "y": "z", "n": None, "t": True}]
    assert shop.search().select({"_rowid": "_rowid", "i": "_rowid * 10"}).offset(3).limit(1).to_list() == [{"_rowid": 3, "i": 30}]
    assert shop.search().order_by("id desc").select({"r": "_rowid", "high": "_rowid > 2"}).limit(2).to_list() == [{"r": 4, "high": True}, {"r": 3, "high": True}]
    assert shop.search().order_by("id desc").select({"r": "_rowid < 2"}).to_list() == [{"r": False}] * 3 + [{"r": True}] * 2
    assert shop.search([0.0, 1.0]).select({"v": "vector", "l": "labels", "s": "size"}).limit(1).to_list() == [{"v": [0.0, 1.0], "l": ["hot", "new"], "s": {"w": 1, "unit": "cm"}, "_distance": 0.0}]
    assert shop.search([0.0, 1.0]).select({}).limit(1).to_list() == [{"_distance": 0.0}]


def test_an_expression_without_a_name_is_called_by_its_sql(shop):
    assert shop.search().select([col("id") * 2, col("size")["w"]]).limit(1).to_list() == [{"id * 2": 0, "size.w": 1}]
    assert shop.search([0.0, 1.0]).select([col("id") + 1]).limit(1).to_list() == [{"id + 1": 1, "_distance": 0.0}]


def test_columns_of_expressions_have_their_types(shop):
    made = shop.search().select({"a": "id + 1", "b": "price / 2", "c": "lower(tag)", "d": "id > 1", "e": "date '2024-01-01'", "f": "cast(id as int)", "g": "array_length(labels)", "h": "decimal '1.50'", "v": "vector", "i": "CASE WHEN id = 1 THEN 'x' END"}).to_arrow()
    kinds = {field.name: field.type for field in made.schema}
    assert (kinds["a"], kinds["b"], kinds["c"], kinds["d"], kinds["e"], kinds["f"]) == (pa.int64(), pa.float64(), pa.string(), pa.bool_(), pa.date32(), pa.int32())
    assert kinds["v"] == pa.list_(pa.float32(), 2) and kinds["i"] == pa.string() and made["i"].to_pylist() == [None, "x", None, None, None]
    assert pa.types.is_decimal(kinds["h"]) and made["h"][0].as_py() == decimal.Decimal("1.50")
    assert shop.search().select({"a": "id + 1"}).to_pandas()["a"].tolist() == shop.search().select({"a": "id + 1"}).to_polars()["a"].to_list() == [1, 2, 3, 4, 5]
    assert shop.search().where("id > 99").select({"a": "id + 1"}).to_arrow().schema == pa.schema([("a", pa.int64())])


def test_columns_that_cannot_be_are_refused(shop):
    for bad in ("id", 3, [3], [["id"]], {"x": 3}, {"x": None}, None, {3: "id"}, [("x",)]):
        with pytest.raises(ValueError):
            shop.search().select(bad)
    with pytest.raises(ValueError, match="two columns called 'id'"):
        shop.search().select(["id", {"id": "stock"}])
    for bad, words in (({"x": "nope + 1"}, "nope"), ({"x": "id +"}, "end of the filter"), (["nope"], "nope"), ({"x": "id; y"}, "nothing may follow"), ({"x": "tag + 1"}, r"\+")):
        with pytest.raises(ValueError, match=words):
            shop.search().select(bad).to_list()


# ---- failing


def test_names_of_many_bytes_are_told_whole(db):
    names = ["a" + "ü" * 15, "日" * 100, "x" * 300, *(f"column {i}" for i in range(20))]
    table = db.create_table("t", [dict.fromkeys(names, 1)])
    for wrong in ("zzzz = 1", "`é" + "日" * 80 + "` = 1", "b" + "é" * 500 + " = 1", "`" + "日" * 100 + "` = 'x'"):
        with pytest.raises(ValueError):
            table.count_rows(wrong)
    with pytest.raises(KeyError, match="there are aüüü.*and 11 more"):
        table.count_rows("zzzz = 1")


def test_errors_show_the_place_and_what_is_near(shop):
    for call in (lambda where: shop.count_rows(where), lambda where: shop.search().where(where).to_list(), lambda where: shop.search([0.0, 1.0]).where(where).to_list(), lambda where: shop.searcher(where=where)):
        with pytest.raises(KeyError, match="prce.*price") as caught:
            call("id > 1 AND prce < 3")
        lines = str(caught.value).split("\n")
        assert lines[-2].strip() == "id > 1 AND prce < 3" and lines[-1].index("^~~~") == lines[-2].index("prce")
        with pytest.raises(ValueError, match="character 12") as caught:
            call("id > 1 AND <")
        assert str(caught.value).split("\n")[-1].strip() == "^"
        with pytest.raises(TypeError, match="(?s)varchar|utf8|string.*int"):
            call("tag = id")
        with pytest.raises(ValueError, match="cannot be read"):
            call("id = 'x'")
        with pytest.raises(TypeError, match="vector"):
            call("vector = 1")
        with pytest.raises(TypeError, match="true or false"):
            call("id + 1")
        with pytest.raises(kith.errors.NotFoundError):
            call(col("prce") < 3)
        with pytest.raises(kith.errors.NotFoundError):
            call({"prce": 3})
    with pytest.raises(KeyError) as caught:
        shop.count_rows("id > ? AND prce < ?", [1, 3])
    assert str(caught.value).split("\n")[-2:] == ["  id > ? AND prce < ?", "             ^~~~"]
    for bad in (3, object(), ["id = 1"], b"id = 1", lambda: 0):
        with pytest.raises(ValueError, match="a filter is"):
            shop.search().where(bad)
    for where in ({"id": 1}, col("id") == 1, None):
        with pytest.raises(ValueError, match="params"):
            shop.search().where(where, [1])
    with pytest.raises(ValueError, match="overflow|beyond"):
        shop.search().where("id + 9223372036854775807 > 0").to_list()
    assert shop.count_rows("id / 0 IS NULL") == 5


def test_limits_are_told(shop):
    for text, words in [("id = 1" + " OR id = 1" * 10_000, "KiB|bytes|nodes"), ("(" * 2000 + "id = 1" + ")" * 2000, "nested|deep"), ("NOT " * 200 + "id = 1", "nested|deep"), (f"tag LIKE '{'x' * 5000}'", "pattern")]:
        with pytest.raises(ValueError, match=words):
            shop.count_rows(text)
    with pytest.raises(ValueError, match="100000|longer"):
        shop.count_rows("id IN (?)", [range(100_001)])
    assert shop.count_rows("id IN (?)", [range(100_000)]) == 5


# ---- indexes over values


@pytest.fixture
def valued(db):
    random = np.random.default_rng(SEED)
    rows = {
        "vector": random.standard_normal((3000, 4)).astype("f4"), "n": random.integers(0, 500, 3000), "f": random.random(3000), "tag": random.choice(list("abcdef"), 3000),
        "labels": [random.choice(list("uvwxyz"), random.integers(0, 4)).tolist() for _ in range(3000)], "s": [{"a": i} for i in range(3000)],
    }  # fmt: skip
    table = db.create_table("valued", {name: values[:2500] for name, values in rows.items()})
    return table, {name: values[2500:] for name, values in rows.items()}


WHERES = [
    "n = 77", "n IN (1, 2, 3)", "n < 100", "n BETWEEN 100 AND 110", "n >= 499", "n < 0", "n <> 5", "tag = 'a'", "tag IN ('a', 'zz')", "tag > 'd'", "tag IS NULL", "f < 0.25", "f < 0.25 AND n > 250 AND tag = 'b'",
    "n = 1 OR tag = 'c'", "NOT n < 100", "array_has(labels, 'u')", "array_has_any(labels, ['v', 'w'])", "array_has_all(labels, ['x', 'y'])", "n = 5 AND array_has(labels, 'z')", "n + 1 = 5", "lower(tag) = 'a'",
]  # fmt: skip


def test_an_index_over_values_changes_no_answer(valued):
    table, more = valued
    before = {where: ids_of(table, where) for where in WHERES}
    for build in (
        lambda: table.create_index("n"), lambda: table.create_scalar_index("tag", index_type="BITMAP"), lambda: table.create_index("f", config=BTree()), lambda: table.create_index("labels", config=LabelList()),
        lambda: table.create_index("n", config=Bitmap()), lambda: table.create_index("vector", config=IvfRq(num_partitions=8)), lambda: table.drop_index("tag_idx"), lambda: table.create_scalar_index("tag", "btree"),
    ):  # fmt: skip
        build()
        assert {where: ids_of(table, where) for where in WHERES} == before
    added = ids_of(table, "n >= 0")
    table.add(more)
    assert len(ids_of(table, "n >= 0")) == len(added) + 500
    after = {where: ids_of(table, where) for where in WHERES}
    table.optimize()
    assert {where: ids_of(table, where) for where in WHERES} == after and all(index.num_unindexed_rows == 0 for index in table.list_indices())
    for index in table.list_indices():
        table.drop_index(index.name)
    assert {where: ids_of(table, where) for where in WHERES} == after


def ids_of(table, where):
    return table.search().where(where).select(["_rowid"]).to_arrow()["_rowid"].to_pylist()


def test_indexes_over_values_are_described(valued):
    table, more = valued
    table.create_scalar_index("n")
    table.create_index("tag", config=Bitmap(), name="by_tag")
    table.create_index("labels")
    table.create_index("vector", config=IvfRq(num_partitions=4))
    known = {index.name: (index.index_type, index.columns, index.distance_type) for index in table.list_indices()}
    assert known == {"n_idx": ("BTree", ["n"], None), "by_tag": ("Bitmap", ["tag"], None), "labels_idx": ("LabelList", ["labels"], None), "vector_idx": ("IvfRq", ["vector"], "l2")}
    table.add(more)
    stats = table.index_stats("by_tag")
    assert (stats.index_type, stats.num_indexed_rows, stats.num_unindexed_rows, stats.distance_type) == ("BITMAP", 2500, 500, None)
    table.wait_for_index(["n_idx", "by_tag"])
    with pytest.raises(RuntimeError):
        table.create_scalar_index("n", replace=False)
    table.create_scalar_index("n", "BITMAP")
    assert table.index_stats("n_idx")["index_type"] == "BITMAP"


def test_indexes_that_cannot_be_are_refused(valued):
    table, _ = valued
    for call, words in [
        (lambda: table.create_scalar_index("vector"), "vector"), (lambda: table.create_scalar_index("nope"), "nope"), (lambda: table.create_scalar_index("n", "LABEL_LIST"), "BTREE"),
        (lambda: table.create_scalar_index("labels", "BITMAP"), "LABEL_LIST"), (lambda: table.create_scalar_index("n", "MAGIC"), "MAGIC"), (lambda: table.create_scalar_index(["n"]), "one column"),
        (lambda: table.create_index("n", num_partitions=3), "num_partitions"), (lambda: table.create_index("vector", config=BTree()), "vector"), (lambda: table.create_index("n", config=IvfRq()), "n"),
        (lambda: table.create_scalar_index("s"), "s"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=words):
            call()
    assert table.list_indices() == []


# ---- versions, threads, processes


def test_a_searcher_follows_new_versions(db):
    random = np.random.default_rng(SEED)
    vectors = random.standard_normal((300, 4)).astype("f4")
    table = db.create_table("t", {"id": np.arange(300), "kind": np.arange(300) % 3, "vector": vectors})
    nearest = table.searcher(k=5, where="kind = ?", params=[1])

    def true(rows, vector):
        admitted = np.arange(len(rows))[np.arange(len(rows)) % 3 == 1]
        return admitted[np.argsort(distances(rows[admitted], vector, "l2"), kind="stable")[:5]].tolist()

    query = random.standard_normal(4).astype("f4")
    assert nearest(query)[0].tolist() == true(vectors, query)
    for _ in range(3):
        more = random.standard_normal((150, 4)).astype("f4") * 0.1
        table.add({"id": np.arange(len(vectors), len(vectors) + 150), "kind": np.arange(len(vectors), len(vectors) + 150) % 3, "vector": more})
        vectors = np.concatenate([vectors, more])
        assert nearest(query)[0].tolist() == nearest(query.astype("f8"))[0].tolist() == true(vectors, query)
    table.create_index(num_partitions=4)
    assert len(set(nearest(query)[0].tolist()) & set(true(vectors, query))) >= 4
    table.checkout(1)
    assert nearest(query)[0].max() < 300
    table.checkout_latest()
    table.add({"id": [0], "kind": [2], "vector": query[None]}, mode="overwrite")
    assert nearest(query)[0].tolist() == [2**64 - 1] * 5


def test_one_query_serves_many_threads(shop):
    query = shop.search([0.0, 1.0]).where("tag = ?", ["tea"]).select(["id"])
    nearest = shop.searcher(k=2, where=col("tag") == "tea")
    wrong = []

    def run():
        for i in range(300):
            if ids(query) != [0, 2] or nearest([0.0, 1.0])[0].tolist() != [0, 2] or shop.count_rows("stock > ?", [i]) != (i < 3) + 2 * (i < 7):
                wrong.append(i)

    def change():
        for _ in range(300):
            query._where = (col("tag") == "tea")._expr

    threads = [threading.Thread(target=target) for target in (run, run, change, run)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_filters_leave_nothing_behind(shop):
    import gc
    import resource

    def round_():
        shop.count_rows("tag IN (?) AND price < ?", [["a", "b", np.str_("c")] * 300, decimal.Decimal("1.5")])
        shop.count_rows("tag IN (:tags)", {"tags": ["a", "b"] * 300})
        shop.search([0.0, 1.0]).where((col("price") < 9.5) & col("tag").isin(list("abcdef"))).select({"x": "price * 2"}).to_list()
        shop.search().where({"tag": {"$in": ["a"] * 100}}).order_by("price desc").to_list()
        shop.searcher(where="id < ?", params=[3])([0.0, 1.0])
        for bad in (lambda: shop.count_rows("tag IN (?) AND", [["a"] * 100]), lambda: lit([1, [2]]), lambda: Expr.from_sql("a = :x", {"x": object()}), lambda: shop.count_rows("nope = 1")):
            with pytest.raises(ValueError):
                bad()

    for _ in range(100):
        round_()
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(1500):
        round_()
    gc.collect()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8_000  # KiB


def test_plans_of_scans_tell_filter_and_rows(shop):
    query = shop.search().where("stock > ?", [0]).order_by("price desc nulls first").limit(2).select({"x": "id * 2"})
    plan, done = query.explain_plan(), query.analyze_plan()
    assert "stock > 0" in plan and "3 of 5 rows" in plan and "price descending, nulls first" in plan and "id * 2 as x" in plan
    assert "gave 2 rows" in done and "filter" in done
    assert "filter" not in shop.search().explain_plan()


def test_filters_work_where_nothing_is_installed(tmp_path):
    code = f"""
import sys, datetime, decimal
for name in ("numpy", "pyarrow", "pandas", "polars", "pydantic"): sys.modules[name] = None
import kith
from kith import col
table = kith.connect({str(tmp_path)!r}).create_table("t", [{{"vector": [float(i), 1.0], "n": i, "day": datetime.date(2024, 1, 1 + i % 28)}} for i in range(100)])
print(table.count_rows("n < ? AND day = ?", [50, datetime.date(2024, 1, 3)]), table.count_rows({{"n": {{"$in": [1, 2]}}}}),
      [row["n"] for row in table.search([0.0, 1.0]).where(col("n") > 5).limit(2).to_list()],
      table.searcher(k=1, where=col("n").isin([7, 8]))([0.0, 1.0])[0].tolist(), table.search().order_by("n desc").limit(1).select({{"m": "n * 2"}}).to_list())
"""
    out = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert out.stdout.strip() == "2 2 [6, 7] [7] [{'m': 198}]", out.stderr


def test_a_struct_called_meta_is_asked_for_in_haystacks_form():
    table = kith.connect("memory://").create_table("t", [{"n": 1, "meta": {"n": 2}}, {"n": 2, "meta": {"n": 1}}])
    for field, n in (("n", 1), ("meta.n", 1), ("meta.meta.n", 2)):
        found = table.search().where({"field": field, "operator": "==", "value": 1}).to_list()
        assert [row["n"] for row in found] == [n]
