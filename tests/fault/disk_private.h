/* What the files of the simulated disk share. */
#ifndef TESTS_FAULT_DISK_PRIVATE_H
#define TESTS_FAULT_DISK_PRIVATE_H

#include "fault/disk.h"

enum { NAME_ROOM = 72, FIRST_FD = 1 << 20, NO_NODE = UINT32_MAX };

struct entry {
    char name[NAME_ROOM];
    uint32_t node;
};

struct entries {
    struct entry *entry;
    size_t count, room;
};

/* What was done to a folder and not synced. Adding, removing, or both at once: a renaming. */
struct change {
    uint64_t order; /* among all changes of the disk */
    char removed[NAME_ROOM];
    struct entry added; /* "": none */
};

struct content { /* of a file; shared by copies of the disk, copied when it changes */
    uint32_t references;
    size_t size, room;
    uint8_t data[];
};

/* A file only grows, as Kith writes them; so what was synced of it is a number of its bytes. */
struct node {
    bool folder;
    uint32_t links;
    int64_t changed_us;
    struct content *content;
    size_t synced;          /* bytes of it; */
    bool size_synced;       /* false: not even that it is there */
    struct entries entries; /* of a folder, now, */
    struct entries safe;    /* and when it was last synced */
    struct change *changes; /* since then */
    size_t change_count, change_room;
};

struct handle {
    bool open;
    uint32_t node;
    bool writes;
    size_t position; /* of the next write, or the next name */
};

struct map {
    void *memory;
};

struct disk {
    enum disk_way way;
    struct node *nodes; /* 0 is the root */
    size_t node_count, node_room;
    struct handle *handles;
    size_t handle_count;
    struct map *maps;
    size_t map_count;
    uint64_t order; /* of the last change */
    int64_t now_us;
    struct kt_random random; /* what entropy it gives */
};

/* ---- disk.c */

struct entry *entries_find(const struct entries *entries, const char *name);
void entries_add(struct entries *entries, const char *name, uint32_t node);
void entries_remove(struct entries *entries, const char *name);
void entries_copy(const struct entries *from, struct entries *to);
uint32_t node_new(struct disk *disk, bool folder);
void node_append(struct disk *disk, uint32_t node, const void *bytes, size_t count);
void node_sync(struct node *node);
/** Takes a name out, puts one in, or both; NULL or NO_NODE for none. */
void folder_change(struct disk *disk, uint32_t folder, const char *removed, const char *added, uint32_t node);
struct content *content_own(struct node *node, size_t room);

/* ---- disk_calls.c */

extern struct disk *disk_in_use;

#endif
