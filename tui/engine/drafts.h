/*
 * Drafts: what the model may be about to write, because the conversation holds the same words already. Code that is
 * edited, quotations, tables and lists repeat what was read. A draft is decoded together with the token before it, which
 * costs little more than that token alone, and each token of it is kept that the model would have chosen anyway.
 *
 * Knows tokens and nothing else; drafts.py does the same, operation for operation.
 */

/* Tokens in a row that must be the same as before for a place of the text to be looked at. */
#define SHORTEST 3
/* Tokens in a row beyond which a longer match says no more. */
#define LONGEST 32
/* Places that are looked at, the latest first. */
#define MOST_PLACES 8
/* Tokens of a draft. */
#define MOST_DRAFT 15
/* Differences in a row over which a place is followed, as where a name was replaced. */
#define MOST_MISSES 3
#define N_LENGTHS 13
/* What one more observation leaves of those before it. */
#define MEMORY 0.96
/* A draft must promise this much more than decoding alone. */
#define LEAST_GAIN 1.05

struct drafts {
    int32_t *text;              /* the conversation's tokens; the last one is not decoded yet */
    int32_t *before;            /* of each place: the one before that the same three tokens lead to; -1: none */
    int32_t *heads;             /* of each hash of three tokens: the latest place behind them; -1: none */
    int32_t n, room, mask;      /* tokens in `text`, and how many it can hold; one less than there are hashes */
    int32_t source;             /* the place whose token should come next; -1: there is none */
    int32_t length;             /* how many tokens before it are the same as the latest ones */
    int32_t n_misses;
    int32_t n_costs;            /* the most tokens at once of which the cost is known */
    double hits[N_LENGTHS];     /* by length of the match: guesses that were right, and all */
    double trials[N_LENGTHS];
    double costs[MOST_DRAFT + 2];   /* of so many tokens at once, in steps of one; costs[1] is 1 */
};

/* In which row of `hits` a match counts. */
static int length_row(int32_t length)
{
    static const int32_t ends[N_LENGTHS] = {0, 1, 2, 3, 4, 5, 7, 11, 15, 19, 23, 31, INT32_MAX};
    int row = 0;
    while (length > ends[row])
        row++;
    return row;
}

static uint32_t hash_of(const int32_t *three)
{
    uint32_t hash = (uint32_t) three[0] * 0x9E3779B1u ^ (uint32_t) three[1] * 0x85EBCA77u ^ (uint32_t) three[2] * 0xC2B2AE3Du;
    return hash ^ hash >> 15;
}

/* Go to the place with the longest match, where that is longer than the one that is followed. */
static void look_up(struct drafts *drafts, uint32_t hash)
{
    const int32_t *text = drafts->text, n = drafts->n;
    int32_t length = drafts->source >= 0 ? drafts->length : 0;
    int32_t place = drafts->heads[hash];
    for (int i = 0; i < MOST_PLACES && place >= 0 && length < LONGEST; i++, place = drafts->before[place]) {
        int32_t same = 0;
        while (same < LONGEST && same < place && text[place - 1 - same] == text[n - 1 - same])
            same++;
        if (same >= SHORTEST && same > length) {
            drafts->source = place;
            drafts->length = length = same;
            drafts->n_misses = 0;
        }
    }
}

/* One more token of the conversation; `is_guess`: it was chosen by the model, so that it tells how good a guess is. */
static void drafts_add(struct drafts *drafts, int32_t token, bool is_guess)
{
    if (drafts->n >= drafts->room) {
        drafts->source = -1;
        return;
    }
    if (drafts->source >= 0) {
        const bool is_hit = drafts->text[drafts->source] == token;
        if (is_guess) {
            const int row = length_row(drafts->length);
            drafts->hits[row] = drafts->hits[row] * MEMORY + (is_hit ? 1.0 : 0.0);
            drafts->trials[row] = drafts->trials[row] * MEMORY + 1.0;
        }
        drafts->source++;
        drafts->length = is_hit ? drafts->length + 1 : 0;
        if (drafts->length >= SHORTEST)
            drafts->n_misses = 0;
        else if (!is_hit && ++drafts->n_misses >= MOST_MISSES)
            drafts->source = -1;
    }
    drafts->text[drafts->n++] = token;
    if (drafts->n < SHORTEST)
        return;
    const uint32_t hash = hash_of(drafts->text + drafts->n - SHORTEST) & (uint32_t) drafts->mask;
    look_up(drafts, hash);
    drafts->before[drafts->n] = drafts->heads[hash];
    drafts->heads[hash] = drafts->n;
}

/* How long a draft, of at most `most` tokens, is worth most for what it costs; 0: none is worth it. */
static int32_t drafts_length(const struct drafts *drafts, int32_t most)
{
    if (drafts->source < 0)
        return 0;
    if (most > drafts->n_costs - 1)
        most = drafts->n_costs - 1;
    double chance = 1.0, expected = 1.0, best = LEAST_GAIN;
    int32_t length = 0;
    for (int32_t n = 1; n <= most; n++) {
        const int row = length_row(drafts->length + n - 1);
        chance *= drafts->hits[row] / drafts->trials[row];
        expected += chance;
        if (expected / drafts->costs[n + 1] > best) {
            best = expected / drafts->costs[n + 1];
            length = n;
        }
    }
    return length;
}

/* The draft; behind the end of the text it goes on with itself. */
static void drafts_write(const struct drafts *drafts, int32_t *draft, int32_t length)
{
    for (int32_t i = 0; i < length; i++) {
        const int32_t place = drafts->source + i;
        draft[i] = place < drafts->n ? drafts->text[place] : draft[place - drafts->n];
    }
}
