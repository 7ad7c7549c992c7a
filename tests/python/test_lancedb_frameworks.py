"""LangChain's class over LanceDB (langchain-community 0.4.1) and LlamaIndex's (0.6.0), run on Kith."""

import pytest

import kith

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("offline")]  # their own

TEXTS = ["apple banana", "cherry", "quick brown fox", "zebra"]


def letters(text):
    """The number of each letter of a text."""
    return [float(text.lower().count(letter)) + 0.01 for letter in "abcdefghijklmnopqrstuvwxyz"]


@pytest.fixture
def store(tmp_path):
    kith.install_as("lancedb")
    from langchain_community.vectorstores import LanceDB
    from langchain_core.embeddings import Embeddings

    class Letters(Embeddings):
        def embed_query(self, text):
            return letters(text)

        def embed_documents(self, texts):
            return [letters(text) for text in texts]

    made = LanceDB(embedding=Letters(), uri=str(tmp_path))
    made.add_texts(TEXTS, metadatas=[{"page": i, "kind": "fruit" if i < 2 else "other"} for i in range(4)], ids=list("abcd"))
    return made


def contents(documents):
    return [document.page_content for document in documents]


def test_langchain_finds_what_it_stored(store, tmp_path):
    assert isinstance(store.get_table(), kith.Table) and list(kith.connect(tmp_path)) == ["vectorstore"]
    found, distance = store.similarity_search_with_score("zebra", k=1)[0]
    assert (found.page_content, found.metadata, distance) == ("zebra", {"page": 3, "kind": "other"}, 0.0)
    assert contents(store.similarity_search("apple", k=1, filter={"metadata.kind": "other"}, prefilter=True)) == ["zebra"]
    assert contents(store.max_marginal_relevance_search("cherry", k=2, fetch_k=4))[0] == "cherry"
    assert contents(store.as_retriever(search_kwargs={"k": 1}).invoke("brown fox")) == ["quick brown fox"]


def test_langchain_indexes_and_deletes(store):
    store.create_index(vector_col="vector", num_partitions=1, num_sub_vectors=13)
    assert [one.index_type for one in store.get_table().list_indices()] == ["IvfPq"]
    store.delete(ids=["b"])
    store.delete(filter="metadata.page = 2")
    assert sorted(contents(store.similarity_search("cherry", k=4))) == ["apple banana", "zebra"]
    store.delete(delete_all=True)
    assert store.get_table() is None or store.get_table().count_rows() == 0


def test_langchain_takes_a_connection_and_a_table(store, tmp_path):
    from langchain_community.vectorstores import LanceDB

    db = kith.connect(tmp_path)
    again = LanceDB(connection=db, table=db.open_table("vectorstore"), embedding=store.embeddings)
    assert contents(again.similarity_search("zebra", k=1)) == ["zebra"]


@pytest.fixture
def llama(tmp_path):
    kith.install_as("lancedb")
    lancedb = pytest.importorskip("llama_index.vector_stores.lancedb", reason="make setup installs it")
    from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode

    store = lancedb.LanceDBVectorStore(uri=str(tmp_path), mode="overwrite")
    source = {f"node-{i}": RelatedNodeInfo(node_id=f"document-{i // 2}") for i in range(4)}
    store.add(
        [
            TextNode(
                text=text, id_=f"node-{i}", embedding=letters(text), metadata={"page": i, "kind": "fruit" if i < 2 else "other"},
                relationships={NodeRelationship.SOURCE: source[f"node-{i}"]},
            )
            for i, text in enumerate(TEXTS)
        ]
    )  # fmt: skip
    return store


def ids(store, text, **how):
    from llama_index.core.vector_stores.types import VectorStoreQuery

    return store.query(VectorStoreQuery(query_embedding=letters(text), similarity_top_k=4, **how)).ids


def test_llamaindex_finds_filters_and_deletes(llama):
    from llama_index.core.vector_stores.types import FilterOperator, MetadataFilter, MetadataFilters

    later = MetadataFilter(key="page", value=1, operator=FilterOperator.GT)
    fruit = MetadataFilter(key="kind", value="fruit")
    assert ids(llama, "zebra")[0] == "node-3" and len(ids(llama, "zebra")) == 4
    assert sorted(ids(llama, "zebra", filters=MetadataFilters(filters=[later]))) == ["node-2", "node-3"]
    with pytest.raises(Warning, match="empty"):  # LlamaIndex raises it
        ids(llama, "zebra", filters=MetadataFilters(filters=[later, fruit]))
    assert [node.node_id for node in llama.get_nodes(["node-1", "node-2"])] == ["node-1", "node-2"]
    llama.delete_nodes(["node-1"])
    llama.delete("document-1")
    assert ids(llama, "cherry") == ["node-0"]


def test_llamaindex_opens_a_table_again(llama):
    assert isinstance(llama.table, kith.Table)
    llama.create_index(num_partitions=1, num_sub_vectors=13)
    assert ids(type(llama).from_table(llama.table), "cherry")[0] == "node-1"
