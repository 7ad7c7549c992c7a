/* The form of a file of the log.
 *
 *     {"kith":1, ...}                              the header
 *     {"do":"add_fragment", ...}                   one action a line
 *     ...
 *     <payload bytes, one after another, then one newline if there are any>
 *     {"payloads":[812,4000],"xxh3":"0123456789abcdef"}
 *
 * The last line has the lengths of the payloads and the XXH3 of every byte before it. It is compared with
 * the line we would have written, byte for byte, so that a flip in itself is found too; an action that owns
 * a payload says its length a second time.
 *
 * Reading trusts nothing: a checksum stops accidents, not people. Lines are parsed one at a time, so that a
 * small file cannot become a large heap of JSON, and only so deep in each other.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "storage/storage_private.h"

enum { DEEPEST_JSON = 64 };

static const char *const KIND_ENDING[] = { [KT_LOG_COMMIT] = "commit", [KT_LOG_CHECKPOINT] = "checkpoint" };

/* By hand: every search asks for two of these names, and snprintf() took a third of that time. */
void kt_log_name(uint64_t commit, enum kt_log_kind kind, char name[KT_LOG_NAME])
{
    for (int i = 20; i-- > 0; commit /= 10) name[i] = (char)('0' + commit % 10);
    name[20] = '.';
    memcpy(name + 21, KIND_ENDING[kind], strlen(KIND_ENDING[kind]) + 1);
}

bool kt_log_parse_name(const char *name, uint64_t *commit, enum kt_log_kind *kind)
{
    uint64_t number = 0;
    for (int i = 0; i < 20; i++) {
        if (name[i] < '0' || name[i] > '9') return false;
        if (__builtin_mul_overflow(number, 10, &number)) return false;
        if (__builtin_add_overflow(number, (uint64_t)(name[i] - '0'), &number)) return false;
    }
    if (name[20] != '.' || !number || number > INT64_MAX) return false;
    *commit = number;
    for (size_t i = 0; i < sizeof KIND_ENDING / sizeof *KIND_ENDING; i++) {
        *kind = (enum kt_log_kind)i;
        if (!strcmp(name + 21, KIND_ENDING[i])) return true;
    }
    return false;
}

/* ---- jansson and memory
 *
 * jansson 2.14 does not look whether memory was had where it saves a character of a text that it parses,
 * writes a key, or copies a member of an object: the result is whole JSON with something missing. So its
 * allocator is wrapped (whatever it is, another user of jansson in this process keeps it), a thread
 * remembers that it was refused memory, and nothing that was made meanwhile is used. */

static json_malloc_t inner_malloc;
static _Thread_local bool starved;

static void *watched_malloc(size_t bytes)
{
    void *memory = inner_malloc(bytes);
    if (!memory) starved = true;
    return memory;
}

static void wrap_allocator(void)
{
    json_free_t inner_free;
    json_get_alloc_funcs(&inner_malloc, &inner_free);
    json_set_alloc_funcs(watched_malloc, inner_free);
}

void kt_json_watch(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, wrap_allocator);
    starved = false;
}

kith_status kt_json_watched(kith_status status, kith_error *error)
{
    return starved ? kt_fail(error, KITH_NO_MEMORY, "out of memory while reading or writing JSON") : status;
}

/* ---- writing */

static int to_buffer(const char *bytes, size_t count, void *buffer)
{
    if (kt_buffer_append(buffer, bytes, count)) return 0;
    starved = true; /* the return value alone is forgotten where it is a key that was written */
    return -1;
}

static bool append_line(struct kt_buffer *out, json_t *line)
{
    return line && json_dump_callback(line, to_buffer, out, JSON_COMPACT) == 0 &&
           kt_buffer_append(out, "\n", 1);
}

static bool append_last(struct kt_buffer *out, json_t *lengths, uint64_t hash)
{
    char text[17];
    kt_hash_text(hash, text);
    json_t *last = json_pack("{s:O,s:s}", "payloads", lengths, "xxh3", text);
    bool done = append_line(out, last);
    json_decref(last);
    return done;
}

kith_status kt_log_encode(json_t *lines, struct kt_bytes *const *payloads, size_t payload_count, size_t limit,
                          struct kt_buffer *out, kith_error *error)
{
    struct kt_buffer bytes = { 0 };
    json_t *lengths = json_array(), *line;
    bool fits = lengths != NULL;
    size_t at;
    json_array_foreach(lines, at, line) fits = fits && append_line(&bytes, line);
    for (size_t i = 0; fits && i < payload_count; i++) {
        fits = kt_buffer_append(&bytes, payloads[i]->data, payloads[i]->size) &&
               json_array_append_new(lengths, json_integer((json_int_t)payloads[i]->size)) == 0;
    }
    if (payload_count) fits = fits && kt_buffer_append(&bytes, "\n", 1);
    fits = fits && append_last(&bytes, lengths, kt_hash(bytes.data, bytes.size));
    json_decref(lengths);

    kith_status status = kt_json_watched(KITH_OK, error);
    if (!fits && !status)
        status = kt_fail_memory(error, bytes.size);
    else if (!status && bytes.size > limit)
        status = kt_fail(error, KITH_INVALID,
                         "a file of the log with %zu bytes is larger than the %zu that can be read back",
                         bytes.size, limit);
    if (status) {
        kt_buffer_release(&bytes);
        return status;
    }
    *out = bytes;
    return KITH_OK;
}

/* ---- reading */

static bool too_deep(const char *text, size_t count)
{
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < count; i++) {
        char c = text[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '{' || c == '[') && ++depth > DEEPEST_JSON)
            return true;
        else if (!quoted && (c == '}' || c == ']'))
            depth--;
    }
    return false;
}

static kith_status parse(const char *text, size_t count, json_t **out, kith_error *error)
{
    json_error_t wrong;
    if (count > KT_LARGEST_LINE) return kt_fail(error, KITH_CORRUPT, "a line has %zu bytes", count);
    if (too_deep(text, count))
        return kt_fail(error, KITH_CORRUPT, "a line nests deeper than %d", DEEPEST_JSON);
    json_t *value = json_loadb(text, count, JSON_REJECT_DUPLICATES, &wrong);
    if (value && json_is_object(value)) {
        *out = value;
        return KITH_OK;
    }
    json_decref(value);
    if (!value && json_error_code(&wrong) == json_error_out_of_memory) return kt_fail_memory(error, count);
    return kt_fail(error, KITH_CORRUPT, "a line is not a JSON object: %.80s",
                   value ? "another value" : wrong.text);
}

static kith_status next_line(struct kt_log_reader *reader, json_t **out, kith_error *error)
{
    size_t left = (size_t)(reader->lines_end - reader->line);
    const char *end = left ? memchr(reader->line, '\n', left) : NULL;
    if (!end) return kt_fail(error, KITH_CORRUPT, "a line has no end");
    kith_status status = parse(reader->line, (size_t)(end - reader->line), out, error);
    reader->line = end + 1;
    return status;
}

/* The sum of the payload lengths; false when they are no such list. */
static bool add_lengths(json_t *lengths, size_t limit, size_t *sum)
{
    size_t at;
    json_t *length;
    *sum = 0;
    if (!json_is_array(lengths)) return false;
    json_array_foreach(lengths, at, length)
    {
        json_int_t value = json_integer_value(length);
        if (!json_is_integer(length) || value < 0 || (uint64_t)value > limit - *sum) return false;
        *sum += (size_t)value;
    }
    return true;
}

/* Whether the last line is the one that belongs to the bytes before it. */
static kith_status check_last(const uint8_t *bytes, size_t before, size_t size, json_t *lengths,
                              kith_error *error)
{
    struct kt_buffer expected = { 0 };
    kith_status status = KITH_OK;
    if (!append_last(&expected, lengths, kt_hash(bytes, before)))
        status = kt_fail_memory(error, 64);
    else if (expected.size != size - before || memcmp(expected.data, bytes + before, expected.size))
        status =
            kt_fail(error, KITH_CORRUPT, "its %zu bytes do not match the checksum in its last line", before);
    kt_buffer_release(&expected);
    return status;
}

kith_status kt_log_open(const uint8_t *bytes, size_t size, struct kt_log_reader *out, kith_error *error)
{
    struct kt_log_reader reader = { 0 };
    json_t *last = NULL;
    size_t sum = 0;
    if (size < 2 || bytes[size - 1] != '\n')
        return kt_fail(error, KITH_CORRUPT, "it has %zu bytes and does not end in a whole line", size);
    const uint8_t *newline = memrchr(bytes, '\n', size - 1);
    size_t before = newline ? (size_t)(newline - bytes) + 1 : 0;
    if (!before) return kt_fail(error, KITH_CORRUPT, "it is a single line");

    kith_status status = parse((const char *)bytes + before, size - before - 1, &last, error);
    if (status) return kt_fail(error, status, "its last line does not hold lengths and a checksum");
    reader.lengths = json_incref(json_object_get(last, "payloads"));
    size_t separator = json_array_size(reader.lengths) ? 1 : 0;
    if (!add_lengths(reader.lengths, before, &sum) || sum + separator >= before) {
        status = kt_fail(error, KITH_CORRUPT, "its last line speaks of payloads that are not there");
        goto out;
    }
    status = check_last(bytes, before, size, reader.lengths, error);
    if (status) goto out;
    reader.line = (const char *)bytes;
    reader.lines_end = reader.line + (before - separator - sum);
    reader.payload = (const uint8_t *)reader.lines_end;
    status = next_line(&reader, &reader.header, error);
    if (status) goto out;
    *out = reader;
    reader = (struct kt_log_reader){ 0 }; // now the caller's
out:
    json_decref(last);
    kt_log_close(&reader);
    return status;
}

kith_status kt_log_next(struct kt_log_reader *reader, json_t **out, kith_error *error)
{
    *out = NULL;
    if (reader->line == reader->lines_end) {
        if (reader->taken == json_array_size(reader->lengths)) return KITH_OK;
        return kt_fail(error, KITH_CORRUPT, "it has %zu payloads, its actions only %zu",
                       json_array_size(reader->lengths), reader->taken);
    }
    kith_status status = next_line(reader, out, error);
    if (status) return status;
    if (json_is_string(json_object_get(*out, "do"))) return KITH_OK;
    json_decref(*out);
    *out = NULL;
    return kt_fail(error, KITH_CORRUPT, "a line says nothing to do");
}

kith_status kt_log_take(struct kt_log_reader *reader, uint64_t length, struct kt_bytes **out,
                        kith_error *error)
{
    json_t *expected = json_array_get(reader->lengths, reader->taken);
    if (!expected || (uint64_t)json_integer_value(expected) != length)
        return kt_fail(error, KITH_CORRUPT, "payload %zu should have %llu bytes, which it has not",
                       reader->taken, (unsigned long long)length);
    *out = kt_bytes_new(reader->payload, (size_t)length);
    if (!*out) return kt_fail_memory(error, (size_t)length);
    reader->payload += length;
    reader->taken++;
    return KITH_OK;
}

void kt_log_close(struct kt_log_reader *reader)
{
    json_decref(reader->header);
    json_decref(reader->lengths);
    *reader = (struct kt_log_reader){ 0 };
}
