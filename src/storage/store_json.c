/* Copies of JSON are compared with what they were made from: they are small, and made when something is
 * written. */
#include "storage/json.h"

json_t *kt_json_copy(const json_t *value)
{
    json_t *copy = json_deep_copy(value);
    if (copy && json_equal(copy, value)) return copy;
    json_decref(copy);
    return NULL;
}
