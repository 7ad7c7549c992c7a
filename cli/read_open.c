/* Which format a file has: asked of its first bytes, then of its name.
 *
 * Content comes first because names lie and standard input has none. Formats without a signature
 * (.fvecs, .fbin) can be told by name only. What Kith does not read is named in the error, with a way
 * to turn it into something it does.
 */
#include "reader.h"

#include <string.h>
#include <strings.h>
#include <unistd.h>

static const char *extension_of(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot && !strchr(dot, '/') ? dot + 1 : "";
}

static const char *format_by_name(const char *path)
{
    static const struct {
        const char *extension, *format;
    } known[] = {
        { "npy", "npy" },     { "fvecs", "fvecs" }, { "bvecs", "bvecs" },   { "ivecs", "ivecs" },
        { "fbin", "fbin" },   { "u8bin", "u8bin" }, { "i8bin", "i8bin" },   { "csv", "csv" },
        { "tsv", "tsv" },     { "jsonl", "jsonl" }, { "ndjson", "jsonl" },  { "json", "jsonl" },
        { "arrow", "arrow" }, { "ipc", "arrow" },   { "feather", "arrow" }, { "arrows", "arrow" },
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcasecmp(extension_of(path), known[i].extension) == 0) return known[i].format;
    }
    return NULL;
}

static bool begins(const struct mapped *map, const char *bytes, size_t count)
{
    return map->size >= count && memcmp(map->data, bytes, count) == 0;
}

static const char *format_by_content(const struct mapped *map)
{
    if (begins(map, "\x93NUMPY", 6)) return "npy";
    return begins(map, "ARROW1", 6) ? "arrow" : NULL;
}

/* Without a telling name: an Arrow stream begins with a marker too weak to overrule one; JSON lines begin
 * with a brace; all else is CSV, if it is text at all. */
static const char *format_of_nameless(const struct mapped *map)
{
    size_t look = map->size < 4096 ? map->size : 4096;
    const char *format = NULL;
    if (begins(map, "\xff\xff\xff\xff", 4)) return "arrow";
    for (size_t i = 0; i < look; i++) {
        bool space = map->data[i] && strchr(" \t\r\n", map->data[i]);
        if (map->data[i] < 0x20 && !space) return NULL;
        if (!space && !format) format = map->data[i] == '{' ? "jsonl" : "csv";
    }
    return format;
}

/* Formats that have a signature and that Kith does not read. */
static bool is_foreign(const struct mapped *map)
{
    return begins(map, "PAR1", 4) || begins(map, "\x1f\x8b", 2) || begins(map, "\x28\xb5\x2f\xfd", 4) ||
           begins(map, "PK\x03\x04", 4) || begins(map, "\x89HDF", 4);
}

static kith_status refuse(const char *path, const struct mapped *map, kith_error *error)
{
    if (!map->size) return cli_fail(error, KITH_INVALID, "'%s' is empty; expected rows", path);
    if (begins(map, "PAR1", 4)) {
        return cli_fail(
            error, KITH_UNSUPPORTED,
            "'%s' is Parquet, which the command line does not read; import it in Python, or turn it "
            "into JSON lines: duckdb -c \"COPY (FROM '%s') TO 'rows.jsonl' (FORMAT json)\"",
            path, path);
    }
    if (begins(map, "\x89HDF", 4)) {
        return cli_fail(error, KITH_UNSUPPORTED, "'%s' is HDF5; write its dataset as .npy first", path);
    }
    if (is_foreign(map)) {
        return cli_fail(error, KITH_INVALID,
                        "'%s' is compressed; unpack it, or pipe it in: zcat '%s' | kith import DB/TABLE -",
                        path, path);
    }
    return cli_fail(error, KITH_INVALID,
                    "cannot tell the format of '%s' from its bytes or name; say it with --format %s", path,
                    CLI_FORMATS);
}

static kith_status open_as(const struct read_request *request, const char *format, struct mapped *map,
                           struct rows **out, kith_error *error)
{
    if (strcmp(format, "npy") == 0) return cli_read_npy(request, map, out, error);
    if (strcmp(format, "csv") == 0) return cli_read_csv(request, ',', map, out, error);
    if (strcmp(format, "tsv") == 0) return cli_read_csv(request, '\t', map, out, error);
    if (strcmp(format, "jsonl") == 0) return cli_read_jsonl(request, map, out, error);
    if (strcmp(format, "arrow") == 0) return cli_read_arrow(request, map, -1, out, error);
    if (strstr(format, "vecs")) return cli_read_vecs(request, format, map, out, error);
    return cli_read_bin(request, format, map, out, error);
}

kith_status cli_rows_open_map(const struct read_request *request, struct mapped *map, struct rows **out,
                              kith_error *error)
{
    const char *format = request->format;
    if (!format && map->size) format = format_by_content(map);
    if (!format && !is_foreign(map)) {
        if (strcmp(request->path, "-") != 0) format = format_by_name(request->path);
        if (!format) format = format_of_nameless(map);
    }
    if (format && map->size) return open_as(request, format, map, out, error);
    kith_status status = refuse(request->path, map, error);
    cli_map_release(map);
    return status;
}

kith_status cli_rows_open(const struct read_request *request, struct rows **out, kith_error *error)
{
    if (strcmp(request->path, "-") == 0 && request->format && strcmp(request->format, "arrow") == 0) {
        return cli_read_arrow(request, NULL, STDIN_FILENO, out, error); // streams, needs no temporary file
    }
    struct mapped *map = NULL;
    kith_status status = cli_map_open(request->path, &map, error);
    return status ? status : cli_rows_open_map(request, map, out, error);
}
