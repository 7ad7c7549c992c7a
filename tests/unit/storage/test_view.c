/* Sealed files: what is written through a sink comes back through views, and no flipped bit does. */
#include "unit/io/scratch.h"

#include <errno.h>
#include <pthread.h>

#include "base/random.h"
#include "io/io_posix.h"
#include "storage/blob.h"

static struct kt_posix_calls real;

static uint8_t *noise(uint64_t seed, size_t count)
{
    struct kt_random random = { seed };
    uint8_t *bytes = malloc(count + 8);
    for (size_t i = 0; i < count; i += 8) kt_put_u64(bytes + i, kt_random_u64(&random));
    return bytes;
}

/* A sealed file of `count` bytes, written in pieces of many sizes, with an Arrow-like footer behind. */
static struct kt_seal write_sealed(struct kt_io *io, const char *name, const uint8_t *bytes, size_t count,
                                   uint32_t block_bytes)
{
    struct kt_sink *sink = NULL;
    struct kt_seal seal = { 0 };
    assert_ok(kt_sink_create(io, name, block_bytes, &sink, &error));
    for (size_t at = 0, step = 1; at < count; at += step, step = step * 2 + 1) {
        if (step > count - at) step = count - at;
        assert_ok(kt_sink_write(sink, bytes + at, step, &error));
        assert_int_equal(kt_sink_at(sink), at + step);
    }
    assert_ok(kt_sink_seal(sink, &error));
    assert_ok(kt_sink_seal(sink, &error)); /* a second time is nothing */
    assert_ok(kt_sink_write(sink, "a footer", 8, &error));
    assert_ok(kt_sink_finish(sink, &seal, &error));
    return seal;
}

static void assert_view(struct kt_view_file *view, const uint8_t *bytes, uint64_t offset, uint64_t count)
{
    const uint8_t *lent = NULL;
    assert_ok(kt_view(view, offset, count, &lent, &error));
    assert_non_null(lent);
    assert_int_equal((uintptr_t)lent % 64, offset % 64);
    assert_memory_equal(lent, bytes + offset, count);
}

static void what_passed_the_sink_is_viewed(void **state)
{
    enum { SIZE = 1000 * 1000 + 3 };
    struct scratch scratch;
    struct kt_view_file *view = NULL;
    uint8_t *bytes = noise(1, SIZE);
    scratch_for(&scratch, state);
    struct kt_seal seal = write_sealed(scratch.io, "a", bytes, SIZE, KT_BLOCK_VECTORS);
    assert_int_equal(seal.table, (SIZE + 63) / 64 * 64);
    assert_int_equal(seal.length,
                     seal.table + 16 + 8 * ((seal.table + KT_BLOCK_VECTORS - 1) / KT_BLOCK_VECTORS) + 8);
    assert_ok(kt_view_open(scratch.io, "a", &seal, &view, &error));
    assert_int_equal(kt_view_length(view), seal.length);
    assert_string_equal(kt_view_name(view), "a");
    assert_view(view, bytes, SIZE - 1, 1);
    assert_view(view, bytes, 5, 100);
    assert_view(view, bytes, KT_BLOCK_VECTORS - 1, 2); /* over a border */
    assert_view(view, bytes, 0, 0);
    assert_view(view, bytes, 70000, 500000);
    assert_view(view, bytes, 0, SIZE);
    const uint8_t *footer = NULL;
    assert_ok(kt_view(view, seal.length - 8, 8, &footer, &error));
    assert_memory_equal(footer, "a footer", 8);
    assert_ok(kt_view(view, seal.length, 0, &footer, &error));
    assert_ok(kt_view(view, 0, seal.length, &footer, &error)); /* blocks, table and footer in one */
    assert_ok(kt_view_verify(view, &error));
    struct kt_view_file *again = kt_view_share(view);
    kt_view_close(view);
    assert_view(again, bytes, 0, SIZE);
    kt_view_close(again);
    kt_view_close(NULL);
    free(bytes);
    scratch_close(&scratch);
}

static void random_ranges_are_viewed(void **state)
{
    enum { SIZE = 300 * 1000 };
    const uint64_t seed = 20;
    struct scratch scratch;
    struct kt_random random = { seed };
    uint8_t *bytes = noise(2, SIZE);
    scratch_for(&scratch, state);
    printf("seed %llu\n", (unsigned long long)seed);
    struct kt_seal seal = write_sealed(scratch.io, "a", bytes, SIZE, 64); /* 4,688 blocks: 74 words of bits */
    for (int round = 0; round < 20; round++) {
        struct kt_view_file *view = NULL;
        assert_ok(kt_view_open(scratch.io, "a", &seal, &view, &error));
        for (int i = 0; i < 50; i++) {
            uint64_t offset = kt_random_below(&random, SIZE);
            uint64_t most = i % 2 ? 200 : SIZE;
            assert_view(view, bytes, offset, kt_random_below(&random, kt_min_u64(most, SIZE - offset) + 1));
        }
        kt_view_close(view);
    }
    free(bytes);
    scratch_close(&scratch);
}

static void ranges_outside_are_refused(void **state)
{
    struct scratch scratch;
    struct kt_view_file *view = NULL;
    const uint8_t *lent = NULL;
    uint8_t *bytes = noise(3, 1000);
    scratch_for(&scratch, state);
    struct kt_seal seal = write_sealed(scratch.io, "a", bytes, 1000, 128);
    assert_ok(kt_view_open(scratch.io, "a", &seal, &view, &error));
    assert_status(KITH_CORRUPT, kt_view(view, seal.length, 1, &lent, &error));
    assert_status(KITH_CORRUPT, kt_view(view, seal.length + 1, 0, &lent, &error));
    assert_status(KITH_CORRUPT, kt_view(view, 0, seal.length + 1, &lent, &error));
    assert_status(KITH_CORRUPT, kt_view(view, UINT64_MAX, 2, &lent, &error));
    assert_status(KITH_CORRUPT, kt_view(view, 2, UINT64_MAX, &lent, &error));
    assert_null(lent);
    kt_view_close(view);
    free(bytes);
    scratch_close(&scratch);
}

/* Reads a file's bytes, changes one, and puts them under another name. */
static void put_bytes(struct kt_io *io, const char *name, const uint8_t *bytes, size_t count)
{
    struct kt_io_writer *writer = NULL;
    assert_ok(kt_io_remove(io, name, &error));
    assert_ok(kt_io_create(io, name, &writer, &error));
    assert_ok(kt_io_append(writer, bytes, count, &error));
    assert_ok(kt_io_finish(writer, &error));
}

static kith_status read_all(struct kt_io *io, const char *name, const struct kt_seal *seal, kith_error *error)
{
    struct kt_view_file *view = NULL;
    const uint8_t *lent;
    kith_status status = kt_view_open(io, name, seal, &view, error);
    if (!status) status = kt_view(view, 0, kt_view_length(view), &lent, error);
    kt_view_close(view);
    return status;
}

static void every_flipped_bit_is_an_error_that_names_the_file(void **state)
{
    struct scratch scratch;
    struct kt_buffer file = { 0 };
    uint8_t *bytes = noise(4, 700);
    (void)state;
    scratch_open(&scratch, true); /* the checks are the same, the disk is not asked 10,000 times */
    struct kt_seal seal = write_sealed(scratch.io, "a", bytes, 700, 128);
    assert_ok(kt_io_read(scratch.io, "a", 1 << 20, &file, &error));
    assert_int_equal(file.size, seal.length);
    put_bytes(scratch.io, "flipped", file.data, file.size);
    assert_ok(read_all(scratch.io, "flipped", &seal, &error));
    for (size_t bit = 0; bit < file.size * 8; bit++) {
        kith_error told = { 0 };
        file.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        put_bytes(scratch.io, "flipped", file.data, file.size);
        file.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(read_all(scratch.io, "flipped", &seal, &told), KITH_CORRUPT);
        assert_non_null(strstr(told.message, "/flipped"));
        char block[32];
        snprintf(block, sizeof block, "block %zu ", bit / 8 / 128);
        if (bit / 8 < seal.table) assert_non_null(strstr(told.message, block));
    }
    kt_buffer_release(&file);
    free(bytes);
    scratch_close(&scratch);
}

/* A bad block does not make the others unreadable, and stays bad. */
static void a_bad_block_is_bad_alone(void **state)
{
    struct scratch scratch;
    struct kt_buffer file = { 0 };
    struct kt_view_file *view = NULL;
    const uint8_t *lent;
    uint8_t *bytes = noise(5, 1024);
    scratch_for(&scratch, state);
    struct kt_seal seal = write_sealed(scratch.io, "a", bytes, 1024, 128);
    assert_ok(kt_io_read(scratch.io, "a", 1 << 20, &file, &error));
    file.data[3 * 128 + 7] ^= 1;
    put_bytes(scratch.io, "a", file.data, file.size);
    assert_ok(kt_view_open(scratch.io, "a", &seal, &view, &error));
    assert_view(view, bytes, 0, 3 * 128);
    assert_status(KITH_CORRUPT, kt_view(view, 0, 1024, &lent, &error));
    assert_status(KITH_CORRUPT, kt_view(view, 3 * 128, 1, &lent, &error));
    assert_view(view, bytes, 4 * 128, 4 * 128);
    assert_status(KITH_CORRUPT, kt_view_verify(view, &error));
    kt_view_close(view);
    kt_buffer_release(&file);
    free(bytes);
    scratch_close(&scratch);
}

static void truncations_and_impossible_seals_are_refused(void **state)
{
    struct scratch scratch;
    struct kt_buffer file = { 0 };
    uint8_t *bytes = noise(6, 500);
    (void)state;
    scratch_open(&scratch, true);
    const struct kt_seal seal = write_sealed(scratch.io, "a", bytes, 500, 64);
    assert_ok(kt_io_read(scratch.io, "a", 1 << 20, &file, &error));
    for (size_t size = 0; size < file.size; size++) {
        put_bytes(scratch.io, "cut", file.data, size);
        assert_status(KITH_CORRUPT, read_all(scratch.io, "cut", &seal, &error));
        struct kt_seal shorter = seal; /* as if the log said so */
        shorter.length = size;
        assert_status(KITH_CORRUPT, read_all(scratch.io, "cut", &shorter, &error));
    }
    struct kt_seal bad[] = { seal, seal, seal, seal, seal, seal, seal, seal };
    bad[0].block_bytes = 0, bad[1].block_bytes = 100, bad[2].block_bytes = 1u << 31, bad[3].block_bytes = 128;
    bad[4].table = UINT64_MAX - 63, bad[5].table = 0, bad[6].table += 64, bad[7].table -= 1;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_status(KITH_CORRUPT, read_all(scratch.io, "a", &bad[i], &error));
    assert_status(KITH_NOT_FOUND, read_all(scratch.io, "none", &seal, &error));
    kt_buffer_release(&file);
    free(bytes);
    scratch_close(&scratch);
}

static void an_empty_file_can_be_sealed(void **state)
{
    struct scratch scratch;
    struct kt_sink *sink = NULL;
    struct kt_seal seal;
    scratch_for(&scratch, state);
    assert_ok(kt_sink_create(scratch.io, "a", KT_BLOCK_COLUMNS, &sink, &error));
    assert_ok(kt_sink_finish(sink, &seal, &error)); /* seals by itself */
    assert_int_equal(seal.length, 16);
    assert_ok(read_all(scratch.io, "a", &seal, &error));
    scratch_close(&scratch);
}

static void an_abandoned_sink_leaves_nothing(void **state)
{
    struct scratch scratch;
    struct kt_sink *sink = NULL;
    scratch_for(&scratch, state);
    assert_ok(kt_sink_create(scratch.io, "a", KT_BLOCK_COLUMNS, &sink, &error));
    assert_ok(kt_sink_write(sink, NULL, 100000, &error));
    kt_sink_abandon(sink);
    kt_sink_abandon(NULL);
    assert_false(kt_io_exists(scratch.io, "a"));
    scratch_close(&scratch);
}

static void sinks_go_to_memory_and_descriptors_too(void **state)
{
    enum { SIZE = 700 * 1000 };
    struct kt_buffer buffer = { 0 };
    struct kt_sink *sink = NULL;
    uint8_t *bytes = noise(7, SIZE), *back = malloc(SIZE);
    (void)state;
    assert_ok(kt_sink_memory(&buffer, &sink, &error));
    assert_ok(kt_sink_write(sink, "ab", 2, &error));
    assert_ok(kt_sink_align(sink, 64, &error));
    assert_ok(kt_sink_seal(sink, &error));
    assert_int_equal(kt_sink_at(sink), 64);
    assert_ok(kt_sink_finish(sink, NULL, &error));
    assert_int_equal(buffer.size, 64);
    assert_memory_equal(buffer.data, "ab\0\0", 4);
    kt_buffer_release(&buffer);

    FILE *file = tmpfile();
    assert_ok(kt_sink_descriptor(fileno(file), &sink, &error));
    for (size_t at = 0, step = 1; at < SIZE; at += step, step = step * 5) {
        if (step > SIZE - at) step = SIZE - at;
        assert_ok(kt_sink_write(sink, bytes + at, step, &error));
    }
    assert_ok(kt_sink_finish(sink, NULL, &error));
    rewind(file);
    assert_int_equal(fread(back, 1, SIZE, file), SIZE);
    assert_memory_equal(back, bytes, SIZE);
    fclose(file);
    free(bytes);
    free(back);
}

static void memory_can_be_viewed(void **state)
{
    struct kt_view_file *view = NULL;
    const uint8_t *lent;
    (void)state;
    for (size_t skew = 0; skew < 2; skew++) { /* aligned, and most likely not */
        uint8_t *bytes = skew ? kt_alloc(100) : kt_alloc_aligned(100);
        memset(bytes, 'x', 100);
        assert_ok(kt_view_from_memory("rows", bytes, 100, &view, &error));
        assert_ok(kt_view(view, 3, 97, &lent, &error));
        assert_int_equal((uintptr_t)lent % 64, 3);
        assert_int_equal(lent[96], 'x');
        assert_status(KITH_CORRUPT, kt_view(view, 3, 98, &lent, &error));
        assert_ok(kt_view_verify(view, &error));
        kt_view_close(view);
    }
}

/* ---- a disk that refuses */

static int reads_left;
static ssize_t read_until(int fd, void *to, size_t count, off_t offset)
{
    if (reads_left-- <= 0) return errno = EIO, -1;
    return real.read_at(fd, to, count, offset);
}

static void *refuse_map(void *where, size_t count, int protection, int flags, int fd, off_t offset)
{
    (void)where, (void)count, (void)protection, (void)flags, (void)fd, (void)offset;
    return errno = ENOMEM, (void *)-1;
}

static void a_bad_disk_is_a_status(void **state)
{
    struct scratch scratch;
    struct kt_view_file *view = NULL;
    const uint8_t *lent;
    uint8_t *bytes = noise(8, 1000);
    (void)state;
    scratch_open(&scratch, false);
    struct kt_seal seal = write_sealed(scratch.io, "a", bytes, 1000, 128);
    kt_posix.read_at = read_until;
    reads_left = 0;
    assert_status(KITH_IO, kt_view_open(scratch.io, "a", &seal, &view, &error));
    reads_left = 3; /* the tail and two blocks */
    assert_ok(kt_view_open(scratch.io, "a", &seal, &view, &error));
    assert_view(view, bytes, 0, 256);
    assert_status(KITH_IO, kt_view(view, 0, 257, &lent, &error));
    assert_view(view, bytes, 0, 256); /* verified before */
    reads_left = 100;
    assert_view(view, bytes, 0, 1000); /* a disk may recover */
    kt_view_close(view);
    kt_posix = real;
    free(bytes);
    scratch_close(&scratch);
}

static void without_maps_the_file_is_read_into_memory(void **state)
{
    struct scratch scratch;
    struct kt_view_file *view = NULL;
    uint8_t *bytes = noise(9, 1000);
    (void)state;
    scratch_open(&scratch, false);
    struct kt_seal seal = write_sealed(scratch.io, "a", bytes, 1000, 128);
    kt_posix.map = refuse_map;
    assert_ok(kt_view_open(scratch.io, "a", &seal, &view, &error));
    assert_view(view, bytes, 0, 1000);
    kt_view_close(view);
    kt_posix = real;
    free(bytes);
    scratch_close(&scratch);
}

/* ---- threads */

struct viewer {
    struct kt_view_file *view;
    const uint8_t *bytes;
    size_t size;
    uint64_t seed;
    int wrong;
};

static void *view_at_random(void *context)
{
    struct viewer *viewer = context;
    struct kt_random random = { viewer->seed };
    for (int i = 0; i < 2000; i++) {
        const uint8_t *lent;
        uint64_t offset = kt_random_below(&random, viewer->size);
        uint64_t count = kt_random_below(&random, kt_min_u64(3000, viewer->size - offset) + 1);
        if (kt_view(viewer->view, offset, count, &lent, NULL) || memcmp(lent, viewer->bytes + offset, count))
            viewer->wrong++;
    }
    return NULL;
}

static void threads_verify_the_same_blocks(void **state)
{
    enum { THREADS = 4, SIZE = 400 * 1000 };
    struct scratch scratch;
    struct kt_view_file *view = NULL;
    struct viewer viewers[THREADS];
    pthread_t threads[THREADS];
    uint8_t *bytes = noise(10, SIZE);
    scratch_for(&scratch, state);
    struct kt_seal seal = write_sealed(scratch.io, "a", bytes, SIZE, 1024);
    assert_ok(kt_view_open(scratch.io, "a", &seal, &view, &error));
    for (int i = 0; i < THREADS; i++) {
        viewers[i] = (struct viewer){ view, bytes, SIZE, (uint64_t)i / 2, 0 };
        assert_int_equal(pthread_create(&threads[i], NULL, view_at_random, &viewers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(viewers[i].wrong, 0);
    }
    kt_view_close(view);
    free(bytes);
    scratch_close(&scratch);
}

int main(void)
{
    real = kt_posix;
    const struct CMUnitTest tests[] = {
        on_both(what_passed_the_sink_is_viewed),
        on_both(random_ranges_are_viewed),
        on_both(ranges_outside_are_refused),
        cmocka_unit_test(every_flipped_bit_is_an_error_that_names_the_file),
        on_both(a_bad_block_is_bad_alone),
        cmocka_unit_test(truncations_and_impossible_seals_are_refused),
        on_both(an_empty_file_can_be_sealed),
        on_both(an_abandoned_sink_leaves_nothing),
        cmocka_unit_test(sinks_go_to_memory_and_descriptors_too),
        cmocka_unit_test(memory_can_be_viewed),
        cmocka_unit_test(a_bad_disk_is_a_status),
        cmocka_unit_test(without_maps_the_file_is_read_into_memory),
        on_both(threads_verify_the_same_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
