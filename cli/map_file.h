/* An input file as bytes in memory, shared by whatever points into it. */
#ifndef CLI_MAP_FILE_H
#define CLI_MAP_FILE_H

#include <stdatomic.h>

#include "cli.h"

struct mapped {
    const uint8_t *data;
    size_t size;
    int fd;
    _Atomic int holders;
};

/** Opens `path`; "-" is standard input, which is copied to an unnamed temporary file when it is a pipe.
 *  @param out  given back with cli_map_release() */
kith_status cli_map_open(const char *path, struct mapped **out, kith_error *error);
struct mapped *cli_map_share(struct mapped *map);
void cli_map_release(struct mapped *map); /* any thread; NULL is allowed */

#endif
