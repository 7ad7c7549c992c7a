"""Indexes over the values of fields of structs: made, listed, used, kept by writes, and answering as a scan does."""

import random

import pyarrow as pa
import pytest

import kith

TYPE = pa.struct([
    ("n", pa.int32()), ("tag", pa.string()), ("labels", pa.list_(pa.string())), ("word", pa.dictionary(pa.int32(), pa.string())),
    ("in", pa.struct([("x", pa.float64()), ("flag", pa.bool_()), ("a.b", pa.int64())])), ("items", pa.list_(pa.struct([("k", pa.int32())]))),
])  # fmt: skip
FIELDS = {"s.n": "BTREE", "s.tag": "BITMAP", "s.labels": "LABEL_LIST", "s.in.x": "BTREE", "s.in.flag": "BITMAP", "s.in.a.b": "BTREE", "s.word": "BTREE"}
# what an index answers, and the same in words that none does
ASKED = [
    ("s.n = 3", "s.n + 0 = 3"), ("s.n BETWEEN 5 AND 7", "s.n + 0 BETWEEN 5 AND 7"), ("s.tag = 't2'", "s.tag || '' = 't2'"), ("s.n IS NULL", "(s.n + 0) IS NULL"),
    ("s.tag IN ('t1', 't3')", "s.tag || '' IN ('t1', 't3')"), ("s['in'].x < 0.1", "s['in'].x + 0 < 0.1"), ("s['in'].x IS NULL", "(s['in'].x + 0) IS NULL"),
    ("array_has(s.labels, 'a')", "array_has(s.labels, lower(s.lower_a))"), ("s['in'].flag AND s.n = 4", "(s['in'].flag IS TRUE) IS TRUE AND s.n + 0 = 4"),
    ("s['in']['a.b'] = 17", "s['in']['a.b'] + 0 = 17"), ("s.word = 'w1'", "s.word || '' = 'w1'"), ("s.n = 3 AND n > 100", "s.n + 0 = 3 AND n > 100"),
]  # fmt: skip


def rows_of(rng, first, count):
    def inner():
        if rng.random() < 0.2:
            return None
        return {"x": rng.choice([None, rng.random()]), "flag": rng.choice([None, True, False]), "a.b": rng.randrange(50)}

    def struct():
        if rng.random() < 0.15:
            return None
        return {
            "n": rng.choice([None, rng.randrange(40)]), "tag": rng.choice([None, f"t{rng.randrange(9)}"]), "word": rng.choice([None, f"w{rng.randrange(12)}"]),
            "labels": rng.choice([None, [], [rng.choice("abcdefghijklm")], list("bc")]), "in": inner(), "items": None,
        }  # fmt: skip

    return pa.Table.from_pydict(
        {"n": list(range(first, first + count)), "s": [struct() for _ in range(count)]}, schema=pa.schema([("n", pa.int64()), ("s", TYPE)])
    )


def check(table):
    for quick, slow in ASKED:
        if "lower_a" in slow:
            told = [row["n"] for row in table.search().to_list() if row["s"] and row["s"]["labels"] and "a" in row["s"]["labels"]]
        else:
            told = [row["n"] for row in table.search().where(slow).select(["n"]).to_list()]
        assert [row["n"] for row in table.search().where(quick).select(["n"]).to_list()] == told, quick


def test_fields_of_structs_answer_as_a_scan_does(db):
    rng = random.Random(5)
    table = db.create_table("t", rows_of(rng, 0, 3000), auto_index=False)
    check(table)
    for field, kind in FIELDS.items():
        table.create_scalar_index(field, kind)
    known = {index.name: index.columns for index in table.list_indices()}
    assert known == {f"{field}_idx": [field] for field in FIELDS}
    check(table)
    table.add(rows_of(rng, 3000, 21000))
    assert all(table.index_stats(f"{field}_idx").num_unindexed_rows == 0 for field in FIELDS)
    check(table)
    table.delete("s.n = 3 AND n < 2000")
    table.update("s.tag = 't2'", {"n": 7})
    table.add(rows_of(rng, 24000, 25000))
    check(table)
    table.optimize()
    check(table)
    again = kith.connect(db.uri)["t"]
    check(again)
    again.verify()
    table.drop_index("s.n_idx")
    assert "s.n_idx" not in {index.name for index in table.list_indices()}
    table.drop_columns(["s"])
    assert table.list_indices() == []


def test_names_in_backticks_are_understood(db):
    table = db.create_table("t", [{"row-id": i, "meta data": {"a.b": i, "c": i}, "`x": i} for i in range(300)])
    for name, column in (("`row-id`", "row-id"), ("`meta data`.`a.b`", "meta data.a.b"), ("meta data.`c`", "meta data.c"), ("`x", "`x")):
        table.create_scalar_index(name)
        assert column in [index.columns[0] for index in table.list_indices()]
    table.create_index("`row-id`", config=kith.index.Bitmap())
    assert table.count_rows("`row-id` < 3 AND `meta data`.`a.b` = 2") == 1
    with pytest.raises(KeyError, match="nope"):
        table.create_scalar_index("`nope`")


def test_a_search_says_that_it_was_used(db):
    rows = [{"vector": [float(i), 0.0], "s": {"n": i, "m": i % 7}} for i in range(3000)]
    table = db.create_table("t", rows, auto_index=False)
    query = table.search([0.0, 0.0]).where("s.n = 1700").limit(1)
    assert "answered by indexes" not in query.explain_plan()
    table.create_scalar_index("s.n")
    assert "1 part of the filter answered by indexes over values" in query.explain_plan()
    assert "evaluated for 0 rows" in query.explain_plan()
    assert query.to_list()[0]["s"] == {"n": 1700, "m": 1700 % 7}
    assert "answered by indexes" not in table.search([0.0, 0.0]).where("s.m = 3").explain_plan()


@pytest.mark.parametrize(
    "field, words",
    [("s", "struct"), ("s.nope", 'no field "s.nope"'), ("n.x", "has no fields"), ("s.items", "no index holds"), ("s.items.k", "in a list cannot be indexed"),
     ("s.labels.x", "in a list"), ("s.in", "struct"), ("nope.x", 'no column "nope.x"'), ("s.", "no field")],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_words(db, field, words):
    table = db.create_table("t", rows_of(random.Random(6), 0, 10))
    with pytest.raises(ValueError, match=words):
        table.create_scalar_index(field)
    assert table.list_indices() == []
