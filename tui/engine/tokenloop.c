/*
 * The token loop: decode a token, choose the next one, until text is due. All that must happen between two tokens, while
 * llama.cpp's threads wait, without a line of Python: the model drives everything else out of the CPU's caches, and cold
 * Python takes 120 us for it, 1% of the time of a small model on a CPU and more on a fast GPU.
 *
 * tokenloop.py fills in `struct token_loop`, llama.cpp's functions among the rest, so nothing is linked and no header of
 * llama.cpp is needed. The structs that go to llama.cpp are laid out as in its llama.h; tokenloop.py compares the facts
 * at the end of this file.
 */
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#define BLOCK 64
#define START_WIDTH 8.0f
#define MOST_WIDTH 1e4f

/* llama_token_data, llama_token_data_array and llama_batch. */
struct candidate { int32_t id; float logit, p; };
struct candidates { struct candidate *data; size_t size; int64_t selected; bool sorted; };
struct batch {
    int32_t n_tokens, *token;
    float *embd;
    int32_t *pos, *n_seq_id, **seq_id;
    int8_t *logits;
};

/* What a token does to a run, by its id: nothing but what llama.cpp says of it; it ends the answer; it is looked at before
 * the next one is decoded, and ends nothing. */
enum token_kind { IS_PLAIN, ENDS, IS_LOOKED_AT };

/* Why a run came back. */
enum ending { IS_FULL, IS_DUE, IS_END, IS_ABORTED, HAS_FAILED, HAS_NO_NUMBERS };

/* In place of a token: the logits are no numbers, as those of a damaged file are, and llama.cpp would sort them. */
#define NO_NUMBERS (-1)

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
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double) time.tv_sec + 1e-9 * (double) time.tv_nsec;
}

/* Four floats in a vector register; compilers do not find that a maximum may be taken in any order. */
typedef float lanes __attribute__((vector_size(16)));
typedef int32_t mask __attribute__((vector_size(16)));

static lanes larger(lanes one, lanes other)
{
    const mask is_larger = one > other;
    return (lanes) (((mask) one & is_larger) | ((mask) other & ~is_larger));
}

/* The best of a block; what is not a number, which no sound model gives, is passed over. */
static float block_maximum(const float *logits, int32_t n)
{
    float best = -INFINITY;
    if (n == BLOCK) {
        lanes at, most[4];
        for (int i = 0; i < 4; i++)
            most[i] = (lanes){-INFINITY, -INFINITY, -INFINITY, -INFINITY};
        for (int from = 0; from < BLOCK; from += 16)
            for (int i = 0; i < 4; i++) {
                memcpy(&at, logits + from + 4 * i, sizeof at);
                most[i] = larger(at, most[i]);
            }
        const lanes last = larger(larger(most[0], most[1]), larger(most[2], most[3]));
        for (int i = 0; i < 4; i++)
            best = last[i] > best ? last[i] : best;
    } else {
        for (int32_t i = 0; i < n; i++)
            best = logits[i] > best ? logits[i] : best;
    }
    return best;
}

/* The best logit of each block and of all. */
static float find_maxima(const float *logits, int32_t n, float *maxima)
{
    float best = -INFINITY;
    for (int32_t at = 0; at < n; at += BLOCK) {
        const float most = block_maximum(logits + at, n - at < BLOCK ? n - at : BLOCK);
        maxima[at / BLOCK] = most;
        best = most > best ? most : best;
    }
    return best;
}

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
static int32_t choose_from_all(const struct token_loop *loop, const float *logits)
{
    for (int32_t i = 0; i < loop->n_vocab; i++)
        if (!(logits[i] < INFINITY))
            return NO_NUMBERS;
    return loop->sample(loop->chain, loop->context, -1);
}

/* Choose the next token from the newest logits; NO_NUMBERS where they are none. The chain, which would else look at the whole vocabulary, sees only the
 * candidates within `width` of the best, at least as many as it needs; the width follows the model from token to token. */
int32_t token_loop_choose(struct token_loop *loop)
{
    const float *logits = loop->get_logits_ith(loop->context, -1);
    const float best = logits ? find_maxima(logits, loop->n_vocab, loop->maxima) : INFINITY;
    if (!isfinite(best))
        return NO_NUMBERS;
    if (!loop->n_needed)
        return choose_from_all(loop, logits);
    if (loop->takes_best) {
        gather(loop, logits, best);
        return loop->room[0].id;
    }
    if (loop->width <= 0)
        loop->width = START_WIDTH;
    int32_t n;
    while ((n = gather(loop, logits, best - loop->width)) < loop->n_needed) {
        if (loop->width > MOST_WIDTH)
            return choose_from_all(loop, logits);
        loop->width *= 1.5f;
    }
    if (n > 8 * loop->n_needed + 256)
        loop->width *= 0.9f;
    struct candidates candidates = {loop->room, (size_t) n, -1, false};
    loop->apply(loop->chain, &candidates);
    const int32_t token = candidates.data[candidates.selected].id;
    loop->accept(loop->chain, token);
    return token;
}

/* Decode `pending`, if it is a token (-1 is none), and choose the next one, over and over: until `n_most` tokens are
 * chosen, one is chosen at or after the time `due` (seconds of the monotonic clock), one is to be looked at, the model
 * ends, the abort switch is set, llama_decode fails, or what it computed are no numbers. Gives the number of tokens in `tokens` with the times at which they were chosen. */
int32_t token_loop_run(
    struct token_loop *loop, int32_t pending, int32_t n_most, double due, int32_t *tokens, double *times, int32_t *ending)
{
    int32_t n = 0;
    loop->n_decoded = 0;
    for (;;) {
        if (*loop->abort) {
            *ending = IS_ABORTED;
            return n;
        }
        if (pending >= 0) {
            struct batch batch = {1, &pending, NULL, NULL, NULL, NULL, NULL};
            loop->status = loop->decode(loop->context, batch);
            if (loop->status != 0) {
                *ending = HAS_FAILED;
                return n;
            }
            loop->n_decoded++;
            if (*loop->abort) {
                *ending = IS_ABORTED;
                return n;
            }
        }
        pending = token_loop_choose(loop);
        if (pending == NO_NUMBERS) {
            *ending = HAS_NO_NUMBERS;
            return n;
        }
        const uint8_t kind = loop->ignores_end ? IS_PLAIN : loop->kinds[pending];
        if (kind == ENDS || (kind == IS_PLAIN && !loop->ignores_end && loop->is_eog(loop->vocab, pending))) {
            *ending = IS_END;
            return n;
        }
        tokens[n] = pending;
        times[n] = now();
        n++;
        if (n >= n_most || times[n - 1] >= due || kind == IS_LOOKED_AT) {
            *ending = n >= n_most ? IS_FULL : IS_DUE;
            return n;
        }
    }
}

/* What tokenloop.py must agree with; the checksum of this file comes from the build. */
const int64_t token_loop_facts[] = {
    sizeof(struct token_loop), sizeof(struct batch), sizeof(struct candidate), sizeof(struct candidates), BLOCK,
    SOURCE_CHECKSUM};
