/* What jansson leaves to its callers: a copy is whole, or there is none. */
#ifndef KT_STORAGE_JSON_H
#define KT_STORAGE_JSON_H

#include <jansson.h>

/** A deep copy (new reference), or NULL when memory is out. (json_deep_copy() leaves members out of what it
 * returns where there is no memory for them.) */
json_t *kt_json_copy(const json_t *value);

#endif
