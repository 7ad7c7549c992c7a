/* A plot by a few lines of our own: measured recall to the right, queries a second upwards and logarithmic, a
 * bar of two standard errors through each point, and beside it the recall that was wanted.
 */
#include "plot_svg.h"

#include <math.h>

enum { LEFT = 70, TOP = 40, WIDTH = 520, HEIGHT = 320 };

struct frame {
    double left;      // recall at the left edge; the right one is 1
    double low, high; // log10 of the speeds at the lower and upper edge
};

static struct frame frame_of(const struct measured *rows, size_t count)
{
    double least = 1, slow = 1e9, fast = 1;
    for (size_t i = 0; i < count; i++) {
        least = fmin(least, rows[i].measured);
        slow = fmin(slow, rows[i].queries_per_second);
        fast = fmax(fast, rows[i].queries_per_second);
    }
    struct frame frame = { .left = fmin(floor(least * 20) / 20, 0.95), .low = floor(log10(slow) * 3) / 3 };
    frame.high = fmax(ceil(log10(fast) * 3) / 3, frame.low + 1.0 / 3);
    return frame;
}

static double place_x(const struct frame *frame, double recall)
{
    return LEFT + (recall - frame->left) / (1 - frame->left) * WIDTH;
}

static double place_y(const struct frame *frame, double speed)
{
    return TOP + (frame->high - log10(speed)) / (frame->high - frame->low) * HEIGHT;
}

static void add_recalls(const struct frame *frame, struct text *to)
{
    double step = frame->left > 0.92 ? 0.01 : frame->left > 0.6 ? 0.05 : 0.1;
    for (long i = lround(ceil(frame->left / step - 1e-9)); i <= lround(1 / step); i++) {
        double x = place_x(frame, (double)i * step);
        cli_text_printf(to, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\" stroke=\"#ddd\"/>\n", x, x,
                        TOP, TOP + HEIGHT);
        cli_text_printf(to, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.2f</text>\n", x,
                        TOP + HEIGHT + 18, (double)i * step);
    }
}

static void add_speed(const struct frame *frame, double speed, struct text *to)
{
    char label[32];
    double y = place_y(frame, speed);
    if (y < TOP - 0.1 || y > TOP + HEIGHT + 0.1) return;
    cli_text_printf(to, "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/>\n", LEFT,
                    LEFT + WIDTH, y, y);
    cli_text_printf(to, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", LEFT - 6, y + 4,
                    cli_count_text(label, (uint64_t)(speed + 0.5)));
}

static void add_speeds(const struct frame *frame, struct text *to)
{
    for (double power = floor(frame->low); power <= frame->high; power++) {
        add_speed(frame, pow(10, power), to);
        add_speed(frame, pow(10, power) * 2, to);
        add_speed(frame, pow(10, power) * 5, to);
    }
}

static void add_points(const struct frame *frame, const struct measured *rows, size_t count, struct text *to)
{
    cli_text_puts(to, "<polyline fill=\"none\" stroke=\"#1f6fb4\" stroke-width=\"2\" points=\"");
    for (size_t i = 0; i < count; i++) {
        cli_text_printf(to, "%s%.1f,%.1f", i ? " " : "", place_x(frame, rows[i].measured),
                        place_y(frame, rows[i].queries_per_second));
    }
    cli_text_puts(to, "\"/>\n");
    for (size_t i = 0; i < count; i++) {
        double x = place_x(frame, rows[i].measured), y = place_y(frame, rows[i].queries_per_second);
        double reach = 2 * rows[i].standard_error / (1 - frame->left) * WIDTH;
        cli_text_printf(to, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#1f6fb4\"/>\n",
                        fmax(x - reach, LEFT), fmin(x + reach, LEFT + WIDTH), y, y);
        cli_text_printf(to, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"#1f6fb4\"/>\n", x, y);
        cli_text_printf(to, "<text x=\"%.1f\" y=\"%.1f\">%g</text>\n", x + 6, y - 6, (double)rows[i].recall);
    }
}

static void add_escaped(struct text *to, const char *text)
{
    for (; *text; text++) {
        if (*text == '&' || *text == '<')
            cli_text_puts(to, *text == '&' ? "&amp;" : "&lt;");
        else
            cli_text_add(to, text, 1);
    }
}

void cli_plot_svg(const struct measured *rows, size_t count, uint32_t k, const char *title, struct text *to)
{
    struct frame frame = frame_of(rows, count);
    cli_text_printf(
        to,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" "
        "font-size=\"12\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
        LEFT + WIDTH + 40, TOP + HEIGHT + 60);
    cli_text_printf(to, "<text x=\"%d\" y=\"22\" font-size=\"14\">", LEFT);
    add_escaped(to, title);
    cli_text_printf(to,
                    "</text>\n<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"none\" "
                    "stroke=\"#888\"/>\n",
                    LEFT, TOP, WIDTH, HEIGHT);
    add_recalls(&frame, to);
    add_speeds(&frame, to);
    add_points(&frame, rows, count, to);
    cli_text_printf(to, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">recall of %u, measured</text>\n",
                    LEFT + WIDTH / 2, TOP + HEIGHT + 42, k);
    cli_text_printf(
        to,
        "<text transform=\"translate(16 %d) rotate(-90)\" text-anchor=\"middle\">queries a second, "
        "one thread</text>\n</svg>\n",
        TOP + HEIGHT / 2);
}
