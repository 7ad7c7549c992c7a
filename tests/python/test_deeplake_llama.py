"""LlamaIndex's class over Deep Lake (llama-index-vector-stores-deeplake 0.6), run on kith.deeplake."""

import pytest

import kith

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("offline")]  # LlamaIndex's own


@pytest.fixture(scope="module")
def llama():
    kith.install_as("deeplake")
    from llama_index.core import Document, StorageContext, VectorStoreIndex
    from llama_index.core.embeddings import BaseEmbedding
    from llama_index.core.node_parser import TokenTextSplitter
    from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
    from llama_index.core.vector_stores import types
    from llama_index.vector_stores.deeplake import DeepLakeVectorStore, base

    assert base.DEEPLAKE_INSTALLED and not base.DEEPLAKE_V4

    class Letters(BaseEmbedding):
        """The number of each letter of a text."""

        def _get_text_embedding(self, text):
            return [float(text.lower().count(letter)) + 0.01 for letter in "abcdefghijklmnopqrstuvwxyz"]

        def _get_query_embedding(self, query):
            return self._get_text_embedding(query)

        async def _aget_query_embedding(self, query):
            return self._get_text_embedding(query)

    class Names:
        pass

    names = Names()
    names.__dict__.update(
        DeepLakeVectorStore=DeepLakeVectorStore, TextNode=TextNode, NodeRelationship=NodeRelationship, types=types,
        RelatedNodeInfo=RelatedNodeInfo, VectorStoreIndex=VectorStoreIndex, StorageContext=StorageContext, Document=Document,
        Letters=Letters, TokenTextSplitter=TokenTextSplitter,
    )  # fmt: skip
    return names


@pytest.fixture
def nodes(llama):
    letters = llama.Letters()
    made = []
    for number, text in enumerate(["apple banana", "cherry", "quick brown fox", "zebra"]):
        node = llama.TextNode(
            text=text,
            id_=f"node-{number}",
            metadata={"pages": number, "kind": "fruit" if number < 2 else "other"},
            relationships={llama.NodeRelationship.SOURCE: llama.RelatedNodeInfo(node_id=f"document-{number // 2}")},
        )
        node.embedding = letters.get_text_embedding(text)
        made.append(node)
    return made


@pytest.fixture
def store(llama, nodes, path):
    made = llama.DeepLakeVectorStore(dataset_path=path, overwrite=True, verbose=False)
    assert made.add(nodes) == [f"node-{number}" for number in range(4)]
    return made


def asked(llama, text, **keywords):
    keywords.setdefault("similarity_top_k", 2)
    return llama.types.VectorStoreQuery(query_embedding=llama.Letters().get_query_embedding(text), **keywords)


def test_nodes_are_stored_and_found(llama, store, nodes):
    assert isinstance(store.vectorstore, kith.VectorStore) and len(store.client) == 4
    found = store.query(asked(llama, "cherry"))
    assert found.ids[0] == "node-1" and found.similarities[0] == 1.0 and len(found.nodes) == 2
    assert found.nodes[0].get_content() == "cherry" and found.nodes[0].metadata == nodes[1].metadata
    assert found.nodes[0].ref_doc_id == "document-0"


def test_filters_of_llamaindex(llama, store):
    def matching(*filters, condition="and"):
        made = [llama.types.MetadataFilter(key=key, operator=operator, value=value) for key, operator, value in filters]
        chosen = llama.types.MetadataFilters(filters=made, condition=condition)
        return sorted(store.query(asked(llama, "zebra", similarity_top_k=9, filters=chosen)).ids)

    assert matching(("kind", "==", "fruit")) == ["node-0", "node-1"]
    assert matching(("kind", "==", "fruit"), ("pages", "==", 1)) == ["node-1"]
    assert matching(("pages", ">", 1)) == ["node-2", "node-3"] and matching(("pages", "<=", 1)) == ["node-0", "node-1"]
    assert matching(("pages", "in", [0, 3])) == ["node-0", "node-3"] and matching(("kind", "!=", "fruit")) == ["node-2", "node-3"]
    assert matching(("kind", "==", "fruit"), ("pages", "==", 3), condition="or") == ["node-0", "node-1", "node-3"]
    assert matching(("kind", "text_match", "the")) == ["node-2", "node-3"]


def test_nodes_are_got_by_id_and_filter(llama, store):
    assert {node.node_id for node in store.get_nodes()} == {f"node-{number}" for number in range(4)}
    assert [node.node_id for node in store.get_nodes(["node-2"])] == ["node-2"]
    chosen = llama.types.MetadataFilters(filters=[llama.types.MetadataFilter(key="pages", operator=">=", value=2)])
    assert [node.node_id for node in store.get_nodes(filters=chosen)] == ["node-2", "node-3"]


def test_nodes_are_deleted(llama, store):
    store.delete("document-0")
    assert len(store.client) == 2
    store.delete_nodes(["node-2"])
    assert [node.node_id for node in store.get_nodes()] == ["node-3"]
    store.delete_nodes(filters=llama.types.MetadataFilters(filters=[llama.types.MetadataFilter(key="pages", value=3)]))
    assert len(store.client) == 0


def test_all_nodes_are_cleared(store, nodes):
    store.clear()
    assert len(store.client) == 0
    store.clear()
    store.add(nodes[:1])
    assert len(store.client) == 1


def test_a_store_on_disk_is_opened_again(llama, nodes, tmp_path):
    llama.DeepLakeVectorStore(dataset_path=str(tmp_path / "s"), overwrite=True).add(nodes)
    again = llama.DeepLakeVectorStore(dataset_path=str(tmp_path / "s"), read_only=True)
    assert again.query(asked(llama, "zebra")).ids[0] == "node-3"
    with pytest.raises(ValueError):
        again.add(nodes)


def test_an_index_over_it(llama, path):
    store = llama.DeepLakeVectorStore(dataset_path=path, overwrite=True)
    documents = [llama.Document(text=text, metadata={"n": n}) for n, text in enumerate(["apple banana", "cherry", "zebra"])]
    index = llama.VectorStoreIndex.from_documents(
        documents, storage_context=llama.StorageContext.from_defaults(vector_store=store), embed_model=llama.Letters(),
        transformations=[llama.TokenTextSplitter(tokenizer=str.split)],  # the default one wants tiktoken, which downloads
    )  # fmt: skip
    found = index.as_retriever(similarity_top_k=1).retrieve("zebra")
    assert found[0].node.get_content() == "zebra" and 0 < found[0].score <= 1.0
    index.delete_ref_doc(documents[2].doc_id)
    assert len(store.client) == 2
    assert index.as_retriever(similarity_top_k=3).retrieve("zebra")[0].node.get_content() != "zebra"
