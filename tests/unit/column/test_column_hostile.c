/* Bytes made to hurt: files and streams with bytes changed, cut and overwritten may fail, in words, but
 * neither crash, nor hang, nor hand out anything that leads outside its memory. Worth most under
 * -DKITH_SANITIZE=address,undefined. */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>

#include "unit/column/column_samples.h"

enum { VARIANTS = 4000 };

/* Reads every value, so that the sanitizer sees where they lead. */
static uint64_t touch(const struct kt_array *array, int64_t row, int64_t count)
{
    const struct kt_field *field = array->field;
    uint64_t sum = 0;
    for (int64_t i = row; i < row + count; i++) {
        int64_t size = kt_field_value_bytes(field), at = array->offset + i;
        sum += kt_array_null(array, i);
        if (kt_array_null(array, i)) continue;
        const uint8_t *bytes = size ? array->values + at * size : NULL;
        if (kt_type_is_text(field->type) || kt_type_is_binary(field->type) || field->type == KT_DICTIONARY)
            bytes = kt_array_bytes(array, i, &size);
        for (int64_t k = 0; bytes && k < size; k++) sum += bytes[k];
        if (field->type == KT_BOOL) sum += kt_bit(array->values, (uint64_t)at);
        if (field->type == KT_FIXED_LIST) sum += touch(&array->children[0], at * field->width, field->width);
        if (field->type == KT_LIST)
            sum += touch(&array->children[0], kt_offset_at(array, i),
                         kt_offset_at(array, i + 1) - kt_offset_at(array, i));
        for (uint32_t c = 0; field->type == KT_STRUCT && c < field->child_count; c++)
            sum += touch(&array->children[c], at, 1);
    }
    return sum;
}

static uint64_t touch_batch(const struct kt_batch *batch)
{
    uint64_t sum = 0;
    if (batch->rows > 5000) return 0; /* claimed by a column without bytes */
    for (uint32_t c = 0; c < batch->schema->count; c++) sum += touch(&batch->columns[c], 0, batch->rows);
    return sum;
}

static volatile uint64_t sink;

static bool use_file(const struct kt_buffer *bytes)
{
    struct kt_ipc_file *file = NULL;
    struct kt_array array, room[64];
    kith_error error = { 0 };
    bool all = sample_open(bytes, &file, &error) == KITH_OK;
    if (!all) {
        assert_true(error.message[0]);
        return false;
    }
    for (uint32_t i = 0; i < kt_ipc_batch_count(file) && i < 10; i++) {
        struct kt_batch *batch = NULL;
        uint64_t begin = kt_ipc_batch_begin(file, i), rows = kt_ipc_batch_begin(file, i + 1) - begin;
        if (kt_ipc_batch(file, i, &batch, &error) == KITH_OK)
            sink += touch_batch(batch);
        else
            all = false;
        kt_batch_release(batch);
        for (uint32_t c = 0; rows && c < kt_ipc_schema(file)->count; c++) {
            if (kt_ipc_room(file, c) > 64) continue;
            uint64_t row = rows > 3 ? 3 : 0, count = rows - row > 20 ? 20 : rows - row;
            if (kt_ipc_column(file, c, begin + row, count, &array, room, &error) == KITH_OK)
                sink += touch(&array, 0, (int64_t)count);
            else
                all = false;
        }
    }
    kt_ipc_close(file);
    return all;
}

static bool use_descriptor(const struct kt_buffer *bytes)
{
    struct ArrowArrayStream stream;
    struct kt_schema *schema = NULL;
    kith_error error = { 0 };
    int fd = memfd_create("hostile", 0);
    bool all = write(fd, bytes->data, bytes->size) == (ssize_t)bytes->size && lseek(fd, 0, SEEK_SET) == 0;
    all = all && kt_ipc_read_descriptor(fd, &stream, &error) == KITH_OK;
    if (all) {
        all = kt_stream_schema(&stream, &schema, &error) == KITH_OK;
        for (int i = 0; all && i < 10; i++) {
            struct kt_batch *batch = NULL;
            all = kt_stream_next(&stream, schema, &batch, &error) == KITH_OK;
            if (!batch) break;
            sink += touch_batch(batch);
            kt_batch_release(batch);
        }
        stream.release(&stream);
        kt_schema_release(schema);
    }
    close(fd);
    assert_true(all || error.message[0]);
    return all;
}

/* Where metadata are: behind the mark of a message, or in the footer. A random place is mostly in values,
 * where any byte is fine. */
static size_t place(struct kt_random *random, const struct kt_buffer *bytes)
{
    size_t at = kt_random_below(random, bytes->size);
    uint64_t kind = kt_random_below(random, 3);
    if (kind == 1) return bytes->size - 1 - kt_random_below(random, bytes->size < 6000 ? bytes->size : 6000);
    for (size_t mark = at; kind == 2 && mark + 4 <= bytes->size; mark++) {
        if (kt_get_u32(bytes->data + mark) != UINT32_MAX) continue;
        size_t behind = mark + kt_random_below(random, 2500);
        return behind < bytes->size ? behind : mark;
    }
    return at;
}

static void mutate(struct kt_random *random, struct kt_buffer *bytes)
{
    static const uint32_t words[] = { 0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffff8, 64, 0x10000 };
    uint64_t changes = 1 + kt_random_below(random, 3);
    for (uint64_t i = 0; i < changes; i++) {
        size_t at = place(random, bytes);
        switch (kt_random_below(random, 5)) {
        case 0:
            bytes->data[at] ^= (uint8_t)(1u << kt_random_below(random, 8));
            break;
        case 1:
            bytes->data[at] = (uint8_t)kt_random_u64(random);
            break;
        case 2:
            bytes->data[at] = (uint8_t)(bytes->data[at] + (kt_random_below(random, 2) ? 1 : 255));
            break;
        case 3:
            if (at + 4 <= bytes->size) kt_put_u32(bytes->data + at, words[kt_random_below(random, 8)]);
            break;
        default: {
            size_t from = place(random, bytes), count = 1 + kt_random_below(random, 32);
            if (from + count <= bytes->size && at + count <= bytes->size)
                memmove(bytes->data + at, bytes->data + from, count);
        }
        }
    }
}

static void changed_bytes(enum kt_ipc_form form, bool (*use)(const struct kt_buffer *))
{
    struct kt_random random = sample_random();
    struct kt_schema *schema = sample_schema();
    struct kt_batch *batches[] = { sample_batch(&random, schema, 23), sample_batch(&random, schema, 9) };
    struct kt_buffer good = sample_write(form, schema, batches, 2);
    int survived = 0;
    assert_true(use(&good));
    for (int i = 0; i < VARIANTS; i++) {
        struct kt_buffer copy = { 0 };
        kt_buffer_append(&copy, good.data, good.size);
        mutate(&random, &copy);
        if (kt_random_below(&random, 20) == 0) copy.size = kt_random_below(&random, copy.size) + 1;
        survived += use(&copy);
        kt_buffer_release(&copy);
    }
    print_message("%d of %d variants were still readable\n", survived, VARIANTS);
    assert_true(survived < VARIANTS);
    kt_buffer_release(&good);
    kt_batch_release(batches[0]);
    kt_batch_release(batches[1]);
    kt_schema_release(schema);
}

static void changed_files_fail_in_words(void **state)
{
    (void)state;
    changed_bytes(KT_IPC_FILE, use_file);
}

static void changed_files_in_a_descriptor_fail_in_words(void **state)
{
    (void)state;
    changed_bytes(KT_IPC_FILE, use_descriptor);
}

static void changed_streams_fail_in_words(void **state)
{
    (void)state;
    changed_bytes(KT_IPC_STREAM, use_descriptor);
}

static void changed_schemas_fail_in_words(void **state)
{
    (void)state;
    struct kt_random random = sample_random();
    struct kt_schema *schema = sample_schema();
    json_t *json = kt_schema_to_json(schema);
    char *good = json_dumps(json, JSON_COMPACT);
    size_t size = strlen(good);
    int survived = 0;
    for (int i = 0; i < VARIANTS; i++) {
        char *copy = strdup(good);
        for (uint64_t k = 0; k <= kt_random_below(&random, 3); k++)
            copy[kt_random_below(&random, size)] = "0123456789{}[],:\"-tfnxyz"[kt_random_below(&random, 24)];
        json_t *changed = json_loads(copy, 0, NULL);
        struct kt_schema *got = NULL;
        kith_error error = { 0 };
        if (changed && kt_schema_from_json(changed, &got, &error) == KITH_OK)
            survived++;
        else
            assert_true(!changed || error.message[0]);
        kt_schema_release(got);
        json_decref(changed);
        free(copy);
    }
    print_message("%d of %d variants were still schemas\n", survived, VARIANTS);
    free(good);
    json_decref(json);
    kt_schema_release(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changed_files_fail_in_words),
        cmocka_unit_test(changed_files_in_a_descriptor_fail_in_words),
        cmocka_unit_test(changed_streams_fail_in_words),
        cmocka_unit_test(changed_schemas_fail_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
