/*
 * The token loop: decode a token, choose the next one, until text is due. All that must happen between two tokens, while
 * llama.cpp's threads wait, without a line of Python: the model drives everything else out of the CPU's caches, and cold
 * Python takes 120 us for it, 1% of the time of a small model on a CPU and more on a fast GPU.
 *
 * tokenloop.py fills in `struct token_loop`, llama.cpp's functions among the rest, so nothing is linked and no header of
 * llama.cpp is needed. tokenloop.py compares the facts at the end of this file.
 */
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "llamatypes.h"
#include "logits.h"
#include "promptlookup.h"
#include "drafter.h"

#define START_WIDTH 8.0f
#define MOST_WIDTH 1e4f

/* What a token does to a run, by its id: nothing but what llama.cpp says of it; it ends the answer; it is looked at before
 * the next one is decoded, and ends nothing. */
enum token_kind { IS_PLAIN, ENDS, IS_LOOKED_AT };

/* Why a run came back. */
enum ending { IS_FULL, IS_DUE, IS_END, IS_ABORTED, HAS_FAILED, HAS_NO_NUMBERS };

/* In place of a token: the logits are no numbers, as those of a damaged file are, and llama.cpp would sort them. */
#define NO_NUMBERS (-1)
/* The same: which token is the likeliest could be a matter of rounding. */
#define NOT_SURE (-2)

/* What drafts may lose: so many steps of one token, and so much of all the time. */
#define MOST_LOST_STEPS 2
#define MOST_LOST_SHARE 0.005
/* Of that, what the draft model may spend on reading at once. */
#define READING_SHARE 0.5
/* So many times what it should have taken, a step with a draft says nothing of the next: a GPU compiles a program when so
 * many tokens come first. The first of each number is not held against drafts either. */
#define HICCUP 5
/* Steps with drafts in a row, before one without tells what a step takes now. */
#define MOST_IN_A_ROW 64
/* So many times what rounding was seen to change counts as what it may change. */
#define ROUNDING_SAFETY 3.0f
/* Logits so far below the best belong to tokens that could become the likeliest. */
#define LIKELY 4.0f

struct token_loop {
    void *context, *chain;
    const void *vocab;
    int32_t (*decode)(void *context, struct batch batch);
    float *(*get_logits_ith)(void *context, int32_t i);
    int32_t (*sample)(void *chain, void *context, int32_t i);
    void (*apply)(void *chain, struct candidates *candidates);
    void (*accept)(void *chain, int32_t token);
    bool (*is_eog)(const void *vocab, int32_t token);
    const uint8_t *kinds;        /* of each token of the vocabulary */
    const volatile char *abort;  /* anything but 0: stop */
    struct candidate *room;      /* for n_vocab candidates */
    float *maxima;               /* for the best logit of each block of the vocabulary */
    int32_t n_vocab;
    int32_t n_needed;            /* of the likeliest, that the chain must see; 0: all */
    int32_t takes_best;          /* the likeliest one it is, whatever the chain says */
    int32_t ignores_end;
    float width;                 /* of the logits below the best that were needed last; 0 at first */
    int32_t status;              /* of llama_decode, when it failed */
    int32_t n_decoded;           /* by the last run */
    /* For drafts: */
    struct lookup *lookup;       /* NULL: none are made */
    struct drafter *drafter;     /* NULL: there is no draft model */
    void *memory;
    bool (*forget)(void *memory, int32_t sequence, int32_t from, int32_t to);
    float *alone;                /* room for a row of logits, to be compared with the same alone or among others */
    int32_t n_past;              /* tokens in the KV cache */
    int32_t checks_rounding;     /* the answer must be that of tokens decoded one by one, to the token */
    float margin;                /* of the best logit before the next one that rounding cannot take away */
    int32_t keeps_first;         /* the memory can be taken back by tokens, but not by all that were decoded at once */
    int32_t next_check, next_check_past;    /* when what rounding does is looked at again */
    int32_t n_in_a_row, n_plain; /* steps with drafts since it was measured what one without takes; those without */
    int32_t n_steps, n_drafted, n_accepted, n_alone;    /* with drafts; tokens of drafts; decoded again by themselves */
    const int32_t *dictated;     /* for benchmarks: what is "chosen", whatever the logits say; NULL: nothing is */
    double learns;               /* what the cost of one more step weighs against what was known of it */
    double plain_s;              /* what a step without a draft takes */
    double total_s, balance_s;   /* of all steps; what drafts have won, or lost */
    double seconds[MOST_DRAFT + 2];         /* by tokens decoded at once: what all such steps took, and how many */
    int32_t counts[MOST_DRAFT + 2];
    int32_t hiccups[MOST_DRAFT + 2];
};

/* The candidates, by ascending id, whose logits are `least` or more; only blocks that have any are looked at. */
static int32_t gather(struct token_loop *loop, const float *logits, float least)
{
    int32_t n = 0;
    for (int32_t at = 0; at < loop->n_vocab; at += BLOCK) {
        if (!(loop->maxima[at / BLOCK] >= least))
            continue;
        const int32_t end = loop->n_vocab - at < BLOCK ? loop->n_vocab : at + BLOCK;
        for (int32_t id = at; id < end; id++)
            if (logits[id] >= least)
                loop->room[n++] = (struct candidate){id, logits[id], 0.0f};
    }
    return n;
}

/* Let the chain choose from the whole vocabulary. */
static int32_t choose_from_all(const struct token_loop *loop, const float *logits, int32_t row)
{
    for (int32_t i = 0; i < loop->n_vocab; i++)
        if (!(logits[i] < INFINITY))
            return NO_NUMBERS;
    return loop->sample(loop->chain, loop->context, row);
}

/* Whether another candidate comes within `margin` of the one that was selected. */
static bool is_close(const struct candidates *candidates, float margin)
{
    const float least = candidates->data[candidates->selected].logit - margin;
    for (size_t i = 0; i < candidates->size; i++)
        if ((int64_t) i != candidates->selected && candidates->data[i].logit >= least)
            return true;
    return false;
}

/* Choose the next token from a row of the newest logits, -1 being the last; NO_NUMBERS where they are none, NOT_SURE
 * where a margin is wanted and the likeliest token does not have it. The chain, which would else look at the whole
 * vocabulary, sees only the candidates within `width` of the best, at least as many as it needs; the width follows the
 * model from token to token. */
static int32_t choose(struct token_loop *loop, int32_t row, float margin)
{
    const float *logits = loop->get_logits_ith(loop->context, row);
    const float best = logits ? find_maxima(logits, loop->n_vocab, loop->maxima) : INFINITY;
    if (!isfinite(best))
        return NO_NUMBERS;
    if (loop->dictated)
        return *loop->dictated++;
    if (!loop->n_needed)
        return choose_from_all(loop, logits, row);
    if (loop->takes_best) {
        const int32_t n = gather(loop, logits, best - margin);
        return n > 1 && margin > 0 ? NOT_SURE : loop->room[0].id;
    }
    if (loop->width <= 0)
        loop->width = START_WIDTH;
    int32_t n;
    while ((n = gather(loop, logits, best - loop->width)) < loop->n_needed) {
        if (loop->width > MOST_WIDTH)
            return margin > 0 ? NOT_SURE : choose_from_all(loop, logits, row);
        loop->width *= 1.5f;
    }
    if (n > 8 * loop->n_needed + 256)
        loop->width *= 0.9f;
    struct candidates candidates = {loop->room, (size_t) n, -1, false};
    loop->apply(loop->chain, &candidates);
    if (margin > 0 && is_close(&candidates, margin))
        return NOT_SURE;
    const int32_t token = candidates.data[candidates.selected].id;
    loop->accept(loop->chain, token);
    return token;
}

/* Choose the next token from the newest logits. */
int32_t token_loop_choose(struct token_loop *loop)
{
    return choose(loop, -1, 0.0f);
}

/* Decode tokens, all of whose logits are wanted; 0, or what llama_decode or `forget` made of it. */
static int32_t decode(struct token_loop *loop, int32_t *tokens, int32_t n)
{
    static int8_t all[MOST_DRAFT + 1] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    struct batch batch = {n, tokens, NULL, NULL, NULL, NULL, n > 1 ? all : NULL};
    return loop->status = loop->decode(loop->context, batch);
}

/* Forget what was decoded behind the first `n_past` tokens. */
static bool forget(struct token_loop *loop, int32_t n_past)
{
    if (loop->forget(loop->memory, 0, n_past, -1))
        return true;
    loop->status = -1;
    return false;
}

/* Write the next draft, of the two the one that promises more; gives its length, 0 while none would pay. */
static int32_t write_draft(struct token_loop *loop, int32_t *draft, int32_t most)
{
    if (loop->drafter)
        loop->drafter->n_guesses = 0;
    if (!loop->lookup || loop->plain_s <= 0 || loop->n_in_a_row >= MOST_IN_A_ROW)
        return 0;
    const double left_s = loop->balance_s + MOST_LOST_SHARE * loop->total_s + MOST_LOST_STEPS * loop->plain_s;
    if (left_s < 0)
        return 0;
    most = most < MOST_DRAFT ? most : MOST_DRAFT;
    double gain;
    const int32_t length = lookup_length(loop->lookup, most, &gain);
    const bool can_guess = loop->drafter && loop->lookup->n == loop->n_past + 1;
    if (!can_guess || (length && gain >= drafter_gain(loop->drafter, loop->lookup, most))) {
        lookup_write(loop->lookup, draft, length);
        return length;
    }
    return drafter_guess(loop->drafter, loop->lookup, loop->plain_s, READING_SHARE * left_s, most, draft);
}

/* Whether what rounding does is to be looked at before the next draft: often at first, and when the context has grown,
 * as kernels change with its size. */
static bool is_check_due(struct token_loop *loop)
{
    if (!loop->checks_rounding || (loop->n_steps < loop->next_check && loop->n_past < loop->next_check_past))
        return false;
    loop->next_check = loop->n_steps + (loop->n_steps < 64 ? loop->n_steps + 1 : 64);
    loop->next_check_past = loop->n_past + loop->n_past / 4 + 64;
    return true;
}

/* Keep a row of logits, to be compared. */
static void keep_logits(struct token_loop *loop, int32_t row)
{
    const float *logits = loop->get_logits_ith(loop->context, row);
    if (logits)
        memcpy(loop->alone, logits, (size_t) loop->n_vocab * sizeof *logits);
}

/* By how much rounding moved any of the likeliest tokens against the likeliest one: `logits` are those of a token that
 * was decoded alone and those that are kept of it among others, or the other way round. */
static void learn_margin(struct token_loop *loop, const float *logits)
{
    const float best = logits ? find_maxima(logits, loop->n_vocab, loop->maxima) : INFINITY;
    if (!isfinite(best))
        return;
    int32_t first = 0;
    const int32_t n = gather(loop, logits, best - LIKELY);
    while (first < n - 1 && loop->room[first].logit < best)
        first++;
    const float moved = loop->alone[loop->room[first].id] - best;
    for (int32_t i = 0; i < n; i++) {
        const float change = ROUNDING_SAFETY * fabsf(loop->alone[loop->room[i].id] - loop->room[i].logit - moved);
        loop->margin = change > loop->margin ? change : loop->margin;
    }
}

/* Decode a token with a draft behind it; with `is_check` before that by itself: how far do the logits differ? */
static int32_t decode_draft(struct token_loop *loop, int32_t *tokens, int32_t n, bool is_check)
{
    if (is_check) {
        if (decode(loop, tokens, 1) != 0)
            return loop->status;
        keep_logits(loop, -1);
        if (!forget(loop, loop->n_past))
            return -1;
    }
    if (decode(loop, tokens, n) == 0 && is_check)
        learn_margin(loop, loop->get_logits_ith(loop->context, 0));
    return loop->status;
}

/* A step is over that took so long, and `draft_s` before that for its draft, and gave `n` tokens; `is_clean`: nothing but
 * decoding so many tokens at once. */
static void note(struct token_loop *loop, int32_t n_at_once, int32_t n, double draft_s, double took, bool is_clean)
{
    loop->total_s += draft_s + took;
    loop->balance_s -= draft_s;
    if (n_at_once > 1 && took > HICCUP * loop->lookup->costs[n_at_once] * loop->plain_s) {
        is_clean = false;
        if (!loop->hiccups[n_at_once]++)
            took = loop->lookup->costs[n_at_once] * loop->plain_s;
    }
    if (is_clean) {
        loop->seconds[n_at_once] += took;
        loop->counts[n_at_once]++;
    }
    if (n_at_once == 1) {
        /* A step that was held up by something else says nothing of the next one. */
        const double seen = loop->plain_s > 0 ? fmin(took, 2 * loop->plain_s) : took;
        if (loop->n_plain++ || !loop->n_steps) {
            loop->plain_s = loop->plain_s > 0 ? 0.9 * loop->plain_s + 0.1 * seen : took;
            loop->n_in_a_row = 0;
        } else {
            /* llama.cpp made its graph for one token anew: that is the draft's fault. */
            loop->balance_s -= seen - loop->plain_s;
        }
        return;
    }
    if (is_clean) {
        lookup_learn_cost(loop->lookup, n_at_once, took / loop->plain_s, loop->learns);
    }
    loop->balance_s += n * loop->plain_s - took;
    loop->n_plain = 0;
    loop->n_in_a_row++;
    loop->n_steps++;
    loop->n_drafted += n_at_once - 1;
}

/* Decode `pending`, if it is a token (-1 is none), and choose the next one, over and over: until `n_most` tokens are
 * chosen, one is chosen at or after the time `due` (seconds of the monotonic clock), one is to be looked at, the model
 * ends, the abort switch is set, llama_decode fails, or what it computed are no numbers. Gives the number of tokens in
 * `tokens` with the times at which they were chosen. A draft is decoded together with `pending` where that pays; what
 * is chosen is the same. */
int32_t token_loop_run(
    struct token_loop *loop, int32_t pending, int32_t n_most, double due, int32_t *tokens, double *times, int32_t *ending)
{
    int32_t n = 0, together[MOST_DRAFT + 1];
    loop->n_decoded = 0;
    for (;;) {
        if (*loop->abort) {
            *ending = IS_ABORTED;
            return n;
        }
        double began = loop->lookup ? now() : 0.0, draft_s = 0.0;
        const bool decodes = pending >= 0;
        int32_t n_draft = 0;
        bool is_check = false, is_alone = false;
        if (decodes) {
            together[0] = pending;
            n_draft = write_draft(loop, together + 1, n_most - n - 1);
            if (loop->drafter) {
                draft_s = now() - began;
                began += draft_s;
            }
            if (n_draft) {
                is_check = is_check_due(loop);
                if (decode_draft(loop, together, n_draft + 1, is_check && !loop->keeps_first) != 0) {
                    /* What is wrong is wrong with the token alone, too, or is not. */
                    if (*loop->abort || !forget(loop, loop->n_past)) {
                        *ending = HAS_FAILED;
                        return n;
                    }
                    loop->lookup->n_costs = 0;
                    n_draft = 0;
                }
            }
            if (!n_draft && decode(loop, together, 1) != 0) {
                *ending = HAS_FAILED;
                return n;
            }
            loop->n_decoded++;
            /* Of a memory that keeps the first, the logits of that must not be lost: it is looked at again below. */
            if (*loop->abort && !(n_draft && loop->keeps_first)) {
                if (n_draft)
                    forget(loop, loop->n_past + 1);
                loop->n_past++;
                *ending = IS_ABORTED;
                return n;
            }
        }
        const int32_t n_at_once = n_draft + 1;
        int32_t row = 0, ends = -1;
        for (;; row++) {
            const bool can_be_alone = n_draft && (row || !loop->keeps_first);
            const bool is_late_check = is_check && loop->keeps_first && n_draft && row == 1;
            if (is_late_check)
                keep_logits(loop, row);
            pending = is_late_check ? NOT_SURE : choose(loop, n_draft ? row : -1, can_be_alone ? loop->margin : 0.0f);
            if (pending == NOT_SURE) {
                /* Decoded alone, it is what it would have been without a draft. */
                loop->n_alone++;
                is_alone = true;
                n_draft = row;
                if (!forget(loop, loop->n_past + row) || decode(loop, together + row, 1) != 0) {
                    loop->n_decoded--;
                    loop->n_past += row;
                    *ending = HAS_FAILED;
                    return n;
                }
                if (is_late_check)
                    learn_margin(loop, loop->get_logits_ith(loop->context, -1));
                pending = choose(loop, -1, 0.0f);
            }
            if (pending == NO_NUMBERS) {
                ends = HAS_NO_NUMBERS;
                break;
            }
            const uint8_t kind = loop->ignores_end ? IS_PLAIN : loop->kinds[pending];
            if (kind == ENDS || (kind == IS_PLAIN && !loop->ignores_end && loop->is_eog(loop->vocab, pending))) {
                ends = IS_END;
                break;
            }
            tokens[n] = pending;
            times[n] = now();
            n++;
            if (loop->lookup)
                lookup_add(loop->lookup, pending, true);
            if (n >= n_most || kind == IS_LOOKED_AT) {
                ends = n >= n_most ? IS_FULL : IS_DUE;
                break;
            }
            if (row >= n_draft)
                break;
            if (loop->drafter && row < loop->drafter->n_guesses)
                drafter_learn(loop->drafter, row, pending == together[row + 1]);
            if (pending != together[row + 1])
                break;
            loop->n_accepted++;
            loop->n_decoded++;
        }
        if (loop->lookup && decodes) {
            loop->n_past += row + 1;
            if (row < n_draft && !forget(loop, loop->n_past))
                ends = HAS_FAILED;
            note(loop, n_at_once, row + 1, draft_s, now() - began, !is_check && !is_alone);
        }
        if (ends < 0 && times[n - 1] >= due)
            ends = IS_DUE;
        if (ends >= 0) {
            *ending = ends;
            return n;
        }
    }
}

/* Tokens of the conversation that the loop did not choose: drafts may repeat them. */
void token_loop_read(struct token_loop *loop, const int32_t *tokens, int32_t n)
{
    for (int32_t i = 0; i < n; i++)
        lookup_add(loop->lookup, tokens[i], false);
}

/* What tokenloop.py must agree with; the checksum of this file comes from the build. */
const int64_t token_loop_facts[] = {
    sizeof(struct token_loop), sizeof(struct lookup), sizeof(struct drafter), sizeof(struct batch), sizeof(struct candidate),
    sizeof(struct candidates), BLOCK,
    SOURCE_CHECKSUM};
