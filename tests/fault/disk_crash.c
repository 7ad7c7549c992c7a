/* What a disk may hold after the power was cut.
 *
 * What was synced is there. Of what was not:
 *   - a name that came or went may have done so or not. Most file systems write the changes of a folder in
 * their order, some of all folders; those are kinds of their own, and the harshest kind takes each by itself.
 *     A renaming within a folder is one change;
 *   - the bytes of a file may be there or not, in sectors of 512, each for itself; a sector that is not may
 * be zeros or what the disk held before; the size may be the new one, the old one or any between them;
 *   - no name vouches for the bytes it leads to.
 */
#include <string.h>

#include "fault/disk_private.h"
#include "fault/own.h"

enum { SECTOR = 512 };

const char *const disk_crash_names[CRASH_KINDS] = { "nothing", "all",      "names",
                                                    "ordered", "prefixes", "anything" };

bool disk_is_dirty(const struct disk *disk)
{
    for (size_t i = 0; i < disk->node_count; i++) {
        const struct node *node = &disk->nodes[i];
        if (node->folder ? node->change_count > 0
                         : node->links && node->content && node->content->size > node->synced)
            return true;
    }
    return false;
}

/* ---- folders */

static void apply(struct entries *entries, const struct change *change)
{
    if (change->removed[0]) entries_remove(entries, change->removed);
    if (change->added.node == NO_NODE) return;
    entries_remove(entries, change->added.name);
    entries_add(entries, change->added.name, change->added.node);
}

static void crash_folder(struct node *node, enum disk_crash kind, uint64_t cut, struct kt_random *random)
{
    size_t prefix = (size_t)kt_random_below(random, node->change_count + 1);
    entries_copy(&node->safe, &node->entries);
    for (size_t i = 0; i < node->change_count; i++) {
        const struct change *change = &node->changes[i];
        bool kept =
            kind == CRASH_ALL || kind == CRASH_NAMES || (kind == CRASH_ORDERED && change->order <= cut) ||
            (kind == CRASH_PREFIXES && i < prefix) || (kind == CRASH_ANYTHING && kt_random_below(random, 2));
        if (kept) apply(&node->entries, change);
    }
}

/* Some moment between the first and the last change that was not synced. */
static uint64_t any_moment(const struct disk *disk, struct kt_random *random)
{
    uint64_t first = disk->order;
    for (size_t i = 0; i < disk->node_count; i++)
        if (disk->nodes[i].change_count && disk->nodes[i].changes[0].order < first)
            first = disk->nodes[i].changes[0].order;
    return first - 1 + kt_random_below(random, disk->order - first + 2);
}

/* ---- files */

static void tear(uint8_t *bytes, size_t from, size_t size, struct kt_random *random)
{
    while (from < size) {
        size_t end = (from / SECTOR + 1) * SECTOR;
        if (end > size) end = size;
        uint64_t fate = kt_random_below(random, 3);
        if (fate == 1) memset(bytes + from, 0, end - from);
        for (size_t i = from; fate == 2 && i < end; i++) bytes[i] = (uint8_t)kt_random_u64(random);
        from = end;
    }
}

static void crash_file(struct node *node, enum disk_crash kind, struct kt_random *random)
{
    size_t size = node->content ? node->content->size : 0;
    if (size == node->synced || kind == CRASH_ALL) return;
    struct content *content = content_own(node, size);
    uint64_t fate = kind == CRASH_NOTHING ? 0 : kind == CRASH_NAMES ? 1 : kt_random_below(random, 5);
    switch (fate) {
    case 0: /* the old size */
        content->size = node->synced;
        break;
    case 1: /* the new size, over nothing */
        memset(content->data + node->synced, 0, size - node->synced);
        break;
    case 2: /* as far as it got */
        content->size = node->synced + (size_t)kt_random_below(random, size - node->synced + 1);
        break;
    case 3: /* some sectors */
        tear(content->data, node->synced, size, random);
        break;
    default: /* everything, for once */
        break;
    }
}

struct disk *disk_crash(const struct disk *from, enum disk_crash kind, struct kt_random *random)
{
    struct disk *disk = disk_copy(from);
    uint64_t cut = any_moment(from, random);
    for (size_t i = 0; i < disk->node_count; i++) {
        if (disk->nodes[i].folder)
            crash_folder(&disk->nodes[i], kind, cut, random);
        else
            crash_file(&disk->nodes[i], kind, random);
        disk->nodes[i].links = i == 0;
    }
    for (size_t i = 0; i < disk->node_count; i++)
        for (size_t e = 0; e < disk->nodes[i].entries.count; e++)
            disk->nodes[disk->nodes[i].entries.entry[e].node].links++;
    disk_settle(disk);
    return disk;
}
