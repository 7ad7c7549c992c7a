/* The methods of kith._core.Table about its versions: which there are, which one is read, what they are
 * called.
 */
#include "py_private.h"

PyObject *kpy_table_version(struct kpy_table *self, PyObject *unused)
{
    uint64_t version = 0;
    kith_error error = { 0 };
    kith_status status;
    (void)unused;
    Py_BEGIN_ALLOW_THREADS status = kith_table_version(self->handle, &version, &error);
    Py_END_ALLOW_THREADS return status ? kpy_raise_after(kpy_object_state(self), &error)
                                       : PyLong_FromUnsignedLongLong(version);
}

PyObject *kpy_table_versions(struct kpy_table *self, PyObject *unused)
{
    kith_versions *versions = NULL;
    kith_error error = { 0 };
    kith_status status;
    (void)unused;
    Py_BEGIN_ALLOW_THREADS status = kith_table_versions(self->handle, &versions, &error);
    Py_END_ALLOW_THREADS if (status) return kpy_raise_after(kpy_object_state(self), &error);
    PyObject *list = PyList_New((Py_ssize_t)versions->count);
    for (size_t i = 0; list && i < versions->count; ++i) {
        const kith_version_info *one = &versions->versions[i];
        PyObject *item = Py_BuildValue("(KLKs)", (unsigned long long)one->version, (long long)one->time_us,
                                       (unsigned long long)one->rows, one->operation ? one->operation : "");
        if (!item || PyList_SetItem(list, (Py_ssize_t)i, item)) Py_CLEAR(list);
    }
    kith_versions_free(versions);
    return list;
}

PyObject *kpy_table_checkout(struct kpy_table *self, PyObject *version)
{
    unsigned long long number = version == Py_None ? 0 : PyLong_AsUnsignedLongLong(version);
    kith_error error = { 0 };
    kith_status status;
    if (PyErr_Occurred()) return NULL;
    Py_BEGIN_ALLOW_THREADS status = version == Py_None ? kith_table_checkout_latest(self->handle, &error)
                                                       : kith_table_checkout(self->handle, number, &error);
    Py_END_ALLOW_THREADS if (status) return kpy_raise_after(kpy_object_state(self), &error);
    Py_RETURN_NONE;
}

PyObject *kpy_table_restore(struct kpy_table *self, PyObject *version)
{
    unsigned long long number = PyLong_AsUnsignedLongLong(version);
    kith_changed changed = KITH_INIT(kith_changed);
    kith_error error = { 0 };
    kith_status status;
    if (PyErr_Occurred()) return NULL;
    Py_BEGIN_ALLOW_THREADS status = kith_table_restore(self->handle, number, &changed, &error);
    Py_END_ALLOW_THREADS if (status) return kpy_raise_after(kpy_object_state(self), &error);
    return PyLong_FromUnsignedLongLong(changed.version);
}

PyObject *kpy_table_tags(struct kpy_table *self, PyObject *unused)
{
    kith_tags *tags = NULL;
    kith_error error = { 0 };
    kith_status status;
    (void)unused;
    Py_BEGIN_ALLOW_THREADS status = kith_list_tags(self->handle, &tags, &error);
    Py_END_ALLOW_THREADS if (status) return kpy_raise_after(kpy_object_state(self), &error);
    PyObject *dict = PyDict_New();
    for (size_t i = 0; dict && i < tags->count; ++i) {
        PyObject *version = PyLong_FromUnsignedLongLong(tags->tags[i].version);
        if (!version || PyDict_SetItemString(dict, tags->tags[i].name, version)) Py_CLEAR(dict);
        Py_XDECREF(version);
    }
    kith_tags_free(tags);
    return dict;
}

PyObject *kpy_table_set_tag(struct kpy_table *self, PyObject *args)
{
    PyObject *name;
    unsigned long long version;
    int change;
    kith_error error = { 0 };
    kith_status status;
    if (!PyArg_ParseTuple(args, "OKi", &name, &version, &change)) return NULL;
    const char *text = kpy_text(kpy_object_state(self), name, "the name of a tag");
    if (!text) return NULL;
    Py_BEGIN_ALLOW_THREADS status =
        kith_set_tag(self->handle, text, version, (kith_tag_change)change, &error);
    Py_END_ALLOW_THREADS if (status) return kpy_raise_after(kpy_object_state(self), &error);
    Py_RETURN_NONE;
}

PyObject *kpy_table_optimize(struct kpy_table *self, PyObject *args, PyObject *keywords)
{
    static char *names[] = { "older_than_us", "orphans", "rewrite", "progress", NULL };
    kith_upkeep options = KITH_INIT(kith_upkeep);
    kith_upkeep_stats stats = KITH_INIT(kith_upkeep_stats);
    struct kpy_progress progress = { 0 };
    long long older_than_us;
    int orphans, rewrite;
    kith_error error = { 0 };
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "Lpp|O", names, &older_than_us, &orphans, &rewrite,
                                     &progress.callback))
        return NULL;
    options.older_than_us = older_than_us;
    options.orphans = orphans;
    options.rewrite = rewrite;
    options.progress = kpy_progress;
    options.progress_user = &progress;
    progress.saved = PyEval_SaveThread();
    kith_status status = kith_optimize(self->handle, &options, &stats, &error);
    PyEval_RestoreThread(progress.saved);
    if (status) return kpy_raise_after(kpy_object_state(self), &error);
    if (PyErr_Occurred()) return NULL;
    return Py_BuildValue(
        "{sKsKsKsKsKsK}", "versions_removed", (unsigned long long)stats.versions_removed, "files_removed",
        (unsigned long long)stats.files_removed, "bytes_removed", (unsigned long long)stats.bytes_removed,
        "fragments_removed", (unsigned long long)stats.fragments_removed, "fragments_added",
        (unsigned long long)stats.fragments_added, "rows_indexed", (unsigned long long)stats.rows_indexed);
}
