/* Recall against queries a second, as an SVG. */
#ifndef CLI_PLOT_SVG_H
#define CLI_PLOT_SVG_H

#include "measure.h"

void cli_plot_svg(const struct measured *rows, size_t count, uint32_t k, const char *title, struct text *to);

#endif
