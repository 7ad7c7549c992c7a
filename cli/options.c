/* Options: one table per command, read by getopt_long and printed by help, so that the two agree.
 *
 * --json, --quiet and --help belong to every command and are added here. A number is read whole and in
 * range or refused: "10k" is a mistake, not a ten.
 */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct option_spec common_options[] = {
    { "json", 0, OPTION_FLAG, offsetof(struct common, json), NULL, "print JSON instead of text", NULL },
    { "quiet", 'q', OPTION_FLAG, offsetof(struct common, quiet), NULL, "no progress, no remarks", NULL },
    { "help", 'h', OPTION_FLAG, offsetof(struct common, help), NULL, "print this help", NULL },
    { 0 },
};

#define MOST_OPTIONS 40

static int count_options(const struct option_spec *options)
{
    int count = 0;
    while (options && options[count].name) count++;
    return count;
}

/* The command's options, then the common ones, as getopt wants them. */
struct getopt_view {
    const struct option_spec *specs[MOST_OPTIONS];
    struct option longs[MOST_OPTIONS + 1];
    char shorts[2 * MOST_OPTIONS + 3];
    int count;
};

static void view_add(struct getopt_view *view, const struct option_spec *options)
{
    char *end = view->shorts + strlen(view->shorts);
    for (int i = 0; i < count_options(options) && view->count < MOST_OPTIONS; i++) {
        const struct option_spec *spec = &options[i];
        view->specs[view->count] = spec;
        view->longs[view->count] = (struct option){
            .name = spec->name,
            .has_arg = spec->value ? required_argument : no_argument,
            .val = 1000 + view->count,
        };
        if (spec->letter) {
            *end++ = spec->letter;
            if (spec->value) *end++ = ':';
        }
        view->count++;
    }
}

static bool read_u64(const char *text, uint64_t most, uint64_t *out)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (!isdigit((unsigned char)*text) || *end || errno || value > most) return false;
    *out = value;
    return true;
}

bool cli_read_bytes(const char *text, uint64_t *out)
{
    static const char units[] = "kmgt";
    char *end = NULL;
    errno = 0;
    double value = isdigit((unsigned char)*text) ? strtod(text, &end) : -1;
    if (!end || errno) return false;
    while (*end == ' ') end++;
    const char *unit = *end ? strchr(units, tolower((unsigned char)*end)) : NULL;
    bool binary = unit && tolower((unsigned char)end[1]) == 'i';
    for (const char *at = units; unit && at <= unit; at++) value *= binary ? 1024 : 1000;
    end += unit ? binary ? 2 : 1 : 0;
    if (tolower((unsigned char)*end) == 'b') end++;
    if (*end || !(value < 9.2e18)) return false;
    *out = (uint64_t)value;
    return true;
}

static bool is_choice(const char *choices, const char *value)
{
    size_t size = strlen(value);
    for (const char *at = choices; at; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL) {
        if (strncmp(at, value, size) == 0 && (at[size] == '|' || !at[size])) return true;
    }
    return false;
}

/* Sets the field of one option. @return -1, or CLI_USAGE after saying why */
static int option_set(const struct command *command, const struct option_spec *spec, const char *value,
                      void *settings)
{
    char *field = (char *)settings + spec->offset;
    uint64_t number = 0;
    char *end = NULL;
    switch (spec->kind) {
    case OPTION_FLAG:
        *(bool *)(void *)field = true;
        return -1;
    case OPTION_TEXT:
        if (spec->choices && !is_choice(spec->choices, value)) {
            return cli_usage(command, "--%s expects one of %s, given '%s'", spec->name, spec->choices, value);
        }
        *(const char **)(void *)field = value;
        return -1;
    case OPTION_LIST: {
        struct option_list *list = (struct option_list *)(void *)field;
        list->items = cli_grow(list->items, (list->count + 1) * sizeof *list->items);
        list->items[list->count++] = value;
        return -1;
    }
    case OPTION_U32:
        if (!read_u64(value, UINT32_MAX, &number)) break;
        *(uint32_t *)(void *)field = (uint32_t)number;
        return -1;
    case OPTION_U64:
        if (!read_u64(value, UINT64_MAX, &number)) break;
        *(uint64_t *)(void *)field = number;
        return -1;
    case OPTION_REAL: {
        float real = strtof(value, &end);
        if (end == value || *end || !isfinite(real)) break;
        *(float *)(void *)field = real;
        return -1;
    }
    case OPTION_BYTES:
        if (!cli_read_bytes(value, &number)) break;
        *(uint64_t *)(void *)field = number;
        return -1;
    }
    const char *wanted = spec->kind == OPTION_REAL    ? "number"
                         : spec->kind == OPTION_BYTES ? "size like 512MB"
                                                      : "whole number";
    return cli_usage(command, "--%s expects a %s, given '%s'", spec->name, wanted, value);
}

static const struct option_spec *spec_of(const struct getopt_view *view, int found)
{
    if (found >= 1000) return view->specs[found - 1000];
    for (int i = 0; i < view->count; i++) {
        if (view->specs[i]->letter == found) return view->specs[i];
    }
    return NULL;
}

static int bad_option(const struct command *command, const struct getopt_view *view, int why, char **argv)
{
    const char *given = optind > 0 ? argv[optind - 1] : "";
    const struct option_spec *spec = optopt ? spec_of(view, optopt) : NULL;
    if (why == ':' && spec) {
        return cli_usage(command, "--%s expects a value (%s)", spec->name, spec->value);
    }
    if (spec) return cli_usage(command, "--%s takes no value, given '%s'", spec->name, given);
    if (optopt) return cli_usage(command, "'kith %s' has no option -%c", command->name, optopt);
    return cli_usage(command, "'kith %s' has no option '%s'", command->name, given);
}

int cli_parse(const struct command *command, int argc, char **argv, void *settings, struct operands *operands)
{
    struct getopt_view view = { .shorts = ":" };
    view_add(&view, command->options);
    view_add(&view, common_options);

    opterr = 0;
    optind = 0; // glibc: start anew
    int found;
    while ((found = getopt_long(argc, argv, view.shorts, view.longs, NULL)) != -1) {
        if (found == '?' || found == ':') return bad_option(command, &view, found, argv);
        int code = option_set(command, spec_of(&view, found), optarg, settings);
        if (code >= 0) return code;
    }
    if (((struct common *)settings)->help) {
        cli_command_help(command, stdout);
        return cli_finish_output();
    }
    operands->items = argv + optind;
    operands->count = argc - optind;
    if (operands->count < operands->at_least) {
        if (!operands->count) return cli_usage(command, "expected %s, given nothing", command->operands);
        return cli_usage(command, "expected %s, given only '%s'", command->operands, operands->items[0]);
    }
    if (operands->at_most && operands->count > operands->at_most) {
        return cli_usage(command, "'%s' is one operand too many", operands->items[operands->at_most]);
    }
    return -1;
}

static void help_option(const struct option_spec *spec, FILE *to)
{
    char left[64];
    char letter[8] = "    ";
    if (spec->letter) snprintf(letter, sizeof letter, "-%c, ", spec->letter);
    snprintf(left, sizeof left, "%s--%s%s%s", letter, spec->name, spec->value ? " " : "",
             spec->value ? spec->value : "");
    fprintf(to, "  %-29s %s\n", left, spec->help);
    if (spec->choices) fprintf(to, "  %-29s   (%s)\n", "", spec->choices);
}

void cli_command_help(const struct command *command, FILE *to)
{
    fprintf(to, "usage: kith %s %s\n\n%s\n", command->name, command->operands, command->help);
    if (command->more) fprintf(to, "\n%s\n", command->more);
    fprintf(to, "\noptions:\n");
    for (int i = 0; i < count_options(command->options); i++) help_option(&command->options[i], to);
    for (int i = 0; i < count_options(common_options); i++) help_option(&common_options[i], to);
}

const char **cli_split(const char *list, size_t *count)
{
    size_t size = strlen(list) + 1;
    size_t items = 1;
    for (const char *at = list; *at; at++) items += *at == ',';
    const char **out = cli_alloc((items + 1) * sizeof *out + size);
    char *copy = (char *)(out + items + 1);
    memcpy(copy, list, size);
    *count = 0;
    for (char *at = copy; at;) {
        char *comma = strchr(at, ',');
        if (comma) *comma = '\0';
        if (*at) out[(*count)++] = at;
        at = comma ? comma + 1 : NULL;
    }
    return out;
}
