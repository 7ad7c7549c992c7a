/* Writing JSON and numbers: shortest text that reads back as the same number. */
#ifndef CLI_JSON_OUT_H
#define CLI_JSON_OUT_H

#include "cli.h"

struct json { /* zeroed is empty */
    struct text text;
    bool comma; // something precedes in the open bracket
};

/* `key` is NULL inside an array and at the top. */
void cli_json_open(struct json *json, const char *key, char bracket); /* '{' or '[' */
void cli_json_close(struct json *json, char bracket);                 /* '}' or ']' */
void cli_json_key(struct json *json, const char *key); /* what follows is added to json->text */
void cli_json_string(struct json *json, const char *key, const char *value); /* NULL value: null */
void cli_json_count(struct json *json, const char *key, uint64_t value);
void cli_json_int(struct json *json, const char *key, int64_t value);
void cli_json_real(struct json *json, const char *key, double value);
void cli_json_bool(struct json *json, const char *key, bool value);
/** Prints what is there, keeping the state: for answers too long to hold. */
void cli_json_flush(struct json *json, FILE *to);
/** Prints the rest and a newline, and frees. @return CLI_OK or CLI_ERROR */
int cli_json_print(struct json *json);

void cli_text_json_string(struct text *to, const char *bytes, size_t size);
/** NaN and infinities, which JSON lacks, are written as `odd` when given ("null"), else as nan, inf. */
void cli_text_float(struct text *to, float value, const char *odd);
void cli_text_double(struct text *to, double value, const char *odd);

#endif
