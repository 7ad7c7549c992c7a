/* Failing, text, memory, numbers for people: the small things every command needs.
 *
 * An error is one line on stderr that begins with "kith: ". The exit code comes from the status alone, so
 * a script can tell a missing table from a damaged one without reading words.
 */
#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

kith_status cli_fail(kith_error *error, kith_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (error) {
        error->status = status;
        vsnprintf(error->message, sizeof error->message, format, arguments);
    }
    va_end(arguments);
    return status;
}

kith_status cli_fail_errno(kith_error *error, const char *doing, const char *path)
{
    kith_status status = errno == ENOENT || errno == ENOTDIR ? KITH_NOT_FOUND : KITH_IO;
    return cli_fail(error, status, "cannot %s '%s': %s", doing, path, strerror(errno));
}

static int exit_of(kith_status status)
{
    switch (status) {
    case KITH_OK:
        return CLI_OK;
    case KITH_INVALID:
    case KITH_TYPE:
    case KITH_EXISTS:
        return CLI_REFUSED;
    case KITH_NOT_FOUND:
        return CLI_NOT_FOUND;
    case KITH_CORRUPT:
        return CLI_CORRUPT;
    case KITH_CONFLICT:
        return CLI_BUSY;
    case KITH_CANCELLED:
        return CLI_INTERRUPTED;
    case KITH_IO:
    case KITH_NO_MEMORY:
    case KITH_UNKNOWN:
    case KITH_UNSUPPORTED:
    case KITH_READ_ONLY:
    case KITH_TIMEOUT:
        return CLI_ERROR;
    }
    return CLI_ERROR;
}

bool cli_color(FILE *stream)
{
    const char *no_color = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");
    if (no_color && *no_color) return false;
    return isatty(fileno(stream)) && terminal && strcmp(terminal, "dumb") != 0;
}

static void say(const char *message)
{
    bool color = cli_color(stderr);
    fflush(stdout); // what was printed before the failure stands before it
    fprintf(stderr, "%skith:%s %s\n", color ? "\033[1;31m" : "", color ? "\033[0m" : "", message);
}

int cli_report(const kith_error *error)
{
    if (error->status == KITH_CANCELLED) {
        say("interrupted; the table is as it was before");
    } else {
        say(error->message[0] ? error->message : kith_status_name(error->status));
    }
    return exit_of(error->status);
}

int cli_usage(const struct command *command, const char *format, ...)
{
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    say(message);
    fprintf(stderr, "usage: kith %s %s\n", command->name, command->operands);
    fprintf(stderr, "'kith help %s' lists the options\n", command->name);
    return CLI_USAGE;
}

int cli_finish_output(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) return CLI_OK;
    kith_error error = { .status = KITH_OK };
    cli_fail_errno(&error, "write", "standard output");
    error.status = KITH_IO;
    return cli_report(&error);
}

static void out_of_memory(size_t bytes)
{
    fprintf(stderr, "kith: out of memory, asking for %zu bytes\n", bytes);
    exit(CLI_ERROR);
}

void *cli_alloc(size_t bytes)
{
    void *block = calloc(1, bytes ? bytes : 1);
    if (!block) out_of_memory(bytes);
    return block;
}

void *cli_grow(void *block, size_t bytes)
{
    void *bigger = realloc(block, bytes ? bytes : 1);
    if (!bigger) out_of_memory(bytes);
    return bigger;
}

char *cli_copy_text(const char *text)
{
    size_t bytes = strlen(text) + 1;
    return memcpy(cli_alloc(bytes), text, bytes);
}

void cli_text_reserve(struct text *text, size_t more)
{
    if (text->capacity - text->size > more) return; // one byte stays for the NUL
    size_t wanted = text->capacity ? text->capacity * 2 : 256;
    while (wanted - text->size <= more) wanted *= 2;
    text->data = cli_grow(text->data, wanted);
    text->capacity = wanted;
}

void cli_text_add(struct text *text, const void *bytes, size_t count)
{
    cli_text_reserve(text, count);
    if (count) memcpy(text->data + text->size, bytes, count);
    text->size += count;
    text->data[text->size] = '\0';
}

void cli_text_puts(struct text *text, const char *string)
{
    cli_text_add(text, string, strlen(string));
}

void cli_text_printf(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (size > 0) {
        cli_text_reserve(text, (size_t)size);
        vsnprintf(text->data + text->size, (size_t)size + 1, format, again);
        text->size += (size_t)size;
    }
    va_end(again);
}

void cli_text_release(struct text *text)
{
    free(text->data);
    *text = (struct text){ 0 };
}

const char *cli_count_text(char *to, uint64_t count)
{
    char digits[24];
    int size = snprintf(digits, sizeof digits, "%llu", (unsigned long long)count);
    char *end = to;
    for (int i = 0; i < size; i++) {
        if (i > 0 && (size - i) % 3 == 0) *end++ = ',';
        *end++ = digits[i];
    }
    *end = '\0';
    return to;
}

const char *cli_bytes_text(char *to, uint64_t bytes)
{
    static const char *const units[] = { "kB", "MB", "GB", "TB", "PB" };
    if (bytes < 1000) {
        snprintf(to, 32, "%llu B", (unsigned long long)bytes);
        return to;
    }
    double size = (double)bytes / 1000;
    size_t unit = 0;
    while (size >= 999.95 && unit + 1 < sizeof units / sizeof units[0]) {
        size /= 1000;
        unit++;
    }
    snprintf(to, 32, "%.1f %s", size, units[unit]);
    return to;
}

void cli_time_text(char *to, size_t size, int64_t time_us)
{
    struct tm when;
    time_t seconds = (time_t)(time_us / 1000000);
    to[0] = '\0';
    if (gmtime_r(&seconds, &when)) strftime(to, size, "%Y-%m-%d %H:%M:%S", &when);
}

double cli_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}
