/* What the files of the api room share. */
#ifndef KT_API_PRIVATE_H
#define KT_API_PRIVATE_H

#include "base/status.h"

/** Reads an option struct of any age. Each begins with its struct_size: one of an older header is shorter,
 * and what it lacks is zero; of one from a newer header the rest is not read. `size` is this version's; the
 * first `least` bytes are in every version. `name` is for the message. */
kith_status kt_options_read(const char *name, const void *from, size_t least, void *to, size_t size,
                            kith_error *error);

#endif
