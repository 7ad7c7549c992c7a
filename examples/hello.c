/* Hello, Kith: six films placed by hand as (adventure, romance), and the three nearest to a taste.
 *
 *   cc hello.c $(pkg-config --cflags --libs kith) -o hello && ./hello
 */
#include <kith.h>
#include <stdio.h>

static const char *const films[] = { "Alien", "Brief Encounter", "Casablanca", "Dune", "Ran", "Titanic" };
static const float places[6][2] = { { 9, 1 }, { 0, 9 }, { 4, 8 }, { 8, 3 }, { 9, 0 }, { 6, 9 } };

static struct ArrowArrayStream rows_of_films(void);

int main(void)
{
    kith_database *database = NULL;
    kith_table *table = NULL;
    kith_error error;
    struct ArrowArrayStream rows = rows_of_films();

    const float taste[2] = { 5, 8 };
    kith_query query = KITH_INIT(kith_query);
    query.vectors = taste;
    query.dim = 2;
    query.k = 3;
    uint64_t ids[3];
    float distances[3];

    bool failed = kith_open("memory://", &database, &error) ||
                  kith_create_table(database, "film", &rows, NULL, &table, &error) ||
                  kith_search_ids(table, &query, ids, distances, &error);
    if (failed) {
        fprintf(stderr, "%s\n", error.message);
    } else {
        for (int i = 0; i < 3; i++) printf("%-16s %g\n", films[ids[i]], (double)distances[i]);
    }
    kith_table_close(table);
    kith_close(database);
    return failed;
}

/* Rows go in as an Arrow stream. pyarrow, DuckDB, Polars and nanoarrow make them; this is one by hand: a
 * schema, one batch, the end. All of it is static, so releasing has nothing to free. */
static void release_schema(struct ArrowSchema *schema)
{
    schema->release = NULL;
}

static void release_array(struct ArrowArray *array)
{
    array->release = NULL;
}

static void release_stream(struct ArrowArrayStream *stream)
{
    stream->release = NULL;
}

static const char *last_error(struct ArrowArrayStream *stream)
{
    (void)stream;
    return NULL;
}

static int get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out)
{
    static struct ArrowSchema number, vector, *numbers = &number, *vectors = &vector;
    (void)stream;
    number = (struct ArrowSchema){ .format = "f", .name = "item", .release = release_schema };
    vector = (struct ArrowSchema){ .format = "+w:2", .name = "vector", .release = release_schema };
    vector.n_children = 1;
    vector.children = &numbers;
    *out = (struct ArrowSchema){ .format = "+s", .n_children = 1, .children = &vectors };
    out->release = release_schema;
    return 0;
}

static int get_next(struct ArrowArrayStream *stream, struct ArrowArray *out)
{
    static const void *no_nulls[] = { NULL }, *floats[] = { NULL, places };
    static struct ArrowArray number, vector, *numbers = &number, *vectors = &vector;
    *out = (struct ArrowArray){ 0 }; // the end, unless this is the first call
    if (stream->private_data) return 0;
    stream->private_data = &number;
    number = (struct ArrowArray){ .length = 12, .n_buffers = 2, .buffers = floats, .release = release_array };
    vector =
        (struct ArrowArray){ .length = 6, .n_buffers = 1, .buffers = no_nulls, .release = release_array };
    vector.n_children = 1;
    vector.children = &numbers;
    *out = (struct ArrowArray){ .length = 6, .n_buffers = 1, .buffers = no_nulls, .release = release_array };
    out->n_children = 1;
    out->children = &vectors;
    return 0;
}

static struct ArrowArrayStream rows_of_films(void)
{
    return (struct ArrowArrayStream){
        .get_schema = get_schema,
        .get_next = get_next,
        .get_last_error = last_error,
        .release = release_stream,
    };
}
