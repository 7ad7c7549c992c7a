/* Random access to an IPC file: everything about it is read and validated when it is opened, so that lending
 * a column is a binary search for the batch and a few ranges.
 *
 *   ... | footer (flatbuffer) | i32 its bytes | "ARROW1"
 *
 * Two things are made later, when they are first needed, because many opens never do: the values of a
 * dictionary, and a column of a compressed batch in plain form. Both are made without a lock and published by
 * compare-and-swap; a thread that lost throws its own away. Once there they stay until the file is closed:
 * what was lent points into them.
 */
#include <string.h>

#include "column/ipc_private.h"

enum { DICTIONARY_ID, DICTIONARY_DATA, DICTIONARY_DELTA };
enum { SHARED_MAX = 65536 }; /* columns times parts of dictionaries that they share: each pair takes memory */

struct file_batch {
    struct ipc_record record;
    _Atomic(struct ipc_loaded *) *loaded; /* one a column, for compressed batches; NULL for others */
};
struct file_part { /* a dictionary batch */
    struct ipc_record record;
    bool delta;
};
struct file_dictionary { /* one a dictionary field, in pre-order */
    int64_t id;
    struct kt_schema *schema;
    struct file_part *parts;
    uint32_t part_count;
    _Atomic(struct kt_batch *) values;
};
struct file_column {
    uint32_t node, dictionary; /* its first */
    uint32_t room;
};

struct kt_ipc_file {
    _Atomic uint32_t references;
    struct kt_view_file *view;
    struct kt_schema *schema;
    struct file_column *columns;
    struct file_batch *batches;
    uint64_t *begins; /* first row of each batch, and the end */
    uint32_t batch_count;
    struct file_dictionary *dictionaries;
    uint32_t dictionary_count;
};

/* ---- life ---- */

static void file_free(struct kt_ipc_file *file)
{
    uint32_t columns = file->schema ? file->schema->count : 0;
    for (uint32_t i = 0; i < file->batch_count; i++) {
        struct file_batch *batch = &file->batches[i];
        for (uint32_t k = 0; batch->loaded && k < columns; k++)
            kt_ipc_loaded_free(atomic_load_explicit(&batch->loaded[k], memory_order_relaxed));
        kt_free(batch->loaded);
        kt_ipc_record_release(&batch->record);
    }
    for (uint32_t i = 0; i < file->dictionary_count; i++) {
        struct file_dictionary *dictionary = &file->dictionaries[i];
        for (uint32_t k = 0; k < dictionary->part_count; k++)
            kt_ipc_record_release(&dictionary->parts[k].record);
        kt_free(dictionary->parts);
        kt_batch_release(atomic_load_explicit(&dictionary->values, memory_order_relaxed));
        kt_schema_release(dictionary->schema);
    }
    kt_free(file->batches);
    kt_free(file->begins);
    kt_free(file->dictionaries);
    kt_free(file->columns);
    kt_schema_release(file->schema);
    kt_view_close(file->view);
    kt_free(file);
}

struct kt_ipc_file *kt_ipc_share(struct kt_ipc_file *file)
{
    atomic_fetch_add_explicit(&file->references, 1, memory_order_relaxed);
    return file;
}

void kt_ipc_close(struct kt_ipc_file *file)
{
    if (file && atomic_fetch_sub_explicit(&file->references, 1, memory_order_acq_rel) == 1) file_free(file);
}

/* ---- opening ---- */

static kith_status damaged(const struct kt_ipc_file *file, const char *what, kith_error *error)
{
    return kt_fail(error, KITH_CORRUPT, "%s is not a whole Arrow file: %s", kt_view_name(file->view), what);
}

/* Opens the message of a block; `*end` is where the last one ended. */
static kith_status open_block(struct kt_ipc_file *file, const struct ipc_footer *footer,
                              struct kt_flatbuf_vector blocks, uint32_t i, uint64_t *end, int kind,
                              struct ipc_message *message, struct ipc_range *body, kith_error *error)
{
    const uint8_t *bytes;
    struct ipc_block block;
    const char *name = kt_view_name(file->view);
    kith_status status = kt_ipc_block(footer, blocks, i, end, name, &block, error);
    if (!status) status = kt_view(file->view, block.metadata.at, block.metadata.size, &bytes, error);
    if (!status) status = kt_ipc_block_message(bytes, &block, kind, name, message, error);
    if (!status) *body = block.body;
    return status;
}

static kith_status add_part(struct kt_ipc_file *file, struct file_dictionary *dictionary,
                            struct ipc_message *message, struct ipc_range body, kith_error *error)
{
    struct file_part *parts = kt_realloc_array(dictionary->parts, dictionary->part_count + 1, sizeof *parts);
    if (!parts) return kt_fail_memory(error, sizeof *parts);
    dictionary->parts = parts;
    struct file_part *part = &parts[dictionary->part_count];
    *part = (struct file_part){ .delta = kt_flatbuf_integer(&message->from, message->header, DICTIONARY_DELTA,
                                                            1, 0) != 0 };
    if (part->delta != (dictionary->part_count > 0))
        return damaged(file, "a dictionary is replaced or begins with a delta", error);
    struct kt_flatbuf_table data = kt_flatbuf_table(&message->from, message->header, DICTIONARY_DATA);
    kith_status status = kt_ipc_record(&message->from, data, dictionary->schema->fields, 1, body,
                                       kt_view_name(file->view), &part->record, error);
    if (!status) dictionary->part_count++;
    return status;
}

static kith_status open_dictionaries(struct kt_ipc_file *file, const struct ipc_footer *footer,
                                     kith_error *error)
{
    struct kt_flatbuf_vector blocks = footer->dictionaries;
    kith_status status = KITH_OK;
    uint64_t end = 0, spare = SHARED_MAX;
    for (uint32_t i = 0; !status && i < blocks.count; i++) {
        struct ipc_message message;
        struct ipc_range body;
        bool wanted = false;
        status = open_block(file, footer, blocks, i, &end, IPC_DICTIONARY_BATCH, &message, &body, error);
        if (status) return status;
        int64_t id = kt_flatbuf_integer(&message.from, message.header, DICTIONARY_ID, 8, 0);
        for (uint32_t k = 0; !status && k < file->dictionary_count; k++) {
            if (file->dictionaries[k].id != id) continue;
            if (wanted && !spare--) return damaged(file, "too many columns share dictionaries", error);
            wanted = true;
            status = add_part(file, &file->dictionaries[k], &message, body, error);
        }
        if (!status && !wanted) status = damaged(file, "it has a dictionary that no column names", error);
    }
    return status;
}

static kith_status open_batches(struct kt_ipc_file *file, const struct ipc_footer *footer, kith_error *error)
{
    struct kt_flatbuf_vector blocks = footer->records;
    kith_status status = KITH_OK;
    uint64_t end = 0;
    file->batches = kt_alloc_zero(blocks.count, sizeof *file->batches);
    file->begins = kt_alloc_zero((size_t)blocks.count + 1, sizeof *file->begins);
    if (!file->batches || !file->begins) return kt_fail_memory(error, blocks.count * sizeof *file->batches);
    for (uint32_t i = 0; !status && i < blocks.count; i++) {
        struct ipc_message message;
        struct ipc_range body;
        struct file_batch *batch = &file->batches[i];
        status = open_block(file, footer, blocks, i, &end, IPC_RECORD_BATCH, &message, &body, error);
        if (!status)
            status = kt_ipc_record(&message.from, message.header, file->schema->fields, file->schema->count,
                                   body, kt_view_name(file->view), &batch->record, error);
        if (status) return status;
        file->batch_count++;
        file->begins[i + 1] = file->begins[i] + batch->record.rows;
        if (file->begins[i + 1] > (uint64_t)1 << 48)
            return damaged(file, "it claims more rows than can be", error);
        if (!batch->record.zstd) continue;
        batch->loaded = kt_alloc_zero(file->schema->count, sizeof *batch->loaded);
        if (!batch->loaded) return kt_fail_memory(error, file->schema->count * sizeof *batch->loaded);
    }
    return status;
}

static kith_status set_up_columns(struct kt_ipc_file *file, const int64_t *ids, uint32_t id_count,
                                  kith_error *error)
{
    uint32_t node = 0, dictionary = 0;
    file->columns = kt_alloc_zero(file->schema->count, sizeof *file->columns);
    file->dictionaries = kt_alloc_zero(id_count, sizeof *file->dictionaries);
    if (!file->columns || !file->dictionaries)
        return kt_fail_memory(error, file->schema->count * sizeof *file->columns);
    for (uint32_t i = 0; i < file->schema->count; i++) {
        const struct kt_field *field = &file->schema->fields[i];
        file->columns[i] = (struct file_column){ node, dictionary, kt_field_nodes(field) - 1 };
        node += kt_ipc_nodes(field);
        dictionary += kt_ipc_dictionaries(field);
    }
    for (uint32_t i = 0; i < id_count; i++) {
        uint32_t number = i;
        const struct kt_field *field =
            kt_ipc_dictionary_field(file->schema->fields, file->schema->count, &number);
        if (!field) return damaged(file, "its dictionaries are not those of its schema", error);
        kith_status status = kt_ipc_values_schema(field, &file->dictionaries[i].schema, error);
        if (status) return status;
        file->dictionaries[i].id = ids[i];
        file->dictionary_count++;
    }
    return KITH_OK;
}

static kith_status open_footer(struct kt_ipc_file *file, kith_error *error)
{
    const uint8_t *bytes;
    const char *name = kt_view_name(file->view);
    int64_t *ids = NULL;
    uint32_t id_count = 0;
    struct ipc_range range;
    struct ipc_footer footer;
    uint64_t length = kt_view_length(file->view);
    if (length < sizeof kt_ipc_magic + IPC_TAIL) return damaged(file, "it is too short", error);
    kith_status status = kt_view(file->view, length - IPC_TAIL, IPC_TAIL, &bytes, error);
    if (!status) status = kt_ipc_tail(bytes, length, name, &range, error);
    if (!status) status = kt_view(file->view, range.at, range.size, &bytes, error);
    if (!status) status = kt_ipc_footer(bytes, range, name, &footer, error);
    if (!status)
        status = kt_ipc_get_schema(&footer.from, footer.schema, &file->schema, &ids, &id_count, error);
    if (!status) status = set_up_columns(file, ids, id_count, error);
    if (!status) status = open_dictionaries(file, &footer, error);
    if (!status) status = open_batches(file, &footer, error);
    kt_free(ids);
    return status;
}

kith_status kt_ipc_open(struct kt_view_file *view, struct kt_ipc_file **out, kith_error *error)
{
    struct kt_ipc_file *file = kt_alloc_zero(1, sizeof *file);
    if (!file) {
        kt_view_close(view);
        return kt_fail_memory(error, sizeof *file);
    }
    atomic_init(&file->references, 1);
    file->view = view;
    kith_status status = open_footer(file, error);
    if (status)
        file_free(file);
    else
        *out = file;
    return status;
}

const struct kt_schema *kt_ipc_schema(const struct kt_ipc_file *file)
{
    return file->schema;
}

uint64_t kt_ipc_rows(const struct kt_ipc_file *file)
{
    return file->begins[file->batch_count];
}

uint32_t kt_ipc_batch_count(const struct kt_ipc_file *file)
{
    return file->batch_count;
}

uint64_t kt_ipc_batch_begin(const struct kt_ipc_file *file, uint32_t batch)
{
    return file->begins[batch];
}

uint32_t kt_ipc_room(const struct kt_ipc_file *file, uint32_t column)
{
    return file->columns[column].room;
}

/* ---- what is made when it is needed ---- */

static struct ipc_source source_of(const struct kt_ipc_file *file)
{
    return (struct ipc_source){ .file = file->view, .name = kt_view_name(file->view) };
}

static kith_status make_dictionary(struct kt_ipc_file *file, struct file_dictionary *dictionary,
                                   struct kt_batch **out, kith_error *error)
{
    struct ipc_source source = source_of(file);
    struct kt_batch *values = NULL;
    kith_status status = KITH_OK;
    for (uint32_t i = 0; !status && i < dictionary->part_count; i++) {
        struct kt_batch *part = NULL, *joined = NULL;
        status =
            kt_ipc_make_batch(&source, &dictionary->parts[i].record, dictionary->schema, NULL, &part, error);
        if (!status && values) {
            status = kt_ipc_join(values, part, &joined, error);
            kt_batch_release(values);
            kt_batch_release(part);
            values = joined;
        } else {
            values = part;
        }
    }
    if (status)
        kt_batch_release(values);
    else
        *out = values;
    return status;
}

/* Makes sure that `count` dictionaries from `first` on are there; those without parts stay NULL. */
static kith_status need_dictionaries(struct kt_ipc_file *file, uint32_t first, uint32_t count,
                                     kith_error *error)
{
    for (uint32_t i = first; i < first + count; i++) {
        struct file_dictionary *dictionary = &file->dictionaries[i];
        struct kt_batch *made = NULL, *none = NULL;
        if (!dictionary->part_count || atomic_load_explicit(&dictionary->values, memory_order_acquire))
            continue;
        kith_status status = make_dictionary(file, dictionary, &made, error);
        if (status) return status;
        if (!atomic_compare_exchange_strong_explicit(&dictionary->values, &none, made, memory_order_acq_rel,
                                                     memory_order_acquire))
            kt_batch_release(made);
    }
    return KITH_OK;
}

enum { FEW = 8 };

/* The batches of `count` dictionaries from `first` on: in `few` when they fit, else in memory to be freed. */
static struct kt_batch **gather(struct kt_ipc_file *file, uint32_t first, uint32_t count,
                                struct kt_batch *few[FEW])
{
    struct kt_batch **all = count <= FEW ? few : kt_alloc_array(count, sizeof(struct kt_batch *));
    for (uint32_t i = 0; all && i < count; i++)
        all[i] = atomic_load_explicit(&file->dictionaries[first + i].values, memory_order_acquire);
    return all;
}

static kith_status need_loaded(struct kt_ipc_file *file, struct file_batch *batch, uint32_t column,
                               struct ipc_loaded **out, kith_error *error)
{
    struct ipc_loaded *made = NULL,
                      *there = atomic_load_explicit(&batch->loaded[column], memory_order_acquire);
    struct ipc_source source = source_of(file);
    if (!there) {
        kith_status status = kt_ipc_load(&source, &batch->record, &file->schema->fields[column],
                                         file->columns[column].node, &made, error);
        if (status) return status;
        if (atomic_compare_exchange_strong_explicit(&batch->loaded[column], &there, made,
                                                    memory_order_acq_rel, memory_order_acquire))
            there = made;
        else
            kt_ipc_loaded_free(made);
    }
    *out = there;
    return KITH_OK;
}

/* ---- lending ---- */

static uint32_t batch_of(const struct kt_ipc_file *file, uint64_t row)
{
    uint32_t low = 0, high = file->batch_count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (file->begins[middle] <= row)
            low = middle;
        else
            high = middle;
    }
    return low;
}

kith_status kt_ipc_beside(struct kt_ipc_file *file, const void *data, uint64_t count, bool *inside,
                          kith_error *error)
{
    return kt_view_at(file->view, data, count, inside, error);
}

void kt_ipc_jumps(struct kt_ipc_file *file)
{
    kt_view_jumps(file->view);
}

kith_status kt_ipc_column(struct kt_ipc_file *file, uint32_t column, uint64_t row, uint64_t count,
                          struct kt_array *array, struct kt_array *room, kith_error *error)
{
    struct kt_batch *few[FEW], **dictionaries = few;
    struct ipc_loaded *loaded = NULL;
    kith_status status = KITH_OK;
    uint32_t at = batch_of(file, row);
    if (at >= file->batch_count || row < file->begins[at] || row > file->begins[at + 1] ||
        count > file->begins[at + 1] - row)
        return kt_fail(error, KITH_INVALID, "%s: rows %llu to %llu do not lie in one record batch",
                       kt_view_name(file->view), (unsigned long long)row, (unsigned long long)(row + count));
    struct file_batch *batch = &file->batches[at];
    const struct kt_field *field = &file->schema->fields[column];
    uint32_t needed = kt_ipc_dictionaries(field), first = file->columns[column].dictionary;
    if (needed) {
        status = need_dictionaries(file, first, needed, error);
        if (status) return status;
        dictionaries = gather(file, first, needed, few);
        if (!dictionaries) return kt_fail_memory(error, needed * sizeof(struct kt_batch *));
    }
    if (batch->loaded) status = need_loaded(file, batch, column, &loaded, error);
    if (!status) {
        struct ipc_lend lend = { .source = source_of(file),
                                 .record = &batch->record,
                                 .loaded = loaded,
                                 .dictionaries = dictionaries,
                                 .node = file->columns[column].node };
        kt_array_wire(array, field, room);
        status = kt_ipc_lend(&lend, array, row - file->begins[at], count, error);
    }
    if (dictionaries != few) kt_free(dictionaries);
    return status;
}

struct file_hold {
    struct kt_hold hold;
    struct kt_ipc_file *file;
};

static void file_hold_release(struct kt_hold *hold)
{
    kt_ipc_close(((struct file_hold *)(void *)hold)->file);
    kt_free(hold);
}

kith_status kt_ipc_batch(struct kt_ipc_file *file, uint32_t at, struct kt_batch **out, kith_error *error)
{
    struct kt_batch *few[FEW], **dictionaries = NULL, *batch = NULL;
    struct ipc_source source = source_of(file);
    struct file_hold *hold = NULL;
    if (at >= file->batch_count)
        return kt_fail(error, KITH_INVALID, "%s has %u record batches, no number %u", source.name,
                       file->batch_count, at);
    kith_status status = need_dictionaries(file, 0, file->dictionary_count, error);
    if (status) return status;
    dictionaries = gather(file, 0, file->dictionary_count, few);
    hold = kt_alloc(sizeof *hold);
    if (!dictionaries || !hold) status = kt_fail_memory(error, sizeof *hold);
    if (!status)
        status =
            kt_ipc_make_batch(&source, &file->batches[at].record, file->schema, dictionaries, &batch, error);
    if (status) goto out;
    *hold = (struct file_hold){ { NULL, file_hold_release }, kt_ipc_share(file) };
    kt_batch_hold(batch, &hold->hold);
    hold = NULL;
    *out = batch;
out:
    if (dictionaries != few) kt_free(dictionaries);
    kt_free(hold);
    return status;
}
