"""TQL over a store: the same rows as numpy's, and nothing but what was written."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kith
from kith.deeplake import exceptions as errors, tql

ROWS, DIM = 60, 6


@pytest.fixture(scope="module")
def vectors():
    return np.random.default_rng(5).standard_normal((ROWS, DIM)).astype("f4")


@pytest.fixture(scope="module")
def store(vectors):
    made = kith.VectorStore(
        "mem://tql",
        overwrite=True,
        tensor_params=[{"name": "text", "htype": "text"}, {"name": "metadata", "htype": "json"}, {"name": "embedding", "htype": "embedding"}, {"name": "n", "dtype": "int64"}],
    )
    metadata = [{"n": n, "kind": "ab"[n % 2], "deep": {"er": n % 3}, "it's": 'a "word"', **({} if n % 4 else {"rare": None})} for n in range(ROWS)]
    made.add(text=[f"text {n}" for n in range(ROWS)], metadata=metadata, embedding=vectors, n=list(range(ROWS)), id=[f"id-{n}" for n in range(ROWS)])
    return made


def array(vector):
    return "ARRAY[" + ", ".join(repr(float(one)) for one in vector) + "]"


def found(store, query):
    return store.search(query=query)["n"]


@pytest.mark.parametrize(
    "condition, admits",
    [
        ("metadata['n'] == 7", lambda n: n == 7),
        ("metadata['n'] = 7.0 or metadata['n'] == 9", lambda n: n in (7, 9)),
        ("metadata['kind'] == 'a' and metadata['n'] < 10", lambda n: n % 2 == 0 and n < 10),
        ("metadata['kind'] != 'a'", lambda n: n % 2 == 1),
        ("not metadata['kind'] == 'a' and (n > 50 or n <= 3)", lambda n: n % 2 == 1 and (n > 50 or n <= 3)),
        ("metadata['kind'] in ('b', 'c') and n >= 50", lambda n: n % 2 == 1 and n >= 50),
        ("metadata['kind'] not in ('b', 'c')", lambda n: n % 2 == 0),
        ("metadata['deep']['er'] == 2", lambda n: n % 3 == 2),
        ("metadata['n'] between 10 and 12", lambda n: 10 <= n <= 12),
        ("metadata['n'] not between 2 and 57", lambda n: n < 2 or n > 57),
        ("metadata[\"it's\"] == 'a \"word\"' and n < 3", lambda n: n < 3),
        ("metadata['it''s'] == 'a \\\"word\\\"' and n < 3", lambda n: n < 3),
        ("metadata['nothing'] == 3", lambda n: False),
        ("metadata['rare'] == null", lambda n: n % 4 == 0),
        ("metadata['kind'] is not null", lambda n: True),
        ("text == 'text 5' or id == \"id-6\"", lambda n: n in (5, 6)),
        ("text like 'text 1%'", lambda n: str(n).startswith("1")),
        ("text not like 'text _'", lambda n: n > 9),
        ("contains(text, '9')", lambda n: "9" in str(n)),
        ("contains(metadata['kind'], 'b') and n < 9", lambda n: n % 2 == 1 and n < 9),
        ("id in ('id-3', 'id-4') and n in (4, 5)", lambda n: n == 4),
        ("n > -1 and n < 1e1", lambda n: n < 10),
    ],
)
def test_conditions_admit_what_they_say(store, condition, admits):
    assert found(store, f"select * where {condition}") == [n for n in range(ROWS) if admits(n)]


@pytest.mark.parametrize("call, metric, down", [
    ("cosine_similarity(embedding, {})", "COS", True), ("DOT_PRODUCT(embedding, {})", "DOT", True), ("l2_norm(embedding - {})", "L2", False),
    ("L2_NORM(embedding-{})", "L2", False), ("l1_norm(embedding - {})", "L1", False), ("linf_norm(embedding - {})", "MAX", False),
])  # fmt: skip
@pytest.mark.parametrize("direction", ["desc", "asc", ""])
def test_orders_by_each_metric_in_both_directions(store, vectors, call, metric, down, direction):
    query = vectors[3] * 0.5 + 1
    expected = kith.deeplake._search.scores_of(vectors, query, metric)
    order = np.argsort(-expected if direction == "desc" else expected, kind="stable")
    wanted = call.format(array(query))
    assert found(store, f"select * order by {wanted} {direction}") == order.tolist()
    some = store.search(query=f"SELECT text, n, {wanted} as near WHERE n > 9 ORDER BY {wanted} {direction} LIMIT 4 OFFSET 1;")
    assert list(some) == ["near", "text", "n"] and some["n"] == [n for n in order if n > 9][1:5]
    np.testing.assert_allclose(some["near"], expected[some["n"]], rtol=1e-6)
    assert found(store, f"select n, {wanted} order by score {direction} limit 2") == order[:2].tolist()


def test_orders_by_tensors_and_limits(store):
    assert found(store, "select * order by n desc limit 3") == [59, 58, 57]
    assert found(store, "select n order by text limit 3") == [0, 1, 10]
    assert found(store, "select * limit 2") == [0, 1] and found(store, "select * limit 2 offset 58") == [58, 59]
    assert found(store, "select * limit 0") == [] and list(store.search(query="select id, text limit 1")) == ["id", "text"]
    assert list(store.search(query="select * limit 1")) == ["text", "metadata", "embedding", "n", "id"]


def test_a_query_within_a_query_is_deep_lakes_own_form(store, vectors):
    call = f"COSINE_SIMILARITY(embedding, {array(vectors[4])})"
    inner = f"(select *, {call} as score where n > 2 order by {call} DESC limit 3)"
    some = store.search(query=f"select n, score from {inner}")
    assert list(some) == ["score", "n"] and some["n"][0] == 4 and some["score"][0] == 1.0
    assert list(store.search(query=f"select n from {inner}")) == ["n"]
    assert list(store.search(query=f"select * from {inner}")) == ["score", "text", "metadata", "embedding", "n", "id"]
    assert found(store, "select n from (select * where n < 3)") == [0, 1, 2]


def test_what_stands_behind_a_query_in_parentheses_is_said_of_its_rows(store, vectors):
    call = f"cosine_similarity(embedding, {array(vectors[4])})"
    usual = store.search(query=f"select * from (select *, {call} as score) order by score desc limit 3")
    inside = store.search(query=f"select *, {call} as score order by {call} desc limit 3")
    assert usual["n"] == inside["n"] and usual["score"] == inside["score"] and usual["n"][0] == 4
    assert found(store, f"select n from (select n, {call} as s where n > 2) where n < 40 order by {call} desc limit 1 offset 0") == [4]
    assert found(store, "select n from (select * where n < 9) where n > 2 order by n desc limit 2 offset 1") == [7, 6]
    assert found(store, "select n from (select n) limit 2 offset 3") == [3, 4]
    for wrong in ("(select n limit 3) limit 2", "(select n limit 3) where n < 2", "(select n order by n) order by n desc", "(select n offset 1) order by n",
                  f"(select *, {call} as score) limit 3"):  # fmt: skip
        with pytest.raises(tql.TQLError):
            store.search(query=f"select * from {wrong}")
    assert len(kith.deeplake.query('select * from (select * from "mem://tql" where n < 3) limit 2')) == 2


def test_views_rows_and_the_query_itself(store, vectors):
    query = f"select * order by l2_norm(embedding - {array(vectors[5])}) limit 2"
    view = store.search(query=query, return_view=True)
    assert len(view) == 2 and view.n[0].data()["value"] == 5 and view.scores[0] == 0.0
    assert store.search(query=query, return_tql=True)["tql"] == query
    assert len(store.dataset.query("select * where n < 3")) == 3


def test_a_search_is_told_as_the_query_that_finds_the_same(store, vectors):
    filters = [None, {"metadata": {"kind": "a", "it's": 'a "word"'}}, {"text": ["text 1", "it's", "text 7"], "n": 7}]
    for filter in filters:
        for metric in ("COS", "DOT", "L2", "L1", "MAX"):
            both = store.search(embedding=vectors[2], k=5, filter=filter, distance_metric=metric, return_tensors=["n"], return_tql=True)
            again = store.search(query=both["tql"])
            assert again["n"] == both["data"]["n"] and again["score"] == both["data"]["score"]
    for value in ({"er": 1}, [1, 2]):  # a query that would find something else is not told
        with pytest.raises(tql.TQLError, match="deep"):
            store.search(filter={"metadata": {"deep": value}}, return_tql=True)


@pytest.mark.parametrize(
    "query",
    [
        "", "select", "select *,", "delete *", "select * where", "select * where n", "select * where n ==", "select * where n == 1 n", "select * limit -1",
        "select * limit 1.5", "select * limit 99999999999999999999", "select * limit 1 offset 99999999999999999999", "select * limit x", "select * where n == 'a", "select * where (n == 1", "select * where n == 1)", "select * where n == 1; drop",
        "select * where text == 'it's'", "select * where embedding == 1", "select * where text['a'] == 1", "select * where n == 1 -- x", "select * where n ~ 1",
        "select * order by metadata", "select * order by l2_norm(embedding, ARRAY[1])", "select * order by cosine_similarity(text, ARRAY[1])",
        "select * order by l2_norm(embedding - ARRAY[])", "select * order by l2_norm(embedding - ARRAY[1, 'a'])", "select * order by l2_norm(embedding - ARRAY[1, 2])",
        "select cosine_similarity(embedding, ARRAY[1,2,3,4,5,6])", "select * where " + "(" * 60 + "n == 1" + ")" * 60, "select * where not", "select 1",
        "select n from (select *", "select n from (select id)", "select n, l2_norm(embedding - ARRAY[1]) as score from (select *)", "select n from (select n from (select *))",
        "select * where metadata['a\"b'] > 1", "select * where n like 3", "select * where '1' == '1'", "select * where n in ()", 3,
    ],
)  # fmt: skip
def test_what_is_no_query_is_refused(store, query):
    with pytest.raises(ValueError):
        store.search(query=query)


def test_tensors_that_are_not_there_are_named(store):
    for query in ("select nothing", "select * where nothing == 1", "select * order by nothing", "select * order by l2_norm(nothing - ARRAY[1])"):
        with pytest.raises(errors.TensorDoesNotExistError, match="nothing"):
            store.search(query=query)
    with pytest.raises(errors.TensorDoesNotExistError):
        store.search(query="select * where _members_metadata == 1")


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=8), st.sampled_from(["'", '"']))
def test_a_quoted_text_is_a_value_whatever_it_holds(value, quote):
    store = kith.VectorStore("mem://quoted", overwrite=True)
    store.add(text=[value, value + "x"], metadata=[{"k": value}, {"k": value + "x"}], embedding=[[1.0], [1.0]])
    written = quote + value.replace("\\", "\\\\").replace(quote, quote * 2) + quote
    assert store.search(query=f"select text where text == {written}")["text"] == [value]
    assert store.search(query=f"select text where metadata['k'] == {written}")["text"] == [value]


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from("select * where n == 1 'a' ( ) [ ] and or not in like , order by limit 3 metadata ARRAY ; - embedding null l2_norm".split()), max_size=14))
def test_any_words_are_a_query_or_are_refused(words):
    store = kith.VectorStore("mem://words", tensor_params=[{"name": "n", "dtype": "int64"}, {"name": "embedding", "htype": "embedding"}, {"name": "metadata", "htype": "json"}], overwrite=True)
    store.add(n=[1], embedding=[[1.0]], metadata=[{}])
    try:
        store.search(query=" ".join(["select", "*", *words]))
    except (ValueError, errors.TensorDoesNotExistError):
        pass
    assert len(store) == 1


def test_the_reader_takes_long_texts_in_no_time():
    with pytest.raises(tql.TQLError):
        tql._Reader("select * where text == '" + "a" * 5_000_000 + "'", {})
