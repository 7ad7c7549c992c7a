/* "DB/TABLE" on a command line: the folder of a database, and a table in it.
 *
 * kith_open() makes a folder that is not there, which is right for a first import and wrong for
 * everything that reads: a misspelt path must not leave an empty database behind. So all commands but
 * import look for the folder first. A location with "://" is left to the library.
 */
#include "cli.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool is_folder(const char *path)
{
    struct stat state;
    struct text full = { 0 };
    const char *home = getenv("HOME");
    if (path[0] == '~' && (path[1] == '/' || !path[1]) && home) {
        cli_text_puts(&full, home);
        path++;
    }
    cli_text_puts(&full, path);
    bool found = stat(full.data, &state) == 0 && S_ISDIR(state.st_mode);
    cli_text_release(&full);
    return found;
}

/* A copy without trailing slashes, and without the ".kith" of a table's folder. */
static char *trimmed(const char *text)
{
    char *copy = cli_copy_text(text);
    size_t size = strlen(copy);
    while (size > 1 && copy[size - 1] == '/') copy[--size] = '\0';
    if (size > 5 && strcmp(copy + size - 5, ".kith") == 0 && copy[size - 6] != '/') copy[size - 5] = '\0';
    return copy;
}

/* Cuts `path` (which is taken) at its last '/'. */
static void split(char *path, struct location *out)
{
    char *slash = strrchr(path, '/');
    out->table = cli_copy_text(slash + 1);
    if (slash == path) {
        slash[1] = '\0'; // a table right under the root
    } else {
        *slash = '\0';
    }
    out->database = path;
}

int cli_location_table(const struct command *command, const char *text, struct location *out)
{
    char *path = trimmed(text);
    char *slash = strrchr(path, '/');
    if (!slash || !slash[1]) {
        free(path);
        return cli_usage(command, "expected DB/TABLE, given '%s'; a table of this folder is ./%s", text,
                         *text ? text : "TABLE");
    }
    split(path, out);
    return -1;
}

int cli_location_any(const struct command *command, const char *text, struct location *out)
{
    char *path = trimmed(text);
    if (!*path) {
        free(path);
        return cli_usage(command, "expected DB or DB/TABLE, given nothing");
    }
    struct text folder = { 0 };
    cli_text_printf(&folder, "%s.kith", path);
    bool table = strrchr(path, '/') && is_folder(folder.data);
    cli_text_release(&folder);
    if (!table && !is_folder(path) && strrchr(path, '/') && !strstr(path, "://")) {
        // Neither is there: say "no such table" where the database at least exists.
        char *parent = cli_copy_text(path);
        *strrchr(parent, '/') = '\0';
        table = *parent && is_folder(parent);
        free(parent);
    }
    if (table) {
        split(path, out);
    } else {
        *out = (struct location){ .database = path };
    }
    return -1;
}

void cli_location_release(struct location *location)
{
    free(location->database);
    free(location->table);
    *location = (struct location){ 0 };
}

kith_status cli_open_database(const struct location *location, kith_database **out, kith_error *error)
{
    if (!strstr(location->database, "://") && !is_folder(location->database)) {
        return cli_fail(error, KITH_NOT_FOUND, "there is no database '%s'; 'kith import' makes one",
                        location->database);
    }
    return kith_open(location->database, out, error);
}

kith_status cli_open_table(const struct location *location, kith_database **database, kith_table **table,
                           kith_error *error)
{
    kith_status status = cli_open_database(location, database, error);
    if (status) return status;
    return kith_open_table(*database, location->table, table, error);
}
