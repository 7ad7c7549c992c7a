/* Files in memory: what "memory://" is made of, and a file system for tests that cannot fail.
 *
 * A root owns a tree of nodes; roots below it share the tree and hold their folder's node, so that they
 * outlive its renaming as descriptors do. One lock guards the tree: names, references, which content a file
 * has. Content itself never changes once a file is finished, and is counted by reference, so that reading
 * takes no lock and a removed file stays readable for whoever has it open.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/alloc.h"
#include "base/lock.h"
#include "io/io_private.h"

struct content {
    _Atomic uint32_t references;
    size_t size;
    uint8_t *data; /* 64-byte aligned */
};

struct node {
    uint32_t references; /* of the folder it is in, of roots, of writers; guarded by the tree's lock, as all
                            below */
    bool folder;
    bool removed;
    char *name;
    struct node *parent;     /* the folder it is in */
    struct content *content; /* of a file; NULL until it is finished, */
    int64_t written_us;      /* which was then */
    struct node **children;  /* of a folder, sorted by name */
    size_t count, capacity;
};

struct tree {
    struct kt_lock lock;
    _Atomic uint32_t references;
    struct node *root;
};

struct memory_io {
    struct kt_io base;
    struct tree *tree;
    struct memory_io *parent; /* NULL: the tree's root */
    char *name;               /* below the parent */
    struct node *node;        /* the folder, once used; guarded by the tree's lock */
    _Atomic uint32_t references;
};

struct memory_file {
    struct kt_io_file base;
    struct content *content;
};

struct memory_writer {
    struct kt_io_writer base;
    struct memory_io *io;
    struct node *node;
    uint8_t *data;
    size_t size, capacity;
    bool failed;
};

static const struct kt_io_backend memory_backend;
static int64_t memory_now_us(struct kt_io *io);

static struct memory_io *memory(struct kt_io *io)
{
    return (struct memory_io *)io;
}

/* ---- content */

static void content_release(struct content *content)
{
    if (!content || atomic_fetch_sub(&content->references, 1) != 1) return;
    kt_free(content->data);
    kt_free(content);
}

static struct content *content_share(struct content *content)
{
    atomic_fetch_add(&content->references, 1);
    return content;
}

/* Takes over `data`. */
static struct content *content_new(uint8_t *data, size_t size)
{
    struct content *content = kt_alloc_zero(1, sizeof *content);
    if (content) *content = (struct content){ .references = 1, .size = size, .data = data };
    return content;
}

/* ---- nodes: all with the lock held */

static void node_release(struct node *node)
{
    if (!node || --node->references) return;
    for (size_t i = 0; i < node->count; i++) node_release(node->children[i]);
    kt_free(node->children);
    content_release(node->content);
    kt_free(node->name);
    kt_free(node);
}

static struct node *node_new(const char *name, size_t length, bool folder)
{
    struct node *node = kt_alloc_zero(1, sizeof *node);
    char *copy = node ? kt_alloc(length + 1) : NULL;
    if (!copy) {
        kt_free(node);
        return NULL;
    }
    memcpy(copy, name, length);
    copy[length] = '\0';
    *node =
        (struct node){ .references = 1, .folder = folder, .name = copy, .written_us = memory_now_us(NULL) };
    return node;
}

static int compare_name(const char *a, const char *b, size_t b_length)
{
    int order = strncmp(a, b, b_length);
    return order ? order : a[b_length] != '\0';
}

/* Where `name` is among the children, or where it belongs. */
static size_t child_at(const struct node *folder, const char *name, size_t length, bool *found)
{
    size_t low = 0, high = folder->count;
    *found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_name(folder->children[middle]->name, name, length);
        if (order == 0) *found = true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct node *child(const struct node *folder, const char *name, size_t length)
{
    bool found;
    size_t at = child_at(folder, name, length, &found);
    return found ? folder->children[at] : NULL;
}

/* Puts `node` (its reference passes over) into a folder that has no such name. */
static bool attach(struct node *folder, struct node *node)
{
    bool found;
    if (folder->count == folder->capacity) {
        size_t capacity = folder->capacity ? folder->capacity * 2 : 16;
        struct node **grown = kt_realloc_array(folder->children, capacity, sizeof(struct node *));
        if (!grown) return false;
        folder->children = grown;
        folder->capacity = capacity;
    }
    size_t at = child_at(folder, node->name, strlen(node->name), &found);
    memmove(folder->children + at + 1, folder->children + at,
            (folder->count - at) * sizeof *folder->children);
    folder->children[at] = node;
    folder->count++;
    node->parent = folder;
    return true;
}

/* Takes a node out of its folder; its reference passes to the caller. */
static void detach(struct node *node)
{
    struct node *folder = node->parent;
    bool found;
    size_t at = child_at(folder, node->name, strlen(node->name), &found);
    folder->count--;
    memmove(folder->children + at, folder->children + at + 1,
            (folder->count - at) * sizeof *folder->children);
    node->parent = NULL;
}

/* A removed folder is empty for those who hold it, and nothing new can be put there. */
static void node_remove(struct node *node)
{
    detach(node);
    node->removed = true;
    while (node->count) node_remove(node->children[node->count - 1]);
    node_release(node);
}

static struct node *walk(struct node *from, const char *name, size_t count)
{
    while (from && count) {
        size_t length = strcspn(name, "/");
        if (length > count) length = count;
        from = from->folder ? child(from, name, length) : NULL;
        name += length;
        count -= length;
        if (count) name++, count--;
    }
    return from;
}

static struct node *root_node(struct memory_io *io)
{
    if (!io->parent) return io->tree->root;
    if (!io->node) {
        struct node *above = root_node(io->parent);
        struct node *mine = above ? walk(above, io->name, strlen(io->name)) : NULL;
        if (!mine || !mine->folder) return NULL;
        mine->references++;
        io->node = mine;
    }
    return io->node;
}

/* The node called `name`, or NULL; `*above` is the folder it is in or would be in, or NULL. */
static struct node *find(struct memory_io *io, const char *name, struct node **above, const char **leaf)
{
    const char *slash = strrchr(name, '/');
    struct node *folder = walk(root_node(io), name, slash ? (size_t)(slash - name) : 0);
    *leaf = slash ? slash + 1 : name;
    *above = folder && folder->folder && !folder->removed ? folder : NULL;
    if (!folder || !**leaf) return folder;
    return *above ? child(folder, *leaf, strlen(*leaf)) : NULL;
}

/* ---- roots */

static void take(struct memory_io *io)
{
    kt_lock_take(&io->tree->lock);
}

static void give(struct memory_io *io)
{
    kt_lock_give(&io->tree->lock);
}

static kith_status refuse(struct memory_io *io, const char *name, kith_status status, const char *why,
                          kith_error *error)
{
    return kt_fail(error, status, "%s%s%s %s", io->base.root, *name ? "/" : "", name, why);
}

static void tree_release(struct tree *tree)
{
    if (!tree || atomic_fetch_sub(&tree->references, 1) != 1) return;
    kt_lock_release(&tree->lock);
    node_release(tree->root);
    kt_free(tree);
}

static void memory_close(struct kt_io *base)
{
    struct memory_io *io = memory(base);
    if (atomic_fetch_sub(&io->references, 1) != 1) return;
    take(io);
    node_release(io->node);
    give(io);
    if (io->parent) memory_close(&io->parent->base);
    tree_release(io->tree);
    kt_free(io->name);
    kt_free(base->root);
    kt_free(io);
}

static struct memory_io *io_share(struct memory_io *io)
{
    atomic_fetch_add(&io->references, 1);
    return io;
}

static kith_status root_new(struct tree *tree, struct memory_io *parent, const char *name, char *path,
                            struct kt_io **out, kith_error *error)
{
    struct memory_io *io = path ? kt_alloc_zero(1, sizeof *io) : NULL;
    char *copy = io ? kt_strdup(name) : NULL;
    if (!copy) {
        kt_free(path);
        kt_free(io);
        return kt_fail_memory(error, sizeof *io);
    }
    *io =
        (struct memory_io){ .base = { &memory_backend, path }, .tree = tree, .name = copy, .references = 1 };
    atomic_fetch_add(&tree->references, 1);
    io->parent = parent ? io_share(parent) : NULL;
    *out = &io->base;
    return KITH_OK;
}

kith_status kt_io_open_memory(struct kt_io **out, kith_error *error)
{
    struct tree *tree = kt_alloc_zero(1, sizeof *tree);
    struct node *root = tree ? node_new("", 0, true) : NULL;
    if (!root) {
        kt_free(tree);
        return kt_fail_memory(error, sizeof *tree);
    }
    tree->root = root;
    tree->references = 1;
    kt_lock_init(&tree->lock);
    kith_status status = root_new(tree, NULL, "", kt_strdup("memory:/"), out, error);
    tree_release(tree);
    return status;
}

static kith_status memory_open_sub(struct kt_io *io, const char *name, struct kt_io **out, kith_error *error)
{
    return root_new(memory(io)->tree, memory(io), name, kt_io_join(io->root, name), out, error);
}

/* ---- reading */

static kith_status memory_look(struct kt_io *io, const char *name, kith_error *error)
{
    struct node *above;
    const char *leaf;
    take(memory(io));
    bool there = find(memory(io), name, &above, &leaf) != NULL;
    give(memory(io));
    return there ? KITH_OK : refuse(memory(io), name, KITH_NOT_FOUND, "does not exist", error);
}

static int64_t memory_written_us(struct kt_io *io, const char *name)
{
    struct node *above;
    const char *leaf;
    take(memory(io));
    const struct node *node = find(memory(io), name, &above, &leaf);
    int64_t written = node && node->content ? node->written_us : 0;
    give(memory(io));
    return written;
}

static void memory_file_close(struct kt_io_file *base)
{
    struct memory_file *file = (struct memory_file *)base;
    content_release(file->content);
    kt_free(base->name);
    kt_free(file);
}

static kith_status memory_open(struct kt_io *base, const char *name, struct kt_io_file **out,
                               kith_error *error)
{
    struct memory_io *io = memory(base);
    struct node *above;
    const char *leaf;
    struct memory_file *file = kt_alloc_zero(1, sizeof *file);
    char *path = file ? kt_io_join(base->root, name) : NULL;
    if (!path) {
        kt_free(file);
        return kt_fail_memory(error, sizeof *file);
    }
    take(io);
    struct node *node = find(io, name, &above, &leaf);
    bool folder = node && node->folder;
    struct content *content = node && !folder && node->content ? content_share(node->content) : NULL;
    give(io);
    *file = (struct memory_file){ .base = { &memory_backend, path, content ? content->size : 0 },
                                  .content = content };
    if (node && !folder) {
        *out = &file->base;
        return KITH_OK;
    }
    memory_file_close(&file->base);
    if (folder) return refuse(io, name, KITH_CORRUPT, "is not a file", error);
    return refuse(io, name, KITH_NOT_FOUND, "does not exist", error);
}

static kith_status memory_file_read(struct kt_io_file *base, uint64_t offset, void *to, size_t count,
                                    kith_error *error)
{
    struct memory_file *file = (struct memory_file *)base;
    (void)error;
    if (count) memcpy(to, file->content->data + offset, count);
    return KITH_OK;
}

static const uint8_t *memory_file_map(struct kt_io_file *base)
{
    struct memory_file *file = (struct memory_file *)base;
    return file->content ? file->content->data : NULL;
}

/* ---- writing */

static kith_status memory_create(struct kt_io *base, const char *name, struct kt_io_writer **out,
                                 kith_error *error)
{
    struct memory_io *io = memory(base);
    struct node *above;
    const char *leaf;
    struct memory_writer *writer = kt_alloc_zero(1, sizeof *writer);
    if (!writer) return kt_fail_memory(error, sizeof *writer);

    kith_status status = KITH_OK;
    take(io);
    struct node *there = find(io, name, &above, &leaf);
    struct node *node = there || !above ? NULL : node_new(leaf, strlen(leaf), false);
    if (node && !attach(above, node)) {
        node_release(node);
        node = NULL;
    }
    if (there)
        status = KITH_EXISTS;
    else if (!above)
        status = KITH_NOT_FOUND;
    else if (!node)
        status = KITH_NO_MEMORY;
    if (node) node->references++;
    give(io);

    if (status) {
        kt_free(writer);
        if (status == KITH_NO_MEMORY) return kt_fail_memory(error, sizeof *node);
        return refuse(io, name, status,
                      status == KITH_EXISTS ? "exists" : "is in a folder that does not exist", error);
    }
    *writer = (struct memory_writer){ .base = { &memory_backend }, .io = io_share(io), .node = node };
    *out = &writer->base;
    return KITH_OK;
}

/* Moves the bytes so far to memory of `capacity`: aligned memory has no realloc. */
static bool writer_resize(struct memory_writer *writer, size_t capacity)
{
    uint8_t *data = kt_alloc_aligned(capacity);
    if (!data) return false;
    if (writer->size) memcpy(data, writer->data, writer->size);
    kt_free(writer->data);
    writer->data = data;
    writer->capacity = capacity;
    return true;
}

static kith_status memory_append(struct kt_io_writer *base, const void *bytes, size_t count,
                                 kith_error *error)
{
    struct memory_writer *writer = (struct memory_writer *)base;
    size_t needed;
    if (!count) return KITH_OK;
    if (__builtin_add_overflow(writer->size, count, &needed)) needed = SIZE_MAX;
    size_t doubled = writer->capacity * 2 < 4096 ? 4096 : writer->capacity * 2;
    if (needed > writer->capacity && !writer_resize(writer, needed > doubled ? needed : doubled)) {
        writer->failed = true;
        return kt_fail_memory(error, needed);
    }
    memcpy(writer->data + writer->size, bytes, count);
    writer->size = needed;
    return KITH_OK;
}

static void writer_free(struct memory_writer *writer, bool keep)
{
    take(writer->io);
    if (!keep && !writer->node->removed) node_remove(writer->node);
    node_release(writer->node);
    give(writer->io);
    memory_close(&writer->io->base);
    kt_free(writer->data);
    kt_free(writer);
}

static kith_status memory_finish(struct kt_io_writer *base, kith_error *error)
{
    struct memory_writer *writer = (struct memory_writer *)base;
    bool wasteful = writer->capacity - writer->size > writer->size / 8;
    struct content *content = NULL;
    if (!writer->failed && (!wasteful || writer_resize(writer, writer->size)))
        content = content_new(writer->data, writer->size);
    if (!content) {
        writer_free(writer, false);
        return kt_fail_memory(error, sizeof *content);
    }
    writer->data = NULL; // the content's
    take(writer->io);
    writer->node->content = content;
    writer->node->written_us = memory_now_us(NULL);
    give(writer->io);
    writer_free(writer, true);
    return KITH_OK;
}

static void memory_abandon(struct kt_io_writer *base)
{
    writer_free((struct memory_writer *)base, false);
}

static kith_status memory_sync_folder(struct kt_io *base, const char *name, kith_error *error)
{
    struct node *above;
    const char *leaf;
    take(memory(base));
    struct node *node = find(memory(base), name, &above, &leaf);
    bool folder = node && node->folder;
    give(memory(base));
    return folder ? KITH_OK : refuse(memory(base), name, KITH_NOT_FOUND, "is no folder", error);
}

static enum kt_published memory_publish(struct kt_io *base, const char *name, const void *bytes, size_t count,
                                        kith_error *error)
{
    struct memory_io *io = memory(base);
    struct node *above;
    const char *leaf;
    uint8_t *data = kt_alloc_aligned(count);
    struct content *content = data ? content_new(data, count) : NULL;
    if (!content) {
        kt_free(data);
        kt_fail_memory(error, count);
        return KT_REFUSED;
    }
    if (count) memcpy(data, bytes, count);

    take(io);
    struct node *there = find(io, name, &above, &leaf);
    struct node *node = there || !above ? NULL : node_new(leaf, strlen(leaf), false);
    bool won = node && attach(above, node);
    bool lost = there != NULL, nowhere = !above;
    if (won)
        node->content = content;
    else
        node_release(node);
    give(io);

    if (won) return KT_WON;
    content_release(content);
    if (lost) return KT_LOST;
    if (nowhere)
        refuse(io, name, KITH_NOT_FOUND, "is in a folder that does not exist", error);
    else
        kt_fail_memory(error, sizeof *node);
    return KT_REFUSED;
}

/* ---- folders */

static kith_status memory_list(struct kt_io *base, const char *folder, struct kt_io_names *out,
                               kith_error *error)
{
    struct memory_io *io = memory(base);
    struct kt_io_names names = { 0 };
    struct node *above;
    const char *leaf;
    take(io);
    struct node *node = find(io, folder, &above, &leaf);
    bool there = node && node->folder && !node->removed, copied = there;
    for (size_t i = 0; there && copied && i < node->count; i++)
        copied = kt_io_names_add(&names, node->children[i]->name);
    give(io);
    if (!copied) {
        kt_io_names_release(&names);
        return there ? kt_fail_memory(error, sizeof *names.names)
                     : refuse(io, folder, KITH_NOT_FOUND, "is no folder", error);
    }
    kt_io_names_sort(&names);
    *out = names;
    return KITH_OK;
}

/* Makes every missing folder on the way from the tree's root, with the lock held. */
static kith_status make(struct memory_io *io, const char *name, struct node **out)
{
    struct node *at = root_node(io);
    if (!at && io->parent) {
        kith_status status = make(io->parent, io->name, &at);
        if (status) return status;
        at = root_node(io);
    }
    while (at && *name) {
        size_t length = strcspn(name, "/");
        struct node *next = child(at, name, length);
        if (at->removed) return KITH_NOT_FOUND;
        if (next && !next->folder) return KITH_IO;
        if (!next) {
            next = node_new(name, length, true);
            if (!next || !attach(at, next)) {
                node_release(next);
                return KITH_NO_MEMORY;
            }
        }
        at = next;
        name += length + (name[length] == '/');
    }
    *out = at;
    return at ? KITH_OK : KITH_IO;
}

static kith_status memory_mkdir(struct kt_io *base, const char *name, kith_error *error)
{
    struct node *node;
    take(memory(base));
    kith_status status = make(memory(base), name, &node);
    give(memory(base));
    return status ? refuse(memory(base), name, status, "could not be made a folder", error) : KITH_OK;
}

static kith_status memory_remove(struct kt_io *base, const char *name, kith_error *error)
{
    struct node *above;
    const char *leaf;
    take(memory(base));
    struct node *node = find(memory(base), name, &above, &leaf);
    bool folder = node && node->folder;
    if (node && !folder) node_remove(node);
    give(memory(base));
    return folder ? refuse(memory(base), name, KITH_IO, "is a folder", error) : KITH_OK;
}

static kith_status memory_remove_tree(struct kt_io *base, const char *name, kith_error *error)
{
    struct node *above;
    const char *leaf;
    (void)error;
    take(memory(base));
    struct node *node = find(memory(base), name, &above, &leaf);
    if (node) node_remove(node);
    give(memory(base));
    return KITH_OK;
}

static kith_status rename_node(struct memory_io *io, const char *from, const char *to)
{
    struct node *above, *target;
    const char *leaf, *target_leaf;
    struct node *node = find(io, from, &above, &leaf);
    if (!node) return KITH_NOT_FOUND;
    if (find(io, to, &target, &target_leaf)) return KITH_EXISTS;
    if (!target) return KITH_NOT_FOUND;
    size_t length = strlen(from);
    if (!strncmp(from, to, length) && to[length] == '/') return KITH_INVALID; /* into itself */
    char *name = kt_strdup(target_leaf);
    if (!name) return KITH_NO_MEMORY;
    char *old = node->name;
    detach(node);
    node->name = name;
    if (attach(target, node)) {
        kt_free(old);
        return KITH_OK;
    }
    node->name = old;
    kt_free(name);
    attach(above, node); /* has room: it was there a moment ago */
    return KITH_NO_MEMORY;
}

static kith_status memory_rename(struct kt_io *base, const char *from, const char *to, kith_error *error)
{
    take(memory(base));
    kith_status status = rename_node(memory(base), from, to);
    give(memory(base));
    if (!status) return KITH_OK;
    if (status == KITH_EXISTS) return refuse(memory(base), to, status, "exists", error);
    return refuse(memory(base), from, status, "could not be renamed", error);
}

/* ---- the rest */

static int64_t memory_now_us(struct kt_io *io)
{
    struct timespec now = { 0 };
    (void)io;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static kith_status memory_entropy(struct kt_io *io, void *to, size_t count, kith_error *error)
{
    uint8_t *at = to;
    while (count) {
        ssize_t got = getrandom(at, count, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return refuse(memory(io), "", KITH_IO, "got no random numbers from the system", error);
        at += got;
        count -= (size_t)got;
    }
    return KITH_OK;
}

static const struct kt_io_backend memory_backend = {
    .open_sub = memory_open_sub,
    .close = memory_close,
    .look = memory_look,
    .written_us = memory_written_us,
    .open = memory_open,
    .file_close = memory_file_close,
    .file_read = memory_file_read,
    .file_map = memory_file_map,
    .create = memory_create,
    .append = memory_append,
    .finish = memory_finish,
    .abandon = memory_abandon,
    .sync_folder = memory_sync_folder,
    .publish = memory_publish,
    .list = memory_list,
    .mkdir = memory_mkdir,
    .remove = memory_remove,
    .remove_tree = memory_remove_tree,
    .rename = memory_rename,
    .now_us = memory_now_us,
    .entropy = memory_entropy,
};
