/* Failures that are known and not yet mended: counted apart, so that new ones are seen. Each line goes when
 * what it speaks of is mended. A run that --only names fails all the same. */
#define _GNU_SOURCE
#include <string.h>

#include "fault/campaign.h"

static const struct known {
    const char *label; /* begins so */
    const char *words; /* in what is complained of */
    const char *why;
} known[] = {
    { "sift-photos-100k", "recall@10 is",
      "a cluster that comes has few lists of its own until the next training" },
    { "debian-minilm", "recall@10 is", "the same" },
    { "examples/data/debian-10k", "recall@10 is", "the same" },
};

const char *known_failure(const char *label, const char *why)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strncmp(label, known[i].label, strlen(known[i].label)) && strstr(why, known[i].words))
            return known[i].why;
    return NULL;
}
