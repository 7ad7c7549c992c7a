/* The simulated disk itself: nodes, names, and what of them is safe.
 *
 * A file's bytes are safe up to where they were when it was last synced; a name is safe once its folder has
 * been synced. Nothing else makes anything safe: a real file system often keeps more, and the images of
 * disk_crash.c say what it may keep. Nodes are never taken away, for a name that was removed and not synced
 * may come back.
 *
 * Always true here:
 *   - two copies of a disk never see each other's changes, though they share the bytes of files;
 *   - time goes on by a step for each call, and entropy comes from a seed, so that a run repeats itself.
 */
#include <stdio.h>
#include <string.h>

#include "fault/disk_private.h"
#include "fault/own.h"

const char *const disk_way_names[DISK_WAYS] = { "nameless", "proc", "link", "rename" };

/* ---- names in a folder */

struct entry *entries_find(const struct entries *entries, const char *name)
{
    for (size_t i = 0; i < entries->count; i++)
        if (!strcmp(entries->entry[i].name, name)) return &entries->entry[i];
    return NULL;
}

void entries_add(struct entries *entries, const char *name, uint32_t node)
{
    if (entries->count == entries->room) {
        size_t room = entries->room * 2 + 4;
        entries->entry = own_grow(entries->entry, entries->count, room, sizeof *entries->entry);
        entries->room = room;
    }
    struct entry *entry = &entries->entry[entries->count++];
    snprintf(entry->name, sizeof entry->name, "%s", name);
    entry->node = node;
}

void entries_remove(struct entries *entries, const char *name)
{
    struct entry *entry = entries_find(entries, name);
    if (!entry) return;
    size_t behind = entries->count - (size_t)(entry - entries->entry) - 1;
    memmove(entry, entry + 1, behind * sizeof *entry);
    entries->count--;
}

void entries_copy(const struct entries *from, struct entries *to)
{
    own_free(to->entry);
    *to = (struct entries){ .count = from->count, .room = from->count };
    if (!from->count) return;
    to->entry = own_new(from->count, sizeof *to->entry);
    memcpy(to->entry, from->entry, from->count * sizeof *to->entry);
}

/* ---- bytes of a file */

static void content_release(struct content *content)
{
    if (content && --content->references == 0) own_free(content);
}

/* The node's bytes, its own alone, with room for so many. */
struct content *content_own(struct node *node, size_t room)
{
    struct content *old = node->content;
    if (old && old->references == 1 && old->room >= room) return old;
    size_t size = old ? old->size : 0;
    if (room < size) room = size;
    if (old && old->references == 1) room *= 2;
    struct content *content = own_new(1, sizeof *content + room);
    *content = (struct content){ .references = 1, .size = size, .room = room };
    if (size) memcpy(content->data, old->data, size);
    content_release(old);
    node->content = content;
    return content;
}

void node_append(struct disk *disk, uint32_t at, const void *bytes, size_t count)
{
    struct node *node = &disk->nodes[at];
    struct content *content = content_own(node, (node->content ? node->content->size : 0) + count);
    memcpy(content->data + content->size, bytes, count);
    content->size += count;
    node->changed_us = disk->now_us;
    disk->order++;
}

/* ---- nodes */

uint32_t node_new(struct disk *disk, bool folder)
{
    if (disk->node_count == disk->node_room) {
        size_t room = disk->node_room * 2 + 16;
        disk->nodes = own_grow(disk->nodes, disk->node_count, room, sizeof *disk->nodes);
        disk->node_room = room;
    }
    disk->nodes[disk->node_count] = (struct node){ .folder = folder, .changed_us = disk->now_us };
    return (uint32_t)disk->node_count++;
}

void node_sync(struct node *node)
{
    node->synced = node->content ? node->content->size : 0;
    node->size_synced = true;
    if (!node->folder) return;
    entries_copy(&node->entries, &node->safe);
    node->change_count = 0;
}

void folder_change(struct disk *disk, uint32_t at, const char *removed, const char *added, uint32_t target)
{
    struct node *folder = &disk->nodes[at];
    if (folder->change_count == folder->change_room) {
        size_t room = folder->change_room * 2 + 4;
        folder->changes = own_grow(folder->changes, folder->change_count, room, sizeof *folder->changes);
        folder->change_room = room;
    }
    struct change *change = &folder->changes[folder->change_count++];
    *change = (struct change){ .order = ++disk->order, .added.node = NO_NODE };
    folder->changed_us = disk->now_us;
    if (removed) {
        struct entry *entry = entries_find(&folder->entries, removed);
        disk->nodes[entry->node].links--;
        snprintf(change->removed, sizeof change->removed, "%s", removed);
        entries_remove(&folder->entries, removed);
    }
    if (!added) return;
    disk->nodes[target].links++;
    disk->nodes[target].changed_us = disk->now_us;
    snprintf(change->added.name, sizeof change->added.name, "%s", added);
    change->added.node = target;
    entries_add(&folder->entries, added, target);
}

/* ---- disks */

struct disk *disk_new(uint64_t seed)
{
    struct disk *disk = own_new(1, sizeof *disk);
    disk->random.state = seed;
    disk->now_us = 1700000000000000;
    node_new(disk, true);
    node_sync(&disk->nodes[0]);
    disk->nodes[0].links = 1;
    return disk;
}

static void node_copy(const struct node *from, struct node *to)
{
    *to = *from;
    to->entries = to->safe = (struct entries){ 0 };
    to->changes = NULL;
    to->change_room = from->change_count;
    if (to->content) to->content->references++;
    entries_copy(&from->entries, &to->entries);
    entries_copy(&from->safe, &to->safe);
    if (!from->change_count) return;
    to->changes = own_new(from->change_count, sizeof *to->changes);
    memcpy(to->changes, from->changes, from->change_count * sizeof *to->changes);
}

struct disk *disk_copy(const struct disk *from)
{
    struct disk *disk = own_new(1, sizeof *disk);
    *disk = *from;
    disk->handles = NULL;
    disk->maps = NULL;
    disk->handle_count = disk->map_count = 0;
    disk->node_room = from->node_count;
    disk->nodes = own_new(from->node_count, sizeof *disk->nodes);
    for (size_t i = 0; i < from->node_count; i++) node_copy(&from->nodes[i], &disk->nodes[i]);
    return disk;
}

void disk_free(struct disk *disk)
{
    if (!disk) return;
    if (disk_in_use == disk) disk_in_use = NULL;
    for (size_t i = 0; i < disk->node_count; i++) {
        content_release(disk->nodes[i].content);
        own_free(disk->nodes[i].entries.entry);
        own_free(disk->nodes[i].safe.entry);
        own_free(disk->nodes[i].changes);
    }
    own_free(disk->nodes);
    own_free(disk->handles);
    for (size_t i = 0; i < disk->map_count; i++) own_free(disk->maps[i].memory);
    own_free(disk->maps);
    own_free(disk);
}

void disk_set_way(struct disk *disk, enum disk_way way)
{
    disk->way = way;
}

void disk_settle(struct disk *disk)
{
    for (size_t i = 0; i < disk->node_count; i++) node_sync(&disk->nodes[i]);
}

size_t disk_open_things(const struct disk *disk)
{
    size_t count = 0;
    for (size_t i = 0; i < disk->handle_count; i++) count += disk->handles[i].open;
    for (size_t i = 0; i < disk->map_count; i++) count += disk->maps[i].memory != NULL;
    return count;
}

uint64_t disk_changes(const struct disk *disk)
{
    return disk->order;
}

int64_t *disk_clock(struct disk *disk)
{
    return &disk->now_us;
}

/* ---- looking at it */

size_t disk_node_count(const struct disk *disk)
{
    return disk->node_count;
}

uint8_t *disk_bytes(struct disk *disk, size_t at, size_t *size)
{
    struct node *node = &disk->nodes[at];
    *size = 0;
    if (node->folder || !node->links || !node->content) return NULL;
    *size = node->content->size;
    return content_own(node, *size)->data;
}

const char *disk_name(const struct disk *disk, size_t at)
{
    for (size_t i = 0; i < disk->node_count; i++)
        for (size_t e = 0; e < disk->nodes[i].entries.count; e++)
            if (disk->nodes[i].entries.entry[e].node == at) return disk->nodes[i].entries.entry[e].name;
    return "";
}

static void print_below(const struct disk *disk, uint32_t at, int depth)
{
    const struct node *folder = &disk->nodes[at];
    for (size_t i = 0; i < folder->entries.count; i++) {
        const struct entry *entry = &folder->entries.entry[i];
        const struct node *node = &disk->nodes[entry->node];
        fprintf(stderr, "%*s%s", depth * 4, "", entry->name);
        if (node->folder)
            fprintf(stderr, "/\n");
        else
            fprintf(stderr, "  %zu bytes, %zu synced\n", node->content ? node->content->size : 0,
                    node->synced);
        if (node->folder) print_below(disk, entry->node, depth + 1);
    }
}

void disk_print(const struct disk *disk)
{
    print_below(disk, 0, 1);
}
