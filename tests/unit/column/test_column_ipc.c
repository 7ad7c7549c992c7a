/* Arrow IPC: what is written is read back, whole, in pieces, as a file and as a stream. (That others read it
 * is tested with pyarrow and Polars, under tests/python.) */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

#include "column/ipc_private.h"
#include "unit/column/column_samples.h"

enum { BATCHES = 3 };

struct written {
    struct kt_schema *schema;
    struct kt_batch *batches[BATCHES];
    struct kt_buffer bytes;
};

static struct written write_samples(enum kt_ipc_form form)
{
    struct kt_random random = sample_random();
    struct written written = { .schema = sample_schema() };
    static const int64_t rows[BATCHES] = { 100, 0, 37 };
    for (int i = 0; i < BATCHES; i++) {
        struct kt_batch *whole = sample_batch(&random, written.schema, rows[i] + 11);
        assert_ok(kt_batch_slice(whole, 11, rows[i], &written.batches[i], &oops));
        kt_batch_release(whole);
    }
    written.bytes = sample_write(form, written.schema, written.batches, BATCHES);
    return written;
}

static void forget(struct written *written)
{
    for (int i = 0; i < BATCHES; i++) kt_batch_release(written->batches[i]);
    kt_schema_release(written->schema);
    kt_buffer_release(&written->bytes);
}

static void whole_batches_come_back(void **state)
{
    (void)state;
    struct written written = write_samples(KT_IPC_FILE);
    struct kt_ipc_file *file = NULL;
    struct kt_batch *got[BATCHES];
    assert_ok(sample_open(&written.bytes, &file, &oops));
    assert_int_equal(kt_ipc_rows(file), 137);
    assert_int_equal(kt_ipc_batch_count(file), BATCHES);
    assert_int_equal(kt_ipc_batch_begin(file, 2), 100);
    for (uint32_t i = 0; i < BATCHES; i++) assert_ok(kt_ipc_batch(file, i, &got[i], &oops));
    assert_true(json_equal(kt_ipc_schema(file)->metadata, written.schema->metadata));
    kt_ipc_close(file);
    for (int i = 0; i < BATCHES; i++) { /* they hold the file */
        assert_same_batch(written.batches[i], got[i]);
        kt_batch_release(got[i]);
    }
    forget(&written);
}

static void the_schema_keeps_ids_and_nothing_shows_them(void **state)
{
    (void)state;
    struct written written = write_samples(KT_IPC_FILE);
    struct kt_ipc_file *file = NULL;
    assert_ok(sample_open(&written.bytes, &file, &oops));
    const struct kt_schema *got = kt_ipc_schema(file);
    for (uint32_t i = 0; i < got->count; i++) {
        assert_true(kt_field_same_type(&got->fields[i], &written.schema->fields[i]));
        assert_int_equal(got->fields[i].id, i);
        assert_true(got->fields[i].nullable);
        assert_null(got->fields[i].metadata);
    }
    kt_ipc_close(file);
    forget(&written);
}

static void any_range_of_rows_is_lent(void **state)
{
    (void)state;
    struct written written = write_samples(KT_IPC_FILE);
    struct kt_ipc_file *file = NULL;
    struct kt_random random = sample_random();
    struct kt_array array, room[16];
    assert_ok(sample_open(&written.bytes, &file, &oops));
    for (uint32_t c = 0; c < written.schema->count; c++) {
        assert_true(kt_ipc_room(file, c) <= 16);
        for (int trial = 0; trial < 60; trial++) {
            int64_t row = (int64_t)kt_random_below(&random, 100),
                    count = (int64_t)kt_random_below(&random, (uint64_t)(101 - row));
            assert_ok(kt_ipc_column(file, c, (uint64_t)row, (uint64_t)count, &array, room, &oops));
            assert_int_equal(array.length, count);
            assert_same_rows(&written.batches[0]->columns[c], row, &array, 0, count);
            int64_t nulls = 0;
            for (int64_t i = 0; i < count; i++)
                nulls += kt_array_null(&written.batches[0]->columns[c], row + i);
            assert_int_equal(kt_array_null_count(&array), nulls);
        }
    }
    kith_error error = { 0 };
    assert_int_equal(kt_ipc_column(file, 0, 99, 2, &array, room, &error), KITH_INVALID);
    assert_int_equal(kt_ipc_column(file, 0, 137, 1, &array, room, &error), KITH_INVALID);
    assert_int_equal(kt_ipc_column(file, 0, UINT64_MAX, 2, &array, room, &error), KITH_INVALID);
    kt_ipc_close(file);
    forget(&written);
}

static void what_is_lent_can_be_collected(void **state)
{
    (void)state;
    struct written written = write_samples(KT_IPC_FILE);
    struct kt_ipc_file *file = NULL;
    struct kt_builder *builder = NULL;
    struct kt_batch *built = NULL;
    struct kt_array array, room[16];
    assert_ok(sample_open(&written.bytes, &file, &oops));
    assert_ok(kt_builder_new(kt_ipc_schema(file), 20, &builder, &oops));
    for (uint32_t c = 0; c < written.schema->count; c++)
        for (int64_t i = 0; i < 20; i++) { /* every fifth, backwards: as results are taken */
            assert_ok(kt_ipc_column(file, c, (uint64_t)(95 - 5 * i), 1, &array, room, &oops));
            assert_ok(kt_builder_append(builder, c, &array, 0, 1, &oops));
        }
    assert_ok(kt_builder_finish(builder, &built, &oops));
    for (uint32_t c = 0; c < written.schema->count; c++)
        for (int64_t i = 0; i < 20; i++)
            assert_same_rows(&written.batches[0]->columns[c], 95 - 5 * i, &built->columns[c], i, 1);
    kt_batch_release(built);
    kt_ipc_close(file);
    forget(&written);
}

static void buffers_are_aligned_in_the_file(void **state)
{
    (void)state;
    struct written written = write_samples(KT_IPC_FILE);
    struct kt_ipc_file *file = NULL;
    struct kt_array array, room[16];
    uint32_t vector = (uint32_t)kt_schema_find(written.schema, "vector");
    assert_ok(sample_open(&written.bytes, &file, &oops));
    for (uint64_t row = 0; row < 137; row += 100) {
        assert_ok(kt_ipc_column(file, vector, row, 1, &array, room, &oops));
        assert_int_equal((uintptr_t)kt_array_vector(&array, 0) % 64, 0);
    }
    kt_ipc_close(file);
    forget(&written);
}

static void some_columns_make_a_file_of_their_own(void **state)
{
    (void)state;
    struct kt_random random = sample_random();
    struct kt_schema *schema = sample_schema();
    struct kt_batch *batch = sample_batch(&random, schema, 40), *got = NULL;
    uint32_t columns[] = { (uint32_t)kt_schema_find(schema, "words"),
                           (uint32_t)kt_schema_find(schema, "vector") };
    struct kt_buffer bytes = { 0 };
    struct kt_sink *sink = NULL;
    struct kt_ipc_writer *writer = NULL;
    struct kt_ipc_file *file = NULL;
    assert_ok(kt_sink_memory(&bytes, &sink, &oops));
    assert_ok(kt_ipc_begin(sink, KT_IPC_FILE, schema, columns, 2, &writer, &oops));
    assert_ok(kt_ipc_write(writer, batch, &oops));
    assert_ok(kt_ipc_end(writer, &oops));
    assert_ok(kt_sink_finish(sink, NULL, &oops));
    assert_ok(sample_open(&bytes, &file, &oops));
    assert_ok(kt_ipc_batch(file, 0, &got, &oops));
    assert_int_equal(got->schema->count, 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(got->schema->fields[i].id, columns[i]);
        assert_same_rows(&batch->columns[columns[i]], 0, &got->columns[i], 0, 40);
    }
    kt_batch_release(got);
    kt_batch_release(batch);
    kt_ipc_close(file);
    kt_buffer_release(&bytes);
    kt_schema_release(schema);
}

/* ---- descriptors ---- */

static int as_file(const struct kt_buffer *bytes, size_t count)
{
    int fd = memfd_create("sample", 0);
    assert_int_equal(write(fd, bytes->data, count), (ssize_t)count);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

struct feed {
    int fd;
    const struct kt_buffer *bytes;
    size_t count;
};

static void *feed_pipe(void *context)
{
    struct feed *feed = context;
    for (size_t at = 0; at < feed->count;) { /* in odd pieces */
        size_t piece = feed->count - at < 777 ? feed->count - at : 777;
        ssize_t n = write(feed->fd, feed->bytes->data + at, piece);
        if (n <= 0) break;
        at += (size_t)n;
    }
    close(feed->fd);
    return NULL;
}

static void assert_reads(const struct written *written, int fd)
{
    struct ArrowArrayStream stream;
    struct kt_schema *schema = NULL;
    struct kt_batch *got = NULL;
    assert_ok(kt_ipc_read_descriptor(fd, &stream, &oops));
    assert_ok(kt_stream_schema(&stream, &schema, &oops));
    for (int i = 0; i < BATCHES; i++) {
        assert_ok(kt_stream_next(&stream, schema, &got, &oops));
        assert_non_null(got);
        assert_same_batch(written->batches[i], got);
        kt_batch_release(got);
    }
    assert_ok(kt_stream_next(&stream, schema, &got, &oops));
    assert_null(got);
    stream.release(&stream);
    kt_schema_release(schema);
}

static void files_and_streams_are_read_from_descriptors(void **state)
{
    (void)state;
    for (int form = KT_IPC_FILE; form <= KT_IPC_STREAM; form++) {
        struct written written = write_samples((enum kt_ipc_form)form);
        int fd = as_file(&written.bytes, written.bytes.size), ends[2];
        assert_reads(&written, fd);
        close(fd);
        pthread_t thread;
        assert_int_equal(pipe(ends), 0);
        struct feed feed = { ends[1], &written.bytes, written.bytes.size };
        pthread_create(&thread, NULL, feed_pipe, &feed);
        assert_reads(&written, ends[0]);
        pthread_join(thread, NULL);
        close(ends[0]);
        forget(&written);
    }
}

static kith_status read_all(int fd, kith_error *error)
{
    struct ArrowArrayStream stream;
    struct kt_schema *schema = NULL;
    struct kt_batch *got = NULL;
    kith_status status = kt_ipc_read_descriptor(fd, &stream, error);
    if (status) return status;
    status = kt_stream_schema(&stream, &schema, error);
    do {
        kt_batch_release(got);
        got = NULL;
        if (!status) status = kt_stream_next(&stream, schema, &got, error);
    } while (!status && got);
    stream.release(&stream);
    kt_schema_release(schema);
    return status;
}

static void a_cut_file_is_never_half_read_in_silence(void **state)
{
    (void)state;
    struct written written = write_samples(KT_IPC_FILE);
    struct kt_random random = sample_random();
    for (int trial = 0; trial < 100; trial++) {
        kith_error error = { 0 };
        int fd = as_file(&written.bytes, kt_random_below(&random, written.bytes.size));
        assert_int_not_equal(read_all(fd, &error), KITH_OK);
        assert_true(error.message[0]);
        close(fd);
    }
    forget(&written);
}

static void other_files_are_told_what_they_are(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *words;
    } others[] = {
        { "PAR1....", "Parquet" }, { "FEA1....", "Feather" }, { "id,vec\n1,2\n", "neither" }, { "", "empty" }
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct kt_buffer bytes = { 0 };
        kith_error error = { 0 };
        kt_buffer_append(&bytes, others[i].bytes, strlen(others[i].bytes));
        int fd = as_file(&bytes, bytes.size);
        assert_int_equal(read_all(fd, &error), KITH_INVALID);
        assert_says(&error, KITH_INVALID, others[i].words);
        close(fd);
        kt_buffer_release(&bytes);
    }
}

/* ---- dictionaries ---- */

static struct kt_batch *words_of(struct kt_schema *schema, const char *const *texts, int64_t rows)
{
    struct kt_batch *batch = NULL;
    struct kt_text_map map = { 0 };
    assert_ok(kt_batch_new(schema, rows, &batch, &oops));
    int32_t *indices = kt_batch_block(batch, (size_t)rows * 4);
    for (int64_t i = 0; i < rows; i++)
        indices[i] = (int32_t)kt_text_map_add(&map, (const uint8_t *)texts[i], (int64_t)strlen(texts[i]));
    assert_ok(kt_text_map_yield(&map, batch, &batch->columns[0].children[0], &oops));
    batch->columns[0].values = (const uint8_t *)indices;
    batch->columns[0].length = rows;
    return batch;
}

static void dictionaries_that_differ_are_one_in_a_file_and_replaced_in_a_stream(void **state)
{
    (void)state;
    struct kt_schema *schema = sample_one("words", KT_DICTIONARY, KT_UTF8);
    struct written written = { .schema = schema };
    written.batches[0] = words_of(schema, (const char *[]){ "red", "green", "red" }, 3);
    written.batches[1] = words_of(schema, (const char *[]){ "green", "red" }, 2);
    written.batches[2] = words_of(schema, (const char *[]){ "blue", "green", "black" }, 3);
    for (int form = KT_IPC_FILE; form <= KT_IPC_STREAM; form++) {
        written.bytes = sample_write((enum kt_ipc_form)form, schema, written.batches, BATCHES);
        int fd = as_file(&written.bytes, written.bytes.size);
        assert_reads(&written, fd);
        close(fd);
        if (form == KT_IPC_FILE) {
            struct kt_ipc_file *file = NULL;
            struct kt_array array, room[1];
            assert_ok(sample_open(&written.bytes, &file, &oops));
            for (int64_t row = 0; row < 3; row++) {
                assert_ok(kt_ipc_column(file, 0, (uint64_t)(5 + row), 1, &array, room, &oops));
                assert_same_rows(&written.batches[2]->columns[0], row, &array, 0, 1);
            }
            kt_ipc_close(file);
        }
        kt_buffer_release(&written.bytes);
    }
    forget(&written);
}

/* ---- compression ---- */

/* A file of one int64 column and one record batch, its value buffer replaced by `buffer` and said to be zstd.
 */
static struct kt_buffer compressed_file(const struct kt_schema *schema, int64_t rows, const void *buffer,
                                        size_t size)
{
    struct kt_buffer bytes = { 0 };
    struct kt_flatbuf_writer writer = { 0 };
    const struct kt_field *fields[] = { &schema->fields[0] };
    kt_buffer_append(&bytes, kt_ipc_magic, 8);
    kt_flatbuf_begin(&writer);
    struct kt_flatbuf_slots message = kt_flatbuf_put_table(&writer, 0, (const uint8_t[]){ 2, 1, 4, 8 }, 4);
    kt_flatbuf_put(&writer, message.at[0], IPC_V5, 2);
    kt_flatbuf_put(&writer, message.at[1], IPC_RECORD_BATCH, 1);
    kt_flatbuf_put(&writer, message.at[3], (int64_t)kt_round_up(size, 8), 8);
    struct kt_flatbuf_slots record =
        kt_flatbuf_put_table(&writer, message.at[2], (const uint8_t[]){ 8, 4, 4, 4 }, 4);
    kt_flatbuf_put(&writer, record.at[0], rows, 8);
    size_t at = kt_flatbuf_put_vector(&writer, record.at[1], 1, 16);
    kt_flatbuf_put(&writer, at, rows, 8);
    at = kt_flatbuf_put_vector(&writer, record.at[2], 2, 16);
    kt_flatbuf_put(&writer, at + 24, (int64_t)size, 8);
    struct kt_flatbuf_slots codec = kt_flatbuf_put_table(&writer, record.at[3], (const uint8_t[]){ 1, 1 }, 2);
    kt_flatbuf_put(&writer, codec.at[0], 1, 1);
    uint8_t prefix[8], block[24] = { 0 };
    size_t padded = kt_round_up(writer.out.size, 8);
    kt_put_u32(prefix, UINT32_MAX);
    kt_put_u32(prefix + 4, (uint32_t)padded);
    kt_put_u64(block, bytes.size);
    kt_put_u32(block + 8, (uint32_t)padded + 8);
    kt_put_u64(block + 16, kt_round_up(size, 8));
    kt_buffer_append(&bytes, prefix, 8);
    kt_buffer_append(&bytes, writer.out.data, writer.out.size);
    kt_buffer_append(&bytes, NULL, padded - writer.out.size);
    kt_buffer_append(&bytes, buffer, size);
    kt_buffer_append(&bytes, NULL, kt_round_up(size, 8) - size);
    kt_flatbuf_begin(&writer);
    struct kt_flatbuf_slots footer = kt_flatbuf_put_table(&writer, 0, (const uint8_t[]){ 2, 4, 4, 4 }, 4);
    kt_flatbuf_put(&writer, footer.at[0], IPC_V5, 2);
    kt_ipc_put_schema(&writer, footer.at[1], fields, 1, NULL);
    kt_flatbuf_put_vector(&writer, footer.at[2], 0, 24);
    at = kt_flatbuf_put_vector(&writer, footer.at[3], 1, 24);
    memcpy(writer.out.data + at, block, 24);
    kt_buffer_append(&bytes, writer.out.data, writer.out.size);
    kt_put_u32(prefix, (uint32_t)writer.out.size);
    kt_buffer_append(&bytes, prefix, 4);
    kt_buffer_append(&bytes, kt_ipc_magic, 6);
    kt_buffer_release(&writer.out);
    return bytes;
}

static void zstd_bodies_are_read_once(void **state)
{
    (void)state;
    enum { ROWS = 500 };
    struct kt_schema *schema = sample_one("x", KT_INT64, KT_NULL);
    int64_t numbers[ROWS], declared = sizeof numbers;
    uint8_t packed[8 + sizeof numbers + 100];
    for (int i = 0; i < ROWS; i++) numbers[i] = i / 7;
    memcpy(packed, &declared, 8);
    size_t size = 8 + ZSTD_compress(packed + 8, sizeof packed - 8, numbers, sizeof numbers, 3);
    struct kt_buffer bytes = compressed_file(schema, ROWS, packed, size);
    struct kt_ipc_file *file = NULL;
    struct kt_array first, second;
    assert_ok(sample_open(&bytes, &file, &oops));
    assert_ok(kt_ipc_column(file, 0, 100, 50, &first, NULL, &oops));
    assert_memory_equal(first.values + 8 * first.offset, numbers + 100, 50 * sizeof *numbers);
    assert_ok(kt_ipc_column(file, 0, 100, 50, &second, NULL, &oops));
    assert_ptr_equal(first.values, second.values);
    kt_ipc_close(file);
    kt_buffer_release(&bytes);
    kt_schema_release(schema);
}

static void a_bomb_is_refused_before_it_is_unpacked(void **state)
{
    (void)state;
    struct kt_schema *schema = sample_one("x", KT_INT64, KT_NULL);
    static const int64_t claims[] = { 1 << 20, (int64_t)300 << 20, INT64_MAX, -2, INT64_MIN };
    for (size_t i = 0; i < sizeof claims / sizeof claims[0]; i++) {
        uint8_t packed[40] = { 0 };
        struct kt_ipc_file *file = NULL;
        struct kt_array array;
        kith_error error = { 0 };
        memcpy(packed, &claims[i], 8);
        struct kt_buffer bytes = compressed_file(schema, 1 << 17, packed, sizeof packed);
        assert_ok(sample_open(&bytes, &file, &oops));
        assert_int_equal(kt_ipc_column(file, 0, 0, 1, &array, NULL, &error), KITH_CORRUPT);
        assert_says(&error, KITH_CORRUPT, "256 MiB");
        kt_ipc_close(file);
        kt_buffer_release(&bytes);
    }
    kt_schema_release(schema);
}

/* ---- threads ---- */

struct shared {
    struct kt_ipc_file *file;
    const struct written *written;
};

static void *look_up(void *context)
{
    struct shared *shared = context;
    struct kt_array array, room[16];
    kith_error error = { 0 };
    uintptr_t wrong = 0;
    uint32_t words = (uint32_t)kt_schema_find(shared->written->schema, "words");
    for (uint64_t row = 0; row < 100; row++) {
        wrong += kt_ipc_column(shared->file, words, row, 1, &array, room, &error) != KITH_OK;
        wrong += !same_value(&shared->written->batches[0]->columns[words], (int64_t)row, &array, 0);
    }
    return (void *)wrong;
}

static void threads_load_a_dictionary_at_once(void **state)
{
    (void)state;
    struct written written = write_samples(KT_IPC_FILE);
    for (int round = 0; round < 20; round++) {
        struct shared shared = { NULL, &written };
        pthread_t threads[4];
        assert_ok(sample_open(&written.bytes, &shared.file, &oops));
        for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, look_up, &shared);
        for (int i = 0; i < 4; i++) {
            void *wrong;
            pthread_join(threads[i], &wrong);
            assert_null(wrong);
        }
        kt_ipc_close(shared.file);
    }
    forget(&written);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_batches_come_back),
        cmocka_unit_test(the_schema_keeps_ids_and_nothing_shows_them),
        cmocka_unit_test(any_range_of_rows_is_lent),
        cmocka_unit_test(what_is_lent_can_be_collected),
        cmocka_unit_test(buffers_are_aligned_in_the_file),
        cmocka_unit_test(some_columns_make_a_file_of_their_own),
        cmocka_unit_test(files_and_streams_are_read_from_descriptors),
        cmocka_unit_test(a_cut_file_is_never_half_read_in_silence),
        cmocka_unit_test(other_files_are_told_what_they_are),
        cmocka_unit_test(dictionaries_that_differ_are_one_in_a_file_and_replaced_in_a_stream),
        cmocka_unit_test(zstd_bodies_are_read_once),
        cmocka_unit_test(a_bomb_is_refused_before_it_is_unpacked),
        cmocka_unit_test(threads_load_a_dictionary_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
