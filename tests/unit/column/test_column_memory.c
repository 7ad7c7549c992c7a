/* Memory may end at any step: each operation is run with its k-th allocation failing, for every k, libraries
 * included. It fails with KITH_NO_MEMORY or goes on to succeed; nothing is lost on the way, nothing freed
 * twice.
 *
 * malloc and its kin are replaced for this program, which a sanitizer does as well: under one, the test is
 * skipped. */
#define _GNU_SOURCE
#include "unit/column/column_samples.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

#include "support/failing_malloc.h"

static struct kt_schema *schema;
static struct kt_batch *batch;
static struct kt_buffer file_bytes, stream_bytes;

static kith_status export_and_import(kith_error *error)
{
    struct ArrowSchema exported_schema = { 0 };
    struct ArrowArray exported = { 0 };
    struct kt_schema *got_schema = NULL;
    struct kt_batch *got = NULL;
    kith_status status = kt_schema_export(schema, &exported_schema, error);
    if (!status) status = kt_schema_import(&exported_schema, &got_schema, error);
    if (!status) status = kt_batch_export(batch, &exported, error);
    if (!status) status = kt_batch_import(got_schema, &exported, &got, error);
    if (exported_schema.release) exported_schema.release(&exported_schema);
    kt_batch_release(got);
    kt_schema_release(got_schema);
    return status;
}

static kith_status build(kith_error *error)
{
    struct kt_builder *builder = NULL;
    struct kt_batch *built = NULL;
    kith_status status = kt_builder_new(schema, 3, &builder, error);
    for (uint32_t c = 0; !status && c < schema->count; c++) {
        status = kt_builder_append(builder, c, &batch->columns[c], 0, batch->rows, error);
        if (!status) status = kt_builder_append_nulls(builder, c, 5, error);
    }
    if (!status) {
        status = kt_builder_finish(builder, &built, error);
        builder = NULL;
    }
    kt_builder_free(builder);
    kt_batch_release(built);
    return status;
}

static kith_status write_file(kith_error *error)
{
    struct kt_buffer bytes = { 0 };
    struct kt_sink *sink = NULL;
    struct kt_ipc_writer *writer = NULL;
    kith_status status = kt_sink_memory(&bytes, &sink, error);
    if (!status) status = kt_ipc_begin(sink, KT_IPC_FILE, schema, NULL, 0, &writer, error);
    if (!status) status = kt_ipc_write(writer, batch, error);
    if (!status) {
        status = kt_ipc_end(writer, error);
        writer = NULL;
    }
    kt_ipc_abandon(writer);
    kt_sink_abandon(sink);
    kt_buffer_release(&bytes);
    return status;
}

static kith_status open_file(kith_error *error)
{
    struct kt_ipc_file *file = NULL;
    struct kt_view_file *view = NULL;
    struct kt_batch *got = NULL;
    struct kt_array array, room[16];
    uint8_t *copy = kt_alloc_aligned(file_bytes.size);
    if (!copy) return kt_fail_memory(error, file_bytes.size);
    memcpy(copy, file_bytes.data, file_bytes.size);
    kith_status status = kt_view_from_memory("sample.arrow", copy, file_bytes.size, &view, error);
    if (!status) status = kt_ipc_open(view, &file, error);
    for (uint32_t c = 0; !status && c < schema->count; c++)
        status = kt_ipc_column(file, c, 2, 5, &array, room, error);
    if (!status) status = kt_ipc_batch(file, 0, &got, error);
    kt_batch_release(got);
    kt_ipc_close(file);
    return status;
}

static kith_status read_descriptor(const struct kt_buffer *bytes, kith_error *error)
{
    struct ArrowArrayStream stream = { 0 };
    struct kt_schema *got_schema = NULL;
    struct kt_batch *got = NULL;
    int fd = memfd_create("sample", 0);
    if (write(fd, bytes->data, bytes->size) != (ssize_t)bytes->size || lseek(fd, 0, SEEK_SET) != 0) abort();
    kith_status status = kt_ipc_read_descriptor(fd, &stream, error);
    if (!status) status = kt_stream_schema(&stream, &got_schema, error);
    do {
        kt_batch_release(got);
        got = NULL;
        if (!status) status = kt_stream_next(&stream, got_schema, &got, error);
    } while (!status && got);
    if (stream.release) stream.release(&stream);
    kt_schema_release(got_schema);
    close(fd);
    return status;
}

static kith_status read_file(kith_error *error)
{
    return read_descriptor(&file_bytes, error);
}

static kith_status read_stream(kith_error *error)
{
    return read_descriptor(&stream_bytes, error);
}

static kith_status normalize_and_cast(kith_error *error)
{
    struct kt_schema *stored = NULL, *other = NULL;
    struct kt_batch *once = NULL, *twice = NULL;
    struct kt_cast options = { .bad_vectors = KITH_BAD_FILL };
    kith_status status = kt_schema_normalize(schema, batch, &stored, error);
    if (!status) status = kt_schema_new(stored->fields, stored->count, NULL, &other, error);
    if (!status) status = kt_batch_cast(batch, stored, &options, &once, error);
    for (uint32_t i = 0; !status && i < other->count; i++) { /* what can be said otherwise */
        struct kt_field *field = &other->fields[i];
        if (field->type == KT_UTF8)
            field->type = KT_LARGE_UTF8;
        else if (field->type == KT_INT8)
            field->type = KT_FLOAT64;
        else if (field->type == KT_DATE32)
            field->type = KT_DATE64;
        else if (field->type == KT_LIST && field->children[0].type == KT_UTF8)
            field->children[0].type = KT_LARGE_UTF8;
        else if (field->type == KT_STRUCT)
            field->children[0].type = KT_FLOAT32;
        else if (field->type == KT_DICTIONARY)
            field->index = KT_INT64;
        else if (field->type == KT_FIXED_LIST && kt_field_is_vector(field))
            field->width = 2;
    }
    if (!status) status = kt_batch_cast(once, other, &options, &twice, error);
    kt_batch_release(once);
    kt_batch_release(twice);
    kt_schema_release(stored);
    kt_schema_release(other);
    return status;
}

static kith_status log_and_back(kith_error *error)
{
    struct kt_schema *got = NULL;
    json_t *json = kt_schema_to_json(schema);
    kith_status status = json ? kt_schema_from_json(json, &got, error) : kt_fail_memory(error, 0);
    json_decref(json);
    kt_schema_release(got);
    return status;
}

static kith_status statistics(kith_error *error)
{
    json_t *stats = kt_batches_stats(&batch, 1);
    json_decref(stats);
    return stats ? KITH_OK : kt_fail_memory(error, 0);
}

static void exchange_survives_the_end_of_memory(void **state)
{
    (void)state;
    assert_true(fails_at_every_step(export_and_import, true) > 2);
}
static void building_survives_the_end_of_memory(void **state)
{
    (void)state;
    assert_true(fails_at_every_step(build, true) > 2);
}
static void writing_survives_the_end_of_memory(void **state)
{
    (void)state;
    assert_true(fails_at_every_step(write_file, true) > 2);
}
static void opening_survives_the_end_of_memory(void **state)
{
    (void)state;
    assert_true(fails_at_every_step(open_file, true) > 2);
}
static void reading_a_file_survives_the_end_of_memory(void **state)
{
    (void)state;
    assert_true(fails_at_every_step(read_file, true) > 2);
}
static void reading_a_stream_survives_the_end_of_memory(void **state)
{
    (void)state;
    assert_true(fails_at_every_step(read_stream, true) > 2);
}
static void casting_survives_the_end_of_memory(void **state)
{
    (void)state;
    assert_true(fails_at_every_step(normalize_and_cast, true) > 2);
}
static void the_log_survives_the_end_of_memory(void **state)
{
    (void)state;
    assert_true(fails_at_every_step(log_and_back, true) > 2);
}
static void statistics_survive_the_end_of_memory(void **state)
{
    (void)state;
    assert_true(fails_at_every_step(statistics, true) > 2);
}

static int set_up(void **state)
{
    (void)state;
    struct kt_random random = sample_random();
    schema = sample_schema();
    batch = sample_batch(&random, schema, 20);
    file_bytes = sample_write(KT_IPC_FILE, schema, &batch, 1);
    stream_bytes = sample_write(KT_IPC_STREAM, schema, &batch, 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    kt_batch_release(batch);
    kt_schema_release(schema);
    kt_buffer_release(&file_bytes);
    kt_buffer_release(&stream_bytes);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exchange_survives_the_end_of_memory),
        cmocka_unit_test(building_survives_the_end_of_memory),
        cmocka_unit_test(writing_survives_the_end_of_memory),
        cmocka_unit_test(opening_survives_the_end_of_memory),
        cmocka_unit_test(reading_a_file_survives_the_end_of_memory),
        cmocka_unit_test(reading_a_stream_survives_the_end_of_memory),
        cmocka_unit_test(casting_survives_the_end_of_memory),
        cmocka_unit_test(the_log_survives_the_end_of_memory),
        cmocka_unit_test(statistics_survive_the_end_of_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

#else

int main(void)
{
    return 77;
}

#endif
