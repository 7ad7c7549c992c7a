/* The door through which column and index write files: a sink that hashes what passes. It is read back
 * through cache/view.h. */
#ifndef KT_STORAGE_BLOB_H
#define KT_STORAGE_BLOB_H

#include "cache/view.h"

struct kt_sink;

/** Begins a sealed file; `io` and `name` as for kt_io_create(). */
kith_status kt_sink_create(struct kt_io *io, const char *name, uint32_t block_bytes, struct kt_sink **out,
                           kith_error *error);
/** Begins one in memory: the bytes go to `to`, which the caller holds; no block table is written. */
kith_status kt_sink_memory(struct kt_buffer *to, struct kt_sink **out, kith_error *error);
/** Begins one on a file descriptor, which stays the caller's; no block table is written. */
kith_status kt_sink_descriptor(int fd, struct kt_sink **out, kith_error *error);

uint64_t kt_sink_at(const struct kt_sink *sink); /* bytes so far */
kith_status kt_sink_write(struct kt_sink *sink, const void *bytes, size_t count,
                          kith_error *error); /* bytes NULL: zeros */
kith_status kt_sink_align(struct kt_sink *sink, size_t multiple, kith_error *error);
/** Pads to 64 and writes the block table over all before it (nothing for memory and descriptors). Once. */
kith_status kt_sink_seal(struct kt_sink *sink, kith_error *error);
/** Syncs and closes; seals first if nobody did. The sink is gone either way. `seal` may be NULL. */
kith_status kt_sink_finish(struct kt_sink *sink, struct kt_seal *seal, kith_error *error);
void kt_sink_abandon(struct kt_sink *sink); /* removes the file; NULL is allowed */

#endif
