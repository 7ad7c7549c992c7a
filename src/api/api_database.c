/* Databases and tables: handles around the table room's, arguments checked, nothing decided.
 *
 * The handle types are the rooms' own structs under their public names: there is nothing to add to them.
 */
#include "api/api_private.h"
#include "kernels/kernels.h"
#include "query/query.h"

static struct kt_catalog *catalog_of(kith_database *database)
{
    return (struct kt_catalog *)database;
}

static struct kt_table *table_of(kith_table *table)
{
    return (struct kt_table *)table;
}

const char *kith_version(void)
{
    return KITH_VERSION_TEXT;
}

const char *kith_isa(void)
{
    return kt_kernels()->name;
}

kith_status kith_open(const char *uri, kith_database **out, kith_error *error)
{
    return kt_catalog_open(uri, (struct kt_catalog **)out, error);
}

void kith_close(kith_database *database)
{
    kt_catalog_close(catalog_of(database));
}

const char *kith_uri(const kith_database *database)
{
    return kt_catalog_uri((const struct kt_catalog *)database);
}

/* A kith_names and what it points to are one object with the list that storage gave. */
struct names {
    kith_names names; /* first: a kith_names * is a struct names * */
    struct kt_io_names owned;
};

kith_status kith_list_tables(kith_database *database, const char *after, size_t limit, kith_names **out,
                             kith_error *error)
{
    struct names *names = kt_alloc_zero(1, sizeof *names);
    if (!names) return kt_fail_memory(error, sizeof *names);
    kith_status status = kt_catalog_list(catalog_of(database), after, limit, &names->owned, error);
    if (status) {
        kt_free(names);
        return status;
    }
    names->names.count = names->owned.count;
    names->names.names = (const char *const *)names->owned.names;
    *out = &names->names;
    return KITH_OK;
}

void kith_names_free(kith_names *names)
{
    if (!names) return;
    struct names *owner = (struct names *)names;
    kt_io_names_release(&owner->owned);
    kt_free(owner);
}

kith_status kith_drop_table(kith_database *database, const char *name, kith_error *error)
{
    return kt_catalog_drop(catalog_of(database), name, error);
}

kith_status kith_rename_table(kith_database *database, const char *from, const char *to, kith_error *error)
{
    return kt_catalog_rename(catalog_of(database), from, to, error);
}

kith_status kith_create_table(kith_database *database, const char *name, struct ArrowArrayStream *data,
                              const kith_create *options, kith_table **out, kith_error *error)
{
    kith_create create;
    kith_status status = options ? kt_options_read("kith_create", options, offsetof(kith_create, exist_ok),
                                                   &create, sizeof create, error)
                                 : KITH_OK;
    if (!status && options) status = kt_write_check(&create.write, error);
    if (!status)
        return kt_create(catalog_of(database), name, data, options ? &create : NULL, (struct kt_table **)out,
                         error);
    kt_stream_drop(data);
    return status;
}

kith_status kith_open_table(kith_database *database, const char *name, kith_table **out, kith_error *error)
{
    return kt_table_open(catalog_of(database), name, 0, (struct kt_table **)out, error);
}

kith_status kith_open_table_version(kith_database *database, const char *name, uint64_t version,
                                    kith_table **out, kith_error *error)
{
    if (!version) return kt_fail(error, KITH_INVALID, "versions count from 1");
    return kt_table_open(catalog_of(database), name, version, (struct kt_table **)out, error);
}

void kith_table_close(kith_table *table)
{
    kt_table_free(table_of(table));
}

const char *kith_table_name(const kith_table *table)
{
    return kt_table_name((const struct kt_table *)table);
}

kith_status kith_append(kith_table *table, struct ArrowArrayStream *data, const kith_write *options,
                        uint64_t *version, kith_error *error)
{
    kith_write write;
    kith_status status = options ? kt_options_read("kith_write", options, offsetof(kith_write, bad_vectors),
                                                   &write, sizeof write, error)
                                 : KITH_OK;
    if (!status && options) status = kt_write_check(&write, error);
    if (!status) return kt_append(table_of(table), data, options ? &write : NULL, version, error);
    kt_stream_drop(data);
    return status;
}

kith_status kith_table_checkout(kith_table *table, uint64_t version, kith_error *error)
{
    return kt_table_checkout(table_of(table), version, error);
}

kith_status kith_table_checkout_latest(kith_table *table, kith_error *error)
{
    return kt_table_checkout_latest(table_of(table), error);
}

kith_status kith_create_index(kith_table *table, const kith_index *options, kith_error *error)
{
    kith_index index;
    kith_status status = options ? kt_options_read("kith_index", options, offsetof(kith_index, type), &index,
                                                   sizeof index, error)
                                 : KITH_OK;
    return status ? status : kt_table_create_index(table_of(table), options ? &index : NULL, error);
}

kith_status kith_drop_index(kith_table *table, const char *name, kith_error *error)
{
    if (!name) return kt_missing("the name of the index", error);
    return kt_table_drop_index(table_of(table), name, error);
}
