/* Texts to numbers: the distinct values of a dictionary, in the order they came.
 *
 * Open addressing with linear probing over numbers; the texts lie end to end in one buffer, which is already
 * the form in which a dictionary array wants them, so ending a dictionary moves two pointers. A value's
 * 32-bit hash is kept, so that growing never touches the texts and a probe rarely compares bytes for nothing.
 */
#include <string.h>

#include "column/column_private.h"

void kt_text_map_release(struct kt_text_map *map)
{
    kt_block_free(map->data);
    kt_block_free(map->offsets);
    kt_free(map->slots);
    kt_free(map->hashes);
    *map = (struct kt_text_map){ 0 };
}

static bool grow_values(struct kt_text_map *map)
{
    uint32_t capacity = map->capacity ? map->capacity * 2 : 16;
    int64_t *offsets = kt_block_new(((size_t)capacity + 1) * sizeof *offsets);
    uint32_t *hashes = kt_realloc_array(map->hashes, capacity, sizeof *hashes);
    if (hashes) map->hashes = hashes;
    if (!offsets || !hashes) {
        kt_block_free(offsets);
        return false;
    }
    offsets[0] = 0;
    if (map->offsets) memcpy(offsets, map->offsets, ((size_t)map->count + 1) * sizeof *offsets);
    kt_block_free(map->offsets);
    map->offsets = offsets;
    map->capacity = capacity;
    return true;
}

static bool grow_slots(struct kt_text_map *map)
{
    uint32_t size = map->slots ? (map->mask + 1) * 2 : 32;
    uint32_t *slots = kt_alloc_zero(size, sizeof *slots);
    if (!slots) return false;
    for (uint32_t value = 0; value < map->count; value++) {
        uint32_t at = map->hashes[value] & (size - 1);
        while (slots[at]) at = (at + 1) & (size - 1);
        slots[at] = value + 1;
    }
    kt_free(map->slots);
    map->slots = slots;
    map->mask = size - 1;
    return true;
}

static bool grow_data(struct kt_text_map *map, int64_t count)
{
    size_t used = (size_t)map->offsets[map->count], needed = used + (size_t)count;
    if (needed <= map->data_capacity && map->data) return true;
    size_t capacity = kt_max_u64(kt_max_u64(256, needed), map->data_capacity * 2);
    uint8_t *data = kt_block_new(capacity);
    if (!data) return false;
    if (used) memcpy(data, map->data, used);
    kt_block_free(map->data);
    map->data = data;
    map->data_capacity = capacity;
    return true;
}

static bool same(const struct kt_text_map *map, uint32_t value, const uint8_t *text, int64_t count)
{
    int64_t at = map->offsets[value];
    return map->offsets[value + 1] - at == count &&
           (!count || memcmp(map->data + at, text, (size_t)count) == 0);
}

/* The number of a text, or -1 with *slot at the free place where it would go. */
static int64_t look(const struct kt_text_map *map, uint32_t hash, const uint8_t *text, int64_t count,
                    uint32_t *slot)
{
    uint32_t at = hash & map->mask;
    for (; map->slots[at]; at = (at + 1) & map->mask) {
        uint32_t value = map->slots[at] - 1;
        if (map->hashes[value] == hash && same(map, value, text, count)) return value;
    }
    *slot = at;
    return -1;
}

static uint32_t hash_of(const uint8_t *text, int64_t count)
{
    return (uint32_t)kt_hash(count ? text : (const uint8_t *)"", (size_t)count);
}

int64_t kt_text_map_find(const struct kt_text_map *map, const uint8_t *text, int64_t count)
{
    uint32_t slot;
    return map->count ? look(map, hash_of(text, count), text, count, &slot) : -1;
}

int64_t kt_text_map_add(struct kt_text_map *map, const uint8_t *text, int64_t count)
{
    uint32_t slot = 0, hash = hash_of(text, count);
    if ((!map->slots || map->count >= (map->mask + 1) / 2) && !grow_slots(map)) return -1;
    int64_t value = look(map, hash, text, count, &slot);
    if (value >= 0) return value;
    if (map->count == (uint32_t)INT32_MAX / 2) return -1;
    if (map->count == map->capacity && !grow_values(map)) return -1;
    if (!grow_data(map, count)) return -1;
    int64_t at = map->offsets[map->count];
    if (count) memcpy(map->data + at, text, (size_t)count);
    map->offsets[map->count + 1] = at + count;
    map->hashes[map->count] = hash;
    map->slots[slot] = ++map->count;
    return (int64_t)map->count - 1;
}

kith_status kt_text_map_yield(struct kt_text_map *map, struct kt_batch *batch, struct kt_array *values,
                              kith_error *error)
{
    static const int64_t none = 0;
    values->length = map->count;
    values->data = map->data;
    values->values = (const uint8_t *)(map->offsets ? map->offsets : &none);
    if (kt_type_offset_bytes(values->field->type) ==
        4) { /* narrowed in place: entry i is written after it was read */
        int32_t *narrow = (int32_t *)(void *)map->offsets;
        if (map->count && map->offsets[map->count] > INT32_MAX)
            return kt_fail(error, KITH_INVALID, "a dictionary would hold more than 2 GiB of text");
        for (uint32_t i = 0; map->offsets && i <= map->count; i++) {
            int32_t offset = (int32_t)kt_get_u64((const uint8_t *)map->offsets + 8 * (size_t)i);
            memcpy((uint8_t *)narrow + 4 * (size_t)i, &offset, sizeof offset);
        }
    }
    kt_batch_own(batch, map->data);
    kt_batch_own(batch, map->offsets);
    map->data = NULL;
    map->offsets = NULL;
    kt_text_map_release(map);
    return KITH_OK;
}
