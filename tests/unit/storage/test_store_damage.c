/* Damaged and hostile logs: what was written is told from what was not, and nothing that can be written
 * crashes a reader, not even under a right checksum. */
#include "unit/storage/store_fixture.h"

#include "base/random.h"

static const char PIECE[] = "000102030405060708090a0b0c0d0e0f",
                  OLD_PIECE[] = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";

/* A store in memory whose last commit has everything in it, and the bytes of that. */
struct sample {
    struct scratch scratch;
    struct kt_store *store;
    struct kt_state *before, *after;
    char name[64]; /* log/<N>.commit */
    struct kt_buffer commit, checkpoint;
};

static void sample_make(struct sample *sample)
{
    *sample = (struct sample){ 0 };
    scratch_open(&sample->scratch, true);
    sample->store = store_with_schema(sample->scratch.io, "t.kith");
    kt_state_release(done(sample->store, (struct change){ .rows = 7, .inlined = "seven\nrows\n" }));
    sample->before =
        done(sample->store,
             (struct change){
                 .rows = 90, .file_bytes = 5000, .piece = OLD_PIECE, .deletes = { 6 }, .delete_count = 1 });
    sample->after = done(sample->store, (struct change){ .rows = 2,
                                                         .inlined = "\npayload\n\n",
                                                         .piece = PIECE,
                                                         .remove_piece = OLD_PIECE,
                                                         .key = "metric",
                                                         .value = "dot",
                                                         .deletes = { 0, 1, 2, 7, 80, 95, 96 },
                                                         .delete_count = 7,
                                                         .txn_key = "a key",
                                                         .tag = "the first",
                                                         .tagged = 1,
                                                         .schema = "{\"a\":[1,2.5,null,true]}" });
    snprintf(sample->name, sizeof sample->name, "log/%020llu.commit",
             (unsigned long long)sample->after->commit);
    assert_ok(kt_io_read(kt_store_io(sample->store), sample->name, 1 << 20, &sample->commit, &error));
    assert_ok(kt_checkpoint_encode(sample->after, &sample->checkpoint, &error));
}

static void sample_release(struct sample *sample)
{
    kt_buffer_release(&sample->commit);
    kt_buffer_release(&sample->checkpoint);
    kt_state_release(sample->before);
    kt_state_release(sample->after);
    kt_store_close(sample->store);
    scratch_close(&sample->scratch);
}

/* Replays bytes on the state before; a result must be sound. */
static kith_status replay(const struct sample *sample, const void *bytes, size_t size, kith_error *error)
{
    struct kt_state *state = kt_state_copy(sample->before);
    assert_non_null(state);
    kith_status status = kt_replay_commit(state, bytes, size, error);
    if (!status) assert_sound_state(state);
    kt_state_release(state);
    return status;
}

static kith_status decode(const void *bytes, size_t size, kith_error *error)
{
    struct kt_state *state = NULL;
    kith_status status = kt_checkpoint_decode(bytes, size, &state, error);
    if (!status) assert_sound_state(state);
    kt_state_release(state);
    return status;
}

static void the_sample_itself_is_read(void **state)
{
    struct sample sample;
    struct kt_state *decoded = NULL;
    (void)state;
    sample_make(&sample);
    assert_ok(replay(&sample, sample.commit.data, sample.commit.size, &error));
    assert_ok(kt_checkpoint_decode(sample.checkpoint.data, sample.checkpoint.size, &decoded, &error));
    assert_same_state(decoded, sample.after);
    kt_state_release(decoded);
    sample_release(&sample);
}

static void every_flipped_bit_of_a_commit_is_found(void **state)
{
    struct sample sample;
    (void)state;
    sample_make(&sample);
    for (size_t bit = 0; bit < sample.commit.size * 8; bit++) {
        sample.commit.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (replay(&sample, sample.commit.data, sample.commit.size, NULL) != KITH_CORRUPT)
            fail_msg("bit %zu of a commit", bit);
        sample.commit.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    sample_release(&sample);
}

static void every_flipped_bit_of_a_checkpoint_is_found(void **state)
{
    struct sample sample;
    (void)state;
    sample_make(&sample);
    for (size_t bit = 0; bit < sample.checkpoint.size * 8; bit++) {
        sample.checkpoint.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (decode(sample.checkpoint.data, sample.checkpoint.size, NULL) != KITH_CORRUPT)
            fail_msg("bit %zu of a checkpoint", bit);
        sample.checkpoint.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    sample_release(&sample);
}

static void every_truncation_is_found(void **state)
{
    struct sample sample;
    (void)state;
    sample_make(&sample);
    for (size_t size = 0; size < sample.commit.size; size++)
        assert_status(KITH_CORRUPT, replay(&sample, sample.commit.data, size, &error));
    for (size_t size = 0; size < sample.checkpoint.size; size++)
        assert_status(KITH_CORRUPT, decode(sample.checkpoint.data, size, &error));
    sample_release(&sample);
}

/* ---- in a folder */

static void replace_file(struct kt_io *io, const char *name, const void *bytes, size_t count)
{
    struct kt_io_writer *writer = NULL;
    assert_ok(kt_io_remove(io, name, &error));
    assert_ok(kt_io_create(io, name, &writer, &error));
    assert_ok(kt_io_append(writer, bytes, count, &error));
    assert_ok(kt_io_finish(writer, &error));
}

static void a_damaged_newest_commit_is_told_with_the_ways_out(void **state)
{
    struct sample sample;
    struct kt_store *store = NULL;
    struct kt_state *loaded = NULL;
    (void)state;
    sample_make(&sample);
    for (int kind = 0; kind < 3; kind++) {
        kith_error told = { 0 };
        size_t size = kind == 0 ? sample.commit.size : kind == 1 ? 0 : sample.commit.size / 2;
        if (kind == 0) sample.commit.data[100] ^= 4;
        replace_file(kt_store_io(sample.store), sample.name, sample.commit.data, size);
        if (kind == 0) sample.commit.data[100] ^= 4;
        assert_ok(kt_store_open(sample.scratch.io, "t.kith", &store, &error));
        assert_int_equal(kt_store_load(store, &loaded, &told), KITH_CORRUPT);
        assert_non_null(strstr(told.message, sample.name));
        assert_non_null(strstr(told.message, "Version 3"));
        assert_non_null(strstr(told.message, "from a copy"));
        struct change change = { .rows = 1, .inlined = "not on top of that" };
        assert_status(KITH_CORRUPT, commit_change(store, &change, NULL, &error));
        assert_ok(kt_store_load_version(store, 3, &loaded, &error));
        assert_same_state(loaded, sample.before);
        kt_state_release(loaded);
        assert_status(KITH_NOT_FOUND, kt_store_load_version(store, 4, &loaded, &error));
        kt_store_close(store);
    }
    assert_ok(kt_store_open(sample.scratch.io, "t.kith", &store, &error));
    assert_ok(
        kt_store_drop(store, sample.scratch.io, "t.kith", &error)); /* it can be thrown away all the same */
    assert_int_equal(names_in(sample.scratch.io, ""), 0);
    kt_store_close(store);
    sample_release(&sample);
}

static void a_missing_commit_is_named(void **state)
{
    struct sample sample;
    struct kt_store *store = NULL;
    struct kt_state *loaded = NULL;
    (void)state;
    sample_make(&sample);
    assert_ok(kt_io_remove(kt_store_io(sample.store), "log/00000000000000000002.commit", &error));
    kith_error told = { 0 };
    assert_ok(kt_store_open(sample.scratch.io, "t.kith", &store, &error));
    assert_int_equal(kt_store_load(store, &loaded, &told), KITH_CORRUPT);
    assert_non_null(strstr(told.message, "log/00000000000000000002.commit is missing"));
    assert_ok(kt_store_load_version(store, 1, &loaded, &error));
    assert_int_equal(loaded->commit, 1);
    kt_state_release(loaded);
    kt_store_close(store);
    sample_release(&sample);
}

static void a_damaged_checkpoint_is_passed_over(void **state)
{
    struct sample sample;
    char name[64];
    (void)state;
    sample_make(&sample);
    struct kt_io *io = kt_store_io(sample.store);
    snprintf(name, sizeof name, "log/%020llu.checkpoint", (unsigned long long)sample.after->commit);
    sample.checkpoint.data[50] ^= 1;
    replace_file(io, name, sample.checkpoint.data, sample.checkpoint.size);
    struct kt_state *loaded = load_afresh(sample.scratch.io, "t.kith");
    assert_same_state(loaded, sample.after);
    kt_state_release(loaded);

    sample.checkpoint.data[50] ^= 1; /* and a good one is used: the commits may go */
    replace_file(io, name, sample.checkpoint.data, sample.checkpoint.size);
    for (int i = 1; i < 4; i++) {
        char commit[64];
        snprintf(commit, sizeof commit, "log/%020d.commit", i);
        assert_ok(kt_io_remove(io, commit, &error));
    }
    loaded = load_afresh(sample.scratch.io, "t.kith");
    assert_same_state(loaded, sample.after);
    kt_state_release(loaded);

    replace_file(io, "log/00000000000000000009.checkpoint", sample.checkpoint.data, sample.checkpoint.size);
    struct kt_store *store = NULL; /* a checkpoint under another's name, that is, a log that ends before it */
    assert_ok(kt_store_open(sample.scratch.io, "t.kith", &store, &error));
    assert_status(KITH_CORRUPT, kt_store_load(store, &loaded, &error));
    kt_store_close(store);
    sample_release(&sample);
}

static void a_commit_of_another_history_is_found(void **state)
{
    struct sample sample, other;
    struct kt_store *store = NULL;
    struct kt_state *loaded = NULL;
    (void)state;
    sample_make(&sample);
    sample_make(&other);
    replace_file(kt_store_io(sample.store), sample.name, other.commit.data, other.commit.size);
    assert_ok(kt_store_open(sample.scratch.io, "t.kith", &store, &error));
    kith_error told = { 0 };
    assert_int_equal(kt_store_load(store, &loaded, &told), KITH_CORRUPT);
    assert_non_null(strstr(told.message, "belongs to table"));
    kt_store_close(store);
    sample_release(&sample);
    sample_release(&other);
}

/* ---- under a right checksum */

/* Writes the last line anew over `text` and payloads of `lengths` (JSON text). */
static struct kt_buffer sealed(const void *bytes, size_t count, const char *lengths)
{
    struct kt_buffer out = { 0 };
    char hash[17];
    assert_true(kt_buffer_append(&out, bytes, count));
    kt_hash_text(kt_hash(out.data, out.size), hash);
    assert_true(kt_buffer_text(&out, "{\"payloads\":%s,\"xxh3\":\"%s\"}\n", lengths, hash));
    return out;
}

/* A commit whose header is right but for `change` (a JSON object laid over it), and whose action is `action`.
 */
static kith_status read_crafted(const struct sample *sample, const char *change, const char *action,
                                const char *lengths, kith_error *error)
{
    struct kt_txn_seen txn = { 0 };
    struct kt_commit_header header = { .commit = sample->before->commit + 1,
                                       .version = sample->before->version + 1,
                                       .parent = sample->before->hash,
                                       .time_us = 5,
                                       .operation = "append",
                                       .txns = &txn,
                                       .txn_count = 1 };
    memcpy(header.table_id, sample->before->table_id, 33);
    json_t *record = kt_record_header(&header), *over = json_loads(change, 0, NULL);
    assert_non_null(over);
    json_object_update(record, over);
    char *line = json_dumps(record, JSON_COMPACT);
    struct kt_buffer text = { 0 };
    assert_true(kt_buffer_text(&text, "%s\n%s", line, action));
    struct kt_buffer file = sealed(text.data, text.size, lengths);
    kith_status status = replay(sample, file.data, file.size, error);
    kt_buffer_release(&text);
    kt_buffer_release(&file);
    free(line);
    json_decref(record);
    json_decref(over);
    return status;
}

static void headers_are_checked(void **state)
{
    static const struct {
        const char *change;
        kith_status expected;
    } cases[] = {
        { "{}", KITH_OK },
        { "{\"later\":[1,2]}", KITH_OK }, /* what is not in `needs` may be ignored */
        { "{\"kith\":2}", KITH_UNSUPPORTED },
        { "{\"kith\":0}", KITH_CORRUPT },
        { "{\"kith\":\"1\"}", KITH_CORRUPT },
        { "{\"needs\":[\"tags\"]}", KITH_UNSUPPORTED },
        { "{\"needs\":[7]}", KITH_UNSUPPORTED },
        { "{\"needs\":null}", KITH_CORRUPT },
        { "{\"encryption\":{}}", KITH_UNSUPPORTED },
        { "{\"commit\":3}", KITH_CORRUPT },
        { "{\"commit\":5}", KITH_CORRUPT },
        { "{\"commit\":-1}", KITH_CORRUPT },
        { "{\"commit\":4.0}", KITH_CORRUPT },
        { "{\"version\":2}", KITH_CORRUPT },
        { "{\"version\":3}", KITH_OK }, /* maintenance */
        { "{\"version\":5}", KITH_CORRUPT },
        { "{\"parent\":\"0000000000000000\"}", KITH_CORRUPT },
        { "{\"parent\":\"00\"}", KITH_CORRUPT },
        { "{\"table\":\"00000000000000000000000000000000\"}", KITH_CORRUPT },
        { "{\"table\":\"\"}", KITH_CORRUPT },
        { "{\"txns\":[]}", KITH_CORRUPT },
        { "{\"txns\":{}}", KITH_CORRUPT },
        { "{\"txns\":[{\"id\":\"00112233445566778899aabbccddeeff\",\"key\":\"k\"},"
          "{\"id\":\"00112233445566778899aabbccddee00\"}]}",
          KITH_OK },
        { "{\"txns\":[{\"id\":\"00112233445566778899aabbccddeeff\"},7]}", KITH_CORRUPT },
        { "{\"txns\":[{\"id\":\"00112233445566778899aabbccddeeff\",\"key\":7}]}", KITH_CORRUPT },
        { "{\"txns\":[{\"id\":\"00112233445566778899aabbccddeeff\",\"key\":\"\"}]}", KITH_CORRUPT },
        { "{\"txns\":[{\"key\":\"k\"}]}", KITH_CORRUPT },
        { "{\"time_us\":\"now\"}", KITH_CORRUPT },
        { "{\"operation\":\"\"}", KITH_CORRUPT },
        { "{\"operation\":\"a-very-long-operation\"}", KITH_CORRUPT },
    };
    struct sample sample;
    (void)state;
    sample_make(&sample);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kith_error told = { 0 };
        kith_status status = read_crafted(&sample, cases[i].change, "", "[]", &told);
        if (status != cases[i].expected)
            fail_msg("%s: %s %s", cases[i].change, kith_status_name(status), told.message);
    }
    sample_release(&sample);
}

#define SEAL "\"length\":200,\"table\":64,\"tail\":\"0011223344556677\",\"block\":64"
#define FILE_OF(name) "{\"name\":\"" name "\"," SEAL ",\"fields\":[0]}"
#define FRAGMENT(files) "{\"do\":\"add_fragment\",\"first_row\":97,\"rows\":1,\"files\":[" files "]}\n"
#define REMOVE(row) "{\"do\":\"remove_fragment\",\"first_row\":" row "}\n"
#define REPLACE(row, rows)                                                                                   \
    "{\"do\":\"replace_fragments\",\"first_row\":" row ",\"rows\":" rows                                     \
    ",\"files\":[" FILE_OF("data/a.arrow") "]}\n"
#define DELETE(rows, bytes) "{\"do\":\"delete\",\"rows\":" rows ",\"bytes\":" bytes "}\n"
#define SPAN(row, rows, span)                                                                                \
    "{\"do\":\"replace_fragments\",\"first_row\":" row ",\"rows\":" rows ",\"span\":" span                   \
    ",\"files\":[" FILE_OF("data/a.arrow") "]}\n"
#define HOLES(row, rows, span, bytes)                                                                        \
    "{\"do\":\"replace_fragments\",\"first_row\":" row ",\"rows\":" rows ",\"span\":" span                   \
    ",\"holes\":" bytes ",\"files\":[" FILE_OF("data/a.arrow") "]}\n"
#define FORGET(below) "{\"do\":\"forget\",\"below\":" below "}\n"
#define TAG(name, version, commit)                                                                           \
    "{\"do\":\"tag\",\"name\":" name ",\"version\":" version ",\"commit\":" commit "}\n"
#define RESTORE(row, rows)                                                                                   \
    "{\"do\":\"restore_fragment\",\"first_row\":" row ",\"rows\":" rows                                      \
    ",\"files\":[" FILE_OF("data/a.arrow") "]}\n"
#define PIECE_OF(id, covers)                                                                                 \
    "{\"do\":\"add_piece\",\"id\":\"" id "\",\"index\":\"i\",\"file\":{\"name\":\"index/a.kix\"," SEAL       \
    "},\"covers\":" covers "}\n"
#define SOME_ID "000102030405060708090a0b0c0d0e0f"

static void actions_are_checked(void **state)
{
    static const struct {
        const char *action;
        const char *lengths;
        kith_status expected;
    } cases[] = {
        { FRAGMENT(FILE_OF("data/0a-1.arrow")), "[]", KITH_OK },
        { FRAGMENT(FILE_OF("data/../../../etc/passwd")), "[]", KITH_CORRUPT },
        { FRAGMENT(FILE_OF("/etc/passwd")), "[]", KITH_CORRUPT },
        { FRAGMENT(FILE_OF("data/a.arrow/../b.arrow")), "[]", KITH_CORRUPT },
        { FRAGMENT(FILE_OF("data/.arrow")), "[]", KITH_CORRUPT },
        { FRAGMENT(FILE_OF("data/A.arrow")), "[]", KITH_CORRUPT },
        { FRAGMENT(FILE_OF("index/a.kix")), "[]", KITH_CORRUPT },
        { FRAGMENT(FILE_OF("data/00000000000000000000000000000000000000000000000000.arrow")), "[]",
          KITH_CORRUPT },
        { FRAGMENT("{\"name\":\"data/"
                   "a.arrow\",\"length\":200,\"table\":63,\"tail\":\"0011223344556677\",\"block\":64,"
                   "\"fields\":[]}"),
          "[]", KITH_CORRUPT },
        { FRAGMENT("{\"name\":\"data/"
                   "a.arrow\",\"length\":200,\"table\":192,\"tail\":\"0011223344556677\",\"block\":64,"
                   "\"fields\":[]}"),
          "[]", KITH_CORRUPT },
        { FRAGMENT("{\"name\":\"data/"
                   "a.arrow\",\"length\":200,\"table\":64,\"tail\":\"0011223344556677\",\"block\":0,"
                   "\"fields\":[]}"),
          "[]", KITH_CORRUPT },
        { FRAGMENT("{\"name\":\"data/"
                   "a.arrow\",\"length\":200,\"table\":64,\"tail\":\"\",\"block\":64,\"fields\":[]}"),
          "[]", KITH_CORRUPT },
        { FRAGMENT("{\"name\":\"data/a.arrow\"," SEAL ",\"fields\":[-1]}"), "[]", KITH_CORRUPT },
        { FRAGMENT("{\"name\":\"data/a.arrow\"," SEAL ",\"fields\":[2147483648]}"), "[]", KITH_CORRUPT },
        { FRAGMENT("{\"name\":\"data/a.arrow\"," SEAL "}"), "[]", KITH_CORRUPT },
        { FRAGMENT("7"), "[]", KITH_CORRUPT },
        { FRAGMENT(""), "[]", KITH_CORRUPT },
        { "{\"do\":\"add_fragment\",\"first_row\":97,\"rows\":1,\"files\":[],\"inline\":3}\nabc\n", "[3]",
          KITH_OK },
        { "{\"do\":\"add_fragment\",\"first_row\":97,\"rows\":1,\"files\":[],\"inline\":0}\n\n", "[0]",
          KITH_OK },
        { "{\"do\":\"add_fragment\",\"first_row\":97,\"rows\":1,\"files\":[],\"inline\":4}\nabc\n", "[3]",
          KITH_CORRUPT },
        { "{\"do\":\"add_fragment\",\"first_row\":97,\"rows\":1,\"files\":[],\"inline\":-1}\nabc\n", "[3]",
          KITH_CORRUPT },
        { "{\"do\":\"add_fragment\",\"first_row\":97,\"rows\":1,\"files\":[],\"inline\":3}\n", "[]",
          KITH_CORRUPT },
        { "abc\n", "[3]", KITH_CORRUPT },
        { "abc\n", "[-3]", KITH_CORRUPT },
        { "abc\n", "[9223372036854775807,9223372036854775807,5]", KITH_CORRUPT },
        { "abc\n", "{}", KITH_CORRUPT },
        { "{\"do\":\"add_fragment\",\"first_row\":97,\"rows\":1,\"files\":[" FILE_OF(
              "data/a.arrow") "],\"inline\":3}\nabc\n",
          "[3]", KITH_CORRUPT },
        { "{\"do\":\"add_fragment\",\"first_row\":96,\"rows\":1,\"files\":[" FILE_OF("data/a.arrow") "]}\n",
          "[]", KITH_CORRUPT },
        { "{\"do\":\"add_fragment\",\"first_row\":97,\"rows\":0,\"files\":[" FILE_OF("data/a.arrow") "]}\n",
          "[]", KITH_CORRUPT },
        { "{\"do\":\"add_fragment\",\"first_row\":97,\"rows\":4611686018427387904,\"files\":[" FILE_OF(
              "data/a.arrow") "]}\n",
          "[]", KITH_CORRUPT },
        { "{\"do\":\"add_fragment\",\"first_row\":97,\"rows\":9223372036854775807,\"files\":[" FILE_OF(
              "data/a.arrow") "]}\n",
          "[]", KITH_CORRUPT },
        { REMOVE("0"), "[]", KITH_OK },
        { REMOVE("7"), "[]", KITH_OK },
        { REMOVE("8"), "[]", KITH_CORRUPT },
        { REMOVE("97"), "[]", KITH_CORRUPT },
        { REMOVE("\"0\""), "[]", KITH_CORRUPT },
        { REPLACE("0", "97"), "[]", KITH_OK },
        { REPLACE("0", "7"), "[]", KITH_OK },
        { REPLACE("0", "8"), "[]", KITH_CORRUPT },
        { REPLACE("0", "98"), "[]", KITH_CORRUPT },
        { REMOVE("0") REPLACE("0", "97"), "[]",
          KITH_OK }, /* some of the 97 may have died since they were read */
        { REMOVE("0") REMOVE("0"), "[]", KITH_CORRUPT },
        { PIECE_OF(SOME_ID, "[[0,97]]"), "[]", KITH_OK },
        { PIECE_OF(SOME_ID, "[]"), "[]", KITH_OK },
        { PIECE_OF(SOME_ID, "[[0,98]]"), "[]", KITH_CORRUPT },
        { PIECE_OF(SOME_ID, "[[5,5]]"), "[]", KITH_CORRUPT },
        { PIECE_OF(SOME_ID, "[[0,6],[5,7]]"), "[]", KITH_CORRUPT },
        { PIECE_OF(SOME_ID, "[[-1,6]]"), "[]", KITH_CORRUPT },
        { PIECE_OF(SOME_ID, "[7]"), "[]", KITH_CORRUPT },
        { PIECE_OF(SOME_ID, "7"), "[]", KITH_CORRUPT },
        { PIECE_OF("00", "[]"), "[]", KITH_CORRUPT },
        { PIECE_OF(SOME_ID, "[]") PIECE_OF(SOME_ID, "[]"), "[]", KITH_CORRUPT },
        { "{\"do\":\"remove_piece\",\"id\":\"" SOME_ID "\"}\n", "[]", KITH_CORRUPT },
        { "{\"do\":\"remove_piece\"}\n", "[]", KITH_CORRUPT },
        { "{\"do\":\"schema\"}\n", "[]", KITH_CORRUPT },
        { "{\"do\":\"set_config\",\"key\":\"a\",\"value\":[]}\n", "[]", KITH_CORRUPT },
        { "{\"do\":\"drop\"}\n", "[]", KITH_OK },
        { "{\"do\":\"versions\",\"list\":[]}\n", "[]",
          KITH_UNSUPPORTED }, /* of a checkpoint, not of a commit */
        { "{\"do\":\"delete\",\"rows\":[1,2]}\n", "[]", KITH_CORRUPT },
        { DELETE("1", "2") "\x05\x01\n", "[2]", KITH_OK },
        { DELETE("1", "2") "\x06\x01\n", "[2]", KITH_CORRUPT }, /* dead already */
        { DELETE("6", "2") "\x01\x06\n", "[2]", KITH_CORRUPT },
        { DELETE("6", "2") "\x01\x05\n", "[2]", KITH_CORRUPT }, /* fewer than said */
        { DELETE("4", "2") "\x01\x05\n", "[2]", KITH_CORRUPT }, /* more */
        { DELETE("90", "2") "\x07\x5a\n", "[2]", KITH_OK },     /* a whole fragment */
        { DELETE("91", "2") "\x07\x5b\n", "[2]", KITH_CORRUPT },
        { DELETE("90", "2") "\x07\x5a\n" REMOVE("7"), "[2]", KITH_CORRUPT }, /* which is then gone */
        { DELETE("92", "4") "\x04\x02\x01\x5a\n", "[4]", KITH_OK },
        { DELETE("3", "4") "\x01\x02\x01\x01\n", "[4]", KITH_OK },
        { DELETE("3", "4") "\x01\x02\x00\x01\n", "[4]", KITH_CORRUPT }, /* runs that touch */
        { DELETE("2", "4") "\x01\x02\x01\x00\n", "[4]", KITH_CORRUPT }, /* an empty one */
        { DELETE("2", "3") "\x01\x02\x01\n", "[3]", KITH_CORRUPT },     /* half of one */
        { DELETE("0", "0") "\n", "[0]", KITH_CORRUPT },
        { DELETE("1", "3") "\x81\x00\x01\n", "[3]", KITH_CORRUPT }, /* a number longer than it must be */
        { DELETE("1", "3") "\x01\x81\x00\n", "[3]", KITH_CORRUPT },
        { DELETE("1", "11") "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01\n", "[11]", KITH_CORRUPT },
        { DELETE("9223372036854775807", "10") "\x01\xff\xff\xff\xff\xff\xff\xff\xff\x7f\n", "[10]",
          KITH_CORRUPT },
        { DELETE("1", "2") "\x05\x01\n", "[1]", KITH_CORRUPT },
        { DELETE("1", "3") "\x05\x01\n", "[2]", KITH_CORRUPT },
        { SPAN("0", "96", "97"), "[]", KITH_CORRUPT },                /* which id has no row? */
        { HOLES("0", "96", "97", "2") "\x06\x01\n", "[2]", KITH_OK }, /* row 6 was dead, 96 lived */
        { HOLES("0", "96", "97", "2") "\x06\x02\n", "[2]", KITH_CORRUPT },
        { HOLES("0", "96", "97", "2") "\x61\x01\n", "[2]", KITH_CORRUPT },
        { HOLES("0", "96", "97", "3") "\x06\x01\n", "[2]", KITH_CORRUPT },
        { HOLES("0", "97", "97", "2") "\x06\x01\n", "[2]", KITH_CORRUPT },
        { HOLES("0", "96", "97", "2") DELETE("1", "2") "\x06\x01\x06\x01\n", "[2,2]", KITH_CORRUPT },
        { HOLES("0", "96", "97", "2") DELETE("1", "2") "\x06\x01\x07\x01\n", "[2,2]", KITH_OK },
        { SPAN("0", "97", "96"), "[]", KITH_CORRUPT },
        { HOLES("0", "95", "97", "2") "\x05\x02\n", "[2]", KITH_CORRUPT }, /* a row would be lost */
        { HOLES("0", "6", "7", "2") "\x06\x01\n", "[2]", KITH_OK },
        { SPAN("0", "6", "8"), "[]", KITH_CORRUPT },
        { SPAN("0", "97", "98"), "[]", KITH_CORRUPT }, /* a row never given */
        { SPAN("0", "97", "4294967296"), "[]", KITH_CORRUPT },
        { SPAN("0", "97", "\"97\""), "[]", KITH_CORRUPT },
        { "{\"do\":\"add_fragment\",\"first_row\":97,\"rows\":1,\"span\":2,\"files\":[" FILE_OF(
              "data/a.arrow") "]}\n",
          "[]", KITH_CORRUPT }, /* what is added has no holes */
        { "{\"do\":\"tag\"}\n", "[]", KITH_CORRUPT },
        { TAG("\"a\"", "2", "2"), "[]", KITH_OK },
        { TAG("\"a\"", "3", "3") TAG("\"a\"", "1", "1") TAG("\"a\"", "0", "0"), "[]", KITH_OK },
        { TAG("\"a\"", "2", "3"), "[]", KITH_CORRUPT }, /* another version's commit */
        { TAG("\"a\"", "4", "4"), "[]", KITH_CORRUPT }, /* which is being made */
        { TAG("\"a\"", "0", "0"), "[]", KITH_CORRUPT },
        { TAG("\"\"", "2", "2"), "[]", KITH_CORRUPT },
        { TAG("7", "2", "2"), "[]", KITH_CORRUPT },
        { TAG("\"a\"", "-2", "2"), "[]", KITH_CORRUPT },
        { "{\"do\":\"restore\"}\n", "[]", KITH_OK },
        { "{\"do\":\"restore\"}\n" REMOVE("0"), "[]", KITH_CORRUPT },
        { "{\"do\":\"restore\"}\n" RESTORE("7", "1") RESTORE("90", "7"), "[]", KITH_OK },
        { "{\"do\":\"restore\"}\n" RESTORE("7", "2") RESTORE("8", "1"), "[]", KITH_CORRUPT },
        { "{\"do\":\"restore\"}\n" RESTORE("96", "2"), "[]", KITH_CORRUPT },
        { RESTORE("90", "7"), "[]", KITH_CORRUPT }, /* over rows that are there */
        { FORGET("3"), "[]", KITH_OK },
        { FORGET("1"), "[]", KITH_OK },
        { FORGET("2") FORGET("3"), "[]", KITH_OK },
        { FORGET("2") FORGET("2"), "[]", KITH_CORRUPT },
        { FORGET("0"), "[]", KITH_CORRUPT },
        { FORGET("4"), "[]", KITH_CORRUPT }, /* the one that is being made */
        { "{\"do\":\"gone\",\"files\":[]}\n", "[]", KITH_OK },
        { "{\"do\":\"gone\",\"files\":[\"data/a.arrow\"]}\n", "[]", KITH_CORRUPT },
        { "{\"do\":\"gone\",\"files\":7}\n", "[]", KITH_CORRUPT },
        { REMOVE("7") "{\"do\":\"gone\",\"files\":[\"data/a.arrow\"]}\n", "[]", KITH_CORRUPT },
        { "{\"do\":7}\n", "[]", KITH_CORRUPT },
        { "{}\n", "[]", KITH_CORRUPT },
        { "[]\n", "[]", KITH_CORRUPT },
        { "\n", "[]", KITH_CORRUPT },
        { "{\"do\":\"drop\",\"do\":\"drop\"}\n", "[]", KITH_CORRUPT },
        { "{\"do\":\"drop\"", "[]", KITH_CORRUPT },
        { "{\"do\":\"\xff\"}\n", "[]", KITH_CORRUPT },
    };
    struct sample sample;
    (void)state;
    sample_make(&sample);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kith_error told = { 0 };
        kith_status status = read_crafted(&sample, "{}", cases[i].action, cases[i].lengths, &told);
        if (status != cases[i].expected)
            fail_msg("%s: %s %s", cases[i].action, kith_status_name(status), told.message);
    }
    sample_release(&sample);
}

static void deep_and_long_lines_are_refused(void **state)
{
    enum { DEEP = 1000 * 1000 };
    struct sample sample;
    struct kt_buffer text = { 0 };
    (void)state;
    sample_make(&sample);
    assert_true(kt_buffer_text(&text, "{\"do\":\"schema\",\"schema\":"));
    for (int i = 0; i < DEEP; i++) assert_true(kt_buffer_append(&text, "[", 1));
    for (int i = 0; i < DEEP; i++) assert_true(kt_buffer_append(&text, "]", 1));
    assert_true(kt_buffer_text(&text, "}\n"));
    assert_status(KITH_CORRUPT, read_crafted(&sample, "{}", (const char *)text.data, "[]", &error));
    text.size = 0;
    assert_true(kt_buffer_text(&text, "{\"do\":\"%0*d\"}\n", (int)KT_LARGEST_LINE, 1));
    assert_status(KITH_CORRUPT, read_crafted(&sample, "{}", (const char *)text.data, "[]", &error));
    kt_buffer_release(&text);
    sample_release(&sample);
}

/* A mutation of text: a byte, a digit run, a piece cut out or doubled. */
static void mutate(struct kt_random *random, struct kt_buffer *text)
{
    static const char likely[] = "0123456789-\"{}[]:,.\\\n \xff"
                                 "ae";
    size_t at = (size_t)kt_random_below(random, text->size);
    size_t count = (size_t)kt_random_below(random, kt_min_u64(40, text->size - at) + 1);
    switch (kt_random_below(random, 5)) {
    case 0:
        text->data[at] = (uint8_t)likely[kt_random_below(random, sizeof likely - 1)];
        break;
    case 1:
        text->data[at] ^= (uint8_t)(1u << kt_random_below(random, 8));
        break;
    case 2: /* cut out */
        memmove(text->data + at, text->data + at + count, text->size - at - count);
        text->size -= count;
        break;
    case 3: /* doubled */
        assert_true(kt_buffer_reserve(text, count));
        memmove(text->data + at + count, text->data + at, text->size - at);
        text->size += count;
        break;
    case 4: /* numbers that are near the edge */
        while (at < text->size && (text->data[at] < '0' || text->data[at] > '9')) at++;
        if (at < text->size) text->data[at] = kt_random_below(random, 2) ? '9' : '0';
        break;
    }
    if (!text->size) assert_true(kt_buffer_append(text, "\n", 1));
}

static void mutants_under_right_checksums_fail_or_are_sound(void **state)
{
    enum { ROUNDS = 6000 };
    const char *given = getenv("KITH_SEED");
    const uint64_t seed = given ? strtoull(given, NULL, 10) : 41;
    struct sample sample;
    struct kt_random random = { seed };
    int read = 0;
    (void)state;
    print_message("seed %llu\n", (unsigned long long)seed);
    sample_make(&sample);
    for (int i = 0; i < ROUNDS; i++) {
        const struct kt_buffer *from = i % 2 ? &sample.commit : &sample.checkpoint;
        const char *last = memchr(from->data, '\n', from->size); /* the start of the last line: */
        for (const char *next = last; next && next + 1 < (const char *)from->data + from->size;
             next = memchr(next + 1, '\n', (size_t)((const char *)from->data + from->size - next - 1)))
            last = next;
        char lengths[64] = "";
        sscanf(last + 1, "{\"payloads\":%60[^]]", lengths);
        strcat(lengths, "]");
        struct kt_buffer text = { 0 };
        assert_true(kt_buffer_append(&text, from->data, (size_t)(last + 1 - (const char *)from->data)));
        for (uint64_t m = kt_random_below(&random, 3) + 1; m > 0; m--) mutate(&random, &text);
        struct kt_buffer file = sealed(text.data, text.size, lengths);
        kith_status status =
            i % 2 ? replay(&sample, file.data, file.size, NULL) : decode(file.data, file.size, NULL);
        assert_true(status == KITH_OK || status == KITH_CORRUPT || status == KITH_UNSUPPORTED);
        read += status == KITH_OK;
        kt_buffer_release(&text);
        kt_buffer_release(&file);
    }
    print_message("%d of %d mutants were read\n", read, ROUNDS);
    assert_in_range(read, ROUNDS / 100, ROUNDS / 2); /* both outcomes were tried */
    sample_release(&sample);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sample_itself_is_read),
        cmocka_unit_test(every_flipped_bit_of_a_commit_is_found),
        cmocka_unit_test(every_flipped_bit_of_a_checkpoint_is_found),
        cmocka_unit_test(every_truncation_is_found),
        cmocka_unit_test(a_damaged_newest_commit_is_told_with_the_ways_out),
        cmocka_unit_test(a_missing_commit_is_named),
        cmocka_unit_test(a_damaged_checkpoint_is_passed_over),
        cmocka_unit_test(a_commit_of_another_history_is_found),
        cmocka_unit_test(headers_are_checked),
        cmocka_unit_test(actions_are_checked),
        cmocka_unit_test(deep_and_long_lines_are_refused),
        cmocka_unit_test(mutants_under_right_checksums_fail_or_are_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
