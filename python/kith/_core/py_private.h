/* What the files of the Python extension share.
 *
 * The extension is written against the limited API of CPython 3.11, so that one binary serves every later
 * version. It sees kith.h and nothing below it. Names that cross its files begin with `kpy_`.
 *
 * A function that returns a PyObject returns NULL with an exception set; one that returns int returns 0,
 * or -1 with an exception set. All memory comes from py_memory.c.
 */
#ifndef KPY_PRIVATE_H
#define KPY_PRIVATE_H

#define PY_SSIZE_T_CLEAN
#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030B0000
#endif
#include <Python.h>
#include <stdbool.h>
#include <stdint.h>

#include "kith.h"

/* ---- memory ---- */

void *kpy_malloc(size_t bytes);
void *kpy_calloc(size_t count, size_t bytes); /* zeroed */
void *kpy_realloc(void *memory, size_t bytes);
void kpy_free(void *memory);
/** Puts a new reference into a slot and gives the old one back. */
void kpy_set(PyObject **slot, PyObject *value);

/* ---- the module ---- */

struct kpy_state {
    PyObject *kinds;  /* dict: type -> int, what kpy_kind() learned */
    PyObject *values; /* the module kith._values, imported when first needed */
    PyObject *errors; /* the module kith.errors, imported when a call first fails */
    PyTypeObject *database_type;
    PyTypeObject *table_type;
    PyTypeObject *options_type;
    PyTypeObject *searcher_type;
    PyTypeObject *expr_type;
};

struct kpy_state *kpy_module_state(PyObject *module);
/** The state of the module that made an object's type; only for types that Python code does not subclass. */
struct kpy_state *kpy_object_state(void *object);
PyObject *kpy_values(struct kpy_state *state); /* borrowed */

/** Raises the exception of kith.errors that belongs to the status. Always returns NULL. */
PyObject *kpy_raise(struct kpy_state *state, const kith_error *error);
/** The same for failures found here; `format` as PyUnicode_FromFormat takes it. Always returns NULL. */
PyObject *kpy_fail(struct kpy_state *state, kith_status status, const char *format, ...);
/** After a call that may have run Python code: an exception of that code goes first. */
PyObject *kpy_raise_after(struct kpy_state *state, const kith_error *error);

/** Makes of the exception that is set one that names the column and row (-1: not known) where it arose. */
void kpy_place(struct kpy_state *state, const char *column, Py_ssize_t row);

/* A progress callback, called by the core in the calling thread while the interpreter is given up. It looks
 * for Ctrl-C each time, also when the user asked for no progress. */
struct kpy_progress {
    PyThreadState *saved;
    PyObject *callback; /* borrowed; NULL or None: only Ctrl-C is looked for */
};
int kpy_progress(const kith_progress *progress, void *user);

/* ---- Arrow schemas ---- */

void kpy_schema_release(struct ArrowSchema *schema); /* a released or zeroed schema is harmless */
int kpy_schema_init(struct ArrowSchema *out, const char *format, const char *name, int64_t children);
int kpy_schema_copy(const struct ArrowSchema *from, struct ArrowSchema *out);
/** The schema that is built from Python values: views are written as the plain types they are stored in. */
int kpy_schema_copy_plain(const struct ArrowSchema *from, struct ArrowSchema *out);
bool kpy_schema_same(const struct ArrowSchema *a, const struct ArrowSchema *b); /* types and names */
const struct ArrowSchema *kpy_schema_child(const struct ArrowSchema *schema, const char *name);
PyObject *kpy_schema_capsule(struct ArrowSchema *schema); /* takes it over, on failure too */
struct ArrowSchema *kpy_schema_borrow(struct kpy_state *state, PyObject *capsule);
PyObject *kpy_schema_fields(PyObject *module, PyObject *capsule);
PyObject *kpy_schema_make(PyObject *module, PyObject *field);

/* ---- Arrow arrays and streams ---- */

/** A new array with `buffers` empty buffers and `children` released children. */
int kpy_array_init(struct ArrowArray *out, int64_t length, int64_t buffers, int64_t children);
int kpy_array_buffer(struct ArrowArray *array, int at, size_t bytes, void **out); /* zeroed */
void kpy_array_release(struct ArrowArray *array);

PyObject *kpy_stream_capsule(struct ArrowArrayStream *stream); /* takes it over, on failure too */
int kpy_stream_take(struct kpy_state *state, PyObject *capsule, struct ArrowArrayStream *out);
/** Ties `owner` to a stream: it lives until the stream is released. */
int kpy_stream_own(struct ArrowArrayStream *stream, PyObject *owner);
/** A stream of one array; takes both over, on failure too. */
int kpy_stream_of(struct ArrowSchema *schema, struct ArrowArray *array, struct ArrowArrayStream *out);
PyObject *kpy_array_stream(PyObject *module, PyObject *args);
PyObject *kpy_chain_stream(PyObject *module, PyObject *iterator);
PyObject *kpy_empty_stream(PyObject *module, PyObject *schema);
PyObject *kpy_stream_schema(PyObject *module, PyObject *stream);

/* ---- Python -> Arrow ---- */

enum kpy_kind {
    KPY_NULL = 0,
    KPY_BOOL,
    KPY_INT,
    KPY_FLOAT,
    KPY_STR,
    KPY_BYTES,
    KPY_DATE,
    KPY_TIME,
    KPY_DATETIME,
    KPY_DURATION,
    KPY_DECIMAL,
    KPY_LIST, /* list, tuple and other sequences */
    KPY_DICT,
    KPY_ARRAY, /* offers the buffer protocol with one dimension or more */
    KPY_OTHER  /* kith._values.plain() makes something of it, or refuses */
};

/** The kind of a value, with in bits 8.. the Arrow format letter of a numpy scalar. -1 with an exception. */
int kpy_kind(struct kpy_state *state, PyObject *value);

/* Values of one column: strong references, so that code run during the conversion cannot free them. */
struct kpy_cells {
    PyObject **items;
    Py_ssize_t count;
};
int kpy_cells_init(struct kpy_cells *cells, Py_ssize_t count); /* all NULL, which means null */
void kpy_cells_release(struct kpy_cells *cells);

struct kpy_inference {
    struct kpy_state *state;
    bool loose; /* vectors become lists of any length: later batches may differ */
};
/** The Arrow type that fits all cells, as the field `name`. */
int kpy_infer(const struct kpy_inference *how, const char *name, const struct kpy_cells *cells,
              struct ArrowSchema *out);

/** The cells as an array of the field's type. Cells of other types are replaced by plain values. */
int kpy_build(struct kpy_state *state, const struct ArrowSchema *field, struct kpy_cells *cells,
              struct ArrowArray *out);
/** A whole column from one buffer: 1-D for numbers, 2-D for vectors. Returns 1 when the type asks for cells.
 */
int kpy_build_buffer(struct kpy_state *state, const struct ArrowSchema *field, const Py_buffer *view,
                     struct ArrowArray *out);
int kpy_infer_buffer(const struct kpy_inference *how, const char *name, const Py_buffer *view,
                     struct ArrowSchema *out);

/** Whether every row has the length of a fixed-size list field; true for other fields. */
bool kpy_fits_vectors(const struct ArrowSchema *field, const struct kpy_cells *cells);

PyObject *kpy_rows_stream(PyObject *module, PyObject *args, PyObject *keywords);
PyObject *kpy_columns_stream(PyObject *module, PyObject *args, PyObject *keywords);

/* ---- numbers ---- */

/** The Arrow letter of a buffer's numbers ("c C s S i I l L e f g", or "b" for one byte a truth value);
 *  0 when they are something else. */
char kpy_number_format(const Py_buffer *view);
size_t kpy_number_bytes(char format);
bool kpy_is_number(const char *format);
bool kpy_is_vector_name(const char *name);
double kpy_number_get(const void *from, char format);
/** Copies `count` numbers between formats; integers that do not fit give -1 and OverflowError. */
int kpy_numbers_copy(void *to, char to_format, const void *from, char from_format, Py_ssize_t count);
/** Stores a Python number; returns -1 with TypeError or OverflowError. */
int kpy_number_put(void *to, char format, PyObject *value);
float kpy_half_to_float(uint16_t half);
uint16_t kpy_float_to_half(double value);
/** A C-contiguous view of `value` or a copy of it: 0, or -1. */
int kpy_buffer(PyObject *value, Py_buffer *view);

/* ---- Arrow -> Python ---- */

struct kpy_batches { /* what a stream gave: read without the interpreter */
    struct ArrowSchema schema;
    struct ArrowArray *arrays;
    size_t count;
    size_t room;
};
/** Reads the stream to its end and releases it. Called without the interpreter. */
kith_status kpy_batches_read(struct ArrowArrayStream *stream, struct kpy_batches *out, kith_error *error);
void kpy_batches_release(struct kpy_batches *batches);
PyObject *kpy_batches_rows(struct kpy_state *state, const struct kpy_batches *batches);
PyObject *kpy_stream_rows(PyObject *module, PyObject *capsule);
PyObject *kpy_stream_columns(PyObject *module, PyObject *capsule);

/* ---- the types ---- */

struct kpy_database {
    PyObject_HEAD kith_database *handle;
};
struct kpy_table {
    PyObject_HEAD kith_table *handle;
    PyObject *database; /* tables are closed before their database */
};

/* The numbers of one search, which Python code sets one by one; see py_options.c. */
struct kpy_options {
    PyObject_HEAD PyObject *table; /* a kpy_table */
    PyObject *column;              /* str or None */
    PyObject *columns;             /* tuple of str, or None for all */
    PyObject *expressions;         /* tuple of str or None, one a column; or None */
    PyObject *where;               /* None, a str of SQL, or a kith._core.Expr */
    PyObject *order;               /* None, or a tuple as of Table.scan() */
    unsigned int k, offset, nprobes, minimum_nprobes, maximum_nprobes, refine_factor, ef, threads;
    int metric;
    float recall, lower, upper;
    char exact, fast_search, has_lower, has_upper, with_row_id, many, postfilter;
    /* the vectors: a view of the user's buffer, or a copy */
    Py_buffer view;
    char has_view;
    void *copied;
    const void *vectors;
    kith_element element;
    unsigned int dim;
    size_t vector_count;
    /* what the last search did */
    kith_search_stats stats;
    char ran;
};

/* A kith_query made from options, with what it points to, and where its search says what it did. */
struct kpy_query {
    kith_query query;
    const char **names, **expressions;
    PyObject *where, *by; /* references: another thread may set others while the search runs */
    kith_order *order;
    kith_search_stats stats;
};
int kpy_query_init(struct kpy_state *state, struct kpy_options *options, struct kpy_query *out);
void kpy_query_release(struct kpy_query *query);
const char *kpy_text_or_null(PyObject *text); /* NULL for None; NULL with an exception for no text */
/** The text of a str; NULL with an exception for another object and for a text with a zero character, where
 * the library would see an end. `what` is named then. */
const char *kpy_text(struct kpy_state *state, PyObject *text, const char *what);
/** Borrows the texts of a tuple; no array for None. Where there may be gaps, None in it is NULL. The array is
 * freed with kpy_free(), on failure too. */
int kpy_texts(struct kpy_state *state, PyObject *tuple, bool gaps, const char ***out, size_t *count);
/** What a where is: nothing (None), SQL (a str) or a tree (a kith._core.Expr); borrowed. */
struct kpy_where {
    const char *text;
    const kith_expr *filter;
};
int kpy_where(struct kpy_state *state, PyObject *where, struct kpy_where *out);

/** Numbers of a query: a borrowed view or a converted copy. */
struct kpy_vectors {
    Py_buffer view;
    bool has_view;
    void *copied;
    const void *data;
    kith_element element;
    unsigned int dim;
    size_t count;
    bool many; /* given as a matrix or a list of vectors */
};
int kpy_vectors_init(struct kpy_state *state, PyObject *value, struct kpy_vectors *out);
void kpy_vectors_release(struct kpy_vectors *vectors);
PyObject *kpy_floats(PyObject *module, PyObject *args);

/* What of a scan Python gave, and what has to be freed after it. */
struct kpy_scan {
    kith_scan options;
    const char **names, **expressions;
    kith_order *order;
};
/** Begins a scan of columns (a tuple or None) that are expressions (None, or a tuple of as many). Released on
 * failure, too. */
int kpy_scan_init(struct kpy_state *state, PyObject *columns, PyObject *expressions, struct kpy_scan *out);
void kpy_scan_release(struct kpy_scan *scan);
/** Of (expression, descending, nulls first) each, or None; the array is freed with kpy_free(), on failure
 * too. */
int kpy_order(struct kpy_state *state, PyObject *tuple, kith_order **out, size_t *count);
/** A list of row ids; the array is freed with kpy_free(), on failure too. */
int kpy_row_ids(PyObject *list, uint64_t **out, size_t *count);
/** A stream that keeps its table. */
PyObject *kpy_table_stream(struct kpy_table *table, struct ArrowArrayStream *stream);
PyObject *kpy_table_delete(struct kpy_table *self, PyObject *where);
PyObject *kpy_table_delete_rows(struct kpy_table *self, PyObject *list);
PyObject *kpy_table_update(struct kpy_table *self, PyObject *args, PyObject *keywords);
PyObject *kpy_table_merge(struct kpy_table *self, PyObject *args, PyObject *keywords);
PyObject *kpy_table_get(struct kpy_table *self, PyObject *args);
PyObject *kpy_table_add_columns(struct kpy_table *self, PyObject *tuple);
PyObject *kpy_table_alter_columns(struct kpy_table *self, PyObject *tuple);
PyObject *kpy_table_drop_columns(struct kpy_table *self, PyObject *tuple);
PyObject *kpy_table_version(struct kpy_table *self, PyObject *unused);
PyObject *kpy_table_versions(struct kpy_table *self, PyObject *unused);
PyObject *kpy_table_checkout(struct kpy_table *self, PyObject *version);
PyObject *kpy_table_restore(struct kpy_table *self, PyObject *version);
PyObject *kpy_table_tags(struct kpy_table *self, PyObject *unused);
PyObject *kpy_table_set_tag(struct kpy_table *self, PyObject *args);
PyObject *kpy_table_optimize(struct kpy_table *self, PyObject *args, PyObject *keywords);

extern PyType_Spec kpy_database_spec;
extern PyType_Spec kpy_table_spec;
extern PyType_Spec kpy_options_spec;
extern PyType_Spec kpy_searcher_spec;
extern PyType_Spec kpy_expr_spec;

PyMODINIT_FUNC PyInit__core(void);

PyObject *kpy_table_wrap(struct kpy_state *state, PyObject *database, kith_table *handle); /* takes it over */
PyObject *kpy_open(PyObject *module, PyObject *uri);
PyObject *kpy_search_rows(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *kpy_search_stream(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *kpy_search_explain(PyObject *module, PyObject *options);
PyObject *kpy_search_analyze(PyObject *module, PyObject *options);
PyObject *kpy_searcher_new(PyObject *module, PyObject *args);
PyObject *kpy_expr_sql(PyObject *module, PyObject *args);
PyObject *kpy_expr_json(PyObject *module, PyObject *text);
PyObject *kpy_expr_literal(PyObject *module, PyObject *value);
PyObject *kpy_expr_column(PyObject *module, PyObject *path);
PyObject *kpy_expr_call(PyObject *module, PyObject *args);

/* Freeing an object of a heap type: its memory, then the reference it holds on the type. */
void kpy_object_free(PyObject *self);

#endif
