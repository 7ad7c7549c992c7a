/* How indexes are shown, by 'kith index' and 'kith info' alike. */
#ifndef CLI_INDEX_PRINT_H
#define CLI_INDEX_PRINT_H

#include "json_out.h"

void cli_index_json(struct json *json, const char *key, const kith_index_info *index);
void cli_indexes_print(const kith_indexes *indexes);

#endif
