/* Arrow schemas: made, copied, compared, and turned into nested tuples and back.
 *
 * The tuple form is (name, format, nullable, metadata, children, dictionary): a dict of bytes or None, a
 * tuple of such tuples, a tuple or None. kith.schema builds its Schema and Field on it, so that a schema can
 * be written and read without pyarrow.
 *
 * A schema made here owns its strings: `private_data` is one block with the children's pointers.
 */
#include <string.h>

#include "py_private.h"

static const char *const SCHEMA = "arrow_schema";

static char *raw_copy(const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = kpy_malloc(bytes);
    if (copy) memcpy(copy, text, bytes);
    return copy;
}

static void own_release(struct ArrowSchema *schema)
{
    for (int64_t i = 0; i < schema->n_children; ++i) {
        if (!schema->children[i]) continue;
        kpy_schema_release(schema->children[i]);
        kpy_free(schema->children[i]);
    }
    if (schema->dictionary) {
        kpy_schema_release(schema->dictionary);
        kpy_free(schema->dictionary);
    }
    kpy_free(schema->children);
    kpy_free((void *)schema->format);
    kpy_free((void *)schema->name);
    kpy_free((void *)schema->metadata);
    schema->release = NULL;
}

void kpy_schema_release(struct ArrowSchema *schema)
{
    if (schema->release) schema->release(schema);
    memset(schema, 0, sizeof *schema);
}

int kpy_schema_init(struct ArrowSchema *out, const char *format, const char *name, int64_t children)
{
    memset(out, 0, sizeof *out);
    out->release = own_release;
    out->flags = ARROW_FLAG_NULLABLE;
    out->format = raw_copy(format);
    out->name = raw_copy(name);
    out->children = children ? kpy_calloc((size_t)children, sizeof *out->children) : NULL;
    bool complete = out->format && out->name && (out->children || !children);
    for (int64_t i = 0; complete && i < children; ++i) {
        out->children[i] = kpy_calloc(1, sizeof **out->children);
        complete = out->children[i];
        out->n_children = i + 1;
    }
    if (complete) return 0;
    kpy_schema_release(out);
    PyErr_NoMemory();
    return -1;
}

/* ---- metadata: int32 count, then for each key and value an int32 length and its bytes ---- */

static size_t metadata_bytes(const char *metadata)
{
    int32_t pairs, length;
    size_t at = sizeof pairs;
    memcpy(&pairs, metadata, sizeof pairs);
    for (int64_t i = 0; i < 2 * (int64_t)pairs; ++i) {
        memcpy(&length, metadata + at, sizeof length);
        at += sizeof length + (size_t)length;
    }
    return at;
}

static PyObject *metadata_dict(const char *metadata)
{
    if (!metadata) Py_RETURN_NONE;
    PyObject *dict = PyDict_New();
    int32_t pairs, length;
    size_t at = sizeof pairs;
    memcpy(&pairs, metadata, sizeof pairs);
    for (int32_t i = 0; dict && i < pairs; ++i) {
        PyObject *text[2] = { NULL, NULL };
        for (int side = 0; side < 2; ++side) {
            memcpy(&length, metadata + at, sizeof length);
            text[side] = PyBytes_FromStringAndSize(metadata + at + sizeof length, length);
            at += sizeof length + (size_t)length;
        }
        if (!text[0] || !text[1] || PyDict_SetItem(dict, text[0], text[1])) Py_CLEAR(dict);
        Py_XDECREF(text[0]);
        Py_XDECREF(text[1]);
    }
    return dict;
}

static int metadata_append(char *to, size_t *at, PyObject *text)
{
    char *bytes;
    Py_ssize_t count;
    if (PyBytes_AsStringAndSize(text, &bytes, &count)) return -1;
    int32_t length = (int32_t)count;
    if (to) memcpy(to + *at, &length, sizeof length);
    if (to) memcpy(to + *at + sizeof length, bytes, (size_t)count);
    *at += sizeof length + (size_t)count;
    return 0;
}

static int metadata_write(PyObject *dict, char *to, size_t *bytes)
{
    PyObject *key, *value;
    Py_ssize_t place = 0;
    int32_t pairs = (int32_t)PyDict_Size(dict);
    *bytes = sizeof pairs;
    if (to) memcpy(to, &pairs, sizeof pairs);
    while (PyDict_Next(dict, &place, &key, &value)) {
        if (metadata_append(to, bytes, key) || metadata_append(to, bytes, value)) return -1;
    }
    return 0;
}

static int metadata_set(struct ArrowSchema *schema, PyObject *dict)
{
    size_t bytes;
    if (dict == Py_None) return 0;
    if (metadata_write(dict, NULL, &bytes)) return -1;
    char *metadata = kpy_malloc(bytes);
    if (!metadata) return PyErr_NoMemory(), -1;
    schema->metadata = metadata;
    return metadata_write(dict, metadata, &bytes);
}

/* ---- copying and comparing ---- */

/* Views and large lists are stored in plain form; what is built for such a table is built plain at once. */
static const char *plain_format(const char *format)
{
    if (!strcmp(format, "vu")) return "u";
    if (!strcmp(format, "vz")) return "z";
    if (!strcmp(format, "+vl")) return "+l";
    return format;
}

static int copy(const struct ArrowSchema *from, bool plain, struct ArrowSchema *out)
{
    const char *format = plain ? plain_format(from->format) : from->format;
    if (kpy_schema_init(out, format, from->name ? from->name : "", from->n_children)) return -1;
    out->flags = from->flags;
    if (from->metadata) {
        size_t bytes = metadata_bytes(from->metadata);
        char *metadata = kpy_malloc(bytes);
        if (!metadata) goto fail;
        out->metadata = memcpy(metadata, from->metadata, bytes);
    }
    for (int64_t i = 0; i < from->n_children; ++i) {
        if (copy(from->children[i], plain, out->children[i])) goto fail_set;
    }
    if (!from->dictionary) return 0;
    out->dictionary = kpy_calloc(1, sizeof *out->dictionary);
    if (!out->dictionary) goto fail;
    if (copy(from->dictionary, plain, out->dictionary)) goto fail_set;
    return 0;
fail:
    PyErr_NoMemory();
fail_set:
    kpy_schema_release(out);
    return -1;
}

int kpy_schema_copy(const struct ArrowSchema *from, struct ArrowSchema *out)
{
    return copy(from, false, out);
}

int kpy_schema_copy_plain(const struct ArrowSchema *from, struct ArrowSchema *out)
{
    return copy(from, true, out);
}

bool kpy_schema_same(const struct ArrowSchema *a, const struct ArrowSchema *b)
{
    if (strcmp(a->format, b->format)) return false;
    if (a->n_children != b->n_children || !a->dictionary != !b->dictionary) return false;
    bool named = !strcmp(a->format, "+s");
    for (int64_t i = 0; i < a->n_children; ++i) {
        if (named && strcmp(a->children[i]->name, b->children[i]->name)) return false;
        if (!kpy_schema_same(a->children[i], b->children[i])) return false;
    }
    return !a->dictionary || kpy_schema_same(a->dictionary, b->dictionary);
}

const struct ArrowSchema *kpy_schema_child(const struct ArrowSchema *schema, const char *name)
{
    for (int64_t i = 0; i < schema->n_children; ++i) {
        if (!strcmp(schema->children[i]->name, name)) return schema->children[i];
    }
    return NULL;
}

/* ---- capsules ---- */

static void capsule_free(PyObject *capsule)
{
    struct ArrowSchema *schema = PyCapsule_GetPointer(capsule, SCHEMA);
    if (!schema) {
        PyErr_Clear();
        return;
    }
    kpy_schema_release(schema);
    kpy_free(schema);
}

PyObject *kpy_schema_capsule(struct ArrowSchema *schema)
{
    struct ArrowSchema *kept = kpy_malloc(sizeof *kept);
    if (!kept) {
        kpy_schema_release(schema);
        return PyErr_NoMemory();
    }
    *kept = *schema;
    memset(schema, 0, sizeof *schema);
    PyObject *capsule = PyCapsule_New(kept, SCHEMA, capsule_free);
    if (!capsule) {
        kpy_schema_release(kept);
        kpy_free(kept);
    }
    return capsule;
}

struct ArrowSchema *kpy_schema_borrow(struct kpy_state *state, PyObject *capsule)
{
    struct ArrowSchema *schema = PyCapsule_GetPointer(capsule, SCHEMA);
    if (schema && !schema->release) {
        kpy_fail(state, KITH_INVALID, "the Arrow schema was consumed already");
        return NULL;
    }
    return schema;
}

/* ---- tuples ---- */

static PyObject *fields_of(const struct ArrowSchema *schema)
{
    PyObject *dictionary = Py_None, *children = PyTuple_New((Py_ssize_t)schema->n_children);
    Py_INCREF(dictionary);
    for (int64_t i = 0; children && i < schema->n_children; ++i) {
        PyObject *child = fields_of(schema->children[i]);
        if (!child || PyTuple_SetItem(children, (Py_ssize_t)i, child)) Py_CLEAR(children);
    }
    if (schema->dictionary) {
        Py_DECREF(dictionary);
        dictionary = fields_of(schema->dictionary);
    }
    PyObject *metadata = children && dictionary ? metadata_dict(schema->metadata) : NULL;
    if (!metadata) {
        Py_XDECREF(children);
        Py_XDECREF(dictionary);
        return NULL;
    }
    PyObject *nullable = PyBool_FromLong((schema->flags & ARROW_FLAG_NULLABLE) != 0);
    return Py_BuildValue("(ssNNNN)", schema->name ? schema->name : "", schema->format, nullable, metadata,
                         children, dictionary);
}

PyObject *kpy_schema_fields(PyObject *module, PyObject *capsule)
{
    const struct ArrowSchema *schema = kpy_schema_borrow(kpy_module_state(module), capsule);
    return schema ? fields_of(schema) : NULL;
}

static int schema_from(PyObject *field, struct ArrowSchema *out)
{
    const char *name, *format;
    int nullable;
    PyObject *metadata, *children, *dictionary;

    memset(out, 0, sizeof *out);
    if (!PyArg_ParseTuple(field, "sspOO!O", &name, &format, &nullable, &metadata, &PyTuple_Type, &children,
                          &dictionary))
        return -1;
    if (kpy_schema_init(out, format, name, PyTuple_Size(children))) return -1;
    out->flags = nullable ? ARROW_FLAG_NULLABLE : 0;
    if (metadata_set(out, metadata)) goto fail;
    for (int64_t i = 0; i < out->n_children; ++i) {
        if (schema_from(PyTuple_GetItem(children, (Py_ssize_t)i), out->children[i])) goto fail;
    }
    if (dictionary == Py_None) return 0;
    out->dictionary = kpy_calloc(1, sizeof *out->dictionary);
    if (!out->dictionary) {
        PyErr_NoMemory();
        goto fail;
    }
    if (schema_from(dictionary, out->dictionary)) goto fail;
    return 0;
fail:
    kpy_schema_release(out);
    return -1;
}

PyObject *kpy_schema_make(PyObject *module, PyObject *field)
{
    (void)module;
    struct ArrowSchema schema;
    if (schema_from(field, &schema)) return NULL;
    return kpy_schema_capsule(&schema);
}
