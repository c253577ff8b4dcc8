/*
 * A draft model: a small model of the same vocabulary that guesses what the large one is about to write. What it reads of
 * the conversation and how long its drafts are is a matter of what that costs and how often its guesses are right.
 *
 * drafter.py does the same, operation for operation, on the same struct.
 */

/* Tokens that it may have to read before a guess without a second thought. */
#define FEW_TO_READ 16
/* It reads at least so many of the latest tokens, or none. */
#define LEAST_WINDOW 32
/* More is read once so many times as much may be. */
#define GROWS 3
#define N_SURENESS 8
/* Logits so far below the best are left out of how sure a guess is. */
#define SURENESS_WIDTH 8.0f
/* How often guesses are right, as long as nothing better is known; and what that gets back while none is made. */
#define EXPECTED_RATE 0.6
#define RATE_RETURNS 0.002
/* What one more guess weighs against what was known. */
#define RATE_LEARNS 0.05

struct drafter {
    void *context, *memory;
    int32_t (*decode)(void *context, struct batch batch);
    float *(*get_logits_ith)(void *context, int32_t i);
    bool (*forget)(void *memory, int32_t sequence, int32_t from, int32_t to);
    const volatile char *abort;  /* anything but 0: it is stopped */
    int32_t *held;               /* the tokens in its KV cache */
    float *maxima;               /* for the best logit of each block of the vocabulary */
    int32_t n_held, n_ctx, n_batch, n_vocab;
    int32_t start;               /* held[i] is text[start + i], but held[0], which is text[0] */
    int32_t n_same;              /* so many are known to be those of the text */
    int32_t is_off;              /* it failed: nothing more is asked of it */
    int32_t n_guesses;           /* of the draft that was made last */
    int32_t rows[MOST_DRAFT];    /* of each of them: the row of `hits` that it counts in */
    double step, read;           /* what a guess, and reading a token of many, costs in steps of the large model */
    double learns;               /* what one more step weighs against what was known of its cost */
    double rate;                 /* how often a guess is right */
    double hits[N_SURENESS], trials[N_SURENESS];    /* by how sure it was */
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double) time.tv_sec + 1e-9 * (double) time.tv_nsec;
}

/* In which row of `hits` a guess counts. */
static int sureness_row(double sureness)
{
    static const double ends[N_SURENESS - 1] = {0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97};
    int row = 0;
    while (row < N_SURENESS - 1 && sureness > ends[row])
        row++;
    return row;
}

/* The likeliest token, and by how much; -1 where the logits are no numbers. */
static int32_t likeliest(struct drafter *drafter, double *sureness)
{
    const float *logits = drafter->get_logits_ith(drafter->context, -1);
    const float best = logits ? find_maxima(logits, drafter->n_vocab, drafter->maxima) : INFINITY;
    if (!isfinite(best))
        return -1;
    double sum = 0.0;
    int32_t token = -1;
    for (int32_t at = 0; at < drafter->n_vocab; at += BLOCK) {
        if (!(drafter->maxima[at / BLOCK] >= best - SURENESS_WIDTH))
            continue;
        const int32_t end = drafter->n_vocab - at < BLOCK ? drafter->n_vocab : at + BLOCK;
        for (int32_t id = at; id < end; id++)
            if (logits[id] >= best - SURENESS_WIDTH) {
                sum += exp((double) logits[id] - (double) best);
                if (token < 0 && logits[id] == best)
                    token = id;
            }
    }
    *sureness = 1.0 / sum;
    return token;
}

/* Forget all but the first `n` tokens. */
static void drafter_cut(struct drafter *drafter, int32_t n)
{
    if (n < drafter->n_held && !drafter->forget(drafter->memory, 0, n, -1))
        drafter->is_off = 1;
    drafter->n_held = n < drafter->n_held ? n : drafter->n_held;
    drafter->n_same = n < drafter->n_same ? n : drafter->n_same;
}

/* Decode tokens behind those that are held. */
static bool drafter_decode(struct drafter *drafter, int32_t *tokens, int32_t n)
{
    struct batch batch = {n, tokens, NULL, NULL, NULL, NULL, NULL};
    if (drafter->decode(drafter->context, batch) != 0)
        return false;
    memcpy(drafter->held + drafter->n_held, tokens, (size_t) n * sizeof *tokens);
    drafter->n_held += n;
    return true;
}

/* What another observation makes of a cost. */
static double learned_cost(double before, double seen, double weight)
{
    return before * (1.0 + weight * (fmin(fmax(seen / before, 0.2), 5.0) - 1.0));
}

/* The most, for what it costs, that going on from `n` guesses promises; see `drafter_guess`. */
static double drafter_promise(
    const struct drafter *drafter, const double *costs, int32_t most, int32_t n, double expected, double chance)
{
    double best = 0.0;
    while (n < most) {
        n++;
        chance *= drafter->rate;
        expected += chance;
        best = fmax(best, expected / (costs[n + 1] + n * drafter->step));
    }
    return best;
}

/* How many times as fast as one by one a draft promises to be now; 0 where none can be made. */
static double drafter_gain(const struct drafter *drafter, const struct lookup *lookup, int32_t most)
{
    most = most < lookup->n_costs - 1 ? most : lookup->n_costs - 1;
    return drafter->is_off || most < 1 ? 0.0 : drafter_promise(drafter, lookup->costs, most, 0, 1.0, 1.0);
}

/* Which part of the text is to be read behind what is held, if `budget` steps of the large model may be spent on it:
 * cuts or empties what is held, and gives the number of tokens; 0 where it is too much. */
static int32_t drafter_plan_reading(struct drafter *drafter, const struct lookup *lookup, double budget, int32_t most)
{
    const int32_t n = lookup->n;
    const int32_t *text = lookup->text;
    /* The last token is read again, if need be: its logits are wanted. */
    while (drafter->n_same < drafter->n_held && drafter->start + drafter->n_same < n - 1 &&
           drafter->held[drafter->n_same] == text[drafter->n_same ? drafter->start + drafter->n_same : 0])
        drafter->n_same++;
    drafter_cut(drafter, drafter->n_same);
    const int32_t missing = n - drafter->start - drafter->n_held;
    const double may_read = budget / drafter->read;
    int32_t most_window = n + most <= drafter->n_ctx ? n : drafter->n_ctx / 2;
    if (may_read < most_window)
        most_window = may_read > 0 ? (int32_t) may_read : 0;
    const bool has_room = drafter->n_held + missing + most <= drafter->n_ctx;
    const bool is_little = missing <= FEW_TO_READ || missing <= may_read;
    const bool is_narrow = drafter->start > 0 && most_window >= GROWS * (drafter->n_held + missing);
    if (drafter->n_held > 0 && has_room && is_little && !is_narrow)
        return missing;
    if (most_window < LEAST_WINDOW && most_window < n)
        return 0;
    drafter_cut(drafter, 0);
    drafter->start = n - most_window;
    return most_window;
}

/* Have the whole text, or the part of it that it is worth, read; whether the logits behind it are there. */
static bool drafter_read(struct drafter *drafter, const struct lookup *lookup, int32_t n)
{
    while (n > 0) {
        const int32_t at = drafter->n_held, part = n < drafter->n_batch ? n : drafter->n_batch;
        int32_t tokens[part];
        for (int32_t i = 0; i < part; i++)
            tokens[i] = lookup->text[at + i ? drafter->start + at + i : 0];
        if (!drafter_decode(drafter, tokens, part))
            return false;
        n -= part;
    }
    drafter->n_same = drafter->n_held;
    return true;
}

/* A decode was stopped or failed: what is held then is not known. */
static int32_t drafter_fail(struct drafter *drafter)
{
    drafter->is_off = !*drafter->abort;
    drafter_cut(drafter, 0);
    return 0;
}

/* Write a draft of at most `most` tokens behind the text; gives its length, 0 where none pays. A step of the large model
 * takes `plain_s`; `budget_s` may be spent on reading. */
static int32_t drafter_guess(
    struct drafter *drafter, const struct lookup *lookup, double plain_s, double budget_s, int32_t most, int32_t *draft)
{
    const double *costs = lookup->costs;
    drafter->n_guesses = 0;
    if (most > lookup->n_costs - 1)
        most = lookup->n_costs - 1;
    if (drafter_gain(drafter, lookup, most) <= LEAST_GAIN) {
        drafter->rate += RATE_RETURNS * (EXPECTED_RATE - drafter->rate);
        return 0;
    }
    const int32_t n_read = drafter_plan_reading(drafter, lookup, budget_s / plain_s, most);
    if (n_read <= 0)
        return 0;
    double began = now(), expected[MOST_DRAFT + 1] = {1.0}, chance = 1.0, sureness = 0.0, best;
    if (!drafter_read(drafter, lookup, n_read))
        return drafter_fail(drafter);
    int32_t n = 0, n_steps = 1, length;
    for (;;) {
        draft[n] = likeliest(drafter, &sureness);
        if (draft[n] < 0)
            return drafter_fail(drafter);
        if (n == 0 && n_read > FEW_TO_READ) {
            const double after = now();
            drafter->read = learned_cost(drafter->read, (after - began) / plain_s / n_read, 5 * drafter->learns);
            began = after;
            n_steps = 0;
        }
        const int row = sureness_row(sureness);
        chance *= drafter->hits[row] / drafter->trials[row];
        drafter->rows[n++] = row;
        expected[n] = expected[n - 1] + chance;
        length = 0;
        best = 1.0 / (1.0 + n * drafter->step);
        for (int32_t i = 1; i <= n; i++)
            if (expected[i] / (costs[i + 1] + n * drafter->step) > best) {
                best = expected[i] / (costs[i + 1] + n * drafter->step);
                length = i;
            }
        if (n >= most || drafter_promise(drafter, costs, most, n, expected[n], chance) <= best)
            break;
        if (!drafter_decode(drafter, draft + n - 1, 1))
            return drafter_fail(drafter);
        n_steps++;
    }
    if (n_steps)
        drafter->step = learned_cost(drafter->step, (now() - began) / plain_s / n_steps, drafter->learns);
    return drafter->n_guesses = length;
}

/* Whether a guess, counted from 0, was right. */
static void drafter_learn(struct drafter *drafter, int32_t guess, bool is_hit)
{
    const int32_t row = drafter->rows[guess];
    drafter->hits[row] = drafter->hits[row] * MEMORY + (is_hit ? 1.0 : 0.0);
    drafter->trials[row] = drafter->trials[row] * MEMORY + 1.0;
    drafter->rate += RATE_LEARNS * ((is_hit ? 1.0 : 0.0) - drafter->rate);
}
