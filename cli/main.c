/* kith: the command line over kith.h.
 *
 * A command is one file cmd_NAME.c with one table of options; adding one is that file, a line in cli.h and
 * a line below. Data goes to stdout, everything else to stderr; the exit code says what kind of failure it
 * was (cli.h).
 */
#include <locale.h>
#include <string.h>

#include "json_out.h"
#include "options.h"
#include "progress.h"

static int run_version(const struct command *self, int argc, char **argv);
static int run_help(const struct command *self, int argc, char **argv);

static const struct option_spec no_options[] = { { 0 } };
static const struct command cmd_version = {
    "version", "", "Print the version, and the instruction set in use.", NULL, no_options, run_version,
};
static const struct command cmd_help = {
    "help", "[COMMAND]", "Explain a command.", NULL, no_options, run_help,
};

static const struct command *const commands[] = {
    &cli_cmd_import, &cli_cmd_index,  &cli_cmd_search, &cli_cmd_explain, &cli_cmd_bench,
    &cli_cmd_info,   &cli_cmd_log,    &cli_cmd_export, &cli_cmd_verify,  &cli_cmd_compact,
    &cli_cmd_repair, &cli_cmd_backup, &cli_cmd_erase,  &cmd_version,     &cmd_help,
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i]->name, name) == 0) return commands[i];
    }
    return NULL;
}

static void overview(FILE *to)
{
    fprintf(to, "usage: kith COMMAND [options]\n\n"
                "Kith keeps rows with vectors in tables and finds the nearest ones.\n\n");
    for (size_t i = 0; i < COMMANDS; i++) fprintf(to, "  %-9s %s\n", commands[i]->name, commands[i]->help);
    fprintf(to, "\nA table is written DB/TABLE: a folder, and a name in it.\n"
                "'kith help COMMAND' lists a command's options; 'man kith' tells all.\n");
}

static int unknown(const char *name)
{
    fprintf(stderr, "kith: there is no command '%s'\n\n", name);
    overview(stderr);
    return CLI_USAGE;
}

static int run_version(const struct command *self, int argc, char **argv)
{
    struct common set = { 0 };
    struct operands operands = { .at_most = 1 };
    int code = cli_parse(self, argc, argv, &set, &operands);
    if (code >= 0) return code;
    if (operands.count) return cli_usage(self, "'%s' is one operand too many", operands.items[0]);
    if (!set.json) {
        printf("kith %s (%s)\n", kith_version(), kith_isa());
        return cli_finish_output();
    }
    struct json json = { 0 };
    cli_json_open(&json, NULL, '{');
    cli_json_string(&json, "version", kith_version());
    cli_json_string(&json, "isa", kith_isa());
    cli_json_close(&json, '}');
    return cli_json_print(&json);
}

static int run_help(const struct command *self, int argc, char **argv)
{
    struct common set = { 0 };
    struct operands operands = { .at_most = 1 };
    int code = cli_parse(self, argc, argv, &set, &operands);
    if (code >= 0) return code;
    const struct command *about = operands.count ? find(operands.items[0]) : NULL;
    if (operands.count && !about) return unknown(operands.items[0]);
    if (about) {
        cli_command_help(about, stdout);
    } else {
        overview(stdout);
    }
    return cli_finish_output();
}

int main(int argc, char **argv)
{
    // Widths of UTF-8 need a UTF-8 locale; numbers stay as C writes them.
    const char *locale = setlocale(LC_CTYPE, "");
    if (!locale || !strstr(locale, "UTF-8")) setlocale(LC_CTYPE, "C.UTF-8");

    if (argc < 2) {
        overview(stderr);
        return CLI_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) name = "help";
    if (strcmp(name, "--version") == 0) name = "version";
    const struct command *command = find(name);
    if (!command) return unknown(name);
    cli_catch_interrupt();
    return command->run(command, argc - 1, argv + 1);
}
