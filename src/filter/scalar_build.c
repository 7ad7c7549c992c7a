/* Building a scalar index: every value becomes an entry (key, row), all entries are sorted, and then one pass
 * over them writes each distinct key once, with the rows that have it.
 *
 * It is all in memory, keys copied: the batches that rows come in are gone when the sort begins. Rows arrive
 * in the order of their ids and the sort keeps the order of what is equal, so the rows of a key ascend
 * without being sorted themselves.
 *
 * Pages are cut at 4 KiB, so that a look-up reads one; a key longer than that has a page of its own. Between
 * two pages stands a separator, the shortest beginning of a page's first key that is greater than the last
 * key before it: long texts do not make a large directory.
 */
#include "filter/scalar_private.h"

enum {
    PAGE_BYTES = 4096,
    BASE_ROWS = 64, /* base row ids are multiples of it: a bitmap's words are words of a selection */
    FIRST_ROOM = 1024,
    SOON = 12,       /* entries ahead whose text is asked for */
    TICK = 64 * 1024 /* entries between two words to the caller's progress function */
};

struct kt_scalar_build {
    enum scalar_kind kind;
    const struct kt_field *column; /* borrowed */
    const struct kt_field *field;  /* of the keys */
    enum key_form form;
    bool begun;
    uint64_t base, span;   /* row ids [base, base + span) */
    struct entry *entries; /* one a value */
    size_t count, room;
    struct kt_buffer text, ends; /* KEY_BYTES: as struct texts has them */
    struct kt_buffer nulls;      /* u32 a row */
};

/* ---- what an index can hold ---- */

static kith_status refuse(kith_index_type type, const struct kt_field *field, const char *holds,
                          const char *fits, kith_error *error)
{
    char text[120];
    kt_field_type_text(field, text, sizeof text);
    return kt_fail(error, KITH_INVALID, "a %s index holds %s; column \"%s\" is %s, which %s",
                   kith_index_type_name(type), holds, field->name, text, fits);
}

kith_status kt_scalar_check(kith_index_type type, const struct kt_field *field, kith_error *error)
{
    bool labels = type == KITH_LABEL_LIST;
    const char *holds = labels ? "lists of numbers, times or text" : "numbers, times and text";
    if (!kt_is_scalar_index(type))
        return kt_fail(error, KITH_INVALID, "%s is not an index of values; BTREE, BITMAP and LABEL_LIST are",
                       kith_index_type_name(type));
    if (kt_field_is_vector(field))
        return refuse(type, field, holds, "a vector index holds: IVF_RQ, say", error);
    if (field->type == KT_LIST) {
        if (kt_key_form(&field->children[0]) == KEY_NONE)
            return refuse(type, field, holds, "no index holds", error);
        return labels ? KITH_OK : refuse(type, field, holds, "LABEL_LIST holds", error);
    }
    if (kt_key_form(field) == KEY_NONE) return refuse(type, field, holds, "no index holds", error);
    return labels ? refuse(type, field, holds, "BTREE and BITMAP hold", error) : KITH_OK;
}

/* ---- gathering ---- */

static enum scalar_kind kind_of(kith_index_type type)
{
    return type == KITH_BTREE ? SCALAR_BTREE : type == KITH_BITMAP ? SCALAR_BITMAP : SCALAR_LABELS;
}

kith_status kt_scalar_begin(kith_index_type type, const struct kt_field *field, struct kt_scalar_build **out,
                            kith_error *error)
{
    struct kt_scalar_build *build = kt_alloc_zero(1, sizeof *build);
    if (!build) return kt_fail_memory(error, sizeof *build);
    build->kind = kind_of(type);
    build->column = field;
    build->field = build->kind == SCALAR_LABELS ? &field->children[0] : field;
    build->form = kt_key_form(build->field);
    *out = build;
    return KITH_OK;
}

void kt_scalar_build_free(struct kt_scalar_build *build)
{
    if (!build) return;
    kt_free(build->entries);
    kt_buffer_release(&build->text);
    kt_buffer_release(&build->ends);
    kt_buffer_release(&build->nulls);
    kt_free(build);
}

static kith_status grow(struct kt_scalar_build *build, kith_error *error)
{
    size_t room = build->room ? 2 * build->room : FIRST_ROOM;
    if (build->count == UINT32_MAX)
        return kt_fail(error, KITH_UNSUPPORTED,
                       "column \"%s\" has more than %u values; an index holds no more", build->column->name,
                       UINT32_MAX);
    struct entry *entries = kt_realloc_array(build->entries, room, sizeof *entries);
    if (!entries) return kt_fail_memory(error, room * sizeof *entries);
    build->entries = entries;
    build->room = room;
    return KITH_OK;
}

static bool keep_text(struct kt_scalar_build *build, const struct kt_array *values, int64_t at)
{
    uint8_t room[KT_DECIMAL_BYTES];
    int64_t size;
    const uint8_t *bytes = kt_key_bytes(values, at, room, &size);
    if (size && !kt_buffer_append(&build->text, bytes, (size_t)size)) return false;
    uint64_t end = build->text.size;
    return kt_buffer_append(&build->ends, &end, sizeof end);
}

static kith_status add_value(struct kt_scalar_build *build, const struct kt_array *values, int64_t at,
                             uint32_t row, kith_error *error)
{
    if (build->count == build->room || build->count == UINT32_MAX) {
        kith_status status = grow(build, error);
        if (status) return status;
    }
    struct entry *entry = &build->entries[build->count];
    *entry = (struct entry){ .row = row, .item = (uint32_t)build->count };
    if (build->form == KEY_NUMBER)
        entry->key = kt_key_number(values, at);
    else if (!keep_text(build, values, at))
        return kt_fail_memory(error, build->text.size);
    build->count++;
    return KITH_OK;
}

/* The values of a row: its own, or its list's. */
static kith_status add_row(struct kt_scalar_build *build, const struct kt_array *column, int64_t at,
                           uint32_t row, kith_error *error)
{
    if (kt_array_null(column, at))
        return kt_buffer_append(&build->nulls, &row, sizeof row) ? KITH_OK
                                                                 : kt_fail_memory(error, build->nulls.size);
    if (build->kind != SCALAR_LABELS) return add_value(build, column, at, row, error);
    const int32_t *begin = (const int32_t *)(const void *)column->values + (column->offset + at);
    kith_status status = KITH_OK;
    for (int32_t i = begin[0]; i < begin[1] && !status; i++)
        if (!kt_array_null(&column->children[0], i))
            status = add_value(build, &column->children[0], i, row, error);
    return status;
}

kith_status kt_scalar_add(struct kt_scalar_build *build, const struct kt_array *column, uint64_t first_row,
                          kith_error *error)
{
    uint64_t count = (uint64_t)column->length;
    kith_status status = KITH_OK;
    if (!count) return KITH_OK;
    if (!build->begun) build->base = first_row / BASE_ROWS * BASE_ROWS;
    build->begun = true;
    build->span = first_row - build->base + count;
    if (build->span > UINT32_MAX)
        return kt_fail(error, KITH_UNSUPPORTED,
                       "the rows of column \"%s\" have ids from %llu to %llu; an index holds no more than %u",
                       build->column->name, (unsigned long long)build->base,
                       (unsigned long long)(first_row + count - 1), UINT32_MAX);
    uint32_t first = (uint32_t)(first_row - build->base);
    for (uint32_t i = 0; i < count && !status; i++)
        status = add_row(build, column, (int64_t)i, first + i, error);
    return status;
}

/* ---- pages ---- */

/* What is written, key by key. */
struct writer {
    struct scalar_parts parts;
    struct scalar_shape shape;
    struct kt_buffer heads, bytes; /* of the page in work */
    uint32_t page_key, page_rank;
    struct kt_buffer separator; /* of the page in work */
    struct kt_buffer last;      /* the key before */
    struct kt_buffer rows;      /* of the key in work, u32 each */
};

static void writer_release(struct writer *writer)
{
    struct scalar_parts *parts = &writer->parts;
    struct kt_buffer *all[] = { &parts->directory,  &parts->separators, &parts->offsets, &parts->pages,
                                &parts->postings,   &parts->nulls,      &writer->heads,  &writer->bytes,
                                &writer->separator, &writer->last,      &writer->rows };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) kt_buffer_release(all[i]);
}

static bool put_entry(struct writer *writer, const struct page_entry *entry)
{
    uint8_t bytes[KT_DIRECTORY_ENTRY];
    kt_put_u64(bytes, entry->begin);
    kt_put_u64(bytes + 8, entry->separator);
    kt_put_u32(bytes + 16, entry->key);
    kt_put_u32(bytes + 20, entry->rank);
    return kt_buffer_append(&writer->parts.directory, bytes, sizeof bytes);
}

static bool end_page(struct writer *writer)
{
    struct scalar_parts *parts = &writer->parts;
    struct page_entry entry = { parts->pages.size, parts->separators.size, writer->page_key,
                                writer->page_rank };
    size_t size = writer->heads.size + writer->bytes.size;
    if (!size) return true;
    bool kept = put_entry(writer, &entry) &&
                kt_buffer_append(&parts->separators, writer->separator.data, writer->separator.size) &&
                kt_buffer_append(&parts->pages, writer->heads.data, writer->heads.size) &&
                kt_buffer_append(&parts->pages, writer->bytes.data, writer->bytes.size) &&
                kt_buffer_append(&parts->pages, NULL, kt_round_up(size, KT_PAGE_HEAD) - size);
    writer->heads.size = writer->bytes.size = 0;
    writer->shape.pages++;
    return kept;
}

static bool set_bytes(struct kt_buffer *buffer, const uint8_t *bytes, size_t size)
{
    buffer->size = 0;
    return !size || kt_buffer_append(buffer, bytes, size);
}

/* The shortest beginning of `key` that is greater than the key before. */
static bool begin_page(struct writer *writer, const uint8_t *key, size_t size)
{
    size_t same = 0;
    writer->page_key = writer->shape.keys;
    writer->page_rank = (uint32_t)writer->shape.ranks;
    while (same < size && same < writer->last.size && key[same] == writer->last.data[same]) same++;
    return set_bytes(&writer->separator, key, writer->shape.pages ? same + 1 : 0);
}

static bool put_key(struct writer *writer, const uint8_t *key, size_t size)
{
    uint8_t head[KT_PAGE_HEAD];
    bool full = writer->heads.size + writer->bytes.size + sizeof head + size > PAGE_BYTES;
    if (full && !end_page(writer)) return false;
    if (!writer->heads.size && !begin_page(writer, key, size)) return false;
    if (size && !kt_buffer_append(&writer->bytes, key, size)) return false;
    kt_put_u32(head, (uint32_t)writer->shape.ranks);
    kt_put_u32(head + 4, (uint32_t)writer->bytes.size);
    writer->shape.keys++;
    return kt_buffer_append(&writer->heads, head, sizeof head) && set_bytes(&writer->last, key, size);
}

/* The rows of the key that was put. */
static bool put_rows(struct writer *writer)
{
    struct scalar_parts *parts = &writer->parts;
    size_t count = writer->rows.size / sizeof(uint32_t);
    uint64_t at = parts->postings.size;
    writer->shape.ranks += count;
    if (writer->shape.kind == SCALAR_BTREE)
        return kt_buffer_append(&parts->postings, writer->rows.data, writer->rows.size);
    return kt_buffer_append(&parts->offsets, &at, sizeof at) &&
           kt_bitmap_write(&parts->postings, (const uint32_t *)(const void *)writer->rows.data, count);
}

/* ---- the pass over all entries ---- */

struct group { /* entries of one key */
    const struct entry *entries;
    size_t count;
};

/* Sorted texts lie anywhere: those that come soon are asked for. (A function that did only that would be left
 * out by GCC 12, as one without an effect.) */
static struct group group_at(const struct kt_scalar_build *build, const struct texts *texts, size_t at)
{
    struct group group = { build->entries + at, 1 };
    uint64_t same = texts ? 1 : group.entries->key; /* as kt_scalar_sort() leaves it */
    while (at + group.count < build->count && group.entries[group.count].key == same) group.count++;
    if (texts && at + 2 * SOON < build->count) {
        size_t size;
        __builtin_prefetch(&texts->ends[group.entries[2 * SOON].item]);
        __builtin_prefetch(text_at(texts, group.entries[SOON].item, &size));
    }
    return group;
}

static bool put_group(struct writer *writer, const struct group *group, const struct texts *texts)
{
    uint8_t number[KT_NUMBER_BYTES];
    const uint8_t *key = number;
    size_t size = sizeof number;
    if (texts)
        key = text_at(texts, group->entries->item, &size);
    else
        kt_put_key(number, group->entries->key);
    writer->rows.size = 0;
    for (size_t i = 0; i < group->count; i++) {
        uint32_t row = group->entries[i].row;
        if (i && row == group->entries[i - 1].row) continue; /* twice in one list */
        if (!kt_buffer_append(&writer->rows, &row, sizeof row)) return false;
    }
    return put_key(writer, key, size) && put_rows(writer);
}

static kith_status put_groups(struct kt_scalar_build *build, struct writer *writer, const struct texts *texts,
                              struct kt_work *work, kith_error *error)
{
    size_t told = 0;
    for (size_t at = 0; at < build->count;) {
        struct group group = group_at(build, texts, at);
        if (!put_group(writer, &group, texts))
            return kt_fail_memory(error, writer->parts.pages.size + writer->parts.postings.size);
        at += group.count;
        if (at - told < TICK) continue;
        told = at;
        kith_status status = kt_work_tick(work, "index", at, build->count, error);
        if (status) return status;
    }
    return KITH_OK;
}

/* The last page, the entries behind it, the nulls. */
static bool end_parts(const struct kt_scalar_build *build, struct writer *writer)
{
    struct scalar_parts *parts = &writer->parts;
    struct scalar_shape *shape = &writer->shape;
    uint64_t end = parts->postings.size;
    shape->nulls = build->nulls.size / sizeof(uint32_t);
    if (!end_page(writer)) return false;
    struct page_entry last = { parts->pages.size, parts->separators.size, shape->keys,
                               (uint32_t)shape->ranks };
    if (!put_entry(writer, &last)) return false;
    if (shape->kind != SCALAR_BTREE && !kt_buffer_append(&parts->offsets, &end, sizeof end)) return false;
    if (!kt_bitmap_write(&parts->nulls, (const uint32_t *)(const void *)build->nulls.data, shape->nulls))
        return false;
    shape->separator_bytes = parts->separators.size;
    shape->page_bytes = parts->pages.size;
    shape->posting_bytes = parts->postings.size;
    shape->null_bytes = parts->nulls.size;
    return true;
}

kith_status kt_scalar_write(struct kt_scalar_build *build, struct kt_work *work, struct kt_sink *sink,
                            kith_error *error)
{
    struct texts all = { build->text.data, (const uint64_t *)(const void *)build->ends.data };
    const struct texts *texts = build->form == KEY_BYTES ? &all : NULL;
    struct writer writer = { .shape = { .kind = build->kind, .base = build->base, .span = build->span } };
    kith_status status = kt_scalar_sort(build->entries, build->count, texts, work, error);
    if (!status) status = put_groups(build, &writer, texts, work, error);
    if (!status && !end_parts(build, &writer)) status = kt_fail_memory(error, writer.parts.pages.size);
    if (!status) status = kt_scalar_write_parts(&writer.shape, build->column, &writer.parts, sink, error);
    writer_release(&writer);
    return status;
}
