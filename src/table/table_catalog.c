/* A database: a root folder whose sub-folders "<table>.kith" are tables.
 *
 * There is no catalog file: the folder is the list, so that a table can be copied, moved or removed with
 * the tools of the system, and two processes need not agree on anything but names. A folder without a
 * commit is a creation that did not finish; it is not listed. memory://name roots are shared within the
 * process and live until its end; each use opens a sub-root of the one tree.
 */
#define _GNU_SOURCE
#include <stdlib.h>

#include "table/table_private.h"

static const char table_suffix[] = ".kith";

struct kt_catalog {
    char *uri;
    struct kt_io *io;
    bool shared; /* `io` belongs to the process's named roots */
};

/* ---- memory://name */

struct named_root {
    char *name;
    struct kt_io *io;
    struct named_root *next;
};
static pthread_once_t roots_once = PTHREAD_ONCE_INIT;
static struct kt_lock roots_lock;
static struct named_root *roots; /* guarded by roots_lock; never shrinks */

static void roots_init(void)
{
    kt_lock_init(&roots_lock);
}

static void root_free(struct named_root *root)
{
    if (!root) return;
    kt_io_close(root->io);
    kt_free(root->name);
    kt_free(root);
}

static kith_status root_new(const char *name, struct named_root **out, kith_error *error)
{
    struct named_root *root = kt_alloc_zero(1, sizeof *root);
    if (!root) return kt_fail_memory(error, sizeof *root);
    root->name = kt_strdup(name);
    kith_status status =
        root->name ? kt_io_open_memory(&root->io, error) : kt_fail_memory(error, strlen(name));
    if (status)
        root_free(root);
    else
        *out = root;
    return status;
}

/* The root of that name, made outside the lock for the case that it is new. */
static kith_status named_root(const char *name, struct kt_io **out, kith_error *error)
{
    struct named_root *fresh = NULL;
    kith_status status = root_new(name, &fresh, error);
    if (status) return status;
    pthread_once(&roots_once, roots_init);
    kt_lock_take(&roots_lock);
    struct named_root *root = roots;
    while (root && strcmp(root->name, name) != 0) root = root->next;
    if (!root) {
        root = fresh;
        root->next = roots;
        roots = root;
        fresh = NULL;
    }
    kt_lock_give(&roots_lock);
    *out = root->io;
    root_free(fresh);
    return KITH_OK;
}

/* ---- opening */

static const char *without_prefix(const char *text, const char *prefix)
{
    size_t length = strlen(prefix);
    return strncmp(text, prefix, length) == 0 ? text + length : NULL;
}

/* The path of a local uri: "~" becomes the home folder, a relative path an absolute one. */
static kith_status local_path(const char *uri, char **out, kith_error *error)
{
    const char *path = without_prefix(uri, "file://");
    if (!path) path = uri;
    const char *home = getenv("HOME");
    struct kt_buffer text = { 0 };
    bool fits = true;
    if (path[0] == '~' && (path[1] == '/' || path[1] == '\0')) {
        if (!home)
            return kt_fail(error, KITH_INVALID,
                           "\"%s\": HOME is not set, so \"~\" means nothing; give the folder's full path",
                           uri);
        fits = kt_buffer_text(&text, "%s%s", home, path + 1);
    } else if (path[0] != '/') {
        char *here = realpath(".", NULL);
        fits = here && kt_buffer_text(&text, "%s/%s", here, path);
        free(here); /* realpath's own memory */
    } else {
        fits = kt_buffer_text(&text, "%s", path);
    }
    if (!fits) {
        kt_buffer_release(&text);
        return kt_fail_memory(error, strlen(uri));
    }
    while (text.size > 1 && text.data[text.size - 1] == '/') text.data[--text.size] = '\0';
    *out = (char *)text.data;
    return KITH_OK;
}

static kith_status open_root(struct kt_catalog *catalog, const char *uri, kith_error *error)
{
    const char *name = without_prefix(uri, "memory://");
    if (name) {
        catalog->uri = kt_strdup(uri);
        if (!catalog->uri) return kt_fail_memory(error, strlen(uri));
        catalog->shared = name[0] != '\0';
        return catalog->shared ? named_root(name, &catalog->io, error)
                               : kt_io_open_memory(&catalog->io, error);
    }
    if (strstr(uri, "://") && !without_prefix(uri, "file://"))
        return kt_fail(error, KITH_INVALID, "\"%s\": this version of Kith opens folders and \"memory://\"",
                       uri);
    kith_status status = local_path(uri, &catalog->uri, error);
    if (!status) status = kt_io_open_folder(catalog->uri, &catalog->io, error);
    if (!status && !kt_io_exists(catalog->io, "")) status = kt_io_mkdir(catalog->io, "", error);
    return status;
}

kith_status kt_catalog_open(const char *uri, struct kt_catalog **out, kith_error *error)
{
    if (!uri || !uri[0])
        return kt_fail(error, KITH_INVALID, "a database needs a place: a folder or \"memory://\"");
    struct kt_catalog *catalog = kt_alloc_zero(1, sizeof *catalog);
    if (!catalog) return kt_fail_memory(error, sizeof *catalog);
    kith_status status = open_root(catalog, uri, error);
    if (status) {
        kt_catalog_close(catalog);
        return status;
    }
    *out = catalog;
    return KITH_OK;
}

void kt_catalog_close(struct kt_catalog *catalog)
{
    if (!catalog) return;
    if (!catalog->shared) kt_io_close(catalog->io);
    kt_free(catalog->uri);
    kt_free(catalog);
}

const char *kt_catalog_uri(const struct kt_catalog *catalog)
{
    return catalog->uri;
}

struct kt_io *kt_catalog_io(const struct kt_catalog *catalog)
{
    return catalog->io;
}

/* ---- names */

static bool name_character(char c, bool first)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_') return true;
    return !first && (c == '-' || c == '.');
}

kith_status kt_table_name_check(const char *name, kith_error *error)
{
    enum { NAME_MAX_BYTES = 240 };
    size_t length = name ? strlen(name) : 0;
    bool good = length >= 1 && length <= NAME_MAX_BYTES;
    for (size_t i = 0; good && i < length; i++) good = name_character(name[i], i == 0);
    if (good) return KITH_OK;
    return kt_fail(error, KITH_INVALID,
                   "\"%.80s\" cannot name a table: letters, digits, '_', '-' and '.' are allowed (the first "
                   "a letter, digit or '_'), %d at most",
                   name ? name : "", NAME_MAX_BYTES);
}

void kt_table_folder(const char *name, char *to)
{
    size_t length = strlen(name);
    memcpy(to, name, length);
    memcpy(to + length, table_suffix, sizeof table_suffix);
}

/* Whether the folder is that of a table: not of a creation that did not finish, which the next one takes
 * over, nor of one that was dropped and is yet to be removed. KITH_OK and KITH_CORRUPT, which says so when
 * opened, are yes; KITH_NOT_FOUND is no. */
static kith_status look_at_table(struct kt_io *io, const char *folder, kith_error *error)
{
    struct kt_store *store = NULL;
    kith_status status = kt_store_open(io, folder, &store, error);
    if (!status) kt_store_close(store);
    return status;
}

/* The length of the table name that `folder` stands for, or 0. */
static size_t table_name_length(const char *folder)
{
    size_t length = strlen(folder), suffix = sizeof table_suffix - 1;
    if (length <= suffix || length > 250 || strcmp(folder + length - suffix, table_suffix) != 0) return 0;
    return name_character(folder[0], true) ? length - suffix : 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

kith_status kt_catalog_list(struct kt_catalog *catalog, const char *after, size_t limit,
                            struct kt_io_names *out, kith_error *error)
{
    struct kt_io_names folders = { 0 };
    kith_status status = kt_io_list(catalog->io, "", &folders, error);
    if (status == KITH_NOT_FOUND) status = KITH_OK;
    if (status) return status;

    /* "a.kith" sorts after "a-b.kith", "a" before "a-b": cut the suffix first, sort, then page. */
    size_t kept = 0;
    for (size_t i = 0; i < folders.count; i++) {
        char *folder = folders.names[i];
        size_t length = table_name_length(folder);
        kith_error ignored; /* what cannot be read now is listed: opening it will tell */
        if (length && look_at_table(catalog->io, folder, &ignored) != KITH_NOT_FOUND) {
            folder[length] = '\0';
            folders.names[i] = folders.names[kept];
            folders.names[kept++] = folder;
        }
    }
    if (kept) qsort(folders.names, kept, sizeof *folders.names, compare_names);
    size_t begin = 0;
    while (after && begin < kept && strcmp(folders.names[begin], after) <= 0) begin++;
    size_t end = limit && kept - begin > limit ? begin + limit : kept;
    for (size_t i = 0; i < folders.count; i++) {
        if (i < begin || i >= end)
            kt_free(folders.names[i]);
        else
            folders.names[i - begin] = folders.names[i];
    }
    folders.count = end - begin;
    *out = folders;
    return KITH_OK;
}

kith_status kt_catalog_drop(struct kt_catalog *catalog, const char *name, kith_error *error)
{
    char folder[300];
    struct kt_store *store = NULL;
    kith_status status = kt_table_name_check(name, error);
    if (status) return status;
    kt_table_folder(name, folder);
    status = kt_store_open(catalog->io, folder, &store, error);
    if (status == KITH_NOT_FOUND)
        return kt_fail(error, KITH_NOT_FOUND, "Table '%s' was not found in %s", name, catalog->uri);
    if (!status) status = kt_store_drop(store, catalog->io, folder, error);
    kt_store_close(store);
    return status;
}

kith_status kt_catalog_rename(struct kt_catalog *catalog, const char *from, const char *to, kith_error *error)
{
    char folder_from[300], folder_to[300];
    kith_status status = kt_table_name_check(from, error);
    if (!status) status = kt_table_name_check(to, error);
    if (status) return status;
    kt_table_folder(from, folder_from);
    kt_table_folder(to, folder_to);
    status = look_at_table(catalog->io, folder_from, error);
    if (status == KITH_NOT_FOUND)
        return kt_fail(error, KITH_NOT_FOUND, "Table '%s' was not found in %s", from, catalog->uri);
    if (status && status != KITH_CORRUPT) return status;
    status = kt_io_rename(catalog->io, folder_from, folder_to, error);
    if (status == KITH_EXISTS)
        return kt_fail(error, KITH_EXISTS, "Table '%s' cannot be renamed: '%s' already exists", from, to);
    return status;
}

kith_status kt_catalog_repair(struct kt_catalog *catalog, const char *name, struct kt_buffer *words,
                              kith_error *error)
{
    char folder[300];
    struct kt_store *store = NULL;
    kith_status status = kt_table_name_check(name, error);
    if (status) return status;
    kt_table_folder(name, folder);
    status = kt_store_open(catalog->io, folder, &store, error);
    if (status == KITH_NOT_FOUND)
        return kt_fail(error, KITH_NOT_FOUND, "Table '%s' was not found in %s", name, catalog->uri);
    if (!status) status = kt_store_repair(store, words, error);
    kt_store_close(store);
    return status;
}
