"""The nearest rows in another order, and taken rows under a condition."""

import numpy as np
import pytest

import kith

ROWS = 500


@pytest.fixture
def table(db):
    rng = np.random.default_rng(3)
    rows = [
        {"n": i, "kind": None if i % 11 == 0 else f"k{i % 4}", "vector": rng.standard_normal(4).astype("f4")} for i in range(ROWS)
    ]
    return db.create_table("t", rows)


def test_the_nearest_rows_come_in_the_order_asked_for(table):
    vector = np.array([0.1, 0.2, -0.1, 0.3], "f4")
    nearest = table.search(vector).limit(60).to_list()
    asked = [
        ("n", lambda row: row["n"]), (["n desc"], lambda row: -row["n"]), ("_distance desc", lambda row: -row["_distance"]),
        (["kind nulls first", "_distance"], lambda row: (row["kind"] is not None, row["kind"] or "", row["_distance"])),
        (["kind", "n desc"], lambda row: (row["kind"] is None, row["kind"] or "", -row["n"])),
        (kith.col("n") % 7, lambda row: row["n"] % 7),
    ]  # fmt: skip
    for order, key in asked:
        query = table.search(vector).limit(60).order_by(order)
        assert [row["n"] for row in query.to_list()] == [row["n"] for row in sorted(nearest, key=key)], order
        assert [row["_distance"] for row in query.to_list()] == [row["_distance"] for row in sorted(nearest, key=key)]
    assert [row["n"] for row in table.search(vector).limit(60).order_by("n").order_by(None).to_list()] == [row["n"] for row in nearest]


def test_each_vectors_rows_are_ordered_by_themselves_and_filters_and_pages_hold(table):
    vectors = np.eye(4, dtype="f4")[:3]
    alone = [[row["n"] for row in table.search(one).where("n > 50").limit(8).offset(2).order_by("n").to_list()] for one in vectors]
    assert all(rows == sorted(rows) and len(rows) == 8 for rows in alone)
    together = table.search(vectors).where("n > 50").limit(8).offset(2).order_by("n").to_list()
    assert [[row["n"] for row in together if row["query_index"] == i] for i in range(3)] == alone
    assert [row["query_index"] for row in together] == sorted(row["query_index"] for row in together)


def test_one_text_may_hold_several_orders(db, table):
    by_both = sorted(table.search().select(["n", "kind"]).to_list(), key=lambda row: (row["kind"] or "z", -row["n"]))
    for text in ("kind, n desc", "kind asc nulls last,n desc", "coalesce(kind, 'z,'), n desc", "CASE WHEN kind IN ('k0', 'k1') THEN 1 END, kind, n DESC"):
        assert table.search().select(["n", "kind"]).order_by(text).to_list() == by_both, text
    assert table.search().select(["n", "kind"]).order_by(["kind", "n desc, kind"]).to_list() == by_both
    odd = db.create_table("odd", [{"a, b": n % 3, "c": n} for n in range(6)])
    assert [row["c"] for row in odd.search().order_by("a, b", ascending=False).to_list()] == [2, 5, 1, 4, 0, 3]
    assert [row["c"] for row in odd.search().order_by("`a, b` desc, c desc").to_list()] == [5, 2, 4, 1, 3, 0]
    for wrong in ("n,", ",n", "n,,kind", "n, (kind", "n), kind"):
        with pytest.raises(ValueError):
            table.search().order_by(wrong).to_list()


def test_what_has_no_order_is_refused_in_words(table):
    with pytest.raises(kith.errors.TypeMismatchError, match="no order"):
        table.search([0.0] * 4).order_by("vector").to_list()
    with pytest.raises(kith.errors.NotFoundError, match="nope"):
        table.search([0.0] * 4).order_by("nope").to_list()
    with pytest.raises(kith.errors.NotFoundError):
        table.search().order_by("_distance").to_list()


def test_taken_rows_meet_a_condition(table):
    ids = [3, 4, 4, 9, 11, 22, 499, 5000]
    assert [row["n"] for row in table.take_row_ids(ids).where("n % 2 = 1").to_list()] == [3, 9, 11, 499]
    assert [row["n"] for row in table.take_row_ids(ids).where("n < 10").where({"kind": "k0"}).to_list()] == [4, 4]
    assert [row["n"] for row in table.take_row_ids(ids).where("kind IS NULL").limit(1).to_list()] == [11]
    assert [row["n"] for row in table.take_row_ids(ids).where("n > ?", [5]).offset(1).limit(2).select(["n"]).to_list()] == [11, 22]
    assert table.take_row_ids(ids).where("n < 0").to_list() == table.take_row_ids([]).where("n < 0").to_list() == []
    assert [row["n"] for row in table.take_offsets([0, 5, 7]).where("n > 4").to_list()] == [5, 7]
    assert "3 rows" in table.take_row_ids(ids).where("n < 5").explain_plan()
    many = list(range(ROWS)) * 300
    assert len(table.take_row_ids(many).where("n = 3").to_list()) == 300
    with pytest.raises(kith.errors.NotFoundError):
        table.take_row_ids(ids).where("nope = 3").to_list()
