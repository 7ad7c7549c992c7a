/* kith._core.Options and the searches that run with them.
 *
 * A query builder sets one number after another and then asks for its answer once. So the numbers live in a C
 * struct that the builder's class inherits: setting one is a store, and the search is one call that needs no
 * arguments parsed. kith.query checks what users give; here the fields are trusted to be in range.
 *
 * While a search runs it asks now and then whether Ctrl-C was pressed, from 40 ms on: a shorter one never
 * takes the interpreter back for that. A timeout comes as a second argument, in microseconds.
 *
 * A search reads all its batches without the interpreter, so the only Python work is making the result. What
 * it did is always counted: that costs less than asking whether it should.
 */
#include <stddef.h>
#include <string.h>

#include "py_private.h"

#include <structmember.h> // wants Python.h before it

/* ---- the object ---- */

static PyObject *options_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    (void)args, (void)keywords;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    struct kpy_options *self = (struct kpy_options *)allocate(type, 0); // zeroed: every field at its default
    if (self) self->k = 10;
    return (PyObject *)self;
}

static void vectors_clear(struct kpy_options *self)
{
    if (self->has_view) PyBuffer_Release(&self->view);
    self->has_view = 0;
    kpy_free(self->copied);
    self->copied = NULL;
    self->vectors = NULL;
}

static int options_traverse(struct kpy_options *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE((PyObject *)self));
    Py_VISIT(self->table);
    Py_VISIT(self->column);
    Py_VISIT(self->columns);
    Py_VISIT(self->expressions);
    Py_VISIT(self->where);
    Py_VISIT(self->order);
    return 0;
}

static int options_clear(struct kpy_options *self)
{
    Py_CLEAR(self->table);
    Py_CLEAR(self->column);
    Py_CLEAR(self->columns);
    Py_CLEAR(self->expressions);
    Py_CLEAR(self->where);
    Py_CLEAR(self->order);
    return 0;
}

static void options_dealloc(struct kpy_options *self)
{
    PyObject_GC_UnTrack(self);
    vectors_clear(self);
    options_clear(self);
    kpy_object_free((PyObject *)self);
}

#define MEMBER(name, kind, flags, text)                                                                      \
    {                                                                                                        \
        "_" #name, kind, offsetof(struct kpy_options, name), flags, text                                     \
    }
static PyMemberDef members[] = {
    MEMBER(table, T_OBJECT, 0, "the kith._core.Table"),
    MEMBER(column, T_OBJECT, 0, "the vector column, or None"),
    MEMBER(columns, T_OBJECT, 0, "a tuple of names, or None for all"),
    MEMBER(expressions, T_OBJECT, 0, "a tuple of what each column is: SQL, or None for the column itself"),
    MEMBER(where, T_OBJECT, 0, "None, a str of SQL, or a kith._core.Expr"),
    MEMBER(order, T_OBJECT, 0, "None, or a tuple of (expression, descending, nulls first)"),
    MEMBER(k, T_UINT, 0, "rows a vector"),
    MEMBER(offset, T_UINT, 0, NULL),
    MEMBER(nprobes, T_UINT, 0, NULL),
    MEMBER(minimum_nprobes, T_UINT, 0, NULL),
    MEMBER(maximum_nprobes, T_UINT, 0, NULL),
    MEMBER(refine_factor, T_UINT, 0, NULL),
    MEMBER(ef, T_UINT, 0, NULL),
    MEMBER(threads, T_UINT, 0, NULL),
    MEMBER(metric, T_INT, 0, "a kith_metric"),
    MEMBER(recall, T_FLOAT, 0, NULL),
    MEMBER(lower, T_FLOAT, 0, NULL),
    MEMBER(upper, T_FLOAT, 0, NULL),
    MEMBER(exact, T_BOOL, 0, NULL),
    MEMBER(fast_search, T_BOOL, 0, NULL),
    MEMBER(has_lower, T_BOOL, 0, NULL),
    MEMBER(has_upper, T_BOOL, 0, NULL),
    MEMBER(with_row_id, T_BOOL, 0, NULL),
    MEMBER(postfilter, T_BOOL, 0, NULL),
    MEMBER(many, T_BOOL, READONLY, "whether a matrix was given"),
    MEMBER(dim, T_UINT, 0, "numbers in a vector"),
    { NULL, 0, 0, 0, NULL },
};
#undef MEMBER

/* The module's state is found through the table: `self` is of a subclass, whose type does not know it. */
static PyObject *options_set_vectors(struct kpy_options *self, PyObject *args)
{
    PyObject *table, *value;
    if (!PyArg_ParseTuple(args, "OO", &table, &value)) return NULL;
    struct kpy_state *state = kpy_object_state(table);
    struct kpy_vectors vectors;
    if (!state || kpy_vectors_init(state, value, &vectors)) return NULL;
    if (!vectors.count) {
        kpy_vectors_release(&vectors);
        return kpy_fail(state, KITH_INVALID, "the matrix of queries is empty: it has no rows");
    }
    vectors_clear(self);
    kpy_set(&self->table, Py_NewRef(table));
    self->view = vectors.view;
    self->has_view = vectors.has_view;
    self->copied = vectors.copied;
    self->vectors = vectors.data;
    self->element = vectors.element;
    self->dim = vectors.dim;
    self->vector_count = vectors.count;
    self->many = vectors.many;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    { "set_vectors", (PyCFunction)(void (*)(void))options_set_vectors, METH_VARARGS,
      "set_vectors(table, value): what is searched, and for what." },
    { NULL, NULL, 0, NULL },
};

static PyObject *none_or_real(bool known, double value)
{
    return known ? PyFloat_FromDouble(value) : Py_NewRef(Py_None);
}

/* Where nothing was calibrated the library says 0, which is no recall to expect: None says so. */
static PyObject *options_stats(struct kpy_options *self, void *unused)
{
    (void)unused;
    if (!self->ran) Py_RETURN_NONE;
    const kith_search_stats *stats = &self->stats;
    bool calibrated = stats->calibrated_with > 0;
    return Py_BuildValue("{sKsKsKsKsKsNszsIsdsKsKsd}", "lists", (unsigned long long)stats->lists, "codes",
                         (unsigned long long)stats->codes, "refined", (unsigned long long)stats->refined,
                         "rows_read", (unsigned long long)stats->rows_read, "bytes",
                         (unsigned long long)stats->bytes, "expected_recall",
                         none_or_real(stats->expected_recall > 0, (double)stats->expected_recall),
                         "calibrated_on", calibrated ? stats->on_queries ? "queries" : "rows" : NULL,
                         "calibrated_with", (unsigned int)stats->calibrated_with, "seconds", stats->seconds,
                         "matches", (unsigned long long)stats->matches, "lists_skipped",
                         (unsigned long long)stats->lists_skipped, "filter_seconds", stats->filter_seconds);
}

static PyGetSetDef properties[] = {
    { "stats", (getter)(void (*)(void))options_stats, NULL, NULL, NULL },
    { NULL, NULL, NULL, NULL, NULL },
};

static PyType_Slot slots[] = {
    { Py_tp_new, (void *)options_new },
    { Py_tp_dealloc, (void *)options_dealloc },
    { Py_tp_traverse, (void *)options_traverse },
    { Py_tp_clear, (void *)options_clear },
    { Py_tp_members, members },
    { Py_tp_methods, methods },
    { Py_tp_getset, properties },
    { Py_tp_doc, "What a search is run with." },
    { 0, NULL },
};

PyType_Spec kpy_options_spec = {
    .name = "kith._core.Options",
    .basicsize = sizeof(struct kpy_options),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};

/* ---- the query ---- */

void kpy_query_release(struct kpy_query *query)
{
    kpy_free(query->names);
    kpy_free(query->expressions);
    kpy_free(query->order);
    Py_XDECREF(query->where);
    Py_XDECREF(query->by);
    query->names = query->expressions = NULL;
    query->order = NULL;
    query->where = query->by = NULL;
}

static int query_columns(struct kpy_state *state, struct kpy_options *options, struct kpy_query *out)
{
    size_t expressions = 0;
    kith_query *query = &out->query;
    if (!options->columns || options->columns == Py_None) return 0;
    if (kpy_texts(state, options->columns, false, &out->names, &query->column_count) ||
        kpy_texts(state, options->expressions ? options->expressions : Py_None, true, &out->expressions,
                  &expressions))
        return -1;
    if (out->expressions && expressions != query->column_count) {
        kpy_fail(state, KITH_INVALID, "%zu expressions are given for %zu columns", expressions,
                 query->column_count);
        return -1;
    }
    query->no_columns = query->column_count == 0;
    query->columns = query->no_columns ? NULL : out->names;
    query->expressions = query->no_columns ? NULL : out->expressions;
    return 0;
}

static int query_filter(struct kpy_state *state, struct kpy_options *options, struct kpy_query *out)
{
    struct kpy_where where;
    out->where = Py_NewRef(options->where ? options->where : Py_None);
    if (kpy_where(state, out->where, &where)) return -1;
    out->query.where = where.text;
    out->query.filter = where.filter;
    out->query.postfilter = options->postfilter;
    return 0;
}

static int query_order(struct kpy_state *state, struct kpy_options *options, struct kpy_query *out)
{
    out->by = Py_NewRef(options->order ? options->order : Py_None);
    int failed = kpy_order(state, out->by, &out->order, &out->query.order_count);
    out->query.order_by = out->order;
    return failed;
}

int kpy_query_init(struct kpy_state *state, struct kpy_options *options, struct kpy_query *out)
{
    out->names = out->expressions = NULL;
    out->where = out->by = NULL;
    out->order = NULL;
    out->stats = KITH_INIT(kith_search_stats);
    if (!options->table || Py_TYPE(options->table) != state->table_type) {
        kpy_fail(state, KITH_INVALID, "the search has no table");
        return -1;
    }
    out->query = (kith_query){
        .struct_size = sizeof(kith_query),
        .column = kpy_text_or_null(options->column),
        .vectors = options->vectors,
        .element = options->element,
        .dim = options->dim,
        .vector_count = options->vector_count,
        .k = options->k,
        .offset = options->offset,
        .metric = (kith_metric)options->metric,
        .nprobes = options->nprobes,
        .minimum_nprobes = options->minimum_nprobes,
        .maximum_nprobes = options->maximum_nprobes,
        .refine_factor = options->refine_factor,
        .ef = options->ef,
        .recall = options->recall,
        .exact = options->exact,
        .fast_search = options->fast_search,
        .has_lower = options->has_lower,
        .has_upper = options->has_upper,
        .lower = options->lower,
        .upper = options->upper,
        .with_row_id = options->with_row_id,
        .threads = options->threads,
        .stats = &out->stats,
    };
    if (PyErr_Occurred() || query_columns(state, options, out) || query_filter(state, options, out) ||
        query_order(state, options, out)) {
        kpy_query_release(out);
        return -1;
    }
    return 0;
}

static struct kpy_options *checked(struct kpy_state *state, PyObject *object)
{
    if (PyObject_TypeCheck(object, state->options_type)) return (struct kpy_options *)object;
    PyErr_SetString(PyExc_TypeError, "a kith._core.Options is wanted");
    return NULL;
}

/* Two threads may run one builder: what a search did is kept when it is over and the interpreter is ours. */
static void keep_stats(struct kpy_options *options, const struct kpy_query *query)
{
    options->stats = query->stats;
    options->ran = 1;
}

static kith_table *handle_of(const struct kpy_options *options)
{
    return ((struct kpy_table *)options->table)->handle;
}

/* ---- running it ---- */

/* Of (options) or (options, timeout_us): the query of the first, with the second. */
static struct kpy_options *begin(struct kpy_state *state, PyObject *const *args, Py_ssize_t count,
                                 struct kpy_query *query, struct kpy_progress *progress)
{
    struct kpy_options *options = count ? checked(state, args[0]) : NULL;
    if (!count) PyErr_SetString(PyExc_TypeError, "a kith._core.Options is wanted");
    long long timeout_us = options && count > 1 ? PyLong_AsLongLong(args[1]) : 0;
    if (!options || PyErr_Occurred() || kpy_query_init(state, options, query)) return NULL;
    query->query.timeout_us = timeout_us;
    query->query.progress = kpy_progress;
    query->query.progress_user = progress;
    return options;
}

PyObject *kpy_search_rows(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    struct kpy_state *state = kpy_module_state(module);
    struct kpy_progress progress = { 0 };
    struct kpy_query query;
    struct kpy_options *options = begin(state, args, count, &query, &progress);
    struct kpy_batches batches = { 0 };
    struct ArrowArrayStream stream;
    kith_error error = { 0 };
    if (!options) return NULL;
    kith_table *table = handle_of(options);
    progress.saved = PyEval_SaveThread();
    kith_status status = kith_search(table, &query.query, &stream, &error);
    if (!status) status = kpy_batches_read(&stream, &batches, &error);
    PyEval_RestoreThread(progress.saved);
    if (!status) keep_stats(options, &query);
    PyObject *rows = status ? kpy_raise_after(state, &error) : kpy_batches_rows(state, &batches);
    kpy_batches_release(&batches);
    kpy_query_release(&query);
    return rows;
}

PyObject *kpy_search_stream(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    struct kpy_state *state = kpy_module_state(module);
    struct kpy_progress progress = { 0 };
    struct kpy_query query;
    struct kpy_options *options = begin(state, args, count, &query, &progress);
    struct ArrowArrayStream stream;
    kith_error error = { 0 };
    if (!options) return NULL;
    kith_table *table = handle_of(options);
    progress.saved = PyEval_SaveThread();
    kith_status status = kith_search(table, &query.query, &stream, &error);
    PyEval_RestoreThread(progress.saved);
    kpy_query_release(&query);
    if (status) return kpy_raise_after(state, &error);
    keep_stats(options, &query);
    return kpy_stream_own(&stream, options->table) ? NULL : kpy_stream_capsule(&stream);
}

/* kith_explain() or kith_analyze(), which also runs the search. */
typedef kith_status (*teller)(kith_table *table, const kith_query *query, char **out, kith_error *error);

static PyObject *tell(PyObject *module, PyObject *object, teller call)
{
    struct kpy_state *state = kpy_module_state(module);
    struct kpy_progress progress = { 0 };
    struct kpy_query query;
    struct kpy_options *options = begin(state, &object, 1, &query, &progress);
    char *text = NULL;
    kith_error error = { 0 };
    if (!options) return NULL;
    kith_table *table = handle_of(options);
    progress.saved = PyEval_SaveThread();
    kith_status status = call(table, &query.query, &text, &error);
    PyEval_RestoreThread(progress.saved);
    kpy_query_release(&query);
    if (status) return kpy_raise_after(state, &error);
    PyObject *result = PyUnicode_FromString(text);
    kith_text_free(text);
    return result;
}

PyObject *kpy_search_explain(PyObject *module, PyObject *object)
{
    return tell(module, object, kith_explain);
}

PyObject *kpy_search_analyze(PyObject *module, PyObject *object)
{
    return tell(module, object, kith_analyze);
}
