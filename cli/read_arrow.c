/* Arrow IPC files and streams, read by the library and cut into batches of the size asked for. */
#include "reader.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arrow_make.h"

struct arrow_rows {
    struct rows base;
    struct mapped *map; // NULL for a pipe
    const char *path;
    struct ArrowArrayStream stream;
    struct shared_batch *batch; // what is left of it begins at `at`
    int64_t at;
};

static kith_status stream_failed(struct arrow_rows *arrow, kith_error *error)
{
    const char *why = arrow->stream.get_last_error(&arrow->stream);
    return cli_fail(error, KITH_INVALID, "'%s' is no readable Arrow file: %s", arrow->path,
                    why ? why : "no reason given");
}

static kith_status arrow_schema(struct rows *self, struct ArrowSchema *out, kith_error *error)
{
    struct arrow_rows *arrow = (struct arrow_rows *)self;
    return arrow->stream.get_schema(&arrow->stream, out) ? stream_failed(arrow, error) : KITH_OK;
}

static kith_status arrow_next(struct rows *self, int64_t most, struct ArrowArray *out, kith_error *error)
{
    struct arrow_rows *arrow = (struct arrow_rows *)self;
    while (!arrow->batch || arrow->at >= cli_batch_rows(arrow->batch)) {
        struct ArrowArray array = { 0 };
        cli_batch_unshare(arrow->batch);
        arrow->batch = NULL;
        if (arrow->stream.get_next(&arrow->stream, &array)) return stream_failed(arrow, error);
        if (!array.release) return KITH_OK;
        if (array.length <= most) {
            *out = array;
            return KITH_OK;
        }
        arrow->batch = cli_batch_share(&array);
        arrow->at = 0;
    }
    int64_t count = cli_batch_rows(arrow->batch) - arrow->at;
    if (count > most) count = most;
    cli_batch_slice(arrow->batch, arrow->at, count, out);
    arrow->at += count;
    return KITH_OK;
}

static void arrow_free(struct rows *self)
{
    struct arrow_rows *arrow = (struct arrow_rows *)self;
    cli_batch_unshare(arrow->batch);
    if (arrow->stream.release) arrow->stream.release(&arrow->stream);
    cli_map_release(arrow->map);
    free(arrow);
}

kith_status cli_read_arrow(const struct read_request *request, struct mapped *map, int fd, struct rows **out,
                           kith_error *error)
{
    struct arrow_rows *arrow = cli_alloc(sizeof *arrow);
    *arrow = (struct arrow_rows){
        .base = { .schema = arrow_schema, .next = arrow_next, .free = arrow_free },
        .map = map,
        .path = request->path,
    };
    if (map) lseek(map->fd, 0, SEEK_SET); // a spooled pipe was left at its end
    kith_error inner = { .status = KITH_OK };
    kith_status status = kith_ipc_read(map ? map->fd : fd, &arrow->stream, &inner);
    if (status) {
        arrow_free(&arrow->base);
        return cli_fail(error, status == KITH_CORRUPT ? KITH_INVALID : status,
                        "'%s' is no readable Arrow file: %s", request->path, inner.message);
    }
    *out = &arrow->base;
    return KITH_OK;
}
